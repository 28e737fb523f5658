"""`pytest --unmanaged` with this machine as the nodes: its spellings, its limits, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests_meta.plugin.test_bad_input import assert_refused
from tests_meta.site import Site

HERE = "connection:chroot:///"


@pytest.fixture
def here(site: Site) -> Site:
    """Two nodes, which are this machine, and nothing to do there; a directory with files of no package."""
    site.nodes = {"node1": HERE, "node2": HERE}
    site.delete("evil._all")
    (site.directory / "grown").mkdir()
    return site


def grown(site: Site, *names: str) -> str:
    """Make files that belong to no package. Return the option that finds them."""
    for name in names:
        (site.directory / "grown" / name).write_text("")
    return f"--unmanaged={site.directory}/grown"


def unmanaged(site: Site, document: str = "reports/drift.json") -> dict[str, Any]:
    """The part of the document that is about unmanaged files."""
    found: dict[str, Any] = json.loads((site.directory / document).read_text())["unmanaged"]
    return found


class TestSpelling:
    """The directory is in the same word, so no word behind the option is taken for it."""

    @pytest.mark.parametrize("words", [["--unmanaged", "synctool_checks"], ["synctool_checks", "--synctool-unmanaged"]])
    def test_without_a_directory(self, here: Site, words: list[str]) -> None:
        here.nodes = {"node1": HERE}
        command = [word for word in here.command() if word != "synctool_checks"]
        (here.directory / "value").touch()  # of an option in a word of its own, before which pytest reads all again
        run = here.pytest(command=[*command, "--synctool-jsonl", "value", *words])
        assert run.status == 0, run.output
        assert unmanaged(here)["directory"] == "/etc"

    def test_pytest_takes_the_next_word_for_the_value_of_the_long_name(self, here: Site) -> None:
        """It reads the command line before the plugin can."""
        run = here.pytest("--synctool-unmanaged", "synctool_checks")
        assert_refused(run, "not 'synctool_checks'; a test path comes before --synctool-unmanaged")

    def test_in_the_ini_file(self, here: Site) -> None:
        (here.directory / "pytest.ini").write_text(f"[pytest]\naddopts = --unmanaged-fail {grown(here, 'x')}\n")
        assert here.pytest().status == 1

    def test_a_word_of_its_own_is_refused(self, here: Site) -> None:
        run = here.pytest("--unmanaged", "/etc/cron.d")
        message = (
            "write --unmanaged=/etc/cron.d in one word; if /etc/cron.d is a test path, write it before --unmanaged"
        )
        assert_refused(run, message)

    def test_the_option_of_a_conftest_stays_theirs(self, here: Site) -> None:
        (here.directory / "conftest.py").write_text(
            "def pytest_addoption(parser):\n"
            "    parser.addoption('--unmanaged', action='store_true')\n"
            "def pytest_report_header(config):\n"
            "    return f'theirs: {config.option.unmanaged}, ours: {config.option.synctool_unmanaged}'\n"
        )
        run = here.pytest("--unmanaged", "--collect-only")
        assert "theirs: True, ours: None" in run.output, run.output

    @pytest.mark.parametrize("value", ["etc", "", "/a b", "/etc\n"])
    def test_no_directory(self, here: Site, value: str) -> None:
        assert_refused(here.pytest(f"--unmanaged={value}"), "expected a directory on the nodes like /etc")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--unmanaged-fail"], "--unmanaged-fail needs --unmanaged: nothing else looks for such files"),
            (["--unmanaged", "--restore", "--hosts=node1"], "--unmanaged does not go with --restore"),
            (["--unmanaged", "--synctool-lint"], "--unmanaged does not go with --synctool-lint"),
        ],
    )
    def test_conflicts(self, here: Site, arguments: list[str], message: str) -> None:
        assert_refused(here.pytest(*arguments), message)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_the_summary_has_a_limit(here: Site, workers: tuple[str, ...]) -> None:
    """Names are printable. -v shows every file."""
    names = [f"{number:03}" for number in range(42)]
    option = grown(here, *names, "\x1b[31m")
    run = here.pytest(option, *workers)
    assert run.status == 0
    assert run.output.count("UNMANAGED node[1-2]: ") == 40
    assert f"UNMANAGED node[1-2]: {here.directory}/grown/\\x1b[31m belongs to no package (2 of 2 nodes)" in run.output
    assert "... and 3 more lines about unmanaged files: -v, or drift.json" in run.output
    run = here.pytest(option, "-v", *workers)
    assert run.output.count("UNMANAGED node[1-2]: ") == 43
    assert len(unmanaged(here)["files"]) == 43
    grown(here, *(f"{number:03}" for number in range(42, 200)))
    run = here.pytest(option, "-q", *workers)
    assert run.output.count("UNMANAGED") == 1
    assert "grown has 201 files that belong to no package" in run.output


def test_a_run_without_it_loads_nothing_of_it(here: Site) -> None:
    (here.directory / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    names = ('packages', 'unmanaged', 'packed_unmanaged', 'unmanaged_look', 'late_tests')\n"
        "    loaded = {name.rpartition('.')[2] for name in sys.modules if 'synctool' in name}\n"
        "    print('LOADED', *sorted(loaded.intersection(names)))\n"
    )
    run = here.finish(here.start(here.command()), 120)  # a new interpreter
    assert "LOADED late_tests\n" in run.output
    run = here.finish(here.start(here.command(grown(here))), 120)
    assert "LOADED late_tests packages unmanaged unmanaged_look\n" in run.output


def test_unknown_is_never_nothing(here: Site) -> None:
    """It fails a run only with --unmanaged-fail, as an error."""
    where = f"--unmanaged={here.directory}/gone"
    reason = f"not everything below {here.directory}/gone could be looked at"
    run = here.pytest(where)
    assert run.status == 0
    assert f"UNMANAGED node[1-2]: unknown: {reason}" in run.output
    assert "are managed" not in run.output
    assert unmanaged(here)["unknown"] == [{"reason": reason, "nodes": ["node1", "node2"]}]
    run = here.pytest(where, "--unmanaged-fail")
    assert run.status == 1
    assert [word for (name, _), word in run.results.items() if name.startswith("unmanaged.")] == ["error", "error"]
    assert "2 errors" in run.output


def test_a_node_whose_tests_are_skipped_is_left_alone(here: Site) -> None:
    """Nobody has looked at it: it is skipped there too, and unknown."""
    (here.directory / "conftest.py").write_text(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        if '::node1::' in item.nodeid: item.add_marker(pytest.mark.skip(reason='on repair'))\n"
    )
    here.nodes["node1"] = "connection:chroot:///nowhere"
    run = here.pytest(grown(here, "x"), "--unmanaged-fail")
    assert {name: word for (top, name), word in run.results.items() if top.startswith("unmanaged.")} == {
        "node1": "skipped",
        "node2": "failure",
    }
    assert unmanaged(here)["unknown"] == [{"reason": "not looked at: its tests did not run", "nodes": ["node1"]}]


def test_an_empty_masterdir_is_where_adoption_begins(here: Site) -> None:
    """That is an error of the audit, and the nodes are looked at nevertheless."""
    here.put("x._all")
    for path in (here.masterdir / "overlay").iterdir():
        path.rename(here.directory / "elsewhere")
    for path in (here.masterdir / "delete").iterdir():
        path.rename(here.directory / "elsewhere too")
    run = here.pytest(grown(here, "x"))
    assert "UNMANAGED node[1-2]: " in run.output


def test_what_was_not_reached_is_told(here: Site) -> None:
    here.put("missing._all")
    here.lines.append("num_proc 1")
    run = here.pytest(grown(here, "x"), "-x", "--unmanaged-fail")
    assert "UNMANAGED unknown on 1 node more: the run ended before" in run.output
    assert unmanaged(here)["known"] == ["node1"]
    assert run.status == 1


def test_lf_knows_only_tests_that_it_can_repeat(here: Site) -> None:
    here.put("missing._all")
    assert here.pytest(grown(here, "x"), "--unmanaged-fail").status == 1
    failed = json.loads((here.directory / ".pytest_cache/v/cache/lastfailed").read_text())
    assert failed
    assert not any("unmanaged" in name for name in failed)


def test_no_node_is_no_pass(here: Site) -> None:
    assert here.pytest(grown(here), "-k", "nothing").status == 5
    (here.directory / "test_own.py").write_text("def test_own():\n    pass\n")
    conf = here.command()[5]
    run = here.pytest(command=[*here.command()[:3], conf, "test_own.py", grown(here), "--unmanaged-fail"])
    assert run.status == 5, run.output


def test_after_a_repair(here: Site, tmp_path: Path) -> None:
    """A file that the masterdir has is not reported, nor one that the repair has deleted."""
    here.nodes = {"node1": HERE}
    below = here.masterdir / "delete" / str(tmp_path)[1:] / "grown"
    below.mkdir(parents=True)
    (below / "bad._all").write_text("")
    run = here.pytest(grown(here, "bad", "x"), "--fix", "--no-saved")
    assert run.status == 0, run.output
    assert [Path(each["path"]).name for each in unmanaged(here)["files"]] == ["x"]


def test_every_test_is_shown_with_v(here: Site) -> None:
    arguments = (grown(here, "x"), "--unmanaged-fail", "-v", "-p", "no:cacheprovider")
    run = here.pytest(*arguments, environment={"COLUMNS": "500"})  # pytest cuts long lines
    top = f"unmanaged{here.directory}/grown"
    for node in here.nodes:
        assert f"{top}::{node} FAILED" in run.output
    assert f"FAILED {top}::node1 - node1: 1 unmanaged file below {here.directory}/grown" in run.output

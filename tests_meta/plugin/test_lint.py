"""`pytest --synctool-lint`: one test per rule or finding and no other tests. No node is contacted."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from lxml import etree
from pytest_synctool.lint import RULES

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Run, Site

SCHEMA = Path(__file__).parents[1] / "data" / "junit-10.xsd"
EXAMPLES = Path(__file__).parents[2] / "examples"
LINT = "--synctool-lint"


@pytest.fixture
def clean(site: Site) -> Site:
    """Return a site without findings. Its nodes do not exist, and one is ignored."""
    site.nodes = {"node1": "batch ipaddress:192.0.2.1", "node2": "batch rack2", "web1": "login"}
    site.lines.append("ignore_node web1")
    site.put("ntp.conf._all")
    site.put("only._login")
    site.delete("evil._all")
    return site


@pytest.fixture
def dirty(clean: Site) -> Site:
    """Return a site with five findings of four rules."""
    clean.put("typo._bacth")
    clean.put("open._all", mode=0o666)
    clean.put("suid._all", mode=0o4755)
    clean.put(b"odd [\xff]::%\t._all", mode=0o4755)
    clean.lines += ["on_update /etc/motd gone.sh"]
    return clean


def findings(site: Site) -> list[str]:
    """Return the ids of the findings of `dirty`, in their order."""
    top = f"overlay{site.top}"
    return [
        f"synctool-lint::unknown-group::{top}/typo._bacth",
        "synctool-lint::on-update-command::/etc/motd gone.sh",
        f"synctool-lint::world-writable::{top}/open._all",
        rf"synctool-lint::setuid::{top}/odd %5B\xff]%3A%3A%25\t._all",
        f"synctool-lint::setuid::{top}/suid._all",
    ]


def ids(run: Run) -> list[str]:
    """Return the ids that `--collect-only -q` shows."""
    return [line for line in run.output.splitlines() if line.startswith("synctool-lint::")]


def failed(run: Run) -> list[str]:
    """Return the ids of the failed tests in the junit report."""
    return sorted(
        f"{case.replace('.', '::', 1)}::{name}" for (case, name), word in run.results.items() if word == "failure"
    )


@pytest.mark.parametrize("arguments", [(), ("-n2",), ("no-such-file.py",), ("--hosts=nonsense",), ("--lf",)], ids=str)
def test_a_clean_repository_has_a_passed_test_per_rule(clean: Site, arguments: tuple[str, ...]) -> None:
    """The other arguments of the command line do not matter."""
    run = clean.pytest(LINT, *arguments)
    assert run.status == 0, run.output
    assert run.results == {("synctool-lint", rule): "passed" for rule in RULES}
    assert f"synctool: {clean.directory / 'synctool.conf'}, lint, no node is contacted" in run.output
    assert "dry run" not in run.output
    assert "= synctool =" not in run.output


def test_the_examples_are_clean(site: Site) -> None:
    """The README shows this repository."""
    examples = shutil.copytree(
        EXAMPLES, site.directory / "examples", symlinks=True
    )  # the checkout may belong to anybody
    command = site.command(LINT)
    command[3:6] = [f"--synctool-conf={examples / 'synctool.conf'}"]
    run = site.pytest(command=command)
    assert run.status == 0, run.output


@ALONE_AND_XDIST
def test_every_finding_is_a_failed_test(dirty: Site, workers: tuple[str, ...]) -> None:
    """The message has the file, the line if there is one, and the next step, but no traceback. The report is valid."""
    run = dirty.pytest(LINT, *workers, "-o", "junit_family=xunit2")
    assert run.status == 1, run.output
    assert failed(run) == sorted(findings(dirty))
    assert run.count("passed") == len(RULES) - 4
    line = (dirty.directory / "synctool.conf").read_text().splitlines().index("on_update /etc/motd gone.sh") + 1
    message = (
        f"synctool.conf:{line}: 'on_update /etc/motd': scripts/gone.sh does not exist: create it, or give the full "
        "path of a command on the nodes"
    )
    assert message in run.output.splitlines()
    assert run.messages["synctool-lint.on-update-command", "/etc/motd gone.sh"].endswith(f"\n{message}")
    shown = rf"masterdir/overlay{dirty.top}/odd [\xff]::%\t._all: mode 4755 gives every user who runs it"
    assert shown in run.output
    assert "Traceback" not in run.output
    assert "Error" not in run.output
    assert "WARNING" not in run.output
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.parse(dirty.directory / "junit.xml"))


def test_the_older_report_has_file_and_line(dirty: Site) -> None:
    """Some tools read these attributes. Their lines are counted from 0, as pytest does."""
    dirty.pytest(LINT, "-o", "junit_family=xunit1")
    cases = etree.parse(dirty.directory / "junit.xml").findall(".//testcase")
    places = {case.get("classname"): (case.get("file"), case.get("line")) for case in cases if len(case)}
    lines = (dirty.directory / "synctool.conf").read_text().splitlines()
    number = str(lines.index("on_update /etc/motd gone.sh"))
    assert places["synctool-lint.on-update-command"] == ("synctool.conf", number)
    assert places["synctool-lint.world-writable"] == (f"masterdir/overlay{dirty.top}/open._all", None)


def test_tests_are_selected_like_any_others(dirty: Site) -> None:
    """--collect-only, -k, -m, --deselect and ids work. The id of a rule selects all its tests."""
    everything = ids(dirty.pytest(LINT, "--collect-only", "-q"))
    assert [nodeid for nodeid in everything if nodeid.count("::") > 1] == findings(dirty)
    assert len(everything) == len(RULES) - 4 + 5
    without = [nodeid for nodeid in everything if "::setuid" not in nodeid]
    for arguments, expected in (
        (("-k", "not setuid"), without),
        (("--deselect=synctool-lint::setuid",), without),
        ((f"--deselect={findings(dirty)[4]}",), [each for each in everything if each != findings(dirty)[4]]),
        (("-m", "lint"), everything),
        (("-m", "not lint"), []),
        (("-k", "setuid and suid._all"), findings(dirty)[4:]),
        (("synctool-lint::setuid",), findings(dirty)[3:]),
        ((findings(dirty)[3], "synctool-lint::shadowed"), ["synctool-lint::shadowed", findings(dirty)[3]]),
        (("-p", "no:cacheprovider", "--strict-markers", "-k", "batch or world-writable"), [findings(dirty)[2]]),
    ):
        run = dirty.pytest(LINT, "--collect-only", "-q", *arguments)
        assert ids(run) == expected, arguments
        assert run.status == (0 if expected else 5)
    tree = dirty.pytest(LINT, "--collect-only", "-k", "open._all").output
    assert f"<LintRule world-writable>\n    <LintItem overlay{dirty.top}/open._all>" in tree
    silenced = dirty.pytest(LINT, *(f"--deselect={nodeid}" for nodeid in findings(dirty)))
    assert silenced.status == 0, silenced.output


def test_an_id_that_is_none_is_a_usage_error(dirty: Site) -> None:
    """A test whose finding is gone does not pass."""
    run = dirty.pytest(LINT, "synctool-lint::setuid::overlay/gone._all")
    assert run.status == 4
    assert "not found: synctool-lint::setuid::overlay/gone._all" in run.output


def test_last_failed(dirty: Site) -> None:
    """--lf runs the findings that are still there. If none is, it runs every rule."""
    assert dirty.pytest(LINT).status == 1
    again = dirty.pytest(LINT, "--lf")
    assert sorted(failed(again)) == sorted(findings(dirty))
    assert len(again.results) == 5
    (dirty.masterdir / "overlay" / dirty.top[1:] / "open._all").chmod(0o644)
    assert len(dirty.pytest(LINT, "--lf", "-n2").results) == 4
    for path in (dirty.masterdir / "overlay" / dirty.top[1:]).glob("[ot]*"):
        path.unlink()
    dirty.put("suid._all", mode=0o755)
    dirty.lines.pop()
    last = dirty.pytest(LINT, "--lf")
    assert last.status == 0, last.output
    assert last.count("passed") == len(RULES)


@pytest.mark.parametrize("lines", [["default_nodeset none"], ["ignore_group all-nodes"]], ids=str)
def test_no_node_has_to_be_selectable(clean: Site, lines: list[str]) -> None:
    """Lint needs neither a default selection nor an active node."""
    clean.lines += lines
    clean.nodes = {name: f"{groups} all-nodes" for name, groups in clean.nodes.items()}
    run = clean.pytest(LINT)
    assert run.status == 0, run.output


@ALONE_AND_XDIST
def test_nothing_is_started_and_nothing_but_lint_is_collected(clean: Site, workers: tuple[str, ...]) -> None:
    """Lint runs neither ssh nor ping, and collects no test file, not even a broken one."""
    programs = clean.directory / "bin"
    programs.mkdir()
    for name in ("ssh", "rsync", "ping", "scp"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} >>{clean.directory}/started\n")
        (programs / name).chmod(0o755)
    (clean.directory / "test_broken.py").write_text("import nothing_like_it\n")
    command = clean.command(LINT, "--hosts=node1", *workers)
    command[3:5] = []
    run = clean.pytest(command=command, environment={"PATH": str(programs)})
    assert run.status == 0, run.output
    assert run.count("passed") == len(RULES)
    assert not (clean.directory / "started").exists()


def test_fix_does_not_go_with_it(clean: Site) -> None:
    """The message has the reason."""
    run = clean.pytest(LINT, "--fix")
    assert run.status == 4
    assert "--fix does not go with --synctool-lint: it contacts no node, so nothing is changed" in run.output


def test_the_option_alone_asks_for_the_cluster(clean: Site) -> None:
    """The configuration is searched as in other runs. A wrong one is refused, with a message for every wrong line."""
    (clean.directory / "synctool.conf").write_text("masterdir masterdir\nnodes x\nnode node1\nnonsense\n")
    command = clean.command(LINT, configured=False)
    command[3:5] = []
    run = clean.pytest(command=command)
    assert run.status == 4
    for message in ("synctool.conf:2: unknown keyword 'nodes'", "synctool.conf:4: unknown keyword 'nonsense'"):
        assert message in run.output
    clean.configure()
    assert clean.pytest(command=command).status == 0
    (clean.masterdir / "overlay").rename(clean.masterdir / "moved")
    refused = clean.pytest(command=command)
    assert refused.status == 4
    assert "cannot read overlay/ in the masterdir" in refused.output


def test_the_message_is_in_one_line_where_pytest_shows_one(dirty: Site) -> None:
    """pytest shows one line with --tb=line, and in its summary."""
    run = dirty.pytest(LINT, "--tb=line", "-k", "world-writable")
    path = dirty.masterdir / "overlay" / dirty.top[1:] / "open._all"
    assert f"{path}:1: mode 0666 lets every user write: chmod o-w" in run.output
    assert re.search(r"^FAILED synctool-lint::world-writable::\S+ - mode 0666 lets", run.output, re.MULTILINE)


def test_without_the_option_no_lint_tests_are_collected(dirty: Site) -> None:
    """An audit collects entries only."""
    run = dirty.pytest("--collect-only", "-q")
    assert run.status == 0
    assert "synctool-lint" not in run.output


@ALONE_AND_XDIST
def test_reports_for_ci(dirty: Site, workers: tuple[str, ...]) -> None:
    """Each has the findings that failed, with file and line, and no finding that was left out."""
    names = ("--synctool-codequality=quality.json", "--synctool-summary=summary.md")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(dirty.directory)}
    run = dirty.pytest(LINT, *names, "-k", "not setuid", *workers, environment=environment)
    assert run.status == 1
    overlay = f"masterdir/overlay{dirty.top}"
    issues = json.loads((dirty.directory / "quality.json").read_text())
    places = [(each["check_name"], each["location"]["path"], each["location"]["lines"]["begin"]) for each in issues]
    assert places == [
        ("lint-unknown-group", f"{overlay}/typo._bacth", 1),
        ("lint-on-update-command", "synctool.conf", 3),
        ("lint-world-writable", f"{overlay}/open._all", 1),
    ]
    assert len({each["fingerprint"] for each in issues}) == 3
    summary = (dirty.directory / "summary.md").read_text()
    assert summary.startswith("## synctool lint: 3 findings\n")
    assert "| unknown-group | " in summary
    assert "setuid" not in summary
    commands = [line for line in run.output.splitlines() if line.startswith("::error ")]
    assert f"::error file={overlay}/typo._bacth,title=synctool::" in commands[0]
    assert "::error file=synctool.conf,line=3,title=synctool::" in commands[1]
    assert len(commands) == 3


def test_reports_for_ci_without_findings(clean: Site) -> None:
    quality, summary = clean.directory / "quality.json", clean.directory / "summary.md"
    summary.write_text("of an earlier step\n")
    run = clean.pytest(LINT, f"--synctool-codequality={quality}", f"--synctool-summary={summary}")
    assert run.status == 0, run.output
    assert json.loads(quality.read_text()) == []
    assert summary.read_text() == "of an earlier step\n## synctool lint: no findings\n\n"


def test_a_report_for_ci_that_cannot_be_written(clean: Site) -> None:
    run = clean.pytest(LINT, f"--synctool-codequality={clean.masterdir}")
    assert run.status == 1
    assert f"ERROR the report {clean.masterdir} could not be written: Is a directory" in run.output

"""The benchmark of the peers: what their outputs are read as, and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests_meta.bench import masterdir, report
from tests_meta.bench.measure import Aim, BenchError, Benchmark, Result, Sample, Sizes, middle, order, race, run
from tests_meta.bench.peers import ansible, bundlewrap, environment, pyinfra, testinfra
from tests_meta.bench.peers.race import PEERS
from tests_meta.bench.peers.repair import part
from tests_meta.bench.peers.task import Seen, spread

NOTHING = Seen(0, frozenset())

ANSIBLE = """
PLAY [all] *********************************************************************

TASK [ansible.builtin.copy] ****************************************************
ok: [node2] => (item=/site/a.conf)
--- before: /site/a.conf
+++ after: /srv/tree/site/a.conf
@@ -1 +1 @@
-ok: [node9] => (item=/site/a.conf)
+changed: [node9] => (item=/site/a.conf)

changed: [node1] => (item=/site/a.conf)
ok: [node1] => (item=/site/b.conf)
ok: [node2] => (item=/site/b.conf)

PLAY RECAP *********************************************************************
node1                      : ok=1    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
"""

BUNDLEWRAP = """\
✓ node1  site  directory:/site
✘ node1  site  file:/site/a.conf  \n\
│\x20
│ owner  daemon → root
╵
✓ node2  site  directory:/site
✓ node2  site  file:/site/a.conf
i ╭─────────────────┬───────┬──────┬─────┬─────────┬────────┬──────────╮
i │ node1           │     2 │    1 │   1 │       0 │  50.0% │       8s │
"""

PYINFRA = """\
--> Connecting to hosts...
    [node2] Connected
    [node1] Connected

--> Preparing operation files...
    Loading: deploy.py
    [node1] Ready: deploy.py
    [node2] Ready: deploy.py

--> Detected changes:
    Operation       Change             Conditional Change \x20
    /site           -                  -                  \x20
    /site/a.conf    1 (node1)          -                  \x20
    /site/bb.conf   2 (node1, node2)   -                  \x20
    /site/c.conf    -                  1 (node2)          \x20

    Detected changes may not include every change pyinfra will execute.
"""

TESTINFRA = """\
bringing up nodes...
..F.                                                                     [100%]
=========================== short test summary info ============================
PASSED test_entries.py::test_entry[ssh://node2-/site]
PASSED test_entries.py::test_entry[ssh://node1-/site]
PASSED test_entries.py::test_entry[ssh://node2-/site/a-b.conf]
FAILED test_entries.py::test_entry[ssh://node1-/site/a-b.conf] - AssertionError: assert 'daemon' == 'root'
1 failed, 3 passed in 1.00s
"""


def test_ansible() -> None:
    assert ansible.parse(ANSIBLE) == Seen(4, frozenset({("node1", "/site/a.conf")}))


def test_bundlewrap() -> None:
    assert bundlewrap.parse(BUNDLEWRAP) == Seen(4, frozenset({("node1", "/site/a.conf")}))


def test_pyinfra() -> None:
    drifted = {("node1", "/site/a.conf"), ("node1", "/site/bb.conf"), ("node2", "/site/bb.conf")}
    assert pyinfra.parse(PYINFRA) == Seen(8, frozenset(drifted | {("node2", "/site/c.conf")}))


def test_pyinfra_that_looks_for_no_changes() -> None:
    assert pyinfra.parse(re.sub(r"--> Detected(.|\n)*", "--> Skipping change detection\n", PYINFRA)) == NOTHING


def test_testinfra() -> None:
    assert testinfra.parse(TESTINFRA) == Seen(4, frozenset({("node1", "/site/a-b.conf")}))


@pytest.mark.parametrize("parse", [ansible.parse, bundlewrap.parse, pyinfra.parse, testinfra.parse])
@given(st.text())
def test_other_text_is_no_result(parse: Callable[[str], Seen], text: str) -> None:
    assert parse(text.replace("/", "")) == NOTHING


@given(st.lists(st.text(max_size=3), unique=True), st.integers(0, 30))
def test_spread(paths: list[str], number: int) -> None:
    found = spread(paths, number)
    assert len(found) == min(number, len(paths))
    assert [path for path in paths if path in found] == found  # each once, in their order


def test_spread_is_even() -> None:
    assert spread(list("abcdefghij"), 3) == ["a", "d", "g"]


def test_all_packages_of_the_peers_are_pinned() -> None:
    pinned = environment.packages(environment.REQUIREMENTS.read_text())
    assert {name for peer in PEERS for name in peer.packages} == set(pinned)
    assert [line for line in pinned.values() if not re.fullmatch(r"[\w-]+==[\d.]+", line)] == []
    assert environment.versions(["mitogen"]) == pinned["mitogen"].replace("==", " ")


def test_newer_versions_of_the_peers_are_named() -> None:
    listed = [
        {"name": "pyinfra", "version": "3.10.0", "latest_version": "3.11.0"},
        {"name": "setuptools", "version": "65.5.0", "latest_version": "80.0"},
    ]
    assert environment.newer(listed, ["pyinfra", "mitogen"]) == ["pyinfra 3.11.0 (3.10.0 is used)"]


def test_cost_is_of_one_entry_of_one_node() -> None:
    assert Sample(60.0, nodes=2, entries=100).cost == pytest.approx(0.3)
    assert Sample(60.0).cost == 60.0


def test_the_middle_keeps_the_share_of_the_work() -> None:
    assert middle([Sample(1.0, 10, 1, 2, 50), Sample(3.0, 30, 1, 2, 50)]) == Sample(2.0, 20, 1, 2, 50)


def _result(samples: Mapping[str, Sample], *aims: Aim) -> Result:
    by_name = {name: [sample] for name, sample in samples.items()}
    return Result("peers", "Others", "us", by_name, aims, ("A note.",), {"gone": "not installed"})


def _twenty_times(name: str) -> Aim:
    return Aim(f"{name} 20 times", 20.0, lambda medians: medians[name].cost / medians["us"].cost, at_least=True)


def test_ratios_are_of_the_same_work() -> None:
    result = _result(
        {
            "us": Sample(4.0, 40_000_000, 1, 32, 200),
            "slow": Sample(10.0, 80_000_000, 1, 8, 200),
            "slower": Sample(10.0, 80_000_000, 9, 2, 50),
        },
        *map(_twenty_times, ("slow", "slower", "gone")),
    )
    assert list(report.rows(result)) == [
        (
            "",
            "nodes x entries",
            "a node of 200 entries",
            "wall time",
            "fastest to slowest",
            "peak memory",
            "against us",
            "ssh logins per node",
        ),
        ("us", "32 x 200", "0.125 s", "4.00 s", "4.00 to 4.00 s", "40 MB", "1.00 (memory 1.00)", "1"),
        ("slow", "8 x 200", "1.25 s", "10.00 s", "10.00 to 10.00 s", "80 MB", "10.00", "1"),
        ("slower", "2 x 50", "20 s", "10.00 s", "10.00 to 10.00 s", "80 MB", "160.00", "9"),
    ]
    said = [
        "gone is left out: not installed",
        "Aim: slow 20 times: NOT met (10)",
        "Aim: slower 20 times: met (160)",
        "Aim: gone 20 times: not measured",
    ]
    assert [line.strip() for line in report.text(result).splitlines()[-4:]] == said
    page = report.markdown([result], [])
    assert [line for line in page.splitlines() if line.endswith(".") and line[:-1] in said] == [f"{x}." for x in said]
    assert "| slower | 2 x 50 | 20 s |" in page


def test_each_round_begins_with_another() -> None:
    assert [order(["a", "b", "c"], number) for number in (0, 1, 5)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
    ]


def test_the_pace_runs_before_each_of_the_others() -> None:
    assert order(["a", "b", "c"], 2, "b") == ["b", "c", "b", "a"]


def test_who_cannot_run_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = []

    @contextmanager
    def arena(directory: Path, sizes: Sizes) -> Iterator[str]:
        yield f"{directory.name} {sizes.audit_nodes}"

    def one(where: str) -> Sample:
        ran.append(where)
        return Sample(1.0)

    benchmark = Benchmark(
        "name", lambda sizes: "title", arena, {"a": one, "b": one}, "a", 2, left_out=lambda where: {"b": "no " + where}
    )
    result = race(benchmark, Sizes(audit_nodes=3), tmp_path / "there")
    assert (ran, dict(result.samples)) == (["there 3"] * 2, {"a": [Sample(1.0)] * 2})
    assert result.left_out == {"b": "no there 3"}
    assert "name: b is left out: no there 3" in capsys.readouterr().err


def test_a_status_that_means_drift(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo seen; exit 1"]
    assert run(argv, tmp_path, statuses=(0, 1)).output == b"seen\n"
    with pytest.raises(BenchError, match="ended with 1"):
        run(argv, tmp_path)


@pytest.mark.parametrize("number", [1, 21, 41, 60, 200, 500])
def test_a_part_has_the_directories_of_its_files(tmp_path: Path, number: int) -> None:
    material = masterdir.write(tmp_path, ["node1"], 200)
    paths = part(material, number)
    assert len(paths) == len(set(paths)) == min(number, 200)
    assert all(path.rpartition("/")[0] in {"", *paths} for path in paths)


@pytest.mark.parametrize("old", ["", "## B, 2 rounds\n\nold\n\n"])
def test_a_section_takes_its_place_on_the_page(old: str) -> None:
    """Among the others in order; sections without a title of these come last."""
    page = f"# Head\n\n## A, 1 round\n\na\n\n{old}## C, 3 rounds\n\nc\n\n## Scaling\n\ns\n"
    new = report.with_section(page, "## B, 5 rounds\n\nnew", ["A", "B", "C"])
    assert new == ("# Head\n\n## A, 1 round\n\na\n\n## B, 5 rounds\n\nnew\n\n## C, 3 rounds\n\nc\n\n## Scaling\n\ns\n")

"""The problems of the configuration, of attributes.yaml, of waivers.yaml and of the masterdir, in one error."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.common.trust import Trust
from pytest_synctool.config.included_nodes import refuse_to_print
from pytest_synctool.errors import SynctoolError
from pytest_synctool.repository import resolution

CONF = "masterdir master\nnode node1 batch\n"
ATTRIBUTES = "- path: /etc/f\n  groups: bacth\n  mode: 99\n"
WAIVERS = "- path: /etc/f\n  nodes: [node1, nodd1]\n  reason: ''\n  expires: tomorrow\n"


def problems(top: Path, **files: str) -> list[str]:
    """Write the files, read all, and return the lines of the error, without the path of the directory."""
    master = top / "master"
    (master / "overlay").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = (master if name in ("attributes", "waivers") else top) / name.replace("_", ".")
        (path if path.suffix else path.with_suffix(".yaml")).write_text(text)
    conf = next(top.glob("synctool.*"))
    trust = Trust.of_caller()
    with pytest.raises(SynctoolError) as caught:
        resolution.load(resolution.load_config(conf, trust, trust, refuse_to_print))
    return str(caught.value).replace(f"{top}/", "").split("\n")


def places(lines: list[str]) -> list[str]:
    """Return the file and line of each problem."""
    return [":".join(line.split(":")[:2]) for line in lines]


RULE_PLACES = [
    *("master/attributes.yaml:2", "master/attributes.yaml:3"),
    *("master/waivers.yaml:2", "master/waivers.yaml:3", "master/waivers.yaml:4"),
]


def test_both_files_of_rules_and_the_masterdir(tmp_path: Path) -> None:
    (tmp_path / "master/overlay/x").mkdir(parents=True)
    (tmp_path / "master/overlay/x/..._all").touch()
    lines = problems(tmp_path, synctool_conf=CONF, attributes=ATTRIBUTES, waivers=WAIVERS)
    assert places(lines[:-1]) == RULE_PLACES
    assert "cannot be a destination" in lines[-1]


@pytest.mark.parametrize("line", ["num_proc many", "nonsense here", "node node2 interfac:x", "on_update x y"])
def test_the_configuration_too(tmp_path: Path, line: str) -> None:
    """Names are judged: none of these lines can hide a node or group."""
    (tmp_path / "more.conf").write_text("\nssh_cmd '\n")
    conf = f"{CONF}include more.conf\n{line}\n"
    lines = problems(tmp_path, synctool_conf=conf, attributes=ATTRIBUTES, waivers=WAIVERS)
    assert places(lines) == ["synctool.conf:4", "more.conf:2", *RULE_PLACES]


@pytest.mark.parametrize(
    "line",
    [
        *("nod nodd1 bacth", "node nodd[ bacth", "node no?e bacth", "include gone.conf", "gruop batch bacth"),
        *("node all bacth", "node node1 bacth", "group a b\ngroup a bacth", "include broken.yaml"),
    ],
)
def test_names_that_an_invalid_line_may_define_are_not_judged(tmp_path: Path, line: str) -> None:
    """A problem that only follows from another one misleads. All other problems are reported."""
    (tmp_path / "broken.yaml").write_text("nodes: {nodd1: [bacth")
    lines = problems(tmp_path, synctool_conf=f"{CONF}{line}\n", attributes=ATTRIBUTES, waivers=WAIVERS)
    assert not any("unknown" in each for each in lines[1:])
    assert places(lines)[-3:] == ["master/attributes.yaml:3", "master/waivers.yaml:3", "master/waivers.yaml:4"]


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("num_proc: many", True),
        ("bogus: {a: b}", True),
        ("node: {nodd1: [bacth]}", False),
        ("groups: [nodd1, bacth]", False),
        ("nodes: {nodd1: [bacth]}", False),
        ("include: gone.yaml", False),
    ],
)
def test_the_other_spelling(tmp_path: Path, text: str, judged: bool) -> None:
    conf = f"masterdir: master\nnodes: {{node1: [batch]}}\n{text}\n"
    lines = problems(tmp_path, synctool_yaml=conf, attributes=ATTRIBUTES, waivers=WAIVERS)
    assert places(lines)[0] == "synctool.yaml:3"
    names = {"master/attributes.yaml:2", "master/waivers.yaml:2"}
    assert places(lines)[1:] == [place for place in RULE_PLACES if judged or place not in names]


@pytest.mark.parametrize("line", ["masterdir gone", ""])
def test_without_a_masterdir_nothing_else_is_read(tmp_path: Path, line: str) -> None:
    lines = problems(tmp_path, synctool_conf=f"{line}\nnode node1\n", attributes=ATTRIBUTES)
    assert len(lines) == 1
    assert "masterdir" in lines[0]


def test_files_that_are_no_yaml_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "master/waivers.yaml").mkdir(parents=True)
    lines = problems(tmp_path, synctool_conf=f"{CONF}num_proc 0\n", attributes="- {path: [}")
    assert [line.partition(": ")[0] for line in lines] == [
        "synctool.conf:3",
        "master/attributes.yaml:1",
        "master/waivers.yaml",
    ]


def test_bytes_that_are_not_utf8_have_a_line(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    (tmp_path / "master/attributes.yaml").write_bytes(b"# one\n# gr\xfc\xdfe\n")
    assert places(problems(tmp_path, synctool_conf=f"{CONF}num_proc 0\n")) == [
        "synctool.conf:3",
        "master/attributes.yaml:2",
    ]

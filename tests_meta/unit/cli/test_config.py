"""`synctool-config`: nodes, groups and settings, and the findings of lint as lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.cli import config as command
from pytest_synctool.config import load
from pytest_synctool.config.settings import settings
from pytest_synctool.config.statements import SHAPES

CONF = """\
masterdir master
node node1 somegroup rack1 ipaddress:10.0.0.5 hostname:host5
node node2 compute rack1 ipaddress:fe80::1
node node10 batch rack2 rsync:no
node node4 batch sched rack3 connection:docker://web
node old1 retired rack2
group compute batch
ignore_node node4
ignore_group retired
ignore *.swp .git
num_proc 7
ssh_cmd ssh -F 'a file'
symlink_mode 0755
on_update /etc/f reload it
on_update /etc/g true
default_nodeset node1 node2
"""

Ended = tuple[int, list[str], list[str]]
Config = Callable[..., Ended]


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Config:
    """Return a function that runs the command beside the configuration.

    It returns the exit status and the lines of standard output and standard error.
    """
    (tmp_path / "master/overlay").mkdir(parents=True)
    (tmp_path / "synctool.conf").write_text(CONF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCTOOL_CONF", raising=False)

    def run(*arguments: str) -> Ended:
        status = command.main(arguments)
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-l", "node1 node2 node10 node4 (ignored) old1 (ignored)"),
        ("-l -f", "node1 node2 node10"),
        ("-l -g batch", "node2 node10 node4 (ignored)"),
        ("-l -n node10,node1", "node1 node10"),
        ("-l -n node1 -g rack3", "node1 node4 (ignored)"),
        ("-n node2", "node2 compute batch rack1 all"),
        ("--node=node[1-2]", "node1 somegroup rack1 all node2 compute batch"),
        ("-n old1", "old1 rack2 all"),
        ("-g batch", "node2 node10 node4 (ignored)"),
        ("-g batch -f", "node2 node10"),
        ("-g batch,somegroup --group rack3", "node1 node2 node10 node4 (ignored)"),
        ("-g rack[1-2]", "node1 node2 node10 old1 (ignored)"),
        ("-g compute,node1", "node1 node2"),
        ("-g retired", ""),
        ("-g none", ""),
    ],
)
def test_names(config: Config, arguments: str, expected: str) -> None:
    """One name per line: nodes in the order of the configuration, groups of a node by importance."""
    status, out, err = config(*arguments.split())
    assert (status, [line.replace(" (", "_(") for line in out], err) == (0, expected.replace(" (", "_(").split(), [])


def test_groups(config: Config) -> None:
    groups = {"somegroup", "rack1", "compute", "batch", "rack2", "sched", "rack3", "retired", "all"}
    status, out, err = config("-L")
    assert (status, {line.removesuffix(" (ignored)") for line in out}, len(out), err) == (0, groups, len(groups), [])
    assert [line for line in out if " " in line] == ["retired (ignored)"]
    assert set(config("-L", "-f")[1]) == groups - {"retired"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-i -f", ["node1 10.0.0.5", "node2 fe80::1", "node10 node10"]),
        ("-l -i -n node2", ["node2 fe80::1"]),
        ("-H -n node1,node10", ["node1 host5", "node10 node10"]),
        ("-r -g batch", ["node2 yes", "node10 no", "node4 yes (ignored)"]),
        ("-s -n node[1-2],node4", ["node1 ssh://10.0.0.5", "node2 ssh://[fe80::1]", "node4 docker://web (ignored)"]),
        ("-g somegroup -s -r --hostname --ipaddress", ["node1 10.0.0.5 host5 yes ssh://10.0.0.5"]),
    ],
)
def test_columns(config: Config, arguments: str, expected: list[str]) -> None:
    """Columns have a fixed order. The order of the options does not matter."""
    assert config(*arguments.split()) == (0, expected, [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-m", ["MASTER"]),
        ("--masterdir", ["MASTER"]),
        ("-S masterdir", ["MASTER"]),
        ("-S num_proc", ["7"]),
        ("--setting=ssh_cmd", ["ssh -F 'a file'"]),
        ("-C ssh", ["ssh -F 'a file'"]),
        ("--command rsync", ["rsync"]),
        ("-C synctool", []),
        ("-C ssh,rsync,ping", ["ssh -F 'a file'", "rsync"]),
        ("-p", ["7"]),
        ("--logfile", []),
        ("-P", []),
        (
            "-d",
            [
                "masterdir MASTER",
                "overlaydir MASTER/overlay",
                "deletedir MASTER/delete",
                "tasksdir MASTER/tasks",
                "scriptdir MASTER/scripts",
            ],
        ),
        ("--prefix", [sys.prefix]),
        ("-S logfile", []),
        ("-S require_extension", ["yes"]),
        ("-S ignore_dotfiles", ["no"]),
        ("-S ignore", ["*.swp", ".git"]),
        ("-S ignore_group", ["retired"]),
        ("-S symlink_mode", ["0755"]),
        ("-S on_update", ["/etc/f reload it", "/etc/g true"]),
        ("-S default_nodeset", ["node1,node2"]),
    ],
)
def test_settings(config: Config, tmp_path: Path, arguments: str, expected: list[str]) -> None:
    lines = [line.replace("MASTER", str(tmp_path / "master")) for line in expected]
    assert config(*arguments.split()) == (0, lines, [])


def test_every_keyword_is_a_setting(config: Config, tmp_path: Path) -> None:
    """Keywords of nodes, groups and includes are the exceptions."""
    names = set(settings(load(tmp_path / "synctool.conf")))
    assert names == set(SHAPES) - {"node", "group", "ignore_node", "include", "include_nodes"}


def test_json(config: Config, tmp_path: Path) -> None:
    """The JSON has everything, in the order of the configuration."""
    status, out, err = config("--json")
    assert (status, err) == (0, [])
    value = json.loads("\n".join(out))
    assert list(value) == ["path", "nodes", "groups", "settings"]
    assert list(value["nodes"]) == ["node1", "node2", "node10", "node4", "old1"]
    assert value["nodes"]["node4"] == {
        "groups": ["node4", "batch", "sched", "rack3", "all"],
        "address": "node4",
        "hostname": "node4",
        "connection": "docker://web",
        "rsync": True,
        "ignored": True,
        "origin": [f"{tmp_path / 'synctool.conf'}:5"],
    }
    assert value["groups"]["batch"] == ["node2", "node10", "node4"]
    assert value["settings"]["masterdir"] == str(tmp_path / "master")
    assert value["settings"]["ssh_cmd"] == ["ssh", "-F", "a file"]
    assert value["settings"]["num_proc"] == 7
    assert value["settings"]["logfile"] is None


def test_check(config: Config, tmp_path: Path) -> None:
    """A finding of lint is a line that ends with its rule."""
    (tmp_path / "master/overlay/good._all").touch()
    conf = "masterdir master\nnode node1 batch\n"
    (tmp_path / "synctool.conf").write_text(conf)
    assert config("--check") == (0, [], [])
    (tmp_path / "synctool.conf").write_text(conf + "group wn batch\n")
    (tmp_path / "master/overlay/bad._bath").touch()
    (tmp_path / "master/overlay/open._all").touch()
    (tmp_path / "master/overlay/open._all").chmod(0o666)
    status, out, err = config("--check")
    assert (status, err) == (1, [])
    assert [(line.partition(": ")[0], line.rpartition(" ")[2]) for line in out] == [
        ("master/overlay/bad._bath", "[unknown-group]"),
        ("synctool.conf:3", "[empty-group]"),
        ("master/overlay/open._all", "[world-writable]"),
    ]


def test_check_of_an_unusable_repository(config: Config, tmp_path: Path) -> None:
    (tmp_path / "master/overlay/.._all").touch()
    assert config("--check")[:2] == (2, [])
    (tmp_path / "synctool.conf").write_text("masterdir master\nnod node1\n")
    status, out, err = config("--check")
    assert (status, out) == (2, [])
    assert f"{tmp_path / 'synctool.conf'}:2: unknown keyword 'nod' (did you mean 'node'?)" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to print: expected -l, -L, -n, -g"),
        ("-f", "nothing to print: expected -l, -L, -n, -g"),
        ("-l -L", "-L lists all groups: it goes with -f only"),
        ("-L -n node1", "-L lists all groups: it goes with -f only"),
        ("-n node1 -g batch", "-n prints the groups of nodes, -g the nodes of groups"),
        ("-m -l", "--masterdir goes with no other option but -c"),
        ("--json -n node1", "--json goes with no other option but -c"),
        ("--check -f", "--check goes with no other option but -c"),
        ("--to-yaml --scan-attributes", "not allowed with argument --to-yaml"),
        ("-m -S num_proc", "not allowed with argument -m/--masterdir"),
        ("-l node1", "unrecognized arguments: node1"),
        ("-n nod1", "-n: no such node or group 'nod1' (did you mean 'node1'?)"),
        ("-g bach", "-g: no such group 'bach' (did you mean 'batch'?)"),
        ("-g rack[1-", "-g: 'rack[1-': expected ranges in brackets"),
        ("-S numproc", "-S: no such setting 'numproc' (did you mean 'num_proc'?): masterdir, layout, "),
        ("-C shs", "-C: no such setting 'shs' (did you mean 'ssh'?): ssh, scp, rsync, diff, synctool"),
    ],
)
def test_mistakes(config: Config, arguments: str, message: str) -> None:
    status, out, err = config(*arguments.split())
    assert (status, out) == (2, [])
    assert message in err[-1]

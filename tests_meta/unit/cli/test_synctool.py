"""The output of the commands, in the documentation's words, and their exit statuses. None contacts a node."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pytest_synctool import __version__
from pytest_synctool.cli import config as config_command
from pytest_synctool.cli import synctool as synctool_command
from pytest_synctool.config import find, load
from pytest_synctool.repository import attributes

from tests_meta.unit.helpers import ODD_NAMES
from tests_meta.unit.repository.test_resolution import plant

CONF = """\
masterdir master
node node1 somegroup rack1
node node2 compute rack1
node node10 batch rack2
node node4 batch sched rack3
node old1 retired rack2
group compute batch
ignore_node node4
ignore_group retired
ignore *.swp
"""
ACTIVE = ["node1", "node2", "node10"]
SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Ended:
    """The result of a command."""

    status: int
    out: list[str]
    err: list[str]


class Cluster:
    """A directory with synctool.conf and masterdir, in which commands run in this process."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.master = directory / "master"
        self.capsys = capsys

    def synctool(self, *arguments: str) -> Ended:
        """Run `synctool`."""
        return self._ended(synctool_command.main(arguments))

    def config(self, *arguments: str) -> Ended:
        """Run `synctool-config`."""
        return self._ended(config_command.main(arguments))

    def _ended(self, status: int) -> Ended:
        out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        return Ended(status, out.splitlines(), [each for each in err.splitlines() if each not in self.remark])

    @property
    def remark(self) -> list[str]:
        """The lines in which -v may name the configuration. What they are is tested once."""
        return [f"configuration: {self.directory / name}.conf" for name in ("synctool", "bad")]


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Some nodes, two of them ignored, and an empty overlay. A command that starts a process fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCTOOL_CONF", raising=False)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    (tmp_path / "synctool.conf").write_text(CONF)
    (tmp_path / "master/overlay").mkdir(parents=True)
    return Cluster(tmp_path, capsys)


def chosen(ended: Ended) -> list[str]:
    """Return the nodes in the output of -r."""
    assert ended.status == 0, ended.err
    return [line.partition(":")[0] for line in ended.out]


class TestReference:
    """`synctool -r`."""

    def test_the_documentation_says(self, cluster: Cluster) -> None:
        """`synctool -q -n node1 -r /etc/resolv.conf`"""
        plant(cluster.master, "overlay/etc/resolv.conf._all", "overlay/etc/resolv.conf._somegroup")
        ended = cluster.synctool("-q", "-n", "node1", "-r", "/etc/resolv.conf")
        assert ended == Ended(0, ["node1: /etc/resolv.conf._somegroup"], [])

    def test_all_nodes_in_the_order_of_the_configuration(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all", "overlay/f._node2", "overlay/d._batch/g._all")
        ended = cluster.synctool("-r", "/f", "--ref=/d", "-r", "/f")
        expected = [
            "node1: /f._all",
            "node1: /d is not in the overlay tree",
            "node1:     checking $masterdir/overlay/d._batch",
            "node1:     skipping $masterdir/overlay/d._batch, it is not one of my groups",
            "node2: /f._node2",
            "node2: /d._batch",
            "node10: /f._all",
            "node10: /d._batch",
        ]
        assert ended == Ended(0, expected, [])

    def test_not_managed(self, cluster: Cluster) -> None:
        assert cluster.synctool("-n", "node1", "-r", "/etc/foo") == Ended(
            1, ["node1: /etc/foo is not in the overlay tree"], []
        )

    def test_one_of_several_on_no_node(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all")
        assert cluster.synctool("-r", "/f", "-r", "/g").status == 1

    @pytest.mark.parametrize(
        ("tree", "path", "reasons"),
        [
            (
                "overlay/f",
                "/f",
                ["skipping $masterdir/overlay/f, no group extension (expected a name like fstab._all)"],
            ),
            ("overlay/x.swp", "/x.swp", ["ignoring $masterdir/overlay/x.swp, 'ignore *.swp' (CONF:10)"]),
            ("overlay/d._bath/f._all", "/d/f", ["skipping $masterdir/overlay/d._bath, unknown group 'bath' HINT"]),
            ("delete/f._all", "/f", ["checking $masterdir/delete/f._all", "/f must not exist"]),
            ("tasks/f._all", "/f", []),
        ],
    )
    def test_why_not(self, cluster: Cluster, tree: str, path: str, reasons: list[str]) -> None:
        plant(cluster.master, tree)
        ended = cluster.synctool("-q", "-n", "node2", "-r", path)
        conf, hint = str(cluster.directory / "synctool.conf"), "(did you mean 'batch'?)"
        remarks = [f"node2:     {line.replace('CONF', conf).replace('HINT', hint)}" for line in reasons]
        assert ended == Ended(1, [f"node2: {path} is not in the overlay tree", *remarks], [])

    @pytest.mark.parametrize(
        "path",
        ["/etc/f", "//etc/f", "///etc/f", "/etc//f", "/etc/f/", "/etc/f//", "/etc/./f", "/etc/d/../f", "/../etc/f"],
    )
    def test_spellings_of_a_path(self, cluster: Cluster, path: str) -> None:
        plant(cluster.master, "overlay/etc/f._all")
        assert cluster.synctool("-n", "node1", "-r", path) == Ended(0, ["node1: /etc/f._all"], [])

    @pytest.mark.parametrize("path", ["etc/f", "", ".", "~/f", "f\n"])
    def test_relative_paths(self, cluster: Cluster, path: str) -> None:
        ended = cluster.synctool("-r", path)
        assert (ended.status, ended.out) == (2, [])
        assert "-r" in ended.err[-1]
        assert re.search("expected a (file|path) like /etc/fstab", ended.err[-1])

    @pytest.mark.parametrize(
        "name",
        [
            *("/etc/f._batch", "overlay/etc/f._batch", "overlay//etc/f._batch", "$masterdir/overlay/etc/f._batch"),
            *("MASTER/overlay/etc/f._batch", "etc/f._batch"),
        ],
    )
    def test_names_of_the_source(self, cluster: Cluster, name: str) -> None:
        """As -r prints it, or as it is spelled in the masterdir."""
        plant(cluster.master, "overlay/etc/f._all", "overlay/etc/f._batch", "overlay/etc/g._all")
        name = name.replace("MASTER", str(cluster.master))
        assert cluster.synctool("-n", "node2", "-r", name) == Ended(0, ["node2: /etc/f._batch"], [])
        (cluster.master / "overlay/etc/f._batch").unlink()
        assert cluster.synctool("-n", "node2", "-r", name).status in (1, 2)

    def test_the_same_source_once(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/etc/f._all", "overlay/etc/f._node2")
        ended = cluster.synctool("-a", "-r", "/etc/f")
        assert ended == Ended(0, ["node[1,10]:", "    /etc/f._all", "node2:", "    /etc/f._node2"], [])

    def test_a_slip_is_one_line(self, cluster: Cluster) -> None:
        """However many nodes there are."""
        plant(cluster.master, "overlay/etc/motd._all")
        line = "node[1-2,10]: /etc/motdd is not in the overlay tree (did you mean '/etc/motd'?)"
        assert cluster.synctool("-r", "/etc/motdd") == Ended(1, [line], [])

    def test_the_root(self, cluster: Cluster) -> None:
        assert cluster.synctool("-n", "node1", "-r", "/").out == ["node1: / is not in the overlay tree"]

    def test_verbose(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all", "overlay/f._batch", "overlay/f.post", "overlay/g._all")
        (cluster.master / "attributes.yaml").write_text('- {path: /f, mode: "0600"}\n')
        assert cluster.synctool("-v", "-n", "node2", "-r", "/f").out == [
            "node2: /f._batch",
            "node2:     checking $masterdir/overlay/f._all",
            "node2:     overridden by $masterdir/overlay/f._batch",
            "node2:     checking $masterdir/overlay/f._batch",
            "node2:     with mode 0600 by attributes.yaml:1",
            "node2:     checking $masterdir/overlay/f.post",
            "node2:     to be run after /f was changed",
        ]

    def test_odd_names(self, cluster: Cluster) -> None:
        for name in map(os.fsdecode, ODD_NAMES):
            (cluster.master / "overlay" / f"{name}._all").touch()
            for destination, status in ((f"/{name}", 0), (f"/no/{name}", 1)):
                ended = cluster.synctool("-n", "node1", f"-r{destination}")
                assert (ended.status, len(ended.out), ended.err) == (status, 1, [])
                assert ended.out[0].isprintable()

    def test_a_skipped_source_is_a_warning(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all", "overlay/g", "delete/f._all")
        warnings = [
            "WARNING overlay/g: skipped, no group extension (expected a name like fstab._all)",
            "WARNING delete/f._all: skipped, overlay/f._all is for the same destination",
        ]
        assert cluster.synctool("-r", "/f", "-n", "node1").err == warnings
        assert cluster.synctool("-r", "/f", "-n", "node1", "-q").err == []


class TestSelection:
    """-n, -g, -x and -X: the documentation's `synctool -g batch,sched -X rack8`."""

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("", "node1 node2 node10"),
            ("-n node2", "node2"),
            ("-n node2,node1", "node1 node2"),
            ("-n node2 --node node1", "node1 node2"),
            ("-n node[1-2,10]", "node1 node2 node10"),
            ("-n node4", "node4"),
            ("-n node[1-4] -x node3,node1", None),
            ("-n node[1-2],node4 -x node1", "node2 node4"),
            ("-n old1", "old1"),
            ("-g batch", "node2 node10"),
            ("-g batch,somegroup", "node1 node2 node10"),
            ("-g batch --group=rack1", "node1 node2 node10"),
            ("-g rack[1-2]", "node1 node2 node10"),
            ("-g all", "node1 node2 node10"),
            ("-g node1", "node1"),
            ("-g compute", "node2"),
            ("-g batch -n node4", "node2 node10 node4"),
            ("-g rack1 -X batch", "node1"),
            ("-g batch,somegroup -X rack2", "node1 node2"),
            ("-x node1", "node2 node10"),
            ("-x node[1-2] --exclude=node4", "node10"),
            ("--exclude-group rack[1,3]", "node10"),
            ("-X retired", "node1 node2 node10"),
            ("-X none", "node1 node2 node10"),
            ("-n node1,node4 -X rack3", "node1"),
            ("-n node1,node4 -X batch", "node1"),
            ("-n node1,node4 -x node4", "node1"),
        ],
    )
    def test_nodes(self, cluster: Cluster, arguments: str, expected: str | None) -> None:
        """An exclusion wins, even over an ignored node that -n names."""
        plant(cluster.master, "overlay/f._all")
        if expected is None:
            assert cluster.synctool("-r", "/f", *arguments.split()).status == 2
        else:
            assert set(chosen(cluster.synctool("-r", "/f", *arguments.split()))) == set(expected.split())

    def test_order(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all")
        assert chosen(cluster.synctool("-r/f", "-n", "node10,node2,node1,node4")) == [
            "node1",
            "node2",
            "node10",
            "node4",
        ]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-n", "nod1"], "-n: no such node or group 'nod1' (did you mean 'node1'?)"),
            (["-g", "bach"], "-g: no such group 'bach' (did you mean 'batch'?)"),
            (["-x", "nod1"], "-x: no such node or group 'nod1' (did you mean 'node1'?)"),
            (["-X", "bach"], "-X: no such group 'bach' (did you mean 'batch'?)"),
            (["-g", "batch", "-g", "rack[1-9"], "-g: 'rack[1-9': expected ranges in brackets, like n[001-100]"),
            (["-n", "node1,,node2"], "-n: an empty term; expected a node, a range or a group between the commas"),
            (["-n", ""], "-n: an empty term; expected a node, a range or a group between the commas"),
            (["-g", "rack3"], "-g: 'rack3' matches only ignored nodes of CONF"),
            (["-g", "none"], "-g: group 'none' has no nodes: it is for files that no node gets"),
            (["-n", "node1,none"], "-n: group 'none' has no nodes: it is for files that no node gets"),
            (["-n", "node1", "-x", "node1"], "-x: no node is left"),
            (["-X", "all"], "-X: no node is left"),
        ],
    )
    def test_mistakes(self, cluster: Cluster, arguments: list[str], message: str) -> None:
        expected = message.replace("CONF", str(cluster.directory / "synctool.conf"))
        for command in (["-r", "/f"], ["-v"], ["--manifest"]):
            assert cluster.synctool(*command, *arguments) == Ended(2, [], [expected])

    @pytest.mark.parametrize("name", ["\x1b[31m", "\udcff", "a\rb"])
    def test_odd_names_in_messages(self, cluster: Cluster, name: str) -> None:
        ended = cluster.synctool("-v", "-n", name)
        assert (ended.status, ended.out, len(ended.err)) == (2, [], 1)
        assert ended.err[0].isprintable()

    def test_default_nodeset(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._all")
        conf = cluster.directory / "synctool.conf"
        conf.write_text(f"{CONF}default_nodeset batch\n")
        assert chosen(cluster.synctool("-r", "/f")) == ["node2", "node10"]
        assert chosen(cluster.synctool("-r", "/f", "-n", "node1")) == ["node1"]
        conf.write_text(f"{CONF}default_nodeset none\n")
        ended = cluster.synctool("-r", "/f")
        assert ended.status == 2
        assert ended.err[0].endswith("name some with -n")


class TestManifest:
    """`synctool --manifest`."""

    def manifest(self, cluster: Cluster, *arguments: str) -> Mapping[str, Mapping[str, object]]:
        """Return the printed JSON."""
        ended = cluster.synctool("--manifest", *arguments)
        assert ended.status == 0, ended.err
        value: Mapping[str, Mapping[str, object]] = json.loads("\n".join(ended.out))
        return value

    def test_every_node(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/f._batch")
        manifest = self.manifest(cluster)
        assert list(manifest) == ["node1", "node2", "node10", "node4", "old1"]
        assert [name for name, node in manifest.items() if "ignored" in node] == ["node4", "old1"]
        assert [name for name, node in manifest.items() if node["overlay"]] == ["node2", "node10", "node4"]

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("-n node4,node1", "node1 node4"),
            ("-g batch", "node2 node10"),
            ("-x node1", "node2 node10 node4 old1"),
            ("-X batch", "node1 old1"),
            ("-X retired", "node1 node2 node10 node4 old1"),
        ],
    )
    def test_narrowed(self, cluster: Cluster, arguments: str, expected: str) -> None:
        assert list(self.manifest(cluster, *arguments.split())) == expected.split()

    def test_default_nodeset_does_not_narrow(self, cluster: Cluster) -> None:
        (cluster.directory / "synctool.conf").write_text(f"{CONF}default_nodeset none\n")
        assert len(self.manifest(cluster)) == 5

    def test_warnings_are_kept_apart(self, cluster: Cluster) -> None:
        plant(cluster.master, "overlay/g")
        assert self.manifest(cluster)
        assert cluster.synctool("--manifest").err[0].startswith("WARNING overlay/g: skipped")
        assert cluster.synctool("--manifest", "-q").err == []


class TestMistakes:
    """Exit status 2, and a message that names the mistake."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--manifest", "-r", "/f"], "--manifest does not go with -r: a manifest has every destination"),
            (["--manifest", "-v"], "--manifest does not go with -v: remarks are not JSON"),
            (["--reference", "/f", "-f"], "-f does not go with -r, which contacts no node"),
            (["--manifest", "-a"], "-a does not go with --manifest, which contacts no node"),
            (["--restore", "-f"], "--restore needs the names of nodes: -n or -g (-g all: every node)"),
            (["-d", "/f", "--no-saved"], "--no-saved needs -f: nothing else replaces files"),
            (["--ask"], "--ask needs -f: without it nothing is changed"),
            (["-f", "--ask", "-a"], "-a does not go with --ask: it asks about the changes of -f alone"),
            (
                ["-f", "--ask", "--batch", "2"],
                "--batch does not go with --ask: the answers decide when a node is repaired",
            ),
            (["-e", "-t"], "-t does not go with -e, which only erases old versions"),
            (["-z", "0"], "argument -z/--zzz: expected a number from 1 to 999999, not '0'"),
            (["-f", "--max-fail-nodes", "1"], "--max-fail-nodes needs --batch: without it every repair begins at once"),
            (
                ["-f", "--batch", "0"],
                "argument --batch: expected a number of nodes from 1, or a percentage from 1% to 100%, not '0'",
            ),
            (["--no-saved"], "--no-saved needs -f: nothing else replaces files"),
            (["-s", "batch"], "-s needs -u: it is the group extension of an upload"),
            (["--show-sensitive"], "--show-sensitive needs -d, --render or --consensus"),
            (["--consensus", "/f", "-f"], "-f does not go with --consensus: one thing at a time"),
            (["--consensus", "/f", "--unmanaged"], "--unmanaged does not go with --consensus: one thing at a time"),
            (["--unmanaged", "--manifest"], "--manifest does not go with --unmanaged: one thing at a time"),
            (["--consensus", "f"], "argument --consensus: expected an absolute path like /etc/fstab, not 'f'"),
            *(
                (
                    [f"--unmanaged={name}"],
                    "argument --unmanaged: expected a directory on the nodes like /etc, without spaces and patterns, "
                    f"not {name!r}",
                )
                for name in ("etc", "", "/a b", "/etc/*", "/$(x)", "/a\nb")
            ),
            *(
                (
                    ["-f", f"--saved-dir={name}"],
                    f"argument --saved-dir: expected a directory on the nodes like /var/lib/saved, not {name!r}",
                )
                for name in ("x", "", "/", "//", "/a/..", "/a\nb")
            ),
            (["-1", ""], "argument -1/--single: expected a file like /etc/fstab, not an empty name"),
            (["-p", "0"], "argument -p/-N/--numproc: expected a number from 1 to 999999, not '0'"),
            (
                ["--check-update", "-n", "node1"],
                "--check-update does not go with -n, -g, -x and -X: it is about no node",
            ),
            (["--download", "-X", "batch"], "--download does not go with -n, -g, -x and -X: it is about no node"),
            (["-diff", "/f"], "unrecognized arguments: /f (did you mean '--diff'?)"),
            (["-fix"], "argument -f/--fix: ignored explicit argument 'ix' (did you mean '--fix'?)"),
            (["--bogus"], "unrecognized arguments: --bogus"),
            (["-v", "stray"], "unrecognized arguments: stray"),
            (["--man"], "unrecognized arguments: --man"),
            (["-r"], "argument -r/--ref/--reference: expected one argument"),
        ],
    )
    def test_options(self, cluster: Cluster, arguments: list[str], message: str) -> None:
        ended = cluster.synctool(*arguments)
        assert ended == Ended(2, [], [f"synctool: error: {message}"])

    @pytest.mark.parametrize("command", [Cluster.synctool, Cluster.config])
    def test_configurations(self, cluster: Cluster, command: Callable[..., Ended]) -> None:
        """Each problem is one line."""
        action = "-v" if command is Cluster.synctool else "-l"
        assert command(cluster, action, "-c", "gone.conf").err == [
            f"{cluster.directory / 'gone.conf'}: no such file (named by -c)"
        ]
        assert command(cluster, action, "--conf=") == Ended(2, [], ["-c: expected a file, not an empty name"])
        bad = cluster.directory / "bad.conf"
        bad.write_text("masterdir master\nnod node1\nnode node2\nnode node2\n")
        ended = command(cluster, action, "--conf=bad.conf")
        assert (ended.status, ended.out) == (2, [])
        assert [line.partition(" ")[0] for line in ended.err] == [f"{bad}:2:", f"{bad}:4:"]
        (cluster.directory / "synctool.conf").unlink()
        ended = command(cluster, action)
        assert ended.status == 2
        assert str(cluster.directory / "synctool.conf") in ended.err[0]

    def test_the_default_directory_comes_before_the_current_one(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Root runs commands from anywhere. -v tells which file was used; pytest begins with its directory."""
        default = tmp_path_factory.mktemp("default")
        (default / "master/overlay").mkdir(parents=True)
        (default / "synctool.conf").write_text("masterdir master\nnode installed\n")
        monkeypatch.setattr("pytest_synctool.config.DEFAULT_DIRECTORY", default)
        assert cluster.config("-l").out == ["installed"]
        assert cluster.synctool("-v", "-r", "/f").err == [f"configuration: {default / 'synctool.conf'}"]
        assert cluster.config("-l", "-c", "synctool.conf").out[0] == "node1"
        assert find(None, None, {}, cluster.directory) == cluster.directory / "synctool.conf"

    def test_the_variable_and_the_option_name_a_configuration(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("variable", "option"):
            (cluster.directory / f"{name}.conf").write_text(f"masterdir master\nnode {name}\n")
        monkeypatch.setenv("SYNCTOOL_CONF", "variable.conf")
        assert cluster.config("-l").out == ["variable"]
        assert cluster.config("-l", "-c", "option.conf").out == ["option"]

    @pytest.mark.parametrize("arguments", [["-v"], ["-r", "/f"], ["--manifest"]])
    def test_repositories(self, cluster: Cluster, arguments: list[str]) -> None:
        plant(cluster.master, "overlay/..._all", "overlay/d/.._all")
        ended = cluster.synctool(*arguments)
        assert (ended.status, ended.out, len(ended.err)) == (2, [], 2)
        (cluster.master / "attributes.yaml").write_text("- mode: 9\n")
        assert cluster.synctool(*arguments).status == 2

    def test_interrupted(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pytest_synctool.repository.resolution.load", interrupt)
        assert cluster.synctool("-v") == Ended(130, [], [])


@pytest.mark.parametrize("command", [Cluster.synctool, Cluster.config])
def test_help_and_version(cluster: Cluster, command: Callable[..., Ended]) -> None:
    ended = command(cluster, "--help")
    assert (ended.status, ended.err) == (0, [])
    assert any("--conf FILE" in line for line in ended.out)
    ended = command(cluster, "--version")
    assert (ended.status, ended.err) == (0, [])
    assert ended.out[0].split()[1] == __version__


class TestConfig:
    """`synctool-config`."""

    def test_lists(self, cluster: Cluster) -> None:
        nodes = Ended(0, ["node1", "node2", "node10", "node4 (ignored)", "old1 (ignored)"], [])
        assert cluster.config("-l") == cluster.config("--list-nodes") == nodes
        groups = ["somegroup", "rack1", "compute", "batch", "rack2", "sched", "rack3", "retired (ignored)", "all"]
        ended = cluster.config("-L")
        assert ended == cluster.config("--list-groups")
        assert (ended.status, sorted(ended.out), ended.err) == (0, sorted(groups), [])

    def test_to_yaml(self, cluster: Cluster) -> None:
        ended = cluster.config("--to-yaml")
        assert (ended.status, ended.err) == (0, [])
        (cluster.directory / "other.yaml").write_text("\n".join(ended.out))
        before, after = load(cluster.directory / "synctool.conf"), load(cluster.directory / "other.yaml")
        assert after.nodes == before.nodes
        ended = cluster.config("--to-yaml", "-c", "other.yaml")
        assert (ended.status, ended.out) == (2, [])

    def test_scan_attributes(self, cluster: Cluster) -> None:
        """The command reads overlay/, not an existing attributes.yaml, which may be invalid."""
        plant(cluster.master, "overlay/f._all", "overlay/f._batch", "overlay/g", "overlay/h._none", "delete/x._all")
        for name, mode in (("f._all", 0o644), ("f._batch", 0o600), ("h._none", 0o644)):
            (cluster.master / "overlay" / name).chmod(mode)
        (cluster.master / "attributes.yaml").write_text("- nonsense\n")
        ended = cluster.config("--scan-attributes")
        assert ended.status == 0
        assert ended.err == ["WARNING overlay/g: skipped, no group extension (expected a name like fstab._all)"]
        text = "\n".join(ended.out)
        modes = {name: rule["mode"] for rule in yaml.safe_load(text) if "mode" in rule for name in _names(rule)}
        assert modes == {"overlay/f._all": "0644", "overlay/f._batch": "0600", "/h": "0644"}
        config = load(cluster.directory / "synctool.conf")
        assert attributes.parse(text, cluster.master / "attributes.yaml", config.known_groups).rules


def _names(rule: Mapping[str, object]) -> list[str]:
    names = rule.get("path", rule.get("source"))
    return names if isinstance(names, list) else [str(names)]


class TestInstalled:
    """The installed commands, each in its own process."""

    def run(self, directory: Path, *command: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command. Fail if it calls ssh or prints a traceback."""
        trap = directory / "bin" / "ssh"
        if not trap.exists():
            trap.parent.mkdir()
            trap.write_text(f"#!/bin/sh\ntouch {directory}/contacted\n")
            trap.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name not in ("SYNCTOOL_CONF", "PYTHONUNBUFFERED")}
        kept.update(PATH=f"{trap.parent}:{os.environ['PATH']}", **environment)
        done = subprocess.run(command, cwd=directory, env=kept, capture_output=True, timeout=60, check=False)
        assert not (directory / "contacted").exists()
        assert b"Traceback" not in done.stderr
        return done

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        """A cluster with a file for every node."""
        (tmp_path / "synctool.conf").write_text(CONF)
        plant(tmp_path / "master", "overlay/f._all")
        return tmp_path

    def test_synctool(self, directory: Path) -> None:
        done = self.run(directory, str(SCRIPTS / "synctool"), "-r", "/f", "-n", "node1")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"node1: /f._all\n", b"")

    def test_synctool_config(self, directory: Path) -> None:
        done = self.run(directory, str(SCRIPTS / "synctool-config"), "--list-nodes")
        assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, b"node1", b"")

    @pytest.mark.parametrize("options", ["-v", "--manifest", "-r /f", "--help"])
    def test_broken_pipe(self, directory: Path, options: str) -> None:
        """`synctool -v | true`: the reader exits before the command writes."""
        for number in range(200):
            (directory / f"master/overlay/{'x' * 200}{number}._all").touch()
        command = f'set -o pipefail; "{SCRIPTS}/synctool" {options} | true'
        done = self.run(directory, "bash", "-c", command)
        remark = f"configuration: {directory / 'synctool.conf'}\n" if options == "-v" else ""
        assert (done.returncode, done.stderr.decode()) == (141, remark)

    @pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
    def test_closed_streams(self, directory: Path, streams: str) -> None:
        """A closed stream is like /dev/null: no file or connection that is opened later gets its output."""
        command = f'"{SCRIPTS}/synctool" --manifest -n node1 {streams}; "{SCRIPTS}/synctool-config" -S nope {streams}'
        done = self.run(directory, "sh", "-c", command)
        assert (done.returncode, done.stdout == b"", done.stderr == b"") == (
            2,
            ">&-" in streams.split(),
            "2>&-" in streams,
        )

    @pytest.mark.parametrize("options", ["--manifest", "--help"])
    def test_a_full_disk(self, directory: Path, options: str) -> None:
        done = self.run(directory, "sh", "-c", f'"{SCRIPTS}/synctool" {options} > /dev/full')
        assert (done.returncode, done.stderr) == (2, b"synctool: No space left on device\n")

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_any_locale(self, directory: Path, encoding: str) -> None:
        """Characters that the terminal cannot show do not fail the command. Files are UTF-8."""
        (directory / "master/overlay/日本._all").touch()
        command = [str(SCRIPTS / "synctool"), "-r", "/日本", "-n", "node1"]
        done = self.run(directory, *command, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
        shown = "日本" if encoding == "utf-8" else "\\u65e5\\u672c"
        assert (done.returncode, done.stdout.decode()) == (0, f"node1: /{shown}._all\n")
        scan = [str(SCRIPTS / "synctool-config"), "--scan-attributes"]
        done = self.run(directory, *scan, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
        assert (done.returncode, "/日本" in done.stdout.decode("utf-8")) == (0, True)

    @pytest.mark.parametrize(
        ("module", "arguments"),
        [
            ("synctool", ["-r", "/f"]),
            ("synctool", ["--manifest"]),
            ("config", ["-l"]),
            ("config", ["--check"]),
            ("dsh", ["--unix", "true"]),
            ("dcp", ["--unix", "-d", "/tmp", "synctool.conf"]),
            ("aggr", ["synctool.conf"]),
        ],
    )
    def test_nothing_heavy_is_imported(self, directory: Path, module: str, arguments: list[str]) -> None:
        """The commands start fast, because they import little."""
        text = (
            f"import sys; from pytest_synctool.cli.{module} import main; assert main({arguments!r}) == 0;"
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        )
        done = self.run(directory, sys.executable, "-c", text)
        assert done.returncode == 0, done.stderr
        imported = set(done.stdout.decode().splitlines()[-1].split())
        assert "pytest_synctool" in imported
        assert not imported & {"pytest", "_pytest", "testinfra", "xdist", "jsonschema", "asyncio", "yaml"}

    def test_nothing_of_pytest_runs_commands(self, directory: Path) -> None:
        """dsh and dcp import nothing of pytest to run commands on nodes."""
        text = (
            "import sys; from pytest_synctool.dsh import copying, multiplex, output, runner;"
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        )
        done = self.run(directory, sys.executable, "-c", text)
        imported = set(done.stdout.decode().split())
        assert "ClusterShell" in imported
        assert not imported & {"pytest", "_pytest", "testinfra", "xdist", "asyncio"}

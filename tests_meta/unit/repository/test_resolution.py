"""The resolution of sources and entries, with masterdirs in a real file system."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest
import yaml
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Kind, Node
from pytest_synctool.repository.candidates import split_extension
from pytest_synctool.repository.entry import EntryList
from pytest_synctool.repository.masterdir import scan
from pytest_synctool.repository.resolution import Repository, load
from pytest_synctool.repository.source import Tree

from tests_meta.unit.helpers import ODD_NAMES, config, node

CASES = [Path(__file__).with_name("cases") / name for name in ("documentation.yaml", "repository.yaml")]


class Case(TypedDict, total=False):
    """One case of cases/documentation.yaml or cases/repository.yaml."""

    name: str
    says: str
    conf: list[str]
    tree: list[str]
    expected: dict[str, dict[str, str]]
    triggers: dict[str, dict[str, str]]
    warnings: list[str]


def load_cases() -> list[Case]:
    """Return the cases from the documentation, and those that the design adds."""
    cases: list[Case] = [case for path in CASES for case in yaml.safe_load(path.read_text(encoding="utf-8"))]
    return cases


def plant(master: Path, *lines: str) -> None:
    """Make files (`NAME`), directories (`NAME/`) and symbolic links (`NAME -> TARGET`)."""
    for line in lines:
        name, arrow, target = line.partition(" -> ")
        path = master / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            path.symlink_to(target)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(f"content of {name}\n")


def walked(cluster: Config) -> Repository:
    """Return the repository of a cluster."""
    return load(cluster)


def sources(entries: EntryList) -> dict[str, str]:
    """Return destinations with their sources, without directories."""
    kept = [e for e in entries if e.source.state.kind is not Kind.DIRECTORY]
    return {printable(e.destination): e.source.shown for e in kept}


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case["name"])
def test_table(case: Case, tmp_path: Path) -> None:
    """Each case tests the sentence of the documentation in its `says`."""
    plant(tmp_path / "master", *case["tree"])
    cluster = config(tmp_path, *case["conf"])
    repository = walked(cluster)
    entries = {name: repository.entries(n) for name, n in cluster.nodes.items()}
    assert {name: sources(entries[name]) for name in case["expected"]} == case["expected"]
    for name, triggers in case.get("triggers", {}).items():
        assert {printable(e.destination): printable(e.trigger) for e in entries[name] if e.trigger} == triggers
    if "warnings" in case:
        assert repository.warnings == case["warnings"]


@pytest.fixture
def cluster(tmp_path: Path) -> Config:
    """Return a cluster with two nodes and an empty overlay."""
    cluster = config(tmp_path, "node node1 batch", "node node2")
    (cluster.masterdir / "overlay").mkdir()
    return cluster


def test_directories_are_entries_with_the_attributes_of_the_most_important_source(cluster: Config) -> None:
    plant(cluster.masterdir, "overlay/etc/", "overlay/etc._batch/", "overlay/var/lib/")
    repository = walked(cluster)
    entries = repository.entries(cluster.nodes["node1"])
    assert [(e.destination, e.source.shown, e.expected.kind) for e in entries] == [
        (b"/etc", "overlay/etc._batch", Kind.DIRECTORY),
        (b"/var", "overlay/var", Kind.DIRECTORY),
        (b"/var/lib", "overlay/var/lib", Kind.DIRECTORY),
    ]


def test_files_of_nobody_help_the_commands_that_lie_beside_them(cluster: Config) -> None:
    """A template for a trigger, functions for tasks; never those of another group, nor without a command."""
    plant(
        cluster.masterdir,
        *("overlay/etc/a.conf._all", "overlay/etc/a.conf.post", "overlay/etc/a.template._none"),
        *("overlay/etc/sub/b.template._none", "overlay/opt._batch/c._all", "overlay/opt._batch/c.post"),
        *("overlay/opt._batch/c.template._none", "tasks/functions._none", "tasks/more/functions._none"),
        *("tasks/more._batch/other._none", "tasks/run._batch"),
    )
    repository = walked(cluster)
    beside = b"overlay/etc/a.template._none"
    helpers = {
        name: set(repository.entries(node(name, *groups)).helpers)
        for name, groups in (("n1", ("batch",)), ("n2", ("login",)))
    }
    assert helpers == {
        "n1": {
            *(beside, b"overlay/opt._batch/c.template._none", b"tasks/functions._none"),
            *(b"tasks/more/functions._none", b"tasks/more._batch/other._none"),
        },
        "n2": {beside},
    }


def test_parents_come_before_the_paths_in_them(cluster: Config) -> None:
    plant(cluster.masterdir, "overlay/a/b/c._all", "overlay/a-/x._all", "overlay/a/b.d/x._all", "delete/a/z._all")
    entries = walked(cluster).entries(cluster.nodes["node1"])
    overlay = [e.destination for e in entries if e.tree.value == "overlay"]
    for number, destination in enumerate(overlay):
        parent = os.path.dirname(destination)
        assert parent == b"/" or parent in overlay[:number]


def test_directories_in_each_other_have_no_greatest_depth(tmp_path: Path) -> None:
    """Each level costs no level of calls: 1,100 of them are more than Python allows."""
    depth = 1100
    cluster = config(tmp_path, "node node1 a")
    here = os.open(tmp_path / "master", os.O_RDONLY)
    try:
        for name in ("overlay", *["d"] * depth):
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("f._all", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        entries = load(cluster).entries(node("node1", "a"))
        assert len(entries) == depth + 1
        assert entries[-1].destination == b"/d" * depth + b"/f"
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", tmp_path / "master"], check=True)  # Python cannot


def test_warnings_come_once_however_many_nodes_see_them(tmp_path: Path) -> None:
    cluster = config(tmp_path, *(f"node node{n} group{n}" for n in range(4)))
    plant(
        cluster.masterdir, "overlay/a/b._all", "overlay/a._node0", "overlay/a._group1", "overlay/a._node2", "overlay/x"
    )
    repository = walked(cluster)
    for n in cluster.nodes.values():
        repository.entries(n)
        repository.entries(n)
    assert sorted(repository.warnings) == sorted(set(repository.warnings))
    assert len(repository.warnings) == 2


def test_expected_state_of_a_file(cluster: Config) -> None:
    """Documentation: "Should the file size be the same, synctool will calculate an MD5 checksum"."""
    path = cluster.masterdir / "overlay/f._all"
    path.write_bytes(b"x" * 3_000_000)
    path.chmod(0o4751)
    (entry,) = walked(cluster).entries(cluster.nodes["node1"])
    expected = entry.expected
    assert (expected.kind, expected.mode, expected.size) == (Kind.FILE, 0o4751, 3_000_000)
    assert expected.md5 == hashlib.md5(b"x" * 3_000_000).hexdigest()
    assert (expected.uid, expected.gid) == (path.stat().st_uid, path.stat().st_gid)


def test_expected_state_of_a_link(cluster: Config) -> None:
    (cluster.masterdir / "overlay/l._all").symlink_to(os.fsdecode(b"\xff target"))
    (entry,) = walked(cluster).entries(cluster.nodes["node1"])
    assert (entry.expected.kind, entry.expected.target) == (Kind.LINK, b"\xff target")


def test_a_file_that_went_away_after_the_walk_is_an_error_that_names_it(cluster: Config) -> None:
    plant(cluster.masterdir, "overlay/f._all")
    (entry,) = walked(cluster).entries(cluster.nodes["node1"])
    (cluster.masterdir / "overlay/f._all").unlink()
    with pytest.raises(RepositoryError, match=r"cannot read overlay/f\._all: No such file"):
        _ = entry.expected


def test_special_files_are_left_out_with_a_warning(cluster: Config) -> None:
    os.mkfifo(cluster.masterdir / "overlay/pipe._all")
    repository = walked(cluster)
    assert list(repository.entries(cluster.nodes["node1"])) == []
    assert repository.warnings == ["overlay/pipe._all: skipped, neither a file, a directory nor a symbolic link"]


@pytest.mark.parametrize("tree", ["overlay", "delete"])
def test_odd_names(cluster: Config, tree: str) -> None:
    """File names may be any bytes."""
    for name in map(os.fsdecode, ODD_NAMES):
        directory = cluster.masterdir / tree / name
        directory.mkdir(parents=True)
        (directory / f"{name}._all").touch()
    repository = walked(cluster)
    files = {b"/" + name + b"/" + name for name in ODD_NAMES}
    directories = {b"/" + name for name in ODD_NAMES} if tree == "overlay" else set()
    assert {e.destination for e in repository.entries(cluster.nodes["node1"])} == files | directories
    assert repository.warnings == []


def test_odd_names_in_warnings_are_printable(cluster: Config) -> None:
    for name in map(os.fsdecode, ODD_NAMES):
        (cluster.masterdir / "overlay" / name).touch()
        (cluster.masterdir / "overlay" / f"x._{name}").touch()
    warnings = walked(cluster).warnings
    assert len(warnings) == 2 * len(ODD_NAMES)
    assert all(warning.isprintable() for warning in warnings)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (["overlay/..._all"], ["overlay/..._all", "'..'"]),
        (["overlay/.._all"], ["overlay/.._all", "'.'"]),
        (["overlay/._all"], ["overlay/._all", "'empty'"]),
        (["overlay/._all/x._all"], ["overlay/._all", "'empty'"]),
        (["overlay/.post"], ["overlay/.post", "'empty'"]),
        (["overlay/...post._all"], ["overlay/...post._all", "'..'"]),
        (["delete/x\ny._all"], ["delete/x\\ny._all", "newline in a file name"]),
        (["overlay/x\ny/"], ["overlay/x\\ny", "newline in a file name"]),
        (["overlay/x\n.post"], ["overlay/x\\n.post", "newline in a file name"]),
        (["overlay/l._all -> a\nb"], ["overlay/l._all", "newline in a link target"]),
        (["overlay/..._all", "delete/a/..._all", "overlay/b/x\ny"], ["overlay/...", "delete/a/..._all", "overlay/b/x"]),
    ],
)
def test_names_that_no_destination_can_have(cluster: Config, tree: list[str], words: list[str]) -> None:
    plant(cluster.masterdir, *tree)
    with pytest.raises(RepositoryError) as caught:
        walked(cluster)
    assert all(word in str(caught.value) for word in words)
    assert len(str(caught.value).split("\n")) == len(tree)


def test_a_newline_in_the_extension_or_in_an_ignored_name_does_no_harm(tmp_path: Path) -> None:
    cluster = config(tmp_path, "node node1", "ignore *junk*")
    plant(cluster.masterdir, "overlay/a._al\nl", "overlay/junk\n._all", "overlay/b._all")
    repository = walked(cluster)
    assert sources(repository.entries(cluster.nodes["node1"])) == {"/b": "overlay/b._all"}
    assert repository.warnings == ["overlay/a._al\\nl: skipped, unknown group 'al\\nl' (did you mean 'all'?)"]


class TestUnusable:
    """An unusable masterdir is an error. A missing or unreadable tree is never taken for an empty one."""

    def test_missing_masterdir(self, cluster: Config) -> None:
        with pytest.raises(RepositoryError, match="is not a directory"):
            scan(cluster.masterdir / "gone", cluster.known_groups, cluster.ignore)

    def test_missing_overlay(self, cluster: Config) -> None:
        (cluster.masterdir / "overlay").rmdir()
        with pytest.raises(RepositoryError, match=r"cannot read overlay/ in the masterdir: No such file"):
            walked(cluster)

    def test_delete_may_be_missing_but_not_be_a_file(self, cluster: Config) -> None:
        assert list(walked(cluster).entries(cluster.nodes["node1"])) == []
        plant(cluster.masterdir, "delete")
        with pytest.raises(RepositoryError, match=r"cannot read delete/ in the masterdir: Not a directory"):
            walked(cluster)

    def test_a_dangling_delete(self, cluster: Config) -> None:
        (cluster.masterdir / "delete").symlink_to("gone")
        with pytest.raises(RepositoryError, match="cannot read delete/"):
            walked(cluster)

    @pytest.mark.parametrize("tree", ["delete", "tasks"])
    def test_a_tree_on_a_dead_mount(self, cluster: Config, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (cluster.masterdir / tree).mkdir(exist_ok=True)

        def dead(function: Callable[..., object]) -> Callable[..., object]:
            def of(path: bytes | Path, *args: object, **options: object) -> object:
                if os.fsencode(path).endswith(f"/{tree}".encode()):
                    raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), path)
                return function(path, *args, **options)

            return of

        for name in ("stat", "lstat", "scandir", "open"):
            monkeypatch.setattr(os, name, dead(getattr(os, name)))
        with pytest.raises(RepositoryError, match=f"cannot read {tree}/ in the masterdir: Transport endpoint is not"):
            walked(cluster)

    def test_unreadable_directories_are_all_named(self, cluster: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        plant(cluster.masterdir, "overlay/a/x._all", "overlay/b/x._all", "overlay/c/x._all")
        scandir = os.scandir

        def refuse(path: bytes | Path) -> object:
            if os.fsencode(path).endswith((b"/a", b"/c")):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(RepositoryError) as caught:
            walked(cluster)
        assert str(caught.value).split("\n") == [
            f"cannot read overlay/{name}/ in the masterdir: Permission denied" for name in "ac"
        ]


def test_the_trees_may_be_links(cluster: Config, tmp_path: Path) -> None:
    plant(tmp_path, "elsewhere/f._all")
    (cluster.masterdir / "overlay").rmdir()
    (cluster.masterdir / "overlay").symlink_to(tmp_path / "elsewhere")
    assert sources(walked(cluster).entries(cluster.nodes["node1"])) == {"/f": "overlay/f._all"}


def test_nodes_that_differ_in_no_group_of_the_tree_share_one_list(cluster: Config) -> None:
    plant(cluster.masterdir, "overlay/a._batch", "overlay/b._all")
    repository = walked(cluster)
    assert repository.entries(node("x", "batch", "p")) is repository.entries(node("y", "q", "batch"))
    assert repository.entries(node("x")) is not repository.entries(node("y", "batch"))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"fstab._node5", (b"fstab", "node5")),
        (b"fstab", (b"fstab", None)),
        (b"a._b._c", (b"a._b", "c")),
        (b"a._", (b"a", "")),
        (b"._a", (b"", "a")),
        (b"a_b.c", (b"a_b.c", None)),
        (b"\xff._\xfe", (b"\xff", "\udcfe")),
    ],
)
def test_split_extension(name: bytes, parts: tuple[bytes, str | None]) -> None:
    assert split_extension(name) == parts


def test_overlay_wins_over_delete_for_the_same_destination(tmp_path: Path) -> None:
    """Otherwise each --fix would undo the previous one."""
    (tmp_path / "overlay").mkdir()
    (tmp_path / "delete").mkdir()
    (tmp_path / "overlay" / "both._all").touch()
    (tmp_path / "delete" / "both._batch").touch()
    (tmp_path / "delete" / "other._batch").touch()
    repository = Repository(scan(tmp_path, ("all", "batch"), IgnoreRules()))
    entries = repository.entries(Node("n", ("n", "batch", "all"), "n"))
    assert [(e.tree, e.destination) for e in entries] == [(Tree.DELETE, b"/other"), (Tree.OVERLAY, b"/both")]
    assert repository.warnings == ["delete/both._batch: skipped, overlay/both._all is for the same destination"]

"""The manifest: the entries of every node as JSON that can be compared."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from pytest_synctool.config import Config
from pytest_synctool.model import Node
from pytest_synctool.repository import manifest
from pytest_synctool.repository.resolution import Repository, load
from pytest_synctool.repository.source import Tree

from tests_meta.unit.helpers import ODD_NAMES, config, node
from tests_meta.unit.repository.test_repository_properties import NODES, TreeOf, masterdir, trees, walked
from tests_meta.unit.repository.test_resolution import plant


def planted(directory: Path, *tree: str, conf: tuple[str, ...] = ("node node3 batch",)) -> tuple[Config, Repository]:
    """Return a cluster and its repository."""
    cluster = config(directory, *conf)
    (cluster.masterdir / "overlay").mkdir(exist_ok=True)
    plant(cluster.masterdir, *tree)
    return cluster, load(cluster)


def written(repository: Repository, nodes: Iterator[Node] | tuple[Node, ...]) -> str:
    """Return the text of a manifest."""
    stream = io.StringIO()
    manifest.write(repository, nodes, stream)
    return stream.getvalue()


EMPTY: dict[str, dict[str, str]] = {"overlay": {}, "delete": {}, "tasks": {}, "post": {}}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param(
            ["overlay/etc/fstab._all", "overlay/etc/motd._login"],
            {"overlay": {"/etc": "overlay/etc", "/etc/fstab": "overlay/etc/fstab._all"}},
            id="directories, and nothing of other groups",
        ),
        pytest.param(
            ["delete/etc/cron.d/old._batch", "delete/etc/cron.d/old.post", "tasks/name._all", "tasks/name.post"],
            {
                "delete": {"/etc/cron.d/old": "delete/etc/cron.d/old._batch"},
                "tasks": {"/name": "tasks/name._all"},
                "post": {"/etc/cron.d/old": "delete/etc/cron.d/old.post"},
            },
            id="the other trees",
        ),
        pytest.param(
            ["overlay/d._batch/", "overlay/d.post", "overlay/l._all -> x", "overlay/l.post._batch", "overlay/g.post"],
            {
                "overlay": {"/d": "overlay/d._batch", "/l": "overlay/l._all"},
                "post": {"/d": "overlay/d.post", "/l": "overlay/l.post._batch"},
            },
            id="triggers",
        ),
        pytest.param(
            ["overlay/f._all", "delete/f._all", "overlay/a/b._all", "overlay/a._batch"],
            {"overlay": {"/a": "overlay/a._batch", "/f": "overlay/f._all"}},
            id="no source that another one overrides or blocks",
        ),
    ],
)
def test_of_node(tmp_path: Path, tree: list[str], expected: dict[str, dict[str, str]]) -> None:
    cluster, repository = planted(tmp_path, *tree, conf=("node node3 batch", "node node4 login"))
    of_node = manifest.of_node(repository, cluster.nodes["node3"])
    assert of_node == {"groups": ["node3", "batch", "all"], **EMPTY, **expected}
    assert list(of_node) == ["groups", "overlay", "delete", "tasks", "post"]


def test_ignored_nodes_say_so(tmp_path: Path) -> None:
    cluster, repository = planted(tmp_path, conf=("node b x", "node a x", "ignore_node b"))
    text = written(repository, tuple(cluster.nodes.values()))
    assert json.loads(text) == {
        "b": {"groups": ["b", "x", "all"], **EMPTY, "ignored": True},
        "a": {"groups": ["a", "x", "all"], **EMPTY},
    }
    assert text.index('"b"') < text.index('"a"'), "the order of the configuration"


def test_text(tmp_path: Path) -> None:
    """Each destination has a line of its own, in the order of bytes, so that diffs are readable."""
    cluster, repository = planted(tmp_path, "overlay/a/x._all", "overlay/a-b._all", "overlay/B._batch")
    assert written(repository, tuple(cluster.nodes.values())).splitlines() == [
        "{",
        ' "node3": {',
        '  "groups": ["node3", "batch", "all"],',
        '  "overlay": {',
        '   "/B": "overlay/B._batch",',
        '   "/a": "overlay/a",',
        '   "/a-b": "overlay/a-b._all",',
        '   "/a/x": "overlay/a/x._all"',
        "  },",
        '  "delete": {},',
        '  "tasks": {},',
        '  "post": {}',
        " }",
        "}",
    ]
    assert written(repository, ()) == "{}\n"


def test_odd_names(tmp_path: Path) -> None:
    """The text is ASCII, and the bytes of names can be restored from it."""
    cluster, _ = planted(tmp_path)
    for name in map(os.fsdecode, ODD_NAMES):
        (cluster.masterdir / "overlay" / f"{name}._all").touch()
    text = written(load(cluster), tuple(cluster.nodes.values()))
    assert text.isascii()
    overlay = json.loads(text)["node3"]["overlay"]
    assert {os.fsencode(path): os.fsencode(source) for path, source in overlay.items()} == {
        b"/" + name: b"overlay/" + name + b"._all" for name in ODD_NAMES
    }
    assert list(map(os.fsencode, overlay)) == sorted(b"/" + name for name in ODD_NAMES)


def test_nodes_are_written_one_by_one(tmp_path: Path) -> None:
    """A manifest of any size needs little memory."""
    _, repository = planted(tmp_path, "overlay/f._all")
    stream = io.StringIO()

    def nodes() -> Iterator[Node]:
        for number in range(3):
            assert stream.getvalue().count('"groups"') == number
            yield node(f"n{number}")

    manifest.write(repository, nodes(), stream)
    assert list(json.loads(stream.getvalue())) == ["n0", "n1", "n2"]


@given(overlay=trees, delete=trees)
def test_agrees_with_the_entries(overlay: TreeOf, delete: TreeOf) -> None:
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        text = written(repository, NODES)
        parsed = json.loads(text)
        assert text == written(walked(master), NODES)
        assert list(parsed) == [who.name for who in NODES]
        for who in NODES:
            assert parsed[who.name] == manifest.of_node(repository, who)
            entries = repository.entries(who)
            for tree in Tree:
                expected = {os.fsdecode(e.destination): e.source.shown for e in entries if e.tree is tree}
                assert list(parsed[who.name][tree.value].items()) == sorted(expected.items())
            triggers = {os.fsdecode(e.destination): os.fsdecode(e.trigger) for e in entries if e.trigger}
            assert list(parsed[who.name]["post"].items()) == sorted(triggers.items())

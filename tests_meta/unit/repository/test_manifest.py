"""The manifest: the entries of every node as JSON that can be compared."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from hypothesis import given
from pytest_synctool.config import Config
from pytest_synctool.model import Node
from pytest_synctool.repository import manifest_file
from pytest_synctool.repository.entry_commands import owners
from pytest_synctool.repository.manifest import Manifests, NodeManifest
from pytest_synctool.repository.resolution import Repository, load
from pytest_synctool.repository.source import SUBDIRECTORIES

from tests_meta.unit.helpers import ODD_NAMES, config, node
from tests_meta.unit.repository.test_repository_properties import NODES, TreeOf, masterdir, trees, walked
from tests_meta.unit.repository.test_resolution import plant

NO_COMMANDS: Final[dict[str, object]] = {"on_update": {}, "scripts": {}, "always_run": []}


def planted(directory: Path, *tree: str, conf: tuple[str, ...] = ("node node3 batch",)) -> tuple[Config, Repository]:
    """Return a cluster and its repository."""
    cluster = config(directory, *conf)
    (cluster.masterdir / "overlay").mkdir(exist_ok=True)
    plant(cluster.masterdir, *tree)
    return cluster, load(cluster)


def manifests(repository: Repository, *always_run: str) -> Manifests:
    """Return the manifests of a repository. The keyed digest of a text has its first characters only."""
    return Manifests(repository, lambda text: f"key:{text[:4]}", always_run=always_run)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sources(manifest: NodeManifest) -> dict[str, dict[str, str]]:
    """Return the sources of all entries of a manifest, by part and destination."""
    return {part: {path: each["source"] for path, each in manifest[part].items()} for part in PARTS}


def written(repository: Repository, nodes: Iterator[Node] | tuple[Node, ...]) -> str:
    """Return the text of a manifest."""
    stream = io.StringIO()
    manifests(repository).write(nodes, stream)
    return stream.getvalue()


SECRET: Final = "secret\n"
PARTS: Final[tuple[Literal["overlay", "delete", "tasks", "post"], ...]] = ("overlay", "delete", "tasks", "post")
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
    of_node = manifests(repository).of_node(cluster.nodes["node3"])
    assert of_node["groups"] == ["node3", "batch", "all"]
    assert sources(of_node) == {**EMPTY, **expected}
    assert list(of_node) == ["groups", "overlay", "delete", "tasks", "post", "on_update", "scripts", "always_run"]


def test_ignored_nodes_say_so(tmp_path: Path) -> None:
    cluster, repository = planted(tmp_path, conf=("node b x", "node a x", "ignore_node b"))
    text = written(repository, tuple(cluster.nodes.values()))
    assert json.loads(text) == {
        "b": {"groups": ["b", "x", "all"], **EMPTY, **NO_COMMANDS, "ignored": True},
        "a": {"groups": ["a", "x", "all"], **EMPTY, **NO_COMMANDS},
    }
    assert text.index('"b"') < text.index('"a"'), "the order of the configuration"


def test_text(tmp_path: Path) -> None:
    """Each destination has a line of its own, in the order of bytes, so that diffs are readable."""
    cluster, repository = planted(tmp_path, "overlay/a/x._all", "overlay/a-b._all", "overlay/B._batch")
    lines = written(repository, tuple(cluster.nodes.values())).splitlines()
    assert [line.partition(': {"')[0] for line in lines] == [
        "{",
        ' "node3": {',
        '  "groups": ["node3", "batch", "all"],',
        '  "overlay": {',
        '   "/B"',
        '   "/a"',
        '   "/a-b"',
        '   "/a/x"',
        "  },",
        '  "delete": {},',
        '  "tasks": {},',
        '  "post": {},',
        '  "on_update": {},',
        '  "scripts": {},',
        '  "always_run": []',
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
    assert {os.fsencode(path): os.fsencode(each["source"]) for path, each in overlay.items()} == {
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

    manifests(repository).write(nodes(), stream)
    assert list(json.loads(stream.getvalue())) == ["n0", "n1", "n2"]


@given(overlay=trees, delete=trees)
def test_agrees_with_the_entries(overlay: TreeOf, delete: TreeOf) -> None:
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        text = written(repository, NODES)
        parsed = json.loads(text)
        assert text == written(walked(master), NODES)
        assert manifest_file.parse(text, "file") == {who: {"ignored": False, **each} for who, each in parsed.items()}
        assert list(parsed) == [who.name for who in NODES]
        for who in NODES:
            assert parsed[who.name] == manifests(repository).of_node(who)
            shown = sources(parsed[who.name])
            entries = repository.entries(who)
            for tree in SUBDIRECTORIES:
                expected = {os.fsdecode(e.destination): e.source.shown for e in entries if e.tree is tree}
                assert list(shown[tree.value].items()) == sorted(expected.items())
            triggers = {os.fsdecode(e.destination): os.fsdecode(e.trigger) for e in owners(entries) if e.trigger}
            assert list(shown["post"].items()) == sorted(triggers.items())


def test_the_expected_state(tmp_path: Path) -> None:
    """Contents by size and digest, with a key where not everybody may read them; owners and rules."""
    cluster, _ = planted(
        tmp_path,
        *("overlay/f._all", "overlay/secret._all", "overlay/l._all -> /x", "overlay/shut/in._all", "overlay/f.post"),
        *("overlay/shut/l._all -> /y", "tasks/t._all", "scripts/reload", "scripts/shut"),
        conf=("node node3 batch", "on_update /f reload it"),
    )
    for name in ("overlay/shut/in._all", "tasks/t._all", "scripts/reload", "scripts/shut"):
        (cluster.masterdir / name).write_text("")
    for name, text in (("overlay/f._all", "public\n"), ("overlay/secret._all", SECRET), ("overlay/f.post", "#!\n")):
        (cluster.masterdir / name).write_text(text)
    (cluster.masterdir / "scripts/shut").chmod(0o700)
    (cluster.masterdir / "attributes.yaml").write_text(
        "- {path: /**, owner: root, group: 7, mode: 0644}\n- {path: /f, mode: 0755}\n- {path: /shut, mode: 0700}\n"
        "- {path: /secret, sensitive: yes, validate: check %s}\n- {path: /shut, follow: no}\n"
    )
    of_node = manifests(load(cluster), "true").of_node(cluster.nodes["node3"])
    owned = {"owner": "root", "group": 7}
    empty = {"size": 0, "digest": "key:d41d"}
    assert of_node["overlay"] == {
        "/f": {
            **owned, "source": "overlay/f._all", "type": "file", "mode": "0755", "size": 7,
            "md5": md5("public\n"),
        },
        "/l": {**owned, "source": "overlay/l._all", "type": "symbolic link", "target": "/x"},
        "/secret": {
            **owned, "source": "overlay/secret._all", "type": "file", "mode": "0644", "size": 7,
            "digest": f"key:{md5(SECRET)[:4]}", "sensitive": True, "validate": "check %s",
        },
        "/shut": {**owned, "source": "overlay/shut", "type": "directory", "mode": "0700", "follow": False},
        "/shut/in": {**owned, **empty, "source": "overlay/shut/in._all", "type": "file", "mode": "0644"},
        "/shut/l": {**owned, "source": "overlay/shut/l._all", "type": "symbolic link", "digest": "key:/y"},
    }  # fmt: skip
    assert of_node["post"] == {"/f": {"source": "overlay/f.post", "size": 3, "md5": md5("#!\n")}}
    assert of_node["on_update"] == {"/f": "reload it"}
    assert of_node["tasks"]["/t"]["size"] == 0
    assert of_node["scripts"] == {
        "scripts/reload": {"source": "scripts/reload", "size": 0, "md5": md5("")},
        "scripts/shut": {**empty, "source": "scripts/shut"},
    }
    assert of_node["always_run"] == ["true"]


def test_a_source_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    cluster, repository = planted(tmp_path, "overlay/f._all", "overlay/g._all", "overlay/g.post")
    (cluster.masterdir / "overlay/f._all").unlink()
    (cluster.masterdir / "overlay/g.post").unlink()
    of_node = manifests(repository).of_node(cluster.nodes["node3"])
    assert of_node["overlay"]["/f"] == {
        "source": "overlay/f._all",
        "error": "cannot read overlay/f._all: No such file or directory",
    }
    assert "No such file" in of_node["post"]["/g"]["error"]

"""Fingerprints: the same for copies, another one after a change that matters to a run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool import config as configuration
from pytest_synctool.repository.fingerprint import Fingerprint, difference, of_configuration, of_masterdir
from pytest_synctool.repository.resolution import load

CONF = """masterdir master
on_update /etc/motd $masterdir/scripts/run.sh
node node1 batch
node node2 login
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return the directory of a cluster with an entry of each kind."""
    master = tmp_path / "master"
    for name in ("overlay/etc", "delete", "tasks", "scripts"):
        (master / name).mkdir(parents=True)
    files = (
        "overlay/etc/motd._all",
        "overlay/etc/motd.post",
        "overlay/etc/other._login",
        "delete/old._all",
        "tasks/t._all",
    )
    for name in (*files, "scripts/run.sh"):
        (master / name).write_text("content\n")
        (master / name).chmod(0o755)
    (master / "overlay/etc/link._all").symlink_to("motd")
    (tmp_path / "synctool.conf").write_text(CONF)
    return tmp_path


def fingerprint(top: Path, *selected: str) -> Fingerprint:
    cluster = configuration.load(top / "synctool.conf")
    nodes = [node for node in cluster.nodes.values() if not selected or node.name in selected]
    return {**of_configuration(cluster, nodes), **of_masterdir(cluster, load(cluster), nodes)}


def test_the_same_state_has_the_same_fingerprint(top: Path) -> None:
    """The times of files do not count."""
    before = fingerprint(top)
    os.utime(top / "master/overlay/etc/motd._all", (1, 1))
    shutil.copy2(top / "synctool.conf", top / "copy")
    (top / "copy").replace(top / "synctool.conf")
    assert fingerprint(top) == before
    assert difference(fingerprint(top), before) == ""


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("overlay/etc/motd._all", lambda path: path.write_text("CONTENT\n")),
        ("overlay/etc/motd._all", lambda path: path.chmod(0o644)),
        ("overlay/etc/motd.post", lambda path: path.write_text("CONTENT\n")),
        ("tasks/t._all", lambda path: path.write_text("CONTENT\n")),
        ("scripts/run.sh", lambda path: path.write_text("CONTENT\n")),
        ("scripts/run.sh", lambda path: path.chmod(0o644)),
        ("overlay/etc", lambda path: path.chmod(0o700)),
        ("overlay/etc/link._all", lambda path: (path.unlink(), path.symlink_to("other"))),
        ("delete/old._all", lambda path: path.unlink()),
        ("delete/new._all", lambda path: path.touch()),
    ],
)
def test_the_file_that_differs_is_named(top: Path, name: str, edit: Callable[[Path], object]) -> None:
    before = fingerprint(top)
    edit(top / "master" / name)
    assert difference(fingerprint(top), before) == name


def test_entries_that_no_selected_node_has_do_not_count(top: Path) -> None:
    before = fingerprint(top, "node1")
    (top / "master/overlay/etc/other._login").write_text("CONTENT\n")
    (top / "master/delete/old._all").write_text("whatever\n")
    assert fingerprint(top, "node1") == before


def test_the_configuration_comes_first(top: Path) -> None:
    before = fingerprint(top)
    (top / "synctool.conf").write_text(CONF.replace("login", "other"))
    assert difference(fingerprint(top), before) == "the configuration, overlay/etc/other._login"
    (top / "synctool.conf").write_text(CONF)
    assert difference(fingerprint(top, "node1"), before) == "the selected nodes, overlay/etc/other._login"


def test_attributes_count_and_where_the_configuration_lies_does_not(top: Path) -> None:
    before = fingerprint(top)
    (top / "master/attributes.yaml").write_text("- path: /etc/motd\n  mode: 0600\n")
    assert difference(fingerprint(top), before) == "overlay/etc/motd._all"
    cluster = configuration.load(top / "synctool.conf")
    moved = replace(cluster, path=Path("/elsewhere"))
    assert of_configuration(moved, ()) == of_configuration(cluster, ())


def test_a_file_that_cannot_be_read_is_no_reason_to_stop(top: Path) -> None:
    """The audit of the nodes that need the file reports it."""
    cluster = configuration.load(top / "synctool.conf")
    repository, nodes = load(cluster), list(cluster.nodes.values())
    before = of_masterdir(cluster, repository, nodes)
    (top / "master/overlay/etc/motd.post").unlink()
    assert difference(of_masterdir(cluster, repository, nodes), before) == "overlay/etc/motd.post"


def test_at_most_three_are_named() -> None:
    assert difference(dict.fromkeys("abcdef", "x"), {"a": "x"}) == "b, c, d and 2 more"

"""Masterdirs of synctool 6 and 7: nothing is done with them until the configuration says how to read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository import later_releases
from pytest_synctool.repository.resolution import load

from tests_meta.unit.helpers import config

NODES = ("node node1 wn rack1", "node node2", "ignore_group old")
OF_7 = "{} may be a repository of synctool 6 or 7, with {}: write 'layout 7' in the configuration if it is one (or see "
OF_7 += "`synctool-config --migrate`), or 'layout 4' if nodes get these names as they are"
ONLY_7 = "{} has what only synctool 6 and 7 can do: {}; or name it in an 'ignore' line to run without it"


def refusal(tmp_path: Path, names: list[str], *lines: str) -> str | None:
    """Return the message about a masterdir with these names, or None. A name that ends in / is a directory."""
    cluster = config(tmp_path, *NODES, *lines)
    for name in ["overlay/", *names]:
        path = cluster.masterdir / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    try:
        load(cluster)
    except RepositoryError as error:
        return str(error).replace(str(cluster.masterdir), "MASTER")
    return None


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["overlay/all/etc/f._all"], "overlay/all/ as trees of groups"),
        (["overlay/all/"], "overlay/all/ as trees of groups"),
        (["overlay/etc/f._all", "overlay/wn/f._all"], "overlay/wn/ as trees of groups"),
        (["overlay/node2/f._all", "delete/rack1/f._all"], "overlay/node2/, delete/rack1/ as trees of groups"),
        (["overlay/none/", "overlay/old/"], "overlay/none/, overlay/old/ as trees of groups"),
        (["overlay/f.pre"], "overlay/f.pre to be run before a change"),
        (["overlay/f._all", "overlay/f.pre._wn"], "overlay/f.pre._wn to be run before a change"),
        (["overlay/f._template._wn", "overlay/f._template.post._wn"],
         "overlay/f._template.post._wn to fill in templates"),
        (["purge/all/etc/f"], "purge/"),
        (["purge/f"], "purge/"),
        ([f"overlay/{n}.pre" for n in range(7)], ", ".join(f"overlay/{n}.pre" for n in range(5))
         + " and 2 more to be run before a change"),
        (["overlay/all/f.pre", "overlay/all/g._template.post", "purge/wn/f"], "overlay/all/ as trees of groups, "
         "overlay/all/f.pre to be run before a change, overlay/all/g._template.post to fill in templates, purge/"),
    ],
    ids=str,
)  # fmt: skip
def test_the_run_stops_with_one_message(tmp_path: Path, names: list[str], parts: str) -> None:
    assert refusal(tmp_path, names) == OF_7.format("MASTER", parts)
    assert refusal(tmp_path, names, "layout 4") is None


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["overlay/all._all/f._all", "overlay/etc/wn/f._all", "overlay/wn._all", "delete/wn._all"], []),
        (["tasks/wn/f._all"], []),
        (["overlay/etc/f.pre/g._all", "delete/f.pre._all", "overlay/f.preview._all", "overlay/pre._all"], []),
        (["overlay/template._all", "overlay/f.template._all", "delete/f._template"], []),
        (["overlay/f._template", "overlay/g._template._wn"], []),
        (["overlay/f._template", "overlay/f._template.post"], ["node node3 template"]),
        (["purge/", "purge/all/", "purge/wn/"], []),
        (["overlay/all/", "overlay/f.pre", "purge/all/f"], ["ignore all *.pre purge"]),
    ],
    ids=str,
)  # fmt: skip
def test_names_of_synctool_4(tmp_path: Path, names: list[str], lines: list[str]) -> None:
    assert refusal(tmp_path, names, *lines) is None


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["overlay/all/f.pre", "overlay/wn/etc/g.pre._all"],
         "overlay/all/f.pre, overlay/wn/etc/g.pre._all (make it a .post script, or a task)"),
        (["overlay/all/f._template", "overlay/all/f._template.post"],
         "overlay/all/f._template.post (write the template for Jinja2 and remove the script)"),
    ],
    ids=str,
)  # fmt: skip
def test_what_layout_7_cannot_do(tmp_path: Path, names: list[str], steps: str) -> None:
    assert refusal(tmp_path, names, "layout 7") == ONLY_7.format("MASTER", steps)
    assert refusal(tmp_path, names, "layout 7", "ignore *.pre *._template.post") is None


def test_a_link_to_itself_hides_no_tree_of_a_group(tmp_path: Path) -> None:
    cluster = config(tmp_path, *NODES)
    (cluster.masterdir / "overlay").mkdir(parents=True)
    (cluster.masterdir / "overlay/all").symlink_to("all")
    assert refusal(tmp_path, ["overlay/wn/"]) == OF_7.format("MASTER", "overlay/wn/ as trees of groups")


def test_an_unreadable_purge_is_not_taken_for_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir: Callable[[os.PathLike[str]], object] = os.scandir

    def refuse(path: os.PathLike[str]) -> object:
        if os.fsencode(path).endswith(b"/purge"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    cluster = config(tmp_path, *NODES)
    assert later_releases.purges(cluster.masterdir, cluster.ignore)

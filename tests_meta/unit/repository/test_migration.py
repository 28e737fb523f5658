"""Migration of a masterdir of synctool 6 or 7: the same sources for every node, and no file lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.cli import config as command
from pytest_synctool.config import Config
from pytest_synctool.config.model import Layout
from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository import migration
from pytest_synctool.repository.resolution import load

from tests_meta.unit.helpers import config

NODES = ("node n1 wn rack1", "node n2 wn", "node n3")


def site(directory: Path, *names: str) -> Config:
    """Return a cluster with a masterdir that has these files, each with its name as content, and directories."""
    cluster = config(directory, *NODES)
    (cluster.masterdir / "overlay").mkdir()
    for name in names:
        path = cluster.masterdir / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(name)
    return cluster


def contents(cluster: Config) -> list[str]:
    """Return the contents of all files of a masterdir."""
    return sorted(path.read_text() for path in cluster.masterdir.rglob("*") if path.is_file())


def meaning(cluster: Config, layout: Layout) -> dict[str, list[tuple[bytes, str, str]]]:
    """Return, for each node, its destinations with the contents of their sources and triggers."""
    repository, top = load(replace(cluster, layout=layout)), cluster.masterdir

    def text(relative: bytes | None) -> str:
        path = top / os.fsdecode(relative or b"none")
        return path.read_text() if path.is_file() else ""

    return {
        node.name: sorted(
            (entry.destination, text(entry.source.relative), text(entry.trigger)) for entry in repository.entries(node)
        )
        for node in cluster.nodes.values()
    }


def test_every_node_keeps_what_it_has(tmp_path: Path) -> None:
    cluster = site(
        tmp_path,
        *("overlay/all/etc/f._all", "overlay/all/etc/f._n3", "overlay/all/motd._all", "overlay/all/etc.post"),
        *("overlay/wn/etc/f._all", "overlay/wn/etc/g._n1", "overlay/wn/boot._all/h._all", "overlay/wn/issue._all"),
        *("overlay/rack1/etc/f._all", "overlay/rack1/etc/f.post", "overlay/none/x/y._all", "overlay/n1/motd._n1"),
        *("overlay/wn/issue.post", "delete/wn/tmp/z._all", "delete/all/w._n3", "overlay/rack1/"),
    )
    before, files = meaning(cluster, Layout.GROUPS), contents(cluster)
    plan = migration.plan(cluster)
    assert plan.problems == ()
    assert [rename for rename in plan.renames if b"wn" in rename.old] == [
        (b"overlay/wn/boot._all", b"overlay/boot._wn"),
        (b"overlay/wn/etc", b"overlay/etc._wn"),
        (b"overlay/wn/issue._all", b"overlay/issue._wn"),
        (b"overlay/wn/issue.post", b"overlay/issue.post._wn"),
        (b"delete/wn/tmp", b"delete/tmp._wn"),
    ]
    migration.apply(cluster.masterdir, plan)
    assert contents(cluster) == files
    assert meaning(cluster, Layout.PATHS) == before
    assert load(cluster)  # no 'layout' line is needed any more


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["overlay/all/etc._n1/f._all", "overlay/n1/etc/g._all"], "overlay/all/etc._n1: another name would be "
         "overlay/etc._n1 too: join them first"),
        (["overlay/all/f._n1", "overlay/wn/f._all"], "overlay/wn/f._all: n1 would get overlay/all/f._n1 instead: "
         "give it another group first"),
        (["overlay/wn/f._n3"], "overlay/wn/f._n3: n3 would get it instead: give it another group first"),
        (["overlay/all/f._all", "overlay/etc/g._all"], "overlay/etc: synctool 6 and 7 ignored it, synctool 4 would "
         "not: move it out of the tree first"),
        (["overlay/wn/f"], "overlay/wn/f: it has no group: rename it first"),
        (["overlay/all/wn/f._all", "overlay/wn/g._all"], "overlay/all/wn: overlay/wn is there already: rename one of "
         "them first"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_in_the_way(tmp_path: Path, names: list[str], problem: str) -> None:
    assert problem in migration.plan(site(tmp_path, *names)).problems


def test_rules_of_sources_are_in_the_way(tmp_path: Path) -> None:
    cluster = site(tmp_path, "overlay/all/f._all")
    (cluster.masterdir / "attributes.yaml").write_text(
        "- {path: /f, mode: '0644'}\n- {source: overlay/all/f._all, mode: '0600'}\n"
    )
    (problem,) = migration.plan(cluster).problems
    assert problem == "attributes.yaml:2: the rule names a source, which moves: give it a path and groups"


def test_a_name_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    cluster = site(tmp_path, "overlay/all/a/f._all", "overlay/all/b._all", "overlay/wn/c._all")
    plan = migration.plan(cluster)
    (cluster.masterdir / "overlay/c._wn").write_text("new")
    files = contents(cluster)
    with pytest.raises(RepositoryError, match=r"cannot rename overlay/wn/c._all: .*: nothing is renamed"):
        migration.apply(cluster.masterdir, plan)
    assert contents(cluster) == files
    assert sorted(path.name for path in (cluster.masterdir / "overlay").iterdir()) == ["all", "c._wn", "wn"]


_components = st.sampled_from(["a", "b"]).flatmap(
    lambda name: st.sampled_from([name, *(f"{name}._{group}" for group in ("all", "wn", "n1", "none"))])
)
_files = st.builds(
    lambda tree, group, above, name, end: "/".join((tree, group, *above, f"{name}{end}")),
    st.sampled_from(["overlay", "delete"]),
    st.sampled_from(["all", "wn", "rack1", "n1", "none"]),
    st.lists(_components, max_size=2),
    st.sampled_from(["f", "g"]),
    st.sampled_from(["._all", "._wn", "._n1", ".post", ".post._wn", "._none"]),
)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(_files, min_size=1, max_size=6, unique=True))
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    cluster = site(tmp_path_factory.mktemp("tree"), *names)
    before, files = meaning(cluster, Layout.GROUPS), contents(cluster)
    plan = migration.plan(cluster)
    if not plan.problems:
        migration.apply(cluster.masterdir, plan)
        after = meaning(cluster, Layout.PATHS)
        # Directories have no content here: only which files and links a node has, and their triggers, must be the same.
        assert after == before
    assert contents(cluster) == files


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without -f nothing is renamed, and the lines are those of a shell."""
    cluster = site(tmp_path, "overlay/all/etc/f._all", "overlay/wn/it's._all")
    conf = tmp_path / "synctool.conf"
    conf.write_text("\n".join(("masterdir master", "layout 7", *NODES)))
    top = cluster.masterdir / "overlay"
    moves = [f"mv {top}/all/etc {top}/etc", f"mv '{top}/wn/it'\\''s._all' '{top}/it'\\''s._wn'"]
    assert command.main(["-c", str(conf), "--migrate"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == moves
    assert err == f"{conf}: replace 'layout 7' by 'layout 4' after the renames\n"
    assert (top / "all/etc/f._all").exists()
    assert command.main(["-c", str(conf), "--migrate", "-f"]) == 0
    assert sorted(path.name for path in top.iterdir()) == ["etc", "it's._wn"]
    conf.write_text("\n".join(("masterdir master", *NODES)))
    capsys.readouterr()
    assert command.main(["-c", str(conf), "--migrate"]) == 1
    assert "synctool 6 and 7 ignored it" in capsys.readouterr().err

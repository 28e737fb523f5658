"""Explanations: in the words of the documentation, and in agreement with the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from pytest_synctool.config import Config
from pytest_synctool.model import Node
from pytest_synctool.repository.candidates import LeftOut
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import owners
from pytest_synctool.repository.explain import Explainer
from pytest_synctool.repository.resolution import load

from tests_meta.unit.helpers import ODD_NAMES, config, node
from tests_meta.unit.repository.test_repository_properties import NODES, TreeOf, masterdir, trees, walked
from tests_meta.unit.repository.test_resolution import plant

CONF = ("node node1 batch rack1", "node node2 login", "node node3", "ignore *.swp")
SKIPPED = "it is not one of my groups"


def planted(
    directory: Path, *tree: str, conf: tuple[str, ...] = CONF, attributes: str = ""
) -> tuple[Config, Explainer]:
    """Return a cluster and an explainer of its repository."""
    cluster = config(directory, *conf)
    (cluster.masterdir / "overlay").mkdir(exist_ok=True)
    plant(cluster.masterdir, *tree)
    if attributes:
        (cluster.masterdir / "attributes.yaml").write_text(attributes)
    return cluster, Explainer(load(cluster))


@pytest.mark.parametrize(
    ("tree", "who", "expected"),
    [
        pytest.param(
            ["overlay/etc/tcpd_banner.production._all", "overlay/etc/tcpd_banner.production._batch"],
            "node1",
            [
                "checking $masterdir/overlay/etc",
                "checking $masterdir/overlay/etc/tcpd_banner.production._all",
                "overridden by $masterdir/overlay/etc/tcpd_banner.production._batch",
                "checking $masterdir/overlay/etc/tcpd_banner.production._batch",
            ],
            id="the documentation's banner",
        ),
        pytest.param(
            ["overlay/hosts.allow.production._login"],
            "node1",
            [
                "checking $masterdir/overlay/hosts.allow.production._login",
                f"skipping $masterdir/overlay/hosts.allow.production._login, {SKIPPED}",
            ],
            id="the documentation's hosts.allow",
        ),
        pytest.param(
            ["overlay/f._none"],
            "node1",
            ["checking $masterdir/overlay/f._none", f"skipping $masterdir/overlay/f._none, {SKIPPED}"],
            id="no node is in the group none",
        ),
        pytest.param(
            ["overlay/x", "overlay/y._", "overlay/z._bach", "overlay/x.swp"],
            "node1",
            [
                "skipping $masterdir/overlay/x, no group extension (expected a name like fstab._all)",
                "ignoring $masterdir/overlay/x.swp, 'ignore *.swp' (CONF:5)",
                "skipping $masterdir/overlay/y._, empty group extension",
                "skipping $masterdir/overlay/z._bach, unknown group 'bach' (did you mean 'batch'?)",
            ],
            id="left out",
        ),
        pytest.param(
            ["overlay/a/b._all", "overlay/a/b.post", "overlay/a._batch"],
            "node1",
            [
                "checking $masterdir/overlay/a",
                "overridden by $masterdir/overlay/a._batch",
                "checking $masterdir/overlay/a._batch",
                "checking $masterdir/overlay/a/b._all",
                "skipping $masterdir/overlay/a/b._all, /a is not a directory but a file on this node "
                "($masterdir/overlay/a._batch)",
                "checking $masterdir/overlay/a/b.post",
                "skipping $masterdir/overlay/a/b.post, overlay/ has no /a/b for this node",
            ],
            id="below a path that is not a directory",
        ),
        pytest.param(
            ["overlay/a._node1 -> x", "overlay/a/b/c._all", "delete/a/b/c._all"],
            "node1",
            [
                "checking $masterdir/overlay/a",
                "overridden by $masterdir/overlay/a._node1",
                "checking $masterdir/overlay/a._node1",
                "checking $masterdir/overlay/a/b",
                "skipping $masterdir/overlay/a/b, /a is not a directory but a symbolic link on this node "
                "($masterdir/overlay/a._node1)",
                "checking $masterdir/overlay/a/b/c._all",
                "skipping $masterdir/overlay/a/b/c._all, /a is not a directory but a symbolic link on this node "
                "($masterdir/overlay/a._node1)",
                "checking $masterdir/delete/a/b/c._all",
                "/a/b/c must not exist",
            ],
            id="a source that is not used does not prevent a deletion",
        ),
        pytest.param(
            ["overlay/f._batch", "delete/f._all"],
            "node1",
            [
                "checking $masterdir/overlay/f._batch",
                "checking $masterdir/delete/f._all",
                "skipping $masterdir/delete/f._all, $masterdir/overlay/f._batch is for the same destination",
            ],
            id="overlay wins over delete",
        ),
        pytest.param(
            ["overlay/f._batch", "delete/f._all"],
            "node2",
            [
                "checking $masterdir/overlay/f._batch",
                f"skipping $masterdir/overlay/f._batch, {SKIPPED}",
                "checking $masterdir/delete/f._all",
                "/f must not exist",
            ],
            id="delete is used where overlay has nothing",
        ),
        pytest.param(
            ["overlay/f._all", "overlay/f.post", "overlay/f.post._batch", "overlay/f.post._login"],
            "node1",
            [
                "checking $masterdir/overlay/f._all",
                "checking $masterdir/overlay/f.post",
                "overridden by $masterdir/overlay/f.post._batch",
                "checking $masterdir/overlay/f.post._batch",
                "to be run after /f was changed",
                "checking $masterdir/overlay/f.post._login",
                f"skipping $masterdir/overlay/f.post._login, {SKIPPED}",
            ],
            id="triggers",
        ),
        pytest.param(
            ["overlay/d/", "overlay/d.post", "overlay/lone.post", "delete/old._all", "delete/old.post"],
            "node1",
            [
                "checking $masterdir/overlay/d",
                "checking $masterdir/overlay/d.post",
                "to be run after /d or something directly in it was changed",
                "checking $masterdir/overlay/lone.post",
                "skipping $masterdir/overlay/lone.post, overlay/ has no /lone for this node",
                "checking $masterdir/delete/old._all",
                "/old must not exist",
                "checking $masterdir/delete/old.post",
                "to be run after /old was changed",
            ],
            id="triggers of directories, of nothing and of deletions",
        ),
        pytest.param(
            ["overlay/f._none", "overlay/f.post", "tasks/t._all", "tasks/t.post"],
            "node1",
            [
                "checking $masterdir/overlay/f._none",
                f"skipping $masterdir/overlay/f._none, {SKIPPED}",
                "checking $masterdir/overlay/f.post",
                "skipping $masterdir/overlay/f.post, overlay/ has no /f for this node",
                "checking $masterdir/tasks/t._all",
                "checking $masterdir/tasks/t.post",
                "skipping $masterdir/tasks/t.post, tasks have no triggers",
            ],
            id="triggers that never run",
        ),
        pytest.param(
            ["overlay/a-/x._all", "overlay/a/x._all", "overlay/a._batch/y._all", "overlay/a/b/z._all"],
            "node2",
            [
                "checking $masterdir/overlay/a",
                "checking $masterdir/overlay/a._batch",
                f"skipping $masterdir/overlay/a._batch, {SKIPPED}",
                "checking $masterdir/overlay/a/b",
                "checking $masterdir/overlay/a/b/z._all",
                "checking $masterdir/overlay/a/x._all",
                "checking $masterdir/overlay/a._batch/y._all",
                f"skipping $masterdir/overlay/a._batch/y._all, {SKIPPED}",
                "checking $masterdir/overlay/a-",
                "checking $masterdir/overlay/a-/x._all",
            ],
            id="the order of the tree",
        ),
    ],
)
def test_remarks(tmp_path: Path, tree: list[str], who: str, expected: list[str]) -> None:
    cluster, explainer = planted(tmp_path, *tree)
    lines = [line.replace(str(cluster.path), "CONF") for line in explainer.remarks(cluster.nodes[who])]
    assert lines == expected


def test_attributes_are_named_for_the_source_that_the_node_uses(tmp_path: Path) -> None:
    rules = '- path: /f\n  mode: "0440"\n- path: /f\n  groups: batch\n  owner: root\n'
    cluster, explainer = planted(tmp_path, "overlay/f._all", "overlay/f._rack1", "overlay/g._all", attributes=rules)
    assert list(explainer.remarks(cluster.nodes["node1"])) == [
        "checking $masterdir/overlay/f._all",
        "overridden by $masterdir/overlay/f._rack1",
        "checking $masterdir/overlay/f._rack1",
        "with owner root by attributes.yaml:3, mode 0440 by attributes.yaml:1",
        "checking $masterdir/overlay/g._all",
    ]
    assert "with mode 0440 by attributes.yaml:1" in list(explainer.remarks(cluster.nodes["node2"]))


@pytest.mark.parametrize(
    ("destinations", "expected"),
    [
        ([b"/etc/f"], ["checking $masterdir/overlay/etc/f._all"]),
        ([b"/etc/f", b"/etc/f"], ["checking $masterdir/overlay/etc/f._all"]),
        ([b"/gone"], []),
        ([], []),
        ([b"/"], []),
        (
            [b"/other/g", b"/other/h"],
            ["skipping $masterdir/overlay/other._bogus, unknown group 'bogus'"],
        ),
        ([b"/x.swp/deep/er"], ["ignoring $masterdir/overlay/x.swp, 'ignore *.swp' (CONF:5)"]),
        ([b"/name/below"], []),  # a file without an extension holds nothing
        ([b"/t"], ["checking $masterdir/delete/t._all", "/t must not exist"]),  # not the task
    ],
)
def test_remarks_on_destinations(tmp_path: Path, destinations: list[bytes], expected: list[str]) -> None:
    """The lines include directories above that were left out, since the walk did not enter them."""
    tree = ("overlay/etc/f._all", "overlay/other._bogus/g._all", "overlay/x.swp/y._all", "overlay/name")
    cluster, explainer = planted(tmp_path, *tree, "delete/t._all", "tasks/t._all")
    lines = explainer.remarks(cluster.nodes["node1"], destinations)
    assert [line.replace(str(cluster.path), "CONF") for line in lines] == expected


def test_odd_names_are_printable(tmp_path: Path) -> None:
    cluster, _ = planted(tmp_path)
    for name in map(os.fsdecode, ODD_NAMES):
        for ending in ("", "._all", "._batch", ".post"):
            (cluster.masterdir / "overlay" / f"{name}{ending}").touch()
    explainer = Explainer(load(cluster))
    lines = list(explainer.remarks(cluster.nodes["node1"]))
    assert len(lines) == 6 * len(ODD_NAMES)
    assert all(line.isprintable() for line in lines)
    for entry in explainer.repository.entries(cluster.nodes["node1"]):
        assert all(line.isprintable() for line in explainer.of_entry(entry, cluster.nodes["node1"]))


def entry_of(explainer: Explainer, who: Node, destination: bytes) -> Entry:
    """Return the entry of a node for a destination."""
    return next(e for e in explainer.repository.entries(who) if e.destination == destination)


@pytest.mark.parametrize(
    ("tree", "destination", "expected"),
    [
        pytest.param(
            [*(f"overlay/etc/ntp.conf._{group}" for group in ("all", "batch", "login")), "overlay/etc/ntp.conf.post"],
            b"/etc/ntp.conf",
            [
                "why: overlay/etc/ntp.conf._batch, for group batch (groups of node1: node1 batch rack1 all)",
                "overrides overlay/etc/ntp.conf._all",
                "skipped overlay/etc/ntp.conf._login, not one of its groups",
                "trigger: overlay/etc/ntp.conf.post",
            ],
            id="a file",
        ),
        pytest.param(
            ["overlay/d/", "overlay/d._login/", "overlay/d._bogus/", "overlay/d.post"],
            b"/d",
            [
                "why: overlay/d, for all (groups of node1: node1 batch rack1 all)",
                "skipped overlay/d._login, not one of its groups",
                "skipped overlay/d._bogus, unknown group 'bogus'",
                "trigger: overlay/d.post",
            ],
            id="a directory without a group",
        ),
        pytest.param(
            ["overlay/d._rack1/e._all/f._batch", "overlay/d._rack1/e._all/f"],
            b"/d/e/f",
            [
                "why: overlay/d._rack1/e._all/f._batch, for groups rack1, all and batch "
                "(groups of node1: node1 batch rack1 all)",
                "skipped overlay/d._rack1/e._all/f, no group extension (expected a name like fstab._all)",
            ],
            id="groups of directories",
        ),
        pytest.param(
            ["overlay/d/f._all", "overlay/d.post._login", "overlay/d.post"],
            b"/d/f",
            [
                "why: overlay/d/f._all, for group all (groups of node1: node1 batch rack1 all)",
                "trigger: overlay/d.post, of /d",
            ],
            id="the trigger of its directory",
        ),
        pytest.param(
            ["overlay/d/", "overlay/d.post", "delete/d/f._all", "delete/d/f.swp"],
            b"/d/f",
            [
                "why: delete/d/f._all, for group all (groups of node1: node1 batch rack1 all)",
                "trigger: overlay/d.post, of /d",
            ],
            id="a path that must not exist",
        ),
        pytest.param(
            ["overlay/a/d/", "overlay/a/d.post", "overlay/a._node1", "delete/a/d/f._all"],
            b"/a/d/f",
            ["why: delete/a/d/f._all, for group all (groups of node1: node1 batch rack1 all)"],
            id="no trigger of a directory that the node does not have",
        ),
        pytest.param(
            ["overlay/f._all", *(f"overlay/f._{name}" for name in ("login", "node2", "node3", "none")), "overlay/f"],
            b"/f",
            [
                "why: overlay/f._all, for group all (groups of node1: node1 batch rack1 all)",
                *(f"skipped overlay/f._{name}, not one of its groups" for name in ("login", "node2", "node3", "none")),
                "skipped overlay/f, no group extension (expected a name like fstab._all)",
            ],
            id="as many as are shown",
        ),
        pytest.param(
            ["tasks/d/t._all", "overlay/d/", "overlay/d.post"],
            b"/d/t",
            ["why: tasks/d/t._all, for group all (groups of node1: node1 batch rack1 all)"],
            id="a task",
        ),
    ],
)
def test_of_entry(tmp_path: Path, tree: list[str], destination: bytes, expected: list[str]) -> None:
    cluster, explainer = planted(tmp_path, *tree)
    who = cluster.nodes["node1"]
    assert explainer.of_entry(entry_of(explainer, who, destination), who) == expected


def test_of_entry_has_attributes(tmp_path: Path) -> None:
    cluster, explainer = planted(tmp_path, "overlay/f._all", attributes='# x\n\n- path: /f\n  mode: "0440"\n')
    who = cluster.nodes["node2"]
    assert explainer.of_entry(entry_of(explainer, who, b"/f"), who)[1:] == [
        "attributes: mode 0440 by attributes.yaml:3"
    ]


def test_of_entry_stays_short_if_every_node_has_its_own_version(tmp_path: Path) -> None:
    conf = tuple(f"node node{number} batch" for number in range(100))
    cluster, explainer = planted(tmp_path, *(f"overlay/f._node{number}" for number in range(100)), conf=conf)
    who = cluster.nodes["node7"]
    lines = explainer.of_entry(entry_of(explainer, who, b"/f"), who)
    assert len(lines) == 7
    assert lines[-1] == "skipped 94 more"


def test_names_that_were_left_out_are_indexed_once(tmp_path: Path) -> None:
    class Counted(list[LeftOut]):
        times = 0

        def __iter__(self) -> Iterator[LeftOut]:
            Counted.times += 1
            return super().__iter__()

    cluster, explainer = planted(tmp_path, "overlay/f._all", *(f"overlay/x{number}" for number in range(20)))
    explainer.repository.masterdir.left_out = Counted(explainer.repository.masterdir.left_out)
    who = cluster.nodes["node1"]
    for _ in range(10):
        assert explainer.of_entry(entry_of(explainer, who, b"/f"), who)
        assert list(explainer.remarks(who, [b"/f"]))
    assert Counted.times == 1


def verdicts(lines: list[str]) -> dict[str, str]:
    """Return the verdict on each source and trigger that was checked; empty if there is none."""
    made: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("checking "):
            name = line.removeprefix("checking $masterdir/")
            assert name not in made
            made[name] = ""
        elif line.startswith(f"skipping $masterdir/{name}, "):
            made[name] = "skipped"
        elif line.startswith("overridden by "):
            made[name] = "overridden"
        elif line.startswith("to be run"):
            made[name] = "run"
    return made


@given(overlay=trees, delete=trees)
def test_remarks_agree_with_the_entries(overlay: TreeOf, delete: TreeOf) -> None:
    """A node gets exactly the sources that are checked and neither skipped nor overridden."""
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        explainer = Explainer(repository)
        for who in (*NODES, node("n4", "h", "unheard-of")):
            entries = repository.entries(who)
            lines = list(explainer.remarks(who))
            made = verdicts(lines)
            assert {name for name, verdict in made.items() if not verdict} == {e.source.shown for e in entries}
            triggers = {e.trigger.decode() for e in owners(entries) if e.trigger is not None}
            assert {name for name, verdict in made.items() if verdict == "run"} == triggers
            assert lines == list(Explainer(repository).remarks(who))
            for e in entries:
                assert explainer.of_entry(e, who)[0].startswith(f"why: {e.source.shown}, for ")


@given(overlay=trees, delete=trees)
def test_remarks_on_all_destinations_are_all_remarks(overlay: TreeOf, delete: TreeOf) -> None:
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        walk = repository.masterdir
        destinations = {path for _, path in (*walk.candidates, *walk.triggers)}
        destinations |= {left.destination for left in walk.left_out}
        explainer = Explainer(repository)
        for who in NODES:
            assert list(explainer.remarks(who, destinations)) == list(explainer.remarks(who))
            by_one = {line for path in destinations for line in explainer.remarks(who, {path})}
            assert by_one == set(explainer.remarks(who))

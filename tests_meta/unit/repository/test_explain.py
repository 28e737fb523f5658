"""Why a node has a file: the words of the documentation, and that they say what the repository does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from pytest_synctool.config import Config
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.explain import Explainer
from pytest_synctool.repository.masterdir import LeftOut
from pytest_synctool.repository.resolution import load

from tests_meta.unit.helpers import ODD_NAMES, config, node
from tests_meta.unit.repository.test_repository_properties import NODES, TreeOf, masterdir, trees, walked
from tests_meta.unit.repository.test_resolution import plant

CONF = ("node node1 batch rack1", "node node2 login", "node node3", "ignore *.swp")
SKIPPED = "it is not one of my groups"


def planted(
    directory: Path, *tree: str, conf: tuple[str, ...] = CONF, attributes: str = ""
) -> tuple[Config, Explainer]:
    """A cluster, and an explainer of its repository."""
    found = config(directory, *conf)
    (found.masterdir / "overlay").mkdir(exist_ok=True)
    plant(found.masterdir, *tree)
    if attributes:
        (found.masterdir / "attributes.yaml").write_text(attributes)
    return found, Explainer(load(found))


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
            id="none is nobody's group",
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
            id="below what is not a directory",
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
            id="what is not there cannot keep anything from being deleted",
        ),
        pytest.param(
            ["overlay/f._batch", "delete/f._all"],
            "node1",
            [
                "checking $masterdir/overlay/f._batch",
                "checking $masterdir/delete/f._all",
                "skipping $masterdir/delete/f._all, $masterdir/overlay/f._batch is for the same destination",
            ],
            id="overlay counts before delete",
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
            id="delete counts where overlay has nothing",
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
            id="triggers of directories, of nothing, and of what is deleted",
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
    found, explainer = planted(tmp_path, *tree)
    said = [line.replace(str(found.path), "CONF") for line in explainer.remarks(found.nodes[who])]
    assert said == expected


def test_attributes_are_told_where_the_source_counts(tmp_path: Path) -> None:
    rules = '- path: /f\n  mode: "0440"\n- path: /f\n  groups: batch\n  owner: root\n'
    found, explainer = planted(tmp_path, "overlay/f._all", "overlay/f._rack1", "overlay/g._all", attributes=rules)
    assert list(explainer.remarks(found.nodes["node1"])) == [
        "checking $masterdir/overlay/f._all",
        "overridden by $masterdir/overlay/f._rack1",
        "checking $masterdir/overlay/f._rack1",
        "with owner root by attributes.yaml:3, mode 0440 by attributes.yaml:1",
        "checking $masterdir/overlay/g._all",
    ]
    assert "with mode 0440 by attributes.yaml:1" in list(explainer.remarks(found.nodes["node2"]))


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
    """Directories above that were left out are told: what they hold is not known."""
    tree = ("overlay/etc/f._all", "overlay/other._bogus/g._all", "overlay/x.swp/y._all", "overlay/name")
    found, explainer = planted(tmp_path, *tree, "delete/t._all", "tasks/t._all")
    said = explainer.remarks(found.nodes["node1"], destinations)
    assert [line.replace(str(found.path), "CONF") for line in said] == expected


def test_odd_names_are_printable(tmp_path: Path) -> None:
    found, _ = planted(tmp_path)
    for name in map(os.fsdecode, ODD_NAMES):
        for ending in ("", "._all", "._batch", ".post"):
            (found.masterdir / "overlay" / f"{name}{ending}").touch()
    explainer = Explainer(load(found))
    said = list(explainer.remarks(found.nodes["node1"]))
    assert len(said) == 6 * len(ODD_NAMES)
    assert all(line.isprintable() for line in said)
    for entry in explainer.repository.entries(found.nodes["node1"]):
        assert all(line.isprintable() for line in explainer.of_entry(entry, found.nodes["node1"]))


def entry_of(explainer: Explainer, who: Node, destination: bytes) -> Entry:
    """The entry of a node for a destination."""
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
            id="what must not exist",
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
    found, explainer = planted(tmp_path, *tree)
    who = found.nodes["node1"]
    assert explainer.of_entry(entry_of(explainer, who, destination), who) == expected


def test_of_entry_has_attributes(tmp_path: Path) -> None:
    found, explainer = planted(tmp_path, "overlay/f._all", attributes='# x\n\n- path: /f\n  mode: "0440"\n')
    who = found.nodes["node2"]
    assert explainer.of_entry(entry_of(explainer, who, b"/f"), who)[1:] == [
        "attributes: mode 0440 by attributes.yaml:3"
    ]


def test_of_entry_stays_short(tmp_path: Path) -> None:
    """Where every node has its own version."""
    conf = tuple(f"node node{number} batch" for number in range(100))
    found, explainer = planted(tmp_path, *(f"overlay/f._node{number}" for number in range(100)), conf=conf)
    who = found.nodes["node7"]
    lines = explainer.of_entry(entry_of(explainer, who, b"/f"), who)
    assert len(lines) == 7
    assert lines[-1] == "skipped 94 more"


def test_one_entry_is_explained_without_a_look_at_all_others(tmp_path: Path) -> None:
    class Counted(list[LeftOut]):
        times = 0

        def __iter__(self) -> Iterator[LeftOut]:
            Counted.times += 1
            return super().__iter__()

    found, explainer = planted(tmp_path, "overlay/f._all", *(f"overlay/x{number}" for number in range(20)))
    explainer.repository.masterdir.left_out = Counted(explainer.repository.masterdir.left_out)
    who = found.nodes["node1"]
    for _ in range(10):
        assert explainer.of_entry(entry_of(explainer, who, b"/f"), who)
        assert list(explainer.remarks(who, [b"/f"]))
    assert Counted.times == 1


def verdicts(lines: list[str]) -> dict[str, str]:
    """What is said of each source and trigger that was checked; empty where nothing is."""
    said: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("checking "):
            name = line.removeprefix("checking $masterdir/")
            assert name not in said
            said[name] = ""
        elif line.startswith(f"skipping $masterdir/{name}, "):
            said[name] = "skipped"
        elif line.startswith("overridden by "):
            said[name] = "overridden"
        elif line.startswith("to be run"):
            said[name] = "run"
    return said


@given(overlay=trees, delete=trees)
def test_remarks_agree_with_the_entries(overlay: TreeOf, delete: TreeOf) -> None:
    """What is checked and neither skipped nor overridden is what the node gets, and nothing else."""
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        explainer = Explainer(repository)
        for who in (*NODES, node("n4", "h", "unheard-of")):
            entries = repository.entries(who)
            lines = list(explainer.remarks(who))
            said = verdicts(lines)
            assert {name for name, verdict in said.items() if not verdict} == {e.source.shown for e in entries}
            triggers = [e.trigger.decode() for e in entries if e.trigger is not None]
            assert sorted(name for name, verdict in said.items() if verdict == "run") == sorted(triggers)
            assert lines == list(Explainer(repository).remarks(who))
            for e in entries:
                assert explainer.of_entry(e, who)[0].startswith(f"why: {e.source.shown}, for ")


@given(overlay=trees, delete=trees)
def test_remarks_on_all_destinations_are_all_remarks(overlay: TreeOf, delete: TreeOf) -> None:
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        found = repository.masterdir
        destinations = {path for _, path in (*found.candidates, *found.triggers)} | {
            x.destination for x in found.left_out
        }
        explainer = Explainer(repository)
        for who in NODES:
            assert list(explainer.remarks(who, destinations)) == list(explainer.remarks(who))
            by_one = {line for path in destinations for line in explainer.remarks(who, {path})}
            assert by_one == set(explainer.remarks(who))

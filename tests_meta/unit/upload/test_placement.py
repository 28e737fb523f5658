"""Places of an upload: every name in overlay/ becomes the same path again, and no other node gets the file unasked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import Config, parse
from pytest_synctool.config.model import Layout
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import ABSENT, Actual, Change, FileState, Kind, Unknown
from pytest_synctool.repository import resolution
from pytest_synctool.repository.source import parents
from pytest_synctool.upload.node_archive import NodeFile
from pytest_synctool.upload.placement import Placement, Proposal, in_words, node_names_in_words, propose

from tests_meta.unit.helpers import file_names, state
from tests_meta.unit.repository.test_resolution import plant

CONF = """\
masterdir master
node node1 batch rack1
node node2 batch
node node3 login
node old1 batch
ignore_node old1
ignore *.swp
ignore_dotfiles yes
"""
DIRECTORY = state(Kind.DIRECTORY, mode=0o755)


@pytest.fixture
def cluster(tmp_path: Path) -> Config:
    """Four nodes, one of them ignored, and an empty overlay/."""
    (tmp_path / "master/overlay").mkdir(parents=True)
    return parse(CONF, tmp_path / "synctool.conf")


def proposed(
    cluster: Config,
    *states: tuple[str, FileState],
    suffix: str | None = None,
    above: Mapping[bytes, Actual] | None = None,
    node: str = "node1",
) -> Proposal:
    """Propose places for files of a node, each a path and its state."""
    files = [NodeFile(os.fsencode(path), each) for path, each in states]
    all_above = {**dict.fromkeys(parents(files[0].path), DIRECTORY), **(above or {})}
    return propose(cluster, resolution.load(cluster), cluster.nodes[node], all_above, files, suffix)


def places(proposal: Proposal) -> dict[str, str]:
    """Return the places with the nodes that use them."""
    return {each.source.shown: " ".join(each.nodes) for each in proposal.placements}


class TestExtension:
    """The group of a new source."""

    def test_a_new_file_is_the_nodes_own(self, cluster: Config) -> None:
        """A new directory gets no extension, so every node gets it."""
        assert places(proposed(cluster, ("/d/f", state()))) == {
            "overlay/d": "node1 node2 node3", "overlay/d/f._node1": "node1"
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("suffix", "nodes"),
        [("all", "node1 node2 node3"), ("batch", "node1 node2"), ("login", "node3"), ("none", ""), ("node2", "node2")],
    )
    def test_a_suffix_sets_the_group(self, cluster: Config, suffix: str, nodes: str) -> None:
        proposal = proposed(cluster, ("/f", state()), suffix=suffix)
        assert places(proposal) == {f"overlay/f._{suffix}": nodes}
        assert proposal.remarks == (
            () if "node1" in nodes else (f"overlay/f._{suffix} is not for node1, which is not in its group",)
        )

    @pytest.mark.parametrize(
        ("sources", "node", "place"),
        [
            ("f._all", "node1", "f._all"),
            ("f._all f._login", "node1", "f._all"),
            ("f._all f._batch f._rack1", "node1", "f._batch"),
            ("f._login", "node1", "f._node1"),
            ("d._batch/f._all", "node1", "d._batch/f._all"),
            ("d._batch/f._all d/f._node1", "node1", "d._batch/f._all"),
            ("f._none", "node1", "f._node1"),
            ("f._all", "old1", "f._all"),
        ],
    )
    def test_the_source_that_the_node_uses_is_replaced(
        self, cluster: Config, sources: str, node: str, place: str
    ) -> None:
        plant(cluster.masterdir, *(f"overlay/{source}" for source in sources.split()))
        path = "/d/f" if "/" in place else "/f"
        proposal = proposed(cluster, (path, state()), node=node)
        assert [each.source.shown for each in proposal.placements] == [f"overlay/{place}"]
        assert node in proposal.placements[0].nodes

    def test_a_new_source_goes_beside_the_one_that_the_node_uses(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/d._batch/f._all", "overlay/d/g._all")
        assert places(proposed(cluster, ("/d/f", state()), suffix="rack1")) == {"overlay/d._batch/f._rack1": "node1"}
        assert places(proposed(cluster, ("/d/new", state()))) == {"overlay/d/new._node1": "node1"}

    def test_a_less_important_source_is_remarked(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/f._node1")
        proposal = proposed(cluster, ("/f", state()), suffix="batch")
        assert places(proposal) == {"overlay/f._batch": "node2"}
        assert proposal.remarks == ("overlay/f._batch is not for node1, which goes on using overlay/f._node1",)


class TestLayouts:
    """Masterdirs of other releases of synctool."""

    @pytest.mark.parametrize(
        ("path", "suffix", "place"),
        [
            ("/d/f", None, {"overlay/batch/d/f._all": "node1 node2"}),
            ("/d/f", "rack1", {"overlay/batch/d/f._rack1": "node1"}),
            ("/d/new", None, {"overlay/batch/d/new._node1": "node1"}),
            ("/e/new", None, {"overlay/all/e": "node1 node2 node3", "overlay/all/e/new._node1": "node1"}),
            ("/g", "all", {"overlay/all/g._all": "node1 node2 node3"}),
        ],
    )
    def test_a_tree_for_each_group(self, cluster: Config, path: str, suffix: str | None, place: dict[str, str]) -> None:
        plant(cluster.masterdir, "overlay/batch/d/f._all", "overlay/all/")
        seven = replace(cluster, layout=Layout.GROUPS)
        assert places(proposed(seven, (path, state()), suffix=suffix)) == place

    def test_several_directories_of_overlay(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/b/d/f._all", "overlay/a/")
        five = replace(cluster, directories={"overlay": ("overlay/a", "overlay/b")})
        assert places(proposed(five, ("/d/f", state()))) == {"overlay/b/d/f._all": "node1 node2 node3"}
        assert places(proposed(five, ("/g", state()))) == {"overlay/a/g._node1": "node1"}


class TestTrees:
    """Directories with their contents."""

    def test_names_and_remarks(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/d/kept._all", "overlay/d/gone._all")
        proposal = proposed(
            cluster,
            ("/d", DIRECTORY),
            ("/d/.hidden", state()),
            ("/d/a._b", DIRECTORY),
            ("/d/a._b/c._d", state()),
            ("/d/kept", state()),
            ("/d/x.post", state()),
            ("/d/x.swp", DIRECTORY),
            ("/d/x.swp/below", state()),
            ("/d/y.post", DIRECTORY),
        )
        assert list(places(proposal)) == [
            "overlay/d", "overlay/d/a._b._all", "overlay/d/a._b._all/c._d._node1", "overlay/d/kept._all",
            "overlay/d/y.post",
        ]  # fmt: skip
        conf = cluster.path
        assert proposal.remarks == (
            f"left out: /d/.hidden: the name .hidden._node1 is ignored by 'ignore_dotfiles' ({conf}:8)",
            "left out: /d/x.post: the name x.post._node1 would be that of a trigger",
            f"left out: /d/x.swp: the name x.swp is ignored by 'ignore *.swp' ({conf}:7)",
            "overlay/d/gone._all is not on node1, it is left as it is",
        )

    @pytest.mark.parametrize(
        ("source", "file", "reason"),
        [
            ("f._all/x._all", ("/f", state()), "overlay/f._all is a directory, /f of node1 is not: move it away first"),
            ("d._all", ("/d", DIRECTORY), "overlay/d._all is a file, /d of node1 is a directory: move it away first"),
            ("d._all", ("/d/f", state()), "overlay/d._all is a file, so nothing can be below it"),
        ],
    )
    def test_a_source_of_another_type_is_refused(
        self, cluster: Config, source: str, file: tuple[str, FileState], reason: str
    ) -> None:
        plant(cluster.masterdir, f"overlay/{source}")
        with pytest.raises(RepositoryError) as error:
            proposed(cluster, file)
        assert str(error.value) == reason

    def test_a_directory_with_the_name_of_the_new_source_is_refused(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/f._login/x._all")
        with pytest.raises(RepositoryError, match=r"f._login is a directory, /f of node1 is a file: move it away"):
            proposed(cluster, ("/f", state()), suffix="login")


class TestAbove:
    """The directories above the file, on the node."""

    LINK = state(Kind.LINK, target=b"usr/lib")

    @pytest.mark.parametrize(
        ("actual", "reason"),
        [
            (LINK, "node1: /lib is a symbolic link to usr/lib: name the file by the path that it leads to"),
            (Unknown("Permission denied"), "node1: /lib cannot be looked at: Permission denied"),
            (ABSENT, "node1: /lib is missing"),
        ],
    )
    def test_a_path_above_that_is_no_directory_is_refused(self, cluster: Config, actual: Actual, reason: str) -> None:
        with pytest.raises(RepositoryError) as error:
            proposed(cluster, ("/lib/f", state()), above={b"/lib": actual})
        assert str(error.value) == reason

    def test_a_link_with_follow_counts_as_a_directory(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/lib/g._all")
        (cluster.masterdir / "attributes.yaml").write_text("- {path: /lib, follow: yes}\n")
        proposal = proposed(cluster, ("/lib/f", state()), above={b"/lib": self.LINK})
        assert list(places(proposal)) == ["overlay/lib/f._node1"]


class TestChanges:
    """Differences between the node's file and the current source."""

    def test_attributes_change_the_expected_state(self, cluster: Config) -> None:
        plant(cluster.masterdir, "overlay/f._all")
        source = cluster.masterdir / "overlay/f._all"
        source.write_bytes(b"abc")
        source.chmod(0o600)
        (cluster.masterdir / "attributes.yaml").write_text('- {path: /f, mode: "0644", owner: root, group: root}\n')
        same = state(md5="900150983cd24fb0d6963f7d28e17f72")
        (one,) = proposed(cluster, ("/f", same)).placements
        assert (one.is_done, one.changes) == (True, ())
        (one,) = proposed(cluster, ("/f", replace(same, mode=0o600))).placements
        assert (one.same_contents, one.changes) == (True, (Change("mode", "0644", "0600"),))
        (one,) = proposed(cluster, ("/f", replace(same, size=4))).placements
        assert (one.same_contents, one.is_done) == (False, False)
        (new,) = proposed(cluster, ("/new", same)).placements
        assert (new.existing, new.same_contents, new.is_done) == (None, False, False)

    def test_an_entry_in_delete_is_remarked(self, cluster: Config) -> None:
        plant(cluster.masterdir, "delete/f._batch", "delete/g._login")
        assert proposed(cluster, ("/f", state())).remarks == ("delete/f._batch says that /f must not exist",)
        assert proposed(cluster, ("/g", state())).remarks == ()


@given(names=st.lists(file_names, min_size=1, max_size=4), kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.LINK]))
def test_any_name_becomes_the_same_path_again_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], kind: Kind
) -> None:
    directory = tmp_path_factory.mktemp("cluster")
    (directory / "master/overlay").mkdir(parents=True)
    cluster = parse(f"{CONF}layout 4\n", directory / "synctool.conf")  # /all would be the tree of a group
    path = b"/" + b"/".join(names)
    try:
        proposal = proposed(cluster, (os.fsdecode(path), state(kind)))
    except RepositoryError:
        assert any(name.startswith(b".") or name.endswith((b".swp", b".post", b"._template")) for name in names)
        return
    for each in proposal.placements:
        new_source = cluster.masterdir / os.fsdecode(each.source.relative)
        if each.state.kind is Kind.DIRECTORY:
            new_source.mkdir()
        elif each.state.kind is Kind.LINK:
            new_source.symlink_to("target")
        else:
            new_source.touch()
    entries = resolution.load(cluster).entries(cluster.nodes["node1"])
    assert [entry.destination for entry in entries] == [*parents(path), path]
    assert entries[-1].source.relative == proposal.placements[-1].source.relative


class TestWords:
    """Messages about a place."""

    def placement(self, cluster: Config, each: FileState) -> Placement:
        """Return the place of /f."""
        return proposed(cluster, ("/f", each)).placements[0]

    @pytest.mark.parametrize(
        ("each", "words"),
        [
            (state(), "/f uploaded to overlay/f._node1 (0644 root:root, 3 bytes)"),
            (state(owner=None, uid=7), "/f uploaded to overlay/f._node1 (0644 7:root, 3 bytes)"),
            (DIRECTORY, "/f uploaded to overlay/f (0755 root:root, a directory)"),
            (state(Kind.LINK), "/f uploaded to overlay/f._node1 (a link to target)"),
        ],
    )
    def test_a_new_source(self, cluster: Config, each: FileState, words: str) -> None:
        placement = self.placement(cluster, each)
        assert in_words(placement, done=True) == words
        assert in_words(placement, done=False) == words.replace("/f uploaded", "/f would be uploaded")

    @pytest.mark.parametrize(
        ("nodes", "words"),
        [
            ("node1 node2 node3", "every node"),
            ("node1 node2", "node[1-2]"),
            ("", "no node"),
            ("node1 node2 node3 old1", "every node"),
        ],
    )
    def test_nodes(self, cluster: Config, nodes: str, words: str) -> None:
        assert node_names_in_words(nodes.split(), cluster) == words


def test_a_new_file_of_a_directory_in_purge(cluster: Config) -> None:
    """It gets the name that it has on the node, since names there have no groups; a group cannot be chosen."""
    master = cluster.masterdir
    (master / "purge/batch/srv/app").mkdir(parents=True)
    (master / "purge/batch/srv/app/file").touch()
    seven = replace(cluster, layout=Layout.GROUPS)
    made = proposed(seven, ("/srv/app/new._x", state()))
    assert places(made) == {"purge/batch/srv/app/new._x": "node1 node2"}
    with pytest.raises(RepositoryError, match="purge/batch/srv/app: names in purge/ have no groups: leave out -s"):
        proposed(seven, ("/srv/app/new", state()), suffix="batch")

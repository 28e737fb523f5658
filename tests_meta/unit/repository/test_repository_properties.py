"""Properties of the resolution that hold for every masterdir, with random trees."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hypothesis import assume, given
from hypothesis import strategies as st
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Kind, Node
from pytest_synctool.repository.masterdir import scan
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree, by_component

from tests_meta.unit.helpers import file_names, node

NODES = (node("n1", "g", "h"), node("n2", "h", "g"), node("n3"))
KNOWN = {"n1", "n2", "n3", "g", "h", "all", "none"}

# A directory of a tree: names with None for a file, bytes for a symbolic link, or a directory.
TreeOf = dict[bytes, "bytes | TreeOf | None"]
_names = st.builds(
    lambda base, ext: base + ext,
    st.sampled_from([b"a", b"b", b".c", b"b.post"]),
    st.sampled_from([b"", b"._all", b"._n1", b"._g", b"._h", b"._none", b"._bogus"]),
)
_leaves = st.none() | st.just(b"target")


def _trees(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[TreeOf]:
    return st.recursive(
        st.dictionaries(names, _leaves, max_size=6),
        lambda below: st.dictionaries(names, _leaves | below, max_size=6),
        max_leaves=14,
    )


trees = _trees(_names)
odd_trees = _trees(
    st.builds(lambda name, ext: name + ext, file_names, st.sampled_from([b"", b"._all", b"._", b".post"]))
)


def build(top: Path, tree: TreeOf) -> None:
    """Make a tree at a path."""
    top.mkdir()
    for name, content in tree.items():
        path = top / os.fsdecode(name)
        if isinstance(content, dict):
            build(path, content)
        elif content is None:
            path.touch()
        else:
            path.symlink_to(os.fsdecode(content))


@contextmanager
def masterdir(overlay: TreeOf, delete: TreeOf | None = None) -> Iterator[Path]:
    """Make a temporary masterdir with these trees."""
    with tempfile.TemporaryDirectory() as name:
        build(Path(name, "overlay"), overlay)
        build(Path(name, "delete"), delete or {})
        yield Path(name)


def walked(master: Path) -> Repository:
    return Repository(scan(master, KNOWN, IgnoreRules()))


def chosen(repository: Repository, who: Node) -> dict[tuple[Tree, bytes], tuple[bytes, bytes | None]]:
    return {(e.tree, e.destination): (e.source.relative, e.trigger) for e in repository.entries(who)}


def paths(tree: TreeOf, above: tuple[bytes, ...] = ()) -> Iterator[tuple[tuple[bytes, ...], bool]]:
    """Yield every path of a tree as its components, and True for a directory."""
    for name, content in tree.items():
        yield (*above, name), isinstance(content, dict)
        if isinstance(content, dict):
            yield from paths(content, (*above, name))


def model(tree: TreeOf, who: Node) -> dict[bytes, bytes]:
    """Return the sources of a node by a plain reading of the documentation: the best path for each destination."""
    best: dict[bytes, tuple[list[int], tuple[bytes, ...], bool]] = {}
    for components, is_directory in paths(tree):
        split = [name.rpartition(b"._") if b"._" in name else (name, b"", None) for name in components]
        groups = ["all" if group is None else group.decode() for _, _, group in split]
        needs_extension = not is_directory
        if not set(groups) <= set(who.groups) or (needs_extension and split[-1][2] is None):
            continue
        if not is_directory and split[-1][0].endswith(b".post"):
            continue
        destination = b"/" + b"/".join(base for base, _, _ in split)
        rank = ([who.groups.index(group) for group in groups], (b"overlay", *components), is_directory)
        best[destination] = min(best.get(destination, rank), rank)
    files = {destination for destination, (_, _, is_directory) in best.items() if not is_directory}
    return {
        destination: b"/".join(relative)
        for destination, (_, relative, _) in best.items()
        if not any(destination.startswith(file + b"/") for file in files)
    }


@given(tree=trees, groups=st.lists(st.permutations(["g", "h"]), max_size=3), upto=st.integers(0, 2))
def test_the_most_important_source_is_chosen(tree: TreeOf, groups: list[list[str]], upto: int) -> None:
    """Sources are chosen as in "The groups a node is in" of the documentation, and by component from the root."""
    more = [node(f"n{number}", *order[:upto]) for number, order in enumerate(groups, 1)]
    with masterdir(tree) as master:
        repository = walked(master)
        for who in (*NODES, *more):
            sources = {path: source for (_, path), (source, _) in chosen(repository, who).items()}
            assert sources == model(tree, who)


@given(overlay=odd_trees, delete=odd_trees)
def test_any_tree_is_walked_or_refused(overlay: TreeOf, delete: TreeOf) -> None:
    """A destination of a tree has one entry, and its parent is a directory."""
    with masterdir(overlay, delete) as master:
        try:
            repository = walked(master)
        except RepositoryError:
            return
        for who in NODES:
            entries = repository.entries(who)
            kinds = {e.destination: e.expected.kind for e in entries if e.tree is Tree.OVERLAY}
            assert len({(e.tree, e.destination) for e in entries}) == len(entries)
            for destination in kinds:
                parent = os.path.dirname(destination)
                assert parent == b"/" or kinds[parent] is Kind.DIRECTORY
        assert all(warning.isprintable() for warning in repository.warnings)


@given(overlay=trees, delete=trees, seed=st.randoms(use_true_random=False))
def test_the_order_of_listings_changes_nothing(overlay: TreeOf, delete: TreeOf, seed: random.Random) -> None:
    scandir = os.scandir

    @contextmanager
    def shuffled(path: bytes) -> Iterator[list[os.DirEntry[bytes]]]:
        with scandir(path) as listing:
            children = list(listing)
        seed.shuffle(children)
        yield children

    with masterdir(overlay, delete) as master:
        straight = walked(master)
        with patch("os.scandir", shuffled):
            other = walked(master)
        for who in NODES:
            assert list(chosen(straight, who).items()) == list(chosen(other, who).items())
        assert straight.warnings == other.warnings


@given(overlay=trees, delete=trees)
def test_none_is_never_chosen(overlay: TreeOf, delete: TreeOf) -> None:
    """The documentation says: "an implicit group 'none' that applies to no nodes"."""
    with masterdir(overlay, delete) as master:
        repository = walked(master)
        for who in NODES:
            for source, trigger in chosen(repository, who).values():
                assert b"._none" not in source + (trigger or b"")


@given(tree=trees, data=st.data())
def test_a_more_important_source_always_wins(tree: TreeOf, data: st.DataObject) -> None:
    """The documentation says: "The nodename itself can also be used as a group". No group is more important."""
    who = NODES[0]
    with masterdir(tree) as master:
        before = chosen(walked(master), who)
        files = [destination for _, destination in before if not destination.endswith(b".post")]
        assume(files)
        destination = data.draw(st.sampled_from(files))
        added = b"overlay/" + b"/".join(part + b"._n1" for part in destination.split(b"/")[1:])
        path = master / os.fsdecode(added)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            assume(False)  # a parent exists and is not a directory
        after = chosen(walked(master), who)
        assert after[Tree.OVERLAY, destination][0] == added
        others = {key for key in before if not key[1].startswith(destination) and not destination.startswith(key[1])}
        assert {key: before[key] for key in others} == {key: after.get(key) for key in others}


@given(st.lists(st.lists(file_names | st.sampled_from([b"a", b"a!", b"a\x01", b"ab"]), max_size=4), max_size=12))
def test_paths_are_sorted_name_by_name(paths: list[list[bytes]]) -> None:
    joined = [b"/" + b"/".join(names) for names in paths]
    assert sorted(joined, key=by_component) == [b"/" + b"/".join(names) for names in sorted(paths)]

"""Explanations why a node has a file or not, in the words of the documentation of synctool 4.x ("synctool -v")."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.model import Node
from pytest_synctool.repository.candidates import Candidate, LeftOut, Reason
from pytest_synctool.repository.destination_resolver import by_importance
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.later_releases import PURGE
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Destination, Source, Tree, parents

# Lines about one destination, so that a test's details stay short if every node has its own version of a file.
_MOST_SHOWN: Final = 5
# Reasons for which the walk leaves out a directory with all below it.
_OF_DIRECTORIES: Final = (Reason.EMPTY_EXTENSION, Reason.UNKNOWN_GROUP, Reason.IGNORED)


class Explainer:
    """Explanations of a repository. Threads can share one: apart from indexes that are made once, it has no state."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    def remarks(self, node: Node, destinations: Collection[bytes] | None = None) -> Iterator[str]:
        """Yield lines on the choice of sources for a node, such as `checking $masterdir/overlay/etc/motd._all`.

        They are in the order of the trees: overlay/, delete/, tasks/, with parents before the paths in them.
        `destinations` are absolute paths on the node; None stands for everything in the masterdir. Only then are tasks
        included, since they have no path on the node. With `destinations`, the lines include directories above them
        that were left out.
        """
        if destinations is None:
            for destination in self._destinations:
                yield from self._lines(destination, node)
            return
        wanted = {Destination(tree, path) for tree in (Tree.OVERLAY, Tree.DELETE) for path in destinations}
        above = {Destination(tree, parent) for tree, path in wanted for parent in parents(path)}
        for destination in sorted(wanted | above, key=_in_order):
            if destination in wanted:
                yield from self._lines(destination, node)
            else:
                yield from (
                    _left_out(left) for left in self._left_out_of(destination) if left.reason in _OF_DIRECTORIES
                )
        for contents in self.repository.entries(node).exclusive:
            for path in (path for path in destinations if not contents.may_have(path)):
                top = printable(contents.destination.rstrip(b"/"))
                yield f"{printable(path)} must not exist, {top} has {', '.join(_origins_of(contents))}"

    def of_entry(self, entry: Entry, node: Node) -> list[str]:
        """Return a few lines on the source that an entry of a node uses, and why. Names are below the masterdir."""
        destination = Destination(entry.tree, entry.destination)
        if entry.tree is Tree.EXCLUSIVE:
            destination = Destination(Tree.OVERLAY, entry.destination.rstrip(b"/"))
        applying, others = self.repository.considered(destination, node)
        chosen = next((c for c in applying if c.relative == entry.source.relative), None)
        groups = _groups_in_words(() if chosen is None else chosen.groups)
        lines = [f"why: {entry.source.shown}, for {groups} (groups of {node.name}: {' '.join(node.groups)})"]
        lines += [f"{how} {entry.source.shown}" for how in [entry.how_made] if how]
        lines += _short([f"overrides {printable(c.relative)}" for c in applying if c is not chosen])
        skipped = [f"skipped {printable(c.relative)}, not one of its groups" for c in _by_name(others)]
        skipped += [_sentence(left, "skipped", "ignored", "") for left in self._left_out_of(destination)]
        lines += _short(skipped)
        if entry.attributes is not None:
            lines.append(f"attributes: {', '.join(entry.attributes.origins)}")
        if entry.trigger is not None:
            lines.append(f"trigger: {printable(entry.trigger)}")
        lines += self._trigger_above(entry, node)
        return lines

    def _trigger_above(self, entry: Entry, node: Node) -> list[str]:
        """Return lines on the triggers of the directory that an entry is in, which a change of the entry runs too."""
        parent = Destination(Tree.OVERLAY, entry.destination.rpartition(b"/")[0])
        directory = entry.directory
        lines = [] if directory is None or directory.trigger is None else [directory.trigger]
        if entry.tree is not Tree.TASKS and self._source(parent, node) is not None:
            triggers = by_importance(self.repository.masterdir.triggers.get(parent, []), node.groups)
            lines += [trigger.relative for trigger in triggers[:1]]
        return [f"trigger: {printable(line)}, of {printable(parent.path)}" for line in lines]

    @cached_property
    def _left_out(self) -> dict[Destination, list[LeftOut]]:
        by_destination: dict[Destination, list[LeftOut]] = {}
        for left in self.repository.masterdir.left_out:
            top = left.relative.partition(b"/")[0].decode("ascii")
            tree = Tree.OVERLAY if top == PURGE else Tree(top)
            by_destination.setdefault(Destination(tree, left.destination), []).append(left)
        return by_destination

    @cached_property
    def _destinations(self) -> list[Destination]:
        """Every destination of a source, a trigger or a name that was left out, in the order of the trees."""
        masterdir = self.repository.masterdir
        return sorted({*masterdir.candidates, *masterdir.triggers, *self._left_out}, key=_in_order)

    @cached_property
    def _may_block(self) -> frozenset[bytes]:
        """Destinations in overlay/ that are not a directory on some node, and block destinations below them there."""
        return frozenset(
            path
            for (tree, path), candidates in self.repository.masterdir.candidates.items()
            if tree is Tree.OVERLAY and any(c.source is not None and not c.source.is_directory for c in candidates)
        )

    def _left_out_of(self, destination: Destination) -> Sequence[LeftOut]:
        return self._left_out.get(destination, ())

    def _most_important(self, destination: Destination, node: Node) -> Source | None:
        """Return the most important source of a destination, without regard to other destinations."""
        ranked = by_importance(self.repository.masterdir.candidates.get(destination, []), node.groups)
        return ranked[0].source if ranked else None

    def _source(self, destination: Destination, node: Node) -> Source | None:
        """Return the source that a node uses for a destination, or None."""
        source = self._most_important(destination, node)
        return None if source is None or self._obstacle(source, node) is not None else source

    def _obstacle(self, source: Source, node: Node) -> str | None:
        """Return the reason why a node does not use its most important source, or None if it does."""
        if source.tree is Tree.OVERLAY:
            for parent in parents(source.destination):
                if parent not in self._may_block:
                    continue
                above = self._most_important(Destination(Tree.OVERLAY, parent), node)
                if above is not None and not above.is_directory:
                    kind = above.state.kind.value
                    return f"{printable(parent)} is not a directory but a {kind} on this node ({_full(above.relative)})"
        if source.tree is Tree.DELETE:
            kept = self._source(Destination(Tree.OVERLAY, source.destination), node)
            if kept is not None:
                return f"{_full(kept.relative)} is for the same destination"
        return None

    def _lines(self, destination: Destination, node: Node) -> Iterator[str]:
        """Yield the lines on one destination: sources and names that were left out, by name, then triggers."""
        applying, others = self.repository.considered(destination, node)
        first = applying[0] if applying else None
        named = [(c.relative, self._candidate(c, first, c in applying, node)) for c in (*applying, *others)]
        named += [(left.relative, iter((_left_out(left),))) for left in self._left_out_of(destination)]
        for _, lines in sorted(named, key=lambda pair: pair[0]):
            yield from lines
        if destination in self.repository.masterdir.triggers:
            yield from self._triggers(destination, node)

    def _candidate(self, candidate: Candidate, first: Candidate | None, applies: bool, node: Node) -> Iterator[str]:
        shown = _full(candidate.relative)
        yield f"checking {shown}"
        if not applies:
            yield f"skipping {shown}, it is not one of my groups"
        elif first is not None and candidate is not first:
            yield f"overridden by {_full(first.relative)}"
        elif candidate.source is not None:
            if (obstacle := self._obstacle(candidate.source, node)) is not None:
                yield f"skipping {shown}, {obstacle}"
            elif attributes := self.repository.attributes.decide(candidate.source, node.groups):
                yield f"with {', '.join(attributes.origins)}"
            elif candidate.source.tree is Tree.DELETE:
                yield f"{printable(candidate.source.destination)} must not exist"

    def _triggers(self, destination: Destination, node: Node) -> Iterator[str]:
        tree, path = destination
        candidates = self.repository.masterdir.triggers[destination]
        applying = by_importance(candidates, node.groups)
        first = applying[0] if applying else None
        source = self._source(destination, node)
        for candidate in _by_name(candidates):
            yield from self._candidate(candidate, first, candidate in applying, node)
            if candidate is not first:
                continue
            if tree is Tree.TASKS:
                yield f"skipping {_full(candidate.relative)}, tasks have no triggers"
            elif tree is Tree.DELETE and self._deletes_in(path, node):
                yield f"to be run after something directly in {printable(path)} was deleted"
            elif source is None:
                yield f"skipping {_full(candidate.relative)}, {tree.value}/ has no {printable(path)} for this node"
            else:
                inside = " or something directly in it" if source.is_directory else ""
                yield f"to be run after {printable(path)}{inside} was changed"

    def _deletes_in(self, path: bytes, node: Node) -> bool:
        """Return True if a node must not have something that is directly in a directory."""
        return any(self._source(destination, node) is not None for destination in self._deleted_in.get(path, ()))

    @cached_property
    def _deleted_in(self) -> dict[bytes, list[Destination]]:
        by_directory: dict[bytes, list[Destination]] = {}
        for destination in self.repository.masterdir.candidates:
            if destination.tree is Tree.DELETE:
                by_directory.setdefault(destination.path.rpartition(b"/")[0], []).append(destination)
        return by_directory


def _origins_of(contents: Entry) -> list[str]:
    """Return what makes a directory exclusive: `exclusive yes by attributes.yaml:3`."""
    origins = () if contents.attributes is None else contents.attributes.origins
    return [each for each in origins if each.startswith(("exclusive ", "allow "))]


def _in_order(destination: Destination) -> tuple[int, list[bytes]]:
    return list(Tree).index(destination.tree), destination.path.split(b"/")


def _by_name(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.relative)


def _full(relative: bytes) -> str:
    return f"$masterdir/{printable(relative)}"


def _left_out(left: LeftOut) -> str:
    return _sentence(left, "skipping", "ignoring", "$masterdir/")


def _sentence(left: LeftOut, skipped: str, ignored: str, above: str) -> str:
    """Return the reason why a name was left out, as a sentence about it that begins with one of the two verbs."""
    verb = ignored if left.reason is Reason.IGNORED else skipped
    return f"{verb} {above}{printable(left.relative)}, {left.cause}"


def _groups_in_words(groups: Iterable[str | None]) -> str:
    """Return `group batch`, or `groups rack1 and all` if several components have one, or `all` if none has."""
    named = list(dict.fromkeys(group for group in groups if group is not None))
    if len(named) < 2:
        return f"group {named[0]}" if named else "all"
    return f"groups {', '.join(named[:-1])} and {named[-1]}"


def _short(lines: Sequence[str]) -> list[str]:
    if len(lines) <= _MOST_SHOWN:
        return list(lines)
    more = len(lines) - _MOST_SHOWN
    return [*lines[:_MOST_SHOWN], f"{lines[0].partition(' ')[0]} {more} more"]

"""New trees in a plan: directories that the audit did not find, with all that belongs below them.

A new tree is made in the stage as a whole and appears on the node by one rename. Pure: this module contacts no node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_synctool.repair.plan import Action, NewVersion


@dataclass(frozen=True, slots=True)
class NewTree:
    """A new directory with its number in the plan, and the numbered actions below it, parents first."""

    number: int
    top: Action
    below: Sequence[tuple[int, Action]]


def new_trees(actions: Sequence[tuple[int, Action]]) -> tuple[list[NewTree], list[tuple[int, Action]]]:
    """Return the new trees of some actions, those of one directory together, and the other actions in their order."""
    tops: dict[bytes, tuple[int, Action]] = {}
    top_of: dict[bytes, bytes] = {}
    directories = [(number, each, work) for number, each in actions if (work := _new_directory(each)) is not None]
    directories.sort(key=lambda each: each[1].path.count(b"/"))
    for number, action, work in directories:
        if (above := action.directory) in top_of and work.old in ("nothing", "missing"):
            top_of[action.path] = top_of[above]
        elif work.old == "nothing":
            top_of[action.path] = action.path
            tops[action.path] = number, action
    below: dict[bytes, list[tuple[int, Action]]] = {path: [] for path in tops}
    for number, action in actions:
        if _fits(action) and (top := top_of.get(action.directory)) is not None:
            below[top].append((number, action))
    trees = [NewTree(*tops[path], members) for path, members in below.items() if members]
    trees.sort(key=lambda tree: (tree.top.directory, tree.number))
    inside = {number for tree in trees for number in (tree.number, *(number for number, _ in tree.below))}
    return trees, [(number, action) for number, action in actions if number not in inside]


def _new_directory(action: Action) -> NewVersion | None:
    work = action.work
    return work if isinstance(work, NewVersion) and work.make == "directory" else None


def _fits(action: Action) -> bool:
    """Return True for what can be made with the directory above it: nothing is there yet, and nothing can refuse it."""
    work = action.work
    return isinstance(work, NewVersion) and work.old not in ("swap", "leave") and not work.validate

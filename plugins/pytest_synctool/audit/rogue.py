"""Names in exclusive directories that are in no entry: what an answer about them means. No input or output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from pytest_synctool.audit.listing import MOST_ROGUE, Listed, Listing, Names, Silent, TooMany
from pytest_synctool.common.wording import printable
from pytest_synctool.model import ABSENT, Actual, Change, FileState, Kind, Outcome, Status, Unknown
from pytest_synctool.repository.entry import ExclusiveContents
from pytest_synctool.repository.vital_paths import is_above_vital, vital_reason

_MOST_SHOWN: Final = 20


def listing(contents: ExclusiveContents) -> Listing:
    """Return the directories to list."""
    return Listing(tuple(contents.known), sum(map(len, contents.known.values())))


def rogue_names(
    contents: ExclusiveContents, listed: Mapping[bytes, Listed], states: Mapping[bytes, Actual], own: Iterable[bytes]
) -> Names | Outcome:
    """Return the paths that must not be there, with their kinds, or the outcome of a directory that is not known.

    `listed` and `states` are the node's answers about the directories. `own` are paths that the tool needs.
    """
    top, names = contents.destination.rstrip(b"/"), {}
    for directory in contents.known:
        answer = listed.get(directory)
        if isinstance(answer, TooMany):
            return _too_many(f"{answer.count:,} names in {printable(directory)}")
        if isinstance(answer, Silent):
            return _error(f"{printable(top)} does not answer within {answer.seconds} s")
        if isinstance(answer, Mapping):
            names.update({os.path.join(directory, name): kind for name, kind in answer.items()})
        elif (reason := _reason(directory, states[directory])) is not None:
            return _error(reason)
    kept = [path + b"/" for path in own]
    rogue = {
        path: kind
        for path, kind in names.items()
        if not contents.may_have(path) and not any(each.startswith(path + b"/") for each in kept)
    }
    return rogue if len(rogue) <= MOST_ROGUE else _too_many(f"{len(rogue):,} of them")


def _too_many(number: str) -> Outcome:
    return Outcome(
        Status.ERROR,
        f"more than {MOST_ROGUE:,} names beside the entries ({number}): nothing is removed; is this directory meant?",
    )


def _error(reason: str) -> Outcome:
    return Outcome(Status.ERROR, f"cannot be looked at: {reason}")


def _reason(directory: bytes, state: Actual) -> str | None:
    """Return the reason why the names in a directory are not known, or None if there is no directory."""
    if state is ABSENT:
        return None
    shown = printable(directory)
    if isinstance(state, Unknown):
        return f"{shown}: {state.reason}"
    if isinstance(state, FileState) and state.kind is not Kind.DIRECTORY:
        return f"{shown} is a {state.kind.value}, and nothing is listed through one"
    return f"{shown} cannot be listed, or a link leads to it"


def drift(contents: ExclusiveContents, rogue: Names) -> Outcome:
    """Return the outcome for these paths: its message and its difference have the first names, and their number."""
    names = [_shown(contents, path, kind) for path, kind in sorted(rogue.items())]
    first, source = _first(names), contents.source.shown
    are = f"{first} is" if len(names) == 1 else f"{len(names):,} names are"
    message = f"{are} not in the masterdir" + ("" if len(names) == 1 else f": {first}")
    details = [f"not in the masterdir: {path}" for path in _paths(rogue)]
    if not contents.is_tree and Kind.DIRECTORY in rogue.values():
        details.append("a directory stays: only 'exclusive: tree' removes directories")
    return Outcome(
        Status.DRIFT,
        message,
        (*details, f"source: {source}"),
        (Change("contents", "nothing else", first),),
        source,
    )


def removable(contents: ExclusiveContents, path: bytes, kind: Kind) -> str | None:
    """Return the reason why a repair must not remove a path in no entry, or None if it may."""
    if kind is Kind.DIRECTORY and not contents.is_tree:
        return "only 'exclusive: tree' removes directories"
    if vital_reason(printable(path)) is not None or is_above_vital(printable(path)):
        return "a node needs it: add it to overlay/, or to 'allow'"
    return None


def _paths(rogue: Names) -> list[str]:
    return [f"{printable(path)} ({kind.value})" for path, kind in sorted(rogue.items())[:_MOST_SHOWN]]


def _first(names: list[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _shown(contents: ExclusiveContents, path: bytes, kind: Kind) -> str:
    return printable(path.removeprefix(contents.destination)) + ("/" if kind is Kind.DIRECTORY else "")

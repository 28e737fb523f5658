"""The news of a run: trouble that was not there before, or that all is well again. No input or output.

Trouble stays known while nobody looks at it again: a run of a part of the cluster changes only what it has looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import Status
from pytest_synctool.report.record import NodeRecord, RunRecord

_TROUBLE: Final = (Status.DRIFT, Status.ERROR)
_WELL: Final = (Status.OK, Status.FIXED, Status.WAIVED)
_WAIVERS: Final = "waivers.yaml"
_MOST_NODES: Final = 60  # characters of their names


class Trouble(NamedTuple):
    """A test of a node that fails. `check` and `name` are empty for a node of which nothing is known.

    `node` is empty for a stale waiver.
    """

    node: str
    check: str = ""
    name: str = ""


Known = frozenset[Trouble]


@dataclass(frozen=True, slots=True)
class News:
    """The trouble that is new, and True if there is none any more. `known` is the trouble from now on."""

    new: tuple[Trouble, ...]
    all_well: bool
    known: Known

    @property
    def text(self) -> str:
        """Return one line for people, such as `3 new failures on node[1-2]; node9 not looked at`; empty for no news."""
        return "; ".join(_in_words(self.new)) or ("all is well again" if self.all_well else "")


def news(run: RunRecord, known: Known) -> News:
    """Return the news of a run for somebody who knows of this trouble."""
    present = frozenset(_troubles(run))
    silent = {node.node for node in run.nodes if node.error is not None}
    if run.is_whole and run.complete:
        kept = frozenset(trouble for trouble in known if trouble.node in silent)
    else:
        kept = known - frozenset(_well(run))
    new = tuple(sorted(present - known))
    after = kept | present
    return News(new, bool(known) and not after, after)


def _troubles(run: RunRecord) -> Iterator[Trouble]:
    for node in run.nodes:
        if node.error is not None:
            yield Trouble(node.node)
        yield from (_trouble(node, position) for position, outcome in node.results if outcome.status in _TROUBLE)
    yield from (Trouble("", _WAIVERS, waiver.message) for waiver in run.stale_waivers)


def _well(run: RunRecord) -> Iterator[Trouble]:
    """Yield the tests that a run has found in order, and the nodes that have answered."""
    for node in run.nodes:
        if not node.begun:
            continue
        yield Trouble(node.node)
        others = {position: outcome.status for position, outcome in node.results}
        for position in range(len(node.entries)):
            if others.get(position, Status.OK) in _WELL:
                yield _trouble(node, position)


def _trouble(node: NodeRecord, position: int) -> Trouble:
    entry = node.entries[position]
    return Trouble(node.node, entry.check, entry.name)


def _in_words(new: Iterable[Trouble]) -> Iterator[str]:
    tests = [trouble for trouble in new if trouble.node and trouble.check]
    silent = [trouble.node for trouble in new if not trouble.check]
    waivers = [trouble for trouble in new if not trouble.node]
    if tests:
        plural = "" if len(tests) == 1 else "s"
        yield f"{len(tests)} new failure{plural} on {_nodes({trouble.node for trouble in tests})}"
    if silent:
        yield f"{_nodes(set(silent))} not looked at"
    if waivers:
        yield f"{len(waivers)} new stale waiver{'' if len(waivers) == 1 else 's'}"


def _nodes(names: set[str]) -> str:
    folded = fold(names)
    return folded if len(folded) <= _MOST_NODES else nodes_in_words(len(names))


def dump(known: Known) -> str:
    """Return known trouble as the text of a file."""
    return json.dumps({"version": 1, "known": sorted(known)}) + "\n"


def parse(text: str) -> Known:
    """Parse the text of dump(). Any other text knows of no trouble, so that all of it is news."""
    try:
        rows = json.loads(text)["known"]
        return frozenset(Trouble(*map(_text, row)) for row in rows)
    except (ValueError, TypeError, LookupError, RecursionError):
        return frozenset()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value

"""Single runs, and nodes over time, as the history has them: values and words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.common.nodenames import fold, natural
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import Status
from pytest_synctool.report.ending import unread_in_words
from pytest_synctool.report.history.periods import cause_in_words
from pytest_synctool.report.history.reader import NodeSight, Run, StoredResult
from pytest_synctool.report.history.wording import (
    entry_value,
    lasting,
    moment,
    run_value,
    touched_in_words,
    touched_value,
)
from pytest_synctool.report.record import EntryName

_MOST_ENTRIES: Final = 3  # of a node in one line
# In the order of a report. A node without any of these is in sync.
_HEADINGS: Final = {
    Status.ERROR: "errors",
    Status.DRIFT: "drift",
    Status.WAIVED: "waived drift",
    Status.FIXED: "fixed",
}
_WORDS: Final = {
    Status.OK: "in sync",
    Status.DRIFT: "drifted",
    Status.WAIVED: "waived",
    Status.FIXED: "fixed",
    Status.ERROR: "with errors",
    Status.SKIPPED: "not looked at",
}
_NOTHING_DONE: Final = "nothing to do"  # in a run that compares nothing
_RANKS: Final = tuple(_HEADINGS)


def _word(run: Run, status: Status) -> str:
    return _NOTHING_DONE if status is Status.SKIPPED and not run.is_comparing else _WORDS[status]


@dataclass(frozen=True, slots=True)
class SeenResult:
    """A result of a run that nodes share."""

    entry: EntryName
    result: StoredResult
    nodes: list[str] = field(default_factory=list, compare=False)

    def in_words(self, *, has_cause: bool) -> str:
        """Return the result with its nodes, and with the cause of drift if the run was about drift."""
        result = self.result
        notes = [cause_in_words(result.cause)] if has_cause and result.status is not Status.ERROR else []
        notes += [f"since {moment(result.since)}"] if result.known else []
        notes += [result.waiver] if result.waiver else []
        about = f" ({', '.join(notes)})" if notes else ""
        return f"{fold(self.nodes)}: {self.entry.path} {result.message}{about}"


def results_of(nodes: Mapping[str, NodeSight]) -> list[SeenResult]:
    """Return the results of a run that are not in sync, the worst first, then those of most nodes."""
    shared: dict[tuple[EntryName, StoredResult], SeenResult] = {}
    for node in sorted(nodes, key=natural):
        for entry, result in nodes[node].results.items():
            shared.setdefault((entry, result), SeenResult(entry, result)).nodes.append(node)
    return sorted(shared.values(), key=lambda one: (_RANKS.index(one.result.status), -len(one.nodes), one.entry.path))


def run_lines(run: Run, nodes: Mapping[str, NodeSight]) -> Iterator[str]:
    """Return a run and its results on these nodes in words."""
    yield f"run {run.id} ({moment(run.started)}, {run.mode} by {run.who}, took {lasting(run.ended - run.started)})"
    extent = {True: " of the whole cluster", False: " of a part of the cluster", None: ""}[run.is_whole]
    yield f"{run.mode}{extent}{'' if run.complete else ', not complete'}"
    if run.revision is not None:
        yield f"masterdir: {run.revision.text}"
    counts = Counter(sight.status for sight in nodes.values())
    words = ", ".join(f"{counts[status]:,} {_word(run, status)}" for status in _WORDS if counts[status])
    yield f"{nodes_in_words(len(nodes))}: {words}" if nodes else "no node was looked at"
    if run.unread:
        yield unread_in_words(run.unread)
    unseen: dict[str, list[str]] = {}
    for node in sorted(nodes, key=natural):
        if (error := nodes[node].error) is not None:
            unseen.setdefault(error, []).append(node)
    if unseen:
        yield "not looked at:"
        yield from (f"  {fold(names)}: {error}" for error, names in unseen.items())
    heading = None
    for one in results_of(nodes):
        if heading != (heading := _HEADINGS[one.result.status]):
            yield f"{heading}:"
        yield f"  {one.in_words(has_cause=run.is_comparing or run.is_restoring)}"


def node_lines(node: str, sights: Sequence[tuple[int, Run, NodeSight]]) -> Iterator[str]:
    """Return a node over time in words: a line for each run, numbered as in the list of runs."""
    yield f"{node}:"
    width = max((len(str(number)) for number, *_ in sights), default=0)
    for number, run, sight in sights:
        yield f"  {number:>{width}}  {run.id}  {moment(run.started)}  {run.mode:<7}  {how(run, sight)}"


def how(run: Run, sight: NodeSight) -> str:
    """Return how a node ended in a run, and its first results, in words."""
    if sight.error is not None:
        return f"not looked at: {sight.error}"
    results = sorted(sight.results.items(), key=lambda pair: (_RANKS.index(pair[1].status), pair[0].path))
    listed = "; ".join(f"{entry.path} {result.message}{_times(result)}" for entry, result in results[:_MOST_ENTRIES])
    more = f"; {len(results) - _MOST_ENTRIES:,} more" if len(results) > _MOST_ENTRIES else ""
    return f"{_word(run, sight.status)}{': ' if listed else ''}{listed}{more}"


def _times(result: StoredResult) -> str:
    words = touched_in_words(result.touched)
    return f" ({words})" if words else ""


def sight_value(sight: NodeSight) -> dict[str, object]:
    """Return a node in a run for JSON."""
    return {
        "outcome": sight.status.value,
        "error": sight.error,
        "results": [_result_value(entry, result) for entry, result in sight.results.items()],
    }


def _result_value(entry: EntryName, result: StoredResult) -> dict[str, object]:
    return entry_value(entry) | {
        "outcome": result.status.value,
        "message": result.message,
        "since": result.since.isoformat(),
        "cause": result.cause,
        "source": result.source or None,
        "waiver": result.waiver or None,
        **touched_value(result.touched),
    }


def node_value(node: str, sights: Sequence[tuple[int, Run, NodeSight]]) -> dict[str, object]:
    """Return a node over time for JSON."""
    return {"node": node, "runs": [{"run": run_value(run), **sight_value(sight)} for _, run, sight in sights]}

"""The words of the page, with and without its script: the verdict, counts, and results by nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.grouping import WORDS, Group, grouped, node_errors, of_most_nodes_first
from pytest_synctool.report.history_values import CAUSES, FIRST, Onset, Onsets
from pytest_synctool.report.page.data import readable
from pytest_synctool.report.record import RunRecord
from pytest_synctool.report.verdict import RunVerdict, verdict

_MOST_ROWS: Final = 500
_MOST_NOTES: Final = 100
_LONGEST: Final = 2000  # characters of a node set
_MOST_NAMES: Final = 100_000  # of all node sets of a table together
_FEW: Final = 100  # these are folded in any case
_CAUSES: Final = {**CAUSES, FIRST: "so since it was first looked at"}
_NODE_WORDS: Final = {
    "error": "with errors",
    "unreachable": "unreachable",
    "unknown": "unknown",
    "not_begun": "not begun",
    "drifted": "drifted",
    "waived": "with waived drift only",
    "fixed": "fixed",
    "in_sync": "in sync",
    "skipped": "skipped",
}
_RESTORE_WORDS: Final = {
    "skipped": "with nothing put back",
    "fixed": "restored",
    "drifted": "not restored",
    "drift": "not restored",
}
_ENTRY_WORDS: Final = {
    "unseen": "not looked at",
    "error": "could not be looked at",
    "drift": "drifted",
    "waived": "waived",
    "fixed": "fixed",
    "skipped": "skipped",
    "ok": "in sync",
}


@dataclass(frozen=True, slots=True)
class Banner:
    """The verdict on the run. `level` is `bad`, `drift`, `accepted` or `good`; `reasons` are sentences."""

    level: str
    headline: str
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class Row:
    """A result that nodes share: `nodes` is their folded names, `number` how many there are."""

    nodes: str
    number: int
    text: str
    word: str = ""
    kind: str = ""
    source: str = ""
    since: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, and the number of rows that were left out."""

    rows: Sequence[Row]
    more: int


def banner(run: RunRecord) -> Banner:
    """Return the verdict on the run in words, with reasons."""
    nodes, entries = run.node_counts(), _entry_numbers(run)
    outcome = verdict(run)
    seen = entries["ok"] + entries["fixed"]
    fixed = f", {entries['fixed']:,} of them after repair" if entries["fixed"] else ""
    of_all = f"of {nodes_in_words(run.selected)}"
    good = ("good", f"In sync: {_entries(seen)} on {nodes_in_words(run.selected)}{fixed}")
    level, headline = {
        RunVerdict.UNSEEN: ("bad", "Not everything could be looked at"),
        RunVerdict.NOT_RESTORED: ("bad", "Not everything could be put back"),
        RunVerdict.RESTORED: ("accepted", f"Old versions put back on {nodes[NodeEnding.FIXED]:,} {of_all}"),
        RunVerdict.DRIFT: ("drift", f"Drift on {nodes[NodeEnding.DRIFTED]:,} {of_all}"),
        RunVerdict.STALE: ("drift", f"{_waivers(len(run.stale_waivers))} stale"),
        RunVerdict.FAILED: ("bad", "The run failed"),
        RunVerdict.WAIVED: ("accepted", f"Waived drift on {nodes[NodeEnding.WAIVED]:,} {of_all}"),
        RunVerdict.NOTHING: ("accepted", "Nothing was looked at"),
        RunVerdict.FIXED: good,
        RunVerdict.IN_SYNC: good,
    }[outcome]
    if outcome is RunVerdict.RESTORED:
        reasons = ["What was put back is drift again; what else there is was not looked at."]
    else:
        reasons = list(_reasons(run, entries))
    return Banner(level, headline, reasons)


def _reasons(run: RunRecord, entries: Mapping[str, int]) -> Iterator[str]:
    yield from _unseen_reasons(run)
    if entries["drift"]:
        yield f"{_entries(entries['drift'])} differ{'s' * (entries['drift'] == 1)} from the masterdir."
    if run.stale_waivers:
        yield f"{_waivers(len(run.stale_waivers))} stale: what was accepted is in sync."
    if run.unmanaged is not None and run.unmanaged.fails and run.unmanaged.lines:
        nodes = {node for names, _ in run.unmanaged.lines for node in names}
        yield f"Unmanaged files below {run.unmanaged.directory} fail {nodes_in_words(len(nodes))}."
    if run.exit_status != 0:
        yield f"The exit status of the run is {run.exit_status}."
    if entries["skipped"]:
        yield f"{_entries(entries['skipped'])} skipped."


def _unseen_reasons(run: RunRecord) -> Iterator[str]:
    counts = run.node_counts()
    if not run.selected:
        yield "No node was looked at."
    if not run.complete:
        yield "The run did not come to its end. What is not listed was not looked at."
    if number := counts[NodeEnding.UNREACHABLE]:
        yield f"{_are(number)} unreachable: nothing is known of the entries there."
    if number := counts[NodeEnding.UNKNOWN]:
        yield f"{_are(number)} unknown: an error left nothing known of the entries there."
    if number := counts[NodeEnding.ERROR]:
        yield f"{nodes_in_words(number)} with errors: something there could not be looked at."
    if number := counts[NodeEnding.NOT_BEGUN]:
        yield f"{_are(number)} not begun: something there was not looked at."


def _are(number: int) -> str:
    return f"{nodes_in_words(number)} {'is' if number == 1 else 'are'}"


def _waivers(number: int) -> str:
    return f"{number:,} {'waiver is' if number == 1 else 'waivers are'}"


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def node_counts(run: RunRecord) -> list[tuple[str, str, int]]:
    """Return the number of nodes by ending, as (word, phrase, number), the worst first, without zeros."""
    return _phrased(run, _NODE_WORDS, {ending.value: number for ending, number in run.node_counts().items()})


def entry_counts(run: RunRecord) -> list[tuple[str, str, int]]:
    """Return the same for entries, including those of nodes that could not be looked at."""
    return _phrased(run, _ENTRY_WORDS, _entry_numbers(run))


def _phrased(run: RunRecord, words: Mapping[str, str], counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    special = _RESTORE_WORDS if run.is_restoring else {}
    return [(word, special.get(word, phrase), counts[word]) for word, phrase in words.items() if counts[word]]


def _entry_numbers(run: RunRecord) -> dict[str, int]:
    counts = run.entry_counts()
    missed = sum(outcome.is_missed for node in run.nodes for _, outcome in node.results)
    counts["unseen"] = missed + sum(len(node.entries) for node in run.nodes if node.error is not None)
    counts["skipped"] -= missed
    return counts


def unseen(run: RunRecord) -> Rows:
    """Return the reasons why nodes, or entries on them, were not looked at."""
    by_reason: dict[str, dict[str, None]] = {}
    for node in run.nodes:
        for _, outcome in node.results:
            if outcome.is_missed:
                by_reason.setdefault(outcome.message, {})[node.node] = None
    missed = of_most_nodes_first({reason: list(nodes) for reason, nodes in by_reason.items()})
    errors = [(error.text, nodes) for error, nodes in node_errors(run.nodes)]
    return _rows([*errors, *missed], _MOST_ROWS)


def stale_waivers(run: RunRecord) -> Rows:
    """Return the waivers that accept nothing any more."""
    return _rows([(f"{each.place}: {each.message}", list(each.nodes)) for each in run.stale_waivers], _MOST_ROWS)


def unmanaged(run: RunRecord) -> Rows:
    """Return the files that no entry has and that differ from what packages installed."""
    lines = () if run.unmanaged is None else run.unmanaged.lines
    return _rows([(text, list(nodes)) for nodes, text in lines], _MOST_ROWS)


def notes(run: RunRecord) -> Rows:
    """Return the notes on nodes for people."""
    by_note: dict[str, list[str]] = {}
    for node in run.nodes:
        for note in node.notes:
            by_note.setdefault(note, []).append(node.node)
    return _rows(of_most_nodes_first(by_note), _MOST_NOTES)


def _rows(texts: Sequence[tuple[str, list[str]]], most: int) -> Rows:
    folding = _Folding()
    rows = [Row(folding.of(nodes), len(nodes), text) for text, nodes in texts[:most]]
    return Rows(rows, len(texts) - len(rows))


def findings(run: RunRecord, onsets: Onsets) -> Rows:
    """Return the results, the worst first."""
    groups = grouped(run.nodes)
    folding = _Folding()
    rows = [_row(group, onsets, folding) for group in groups[:_MOST_ROWS]]
    return Rows(rows, len(groups) - len(rows))


def _row(group: Group, onsets: Onsets, folding: _Folding) -> Row:
    known = [onset for node in group.nodes if (onset := onsets.get((node, group.entry))) is not None]
    return Row(
        folding.of(group.nodes),
        len(group.nodes),
        group.text,
        WORDS[group.outcome.status],
        group.entry.kind,
        group.outcome.source,
        *_since(known),
    )


def _since(onsets: Sequence[Onset]) -> tuple[str, str]:
    """Return since when, on the first of the nodes, and why, on all of them."""
    if not onsets:
        return "", ""
    causes = dict.fromkeys(onset.cause for onset in sorted(onsets, key=lambda onset: onset.since))
    return readable(min(onset.since for onset in onsets)), "; ".join(_CAUSES.get(cause, cause) for cause in causes)


class _Folding:
    """A cache of folded names: folding takes microseconds a name, and a page may have millions of names in all."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        self._room = _MOST_NAMES

    def of(self, nodes: Sequence[str]) -> str:
        """Return names in short form, or for more names than may still be folded the place where they are listed."""
        key = tuple(nodes)
        if key not in self._known:
            if len(nodes) > max(self._room, _FEW):
                return "too many to be listed here, they are in drift.json"
            self._room -= len(nodes)
            text = fold(nodes)
            cut = f"{text[:_LONGEST]} ... (the rest is in drift.json)"
            self._known[key] = text if len(text) <= _LONGEST else cut
        return self._known[key]

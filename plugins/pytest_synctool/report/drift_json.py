"""`drift.json`: a run as one document that programs read, and the same as lines while it goes on.

The schema is in schema/drift.json. Of an entry that is in sync there is no result: what was looked at is in
`entry_sets`, and whatever has no result there was as it should be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pytest_synctool import __version__
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Outcome, Status
from pytest_synctool.report.previous_runs import Onsets
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

FORMAT: Final = "pytest-synctool drift"
VERSION: Final = 1

Known = frozenset[tuple[str, str, str, str]]
"""Drift of an earlier document, as (node, check, path, message)."""


def document(run: RunRecord, lives: Onsets, known: Known | None) -> Iterator[str]:
    """The document as chunks of text. With `known` drift each result says whether it is new."""
    numbers: dict[SharedList[EntryName], int] = {}
    for node in run.nodes:
        numbers.setdefault(node.entries, len(numbers))
    head = {
        "format": FORMAT,
        "version": VERSION,
        "run": run_fields(run),
        "cluster": {"configuration": run.configuration, "masterdir": run.masterdir},
        "summary": summary_fields(run),
        "stale_waivers": stale_fields(run),
    }
    yield json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    yield from _rows("entry_sets", ([_entry(entry) for entry in entries] for entries in numbers))
    yield from _rows("nodes", ({**node_fields(run, node), "entry_set": numbers[node.entries]} for node in run.nodes))
    yield from _rows("results", (row for node in run.nodes for row in result_fields(node, lives, known)))
    yield "\n}\n"


def lines_of(run: RunRecord, node: NodeRecord) -> Iterator[str]:
    """The lines of JSON for a node that is over: itself, then its results."""
    yield line("node", node_fields(run, node))
    for row in result_fields(node, {}, None):
        yield line("result", row)


def line(kind: str, fields: Mapping[str, Any]) -> str:
    """One line of JSON, which says of what it is."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False) + "\n"


def run_fields(run: RunRecord) -> dict[str, Any]:
    """Who ran what when."""
    return {
        "id": run.id,
        "tool": __version__,
        "mode": run.mode,
        "user": run.user,
        "host": run.host,
        "started": stamp(run.started),
        "ended": stamp(run.ended),
        "duration": round((run.ended - run.started).total_seconds(), 3),
        "complete": run.complete,
        "exit_status": run.exit_status,
    }


def summary_fields(run: RunRecord) -> dict[str, Any]:
    """Counts of nodes and of entries, by how they ended."""
    nodes = {ending.value: number for ending, number in run.node_counts().items()}
    return {"nodes": {"selected": run.selected, **nodes}, "entries": run.entry_counts()}


def stale_fields(run: RunRecord) -> list[dict[str, Any]]:
    """The waivers that accept nothing any more."""
    return [{"waiver": each.place, "nodes": list(each.nodes), "message": each.message} for each in run.stale_waivers]


def node_fields(run: RunRecord, node: NodeRecord) -> dict[str, Any]:
    """A node, without its entries."""
    return {
        "node": node.node,
        "groups": list(run.groups.get(node.node, ())),
        "outcome": node.ending.value,
        "error": None if node.error is None else node.error.text,
        "duration": round(node.duration, 3),
        "actions": list(node.done),
        "notes": list(node.notes),
    }


def result_fields(node: NodeRecord, lives: Onsets, known: Known | None) -> Iterator[dict[str, Any]]:
    """Every entry of a node that is not simply in sync."""
    for position, outcome in node.results:
        entry = node.entries[position]
        fields = {"node": node.node, **_entry(entry), **_outcome(outcome)}
        if (life := lives.get((node.node, entry))) is not None:
            fields |= {"since": stamp(life.since), "cause": life.cause}
        if known is not None and outcome.status is Status.DRIFT:
            fields["new"] = (node.node, entry.check, entry.path, outcome.message) not in known
        yield fields


def _entry(entry: EntryName) -> dict[str, Any]:
    return {"kind": entry.kind, "check": entry.check, "path": entry.path}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    fixed = outcome.status is Status.FIXED
    return {
        "outcome": outcome.status.value,
        "message": outcome.message,
        "source": outcome.source or None,
        "expected": {change.what: change.expected for change in outcome.changes},
        "found": {change.what: change.found for change in outcome.changes},
        "details": list(outcome.details),
        "action": outcome.message if fixed else None,
        "waiver": outcome.waiver or None,
        "diff": outcome.diff or None,
    }


def _rows(name: str, rows: Iterator[Any]) -> Iterator[str]:
    yield f',\n "{name}": ['
    separator = "\n  "
    for row in rows:
        yield separator + json.dumps(row, ensure_ascii=False)
        separator = ",\n  "
    yield "]" if separator == "\n  " else "\n ]"


def stamp(when: datetime) -> str:
    """A time as `2026-11-25T03:14:15+01:00`."""
    return when.isoformat(timespec="seconds")


class NotADocumentError(Exception):
    """A file that is not a drift.json that can be read; the message says why."""


def known_drift(text: str) -> Known:
    """The drift in an earlier document. Raises NotADocumentError."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise NotADocumentError(f"not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NotADocumentError("not a drift.json of this tool")
    if found.get("version") != VERSION:
        raise NotADocumentError(f"it is of version {found.get('version')}, expected {VERSION}")
    try:
        return frozenset(
            (row["node"], row["check"], row["path"], row["message"])
            for row in found["results"]
            if row["outcome"] == Status.DRIFT.value
        )
    except (KeyError, TypeError) as error:
        raise NotADocumentError("its results are not whole") from error

"""`drift.json`: a run as one JSON document for programs, and the same as lines of JSON during the run.

schema/drift.json is the schema. `entry_sets` lists the audited entries; an entry without a result is in sync.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pytest_synctool import __version__
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import account, printable
from pytest_synctool.model import Actual, FileState, Kind, Outcome, Status, Unknown
from pytest_synctool.report.history_values import Onsets
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord, UnmanagedRecord

FORMAT: Final = "pytest-synctool drift"
VERSION: Final = 1

_encoded: Final = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps() would make an encoder for each row

Known = frozenset[tuple[str, str, str, str]]
"""The drift in an earlier document, as (node, check, path, message)."""


def document(run: RunRecord, onsets: Onsets, known: Known | None) -> Iterator[str]:
    """Yield the document as chunks of text. With `known` drift, each drift has the field `new`."""
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
    if run.unmanaged is not None:
        yield f',\n "unmanaged": {_encoded(unmanaged_fields(run.unmanaged))}'
    yield from _rows("entry_sets", ([_entry(entry) for entry in entries] for entries in numbers))
    yield from _rows("nodes", ({**node_fields(run, node), "entry_set": numbers[node.entries]} for node in run.nodes))
    yield from _rows("results", (row for node in run.nodes for row in result_fields(node, onsets, known)))
    yield "\n}\n"


def lines_of(run: RunRecord, node: NodeRecord) -> Iterator[str]:
    """Yield the lines of JSON for one node with a result: the node, then its results."""
    yield line("node", node_fields(run, node))
    for row in result_fields(node, {}, None):
        yield line("result", row)


def line(kind: str, fields: Mapping[str, Any]) -> str:
    """Return one line of JSON with its kind in the field `type`."""
    return _encoded({"type": kind, **fields}) + "\n"


def run_fields(run: RunRecord) -> dict[str, Any]:
    """Return the fields of a run without its results: who ran it, when, in which mode."""
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
        "whole": run.is_whole,
        "revision": None if run.revision is None else {"commit": run.revision.commit, "dirty": run.revision.is_dirty},
        "exit_status": run.exit_status,
    }


def summary_fields(run: RunRecord) -> dict[str, Any]:
    """Return the counts of nodes by ending and of entries by status."""
    nodes = {ending.value: number for ending, number in run.node_counts().items()}
    return {"nodes": {"selected": run.selected, **nodes}, "entries": run.entry_counts(), "files_not_read": run.unread}


def stale_fields(run: RunRecord) -> list[dict[str, Any]]:
    """Return the fields of the stale waivers."""
    return [{"waiver": each.place, "nodes": list(each.nodes), "message": each.message} for each in run.stale_waivers]


def unmanaged_fields(record: UnmanagedRecord) -> dict[str, Any]:
    """Return the fields of the unmanaged files. Versions with the same nodes share a set of them."""
    sets: dict[tuple[str, ...], int] = {}
    files = [
        {
            "path": printable(version.path),
            "reason": version.deviation.name.lower(),
            "node_set": sets.setdefault(version.nodes, len(sets)),
            **_state_fields(version.state),
        }
        for version in record.versions
    ]
    return {
        "directory": record.directory,
        "known": list(record.known),
        "unknown": [{"reason": reason, "nodes": list(nodes)} for reason, nodes in record.errors.items()],
        "node_sets": [list(nodes) for nodes in sets],
        "files": files,
    }


def _state_fields(state: Actual) -> dict[str, Any]:
    """Return the fields of a file's state; they are null for one that is missing or cannot be looked at."""
    fields: dict[str, Any] = dict.fromkeys(("type", "owner", "group", "mode", "size", "error"))
    if isinstance(state, Unknown):
        fields["error"] = state.reason
    elif isinstance(state, FileState):
        fields |= {
            "type": state.kind.value,
            "owner": account(state.owner, state.uid),
            "group": account(state.group, state.gid),
            "mode": f"{state.mode:04o}",
            "size": state.size if state.kind is Kind.FILE else None,
        }
    return fields


def node_fields(run: RunRecord, node: NodeRecord) -> dict[str, Any]:
    """Return the fields of a node without its entries."""
    return {
        "node": node.node,
        "groups": list(run.groups.get(node.node, ())),
        "outcome": node.ending.value,
        "error": None if node.error is None else node.error.text,
        "duration": round(node.duration, 3),
        "actions": list(node.done),
        "notes": list(node.notes),
        "files_not_read": node.unread,
    }


def result_fields(node: NodeRecord, onsets: Onsets, known: Known | None) -> Iterator[dict[str, Any]]:
    """Yield the fields of each entry of a node that is not in sync."""
    for position, outcome in node.results:
        entry = node.entries[position]
        fields = {"node": node.node, **_entry(entry), "test": entry.test_id(node.node), **_outcome(outcome)}
        if (onset := onsets.get((node.node, entry))) is not None:
            fields |= {"since": stamp(onset.since), "cause": onset.cause}
        if (touched := node.touched.get(position)) is not None:
            fields |= {"modified": utc_moment(touched.modified), "changed": utc_moment(touched.changed)}
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
        yield separator + _encoded(row)
        separator = ",\n  "
    yield "]" if separator == "\n  " else "\n ]"


def stamp(when: datetime) -> str:
    """Return a time as `2026-11-25T03:14:15+01:00`."""
    return when.isoformat(timespec="seconds")


def utc_moment(seconds: int) -> str | None:
    """Return a time of a node in UTC; None if it is none: a node may send any number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


class NotADocumentError(Exception):
    """The text is not a readable drift.json; the message gives the reason."""


def known_drift(text: str) -> Known:
    """Return the drift in an earlier document. Raises NotADocumentError."""
    try:
        earlier = json.loads(text)
    except ValueError as error:
        raise NotADocumentError(f"not JSON: {error}") from error
    if not isinstance(earlier, dict) or earlier.get("format") != FORMAT:
        raise NotADocumentError("not a drift.json of this tool")
    if earlier.get("version") != VERSION:
        raise NotADocumentError(f"it is of version {earlier.get('version')}, expected {VERSION}")
    try:
        return frozenset(
            (row["node"], row["check"], row["path"], row["message"])
            for row in earlier["results"]
            if row["outcome"] == Status.DRIFT.value
        )
    except (KeyError, TypeError) as error:
        raise NotADocumentError("its results are incomplete") from error

"""Runs for tests of the history, built by hand: what was found, of entries by letters on nodes by names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Change, Outcome, Status
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

from tests_meta.unit.helpers import unreachable

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = {
    "d": Status.DRIFT, "f": Status.FIXED, "w": Status.WAIVED, "s": Status.SKIPPED, "e": Status.ERROR, ".": Status.OK,
}  # fmt: skip


def name(letter: str) -> EntryName:
    """The entry /etc/LETTER."""
    return EntryName("synctool_checks/test_overlay.py", f"/etc/{letter}")


def day(number: int) -> datetime:
    """When the run with this number began: one a day."""
    return BEGIN + timedelta(days=number)


def outcome(status: Status, letter: str) -> Outcome:
    """An outcome as it may look, with a diff that must not be kept."""
    words = {Status.DRIFT: "size mismatch", Status.FIXED: "replaced (size mismatch)", Status.WAIVED: "size mismatch"}
    changes = (Change("size", "1", "2"),) if status in words else ()
    waiver = "for a test, until 2030-01-01" if status is Status.WAIVED else ""
    return Outcome(
        status, words.get(status, status.value), ("more",), changes, f"overlay/etc/{letter}", "secret", waiver
    )


def node(node_name: str, found: str | None, letters: str = "abcdefgh") -> NodeRecord:
    """A node with an outcome for each entry by its letter (`.d` is: a in order, b drifted), None: unreachable.

    A space is an entry that was not selected.
    """
    if found is None:
        return NodeRecord(node_name, SharedList(map(name, letters)), error=unreachable("no answer"))
    pairs = [(letter, STATUSES[word]) for letter, word in zip(letters, found, strict=False) if word != " "]
    outcomes = [(p, outcome(status, letter)) for p, (letter, status) in enumerate(pairs) if status is not Status.OK]
    return NodeRecord(node_name, SharedList(name(letter) for letter, _ in pairs), tuple(outcomes))


def run(number: int, nodes: Mapping[str, str | None], mode: str = "audit", **fields: object) -> RunRecord:
    """A run on a day, with what it found as of node()."""
    records = [node(node_name, found) for node_name, found in nodes.items()]
    made = RunRecord(
        f"run-{number:04}", mode, "root", "admin1", "synctool.conf", "master", day(number),
        day(number) + timedelta(minutes=2), {}, selected=len(records), nodes=records,
    )  # fmt: skip
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def unchanged(_: str, __: EntryName) -> str:
    """The signature of all entries."""
    return "same"

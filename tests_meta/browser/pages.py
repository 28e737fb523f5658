"""Runs that pages are made of: a small cluster with one of everything, hostile names, and large ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import NOT_RUN, Change, NodeError, NodeErrorKind, Outcome, Status
from pytest_synctool.report.history_values import Onset, Onsets
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

BEGIN: Final = datetime(2026, 11, 25, 3, 14, 15, tzinfo=UTC)
OVERLAY: Final = "synctool_checks/test_overlay.py"
DIFF: Final = (
    "--- node/etc/ntp.conf\n+++ overlay/etc/ntp.conf._all\n@@ -1,2 +1,2 @@\n same\n-server one\n+server two\tthree"
)

REFUSED: Final = NodeError(NodeErrorKind.UNREACHABLE, "Connection refused")
ENTRIES: Final = SharedList(
    (
        EntryName(OVERLAY, "/etc/motd"),
        EntryName(OVERLAY, "/etc/ntp.conf"),
        EntryName(OVERLAY, "/etc/it's %5Bx]"),
        EntryName("synctool_checks/test_delete.py", "/etc/cron.d/old"),
        EntryName("synctool_checks/test_tasks.py", "/check"),
        EntryName("test_own.py::check_mode", "/etc/motd"),
    )
)
NTP: Final = Outcome(
    Status.DRIFT,
    "file size mismatch, mode mismatch",
    ("file size: expected 10, found 12", "mode: expected 0644, found 0600", "source: overlay/etc/ntp.conf._all"),
    (Change("file size", "10", "12"), Change("mode", "0644", "0600")),
    "overlay/etc/ntp.conf._all",
    DIFF,
)
OLD: Final = Outcome(Status.DRIFT, "must not exist", source="delete/etc/cron.d/old._all")
WAIVED: Final = Outcome(
    Status.WAIVED, "mode mismatch", (), (Change("mode", "0644", "0600"),), "overlay/etc/motd._batch", "", "being tried"
)
FIXED: Final = Outcome(Status.FIXED, "updated (file size mismatch)", source="overlay/etc/motd._all")
ERROR: Final = Outcome(Status.ERROR, "cannot be looked at: Permission denied")


def run_of(nodes: Sequence[NodeRecord], groups: Mapping[str, Sequence[str]]) -> RunRecord:
    """An audit of these nodes."""
    return RunRecord(
        "run1", "audit", "root", "admin1", "/x/synctool.conf", "/x/master", BEGIN, BEGIN + timedelta(seconds=42),
        groups, exit_status=1, selected=len(nodes), nodes=list(nodes),
    )  # fmt: skip


def small() -> tuple[RunRecord, Onsets]:
    """Six nodes in two groups: what is where is in the table below, one letter an entry."""
    outcomes = {"D": NTP, "O": OLD, "W": WAIVED, "F": FIXED, "E": ERROR, "s": NOT_RUN}
    table = {"node1": ".D..s.", "node2": ".D.Os.", "node3": "F..Es.", "web1": "W...s.", "web2": "....s."}
    nodes = []
    for name, letters in table.items():
        found = tuple((position, outcomes[c]) for position, c in enumerate(letters) if c != ".")
        nodes.append(NodeRecord(name, ENTRIES, found, duration=1.5))
    explained = replace(NTP, details=(*NTP.details, "node1 is in batch"))
    nodes[0] = replace(nodes[0], results=((1, explained), nodes[0].results[1]), notes=("the log cannot be written",))
    nodes.append(NodeRecord("web3", SharedList(ENTRIES[:2]), error=REFUSED))
    groups = {node.node: ("batch", "rack1") if node.node.startswith("node") else ("login",) for node in nodes}
    onsets = {
        ("node1", ENTRIES[1]): Onset(BEGIN - timedelta(days=3), "node", True),
        ("node2", ENTRIES[1]): Onset(BEGIN, "masterdir", False),
    }
    return run_of(nodes, groups), onsets


def hostile(texts: Sequence[str]) -> RunRecord:
    """A run in which each text is name, group, path, message, note, action and contents at once."""
    nodes = []
    for number, text in enumerate(texts):
        diff = "\n".join([f"--- {text}", f"-{text}", f"+{text}", f"@@ {text}", text])
        outcome = Outcome(Status.DRIFT, text, (text,), (Change(text, text, text),), text, diff, text)
        nodes.append(
            NodeRecord(
                f"n{number}", SharedList([EntryName(text, f"/{text}")]), ((0, outcome),), None, 1.0, (text,), (text,)
            )
        )
    nodes.append(NodeRecord("gone", SharedList(), error=NodeError(NodeErrorKind.BAD_ANSWER, texts[0])))
    return run_of(nodes, {node.node: tuple(texts) for node in nodes})


def large(nodes: int, entries: int, findings: int) -> tuple[RunRecord, Onsets]:
    """Many nodes in four groups; findings are on one entry of eight, and every hundredth node is not reached."""
    chance = random.Random(1)
    names = SharedList(EntryName(OVERLAY, f"/etc/dir{n // 20:02}/file{n:04}.conf") for n in range(entries))
    found: dict[int, dict[int, Outcome]] = {}
    for _ in range(findings):
        entry = chance.randrange(0, entries, 8)
        diff = DIFF.replace("one", str(entry))
        outcome = chance.choice((replace(NTP, diff=diff), replace(NTP, diff=diff), OLD, WAIVED, FIXED, ERROR))
        found.setdefault(chance.randrange(nodes), {})[entry] = outcome
    records, groups, onsets = [], {}, {}
    for number in range(nodes):
        node = f"node{number + 1:04}"
        groups[node] = (("batch", "gpu", "login", "storage")[number * 4 // nodes], f"rack{number // 16 + 1}")
        if number % 100 == 99:
            records.append(NodeRecord(node, names, error=REFUSED))
            continue
        here = tuple(sorted(found.get(number, {}).items()))
        records.append(NodeRecord(node, names, here, duration=1.2))
        onsets.update({(node, names[e]): Onset(BEGIN - timedelta(days=e % 9), "node", True) for e, _ in here})
    return run_of(records, groups), onsets

"""`metrics.prom`: the numbers of a run, for node_exporter's textfile collector."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pytest_synctool import __version__
from pytest_synctool.common.nodenames import natural
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Status
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

_ALL: Final = "all"
_ENTRIES: Final = {
    Status.ERROR: "error_entries",
    Status.DRIFT: "drifted_entries",
    Status.WAIVED: "waived_entries",
    Status.FIXED: "fixed_entries",
}  # the worst first
_RANKS: Final = {status: rank for rank, status in enumerate(_ENTRIES)}
_HELP: Final = {
    "managed_entries": "Destinations that were compared, each once per node; commands are not counted",
    "drifted_entries": "Destinations that differ from what the masterdir says",
    "waived_entries": "Destinations that differ under a waiver",
    "fixed_entries": "Destinations that this run has put right",
    "error_entries": "Destinations that could not be looked at",
    "failed_commands": "Scripts and commands that are owed, or have failed",
    "unreachable_nodes": "Nodes that could not be looked at",
}


def metrics(run: RunRecord, most_nodes: int = 100) -> str:
    """Return the text of the file. Each group has samples of its own; the group `all` has every node of the run.

    At most so many nodes are named: those that are not as they should be, the worst first.
    """
    # prometheus_client loads slowly, and most importers of this module do not call this function.
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    numbers = _NodeNumbers()
    by_node = {node.node: numbers.of(node) for node in run.nodes}
    gauges = {name: Gauge(f"synctool_{name}", help_, ["group"], registry=registry) for name, help_ in _HELP.items()}
    for group, nodes in _by_group(run).items():
        total = sum((by_node[node] for node in nodes), Counter[str]())
        for name, gauge in gauges.items():
            gauge.labels(group).set(total[name])
    gauge = Gauge("synctool_nodes", "Nodes by how they ended", ["outcome"], registry=registry)
    for ending, number in run.node_counts().items():
        gauge.labels(ending.value).set(number)
    bad = _bad_nodes(run)
    gauge = Gauge("synctool_node_outcome", "1 for a node that is not well", ["node", "outcome"], registry=registry)
    drifted = Gauge("synctool_node_drifted_entries", "Destinations that differ", ["node"], registry=registry)
    for node in bad[:most_nodes]:
        gauge.labels(printable_text(node.node), node.ending.value).set(1)
        drifted.labels(printable_text(node.node)).set(by_node[node.node]["drifted_entries"])
    for name, help_, value in (
        ("nodes_not_named", "Nodes that are not well and have no sample of their own", float(len(bad[most_nodes:]))),
        ("stale_waivers", "Waivers that accept nothing any more", float(len(run.stale_waivers))),
        ("files_not_read", "Large files that were not read, as their ctime was trusted", float(run.unread)),
        ("run_duration_seconds", "How long the run took", (run.ended - run.started).total_seconds()),
        ("last_run_timestamp_seconds", "When the run ended", run.ended.timestamp()),
        ("last_run_complete", "1 if every selected node was looked at, else 0", float(run.everything_seen)),
        ("last_run_whole", "1 if it was a run of the whole cluster, else 0", float(bool(run.is_whole))),
        ("last_run_exit_status", "The exit status of the run", float(run.exit_status)),
    ):
        Gauge(f"synctool_{name}", help_, registry=registry).set(value)
    labels = {"version": __version__, "mode": run.mode, "commit": "", "dirty": ""}
    if run.revision is not None:
        labels |= {"commit": run.revision.commit, "dirty": str(run.revision.is_dirty).lower()}
    Gauge("synctool_run_info", "What the run was", list(labels), registry=registry).labels(**labels).set(1)
    text: str = generate_latest(registry).decode("utf-8")
    return text


def _by_group(run: RunRecord) -> dict[str, list[str]]:
    by_group: dict[str, list[str]] = {_ALL: [node.node for node in run.nodes]}
    for node in run.nodes:
        for group in run.groups.get(node.node, ()):
            by_group.setdefault(group, []).append(node.node)
    return by_group


def _bad_nodes(run: RunRecord) -> list[NodeRecord]:
    """Return the nodes that are not well, the worst first."""
    order = list(NodeEnding)
    bad = [node for node in run.nodes if not node.ending.is_good]
    return sorted(bad, key=lambda node: (order.index(node.ending), natural(node.node)))


class _NodeNumbers:
    """A counter of a node's destinations and commands. Nodes with the same tests share the work."""

    def __init__(self) -> None:
        self._names: dict[SharedList[EntryName], list[str | None]] = {}

    def of(self, node: NodeRecord) -> Counter[str]:
        """Return the numbers of a node. A destination counts once, with its worst result."""
        numbers: Counter[str] = Counter()
        if node.ending in NOTHING_KNOWN:
            numbers["unreachable_nodes"] = 1
        if node.error is not None:
            return numbers
        names = self._names_of(node.entries)
        missed = {position for position, outcome in node.results if outcome.is_missed}
        kept = names if not missed else [name for number, name in enumerate(names) if number not in missed]
        numbers["managed_entries"] = len({name for name in kept if name is not None})
        worst: dict[str, Status] = {}
        for position, outcome in node.results:
            name, status = names[position], outcome.status
            if name is None:
                numbers["failed_commands"] += status in (Status.DRIFT, Status.ERROR)
            elif status in _ENTRIES and (name not in worst or _RANKS[status] < _RANKS[worst[name]]):
                worst[name] = status
        numbers.update(_ENTRIES[status] for status in worst.values())
        return numbers

    def _names_of(self, entries: SharedList[EntryName]) -> list[str | None]:
        """Return the destination of each test; None for a command, and for the test that a node answers."""
        if entries not in self._names:
            self._names[entries] = [None if test.is_command or test.name == "/" else test.name for test in entries]
        return self._names[entries]

"""`metrics.prom`: the numbers of a run, for node_exporter's textfile collector."""

from __future__ import annotations

from typing import Final

from pytest_synctool import __version__
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Status
from pytest_synctool.report.ending import NOTHING_KNOWN
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

_ALL: Final = "all"


def metrics(run: RunRecord) -> str:
    """Return the text of the file. Each group has samples of its own; the group `all` has every node of the run."""
    # prometheus_client loads slowly, and most importers of this module do not call this function.
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    managed = _Managed()
    counts = {group: _counts(nodes, managed) for group, nodes in _by_group(run).items()}
    for name, help_ in (
        ("managed_entries", "Destinations that were compared, each once per node; commands are not counted"),
        ("drifted_entries", "Entries that differ from what the masterdir says"),
        ("waived_entries", "Entries that differ under a waiver"),
        ("fixed_entries", "Entries that this run has put right"),
        ("error_entries", "Entries that could not be looked at"),
        ("unreachable_nodes", "Nodes that could not be looked at"),
    ):
        gauge = Gauge(f"synctool_{name}", help_, ["group"], registry=registry)
        for group, values in counts.items():
            gauge.labels(group).set(values[name])
    gauge = Gauge("synctool_nodes", "Nodes by how they ended", ["outcome"], registry=registry)
    for ending, number in run.node_counts().items():
        gauge.labels(ending.value).set(number)
    for name, help_, value in (
        ("stale_waivers", "Waivers that accept nothing any more", float(len(run.stale_waivers))),
        ("run_duration_seconds", "How long the run took", (run.ended - run.started).total_seconds()),
        ("last_run_timestamp_seconds", "When the run ended", run.ended.timestamp()),
        ("last_run_complete", "1 if every selected node was looked at, else 0", float(run.everything_seen)),
        ("last_run_exit_status", "The exit status of the run", float(run.exit_status)),
    ):
        Gauge(f"synctool_{name}", help_, registry=registry).set(value)
    labels = {"version": __version__, "mode": run.mode, "commit": "", "dirty": ""}
    if run.revision is not None:
        labels |= {"commit": run.revision.commit, "dirty": str(run.revision.is_dirty).lower()}
    Gauge("synctool_run_info", "What the run was", list(labels), registry=registry).labels(**labels).set(1)
    text: str = generate_latest(registry).decode("utf-8")
    return text


def _by_group(run: RunRecord) -> dict[str, list[NodeRecord]]:
    by_group: dict[str, list[NodeRecord]] = {_ALL: list(run.nodes)}
    for node in run.nodes:
        for group in run.groups.get(node.node, ()):
            by_group.setdefault(group, []).append(node)
    return by_group


class _Managed:
    """A counter of destinations. Nodes with the same tests share the work."""

    def __init__(self) -> None:
        self._names: dict[SharedList[EntryName], list[tuple[int, str]]] = {}

    def of(self, node: NodeRecord) -> int:
        """Return the number of destinations of a node that were compared."""
        if node.error is not None:
            return 0
        if node.entries not in self._names:
            tests = enumerate(node.entries)
            self._names[node.entries] = [(number, test.name) for number, test in tests if not test.is_command]
        missed = {number for number, outcome in node.results if outcome.is_missed}
        return len({name for number, name in self._names[node.entries] if number not in missed})


def _counts(nodes: list[NodeRecord], managed: _Managed) -> dict[str, float]:
    statuses = [outcome.status for node in nodes for _, outcome in node.results]
    return {
        "managed_entries": sum(map(managed.of, nodes)),
        "drifted_entries": statuses.count(Status.DRIFT),
        "waived_entries": statuses.count(Status.WAIVED),
        "fixed_entries": statuses.count(Status.FIXED),
        "error_entries": statuses.count(Status.ERROR),
        "unreachable_nodes": sum(node.ending in NOTHING_KNOWN for node in nodes),
    }

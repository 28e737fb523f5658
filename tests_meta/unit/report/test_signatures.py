"""The signatures of a run's expected states, by node and entry."""

from __future__ import annotations

from pathlib import Path

from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.report.expected_digest import UNREADABLE
from pytest_synctool.report.history.signatures import signatures_of
from pytest_synctool.report.record import EntryName
from pytest_synctool.repository.masterdir import scan
from pytest_synctool.repository.resolution import Repository

from tests_meta.unit.helpers import node


def test_by_node_and_entry(tmp_path: Path) -> None:
    """Only the source of an entry that is asked for is read."""
    for name in ("overlay/etc/a._all", "overlay/etc/b._all", "delete/gone._all", "tasks/t._all"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    nodes = [node("node1"), node("node2")]
    of = signatures_of(Repository(scan(tmp_path, ("all",), IgnoreRules())), nodes)

    def ask(kind: str, name: str, host: str = "node1") -> str:
        return of(host, EntryName(f"synctool_checks/test_{kind}.py", name))

    first = ask("overlay", "/etc/a")
    assert len(first) == 16
    assert first == ask("overlay", "/etc/a", "node2")
    assert ask("delete", "/gone") == "absent"
    assert [ask("tasks", "/t"), ask("post", "post:/etc/a"), ask("overlay", "/elsewhere")] == ["", "", ""]
    (tmp_path / "overlay/etc/b._all").unlink()
    assert ask("overlay", "/etc/b") == UNREADABLE

"""The lines of a summary about unmanaged files."""

from __future__ import annotations

from pytest_synctool.model import Deviation, NodeResult, Unmanaged, UnmanagedFiles
from pytest_synctool.plugin.unmanaged import UnmanagedReport

from tests_meta.unit.helpers import state, unreachable


def found(*names: bytes) -> NodeResult:
    """The result of a node with files of these names."""
    return NodeResult(unmanaged=UnmanagedFiles(dict.fromkeys(names, Unmanaged(Deviation.UNOWNED, state()))))


def test_what_nodes_have_in_common_comes_last() -> None:
    """So it is left out first."""
    report = UnmanagedReport("/etc", ["n1", "n2", "n3"])
    common = [b"/etc/%02d" % number for number in range(45)]
    report.take("n1", found(*common, b"/etc/z"))
    report.take("n2", found(*common))
    report.take("n3", NodeResult(error=unreachable("no route")))
    lines = [line for line, _ in report.summary(4, quiet=False, everything=False)]
    assert lines[:2] == [
        "UNMANAGED n1: /etc/z belongs to no package (1 of 2 nodes)",
        "UNMANAGED n[1-2]: /etc/00 belongs to no package (2 of 2 nodes)",
    ]
    assert lines[40:] == [
        "... and 6 more lines about unmanaged files: -v, or drift.json",
        "UNMANAGED n3: unknown: unreachable: no route",
        "UNMANAGED unknown on 1 node more: the run ended before",
    ]
    assert len([*report.summary(3, quiet=False, everything=True)]) == 46 + 1

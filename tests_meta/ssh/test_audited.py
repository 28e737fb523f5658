"""--lf --fix repairs what the last audit found, and nothing that has changed since."""

from __future__ import annotations

import pytest

from tests_meta.site import Site


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_what_changed_since_the_audit_is_not_repaired(live: Site, workers: tuple[str, ...]) -> None:
    """It fails with both findings and stays as it is, until another audit has seen it."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("file._all")
    assert live.pytest("--fix", *workers).status == 0
    for node in ("node1", "node2"):
        live.sh(node, "chmod 600 @/file")
    assert live.pytest(*workers).count("failure") == 2
    live.sh("node2", "echo mine >@/file")
    run = live.pytest("--lf", "--fix", *workers)
    assert run.status == 1
    assert run.word("node1", f"{live.top}/file") == "passed"
    was = "changed since the audit: was mode 0600 -> 0644, is file size mismatch, mode 0600 -> 0644; look again before"
    assert was in run.message("node2", f"{live.top}/file")
    assert live.sh("node2", "cat @/file") == "mine\n"
    assert live.pytest("--lf", "--fix", *workers).status == 1
    assert live.pytest("--lf", *workers).count("failure") == 1
    run = live.pytest("--lf", "--fix", *workers)
    assert run.status == 0, run.output
    assert live.sh("node2", "cat @/file") == "content\n"


def test_without_lf_everything_is_repaired(live: Site) -> None:
    """--fix alone is not about an audit."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    assert live.pytest().status == 1
    live.sh("node1", "mkdir -p @; echo mine >@/file")
    assert live.pytest("--fix").status == 0

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


@pytest.mark.parametrize("options", [(), ("-n2",), ("--granularity=node",), ("--hosts=node2",), ("-k", "other")])
@pytest.mark.parametrize("is_clean", [True, False])
def test_what_no_audit_has_found_is_not_repaired(live: Site, options: tuple[str, ...], is_clean: bool) -> None:
    """Also if no test that failed is selected, so that pytest runs all; a list of old versions makes it forget them."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("file._all")
    live.put("other._all")
    granularity = tuple(option for option in options if option.startswith("--granularity"))
    assert live.pytest("--fix", *granularity).status == 0
    if not is_clean:
        live.sh("node1", "echo seen >@/file")
    assert live.pytest(*granularity).status == (0 if is_clean else 1)
    assert live.pytest("--restore", "--hosts=node1", *granularity).status in (0, 5)
    live.sh("node2", "echo later >@/other")
    run = live.pytest("--lf", "--fix", *options)
    assert live.sh("node2", "cat @/other") == "later\n"
    is_repaired = is_clean or not options or options[0] in ("-n2", "--granularity=node")
    assert live.sh("node1", "cat @/file") == ("content\n" if is_repaired else "seen\n")
    assert (run.status, "not found by the audit: file size mismatch; look again before --fix" in run.output) == (
        1,
        True,
    )


def test_a_node_that_the_audit_did_not_reach_is_repaired(live: Site) -> None:
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("file._all")
    assert live.pytest("--fix").status == 0
    live.sh("node2", "echo unseen >@/file")
    live.nodes["node2"] = "batch ipaddress:127.0.0.1:1"
    assert live.pytest().status == 1
    live.nodes["node2"] = "batch"
    live.sh("node1", "echo later >@/file")
    live.pytest("--lf", "--fix")
    assert live.sh("node2", "cat @/file") == "content\n"
    assert live.sh("node1", "cat @/file") == "later\n"


def test_without_lf_everything_is_repaired(live: Site) -> None:
    """--fix alone is not about an audit."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    assert live.pytest().status == 1
    live.sh("node1", "mkdir -p @; echo mine >@/file")
    assert live.pytest("--fix").status == 0

"""--granularity=node on real nodes: repaired, and with --lf just what the audit found."""

from __future__ import annotations

import re

import pytest
from lxml import etree
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import TOO_MANY_LINKS, Site
from tests_meta.ssh.test_main_job import SCHEMA

BY_NODE = "--granularity=node"
OVERLAY = "synctool_checks.test_overlay"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_audit_repair_and_audit_again(live: Site, workers: tuple[str, ...]) -> None:
    """A node is FIXED as a whole, or fails with what is left; the report is valid."""
    live.put("one._all", "one\n")
    live.put("two._all", "two\n")
    live.put("stays._node3", "x\n")
    live.delete("evil._all")
    live.sh("node1", "mkdir -p @; touch @/evil")
    live.sh("node3", "mkdir -p @/evil")  # directories are not deleted
    schema = etree.XMLSchema(etree.parse(SCHEMA))
    audit = live.pytest(BY_NODE, *workers, "-o", "junit_family=xunit2")
    assert audit.status == 1
    assert audit.results[("synctool_checks.test_delete", "node2")] == "passed"
    assert [audit.results[(OVERLAY, f"node{n}")] for n in (1, 2, 3)] == ["failure"] * 3
    schema.assertValid(etree.parse(live.directory / "junit.xml"))
    fixed = live.pytest(BY_NODE, "--fix", *workers)
    assert fixed.status == 1
    assert "4 fixed" in fixed.output
    assert re.search(r"FIXED node\S+: \S+ created \(missing\) and \d below it", fixed.output)
    assert fixed.results[("synctool_checks.test_delete", "node3")] == "failure"
    assert "1 drifted of 1: " in fixed.messages[("synctool_checks.test_delete", "node3")]
    live.sh("node3", "rmdir @/evil")
    green = live.pytest(BY_NODE, *workers)
    assert green.status == 0, green.output
    assert set(green.results.values()) == {"passed"}


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_only_what_the_audit_found_is_repaired(live: Site, workers: tuple[str, ...]) -> None:
    """Of a node that failed, an entry that drifted only since is left alone and told; so is what is new."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("one._all")
    live.put("two._all")
    assert live.pytest(BY_NODE, "--fix", *workers).status == 0
    live.sh("node1", "chmod 600 @/one")
    assert live.pytest(BY_NODE, *workers).count("failure") == 1
    for node in ("node1", "node2"):
        live.sh(node, "chmod 600 @/two")
    live.put("new._all")
    run = live.pytest(BY_NODE, "--lf", "--fix", *workers)
    assert run.status == 1
    assert list(run.results) == [(OVERLAY, "node1")]
    text = run.messages[(OVERLAY, "node1")]
    assert "2 drifted, 1 fixed of 5: " in text
    assert f"{live.top}/two not found by the audit: mode 0600 -> 0644; look again before --fix" in text
    assert f"{live.top}/new not found by the audit: missing; look again before --fix" in text
    assert live.sh("node1", "stat -c %a @/one @/two; ls @/new 2>&- || :") == "644\n600\n"
    assert live.sh("node2", "stat -c %a @/two") == "600\n"
    assert live.pytest(BY_NODE, *workers).count("failure") == 2
    assert live.pytest(BY_NODE, "--lf", "--fix", *workers).status == 0
    assert live.sh("node1", "stat -c %a @/two; ls @/new") == f"644\n{live.top}/new\n"


def test_what_no_audit_has_seen_is_repaired(live: Site, cluster: EmbeddedCluster) -> None:
    """A node that was down, and an entry that could not be looked at."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("links/file._all")
    live.put("one._all")
    assert live.pytest(BY_NODE, "--fix").status == 0
    live.sh("node1", f"cd @; {TOO_MANY_LINKS}")
    live.sh("node2", "chmod 600 @/one")
    cluster.freeze("node2")
    try:
        audit = live.pytest(BY_NODE, "--connect-timeout=2", "--node-timeout=4")
    finally:
        cluster.thaw("node2")
    assert [audit.results[(OVERLAY, node)] for node in ("node1", "node2")] == ["error", "error"]
    assert "1 with errors, 1 drifted of 5: " in audit.messages[(OVERLAY, "node1")]
    live.sh("node1", "rm @/links; mkdir -m 755 @/links")
    run = live.pytest(BY_NODE, "--lf", "--fix")
    assert run.status == 0, run.output
    assert live.sh("node2", "stat -c %a @/one") == "644\n"
    assert live.sh("node1", "cat @/links/file") == "content\n"


def test_batches_and_tasks(live: Site) -> None:
    """No batch after one that failed, and a task that is not run is no pass."""
    live.put("hello._all", "#!/bin/sh\necho hello\n", 0o755, tree="tasks")
    live.delete("evil._all")
    live.sh("node1", "mkdir -p @/evil")
    audit = live.pytest(BY_NODE, "--tasks")
    assert audit.results[("synctool_checks.test_tasks", "node1")] == "skipped"
    run = live.pytest(BY_NODE, "--fix", "--serial", "-m", "delete")
    assert run.status == 1
    words = [run.results[("synctool_checks.test_delete", f"node{n}")] for n in (1, 2, 3)]
    assert words == ["failure", "skipped", "skipped"]
    assert "SKIPPED node[2-3]: not begun: 1 of 1 node failed in the batch before" in run.output

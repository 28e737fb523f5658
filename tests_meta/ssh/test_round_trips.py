"""How often a node is talked to, counted in the log of its sshd."""

from __future__ import annotations

from tests_meta.site import Site


def counted(live: Site, node: str, *options: str) -> tuple[int, int]:
    """Logins and commands that a run costs a node."""
    assert live.cluster is not None
    log = live.cluster.directory / "log" / node
    before = log.stat().st_size
    run = live.pytest(*options, f"--hosts={node}")
    assert run.status in (0, 1), run.output
    said = log.read_bytes()[before:]
    return said.count(b"Accepted publickey for "), said.count(b"Starting session: command")


def test_round_trips(live: Site) -> None:
    """An audit: one login, one command. A repair: one login; look, bring, repair, look again."""
    for number in range(30):
        live.put(f"d{number % 3}/file{number}._all", f"content {number}\n")
    live.script("d0/file0.post", "#!/bin/sh\n")
    assert counted(live, "node1") == (1, 1)
    assert counted(live, "node1", "--fix") == (1, 4)
    assert counted(live, "node1", "--fix") == (1, 1)
    live.sh("node1", "chmod 600 @/d0/file3")
    assert counted(live, "node1", "--fix") == (1, 3)  # nothing has to be brought
    assert counted(live, "node1", "--restore") == (1, 1)

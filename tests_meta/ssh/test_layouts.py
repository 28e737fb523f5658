"""A site of synctool 6 or 7 on real nodes: nothing is done by mistake, and nothing is lost on the way to synctool 4."""

from __future__ import annotations

from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool
from tests_meta.terminal import run


def test_from_synctool_7(live: Site) -> None:
    live.nodes = {"node1": "batch hostid:/etc/hostid", "node2": "login"}
    live.lines = ["master admin1", "terse no", "color_ok red", "ignore_group none gone", "ignore_node cn9 batch"]
    live.put("etc/motd._all", "for all\n", tree="overlay/all")
    live.put("etc/motd._all", "for batch\n", tree="overlay/batch")
    live.put("etc/issue._node2", "only node2\n", tree="overlay/all")
    live.put("etc/motd.post", "#!/bin/sh\necho ran >>triggered\n", 0o755, tree="overlay/all")
    live.put("evil._all", "", tree="delete/batch")
    for node in live.nodes:
        live.sh(node, "mkdir -p @/etc; cd @; echo evil >evil; echo old >etc/motd; chmod 755 . etc")

    # As paths of synctool 4, these would be /all and /batch on the nodes.
    for command in (("-f",), (), ("-r", f"{live.top}/etc/motd")):
        stopped = synctool(live, *command)
        assert (stopped.status, stopped.lines) == (2, [])
        assert stopped.complaints.count("may be a repository of synctool 6 or 7") == 1
        assert "write 'layout 7' in the configuration" in stopped.complaints
    refused = live.pytest("--fix")
    assert refused.status == 4
    assert "may be a repository of synctool 6 or 7, with overlay/all/, overlay/batch/, delete/batch/" in refused.output
    assert live.sh("node1", "ls -d /all /batch 2>/dev/null; cat @/etc/motd") == "old\n"

    live.lines += ["layout 7", "backup_copies no", "syslogging no", "ssh_control_persist none"]
    fixed = synctool(live, "-f")
    assert fixed.status == 0, fixed
    assert fixed.complaints.count("have no effect here") == 1
    assert live.sh("node1", "cd @; cat etc/motd etc/triggered; find . -type f | sort") == (
        "for batch\nran\n./etc/motd\n./etc/triggered\n"  # no motd.saved
    )
    assert live.sh("node2", "cd @; cat etc/motd etc/issue evil etc/triggered") == "for all\nonly node2\nevil\nran\n"
    audit = live.pytest()
    assert audit.status == 0, audit.output

    config = ("synctool-config", "-c", str(live.configure()), "--migrate")
    assert (
        f"mv {live.masterdir}/overlay/batch/data {live.masterdir}/overlay/data._batch"
        in run(live.directory, *config).lines()
    )
    done = run(live.directory, *config, "-f")
    assert done.status == 0, done
    live.lines.remove("layout 7")
    audit = live.pytest()
    assert audit.status == 0, audit.output
    assert synctool(live, "-n", "node1", "-r", f"{live.top}/etc/motd").lines == [
        f"node1: /data._batch{live.top.removeprefix('/data')}/etc/motd._all"
    ]

"""always_run on real nodes."""

from __future__ import annotations

from tests_meta.site import Site


def test_every_repair_runs_it(live: Site) -> None:
    """Last of all, also where nothing was to do; a script of the masterdir is brought; a dry run only says so."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.lines += ["always_run hello.sh world", "always_run echo $SYNCTOOL_NODE >>/tmp/always.log"]
    live.put("file._all")
    live.script("file.post", "#!/bin/sh\necho post >>/tmp/always.log\n")
    script = live.masterdir / "scripts/hello.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho hello $1 >>/tmp/always.log\n")
    script.chmod(0o755)
    for node in live.nodes:
        live.sh(node, "rm -f /tmp/always.log")
    run = live.pytest()
    assert "not running command hello.sh world (always_run)" in run.output
    assert [name for _, name in run.results if "hello" in name] == []
    assert live.pytest("--fix").status == 0
    assert live.sh("node1", "cat /tmp/always.log") == "post\nhello world\nnode1\n"
    run = live.pytest("--fix", "-n2")
    assert run.status == 0
    assert run.word("node2", "hello.sh world", "always") == "passed"
    assert "fixed" not in run.output.splitlines()[-1]
    assert live.sh("node2", "cat /tmp/always.log") == "post\nhello world\nnode2\nhello world\nnode2\n"


def test_one_that_fails(live: Site) -> None:
    """Fails its own test, with what it said; it is not owed, since the next repair runs it anyway."""
    live.nodes = {"node1": "batch"}
    live.lines.append("always_run echo why; exit 3")
    live.put("file._all")
    run = live.pytest("--fix")
    assert run.status == 1
    assert "failed: exit status 3" in run.message("node1", "echo why; exit 3", "always")
    assert "why" in run.message("node1", "echo why; exit 3", "always")
    assert run.word("node1", f"{live.top}/file") == "passed"
    assert live.pytest().status == 0

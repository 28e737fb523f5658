"""What differs in contents is in reports, once, and what not everybody may read is nowhere."""

from __future__ import annotations

import json
import os

import pytest

from tests_meta.site import Site

SECRET = "planted-hunter2"


def test_the_diff_is_in_the_reports_and_with_an_option_on_the_terminal(live: Site) -> None:
    """Equal differences once; where there is more than can be shown, how to see it."""
    live.put("ntp.conf._all", "server one\nserver two\n")
    assert live.pytest("--fix").status == 0
    live.sh("node1", "echo 'server three' >@/ntp.conf")
    live.sh("node2", "echo 'server three' >@/ntp.conf")
    live.sh("node3", "seq 60000 >@/ntp.conf")
    run = live.pytest("--diff")
    assert "+server one\n" in run.message("node1", f"{live.top}/ntp.conf")
    assert run.output.count("-server three") == 1
    assert f"DRIFT node[1-3]: {live.top}/ntp.conf file size mismatch (3 nodes)" in run.output
    assert f"contents: not shown, too large here; synctool --diff {live.top}/ntp.conf does" in run.message(
        "node3", f"{live.top}/ntp.conf"
    )
    assert "-server three" not in live.pytest().output
    results = json.loads((live.directory / "reports/drift.json").read_text())["results"]
    assert [bool(row["diff"]) for row in results] == [True, True, False]
    fixed = live.pytest("--fix", "--diff")
    assert fixed.status == 0
    assert "-server three" in (live.directory / "junit.xml").read_text()


def test_a_diff_is_told_where_contents_differ_and_nowhere_else(live: Site) -> None:
    """Not of a command that is owed for the same file, nor where a check of one's own finds something else in it."""
    live.nodes = {"node1": "batch"}
    live.put("f._all", "one\n")
    live.script("f.post", "#!/bin/sh\nfalse\n")
    assert live.pytest("--fix").status == 1
    live.sh("node1", "echo two >@/f; chmod 666 @/f")
    (live.directory / "test_own.py").write_text(
        "from pytest_synctool.model import Change\n"
        "def check_mode(entry, actual):\n"
        "    return [Change('world-writable', 'no', 'yes')] if entry.destination.endswith(b'/f') else []\n"
    )
    command = live.command()
    command.insert(5, "test_own.py")
    live.pytest(command=command)
    results = json.loads((live.directory / "reports/drift.json").read_text())["results"]
    shown = {(row["check"], row["path"].removesuffix(f"{live.top}/f")): bool(row["diff"]) for row in results}
    assert shown == {
        ("synctool_checks/test_overlay.py", ""): True,
        ("synctool_checks/test_post.py", "post:"): False,
        ("test_own.py::check_mode", ""): False,
    }


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_no_secret_is_anywhere(live: Site, workers: tuple[str, ...]) -> None:
    """In what is written by audits, repairs and failures of all kinds, for every way in which a file is secret."""
    live.lines.append(f"logfile {live.directory}/log")
    live.put("mode._all", f"{SECRET} here\n", 0o600)
    live.put("marked._all", f"{SECRET} here\n")
    live.directory_of("private", 0o700)
    live.put("private/inside._all", f"{SECRET} here\n")
    live.put("open._all", "public\n")
    live.put("refused._all", f"{SECRET} here\n", 0o640)
    live.script("mode.post", "#!/bin/sh\ncat mode\nfalse\n")
    rules = f"- path: {live.top}/marked\n  sensitive: yes\n- path: {live.top}/refused\n  validate: cat %s; false\n"
    (live.masterdir / "attributes.yaml").write_text(rules)
    options = (*workers, "--explain", "-vv", "--synctool-summary=s.md", "--synctool-jsonl=l.jsonl", "--diff")
    seen = [live.pytest("--fix", *options)]
    assert "refused by its validate command with exit status 1" in seen[0].output
    assert "what it printed is not shown" in seen[0].output
    for node in ("node1", "node2", "node3"):
        live.sh(node, f"for f in mode marked private/inside; do echo '{SECRET} there, and more' >@/$f; done")
        live.sh(node, f"(umask 077; rm @/open; echo {SECRET} >@/open)")
    seen += [live.pytest(*options), live.pytest("--fix", *options), live.pytest(*options)]
    assert all(run.status == 1 for run in seen)
    assert "file size mismatch" in seen[1].output
    for run in seen:
        assert SECRET not in run.output
    for directory, _, names in os.walk(live.directory):
        if f"{os.sep}masterdir" in directory:
            continue
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                assert SECRET.encode() not in file.read(), os.path.join(directory, name)

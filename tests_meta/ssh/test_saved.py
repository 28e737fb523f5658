"""Old versions on real nodes: --no-saved, --saved-dir, --restore."""

from __future__ import annotations

import json
import re

import pytest

from tests_meta.gate import settled
from tests_meta.site import Site
from tests_meta.ssh.test_history import run
from tests_meta.ssh.test_synctool import synctool


@pytest.fixture
def old(live: Site) -> Site:
    """Nodes with an old file, an old link, and a directory in the way of a file; nothing else is right either."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("conf.d/file._all", "new\n")
    live.put("link._all", "new\n")
    live.put("way._all", "new\n")
    live.put("made._all", "new\n")
    live.script("conf.d/file.post", "#!/bin/sh\ncat file >>/tmp/restore.log\n")
    live.delete("evil._all")
    for node in live.nodes:
        live.sh(
            node,
            "rm -rf /tmp/restore.log /srv/saved; mkdir -p @/conf.d @/way; chmod 755 @ @/conf.d; cd @;"
            "echo old >conf.d/file; chown 1:2 conf.d/file; chmod 640 conf.d/file; ln -s nowhere link;"
            "echo mine >way/inside; echo evil >evil",
        )
    return live


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_restore(old: Site, workers: tuple[str, ...]) -> None:
    """What was replaced is as it was, and its trigger runs again; what was new or deleted is left alone."""
    assert old.pytest("--fix", *workers).status == 0
    run = old.pytest("--restore", "--fix", "--hosts=all", *workers)
    assert run.status == 0, run.output
    assert "restoring" in run.output
    assert f"FIXED node[1-2]: {old.top}/conf.d/file restored (from {old.top}/conf.d/file.saved), ran " in run.output
    assert run.word("node1", f"{old.top}/made") == "skipped"
    for node in old.nodes:
        look = "cd @; cat conf.d/file; readlink link; cat way/inside made; stat -c '%a %u:%g' conf.d/file; ls . conf.d"
        assert old.sh(node, look).split() == [
            *("old", "nowhere", "mine", "new", "640", "1:2", ".:", "conf.d", "link", "made", "way"),
            *("conf.d:", "file"),
        ]
        assert old.sh(node, "cat /tmp/restore.log") == "new\nold\n"
    again = old.pytest("--restore", "--fix", "--hosts=all")
    assert again.status == 0
    assert again.count("skipped") == len(again.results)
    assert old.sh("node1", "cat /tmp/restore.log") == "new\nold\n"
    settled(old)


def test_a_dry_run_and_an_earlier_run(old: Site) -> None:
    """Without --fix nothing changes; a file that is named comes back from an earlier run; a list has all of them."""
    assert old.pytest("--fix").status == 0
    live = old.snapshot("node1")
    listed = old.pytest("--restore", "--hosts=all")
    assert listed.status == 0, listed.output
    for name in ("conf.d/file", "link", "way"):
        assert f"node[1-2]: {old.top}/{name} would be restored (from {old.top}/{name}.saved, kept by " in re.sub(
            r"node[12]: (.*)process \d+", r"node[1-2]: \1process N", listed.output
        )
    assert "DRY RUN, nothing was changed. To restore these: " in listed.output
    assert old.snapshot("node1") == live
    old.sh("node1", "echo mine >@/made")
    assert old.pytest("--fix", "--hosts=node1").status == 0  # from here on that is the last run
    last = synctool(old, "--restore", "-n", "node1")
    assert [line.partition(" (")[0] for line in last.lines if line.startswith("node1")] == [
        f"node1: {old.top}/made would be restored"
    ]
    every = synctool(old, "--restore", "--list", "-n", "node1", "-q")
    assert (len(every.lines), every.complaints) == (4, "DRY RUN, not doing any updates\n")
    ended = synctool(old, "--restore", "-f", "-n", "node1", "-1", f"{old.top}/conf.d/file")
    assert ended.status == 0, ended
    assert ended.lines[-1] == "The next audit reports restored files as drift."
    assert old.sh("node1", "cat @/conf.d/file @/made") == "old\nnew\n"
    settled(old)


def test_restore_of_some(old: Site) -> None:
    """Only what is selected comes back."""
    assert old.pytest("--fix").status == 0
    assert old.pytest("--restore", "--fix", "--hosts=node2", "-k", "conf.d/file").status == 0
    assert [old.sh(node, "cat @/conf.d/file @/way") for node in old.nodes] == ["new\nnew\n", "old\nnew\n"]
    settled(old)


def test_a_node_that_cannot_be_restored(old: Site) -> None:
    """What is in the way is told, and an unreachable node is an error."""
    old.nodes = {"node1": "batch", "dead1": "batch interface:127.0.0.1"}
    old.pytest("--fix")
    old.sh("node1", "rm @/link; mkdir @/link; touch @/link/inside")
    run = old.pytest("--restore", "--fix", "--hosts=all")
    assert run.status == 1
    assert "not restored from" in run.message("node1", f"{old.top}/link")
    assert "not empty" in run.message("node1", f"{old.top}/link")
    assert run.word("node1", f"{old.top}/way") == "passed"
    assert "ERROR dead1: unreachable" in run.output
    old.sh("node1", "rm -r @/link")


def test_a_directory_of_their_own(old: Site) -> None:
    """No configuration directory is littered, and --restore finds them all the same."""
    assert old.pytest("--fix", "--saved-dir=/srv/saved").status == 0
    assert old.sh("node1", "ls @ @/conf.d; cat /srv/saved@/conf.d/file; readlink /srv/saved@/link").split() == [
        f"{old.top}:", "conf.d", "link", "made", "way", f"{old.top}/conf.d:", "file", "old", "nowhere",
    ]  # fmt: skip
    assert old.sh("node1", "stat -c %a /srv/saved") == "700\n"
    assert old.pytest("--restore", "--fix", "--hosts=all").status == 0
    assert old.sh("node1", "cat @/conf.d/file @/way/inside; readlink @/link") == "old\nmine\nnowhere\n"
    settled(old)


def test_none_are_kept(old: Site) -> None:
    """But what cannot be made again, a directory, is."""
    assert old.pytest("--fix", "--no-saved").status == 0
    assert old.sh("node1", "ls @ @/conf.d; cat @/way.saved/inside").split() == [
        f"{old.top}:", "conf.d", "link", "made", "way", "way.saved", f"{old.top}/conf.d:", "file", "mine",
    ]  # fmt: skip
    settled(old)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-saved",), "--no-saved needs --fix"),
        (("--saved-dir=/x",), "--saved-dir needs --fix"),
        (("--fix", "--no-saved", "--saved-dir=/x"), "--no-saved does not go with --saved-dir"),
        (("--fix", "--saved-dir=x"), "expected a directory on the nodes"),
        (("--fix", "--saved-dir=/"), "expected a directory on the nodes"),
        (("--fix", "--restore"), "--restore needs the names of nodes: --hosts=NODES (--hosts=all: every node)"),
        (("--restore", "--tasks"), "--tasks does not go with --restore"),
        (("--restore", "--hosts=all", "--collect-only"), "--restore does not go with --collect-only"),
        (("--restore", "--hosts=all", "--synctool-lint"), "--restore does not go with --synctool-lint"),
    ],
)
def test_options_that_do_not_go_together(site: Site, options: tuple[str, ...], message: str) -> None:
    run = site.pytest(*options)
    assert run.status == 4
    assert message in run.output


def test_old_versions_are_erased(old: Site) -> None:
    """First only named; only what repairs kept, of the named files, nodes, or all; the history has the run."""
    assert old.pytest("--fix").status == 0
    old.sh("node1", "echo hand >@/made.saved; echo more >>@/conf.d/file.saved")
    live = old.snapshot("node1")
    listed = synctool(old, "-e", "-n", "node1")
    assert listed.status == 0, listed
    assert [listed.lines[0], listed.lines[-1]] == ["DRY RUN, not doing any updates", "1 node: 1 asked"]
    lines = [line.partition(", kept by")[0] for line in listed.lines[1:-1]]
    assert lines == [
        f"node1: {old.top}/link.saved erased (old version of {old.top}/link",
        f"node1: {old.top}/conf.d/file.saved stays: it is not what was kept there",
        f"node1: {old.top}/way.saved stays: it is a directory: look into it, and remove it by hand",
    ]
    assert old.snapshot("node1") == live
    assert synctool(old, "-qe", "-n", "node1").complaints == "DRY RUN, not doing any updates\n"
    unix = synctool(old, "-e", "--unix", "-n", "node1", "-1", f"{old.top}/link", "-1", f"{old.top}/way.saved")
    assert unix.lines == [
        f"node1: # {old.top}/way.saved stays: it is a directory: look into it, and remove it by hand",
        *(f"node1: # erasing old version of {old.top}/link", f"node1: rm {old.top}/link.saved", "node1: "),
    ]
    one = synctool(old, "-e", "-f", "-1", f"{old.top}/link", "-1", "/no/entry")
    assert one.status == 0, one
    assert one.lines[-1] == "2 nodes: 2 with old versions erased"
    assert {line.partition(", kept by")[0] for line in one.lines[1:-1]} == {
        f"node{n}: {old.top}/link.saved erased (old version of {old.top}/link" for n in (1, 2)
    }
    every = synctool(old, "-qef")
    assert [line.split()[:3] for line in every.lines] == [
        ["node1:", f"{old.top}/conf.d/file.saved", "stays:"],
        ["node1:", f"{old.top}/way.saved", "stays:"],
        ["node2:", f"{old.top}/conf.d/file.saved", "erased"],
        ["node2:", f"{old.top}/way.saved", "stays:"],
    ]
    assert old.sh("node1", "cd @; ls . conf.d").split() == [
        *(".:", "conf.d", "link", "made", "made.saved", "way", "way.saved"),
        *("conf.d:", "file", "file.saved"),
    ]
    assert synctool(old, "-e", "-f", "-n", "node2").lines[-1] == "1 node: 1 with nothing to erase"
    assert synctool(old, "--restore", "-n", "node2", "-1", f"{old.top}/link").lines[-1] == "1 node: 1 asked"
    runs = json.loads(run(old, "synctool-history", "--json").out)["runs"]
    assert [one["mode"] for one in runs].count("erase") == 6
    (last,) = (one for one in runs if one["nodes"]["fixed"] == 2 and one["mode"] == "erase")
    assert "  node[1-2]: / 1 old version erased\n" in run(old, "synctool-history", last["id"]).out.decode()
    over_time = run(old, "synctool-history", "-n", "node2").out.decode().splitlines()
    assert over_time[-2].endswith("  erase    nothing to do")
    settled(old)

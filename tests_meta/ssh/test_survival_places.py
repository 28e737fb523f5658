"""--fix on nodes that are not in order: places that cannot be written, triggers of all sorts, files that change.

After each, when the cause is gone, the next --fix ends the work.
"""

from __future__ import annotations

import os
import sys

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.gate import MakeGate, running, settled
from tests_meta.site import Site
from tests_meta.terminal import MEASURE

NEW = "new\n" * 2_000
LOOK = "/usr/bin/find @ -type f -name '[a-z]*' -printf '%P %m %U:%G %s\\n' | sort"


def test_places_that_cannot_be_written(live: Site) -> None:
    """No inode, no block, read-only: the old file stays as it was, the reason is told, all else is fixed."""
    live.nodes = {"node1": "batch"}
    for name in ("inodes", "blocks", "readonly", "fine"):
        live.put(f"{name}/file._all", NEW)
    live.sh("node1", "mkdir -p @/fine; echo old >@/fine/file; chmod 600 @/fine/file")
    for name, options in (("inodes", "nr_inodes=3"), ("blocks", "size=4k"), ("readonly", "size=1m")):
        make = f"mkdir @/{name}; mount -t tmpfs -o {options},mode=755 none @/{name}; cd @/{name}"
        live.sh("node1", make + "; echo old >file; chmod 600 file")
    live.sh("node1", "ln @/inodes/file @/inodes/Full; mount -o remount,ro @/readonly")
    run = live.pytest("--fix")
    assert run.status == 1
    assert "No space left on device" in run.message("node1", f"{live.top}/inodes/file")
    assert "No space left on device" in run.message("node1", f"{live.top}/blocks/file")
    assert "Read-only file system" in run.message("node1", f"{live.top}/readonly/file")
    assert live.sh("node1", LOOK).splitlines() == [
        "blocks/file 600 0:0 4",
        "fine/file 644 0:0 8000",
        "fine/file.saved 600 0:0 4",
        "inodes/file 600 0:0 4",
        "readonly/file 600 0:0 4",
    ]
    live.sh("node1", "umount -l @/inodes @/blocks @/readonly")
    settled(live)


def test_an_immutable_file(live: Site) -> None:
    """A file that even root cannot replace stays as it is."""
    live.nodes = {"node1": "batch"}
    live.put("held._all", NEW)
    live.put("owned._all", "old\n")
    live.delete("kept._all")
    live.sh("node1", "mkdir -p @; cd @; for name in held owned kept; do echo old >$name; chmod 600 $name; done")
    if live.sh("node1", "chattr +i @/held @/owned @/kept 2>&1 || echo no"):
        pytest.skip("this file system knows no immutable files")
    try:
        run = live.pytest("--fix")
        assert run.status == 1
        for name, tree in (("held", "overlay"), ("owned", "overlay"), ("kept", "delete")):
            message = run.message("node1", f"{live.top}/{name}", tree)
            assert "Operation not permitted (immutable: chattr -i)" in message
        assert live.sh("node1", LOOK + " | grep -v saved").split("\n")[:-1] == [
            "held 600 0:0 4",
            "kept 600 0:0 4",
            "owned 600 0:0 4",
        ]
    finally:
        live.sh("node1", "chattr -i @/held @/owned @/kept")
    settled(live)


def test_directories_above_that_are_something_else(live: Site) -> None:
    """A dangling link, a file, a link that is to give way, a loop, nothing: what was there is kept beside it."""
    live.nodes = {"node1": "batch"}
    rules = f"- path: {live.top}/elsewhere\n  follow: no\n- path: {live.top}/round/deep\n  follow: yes\n"
    (live.masterdir / "attributes.yaml").write_text(rules)
    for name in ("dangling", "plain", "elsewhere", "none/deep", "loop", "back", "round/deep"):
        live.put(f"{name}/file._all", NEW)
    live.delete("loop/evil._all")
    live.sh(
        "node1",
        "mkdir -p @/real @/round; cd @; ln -s nowhere dangling; echo mine >plain; ln -s real elsewhere;"
        "echo old >real/file; ln -s ./loop loop; ln -s forth/x back; ln -s back forth; ln -s deep round/deep",
    )
    audit = live.pytest()
    words = {path.removeprefix(live.top): word for (_, path), word in audit.results.items()}
    assert "error" not in words.values()
    assert {words[f"/{name}/file"] for name in ("loop", "back", "round/deep")} == {"failure"}
    assert words["/loop/evil"] == "passed"
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", "cd @; readlink dangling.saved elsewhere.saved; cat plain.saved real/file").split() == [
        "nowhere", "real", "mine", "old",
    ]  # fmt: skip
    assert live.sh("node1", LOOK + " | grep -c '/file 644 0:0 8000'") == "7\n"
    assert live.sh("node1", "cd @; readlink loop.saved back.saved forth").split() == ["./loop", "forth/x", "back"]
    settled(live)


def test_links_above_are_not_followed(live: Site) -> None:
    """Neither replaced nor written through, whether or not they are selected, unless they are allowed."""
    live.nodes = {"node1": "batch"}
    for name in ("dangling", "elsewhere", "deep/in"):
        live.put(f"{name}/file._all", NEW)
    live.delete("deep/evil._all")
    live.sh(
        "node1",
        "mkdir -p @/real/in; cd @; ln -s nowhere dangling; ln -s real elsewhere; ln -s real deep;"
        "for name in file in/file evil; do echo old >real/$name; done",
    )
    before = live.sh("node1", "cd @; ls -lR --time-style=full-iso")
    run = live.pytest("--fix", "-k", "file or evil")
    assert run.status == 1
    assert run.count("failure") == 4
    assert "No such file or directory" in run.message("node1", f"{live.top}/dangling/file")
    for name, kind in (("elsewhere/file", "overlay"), ("deep/in/file", "overlay"), ("deep/evil", "delete")):
        assert f"leads to {live.top}/real" in run.message("node1", f"{live.top}/{name}", kind)
        assert "'follow: yes' in attributes.yaml would allow" in run.message("node1", f"{live.top}/{name}", kind)
    assert live.sh("node1", "cd @; ls -lR --time-style=full-iso") == before
    run = live.pytest("--fix")
    assert "it leads to a directory: say 'follow: yes' or 'no'" in run.message("node1", f"{live.top}/elsewhere")
    assert run.word("node1", f"{live.top}/dangling/file") == "passed"
    assert live.sh("node1", "cd @; readlink elsewhere deep; cat real/file real/in/file real/evil").split() == [
        *("real", "real"), *("old",) * 3,
    ]  # fmt: skip
    rule = f"- path: ['{live.top}/elsewhere', '{live.top}/deep']\n  follow: yes\n"
    (live.masterdir / "attributes.yaml").write_text(rule)
    settled(live)
    assert live.sh("node1", "cd @; readlink elsewhere deep; cat real/file.saved; ls real").split() == [
        "real", "real", "old", "file", "file.saved", "in",
    ]  # fmt: skip


def test_a_directory_behind_a_link_is_looked_after(live: Site) -> None:
    """Its owner and mode are what counts, not those of the link; a link that leads nowhere is a missing directory."""
    live.nodes = {"node1": "batch"}
    live.directory_of("run", 0o750)
    (live.masterdir / "attributes.yaml").write_text(f"- path: {live.top}/*\n  follow: yes\n")
    live.sh("node1", "mkdir -p -m 755 @ @/real; chown 1:1 @/real; ln -s real @/run")
    run = live.pytest()
    message = run.message("node1", f"{live.top}/run")
    assert message.count("owner daemon -> root, group daemon -> root, mode 0755 -> 0750") == 2
    settled(live)
    assert live.sh("node1", "cd @; readlink run; stat -c '%a %u:%g' real").split() == ["real", "750", "0:0"]
    live.sh("node1", "rmdir @/real")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", "cd @; stat -c '%F %a %u:%g' run").strip() == "directory 750 0:0"


def test_what_something_is_mounted_on(live: Site) -> None:
    """Neither deleted nor replaced: the system does not let it go, and why is told."""
    live.nodes = {"node1": "batch"}
    live.put("file._all", NEW)
    live.delete("evil._all")
    live.put("a \\040 b._all", NEW)
    live.delete("directory._all")
    live.sh("node1", "mkdir -p @/directory; cd @; for name in file evil mine 'a \\040 b'; do echo x >\"$name\"; done")
    live.sh("node1", "cd @; for name in file evil 'a \\040 b'; do mount --bind mine \"$name\"; done")
    live.sh("node1", "mount -t tmpfs none @/directory")
    try:
        run = live.pytest("--fix")
        assert run.status == 1
        hint = "busy (something is mounted on it: say 'in_place: yes' in attributes.yaml, or mount its directory)"
        assert hint in run.message("node1", f"{live.top}/file")
        assert hint in run.message("node1", f"{live.top}/a \\040 b")
        hint = "busy (something is mounted on it: mount its directory instead, or accept it by a waiver)"
        assert hint in run.message("node1", f"{live.top}/evil", "delete")
        assert "directories are never deleted" in run.message("node1", f"{live.top}/directory", "delete")
        assert live.sh("node1", "cat @/mine @/file @/evil; mountpoint -q @/directory") == "x\n" * 3
    finally:
        live.sh("node1", "cd @; umount -l file evil directory 'a \\040 b'; rmdir directory")
    settled(live)


def test_triggers_of_all_sorts(live: Site, cluster: EmbeddedCluster) -> None:
    """One hangs, one prints 100 MB, one kills its shell, one its connection, one leaves a daemon behind."""
    live.nodes = {f"node{number}": "batch" for number in range(1, 6)}
    live.put("file._all", NEW)
    pids = "/run/pids"
    stat = "read -r pid name state parent group session rest"
    texts = {
        "node1": f"echo $$ >{pids}; exec sleep 1000",
        "node2": "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 99; echo last words; exit 3",
        "node3": "kill -9 $PPID",
        "node4": f"{stat} </proc/self/stat; {stat} </proc/$session/stat; kill -9 $parent",
        "node5": f"echo started; sleep 1000 & echo $! >{pids}",
    }
    for node, text in texts.items():
        live.script(f"file.post._{node}", f"#!/bin/sh\n{text}\n")
    try:
        command = live.command("--fix", "--node-timeout=8", "--trigger-timeout=10")
        run = live.pytest(command=[sys.executable, "-c", MEASURE, str(live.directory / "memory"), *command])
    finally:
        cluster.run("node5", f"kill $(cat {pids})")
    assert run.status == 1
    path = f"{live.top}/file"
    assert "file.post._node1 failed: it did not end within 10 s" in run.message("node1", path)
    assert "file.post._node2 failed: exit status 3" in run.message("node2", path)
    assert "last words" in run.message("node2", path)
    assert len(run.message("node2", path)) < 20_000
    assert int((live.directory / "memory").read_text()) < 150
    assert "put right, but " in run.message("node3", path)
    assert run.word("node4", path) == "passed"  # it came to its end by itself, and the run has awaited it
    assert run.word("node5", path) == "passed"
    for node in live.nodes:
        assert live.sh(node, "stat -c '%a %s' @/file") == "644 8000\n"
        live.script(f"file.post._{node}", "#!/bin/sh\n")
    owed = live.pytest()
    post = [owed.word(node, f"post:{path}", "post") for node in live.nodes]
    assert post == ["failure", "failure", "failure", "passed", "passed"]
    settled(live)


def test_a_file_that_changes_before_it_is_replaced(live: Site, gate: MakeGate) -> None:
    """What has come since the probe is kept; where it cannot be replaced any more, it stays."""
    live.nodes = {"node1": "batch"}
    for name in ("changed", "appeared", "directory", "gone", "linked"):
        live.put(f"{name}._all", NEW)
    live.directory_of("made")
    live.delete("removed._all")
    live.sh("node1", "mkdir -p @; cd @; for name in changed directory gone linked removed; do echo old >$name; done")
    change = "cd @; echo since >changed; echo since >appeared; rm directory gone linked removed; "
    change += "mkdir directory removed; echo mine >directory/mine; ln -s directory linked; echo mine >made"
    # The first of its commands is the rm of what must not exist.
    one = gate("node1", "rm", change=change)
    with running(live) as run:
        one.wait()
        one.open()
        ended = run.end()
    assert ended.status == 1
    assert "it has become a directory" in ended.message("node1", f"{live.top}/directory")
    assert "with directory" in ended.message("node1", f"{live.top}/made")
    assert "directories are never deleted" in ended.message("node1", f"{live.top}/removed", "delete")
    assert ended.count("failure") == 3
    look = "cd @; cat changed.saved appeared.saved directory/mine made; readlink linked.saved; ls"
    assert live.sh("node1", look).split() == [
        "since", "since", "mine", "mine", "directory", "appeared", "appeared.saved", "changed", "changed.saved",
        "directory", "gone", "linked", "linked.saved", "made", "removed",
    ]  # fmt: skip
    live.sh("node1", "rmdir @/removed")
    settled(live)
    assert live.sh("node1", "cd @; cat directory.saved/mine made.saved") == "mine\nmine\n"


def test_sources_that_change_under_way(live: Site) -> None:
    """A source rewritten after it was read: the node gets one of the two, whole, and it is not called fixed."""
    live.nodes = {"node1": "batch"}
    source = live.put("changed._all", NEW)
    live.sh("node1", "mkdir -p @; echo old >@/changed")
    between = live.directory / "rsync"
    between.write_text(f'#!/bin/sh\necho newer >{source}\nexec rsync "$@"\n')
    between.chmod(0o755)
    live.lines.append(f"rsync_cmd {between}")
    run = live.pytest("--fix")
    assert run.status == 1
    assert "file size mismatch" in run.message("node1", f"{live.top}/changed")
    assert live.sh("node1", "cat @/changed @/changed.saved") == "newer\nold\n"
    settled(live)


def test_a_source_that_goes_away_under_way(live: Site) -> None:
    """It cannot be brought to the node: the old file stays, why is told, and everything else is put right."""
    live.nodes = {"node1": "batch"}
    source = live.put("removed._all", NEW)
    live.put("other._all", NEW)
    live.sh("node1", "mkdir -p @; echo old >@/removed")
    between = live.directory / "rsync"
    between.write_text(f'#!/bin/sh\nrm -f {source}\nexec rsync "$@"\n')
    between.chmod(0o755)
    live.lines.append(f"rsync_cmd {between}")
    run = live.pytest("--fix")
    assert run.status == 1
    assert "not fixed: cp: cannot stat " in run.message("node1", f"{live.top}/removed")
    assert live.sh("node1", "cat @/removed; ls @") == "old\nother\nremoved\n"
    settled(live)


def test_times_of_files_do_not_matter(live: Site) -> None:
    """A file from the future or the past is compared and replaced like any other.

    Nothing reads a clock but deadlines, and those are monotonic; so it is the times of files that are set here.
    """
    live.nodes = {"node1": "batch"}
    for name, when in (("past", 0), ("future", 4_000_000_000)):
        os.utime(live.put(f"{name}._all", NEW), (when, when))
    live.sh("node1", "mkdir -p @; cd @; for name in past future; do echo old >$name; done; touch -d 2096-01-01 past")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", LOOK + " | grep -c ' 644 0:0 8000'") == "2\n"
    settled(live)


def test_a_user_without_rights(live: Site) -> None:
    """A node that lets nobody in is an error; one where ssh's user may not change anything says so for each file."""
    live.nodes = {"node1": "batch"}
    live.put("file._all", "old\n")
    live.delete("evil._all")
    live.sh("node1", "mkdir -p @; cd @; for name in file evil; do echo old >$name; done; chmod 604 file")
    run = live.pytest("--fix", "--ssh-extra-args=-oPubkeyAuthentication=no")
    assert run.status == 1
    assert "ERROR node1: unreachable: root@" in run.output
    assert "Permission denied (publickey" in run.output
    live.sh("node1", "cp -p /etc/passwd /run/; sed -i 's|^daemon:.*|daemon:*:1:1::/:/bin/sh|' /etc/passwd")
    try:
        run = live.pytest("--fix", "--ssh-extra-args=-ldaemon")
    finally:
        live.sh("node1", "mv /run/passwd /etc/passwd")
    assert run.status == 1
    assert "Permission denied" in run.message("node1", f"{live.top}/file")
    assert "Permission denied" in run.message("node1", f"{live.top}/evil", "delete")
    assert live.sh("node1", LOOK) == "evil 644 0:0 4\nfile 604 0:0 4\n"
    settled(live)


def test_a_change_that_leaves_size_and_time_alone(live: Site) -> None:
    """The node's mirror has the source of before, of the same size and time: the new one is brought all the same."""
    live.nodes = {"node1": "batch"}
    for content in ("one\n", "two\n"):
        os.utime(live.put("file._all", content), (1_700_000_000, 1_700_000_000))
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        assert live.sh("node1", "cat @/file") == content
    settled(live)

"""`synctool --upload` from real nodes: what is brought into overlay/ is whole, has the right name, and audits."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.common.accounts import group_name, owner_name
from pytest_synctool.demo.embedded import EmbeddedCluster
from pytest_synctool.repository.lock import MasterdirLock

from tests_meta.site import Site
from tests_meta.terminal import Ended, environment, run

DRY, FIX = "DRY RUN, not doing any updates", "--fix specified, applying changes"


def synctool(site: Site, line: str) -> Ended:
    """Run synctool with the options of a line, in the directory of the site; `@` stands for the test's own top."""
    site.configure()
    return run(site.directory, "synctool", *line.replace("@", site.top).split())


def told(site: Site, ended: Ended) -> list[str]:
    """What it said on standard output, with `@` for the test's own top."""
    return ended.out.decode().replace(site.top, "@").splitlines()


def stored(site: Site) -> dict[str, str]:
    """All that is in overlay/ below the test's own top, with modes and owners."""
    top = site.masterdir / "overlay" / site.top[1:]
    found = {}
    for path in sorted(top.rglob("*")):
        state = path.lstat()
        owner, group = owner_name(state.st_uid) or state.st_uid, group_name(state.st_gid) or state.st_gid
        shown = "link" if path.is_symlink() else f"{stat.S_IMODE(state.st_mode):04o} {owner}:{group}"
        found[str(path.relative_to(top))] = shown
    return found


def audited(site: Site, *arguments: str) -> None:
    """An audit of node1 is green."""
    ended = site.pytest("--hosts=node1", *arguments)
    assert ended.status == 0, ended.output


@pytest.fixture
def above(live: Site) -> Site:
    """The nodes, and a masterdir that has the directories above what is uploaded."""
    live.directory_of(".")
    for node in live.nodes:
        live.sh(node, "mkdir -p @; chmod 755 @")
    return live


class TestDocumented:
    """The lines of the documentation."""

    def test_upload(self, above: Site) -> None:
        """`synctool -n node1 --upload /path/to/file`"""
        above.sh("node1", "mkdir -p @/to; echo hello >@/to/file")
        ended = synctool(above, "-n node1 --upload @/to/file")
        assert told(above, ended) == [
            DRY,
            "node1: @/to would be uploaded to overlay@/to (0755 root:root, a directory), for every node",
            "node1: @/to/file would be uploaded to overlay@/to/file._node1 (0644 root:root, 6 bytes), for node1",
        ]
        assert (ended.status, ended.err, stored(above)) == (0, b"", {})
        ended = synctool(above, "-n node1 --upload @/to/file -f")
        assert told(above, ended) == [
            FIX,
            "node1: @/to uploaded to overlay@/to (0755 root:root, a directory), for every node",
            "node1: @/to/file uploaded to overlay@/to/file._node1 (0644 root:root, 6 bytes), for node1",
        ]
        assert stored(above) == {"to": "0755 root:root", "to/file._node1": "0644 root:root"}
        audited(above)
        ended = synctool(above, "-q -n node1 -u @/to/file -f")
        assert told(above, ended) == ["node1: @/to/file is the same as overlay@/to/file._node1, nothing to do"]

    def test_several_and_as_commands(self, above: Site) -> None:
        """One after the other: the second has the directory of the first. --unix shows what a person would type."""
        above.sh("node1", "mkdir -p @/to; echo hello >@/to/one; echo hello >@/to/two; ln -s one @/to/link")
        line = "-n node1 -u @/to/one -u @/to/link -u @/to/two -u @/to/one"
        overlay = f"{above.masterdir}/overlay@/to"
        address = "node1"
        assert told(above, synctool(above, f"{line} --unix"))[:5] == [
            "# uploading @/to to overlay@/to",
            *(f"mkdir {overlay}", f"chmod 0755 {overlay}"),
            "# uploading @/to/one to overlay@/to/one._node1",
            f"scp {address}:@/to/one {overlay}/one._node1",
        ]
        assert stored(above) == {}
        ended = synctool(above, f"{line} -f")
        assert told(above, ended) == [
            FIX,
            "node1: @/to uploaded to overlay@/to (0755 root:root, a directory), for every node",
            "node1: @/to/one uploaded to overlay@/to/one._node1 (0644 root:root, 6 bytes), for node1",
            "node1: @/to/link uploaded to overlay@/to/link._node1 (a link to one), for node1",
            "node1: @/to/two uploaded to overlay@/to/two._node1 (0644 root:root, 6 bytes), for node1",
        ]
        assert (ended.status, ended.err) == (0, b"")
        audited(above)
        above.sh("node1", "echo more >>@/to/two")
        ended = synctool(above, "-n node1 -u @/gone -u @/to/two -f --unix")
        assert told(above, ended)[1] == f"scp {address}:@/to/two {overlay}/two._node1"
        assert (ended.status, ended.err.decode().replace(above.top, "@")) == (1, "node1: @/gone is missing\n")
        audited(above)

    def test_suffix(self, above: Site) -> None:
        """`synctool -n node1 --upload /path/to/file --suffix=somegroup`"""
        above.sh("node1", "echo hello >@/file")
        for option, group, nodes in (
            ("--suffix=batch", "batch", "node[1-2]"),
            ("-s login", "login", "node3"),
            ("-s all", "all", "no node"),
            ("-s none", "none", "no node"),
        ):
            ended = synctool(above, f"-q -n node1 --upload @/file {option} -f")
            assert told(above, ended) == [
                f"node1: @/file uploaded to overlay@/file._{group} (0644 root:root, 6 bytes), for {nodes}"
            ]
        assert sorted(stored(above)) == [f"file._{group}" for group in ("all", "batch", "login", "none")]
        audited(above)


class TestExtension:
    """Which name a source gets."""

    def test_the_source_that_the_node_has(self, above: Site) -> None:
        """With -f another one is replaced; a dry run says so."""
        above.put("file._all", "old\n")
        above.put("file._login", "login\n")
        above.sh("node1", "echo hello >@/file; chmod 600 @/file")
        line = "the place of overlay@/file._all (file size mismatch, mode mismatch), for node[1-2]"
        ended = synctool(above, "-q -n node1 -u @/file")
        assert told(above, ended) == [f"node1: @/file would be uploaded in {line}"]
        assert (above.put("file._login").parent / "file._all").read_text() == "old\n"
        assert told(above, synctool(above, "-q -n node1 -u @/file -f")) == [f"node1: @/file uploaded in {line}"]
        assert stored(above) == {"file._all": "0600 root:root", "file._login": "0644 root:root"}
        audited(above)

    def test_owner_and_mode_alone(self, above: Site) -> None:
        above.put("file._all")
        above.sh("node1", "echo content >@/file; chown daemon:daemon @/file; chmod 4750 @/file")
        inode = above.put("file._all").stat().st_ino
        ended = synctool(above, "-q -n node1 -u @/file -f")
        assert told(above, ended) == [
            "node1: attributes.yaml got a rule for overlay@/file._all (owner daemon, group daemon, mode 4750)",
            "node1: @/file uploaded to overlay@/file._all, owner and mode only "
            "(owner mismatch, group mismatch, mode mismatch), for every node",
        ]
        assert stored(above) == {"file._all": "0750 root:root"}
        assert (above.masterdir / "overlay" / above.top[1:] / "file._all").stat().st_ino == inode
        audited(above)

    def test_directories_with_extensions(self, above: Site) -> None:
        """What the node's own directory has is replaced there; a new file goes to the plain one, or else to its own."""
        above.put("d._batch/file._all", "old\n")
        above.sh("node1", "mkdir @/d; echo new >@/d/file; echo other >@/d/other")
        for name in ("file", "other"):
            assert synctool(above, f"-n node1 -u @/d/{name} -f").status == 0
        assert sorted(stored(above)) == ["d._batch", "d._batch/file._all", "d._batch/other._node1"]
        audited(above)

    def test_a_more_important_source(self, above: Site) -> None:
        """It is written all the same, and said."""
        above.put("file._node1")
        above.sh("node1", "echo hello >@/file")
        ended = synctool(above, "-q -n node1 -u @/file -s batch -f")
        assert told(above, ended)[0].endswith(", for node2")
        assert ended.err.decode().replace(above.top, "@") == (
            "WARNING node1: overlay@/file._batch is not for node1, which goes on using overlay@/file._node1\n"
        )

    def test_delete(self, above: Site) -> None:
        above.delete("file._all")
        above.sh("node1", "echo hello >@/file")
        ended = synctool(above, "-q -n node1 -u @/file")
        assert f"WARNING node1: delete{above.top}/file._all says that {above.top}/file must not exist\n" in (
            ended.err.decode()
        )


class TestThings:
    """What can be uploaded, and what it is like."""

    @pytest.mark.parametrize("node", ["node1", "node5"])
    def test_a_tree(self, above: Site, node: str) -> None:
        """Files, links and directories; attributes.yaml gets owners and modes; GNU tar and BusyBox."""
        above.nodes = {node: "batch"}
        above.sh(
            node,
            "mkdir -p @/app/empty @/app/bin; chmod 755 @; cd @/app; echo run >bin/run; chmod 4755 bin/run; "
            "ln bin/run bin/same; ln -s ../bin/run link; ln -s nowhere dangling; echo secret >key; chmod 400 key; "
            "chown daemon:daemon key empty; chmod 1777 empty; chown -h daemon link; : >nothing; "
            "chown 12345:54321 nothing; mkfifo pipe; mkdir odd._name; echo x >'odd._name/a._b'; "
            "head -c 300000 /dev/urandom >large",
        )
        ended = synctool(above, f"-q -n {node} -u @/app -f")
        assert ended.status == 0
        assert ended.err.decode().replace(above.top, "@") == (
            f"WARNING {node}: left out: @/app/pipe is a special file\n"
        )
        assert stored(above) == {
            "app": "0755 root:root",
            "app/bin": "0755 root:root",
            f"app/bin/run._{node}": "0755 root:root",
            f"app/bin/same._{node}": "0755 root:root",
            f"app/dangling._{node}": "link",
            "app/empty": "0755 root:root",
            f"app/key._{node}": "0400 root:root",
            f"app/large._{node}": "0644 root:root",
            f"app/link._{node}": "link",
            f"app/nothing._{node}": "0644 root:root",
            "app/odd._name._all": "0755 root:root",
            f"app/odd._name._all/a._b._{node}": "0644 root:root",
        }
        audit = above.pytest(f"--hosts={node}")
        assert audit.status == 0, audit.output
        ended = synctool(above, f"-q -n {node} -u @/app -f")
        assert told(above, ended) == [f"{node}: @/app is the same as what is in overlay/, nothing to do"]

    def test_a_tree_that_is_there_in_part(self, above: Site) -> None:
        above.put("app/kept._all")
        above.put("app/changed._batch", "old\n")
        above.put("app/gone._all")
        above.sh("node1", "mkdir @/app; cd @/app; echo content >kept; echo new >changed; echo more >more; chmod 700 .")
        ended = synctool(above, "-q -n node1 -u @/app -s batch -f")
        assert told(above, ended) == [
            "node1: @/app uploaded to overlay@/app, owner and mode only (mode mismatch), for every node",
            "node1: @/app/changed uploaded in the place of overlay@/app/changed._batch (MD5 mismatch), for node[1-2]",
            "node1: @/app/kept uploaded to overlay@/app/kept._batch (0644 root:root, 8 bytes), for node[1-2]",
            "node1: @/app/more uploaded to overlay@/app/more._batch (0644 root:root, 5 bytes), for node[1-2]",
        ]
        gone = "overlay@/app/gone._all is not on node1, it is left as it is"
        assert ended.err.decode().replace(above.top, "@") == f"WARNING node1: {gone}\n"

    def test_a_link(self, above: Site) -> None:
        above.sh("node1", "ln -s /etc/passwd @/link")
        ended = synctool(above, "-q -n node1 -u @/link -f")
        assert told(above, ended) == [
            "node1: @/link uploaded to overlay@/link._node1 (a link to /etc/passwd), for node1"
        ]
        audited(above)
        above.sh("node1", "rm @/link; echo file >@/link")
        ended = synctool(above, "-q -n node1 -u @/link -f")
        assert told(above, ended) == [
            "node1: @/link uploaded in the place of overlay@/link._node1 (type mismatch), for node1"
        ]
        assert stored(above) == {"link._node1": "0644 root:root"}

    def test_odd_names(self, above: Site) -> None:
        names = ["with space", "quote'", '"', "-dash", "*", "back\\slash", "é", "\udcff", "$HOME", "a\tb", "._all"]
        above.sh("node1", "mkdir @/d")
        assert above.cluster is not None
        for name in names:
            above.cluster.write("node1", os.fsencode(f"{above.top}/d/{name}"), b"odd\n")
        above.configure()
        for name in names:
            ended = run(above.directory, "synctool", "-qf", "-n", "node1", "-u", os.fsencode(f"{above.top}/d/{name}"))
            assert ended.status == 0, ended.err
        assert sorted(stored(above))[1:] == sorted(f"d/{name}._node1" for name in names)
        audited(above)
        above.cluster.write("node1", f"{above.top}/d/new\nline", b"")
        ended = synctool(above, "-q -n node1 -u @/d")
        assert b"/d/new\\nline: a newline in a file name is not supported" in ended.err

    def test_large_files_are_not_held_in_memory(self, above: Site) -> None:
        above.sh("node1", "head -c 200000000 /dev/zero >@/large")
        above.configure()
        limit = f"ulimit -v 170000; exec synctool -qf -n node1 -u {above.top}/large"
        ended = run(above.directory, "bash", "-c", limit)
        assert (ended.status, ended.err) == (0, b"")
        assert (above.masterdir / "overlay" / above.top[1:] / "large._node1").stat().st_size == 200_000_000


class TestMissingDirectories:
    """They are root's with mode 0755, whatever they are on the node."""

    def test_owner_and_mode(self, above: Site) -> None:
        above.sh("node1", "mkdir -p @/a/b; chown daemon @/a; chmod 750 @/a/b; echo x >@/a/b/file")
        assert synctool(above, "-n node1 -u @/a/b/file -f").status == 0
        found = {"a": "0755 root:root", "a/b": "0755 root:root", "a/b/file._node1": "0644 root:root"}
        assert stored(above) == found
        audit = above.pytest("--hosts=node1")  # the directories are drift, which somebody has to decide about
        assert [audit.word("node1", f"{above.top}/{name}") for name in ("a", "a/b", "a/b/file")] == [
            "failure",
            "failure",
            "passed",
        ]

    def test_links_above(self, above: Site) -> None:
        """Neither on the node nor in overlay/ anything goes through them."""
        outside = above.directory / "outside"
        outside.mkdir()
        above.sh("node1", "mkdir @/real @/d; ln -s real @/link; echo x >@/real/file; echo x >@/d/file")
        ended = synctool(above, "-n node1 -u @/link/file -f")
        assert (ended.status, ended.out) == (2, b"")
        assert b"/link is a symbolic link to real: name the file by the path that it leads to" in ended.err
        above.link("d", str(outside))
        ended = synctool(above, "-n node1 -u @/d/file -f")
        assert (ended.status, ended.out) == (2, b"")
        assert b"/d exists already but is not a source" in ended.err
        above.link("d._all", str(outside))
        ended = synctool(above, "-n node1 -u @/d/file -f")
        assert b"/d._all is a symbolic link, so nothing can be below it" in ended.err
        assert list(outside.iterdir()) == []


class TestRules:
    """attributes.yaml."""

    TEXT = "# Ours.\n- path: /**   # all\n  owner: root\n  group: root\n"

    def test_a_rule_for_what_the_others_do_not_say(self, above: Site) -> None:
        rules = above.masterdir / "attributes.yaml"
        rules.write_text(self.TEXT)
        rules.chmod(0o640)
        above.sh("node1", "echo x >@/file; chown daemon @/file; chmod 640 @/file")
        dry = synctool(above, "-q -n node1 -u @/file")
        said = "a rule for overlay@/file._node1 (owner daemon, mode 0640)"
        assert told(above, dry)[0] == f"node1: attributes.yaml would get {said}"
        assert rules.read_text() == self.TEXT
        assert told(above, synctool(above, "-q -n node1 -u @/file -f"))[0] == f"node1: attributes.yaml got {said}"
        rule = f"- source: overlay{above.top}/file._node1\n  owner: daemon\n  mode: '0640'\n"
        assert rules.read_text() == self.TEXT + rule
        assert stat.S_IMODE(rules.stat().st_mode) == 0o640
        # As a checkout of git would have it.
        for path in (above.masterdir / "overlay").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
            os.chown(path, 1234, 1234)
        audited(above, "-k", "file")
        nothing = synctool(above, "-q -n node1 -u @/file -f")
        assert told(above, nothing) == ["node1: @/file is the same as overlay@/file._node1, nothing to do"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[{path: /etc/motd, mode: '0644'}]\n", "add these rules by hand:"),
            ("- path: /etc/motd\n  mode: 0644\n...\n", "add these rules by hand:"),
            (
                "- {source: overlay@/file._node1, groups: batch, mode: 0600}\n",
                "mode 0644 would become 0600, by ",
            ),
        ],
    )
    def test_what_cannot_be_said(self, above: Site, text: str, message: str) -> None:
        rules = above.masterdir / "attributes.yaml"
        rules.write_text(text.replace("@", above.top))
        above.sh("node1", "echo x >@/file")
        for option in ("", "-f"):
            ended = synctool(above, f"-n node1 -u @/file {option}")
            assert (ended.status, ended.out) == (2, b"")
            assert message in ended.err.decode()
        assert stored(above) == {}
        assert rules.read_text() == text.replace("@", above.top)


class TestRefusals:
    """Nothing is written."""

    @pytest.fixture(autouse=True)
    def nothing_is_written(self, above: Site) -> Iterator[None]:
        """The masterdir is the same afterwards."""
        above.sh("node1", "echo x >@/file; echo x >@/file.post; echo x >@/file.swp; mkfifo @/pipe")
        before = stored(above)
        yield
        assert stored(above) == before

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("-u @/file", "-u: a file is brought from one node, not from node[1-3]: name it with -n"),
            ("-g batch -u @/file -f", "-u: a file is brought from one node, not from node[1-2]: name it with -n"),
            ("-n node1 -x node1 -u @/file", "-x: no node is left"),
            ("-n node1 -u @/file -s bach", "-s: no such group 'bach' (did you mean 'batch'?)"),
            ("-n node1 -u file", "expected an absolute path like /etc/fstab, not 'file'"),
            ("-n node1 -u /", "-u: expected a file or directory below /, not / itself"),
            ("-n node1 -u @/pipe -f", "node1: @/pipe is a special file, and cannot be in overlay/"),
            ("-n node1 -u @/file.post -f", "@/file.post: the name file.post._node1 would be that of a trigger"),
            ("-n node1 -u @/file.swp -f", "@/file.swp: the name file.swp._node1 is ignored by 'ignore *.swp' (CONF:2)"),
            ("-n node1 -s batch", "-s needs -u: it is the group extension of an upload"),
            ("-n node1 -u @/file -d @/file", "-u does not go with -d: one thing at a time"),
            ("-n node1 -u @/file -t", "-t does not go with -u: one thing at a time"),
        ],
    )
    def test_mistakes(self, above: Site, line: str, message: str) -> None:
        above.lines.append("ignore *.swp")
        ended = synctool(above, line)
        assert (ended.status, ended.out) == (2, b"")
        expected = message.replace("CONF", str(above.directory / "synctool.conf"))
        assert expected in ended.err.decode().replace(above.top, "@")

    def test_a_directory_in_the_way(self, above: Site) -> None:
        above.put("file._batch/x._all")
        ended = synctool(above, "-n node1 -u @/file -f")
        assert (ended.status, ended.out) == (2, b"")
        assert b"file._batch is a directory, " in ended.err
        (above.masterdir / "overlay" / above.top[1:] / "file._batch/x._all").unlink()
        (above.masterdir / "overlay" / above.top[1:] / "file._batch").rmdir()

    def test_a_full_disk(self, above: Site) -> None:
        """What has no room leaves nothing behind, and the source that was there stays."""
        above.configure()
        above.sh("node1", "head -c 200000 /dev/urandom >@/file; chmod 644 @/file")
        overlay = f"masterdir/overlay{above.top}"
        script = (
            "mount -t tmpfs -o size=64k full masterdir/overlay && mkdir -p $1 && echo kept >$1/file._all && "
            "synctool -n node1 -u $2/file -f; echo $?; cat $1/*; ls -A $1"
        )
        ended = run(above.directory, "unshare", "--mount", "sh", "-c", script, "sh", overlay, above.top)
        assert ended.out.decode().splitlines() == [FIX, "2", "kept", "file._all"]
        assert ended.err.decode() == f"overlay{above.top}/file._all: No space left on device\n"

    def test_somebody_else_is_at_work(self, above: Site) -> None:
        lock = MasterdirLock(above.masterdir)
        try:
            ended = synctool(above, "-n node1 -u @/file -f")
            assert ended.status == 2
            assert b"is under way: " in ended.err
            assert synctool(above, "-n node1 -u @/file").status == 0
        finally:
            lock.close()

    def test_a_copy_of_the_masterdir(self, above: Site) -> None:
        (above.masterdir / ".synctool-mirror").touch()
        ended = synctool(above, "-n node1 -u @/file -f")
        assert ended.status == 2
        assert b"is a node's mirror, which the next --fix of the controller replaces" in ended.err

    def test_what_is_not_known(self, above: Site, cluster: EmbeddedCluster) -> None:
        """A missing file is 1; a node or a file that cannot be looked at is 3."""
        ended = synctool(above, "-n node1 -u @/none -f")
        assert ended == Ended(1, b"", f"node1: {above.top}/none is missing\n".encode())
        above.nodes |= {"dead1": "batch interface:127.0.0.1"}
        ended = synctool(above, "-n dead1 -u @/file -f")
        assert ended == Ended(3, b"", b"dead1: unreachable: Connection refused\n")
        accounts = "grep -q ^op: /etc/passwd || { echo op:x:4242:4242::/tmp:/bin/sh >>/etc/passwd; "
        accounts += "echo 'op:*:19000:0:99999:7:::' >>/etc/shadow; echo op:x:4242: >>/etc/group; }"
        cluster.run("node1", accounts)
        above.nodes = {"node1": "batch connection:ssh://op@node1"}
        above.sh("node1", "mkdir @/d; echo x >@/d/secret; chmod 600 @/d/secret")
        for name in ("d/secret", "d"):
            ended = synctool(above, f"-n node1 -u @/{name} -f")
            assert (ended.status, ended.out) == (3, b"")
            assert b"Permission denied" in ended.err or b"can't open" in ended.err or b"failure" in ended.err


@pytest.fixture
def own() -> Iterator[Path]:
    """A masterdir of an ordinary user, whose one node is this machine, and a directory for its files."""
    with tempfile.TemporaryDirectory(prefix="synctool-upload-") as directory:
        top = Path(directory)
        top.chmod(0o755)
        files = top / "files"
        # The directories above are root's, so they have to be there already.
        there = top / "masterdir/overlay" / str(files)[1:]
        for path in (files, there):
            path.mkdir(parents=True)
        (files / "mine").write_text("mine\n")
        (files / "roots").write_text("roots\n")
        (top / "synctool.conf").write_text("masterdir masterdir\nnode node1 batch connection:local://\n")
        for path in (files, files / "mine", *(top / "masterdir").rglob("*"), top / "masterdir"):
            os.chown(path, 4321, 4321)
        yield top


def test_an_ordinary_user(own: Path) -> None:
    """All files are the user's; attributes.yaml has the owner that the node has, or nothing is uploaded."""

    user = ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups")
    if run(own, *user, "synctool", "--version").status:
        pytest.skip(f"an ordinary user cannot run {sys.executable}")

    def upload(name: str) -> Ended:
        return run(own, *user, "synctool", "-qf", "-n", "node1", "-u", str(own / "files" / name))

    ended = upload("mine")
    assert ended.status == 0, ended.err
    stored_file = own / "masterdir/overlay" / str(own / "files/mine._node1")[1:]
    assert (stored_file.stat().st_uid, stored_file.read_text()) == (4321, "mine\n")
    rules = own / "masterdir/attributes.yaml"
    rules.touch()
    ended = upload("roots")
    assert ended == Ended(2, b"", b"attributes.yaml: Operation not permitted\n")
    os.chown(rules, 4321, 4321)
    ended = upload("roots")
    assert ended.status == 0, ended.err
    assert b"(owner root, group root, mode 0644)" in ended.out
    audit = ("synctool", "--trust-owner=4321", "-q", "-n", "node1", "-1", str(own / "files/roots"))
    assert run(own, *audit) == Ended(0, b"", b"")


@pytest.mark.parametrize("options", ["-u @/file -n node1 -f", "-d @/file"])
def test_interrupted(above: Site, options: str) -> None:
    """Ctrl-C ends it at once, and what it has started, with a status of its own; nothing is written."""
    above.put("file._all")
    above.sh("node1", "echo new >@/file")
    before = stored(above)
    wrapper = above.directory / "hanging-ssh"
    wrapper.write_text(f"#!/bin/sh\necho $$ >{above.directory}/started\nexec sleep 1000\n")
    wrapper.chmod(0o755)
    os.mkfifo(above.directory / "started")
    conf = above.configure()
    assert above.cluster is not None
    conf.write_text(conf.read_text().replace(f"ssh_cmd ssh -F {above.cluster.ssh_config}", f"ssh_cmd {wrapper}"))
    above.nodes = {"node1": "batch"}
    with subprocess.Popen(
        ["synctool", *options.replace("@", above.top).split(), "-n", "node1"],
        cwd=above.directory,
        env=environment(),
        start_new_session=True,
        stderr=subprocess.PIPE,
    ) as process:
        started = int((above.directory / "started").read_text())
        watched = os.pidfd_open(started)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (130, b"")
    assert select.select([watched], [], [], 30)[0] == [watched]  # it has ended
    os.close(watched)
    assert stored(above) == before


class TestHostileNode:
    """A node's word never makes a file of the controller open to others, and never counts for other nodes unseen."""

    def test_directories_above(self, above: Site) -> None:
        """A directory that is not in overlay/ is root's, 0755, and a warning says what it is on the node."""
        above.sh("node1", "mkdir -m 0777 @/app; chown 1001:1001 @/app; mkdir -m 2770 @/app/in; echo x >@/app/in/file")
        for options in ("", " -f"):
            ended = synctool(above, f"-n node1 -u @/app/in/file{options}")
            assert ended.status == 0, ended.err
            assert ended.err.decode().replace(above.top, "@").splitlines() == [
                "WARNING node1: @/app is 0777 1001:1001 on node1, but overlay@/app gets 0755 root:root: "
                "correct it if the nodes should have something else",
                "WARNING node1: @/app/in is 2770 root:root on node1, but overlay@/app/in gets 0755 root:root: "
                "correct it if the nodes should have something else",
            ]
        assert stored(above) == {
            "app": "0755 root:root",
            "app/in": "0755 root:root",
            "app/in/file._node1": "0644 root:root",
        }
        assert not (above.masterdir / "attributes.yaml").exists()

    @pytest.mark.parametrize("rules", [None, "# rules of this site\n"])
    def test_nothing_on_this_machine_is_setuid_or_for_others_to_write(self, above: Site, rules: str | None) -> None:
        """attributes.yaml has owners and modes, and the node is in sync."""
        if rules is not None:
            (above.masterdir / "attributes.yaml").write_text(rules)
        above.sh("node1", "mkdir @/d; cd @/d; cp /bin/true su; chown daemon su; chmod 6755 su; ln su hard; mkdir tmp")
        above.sh("node1", "cd @/d; echo x >open; chown 1001:1001 open; chmod 666 open; chmod 1777 tmp; mkfifo pipe")
        above.sh("node1", "cd @/d; ln -s /etc/shadow link; chown -h 1001 link; mknod null c 1 3; chmod 2775 @/d")
        ended = synctool(above, "-n node1 -u @/d -f")
        assert ended.status == 0, ended.err
        top = above.masterdir / "overlay" / above.top[1:]
        for path in (top, *top.rglob("*"), above.masterdir / "attributes.yaml"):
            status = path.lstat()
            assert (status.st_uid, status.st_gid, status.st_nlink > 1 and path.is_file()) == (0, 0, False)
            assert stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o7022, path
            assert stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
        errors = ended.err.decode().replace(above.top, "@")
        assert "@/d is 2775 root:root, and will be for every node" in errors
        assert "@/d/su" not in errors  # it is for node1 alone
        audited(above)
        text = (above.masterdir / "attributes.yaml").read_text()
        assert text.startswith(rules or "")
        above.sh("node2", "rm -rf @/d")
        assert above.pytest("--hosts=node1", "--fix").status == 0
        assert above.sh("node1", "stat -c %a @/d @/d/tmp @/d/su").split() == ["2775", "1777", "6755"]

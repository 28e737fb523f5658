"""`dcp` with real nodes: every file arrives as it is, under whatever name, and none is ever half there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.gate import MakeGate
from tests_meta.site import Site
from tests_meta.terminal import Ended, run, terminal
from tests_meta.unit.helpers import ODD_NAMES

# What a tree is like, but for owners; the directory itself is left out. Every field is ended by NUL.
LOOK = (
    r"/usr/bin/find . -mindepth 1 -printf '%y %m %P -> %l\0' && /usr/bin/find . -type f -exec /usr/bin/md5sum -z {} +"
)
FILES = r"/usr/bin/find . -mindepth 1 ! -type d -printf '%P %TY-%Tm-%Td %TH:%TM\0'"

WAYS = pytest.mark.parametrize("way", ["rsync", "tar", "no rsync here"])
SETTINGS = {
    "rsync": "rsync_cmd rsync --delete --inplace",  # as for a mirror
    "tar": "rsync_cmd rsync --rsync-path=no-such-rsync",
    "no rsync here": "rsync_cmd no-such-rsync",
}


@pytest.fixture(autouse=True)
def no_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor: a slow run shows no status line between the lines of nodes."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def nodes(live: Site) -> Site:
    """Three nodes with an empty directory for this test."""
    live.configure()
    for name in live.nodes:
        live.sh(name, "mkdir -p @")
    return live


def dcp(nodes: Site, *arguments: str | bytes | Path) -> Ended:
    """Run dcp."""
    return run(nodes.directory, "dcp", *[os.fsencode(each) for each in arguments])


def use(nodes: Site, way: str) -> None:
    """Let files go this way."""
    nodes.lines.append(SETTINGS[way])
    nodes.configure()


def seen(nodes: Site, name: str, look: str = LOOK) -> list[bytes]:
    """What a tree on a node is like."""
    assert nodes.cluster is not None
    return sorted(nodes.cluster.run(name, f"cd {nodes.top} && {look}").stdout.split(b"\0"))


def here(directory: Path, look: str = LOOK) -> list[bytes]:
    """What a tree here is like."""
    return sorted(
        subprocess.run(["sh", "-c", look], cwd=directory, capture_output=True, check=True).stdout.split(b"\0")
    )


def stand_in_for_docker(nodes: Site) -> str:
    """Write a docker whose container c1 is this machine. Return the PATH with it."""
    stand_in = nodes.directory / "docker"
    stand_in.write_text('#!/bin/sh\n[ "$1 $2 $3" = "exec -i c1" ] || exit 125\nshift 3\nexec "$@"\n')
    stand_in.chmod(0o755)
    return f"{nodes.directory}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale in which file names are no UTF-8."""
    if not Path("/usr/share/i18n/charmaps/ISO-8859-1.gz").exists():
        pytest.skip("no sources of locales here (Debian: package locales)")
    made = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-c", "-i", "en_US", "-f", "ISO-8859-1", made / "latin1"], check=True)
    return {"LOCPATH": str(made), "LC_ALL": "latin1", "PYTHONUTF8": "0"}


ENCODINGS = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def plant(directory: Path) -> list[Path]:
    """Files with odd names, modes and times, in directories as well; returns those at the top."""
    directory.mkdir()
    for number, name in enumerate([*ODD_NAMES, b"new\nline", b"*", b"[ab]", b"a:b"]):
        path = directory / os.fsdecode(name)
        path.write_bytes(name * number)
        path.chmod((0o644, 0o600, 0o755, 0o440)[number % 4])
        os.utime(path, (1_000_000_000, 1_000_000_000 + 86400 * number))
    below = directory / "directory" / "-with blank"
    below.mkdir(parents=True)
    (below / "new\nline").write_text("x")
    (directory / "empty").mkdir(0o750)
    (directory / "empty").chmod(0o750)
    (directory / "link").symlink_to("no/such place")
    (directory / "directory" / "link").symlink_to("-with blank")
    return sorted(directory.iterdir())


class TestToNodes:
    """`dcp -d DIR FILE...`"""

    def test_documented(self, nodes: Site) -> None:
        """The documentation's line, but for the directory, which is every node's own here."""
        (nodes.directory / "patchfile-1.0.tar.gz").write_bytes(b"patch")
        ended = run(nodes.directory, "sh", "-c", "dcp -n node1,node2,node3 -d /tmp patchfile-1.0.tar.gz")
        assert (ended.status, ended.err) == (0, b"")
        assert ended.lines() == [f"{name}: copied /tmp/patchfile-1.0.tar.gz" for name in nodes.nodes]
        for name in nodes.nodes:
            assert nodes.sh(name, "cat /tmp/patchfile-1.0.tar.gz; rm /tmp/patchfile-1.0.tar.gz") == "patch"

    @WAYS
    def test_everything_arrives_as_it_is(self, nodes: Site, way: str) -> None:
        """Whatever the names; a second time as well."""
        files = plant(nodes.directory / "files")
        use(nodes, way)
        for _ in range(2):
            ended = dcp(nodes, "-a", "-d", nodes.top, "--", *files)
            assert (ended.status, ended.err) == (0, b"")
            assert ended.out.startswith(b"node[1-3]:\n    copied ")
            assert ended.out.count(b"\n") == len(files) + 1
            for name in nodes.nodes:
                assert seen(nodes, name) == here(nodes.directory / "files")
                assert seen(nodes, name, FILES) == here(nodes.directory / "files", FILES)

    @WAYS
    def test_busybox(self, nodes: Site, way: str) -> None:
        files = plant(nodes.directory / "files")
        nodes.nodes = {"node5": "batch"}
        use(nodes, way)
        nodes.sh("node5", "mkdir -p @")
        for _ in range(2):
            ended = dcp(nodes, "-d", nodes.top, "--", *files)
            assert (ended.status, ended.err) == (0, b"")
            assert seen(nodes, "node5") == here(nodes.directory / "files")
            times = FILES.replace("! -type d", "-type f")  # its tar does not set those of links
            assert seen(nodes, "node5", times) == here(nodes.directory / "files", times)

    @WAYS
    def test_names_as_they_are_typed(self, nodes: Site, way: str) -> None:
        """Relative, with dots and slashes, and with what looks like an option or a host."""
        use(nodes, way)
        (nodes.directory / "d" / "e").mkdir(parents=True)
        for name in ("-x", "a:b", "d/e/file"):
            (nodes.directory / name).write_text(name)
        assert (
            dcp(nodes, "-q", "-n", "node1", "-d", nodes.top, "--", "-x", "a:b", "d/./e/../e/", "./d/e/file").out == b""
        )
        assert nodes.sh("node1", "cd @ && cat -- -x a:b e/file file") == "-xa:bd/e/filed/e/file"

    @WAYS
    def test_a_directory_with_an_odd_name(self, nodes: Site, way: str) -> None:
        use(nodes, way)
        (nodes.directory / "file").write_text("x")
        directory = f"{nodes.top}/it's a 'd'\\ $HOME *"
        nodes.sh("node1", f"mkdir -p \"{nodes.top}/it's a 'd'\\\\ \\$HOME *\"")
        assert dcp(nodes, "-n", "node1", "-d", directory, "file").status == 0
        assert nodes.sh("node1", "cat @/*/file") == "x"

    @WAYS
    def test_a_file_is_replaced_as_a_whole(self, nodes: Site, way: str) -> None:
        """Who has the old one open keeps it; what else is in a directory stays, whatever rsync_cmd says."""
        use(nodes, way)
        (nodes.directory / "d").mkdir()
        for name in ("file", "d/file"):
            (nodes.directory / name).write_text("new")
        nodes.sh(
            "node1",
            "cd @ && mkdir d && echo old >file && ln file kept && cp file d/ && ln d/file d/kept && touch d/other",
        )
        assert dcp(nodes, "-n", "node1", "-d", nodes.top, "file", "d").status == 0
        assert nodes.sh("node1", "cd @ && cat file kept d/file d/kept; ls -A . d | tr '\\n' ' '") == (
            "newold\nnewold\n.: d file kept  d: file kept other "
        )

    @WAYS
    def test_links_there_are_not_followed(self, nodes: Site, way: str) -> None:
        """Neither by a directory nor by a file of their name."""
        use(nodes, way)
        (nodes.directory / "d").mkdir()
        (nodes.directory / "d" / "file").write_text("new")
        (nodes.directory / "f").write_text("new")
        nodes.sh("node1", "cd @ && mkdir -m 700 other && ln -s other d && ln -s other f")
        assert dcp(nodes, "-n", "node1", "-d", nodes.top, "d", "f").status == 0
        assert nodes.sh("node1", "cd @ && cat d/file f && ls -A other && stat -c '%F %a' d f other") == (
            "newnewdirectory 755\nregular file 644\ndirectory 700\n"
        )

    @WAYS
    def test_setuid_is_not_kept(self, nodes: Site, way: str) -> None:
        """The file belongs to somebody else there."""
        use(nodes, way)
        (nodes.directory / "file").write_text("x")
        os.chown(nodes.directory / "file", 12345, 12345)
        (nodes.directory / "file").chmod(0o6755)
        assert dcp(nodes, "-n", "node1", "-d", nodes.top, "file").status == 0
        assert nodes.sh("node1", "stat -c '%U:%G %a' @/file") == "root:root 755\n"

    @WAYS
    def test_trouble(self, nodes: Site, way: str, cluster: EmbeddedCluster) -> None:
        """Of each node what went wrong there; the others have the file."""
        use(nodes, way)
        (nodes.directory / "file").write_text("x" * 100_000)
        nodes.nodes["dead1"] = "batch ipaddress:127.0.0.1"
        nodes.configure()
        nodes.sh("node2", "rmdir @")
        nodes.sh("node3", "mount -t tmpfs -o size=8k none @")
        try:
            ended = dcp(nodes, "-d", f"{nodes.top}/", "file")
            rest = nodes.sh("node3", "ls -A @")
        finally:
            nodes.sh("node3", "umount -l @")
        assert (ended.status, rest) == (3, "")
        assert ended.lines() == [f"node1: copied {nodes.top}/file"]
        dead, missing, *full = ended.errors()
        assert dead == "dead1: unreachable: Connection refused"
        assert missing == f"node2: no directory {nodes.top}/ on the node"
        assert full
        assert all(line.startswith("node3: ") for line in full)
        assert ("No space left on device" if way == "rsync" else "Wrote only ") in "".join(full)
        del nodes.nodes["dead1"]
        nodes.configure()
        assert dcp(nodes, "-n", "node[1-2]", "-d", f"{nodes.top}/", "file").status == 1

    @WAYS
    def test_a_new_name(self, nodes: Site, way: str) -> None:
        """As cp: into a directory of this name, or a link to one; else the file gets it, and a link is not followed."""
        nodes.nodes["node5"] = "batch"
        use(nodes, way)
        new = f"{nodes.top}/it's new"
        (nodes.directory / "-file").write_text("new")
        for name, there in (
            ("node1", "echo other >other; ln -s other it\\'s\\ new"),
            ("node2", "mkdir it\\'s\\ new"),
            ("node3", "mkdir d; ln -s d it\\'s\\ new"),
            ("node5", "echo old >it\\'s\\ new"),
        ):
            nodes.sh(name, f"mkdir -p @; cd @; {there}")
        ended = dcp(nodes, "-d", new, "--", "-file")
        assert (ended.status, ended.err) == (0, b"")
        copied = {"node1": new, "node2": f"{new}/-file", "node3": f"{new}/-file", "node5": new}
        assert ended.lines() == [f"{name}: copied {path}" for name, path in copied.items()]
        assert nodes.sh("node1", "cd @; cat it*new other; ls | wc -l; stat -c %F it*new") == (
            "newother\n2\nregular file\n"
        )
        for name, path in (("node2", "it*new/-file"), ("node3", "d/-file"), ("node5", "it*new")):
            assert nodes.sh(name, f"cat @/{path}") == "new"
        (nodes.directory / "d").mkdir()
        for target, several in (("no/new", ["-file"]), ("no", ["-file", "synctool.conf"]), ("no", ["d"])):
            ended = dcp(nodes, "-n", "node1", "-d", f"{nodes.top}/{target}", "--", *several)
            assert (ended.status, ended.out) == (1, b"")
            assert ended.err == f"node1: no directory {nodes.top}/no on the node\n".encode()

    @pytest.mark.parametrize("encoding", [*ENCODINGS, "Latin-1"])
    @pytest.mark.parametrize("way", ["rsync", "tar", "container"])
    def test_names_are_bytes_in_every_locale(
        self, nodes: Site, way: str, encoding: str, request: pytest.FixtureRequest
    ) -> None:
        """Those that are no UTF-8, and control characters, are shown printable."""
        more = ENCODINGS.get(encoding) or request.getfixturevalue("latin1")
        more = more | {"PATH": stand_in_for_docker(nodes)}
        place = nodes.top
        if way == "container":
            (nodes.directory / "web").mkdir()
            place = f"{nodes.directory}/web"
            nodes.nodes = {"node1": "a connection:docker://c1"}
            nodes.configure()
        else:
            use(nodes, way)
        (nodes.directory / "d").mkdir()
        for name in (b"old\xff\xc3\xa9\x1b", b"d/in\xff\xc3\xa9"):
            Path(os.fsdecode(os.fsencode(nodes.directory) + b"/" + name)).write_text("text")
        source, new = b"old\xff\xc3\xa9\x1b", place.encode() + b"/new\xfe\xc3\xa9\x1b"
        command: tuple[str | bytes, ...] = ("dcp", "-n", "node1", "-d")
        for words, expected in (
            ((new, "--dry-run", source), rb"old\xff"),
            ((new, "--unix", source), b"/bin/sh -c"),
            ((new, "-v", source), rb"new\xfe"),
            ((place, source, "d"), rb"old\xff"),
        ):
            ended = run(nodes.directory, *command, *words, more=more)
            assert ended.status == 0, ended
            assert b"\x1b" not in ended.out + ended.err
            assert expected in ended.out
        look = "cat new* old* d/* && find . -type f | LC_ALL=C sort | od -An -v -t x1"
        there = nodes.directory / "web"
        seen_bytes = here(there, look) if way == "container" else seen(nodes, "node1", look)
        names = b"./d/in\xff\xc3\xa9\n./new\xfe\xc3\xa9\x1b\n./old\xff\xc3\xa9\x1b\n"
        assert b"".join(seen_bytes).replace(b"\n", b"") == b"texttexttext " + names.hex(" ").encode()

    @WAYS
    def test_without_a_destination(self, nodes: Site, way: str) -> None:
        """As scp and 4.x: into the home."""
        use(nodes, way)
        ended = dcp(nodes, "-n", "node1", "synctool.conf")
        assert ended == Ended(0, b"node1: copied ~/synctool.conf\n", b"")
        text = nodes.sh("node1", "cat /root/synctool.conf; rm /root/synctool.conf")
        assert text == (nodes.directory / "synctool.conf").read_text()

    def test_dry_run(self, nodes: Site) -> None:
        """No node is contacted."""
        nodes.nodes["dead1"] = "batch ipaddress:127.0.0.1"
        nodes.configure()
        ended = dcp(nodes, "--dry-run", "-d", "/tmp", "synctool.conf")
        path = nodes.directory / "synctool.conf"
        assert (ended.status, ended.err) == (0, b"DRY RUN, no node was contacted\n")
        assert ended.lines() == sorted(f"{name}: would copy {path} to /tmp" for name in nodes.nodes)
        assert dcp(nodes, "--dry-run", "-N", "-n", "dead1", "--reverse", "/a/b").out == b"would copy /a/b to ./dead1/\n"

    @WAYS
    def test_special_files_are_not_copied(self, nodes: Site, way: str) -> None:
        """And nobody says so. What was named is a mistake; what is in a directory is told, and not all was copied."""
        use(nodes, way)
        (nodes.directory / "d").mkdir()
        (nodes.directory / "d" / "file").write_text("x")
        os.mkfifo(nodes.directory / "d" / "pipe")
        ended = dcp(nodes, "-a", "-d", nodes.top, "d")
        assert (ended.status, ended.out) == (1, b"")
        assert ended.err == b'node[1-3]:\n    skipping non-regular file "d/pipe"\n'
        assert nodes.sh("node1", "ls @/d") == "file\n"
        ended = dcp(nodes, "-d", nodes.top, "d/pipe", "d/file")
        assert (ended.status, ended.out, ended.err) == (2, b"", b"d/pipe: a special file, which is not copied\n")

    def test_a_directory_in_the_way(self, nodes: Site) -> None:
        use(nodes, "tar")
        (nodes.directory / "file").write_text("x")
        (nodes.directory / "more").write_text("x")
        nodes.sh("node1", "mkdir -p @/file/d")
        ended = dcp(nodes, "-n", "node1", "-d", nodes.top, "file", "more")
        assert (ended.status, ended.out) == (1, b"")
        assert ended.errors() == ["node1: ./file: a directory with this name exists"]
        assert nodes.sh("node1", "cd @ && ls -A . file | tr '\\n' ' '") == ".: file more  file: d "

    def test_over_an_open_connection(self, nodes: Site) -> None:
        run(nodes.directory, "dsh", "-O", "exit", "-n", "node1")
        shown = dcp(nodes, "--unix", "-n", "node1", "-d", "/tmp", "synctool.conf")
        assert b"ControlPath" not in shown.out
        assert run(nodes.directory, "dsh", "-M", "-n", "node1").status == 0
        try:
            shown = dcp(nodes, "--unix", "-n", "node1", "-d", "/tmp", "synctool.conf")
            assert b"ControlPath" in shown.out
            assert dcp(nodes, "-n", "node1", "-d", nodes.top, "synctool.conf").status == 0
        finally:
            run(nodes.directory, "dsh", "-O", "exit", "-n", "node1")

    def test_unix_shows_what_a_shell_can_run(self, nodes: Site) -> None:
        name = b"it's a \xff file"
        (nodes.directory / os.fsdecode(name)).write_text("x")
        for way in ("rsync", "no rsync here"):
            use(nodes, way)
            shown = dcp(nodes, "--unix", "-n", "node1", "-d", nodes.top, name)
            assert (shown.status, shown.err) == (0, b"")
            assert nodes.sh("node1", "ls -A @") == ""
            if way == "rsync":
                subprocess.run(["sh", "-c", shown.out], check=True, stderr=subprocess.DEVNULL)
                assert nodes.sh("node1", "cat @/*; rm @/*") == "x"
            nodes.lines.clear()

    def test_other_connections(self, nodes: Site) -> None:
        """This machine, and a container's stand-in, which runs what it is given here."""
        more = {"PATH": stand_in_for_docker(nodes)}
        nodes.nodes = {
            "here": "a connection:local://",
            "web1": "a connection:docker://c1",
            "gone": "a connection:docker://c2",
        }
        for way in SETTINGS:
            nodes.lines.clear()
            use(nodes, way)
            (nodes.directory / "it's").write_text("x")
            target = nodes.directory / f"target of {way}"
            target.mkdir()
            for name in ("here", "web1"):
                command = ["dcp", "-n", name, "-d", str(target), "it's"]
                ended = run(nodes.directory, *command, more=more)
                assert (ended.status, ended.err) == (0, b"")
                assert (target / "it's").read_text() == "x"
                (target / "it's").unlink()
            command[2] = "gone"
            ended = run(nodes.directory, *command, more=more)
            assert ended.status == 3
            assert ended.errors()[0].startswith("gone: unreachable: ")


class TestFromNodes:
    """`dcp --reverse -d DIR FILE...`"""

    def test_everything_arrives_as_it_is(self, nodes: Site) -> None:
        files = plant(nodes.directory / "files")
        assert dcp(nodes, "-n", "node[1-2]", "-d", nodes.top, "--", *files).status == 0
        names = [f"{nodes.top}/{os.fsdecode(os.fsencode(file.name))}" for file in files]
        target = nodes.directory / "it's from all"
        target.mkdir()
        ended = dcp(nodes, "--reverse", "-n", "node[1-2]", "-d", target, *names)
        assert (ended.status, ended.err) == (0, b"")
        for name in ("node1", "node2"):
            assert here(target / name) == here(nodes.directory / "files")
        assert f"node1: copied {target}/node1/empty" in ended.lines()

    def test_trouble(self, nodes: Site) -> None:
        """What a node does not have is an error of its own; one that is down leaves nothing here."""
        nodes.nodes["dead1"] = "batch ipaddress:127.0.0.1"
        nodes.configure()
        nodes.sh("node1", "echo x >@/file")
        ended = dcp(nodes, "--reverse", "-d", ".", f"{nodes.top}/file", "/etc/hostname")
        assert (ended.status, ended.lines()) == (
            3,
            ["node1: copied ./node1/file", "node1: copied ./node1/hostname"]
            + [f"{name}: copied ./{name}/hostname" for name in ("node2", "node3")],
        )
        no_file = f'rsync: [sender] link_stat "{nodes.top}/file" failed: No such file or directory (2)'
        assert ended.errors() == [
            "dead1: unreachable: Connection refused",
            *(f"{name}: {text}" for name in ("node2", "node3") for text in ("not everything was copied", no_file)),
        ]
        again = dcp(nodes, "--reverse", "-n", "node2", f"{nodes.top}/file", "/etc/hostname")
        assert (again.status, again.out, again.errors()) == (1, b"", ended.errors()[1:3])
        assert (nodes.directory / "node2" / "hostname").read_text() == "node2\n"
        assert sorted(path.name for path in (nodes.directory / "node1").iterdir()) == ["file", "hostname"]
        assert not (nodes.directory / "dead1").exists()

    def test_special_files_are_not_copied(self, nodes: Site) -> None:
        nodes.sh("node1", "mkfifo @/pipe; echo x >@/file")
        ended = dcp(nodes, "--reverse", "-n", "node1", "-d", ".", f"{nodes.top}/pipe", f"{nodes.top}/file")
        assert (ended.status, ended.out) == (1, b"node1: copied ./node1/file\n")
        assert ended.err == b'node1: skipping non-regular file "pipe"\nnode1: not everything was copied\n'
        assert (nodes.directory / "node1" / "file").read_text() == "x\n"

    def test_without_rsync(self, nodes: Site) -> None:
        """There is no other way."""
        use(nodes, "tar")
        ended = dcp(nodes, "--reverse", "-a", "-d", ".", "/etc/hostname")
        assert (ended.status, ended.out, ended.err) == (1, b"", b"node[1-3]:\n    the node has no rsync\n")
        nodes.lines.clear()
        use(nodes, "no rsync here")
        ended = dcp(nodes, "--reverse", "-d", ".", "/etc/hostname")
        assert ended.status == 2
        assert ended.errors() == [
            f"{nodes.directory / 'synctool.conf'}: 'rsync_cmd': there is no command 'no-such-rsync' on this machine"
        ]


class TestLimits:
    """Time limits and Ctrl-C."""

    def test_a_node_that_hangs(self, nodes: Site, gate: MakeGate) -> None:
        waiting = gate("node2", "rsync")
        with terminal(nodes.directory, "dcp", "--timeout=3", "-d", nodes.top, "synctool.conf") as shell:
            waiting.wait()
            assert shell.end() == 124
        waiting.open()
        assert sorted(shell.shown.decode().splitlines()) == [
            f"node1: copied {nodes.top}/synctool.conf",
            "node2: not done within 3 s",
            f"node3: copied {nodes.top}/synctool.conf",
        ]
        assert nodes.sh("node2", "ls -A @") == ""

    def test_ctrl_c(self, nodes: Site, gate: MakeGate) -> None:
        waiting = gate("node2", "rsync")
        with terminal(nodes.directory, "dcp", "-d", nodes.top, "synctool.conf") as shell:
            shell.until(b"node1: copied")
            shell.until(b"node3: copied")
            waiting.wait()
            shell.type(b"\x03")
            assert shell.end() == 130
        waiting.open()
        assert b"dcp: done: node[1,3]\r\ndcp: ended: node2\r\n" in shell.shown
        assert nodes.sh("node2", "ls -A @") == ""


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["-d", "/tmp"], ["the following arguments are required: FILE"]),
        (["-d", "", "file"], ["argument -d/--dest: expected a directory or a file"]),
        (["-d", "/tmp", "gone", "", "d/gone"], ["gone: No such file", "'': No such file", "d/gone: No such file"]),
        (["-d", "/tmp", "/"], ["/: the root directory is not copied: name the files in it"]),
        (["-d", "/tmp", "file", "d/file"], ["file and ", "d/file have the same name"]),
        (["--reverse", "-d", ".", "file", "/"], ["file: expected an absolute path", "/: expected an absolute path"]),
        (["--reverse", "-d", ".", "/a/file", "/b/file"], ["/a/file and /b/file have the same name"]),
        (["--reverse", "-d", "gone", "/a/file"], ["-d gone: no such directory on this machine"]),
    ],
)
def test_mistakes(nodes: Site, arguments: list[str], messages: list[str]) -> None:
    """Nothing is copied."""
    (nodes.directory / "d").mkdir()
    for name in ("file", "d/file"):
        (nodes.directory / name).write_text("x")
    ended = dcp(nodes, *arguments)
    assert (ended.status, ended.out) == (2, b"")
    for message in messages:
        assert message in ended.err.decode()

"""What dsh is made of, without a node: ways to nodes, what counts as what, one input for all, and where sockets are."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.cli import dsh as dsh_command
from pytest_synctool.connection.control_sockets import Sockets
from pytest_synctool.connection.route import route_to
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.dsh.calls import Call, CallOutcome, Ending, exit_status
from pytest_synctool.dsh.clients import Lines
from pytest_synctool.dsh.multiplex import OpenConnections
from pytest_synctool.dsh.stdin import Feed
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

from tests_meta.unit.helpers import IS_ROOT, Shell

TOKEN = "synctool-0123"
SETTINGS = SshSettings(("ssh", "-F", "file with blank"), connect_timeout=7)
SSH = ["ssh", "-F", "file with blank", "-o", "BatchMode=yes", "-o", "ConnectTimeout=7"]


def node(connection: str | None = None, address: str = "192.168.1.20") -> Node:
    """A node with this connection."""
    return Node("node1", ("node1", "all"), address, connection=connection)


class TestReach:
    """How a line gets to a node."""

    @pytest.mark.parametrize(
        ("connection", "argv"),
        [
            (None, [*SSH, "-T", "--", "192.168.1.20", "LINE"]),
            ("ssh://web1", [*SSH, "-T", "--", "web1", "LINE"]),
            ("ssh://me@web1:2222", [*SSH, "-l", "me", "-p", "2222", "-T", "--", "web1", "LINE"]),
            ("ssh://[fe80::1]:22", [*SSH, "-p", "22", "-T", "--", "fe80::1", "LINE"]),
            ("docker://web1", ["docker", "exec", "-i", "web1", "/bin/sh", "-c", "LINE"]),
            ("podman://me@web1", ["podman", "exec", "-i", "-u", "me", "web1", "/bin/sh", "-c", "LINE"]),
            (
                "kubectl://pod1?namespace=ns&container=c",
                ["kubectl", "--namespace=ns", "--container=c", "exec", "-i", "pod1", "--", "/bin/sh", "-c", "LINE"],
            ),
            ("chroot:///srv/image", ["chroot", "/srv/image", "/bin/sh", "-c", "LINE"]),
            ("local://", ["/bin/sh", "-c", "LINE"]),
        ],
    )
    def test_argument_lists(self, connection: str | None, argv: Sequence[str]) -> None:
        assert route_to(node(connection), SETTINGS).argv("LINE") == argv

    @pytest.mark.parametrize(
        "connection",
        ["ssh://-oProxyCommand=x", "docker://-v", "ssh://-l@web1", "ssh://", "ssh://a]b", "winrm://web1", "x://y"],
    )
    def test_what_is_none(self, connection: str) -> None:
        with pytest.raises(TransportError):
            route_to(node(connection), SETTINGS)

    def test_an_address_that_would_be_an_option(self) -> None:
        with pytest.raises(TransportError, match="is no host"):
            route_to(node(address="-oProxyCommand=x"), SETTINGS)

    def test_sudo(self) -> None:
        way = route_to(node("ssh://me@web1?sudo=true&sudo_user=app"), SETTINGS)
        assert way.line("it's") == shlex.join(["sudo", "-n", "-u", "app", "--", "/bin/sh", "-c", "it's"])

    def test_announcement(self, shell: Shell) -> None:
        """Every shell says its process group, then runs the command as it is; its exit status is the command's."""
        line = route_to(node("local://"), SETTINGS).line('echo "it\'s $0"\nexit 7', TOKEN)
        done = subprocess.run(
            [*shell.argv, "-c", line], env=dict(shell.env), capture_output=True, start_new_session=True
        )
        assert done.returncode == 7
        assert done.stdout.startswith(b"it's ")
        call = Call("node1", TOKEN)
        assert call.heard(done.stderr.rstrip(b"\n")) == []
        assert call.group is not None

    @pytest.mark.parametrize("listens", [True, False])
    def test_stopping(self, shell: Shell, listens: bool) -> None:
        """All of a process group, and with force what does not listen; what has ended is no problem."""
        way = route_to(node("local://"), SETTINGS)
        trap = "" if listens else "trap '' TERM; "
        line = way.line(f"{trap}sleep 60 & echo begun; sleep 61; sleep 62", TOKEN)
        with subprocess.Popen(
            [*shell.argv, "-c", line],
            env=dict(shell.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == b"begun\n"
            group = int(process.stderr.readline().split()[1])
            threading.Thread(target=process.wait).start()  # a zombie would still be there
            for _ in range(2):
                done = subprocess.run([*shell.argv, "-c", way.stop_line(group)], env=dict(shell.env), timeout=30)
                assert done.returncode == 0
            with pytest.raises(ProcessLookupError):
                os.killpg(group, 0)


class TestCalls:
    """What counts as what."""

    @pytest.mark.parametrize(
        ("lines", "status", "is_ssh", "outcome", "shown"),
        [
            ([b"TOKEN 42"], 0, True, CallOutcome(Ending.DONE), []),
            ([b"TOKEN 42", b"said"], 7, True, CallOutcome(Ending.DONE, 7), [b"said"]),
            (
                [b"banner", b"open line TOKEN 42", b"said"],
                0,
                True,
                CallOutcome(Ending.DONE),
                [b"banner", b"open line ", b"said"],
            ),
            ([b"TOKEN 42", b"said"], 255, True, CallOutcome(Ending.DONE, 255), [b"said"]),
            (
                [b"TOKEN 42", b"Connection to 127.0.0.1 closed by remote host.\r"],
                255,
                True,
                CallOutcome(Ending.UNREACHABLE, reason="Connection to 127.0.0.1 closed by remote host"),
                None,
            ),
            (
                [b"banner", b"ssh: connect to host node1 port 22: Connection refused\r"],
                255,
                True,
                CallOutcome(Ending.UNREACHABLE, reason="Connection refused"),
                [b"unreachable: Connection refused"],
            ),
            ([], 255, True, CallOutcome(Ending.UNREACHABLE, reason="the connection broke off without a word"), None),
            # a forced command, say: whatever it is, it has ended
            ([b"said"], 3, True, CallOutcome(Ending.DONE, 3), [b"said"]),
            ([b"no such container"], 1, False, CallOutcome(Ending.UNREACHABLE, reason="no such container"), None),
            ([b"TOKEN 42"], 1, False, CallOutcome(Ending.DONE, 1), []),
            ([b"TOKEN 42"], 255, False, CallOutcome(Ending.DONE, 255), []),
            (
                [b"TOKEN 42"],
                -9,
                True,
                CallOutcome(Ending.UNREACHABLE, reason="its connection was ended here by signal 9"),
                None,
            ),
            ([b"TOKEN 4x"], 0, True, CallOutcome(Ending.DONE), [b"TOKEN 4x"]),
        ],
    )
    def test_endings(
        self, lines: Sequence[bytes], status: int, is_ssh: bool, outcome: CallOutcome, shown: Sequence[bytes] | None
    ) -> None:
        call = Call("node1", TOKEN, is_ssh, (255,) if is_ssh else range(1, 256))
        said = [each for line in lines for each in call.heard(line.replace(b"TOKEN", TOKEN.encode()))]
        said += call.ended(status)
        assert call.outcome == outcome
        if shown is not None:
            assert said == [line.replace(b"TOKEN", TOKEN.encode()) for line in shown]

    @pytest.mark.parametrize(
        ("told", "group"), [("42", 42), ("1", None), ("0", None), ("-1", None), ("9" * 5000, None), ("", None)]
    )
    def test_groups(self, told: str, group: int | None) -> None:
        """kill(1) takes 0 and 1 for something else than the group of a command."""
        call = Call("node1", TOKEN)
        call.heard(f"{TOKEN} {told}".encode())
        assert call.group == group

    def test_what_is_held_back_is_bounded(self) -> None:
        call = Call("node1", TOKEN)
        assert sum(len(call.heard(b"line")) for _ in range(10_000)) == 10_000

    def test_time_limits(self) -> None:
        """Without an announcement nobody knows whether it has begun."""
        call = Call("node1", TOKEN)
        assert call.late(5) == [b"unreachable: no answer within 5 s"]
        call = Call("node1", TOKEN, group=42)
        assert call.late(0.5) == [b"not done within 0.5 s"]
        assert call.outcome == CallOutcome(Ending.TIMED_OUT, reason="0.5 s")

    @pytest.mark.parametrize(
        ("outcomes", "status"),
        [
            ([], 0),
            ([CallOutcome(Ending.DONE)], 0),
            ([CallOutcome(Ending.DONE, 1), CallOutcome(Ending.DONE, 7), CallOutcome(Ending.DONE)], 7),
            ([CallOutcome(Ending.DONE, 255), CallOutcome(Ending.TIMED_OUT)], 124),
            ([CallOutcome(Ending.TIMED_OUT), CallOutcome(Ending.UNREACHABLE), CallOutcome(Ending.DONE, 255)], 3),
        ],
    )
    def test_the_worst(self, outcomes: Sequence[CallOutcome], status: int) -> None:
        assert exit_status(outcomes) == status


@given(st.lists(st.binary(max_size=5) | st.just(b"\n") | st.just(b"\r"), max_size=20))
def test_lines(pieces: Sequence[bytes]) -> None:
    """However a stream is cut into pieces, its lines are the same, and only newlines count."""
    lines = Lines()
    found = [line for piece in pieces for line in lines.feed(piece)]
    assert b"\n".join([*found, lines.rest()]) == b"".join(pieces)
    assert not any(b"\n" in line for line in found)


class TestFeed:
    """One input for many readers."""

    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        """A pipe."""
        ends = os.pipe()
        yield ends
        for end in ends:
            try:
                os.close(end)
            except OSError:
                continue

    def read(self, feed: Feed, offset: int, more: threading.Semaphore) -> bytes:
        """What comes behind an offset, when it is there."""
        while (data := feed.after(offset)) is None:
            assert more.acquire(timeout=30)
        return data

    def test_every_reader_gets_all(self, pipe: tuple[int, int]) -> None:
        more = threading.Semaphore(0)
        feed = Feed(pipe[0], more.release)
        os.write(pipe[1], b"first")
        assert self.read(feed, 0, more) == b"first"
        os.write(pipe[1], b"second")
        assert self.read(feed, 5, more) == b"second"
        os.close(pipe[1])
        assert self.read(feed, 11, more) == b""
        assert self.read(feed, 0, more) == b"firstsecond"
        assert self.read(feed, 3, more) == b"stsecond"
        feed.close()

    def test_nothing_is_read_before_it_is_asked_for(self, pipe: tuple[int, int]) -> None:
        more = threading.Semaphore(0)
        feed = Feed(pipe[0], more.release)
        os.write(pipe[1], b"x" * 30_000)
        assert len(self.read(feed, 0, more)) == 30_000
        os.write(pipe[1], b"y" * 30_000)
        assert len(self.read(feed, 0, more)) == 30_000  # there is something for this reader still
        assert feed.after(30_000) is None
        assert len(self.read(feed, 30_000, more)) == 30_000
        feed.close()

    def test_waiting_readers_are_woken(self, pipe: tuple[int, int]) -> None:
        class Waiting:
            resumed = 0

            def resume(self) -> None:
                self.resumed += 1

        more = threading.Semaphore(0)
        feed, reader = Feed(pipe[0], more.release), Waiting()
        assert feed.after(0) is None
        feed.waiting.append(reader)
        os.write(pipe[1], b"x")
        assert more.acquire(timeout=30)
        feed.resume()
        feed.resume()
        assert reader.resumed == 1
        feed.close()

    def test_a_descriptor_that_is_none(self) -> None:
        more = threading.Semaphore(0)
        feed = Feed(10**6, more.release)
        assert self.read(feed, 0, more) == b""
        feed.close()


class TestSockets:
    """Where control sockets are kept."""

    def test_in_the_runtime_directory_of_the_user(self, tmp_path: Path) -> None:
        place = Path(tmp_path.anchor, "tmp", f"s{os.getpid()}")  # short enough for a socket
        place.mkdir(0o700)
        try:
            sockets = Sockets.of_user({"XDG_RUNTIME_DIR": str(place)})
            assert sockets.directory == place / "synctool-ssh"
            place.chmod(0o777)
            assert Sockets.of_user({"XDG_RUNTIME_DIR": str(place)}).directory != sockets.directory
        finally:
            place.rmdir()

    @pytest.mark.parametrize("place", ["", "relative", "/no/such/place", "/tmp/with blank", "/tmp/50%", "/" + "x" * 90])
    def test_places_that_will_not_do(self, place: str) -> None:
        directory = Sockets.of_user({"XDG_RUNTIME_DIR": place}).directory
        assert not place or not str(directory).startswith(place)
        assert directory.name in ("synctool-ssh", f"synctool-ssh-{os.geteuid()}")

    @pytest.mark.skipif(not IS_ROOT, reason="only root can give a directory away")
    def test_directories_of_others(self, tmp_path: Path) -> None:
        """Neither used nor accepted."""
        for what in ("link", "foreign", "open"):
            directory = tmp_path / what
            if what == "link":
                directory.symlink_to(tmp_path)
            else:
                directory.mkdir(0o700 if what == "foreign" else 0o750)
            if what == "foreign":
                os.chown(directory, 65534, 65534)
            sockets = Sockets(directory)
            with pytest.raises(TransportError, match="is not a directory of this user alone"):
                sockets.prepare()
            way = route_to(node(), SETTINGS)
            assert OpenConnections(sockets).use(way) == way

    def test_names(self, tmp_path: Path) -> None:
        """A socket is for one command line and address; how long a connection may take does not matter."""
        sockets = OpenConnections(Sockets(tmp_path))
        path = sockets.path(route_to(node(), SETTINGS))
        assert path == sockets.path(route_to(node(), SshSettings(SETTINGS.command, connect_timeout=99)))
        others = {
            sockets.path(route_to(node(address="other"), SETTINGS)),
            sockets.path(route_to(node("ssh://me@192.168.1.20"), SETTINGS)),
            sockets.path(route_to(node(), SshSettings(("ssh",)))),
        }
        assert len(others | {path}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no command: expected one behind the options"),
        (["--"], "no command: expected one behind the options"),
        (["-M", "date"], "-M takes no command"),
        (["-O", "check", "date"], "-O takes no command"),
        (["-O", "what"], "argument -O: invalid choice: 'what'"),
        (["-p", "0", "date"], "argument -p/--numproc: expected a number from 1 to 999999, not '0'"),
        (["--timeout=-1", "date"], "argument --timeout: expected a number of seconds, not '-1'"),
        (["--timeout", "nan", "date"], "argument --timeout: expected a number of seconds, not 'nan'"),
        (["--connect-timeout", "1.5", "date"], "expected a number from 1 to 999999, not '1.5'"),
        (["--bogus", "date"], "unrecognized arguments: --bogus"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dsh_command.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err

"""What dsh is made of, without a node: ways to nodes, what counts as what, one input for all, and where sockets are."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.cli import dsh as dsh_command
from pytest_synctool.dsh.calls import Call, CallOutcome, Ending, exit_status
from pytest_synctool.dsh.clients import Lines
from pytest_synctool.dsh.stdin import Feed

TOKEN = "synctool-0123"


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

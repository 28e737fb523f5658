"""Calls: the announcement of a command, and the outcome of each ending."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pytest_synctool.dsh.calls import Call, CallEnding, CallOutcome, exit_status

TOKEN = "synctool-0123"
DONE = CallOutcome(CallEnding.DONE)


def done(status: int) -> CallOutcome:
    """Return the outcome of a command that exited with this status."""
    return CallOutcome(CallEnding.DONE, status)


def unreachable(reason: str) -> CallOutcome:
    """Return the outcome of an unreachable node."""
    return CallOutcome(CallEnding.UNREACHABLE, reason=reason)


@pytest.mark.parametrize(
    ("lines", "status", "is_ssh", "outcome", "printed"),
    [
        ([b"TOKEN 42"], 0, True, DONE, []),
        ([b"TOKEN 42", b"output"], 7, True, done(7), [b"output"]),
        ([b"banner", b"open line TOKEN 42", b"output"], 0, True, DONE, [b"banner", b"open line ", b"output"]),
        ([b"TOKEN 42", b"output"], 255, True, done(255), [b"output"]),
        (
            [b"TOKEN 42", b"Connection to 127.0.0.1 closed by remote host.\r"],
            255,
            True,
            unreachable("Connection to 127.0.0.1 closed by remote host"),
            None,
        ),
        (
            [b"banner", b"ssh: connect to host node1 port 22: Connection refused\r"],
            255,
            True,
            unreachable("Connection refused"),
            [b"unreachable: Connection refused"],
        ),
        ([], 255, True, unreachable("the connection ended without a message"), None),
        # a login that does not run our command: a forced command, another shell that reads an empty input
        ([b"output"], 3, True, unreachable("the login ended with status 3 before it ran /bin/sh: output"), None),
        ([], 0, True, unreachable("the login ended with status 0 before it ran /bin/sh"), None),
        ([], 0, False, unreachable("the login ended with status 0 before it ran /bin/sh"), None),
        ([b"no such container"], 1, False, unreachable("no such container"), None),
        ([b"TOKEN 42"], 1, False, done(1), []),
        ([b"TOKEN 42"], 255, False, done(255), []),
        ([b"TOKEN 42"], -9, True, unreachable("its connection was ended by signal 9 on this machine"), None),
        ([b"TOKEN 4x"], 0, True, unreachable(f"the login ended with status 0 before it ran /bin/sh: {TOKEN} 4x"), None),
    ],
)
def test_endings(
    lines: Sequence[bytes], status: int, is_ssh: bool, outcome: CallOutcome, printed: Sequence[bytes] | None
) -> None:
    call = Call("node1", TOKEN, is_ssh, (255,) if is_ssh else range(1, 256))
    output = [each for line in lines for each in call.add_stderr(line.replace(b"TOKEN", TOKEN.encode()))]
    output += call.end(status)
    assert call.outcome == outcome
    if printed is not None:
        assert output == [line.replace(b"TOKEN", TOKEN.encode()) for line in printed]


@pytest.mark.parametrize(
    ("word", "group"), [("42", 42), ("1", None), ("0", None), ("-1", None), ("9" * 5000, None), ("", None)]
)
def test_groups(word: str, group: int | None) -> None:
    """0 and 1 are no groups of commands: kill(1) takes them for something else."""
    call = Call("node1", TOKEN)
    call.add_stderr(f"{TOKEN} {word}".encode())
    assert call.group == group


def test_a_command_in_a_container_announces_itself_on_standard_output() -> None:
    """There the last words on standard error may be lost. What it prints itself is never taken for that."""
    call = Call("node1", TOKEN, is_ssh=False, is_container=True)
    assert call.add_stderr(b"early") == []
    assert [call.begin(line) for line in (b"output", f"x{TOKEN} 42".encode(), f"{TOKEN} x".encode())] == [None] * 3
    assert (call.begin(f"{TOKEN} 42".encode()), call.group) == ([b"early"], 42)
    assert call.begin(f"{TOKEN} 43".encode()) is None
    assert call.end(3) == []
    assert call.outcome == done(3)
    other = Call("node2", TOKEN)
    assert other.begin(f"{TOKEN} 42".encode()) is None
    assert not other.has_begun


def test_the_number_of_held_lines_is_limited() -> None:
    call = Call("node1", TOKEN)
    assert sum(len(call.add_stderr(b"line")) for _ in range(10_000)) == 10_000


def test_time_limits() -> None:
    """Without an announcement nobody knows whether the command has begun."""
    call = Call("node1", TOKEN)
    assert call.time_out(5) == [b"unreachable: no answer within 5 s"]
    call = Call("node1", TOKEN, group=42)
    assert call.time_out(0.5) == [b"not done within 0.5 s"]
    assert call.outcome == CallOutcome(CallEnding.TIMED_OUT, reason="0.5 s")


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], 0),
        ([DONE], 0),
        ([done(1), done(7), DONE], 7),
        ([done(255), CallOutcome(CallEnding.TIMED_OUT)], 124),
        ([CallOutcome(CallEnding.TIMED_OUT), unreachable(""), done(255)], 3),
    ],
)
def test_the_worst_outcome_is_the_exit_status(outcomes: Sequence[CallOutcome], status: int) -> None:
    assert exit_status(outcomes) == status

"""Probes ahead: an answer counts only if the same was asked, and what nobody asks for is ended."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.connection import ahead
from pytest_synctool.connection.ahead import Question
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import HostTransport, connect
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

_NODE = Node("n", ("n", "all"), "n", connection="local://")
_CEILING = 1000


@given(st.binary(), st.floats(0, 1e9), st.integers(0, 1 << 60))
def test_a_question_is_the_same_again(script: bytes, deadline: float, ceiling: int) -> None:
    question = Question(script, deadline, ceiling)
    assert Question.from_bytes(question.to_bytes()) == question


@given(st.binary() | st.just(b"1.0 " + b"9" * 5000 + b"\nx"))
def test_any_file_is_a_question_or_none(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        Question.from_bytes(content)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of this user; all questions are long enough for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ahead, "_SHORTEST", 0)
    return tmp_path / "cache/pytest-synctool/probes"


@contextlib.contextmanager
def run_on(tmp_path: Path, kind: str = "test") -> Iterator[tuple[Connections, HostTransport]]:
    """A run that has begun to ask ahead."""
    connections = Connections(SshSettings(), Processes())
    connections.ask_ahead(tmp_path, [_NODE], kind, 8)
    with contextlib.closing(connections):
        yield connections, connections.to(_NODE)


def asked(transport: HostTransport, script: bytes, deadline: float = 10.0) -> bytes:
    """Return the answer to a probe."""
    return transport.run(script, deadline, Phase.PROBE, _CEILING).stdout


def test_the_same_question_is_asked_once(tmp_path: Path) -> None:
    script = b"echo x >>'%s'; cat '%s'" % ((os.fsencode(tmp_path / "log"),) * 2)
    for count in (1, 2, 3):
        with run_on(tmp_path) as (_, transport):
            assert asked(transport, script) == b"x\n" * count
            assert asked(transport, b"echo more") == b"more\n"


@pytest.mark.parametrize("other", ["script", "deadline", "kind"])
def test_another_question_ends_the_one_ahead(tmp_path: Path, other: str) -> None:
    hangs = b"echo $$ >'%s'; sleep 600; echo done" % os.fsencode(tmp_path / "process")
    with run_on(tmp_path) as (_, transport):
        question = Question(hangs, 10.0, _CEILING)
        assert transport.ahead is not None
        transport.ahead.keep(question)
    answer = b"now\n"
    with run_on(tmp_path, "another" if other == "kind" else "test") as (_, transport):
        if other != "kind":
            while not (tmp_path / "process").is_file() or not (tmp_path / "process").read_text().strip():
                os.sched_yield()
        assert asked(transport, b"echo now", 5.0 if other == "deadline" else 10.0) == answer
        assert (tmp_path / "process").exists() is (other != "kind")
        if other != "kind":
            process = int((tmp_path / "process").read_text())
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)
    with run_on(tmp_path) as (_, transport):  # the last one is kept
        assert asked(transport, b"echo now", 5.0 if other == "deadline" else 10.0) == answer


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_run_that_asks_nothing_ends_it(tmp_path: Path, is_connected: bool) -> None:
    with run_on(tmp_path) as (_, transport):
        assert transport.ahead is not None
        transport.ahead.keep(Question(b"sleep 600", 10.0, _CEILING))
    connections = Connections(SshSettings(), Processes())
    connections.ask_ahead(tmp_path, [_NODE], "test", 8)
    if is_connected:
        connections.to(_NODE).close()
    else:
        connections.close()
    assert "synctool-ahead" not in [thread.name for thread in threading.enumerate()]


def test_an_interrupted_run_gets_no_answer(tmp_path: Path) -> None:
    with run_on(tmp_path) as (_, transport):
        assert transport.ahead is not None
        transport.ahead.keep(Question(b"sleep 600", 10.0, _CEILING))
    with run_on(tmp_path) as (connections, transport):
        connections.processes.end_all()
        with pytest.raises(TransportError, match="interrupted"):
            asked(transport, b"sleep 600")


def test_a_node_that_does_not_answer_in_time(tmp_path: Path) -> None:
    with run_on(tmp_path) as (_, transport):
        assert transport.ahead is not None
        transport.ahead.keep(Question(b"sleep 600", 0.1, _CEILING))
    with run_on(tmp_path) as (_, transport), pytest.raises(TransportError, match=r"no answer within 0\.1 s"):
        asked(transport, b"sleep 600", 0.1)


def test_a_question_that_others_could_write_is_not_asked(tmp_path: Path, cache: Path) -> None:
    script = b"echo x >>'%s'" % os.fsencode(tmp_path / "log")
    with run_on(tmp_path) as (_, transport):
        asked(transport, script)
    (path,) = cache.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)
    with run_on(tmp_path) as (_, transport):
        assert asked(transport, b"echo other") == b"other\n"
    assert (tmp_path / "log").read_text() == "x\n"


@pytest.mark.parametrize(("others", "width"), [(100, 200), (1, 1)])
def test_of_many_nodes_none_is_asked_ahead(tmp_path: Path, others: int, width: int) -> None:
    """Nor more of them than the run contacts at once."""
    script = b"echo x >>'%s'" % os.fsencode(tmp_path / "log")
    with run_on(tmp_path) as (_, transport):
        asked(transport, script)
    nodes = [_NODE, *(Node(f"m{number}", ("all",), "m", connection="local://") for number in range(others))]
    connections = Connections(SshSettings(), Processes())
    connections.ask_ahead(tmp_path, nodes, "test", width)
    with contextlib.closing(connections):
        assert connections.to(_NODE).ahead is None
    assert (tmp_path / "log").read_text() == "x\n"


def test_old_questions_go_away(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_MOST_FILES", 2)
    for kind in ("one", "two", "three"):
        with run_on(tmp_path, kind) as (_, transport):
            asked(transport, b"echo x >>'%s'" % os.fsencode(tmp_path / kind))
    assert len([*cache.iterdir()]) == 2
    for kind in ("one", "three"):
        with run_on(tmp_path, kind) as (_, transport):
            asked(transport, b"echo other")
    assert (tmp_path / "one").read_text() == "x\n"


def test_a_question_that_is_still_asked_stays(tmp_path: Path, cache: Path) -> None:
    script = b"echo x"
    for _ in range(2):
        with run_on(tmp_path) as (_, transport):
            asked(transport, script)
        (path,) = cache.iterdir()
        was = path.stat()
        os.utime(path, (0, 0))
    with run_on(tmp_path) as (_, transport):
        asked(transport, script)
    assert (path.stat().st_ino, path.stat().st_mtime > 0) == (was.st_ino, True)


def test_a_question_that_is_too_long_is_not_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would not be read either."""
    monkeypatch.setattr(ahead, "_LONGEST", 50)
    with run_on(tmp_path) as (_, transport):
        asked(transport, b"echo " + b"x" * 50)
    assert not cache.exists()


def test_a_shared_connection_survives_a_question_that_is_ended(tmp_path: Path) -> None:
    """Other runs may use it: only a command could tell it to end, and none can start any more."""
    processes = Processes()
    socket = tmp_path / "socket"
    socket.touch()
    transport = connect(_NODE, SshSettings(), processes)
    transport.route = replace(transport.route, socket=str(socket)) if transport.route is not None else None
    processes.end_all()
    transport.disconnect()
    assert socket.exists()

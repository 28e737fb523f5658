"""The look for unmanaged files after an audit: whatever becomes of it, the outcomes stay."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from pytest_synctool.audit import probe, unmanaged_look
from pytest_synctool.audit.check import Check
from pytest_synctool.connection.transport import Transport
from pytest_synctool.engine.session import NodeSession
from pytest_synctool.engine.settings import Settings
from pytest_synctool.errors import AnswerTooLong, RemoteError, TransportError
from pytest_synctool.model import OK, NodeResult, UnmanagedFiles
from pytest_synctool.repository.source import Tree

from tests_meta.unit.fake_node import MASTER, FakeNode, same
from tests_meta.unit.helpers import entry, node, state

A, TASK = entry(b"/a", state()), entry(b"/task", state(), tree=Tree.TASKS)


def audit(fake: FakeNode) -> NodeResult:
    """The result of an audit of A that looks for unmanaged files, too."""
    fake.requests.append(probe.Request(b"/a", 3, expected=state()))
    settings = Settings(MASTER, deadline=17.0, unmanaged=b"/etc")
    return NodeSession(node(), [Check(A, same)], [A, TASK], fake, settings).run()


def test_the_paths_of_entries_are_managed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the node, whether selected or not, but no task."""
    calls: list[object] = []

    def look(directory: bytes, managed: Collection[bytes], transport: Transport, timeout: float) -> UnmanagedFiles:
        calls.append((directory, managed, transport, timeout))
        return UnmanagedFiles(errors=("x",))

    monkeypatch.setattr(unmanaged_look, "look", look)
    fake = FakeNode({b"/a": state()})
    result = audit(fake)
    assert (result.outcomes, result.error, result.unmanaged) == ((OK,), None, UnmanagedFiles(errors=("x",)))
    assert calls == [(b"/etc", frozenset({b"/a"}), fake, 17.0)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RemoteError("there is no package manager"), "there is no package manager"),
        (AnswerTooLong("more than 1 byte"), "more than 1 byte"),
        (TransportError("it hung up"), "unreachable: it hung up"),
        (ValueError("a fault"), "internal error: ValueError: a fault"),
    ],
)
def test_an_error_is_one_of_this_look_alone(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    def look(*_: object) -> UnmanagedFiles:
        raise error

    monkeypatch.setattr(unmanaged_look, "look", look)
    result = audit(FakeNode({b"/a": state()}))
    assert (result.outcomes, result.error) == ((OK,), None)
    assert result.unmanaged == UnmanagedFiles.unknown(reason)


def test_a_node_that_does_not_answer_is_not_asked_again() -> None:
    result = audit(FakeNode({}, broken={0: TransportError("down")}))
    assert result.error is not None
    assert result.unmanaged is None

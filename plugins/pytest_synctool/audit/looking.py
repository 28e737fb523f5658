"""States of any paths of a node, by a probe in as many parts as its connection needs."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_synctool.audit import probe
from pytest_synctool.connection.exchange import SHORT_ANSWER, Phase
from pytest_synctool.connection.transport import Transport
from pytest_synctool.model import Actual


def states(
    transport: Transport, requests: Sequence[probe.Request], deadline: float, phase: Phase
) -> dict[bytes, Actual]:
    """Return the state of each requested path. No request, no contact.

    Raises TransportError, and RemoteError for an answer that is incomplete or malformed.
    """
    actual: dict[bytes, Actual] = {}
    for part in probe.split(requests, transport.script_limit) if requests else ():
        ceiling = SHORT_ANSWER + probe.largest_answer(part)
        answer = transport.run(probe.script(part), deadline, phase, ceiling)
        actual.update(probe.parse(part, answer.stdout))
    return actual

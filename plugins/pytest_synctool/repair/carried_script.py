"""A script that is longer than its connection takes goes to the node in pieces, and runs there as one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from pytest_synctool.common.shell import argument_size, escaped, quote, words
from pytest_synctool.connection.exchange import SHORT_ANSWER, Phase
from pytest_synctool.connection.processes import Answer
from pytest_synctool.connection.transport import Transport
from pytest_synctool.repair.shell_functions import PROLOGUE

_TAKEN: Final = b"taken\n"
_CUT: Final = "not all of its script is there any more"

_TAKE: Final = rb"""
take() { # FILE SIZE TEXT: goes behind the SIZE bytes of the file that have come before
  umask 077
  [ "$2" != 0 ] || e=$( (: >"$1") 2>&1) e=${e##*"$nl"}
  x=$(wc -c 2>&- <"$1")
  [ "$((x))" = "$2" ] || { rm -f -- "$1"; refuse "${e:-CUT}"; }
  e=$( (printf %b "$3" >>"$1") 2>&1) || { rm -f -- "$1"; refuse "its script cannot be written: ${e##*"$nl"}"; }
  echo taken
}
""".replace(b"CUT", _CUT.encode())


def run_script(transport: Transport, text: bytes, state: bytes, deadline: float, ceiling: int) -> Answer:
    """Run the script of a repair, whose answer has at most `ceiling` bytes. Raise TransportError as the transport does.

    If its pieces have to be kept on the node, that is in `state`, the node's own state directory. If one of them does
    not get there, return the answer to that.
    """
    limit = transport.script_limit
    if limit is None or argument_size(text) <= limit:
        return transport.run(text, deadline, Phase.REPAIR, ceiling)
    path = os.path.join(state, b"script.%s" % os.urandom(8).hex().encode())
    text = b'rm -f -- "$f"\n' + text  # the shell has opened it
    for piece in pieces(text, limit, state, path):
        answer = transport.run(piece, deadline, Phase.REPAIR, SHORT_ANSWER)
        if not answer.stdout.endswith(_TAKEN):
            return answer
    return transport.run(running(path, len(text)), deadline, Phase.REPAIR, ceiling)


def pieces(text: bytes, limit: int, state: bytes, path: bytes) -> Iterator[bytes]:
    """Return scripts with an argument_size() up to `limit`, which bring a text into the file `path` of a node."""
    head = PROLOGUE + _TAKE + b"state=%s\nopen_state\n" % quote(state)
    room = limit - argument_size(head + words(b"take", path, b"%d" % len(text)) + b" ''")
    start = 0
    while start < len(text):
        length = room
        while (size := argument_size(more := escaped(text[start : start + length]))) > room:
            length = length * room // size
        yield head + words(b"take", path, b"%d" % start) + b" '%s'" % more
        start += length


def running(path: bytes, size: int) -> bytes:
    """Return the shell text that runs the script in the file `path` if all of its `size` bytes have come."""
    return rb"""f=%s
x=$(wc -c 2>&- <"$f")
[ "$((x))" = %d ] || { echo 'refused %s'; exit; }
. "$f"
""" % (quote(path), size, _CUT.encode())

"""The payload of a gateway's message: bytes, and nothing else that a pickle could make.

ClusterShell pickles what it sends between machines, and unpickling can run any code. A gateway is a node like others,
so the controller takes a pickle of bytes apart without running it.
"""

from __future__ import annotations

import base64
import pickletools
from typing import Any, Final

from ClusterShell.Communication import Message, MessageProcessingError

_BYTES: Final = frozenset({"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"})
_AROUND: Final = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "STOP"})


def payload(data: str) -> bytes:
    """Return the bytes in the payload of a message. Raises MessageProcessingError if it is anything else."""
    try:
        steps = [(opcode.name, value) for opcode, value, _ in pickletools.genops(base64.b64decode(data))]
    except Exception as error:  # of bytes that are no pickle, it raises many
        raise MessageProcessingError(f"its payload is no pickle: {error}") from error
    contents = [value for name, value in steps if name in _BYTES and isinstance(value, bytes)]
    if len(contents) != 1 or any(name not in _BYTES | _AROUND for name, _ in steps):
        raise MessageProcessingError("its payload is not a pickle of bytes")
    return contents[0]


def _data_decode(message: Any) -> bytes:
    return payload(message.data)


def take_payloads_apart() -> None:
    """From now on, no message that this process receives is unpickled."""
    Message.data_decode = _data_decode

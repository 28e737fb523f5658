"""What a gateway sends is bytes or an error, and no code of it runs."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
from pathlib import Path

import pytest
from ClusterShell.Communication import MessageProcessingError, StdOutMessage
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.dsh.gateway_payload import payload


class MakesADirectory:
    """What makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return os.mkdir, (self.path,)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@given(st.binary(max_size=300))
def test_what_clustershell_sends(data: bytes) -> None:
    message = StdOutMessage()
    message.data_encode(data)
    assert payload(message.data) == data


def test_long_texts() -> None:
    message = StdOutMessage()
    message.data_encode(b"x" * 300_000)
    assert payload(message.data) == b"x" * 300_000


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with contextlib.suppress(MessageProcessingError):
        payload(encoded(data))


@pytest.mark.parametrize("value", ["text", 1, None, [b"x"], (b"x", b"y"), {b"x": b"y"}])
def test_other_values(value: object) -> None:
    with pytest.raises(MessageProcessingError, match="not a pickle of bytes"):
        payload(encoded(pickle.dumps(value)))


def test_code(tmp_path: Path) -> None:
    with pytest.raises(MessageProcessingError, match="not a pickle of bytes"):
        payload(encoded(pickle.dumps(MakesADirectory(tmp_path / "made"))))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("data", ["", "!", "AAA", encoded(b"\x80\x04r\xff\xff\xff\x7fN.")])
def test_no_pickle_of_bytes(data: str) -> None:
    with pytest.raises(MessageProcessingError):
        payload(data)

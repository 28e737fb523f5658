"""Scripts that travel as an argument: a repair has room for names beside its functions, and the whole fits in one."""

from __future__ import annotations

import pytest
from pytest_synctool.common.shell import ascii_command
from pytest_synctool.connection.transport import ARGUMENT_LIMIT
from pytest_synctool.repair.removal_functions import REMOVALS
from pytest_synctool.repair.shell_functions import PROLOGUE
from testinfra.backend.base import BaseBackend

_LONGEST_ARGUMENT = 128 << 10  # bytes; of Linux
_FUNCTIONS = PROLOGUE + REMOVALS


def test_a_repair_has_room_for_names() -> None:
    assert ARGUMENT_LIMIT - len(_FUNCTIONS) > 9_000


@pytest.mark.parametrize("byte", [b"x", b"'", b"\\", b"\n", b"\xff"])
def test_the_longest_script_fits_in_an_argument(byte: bytes) -> None:
    script = _FUNCTIONS + byte * (ARGUMENT_LIMIT - len(_FUNCTIONS))
    assert len(BaseBackend.quote("/bin/sh -c %s", ascii_command(script))) < _LONGEST_ARGUMENT

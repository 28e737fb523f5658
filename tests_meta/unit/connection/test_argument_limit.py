"""Scripts that travel as an argument: a repair has room for names beside its functions, and the whole fits in one."""

from __future__ import annotations

import pytest
from pytest_synctool.common.prologue import beginning, new_token
from pytest_synctool.common.shell import argument_size, ascii_command, guarded
from pytest_synctool.connection.transport import ARGUMENT_LIMIT
from pytest_synctool.repair.removal_functions import REMOVALS
from pytest_synctool.repair.shell_functions import PROLOGUE
from testinfra.backend.base import BaseBackend

_LONGEST_ARGUMENT = 128 << 10  # bytes; of Linux
_FUNCTIONS = PROLOGUE + REMOVALS


def test_a_repair_has_room_for_names() -> None:
    assert ARGUMENT_LIMIT - argument_size(_FUNCTIONS) > 60_000


@pytest.mark.parametrize("byte", [b"x", b"'", b"\\", b"\n", b"\xff"])
def test_the_longest_script_fits_in_an_argument(byte: bytes) -> None:
    """Also behind what each begins with, and in a command that quotes a command."""
    script = _FUNCTIONS + byte * ((ARGUMENT_LIMIT - argument_size(_FUNCTIONS)) // argument_size(byte))
    whole = beginning(new_token()) + guarded(script, 3600, watches_input=False)
    line = BaseBackend.quote("sudo -u %s /bin/sh -c %s", "n" * 250, ascii_command(whole))
    assert len(BaseBackend.quote("docker exec %s /bin/sh -c %s", "n" * 250, line)) < _LONGEST_ARGUMENT

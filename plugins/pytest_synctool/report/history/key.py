"""A key beside the history.

Without it, nobody who reads the history can test a guess of secret contents by its digest.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import check_regular, open_regular
from pytest_synctool.report.expected_digest import UNREADABLE

_BYTES: Final = 32
_MODE: Final = 0o600


def load(path: Path, trust: Trust) -> bytes:
    """Return the key for the history in a file; create it, readable by its owner only, if it does not exist.

    If that fails, the key is a new one each time, and digests compare with nothing.
    """
    place = path.with_name(f".{path.name}.key")
    made = secrets.token_bytes(_BYTES)
    with suppress(OSError):
        if check_regular(place, trust) is None:
            _make(place, made)
        descriptor = open_regular(place, os.O_RDONLY, trust)
        with open(descriptor, "rb") as file:
            key = file.read(_BYTES + 1)
        return key if len(key) == _BYTES else made
    return made


def _make(place: Path, key: bytes) -> None:
    """Create the key file in one step; a second process takes the key of the first. Raises OSError."""
    temporary = place.with_name(f"{place.name}-{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def keyed(key: bytes) -> Callable[[str], str]:
    """Return a signature as the history stores it: `KEY:DIGEST`, where KEY identifies the key."""
    which = blake2b(b"", key=key, digest_size=4).hexdigest()
    known = {UNREADABLE: UNREADABLE}

    def keep(signature: str) -> str:
        if signature not in known:
            known[signature] = f"{which}:{blake2b(signature.encode(), key=key, digest_size=8).hexdigest()}"
        return known[signature]

    return keep

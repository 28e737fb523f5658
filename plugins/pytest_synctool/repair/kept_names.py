"""Names under which old versions are kept beside the new ones: NAME.saved, or shorter where that is too long a name.

Pure: this module contacts no node.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final

from pytest_synctool.common.shell import quote
from pytest_synctool.repository.entry import Entry

LONGEST_NAME: Final = 255  # bytes; Linux has no longer ones
_SUFFIX: Final = b".saved"
_DIGITS: Final = 12


def kept_name(name: bytes) -> bytes:
    """Return the name of the old version of a file: of a long name only the beginning, with digits of its digest."""
    if len(name) + len(_SUFFIX) <= LONGEST_NAME:
        return name + _SUFFIX
    digits = hashlib.md5(name, usedforsecurity=False).hexdigest()[:_DIGITS].encode()
    return _cut(name, LONGEST_NAME - len(_SUFFIX) - _DIGITS - 1) + b"." + digits + _SUFFIX


def kept_path(path: bytes) -> bytes:
    """Return the path of the old version of a file beside the new one."""
    directory, name = os.path.split(path)
    return os.path.join(directory, kept_name(name))


def reserved(entries: Iterable[Entry]) -> frozenset[bytes]:
    """Return the paths in entries that an old version could take the place of."""
    return frozenset(entry.destination for entry in entries if entry.destination.endswith(_SUFFIX))


def _cut(name: bytes, length: int) -> bytes:
    """Return the beginning of a name; no character is cut, as some file systems refuse what is no UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return name[:length]
    return name[:length].decode(errors="ignore").encode()


def naming(names: Iterable[bytes]) -> Iterator[bytes]:
    """Return the shell function that knows the names of old versions, if any of these names is too long for .saved."""
    long = [name for name in names if len(name) + len(_SUFFIX) > LONGEST_NAME]
    if long:
        cases = b"\n".join(b"%s) b=%s ;;" % (quote(name), quote(kept_name(name))) for name in long)
        yield b"kept_name() { case $1 in\n%s\n*) b=$1.saved ;; esac; }" % cases

"""Report files: written under a temporary name and renamed, so that no reader sees half a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, chunks: Iterable[str]) -> None:
    """Replace a file by these texts and create the directories above it. Raises OSError; the old file then stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path) as temporary,
        open(temporary, "x", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` at the end, or remove it after an exception."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

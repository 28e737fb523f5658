"""Report files: each is replaced as a whole, so that no reader sees half a file.

A new one can be read by its owner only. If all users can read the masterdir, then all can read the reports, as far as
the umask allows. A file that is replaced leaves its mode and group to the new one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pytest_synctool.common.replacing import PUBLIC, SECRET, replacing, temporary_name
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import follow_named, is_descriptor, open_named

_READ_AND_ENTERED_BY_ALL: Final = stat.S_IROTH | stat.S_IXOTH


def directory_of(configuration: Path) -> Path:
    """Return the directory of the history of a cluster where no other is named: `reports` beside its configuration."""
    return configuration.parent / "reports"


def mode_for(masterdir: Path) -> int:
    """Return the mode of new reports about a masterdir."""
    try:
        place = masterdir.resolve()
        entered = all(each.stat().st_mode & stat.S_IXOTH for each in place.parents)
        read = place.stat().st_mode & _READ_AND_ENTERED_BY_ALL == _READ_AND_ENTERED_BY_ALL
    except OSError:
        return SECRET
    return PUBLIC if entered and read else SECRET


def write(path: Path, chunks: Iterable[str], mode: int = SECRET, like: Path | None = None) -> None:
    """Replace a file by these texts and create the directories above it. Raises OSError; the old file then stays.

    The file takes over the mode and group of `like`, by default those of the file that it replaces.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path, mode, like or path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def write_named(path: str, chunks: Iterable[str], trust: Trust, mode: int) -> None:
    """Write the file that the user has named: replace a regular one, and write into a pipe or a device.

    Raises OSError.
    """
    place = Path(follow_named(path, trust))
    if not is_descriptor(place) and (place.is_file() or not os.path.lexists(place)):
        write(place, chunks, mode)
        return
    with open(
        open_named(path, os.O_WRONLY, trust, mode), "w", encoding="utf-8", errors="backslashreplace", newline="\n"
    ) as file:
        file.writelines(chunks)


def publish(path: Path, place: Path) -> None:
    """Replace `place` by a file that stays where it is: by a second name of it, or by a copy. Raises OSError."""
    temporary = temporary_name(place)
    try:
        os.link(path, temporary, follow_symlinks=False)
    except OSError:  # a file system without hard links
        with replacing(place, like=place) as copy:
            shutil.copyfile(path, copy)
            shutil.copymode(path, copy)
        return
    try:
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)

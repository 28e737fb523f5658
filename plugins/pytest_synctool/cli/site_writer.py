"""A writer of a new site: all files are made in a directory beside it, and then linked into place, or none is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError

_STAGE: Final = ".synctool-init-"
_OVERLAY: Final = "masterdir/overlay/*"
_MOST_NAMES: Final = 5  # in a message
# Directories of a site that may exist before it, since other files may be in them.
_SHARED: Final = (".", ".github", ".github/workflows", "automation")
# A site has these files or directories, and a directory with one of them is a site already.
_OWN: Final = ("synctool.conf", "synctool.yaml", "masterdir")


def check_free(directory: Path, names: Iterable[str]) -> None:
    """Raise RepositoryError if a directory is none, or has one of these files, or is a site already."""
    shown = printable(os.fsencode(directory))
    if os.path.lexists(directory) and not directory.is_dir():
        raise RepositoryError(f"{shown} is not a directory: name another path")
    present = [name for name in dict.fromkeys((*_OWN, *names)) if os.path.lexists(directory / name)]
    if present:
        more = f" and {len(present) - _MOST_NAMES} more" if len(present) > _MOST_NAMES else ""
        names = ", ".join(present[:_MOST_NAMES]) + more
        raise RepositoryError(f"{shown} already has {names}, and nothing is overwritten: name another directory")


@contextmanager
def stage_beside(directory: Path) -> Iterator[Path]:
    """Make a directory for the parts of a new site, on the file system of `directory`, and remove it afterwards."""
    above = directory if directory.is_dir() else directory.parent
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=above))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write(stage: Path, files: Mapping[str, str]) -> None:
    """Write files below a stage, and an overlay/, readable for everybody as far as the umask allows."""
    above = {parent for name in (*files, _OVERLAY) for parent in Path(name).parents}
    for parent in sorted(above, key=lambda path: len(path.parts))[1:]:
        (stage / parent).mkdir(mode=0o755)
    for name, text in files.items():
        path = stage / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(text)


def publish(stage: Path, directory: Path) -> None:
    """Link all files of a stage to their places below `directory`, which is made if it does not exist.

    No file is replaced. If one cannot be placed, those before it are taken away again. Raises OSError.
    """
    made: list[Path] = []
    try:
        for path in (stage, *sorted(stage.rglob("*"))):
            relative = path.relative_to(stage)
            if path.name.startswith(".synctool-") and path != stage:
                continue  # the lock of an upload
            target = directory / relative
            if path.is_symlink() or not path.is_dir():
                os.link(path, target, follow_symlinks=False)
            elif str(relative) in _SHARED and target.is_dir():
                continue
            else:
                target.mkdir(mode=0o755)
                if path != stage:
                    target.chmod(path.stat().st_mode & 0o777)
            made.append(target)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        raise

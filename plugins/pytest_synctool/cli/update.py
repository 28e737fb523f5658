"""`synctool --check-update` and `--download`: the latest release, from wherever pip gets packages here."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_synctool import __version__
from pytest_synctool.cli import common
from pytest_synctool.cli.pip_output import NAME, compared, is_wheel, latest, reason

# pip asks nobody, and does not try for long.
_PIP: Final = ("-P", "-m", "pip", "--no-input", "--disable-pip-version-check", "--no-color", "--retries=1")


class _PipError(Exception):
    """pip has failed; the message says why."""


def run(arguments: Namespace) -> int:
    """Look for a newer version, or download the latest. The status is 1 if that was not possible."""
    try:
        if arguments.check_update:
            _check(arguments)
        else:
            _download(Path(arguments.download), arguments)
    except _PipError as error:
        common.complain([f"synctool: {error}"])
        return common.NOT_FOUND
    return common.OK


def _check(arguments: Namespace) -> None:
    found = latest(_pip(("index", "versions", NAME), arguments))
    if found is None:
        raise _PipError("pip names no version: is it too old for `pip index versions`?")
    for line in compared(__version__, found):
        print(line)


def _download(directory: Path, arguments: Namespace) -> None:
    # In the same directory, so that the file is there whole or not at all.
    with tempfile.TemporaryDirectory(prefix=".synctool-download-", dir=directory) as temporary:
        # A wheel is not run to be looked at, as a source archive would be. pip checks what comes against the index.
        _pip(
            ("download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--dest", temporary, NAME), arguments
        )
        names = [each.name for each in Path(temporary).iterdir()]
        if not is_wheel(names):
            raise _PipError(f"what came is not a wheel of {NAME}: {', '.join(names) or 'nothing'}")
        come, target = Path(temporary, names[0]), directory / names[0]
        digest = _sha256(come)
        try:
            target.hardlink_to(come)
        except FileExistsError:
            if not target.is_file() or _sha256(target) != digest:
                raise _PipError(f"{target} is there already, and is another file: nothing was changed") from None
            print(f"{target} is there already, and is the same")
        else:
            print(f"{target} downloaded")
    print(f"sha256 {digest}")
    print(f"to install it: pip install {target if target.is_absolute() else f'./{target}'}")


def _pip(words: Sequence[str], arguments: Namespace) -> str:
    """The output of a pip command. Raises _PipError where it fails."""
    command = [sys.executable, *_PIP, f"--timeout={arguments.connect_timeout}", *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=arguments.timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise _PipError(f"the package index has not answered within {arguments.timeout} s") from None
    if done.returncode != 0:
        raise _PipError(reason(done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8", "replace")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

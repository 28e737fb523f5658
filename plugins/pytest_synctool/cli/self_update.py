"""`synctool --check-update` and `--download`: the latest release, from the package index that pip is set up for."""

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
from pytest_synctool.cli import command
from pytest_synctool.cli.pip_output import NAME, comparison, failure, is_wheel, latest

# pip prompts for nothing, and gives up soon.
_PIP: Final = ("-P", "-m", "pip", "--no-input", "--disable-pip-version-check", "--no-color", "--retries=1")


class _PipError(Exception):
    """A failure of pip; the message is the reason."""


def run(arguments: Namespace) -> int:
    """Report a newer version, or download the latest. Return 0, or 1 if pip fails."""
    try:
        if arguments.check_update:
            _check(arguments)
        else:
            _download(Path(arguments.download), arguments)
    except _PipError as error:
        command.print_stderr([f"synctool: {error}"])
        return command.NOT_FOUND
    return command.OK


def _check(arguments: Namespace) -> None:
    release = latest(_pip(("index", "versions", NAME), arguments))
    if release is None:
        raise _PipError("pip lists no version: is it too old for `pip index versions`?")
    for line in comparison(__version__, release):
        print(line)


def _download(directory: Path, arguments: Namespace) -> None:
    # A hard link from the same file system makes the complete file appear at once.
    with tempfile.TemporaryDirectory(prefix=".synctool-download-", dir=directory) as temporary:
        # pip would run a source archive to inspect it. It checks a wheel against the digest in the index.
        _pip(
            ("download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--dest", temporary, NAME), arguments
        )
        names = [each.name for each in Path(temporary).iterdir()]
        if not is_wheel(names):
            raise _PipError(f"pip downloaded no wheel of {NAME}, but {', '.join(names) or 'nothing'}")
        downloaded, target = Path(temporary, names[0]), directory / names[0]
        digest = _sha256(downloaded)
        try:
            target.hardlink_to(downloaded)
        except FileExistsError:
            if not target.is_file() or _sha256(target) != digest:
                raise _PipError(f"{target} exists already with other content: nothing was changed") from None
            print(f"{target} exists already with the same content")
        else:
            print(f"{target} downloaded")
    print(f"sha256 {digest}")
    print(f"to install it: pip install {target if target.is_absolute() else f'./{target}'}")


def _pip(words: Sequence[str], arguments: Namespace) -> str:
    """Run a pip command and return its output. Raise _PipError if it fails."""
    command = [sys.executable, *_PIP, f"--timeout={arguments.connect_timeout}", *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=arguments.timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise _PipError(f"the package index did not answer within {arguments.timeout} s") from None
    if done.returncode != 0:
        raise _PipError(failure(done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8", "replace")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The revision of a masterdir that is kept in git: the commit, and whether files differ from it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import resolve
from pytest_synctool.errors import TrustError
from pytest_synctool.model import Revision

_PATIENCE: Final = 2.0  # seconds at the end of a run; git has begun with the run
_MOST: Final = 64 << 10  # bytes: the headers, and at least one file that differs
_COMMIT: Final = re.compile(rb"# branch\.oid ([0-9a-f]{40,64})")
_OURS: Final = ":(exclude).synctool*"  # the lock of a repair


def parsed(status: bytes) -> Revision | None:
    """Return the revision in the output of `git status --porcelain=v2 --branch`; None if there is no commit yet."""
    lines = status.split(b"\n")
    commit = next((match[1].decode() for line in lines if (match := _COMMIT.fullmatch(line))), None)
    return None if commit is None else Revision(commit, any(line and not line.startswith(b"#") for line in lines))


class RevisionLook:
    """A look at the revision, which goes on while the run does. An account that is not trusted decides nothing.

    The revision is unknown without git, outside of a repository, and if git cannot answer in time.
    """

    def __init__(self, masterdir: Path, trust: Trust) -> None:
        self._output: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError, TrustError):
            top = repository_of(masterdir)
            if top is not None:
                check_trust(top, trust)
                self._begin(masterdir, top)

    def _begin(self, masterdir: Path, top: Path) -> None:
        command = git_command(masterdir, top)
        command += ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".", _OURS]
        with ExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryFile())  # a pipe might fill before anybody reads it
            self._process = subprocess.Popen(
                command,
                env=git_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._output = output
            stack.pop_all()

    def result(self) -> Revision | None:
        """Return the revision; None if it is unknown."""
        if self._output is None or self._process is None:
            return None
        with self._output as output:
            try:
                status = self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                return None
            output.seek(0)
            return parsed(output.read(_MOST)) if status == 0 else None


def check_trust(top: Path, trust: Trust) -> None:
    """Raise TrustError if an account that is not trusted can decide what git runs there, and OSError."""
    for name in ("", ".git", ".git/config"):
        resolve(top / name, trust)


def git_command(directory: Path, top: Path) -> list[str]:
    """Return the words that begin a command of git in a directory of a repository whose owner is trusted."""
    options = [f"safe.directory={top}", "core.fsmonitor=false", f"core.hooksPath={os.devnull}"]
    return ["git", "-C", str(directory), "--no-optional-locks", *(w for each in options for w in ("-c", each))]


def git_environment() -> dict[str, str]:
    """Return the environment without what leads git to another repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def repository_of(masterdir: Path) -> Path | None:
    """Return the nearest directory with a `.git`, from the masterdir up."""
    place = masterdir.resolve()
    return next((each for each in (place, *place.parents) if (each / ".git").exists()), None)

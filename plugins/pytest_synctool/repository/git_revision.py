"""A revision of the masterdir in git, written to a directory of its own as a checkout would have it.

git keeps neither owners nor modes, beside the executable bit, and no empty directories. Where a revision does not
differ from the working tree in what git keeps, it has the rest from there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool.common.accounts import group_name, owner_name
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.revision import check_trust, git_command, git_environment, repository_of
from pytest_synctool.repository.source import Source, kind_of

_EXECUTABLE: Final = 0o100
_SUBMODULE: Final = b"160000"
_UMASK: Final = 0o022


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the working tree at `top`, by its object name."""

    top: Path
    commit: str

    @classmethod
    def find(cls, directory: Path, name: str, trust: Trust) -> Commit:
        """Return the commit that a name means in the working tree of a directory.

        Raises RepositoryError, and TrustError if accounts that are not trusted decide what git runs there.
        """
        top = repository_of(directory)
        if top is None:
            raise RepositoryError(
                f"{printable(os.fsencode(name))} is no file, and {directory} is not in a git repository"
            )
        try:
            check_trust(top, trust)
        except OSError as error:
            raise RepositoryError(f"{error.filename}: {error.strerror}") from error
        try:
            commit = _git(top, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        except RepositoryError as error:
            raise RepositoryError(
                f"{printable(os.fsencode(name))} is neither a file nor a commit that git has here; a shallow clone has "
                f"only the last ones ({error})"
            ) from error
        return cls(top, commit.decode("ascii", "replace").strip())

    def place_of(self, path: Path) -> Path | None:
        """Return the path below the top of a file of the working tree, or None if the revision does not have it."""
        place = _below(path.parent, self.top)
        if place is None:
            return None
        with suppress(RepositoryError):
            _git(self.top, "cat-file", "-e", f"{self.commit}:{place / path.name}")
            return place / path.name
        return None

    def write(self, target: Path, masterdir: Path) -> Path:
        """Write all files of the revision below a new directory, and return the path of the masterdir there.

        Empty directories are those that the masterdir has now. Raises RepositoryError.
        """
        place = _below(masterdir, self.top)
        if place is None:
            raise RepositoryError(f"{masterdir} is not in the working tree {self.top}")
        above = b"" if place == Path() else os.fsencode(place) + b"/"
        for line in _git(self.top, "ls-tree", "-r", "-z", "--full-tree", self.commit).split(b"\0"):
            path = line.partition(b"\t")[2]
            if line.startswith(_SUBMODULE) and path.startswith(above):
                raise RepositoryError(
                    f"{printable(path)} is a submodule of git: its contents at a revision are unknown"
                )
        target.mkdir()
        index = {"GIT_INDEX_FILE": str(target.with_name(f"{target.name}.index"))}
        _git(self.top, "read-tree", self.commit, more=index)
        _git(self.top, "checkout-index", "--all", "--force", f"--prefix={target}/", more=index)
        _make_empty_directories(masterdir, target / place)
        return target / place


def _below(directory: Path, top: Path) -> Path | None:
    """Return the path of a directory below the top of a working tree, or None. Links may lead to it."""
    resolved = directory.resolve()
    return resolved.relative_to(top) if resolved.is_relative_to(top) else None


def _git(top: Path, *words: str, more: Mapping[str, str] | None = None) -> bytes:
    """Run git at the top of a working tree and return its output. Raises RepositoryError with git's own words."""
    command = [*git_command(top, top), "-c", "core.sparseCheckout=false", *words]
    environment = {**git_environment(), **(more or {})}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, umask=_UMASK
        )
    except (OSError, ValueError) as error:  # a name with a NUL byte
        raise RepositoryError(f"git: {getattr(error, 'strerror', None) or error}") from error
    if done.returncode:
        reason = node_text((done.stderr.strip().splitlines() or [b"no reason"])[0])
        raise RepositoryError(f"git {words[0]}: {reason}")
    return done.stdout


def _make_empty_directories(masterdir: Path, copy: Path) -> None:
    for directory, directories, files in os.walk(masterdir):
        if not directories and not files:
            with suppress(OSError):  # a file of the revision is in its place
                (copy / Path(directory).relative_to(masterdir)).mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True)
class AsCheckedOut:
    """The states of sources of a revision, with the owners and modes that the working tree at `masterdir` has."""

    masterdir: Path

    def __call__(self, source: Source) -> FileState:
        """Return the state of a source. Raises RepositoryError if it cannot be read."""
        state = source.expected
        try:
            status = os.lstat(os.path.join(os.fsencode(self.masterdir), source.relative))
        except OSError:
            return state
        if kind_of(status.st_mode) is not state.kind:
            return state
        same = state.kind is not Kind.FILE or not (status.st_mode ^ state.mode) & _EXECUTABLE
        uid, gid = status.st_uid, status.st_gid
        mode = status.st_mode & 0o7777 if same else state.mode
        return replace(state, mode=mode, uid=uid, gid=gid, owner=owner_name(uid), group=group_name(gid))

"""Connections that stay open: where ssh's control sockets are kept, and whether ssh is asked to make any."""

from __future__ import annotations

import glob
import hashlib
import os
import pwd
import re
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from pytest_synctool.connection.route import Route
from pytest_synctool.errors import TransportError

_NAME: Final = "synctool-ssh"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.+-]+")  # what ssh takes as it is
# A socket's name has at most 107 bytes on Linux; ssh puts 17 more behind it while it makes one, ours has 20.
_LONGEST: Final = 107 - 17 - 21
_CONTROL: Final = re.compile(r"control(master|path|persist)\b", re.IGNORECASE)
_CONTROL_LETTERS: Final = re.compile(r"-[A-Za-z0-9]*M|-S")
_INCLUDE: Final = re.compile(r"include[ \t=]+(.*)", re.IGNORECASE)
SYSTEM_DIRECTORY: Final = Path("/etc/ssh")
_DEEPEST: Final = 16  # as ssh itself does


class Sockets:
    """Control sockets in a directory that nobody else can look into.

    A socket's name is made from the ssh command line and the address, so a connection is used only for what it was
    opened for.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Sockets:
        """Those in this user's directory for what lives as long as the login, or else as the machine runs."""
        user = os.geteuid()
        given = environment.get("XDG_RUNTIME_DIR", "")
        for place in (given, f"/run/user/{user}", *(("/run",) if user == 0 else ())):
            if _fits(place) and _is_own(place):
                return cls(Path(place, _NAME))
        return cls(Path("/tmp", f"{_NAME}-{user}"))

    @classmethod
    def of_run(cls) -> Sockets | None:
        """Those in a directory of their own, for close() to remove; None where there is no place for one."""
        import tempfile  # dsh, which has to be there at once, does without

        directory = tempfile.mkdtemp(prefix="synctool-")
        if _fits(directory):
            return cls(Path(directory))
        Path(directory).rmdir()
        return None

    def prepare(self) -> None:
        """Make the directory where it is missing.

        Raises TransportError if it is not this user's alone, or cannot take a socket: ssh does not go on without.
        """
        try:
            with suppress(FileExistsError):
                self.directory.mkdir(mode=0o700)
        except OSError as error:
            raise TransportError(f"{self.directory} cannot be made: {error.strerror}") from error
        if not self.is_private():
            raise TransportError(f"{self.directory} is not a directory of this user alone: remove it")
        trial = self.directory / f"trial{os.getpid()}"
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(os.fspath(trial))
            trial.unlink()
        except OSError as error:
            raise TransportError(f"{self.directory} takes no socket: {error.strerror or error}") from error

    def path(self, route: Route) -> Path:
        """Return the path of the socket for the connection of an ssh route."""
        kept = (word for word in route.program if not word.startswith("ConnectTimeout="))
        words = "\0".join((*kept, route.host))
        return self.directory / hashlib.sha256(os.fsencode(words)).hexdigest()[:20]

    def is_private(self) -> bool:
        """Whether the directory is there, and this user's alone."""
        try:
            found = os.lstat(self.directory)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077

    def close(self) -> None:
        """Remove the directory."""
        import shutil

        shutil.rmtree(self.directory, ignore_errors=True)


def is_open(path: str | Path) -> bool:
    """Whether somebody listens at a socket. One that is left over is removed."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return False
        except OSError:  # mostly there is none
            return False
    return True


def _fits(place: str) -> bool:
    return _PLAIN.fullmatch(place) is not None and len(place) < _LONGEST - len(_NAME)


def _is_own(place: str) -> bool:
    """Whether a directory is this user's, and nobody else can put another one in the place of what is in it."""
    try:
        found = Path(place).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def is_sharing_configured(command: Sequence[str], config_file: str | None = None) -> bool:
    """Whether a call of ssh, or the configuration that it reads, says itself how connections are shared.

    Then that is left to it, even where it is said for other hosts only.
    """
    if any(_CONTROL_LETTERS.match(word) or _CONTROL.search(word) for word in command[1:]):
        return True
    given = [*_files_named(command), *([config_file] if config_file else [])]
    home = user_directory()
    if given:
        return _mentions(given[-1], home)
    return _mentions(home / "config", home) or _mentions(SYSTEM_DIRECTORY / "ssh_config", SYSTEM_DIRECTORY)


def user_directory() -> Path:
    """Where ssh looks for what is this user's; not by $HOME. Where the user has no name, ssh does not run at all."""
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir, ".ssh")
    except KeyError:
        return Path("/nonexistent")


def _files_named(command: Sequence[str]) -> Iterator[str]:
    for word, following in pairwise((*command[1:], "")):
        if word == "-F":
            yield following
        elif word.startswith("-F"):
            yield word[2:]


def _mentions(path: str | Path, base: Path, depth: int = 0) -> bool:
    """Whether a configuration of ssh, or what it includes, has a word about shared connections."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:  # not there, or not for us: then ssh does not read it either
        return False
    for line in map(str.strip, lines):
        if _CONTROL.match(line):
            return True
        if depth < _DEEPEST and (include := _INCLUDE.match(line)):
            for word in include[1].replace('"', " ").split():
                pattern = str(base / Path(word).expanduser())
                if any(_mentions(name, base, depth + 1) for name in glob.iglob(pattern)):  # noqa: PTH207  # absolute
                    return True
    return False

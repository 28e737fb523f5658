"""Control sockets of ssh connections that stay open: their directory, their names, and who else shares connections."""

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

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import read_regular, resolve
from pytest_synctool.connection.route import Route
from pytest_synctool.errors import TransportError, TrustError

SYSTEM_DIRECTORY: Final = Path("/etc/ssh")

_NAME: Final = "synctool-ssh"
_SAFE_PATH: Final = re.compile(r"[A-Za-z0-9/_.+-]+")  # ssh expands or splits other characters
# A socket's name has at most 107 bytes on Linux. ssh appends 17 while it makes a socket, and we append 21.
_LONGEST: Final = 107 - 17 - 21
_CONTROL: Final = re.compile(r"control(master|path|persist)\b", re.IGNORECASE)
_CONTROL_LETTERS: Final = re.compile(r"-[A-Za-z0-9]*M|-S")
_INCLUDE: Final = re.compile(r"include[ \t=]+(.*)", re.IGNORECASE)
_MOST_OF_CONFIG: Final = 16 << 20  # bytes
_DEEPEST: Final = 16  # nested Include lines; ssh has the same limit


class Sockets:
    """The control sockets in a directory that no other user can read or change.

    The name of a socket depends on the ssh command line and the address. So a connection is never used for another
    command line or address.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Sockets:
        """Return the sockets that outlive a run.

        Their directory lies in the user's runtime directory, which exists until logout, or else in /run or /tmp.
        """
        user = os.geteuid()
        runtime = environment.get("XDG_RUNTIME_DIR", "")
        for place in (runtime, f"/run/user/{user}", *(("/run",) if user == 0 else ())):
            if _fits(place) and _is_own(place):
                return cls(Path(place, _NAME))
        return cls(Path("/tmp", f"{_NAME}-{user}"))

    @classmethod
    def of_run(cls) -> Sockets | None:
        """Return the sockets of one run in a new directory, or None if its name is unusable. close() removes it."""
        import tempfile  # slow to import, and dsh must start fast

        directory = tempfile.mkdtemp(prefix="synctool-")
        if _fits(directory):
            return cls(Path(directory))
        Path(directory).rmdir()
        return None

    def prepare(self) -> None:
        """Make the directory if it does not exist.

        Raise TransportError if other users can read or change it, or if it takes no socket: ssh would fail then.
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
            with socket.socket(socket.AF_UNIX) as unix_socket:
                unix_socket.bind(os.fspath(trial))
            trial.unlink()
        except OSError as error:
            raise TransportError(f"{self.directory} takes no socket: {error.strerror or error}") from error

    def path(self, route: Route) -> Path:
        """Return the path of the socket for the connection of an ssh route."""
        kept = (word for word in route.program if not word.startswith("ConnectTimeout="))
        words = "\0".join((*kept, route.host))
        return self.directory / hashlib.sha256(os.fsencode(words)).hexdigest()[:20]

    def is_private(self) -> bool:
        """Return True if the directory exists and only this user can read or change it."""
        try:
            status = os.lstat(self.directory)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077

    def close(self) -> None:
        """Remove the directory."""
        import shutil

        shutil.rmtree(self.directory, ignore_errors=True)


def is_open(path: str | Path) -> bool:
    """Return True if a process listens at a socket. Remove a socket that an ended process has left."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return False
        except OSError:  # in most cases there is no socket
            return False
    return True


def _fits(place: str) -> bool:
    """Return True if ssh can use the path of a directory for sockets."""
    return _SAFE_PATH.fullmatch(place) is not None and len(place) < _LONGEST - len(_NAME)


def _is_own(place: str) -> bool:
    """Return True if a directory belongs to this user, and nobody else can replace it or the entries in it."""
    try:
        _, status = resolve(Path(place), Trust.of_caller(environment={}))
    except (OSError, TrustError):
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def is_sharing_configured(command: Sequence[str], config_file: str | None = None) -> bool:
    """Return True if an ssh command line, or the configuration that it reads, sets options for shared connections.

    Options for other hosts count, too: connections are then shared by ssh alone.
    """
    if any(_CONTROL_LETTERS.match(word) or _CONTROL.search(word) for word in command[1:]):
        return True
    files = [*config_files(command), *([config_file] if config_file else [])]
    home = user_directory()
    if files:
        return _sets_sharing(files[-1], home)
    return _sets_sharing(home / "config", home) or _sets_sharing(SYSTEM_DIRECTORY / "ssh_config", SYSTEM_DIRECTORY)


def user_directory() -> Path:
    """Return the directory of the user's ssh files. Like ssh, ignore $HOME.

    A user without a name gets a path that does not exist: ssh does not run at all for that user.
    """
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir, ".ssh")
    except KeyError:
        return Path("/nonexistent")


def config_files(command: Sequence[str]) -> Iterator[str]:
    """Return the arguments of -F in an ssh command line."""
    for word, following in pairwise((*command[1:], "")):
        if word == "-F":
            yield following
        elif word.startswith("-F"):
            yield word[2:]


def _sets_sharing(path: str | Path, base: Path, depth: int = 0) -> bool:
    """Return True if an ssh configuration, or a file that it includes, sets an option for shared connections."""
    try:
        lines = read_regular(path, _MOST_OF_CONFIG).decode(errors="replace").splitlines()
    except OSError:  # ssh cannot read it either
        return False
    for line in map(str.strip, lines):
        if _CONTROL.match(line):
            return True
        if depth < _DEEPEST and (include := _INCLUDE.match(line)):
            for word in include[1].replace('"', " ").split():
                pattern = str(base / Path(word).expanduser())
                names = glob.iglob(pattern)  # noqa: PTH207  # Path.glob() refuses absolute patterns
                if any(_sets_sharing(name, base, depth + 1) for name in names):
                    return True
    return False

"""Connections that stay open: where ssh's control sockets are kept, and how they are used."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_synctool.dsh.reach import Reach
from pytest_synctool.errors import TransportError

_NAME: Final = "synctool-ssh"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.+-]+")  # what ssh takes as it is
# A socket's name has at most 107 bytes on Linux; ssh puts 17 more behind it while it makes one, ours has 20.
_LONGEST: Final = 107 - 17 - 21


class Sockets:
    """The control sockets of one user, in a directory that nobody else can look into.

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
            if _PLAIN.fullmatch(place) and len(place) < _LONGEST - len(_NAME) and _is_own(place):
                return cls(Path(place, _NAME))
        return cls(Path("/tmp", f"{_NAME}-{user}"))

    def prepare(self) -> None:
        """Make the directory where it is missing. Raises TransportError if it is not this user's alone."""
        try:
            with suppress(FileExistsError):
                self.directory.mkdir(mode=0o700)
        except OSError as error:
            raise TransportError(f"{self.directory} cannot be made: {error.strerror}") from error
        if not self._is_private():
            raise TransportError(f"{self.directory} is not a directory of this user alone: remove it")

    def path(self, reach: Reach) -> Path:
        """The socket of a connection."""
        words = "\0".join((*(word for word in reach.shell if not word.startswith("ConnectTimeout=")), reach.host))
        return self.directory / hashlib.sha256(os.fsencode(words)).hexdigest()[:20]

    def is_open(self, reach: Reach) -> bool:
        """Whether somebody listens at the socket of a connection. One that is left over is removed."""
        if not (reach.is_ssh and self._is_private()):
            return False
        path = self.path(reach)
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
                return False
            except OSError:  # mostly there is none
                return False
        return True

    def through(self, reach: Reach, *options: str) -> Reach:
        """The same way over the socket, with other options of ssh."""
        words = [word for option in (f"ControlPath={self.path(reach)}", *options) for word in ("-o", option)]
        return replace(reach, shell=(*reach.shell, *words))

    def use(self, reach: Reach) -> Reach:
        """The way over a connection that is open, or else the way itself."""
        return self.through(reach) if self.is_open(reach) else reach

    def opening(self, reach: Reach, persist: str) -> Reach:
        """The way that leaves a connection open behind it, for `persist` after its last use, as ssh_config writes it.

        One whose node does not answer any more ends by itself, so that nobody waits for it forever.
        """
        return self.through(reach, "ControlMaster=auto", f"ControlPersist={persist}", "ServerAliveInterval=15")

    def control(self, reach: Reach, word: str) -> Sequence[str]:
        """What to run to say `check`, `stop` or `exit` to a connection."""
        return [*self.through(reach).shell, "-O", word, "--", reach.host]

    def _is_private(self) -> bool:
        try:
            found = os.lstat(self.directory)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _is_own(place: str) -> bool:
    """Whether a directory is this user's, and nobody else can put another one in the place of what is in it."""
    try:
        found = Path(place).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022

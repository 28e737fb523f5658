"""Trust in files: a run obeys a file only if nobody but trusted accounts can change it.

Trusted are root, the caller, under sudo the user who called it, and the accounts that the caller names.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.accounts import group_id, group_name, only_member, owner_name, user_id
from pytest_synctool.errors import ConfigError

OPTION: Final = "--trust-owner"
VARIABLE: Final = "SYNCTOOL_TRUST"
HELP: Final = (
    "obey the configuration and the masterdir also where they belong to the account NAME, or where the members of the "
    "group :GROUP may write (default: only root's and your own files; $SYNCTOOL_TRUST adds names); can be repeated"
)

_NUMBER: Final = re.compile(r"[0-9]{1,10}")  # an id has 32 bits

OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
"""The bits of a mode that let accounts other than the owner write."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The ids of the trusted accounts, and of the groups whose members are trusted.

    With `everybody`, nothing has a fault.
    """

    uids: frozenset[int]
    gids: frozenset[int] = frozenset()
    everybody: bool = False

    @classmethod
    def of_caller(cls, names: Iterable[str] = (), environment: Mapping[str, str] = os.environ) -> Trust:
        """Return the trust of this process. `names` are accounts, or groups spelled `:GROUP`; both can be numbers.

        Raises ConfigError for an unknown name.
        """
        uids, gids = {0, os.geteuid()}, set[int]()
        sudo = environment.get("SUDO_UID", "")
        if os.geteuid() == 0 and _NUMBER.fullmatch(sudo):
            uids.add(int(sudo))
        for origin, name in _named(names, environment):
            account = _id(name)
            if account is None:
                kind = "group" if name.startswith(":") else "account"
                raise ConfigError(f"{origin}: there is no {kind} '{name.removeprefix(':')}' on this machine")
            (gids if name.startswith(":") else uids).add(account)
        return cls(frozenset(uids), frozenset(gids))

    def fault(self, status: os.stat_result, *, acl: bool = False) -> str | None:
        """Return the reason why a file, directory or link must not be obeyed, with the remedy; None if it may be.

        `acl` is True if its access control list, and not only its group, decides what the group bits mean. A sticky
        directory has no fault by its mode: each name in it is as good as the owner of that name.
        """
        if self.everybody:
            return None
        if status.st_uid not in self.uids:
            return _foreign(status.st_uid)
        mode = status.st_mode
        if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            return None
        if mode & stat.S_IWOTH:
            return f"everybody may write to it (mode {stat.S_IMODE(mode):04o}): chmod o-w"
        if mode & stat.S_IWGRP and (acl or not self._is_trusted_group(status.st_gid)):
            return _shared(status, acl=acl)
        return None

    def is_closed(self, status: os.stat_result) -> bool:
        """Return True for a directory that only trusted accounts can enter, by its mode: modes below do not matter."""
        mode = status.st_mode
        if not stat.S_ISDIR(mode) or status.st_uid not in self.uids or mode & (stat.S_IXOTH | stat.S_IWOTH):
            return False
        return not mode & stat.S_IRWXG or self._is_trusted_group(status.st_gid)

    def _is_trusted_group(self, gid: int) -> bool:
        return gid in self.gids or only_member(gid) in self.uids


EVERYBODY: Final = Trust(frozenset(), everybody=True)
"""The trust of lint, which contacts nobody and reports what others can change."""


def _named(names: Iterable[str], environment: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield each name with its origin."""
    yield from ((OPTION, name) for name in names)
    yield from ((f"${VARIABLE}", name) for name in re.split(r"[,\s]+", environment.get(VARIABLE, "")) if name)


def _id(name: str) -> int | None:
    """Return the id of an account, or of a group spelled `:GROUP`; None if there is none."""
    plain = name.removeprefix(":")
    account = (group_id if name.startswith(":") else user_id)(plain)
    if account is None and _NUMBER.fullmatch(plain):
        return int(plain)
    return account


def _foreign(uid: int) -> str:
    name = owner_name(uid)
    shown = str(uid) if name is None else f"{name} (uid {uid})"
    known = " or yours" if os.geteuid() else ""
    word = str(uid) if name is None else name
    return (
        f"it belongs to {'uid ' if name is None else ''}{shown}, and is not root's{known}: change its owner, or trust "
        f"this one with {OPTION}={word} or {VARIABLE}={word}"
    )


def _shared(status: os.stat_result, *, acl: bool) -> str:
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if acl:
        return f"its access control list may let others write ({mode}): setfacl -b, or chmod g-w"
    word = group_name(status.st_gid) or str(status.st_gid)
    return (
        f"the group {word} may write to it ({mode}): chmod g-w, or trust all members of this group with "
        f"{OPTION}=:{word} or {VARIABLE}=:{word}"
    )

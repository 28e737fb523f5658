"""Names of users and groups on this machine."""

from __future__ import annotations

import grp
import os
import pwd
from functools import lru_cache


@lru_cache(maxsize=1024)
def owner_name(uid: int) -> str | None:
    """The name of a user id, or None where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str | None:
    """The name of a group id, or None where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def user_id(name: str) -> int | None:
    """The number of a user, or None where the name is unknown."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # ValueError for what no name can hold
        return None


@lru_cache(maxsize=1024)
def group_id(name: str) -> int | None:
    """The number of a group, or None where the name is unknown."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def user_name() -> str:
    """The name of the user that this process acts as, or the number where it has none."""
    return owner_name(os.geteuid()) or str(os.geteuid())

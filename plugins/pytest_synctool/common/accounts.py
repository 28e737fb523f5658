"""Names of users and groups on this machine."""

from __future__ import annotations

import grp
import os
import pwd
from functools import lru_cache


@lru_cache(maxsize=1024)
def owner_name(uid: int) -> str | None:
    """Return the name of a user id, or None if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str | None:
    """Return the name of a group id, or None if it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def user_id(name: str) -> int | None:
    """Return the id of a user, or None if the name is unknown."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # ValueError for a name with a null byte
        return None


@lru_cache(maxsize=1024)
def group_id(name: str) -> int | None:
    """Return the id of a group, or None if the name is unknown."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=1024)
def only_member(gid: int) -> int | None:
    """Return the id of the account whose private group this is, or None.

    A private group has the name of its account, is its primary group, and has no other members. A group without a name
    is that of the account with the same number: a container often knows neither.
    """
    uid = _namesake(gid)
    return None if any(each.pw_gid == gid and each.pw_uid != uid for each in pwd.getpwall()) else uid


def _namesake(gid: int) -> int | None:
    """Return the id of the account that has the name of a group, and no other members in it, or None."""
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return gid
    try:
        account = pwd.getpwnam(group.gr_name)
    except KeyError:
        return None
    return account.pw_uid if account.pw_gid == gid and not set(group.gr_mem) - {account.pw_name} else None


def user_name() -> str:
    """Return the name of the user that this process acts as, or the id if it has no name."""
    return owner_name(os.geteuid()) or str(os.geteuid())

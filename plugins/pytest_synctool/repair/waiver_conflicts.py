"""Drift that a repair leaves alone, because repairing it would change drift that a waiver accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_synctool.common.wording import printable
from pytest_synctool.repository.source import parents


def below_missing(missing: Iterable[bytes], waived: Mapping[bytes, str]) -> dict[bytes, str]:
    """Return the reason for each destination that stays missing: a directory above it is missing under a waiver.

    `waived` has the directories that are missing under a waiver, each with the waiver's place.
    """
    reasons: dict[bytes, str] = {}
    for path in missing:
        top = next((parent for parent in parents(path) if parent in waived), None)
        if top is not None:
            reasons[path] = f"{printable(top)} is missing, which {waived[top]} waives"
    return reasons


def behind_links(links: Iterable[bytes], waived: Mapping[bytes, str]) -> dict[bytes, str]:
    """Return the reason for each link that is not replaced by a directory: waived drift was found through the link.

    `waived` has the destinations with waived drift, each with the waiver's place.
    """
    reasons: dict[bytes, str] = {}
    for link in links:
        inner = next((path for path in waived if path.startswith(link + b"/")), None)
        if inner is not None:
            reasons[link] = f"{printable(inner)} is found through it, whose drift {waived[inner]} waives"
    return reasons

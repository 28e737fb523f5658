"""What a repair leaves alone, because putting it right would change what a waiver accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_synctool.common.wording import printable
from pytest_synctool.repository.source import parents


def below_missing(missing: Iterable[bytes], waived: Mapping[bytes, str]) -> dict[bytes, str]:
    """Why missing destinations stay so: a directory above is missing as well, under a waiver.

    `waived` has the directories that are missing under one, with its place.
    """
    found: dict[bytes, str] = {}
    for path in missing:
        top = next((parent for parent in parents(path) if parent in waived), None)
        if top is not None:
            found[path] = f"{printable(top)} is missing, which {waived[top]} waives"
    return found


def behind_links(links: Iterable[bytes], waived: Mapping[bytes, str]) -> dict[bytes, str]:
    """Why links do not give way to directories: what is found through them differs, under a waiver.

    `waived` has the destinations that differ under one, with its place.
    """
    found: dict[bytes, str] = {}
    for link in links:
        inner = next((path for path in waived if path.startswith(link + b"/")), None)
        if inner is not None:
            found[link] = f"{printable(inner)} is found through it, whose drift {waived[inner]} waives"
    return found

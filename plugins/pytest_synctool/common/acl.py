"""ACLs of files in the words of getfacl and setfacl: `user:anna:rw-,group:adm:r--`, named entries only.

The entries of the owner, the group and all others, and the mask that bounds the named ones, are those of the mode.
"""

from __future__ import annotations

import re
from typing import Final

NO_ACL: Final = "none"
_LONGEST: Final = 4000
_KINDS: Final = {"u": "user", "user": "user", "g": "group", "group": "group"}
_ENTRY: Final = re.compile(r"(u|user|g|group):([^:,\s]+):([r-]?[w-]?[x-]?)")
_OF_MODE: Final = re.compile(r"(?:user::|group::|mask::|other::)[r-][w-][x-]")


def canonical(text: str) -> str | None:
    """Return named entries in one form and order, `none` if there are none; or None for anything else."""
    text = text.strip()
    if text in ("", NO_ACL):
        return NO_ACL
    if len(text) > _LONGEST:
        return None
    entries = {}
    for word in text.split(","):
        match = _ENTRY.fullmatch(word.strip())
        if match is None or (_KINDS[match[1]], match[2]) in entries:
            return None
        permissions = "".join(letter if letter in match[3] else "-" for letter in "rwx")
        entries[_KINDS[match[1]], match[2]] = permissions
    return ",".join(f"{kind}:{name}:{entries[kind, name]}" for kind, name in sorted(entries))


def of_node(text: str) -> str | None:
    """Return the named entries among all that getfacl prints, separated by commas, or None if it printed else."""
    words = [word for word in text.split(",") if word]
    named = [word for word in words if _OF_MODE.fullmatch(word) is None]
    return canonical(",".join(named)) if len(words) > len(named) else None


def whole(named: str, mode: int) -> str:
    """Return all entries of a file with these named ones and this mode, as setfacl sets them at once."""
    bits = [_permissions(mode >> shift) for shift in (6, 3, 0)]
    if named == NO_ACL:
        return f"user::{bits[0]},group::{bits[1]},other::{bits[2]}"
    return f"user::{bits[0]},group::{bits[1]},mask::{bits[1]},other::{bits[2]},{named}"


def _permissions(bits: int) -> str:
    return "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))

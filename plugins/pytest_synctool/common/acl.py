"""ACLs in the words of getfacl and setfacl: `group::r-x,user:anna:rwx,default:user:anna:rwx`.

The entries of the owner and of all others, and the mask that bounds named ones and the group, are those of the mode. So
is the entry of the group, unless it is there. A directory has default entries for what is made in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

NO_ACL: Final = "none"
_LONGEST: Final = 4000
_KINDS: Final = {"u": "user", "g": "group", "m": "mask", "o": "other"}
_ENTRY: Final = re.compile(r"(d:|default:)?(?:(u|user|g|group):([^:,\s]*)|(m|mask|o|other):):([r-]?[w-]?[x-]?)")

_Key = tuple[bool, str, str]  # True for a default entry, the kind, the name or ""
_Entries = Mapping[_Key, str]
_USER, _GROUP, _MASK, _OTHER = ((False, kind, "") for kind in ("user", "group", "mask", "other"))


def canonical(text: str) -> str | None:
    """Return entries in one form and order, `none` if there are none; or None for anything else.

    Of the entries without a name that are no default ones, only that of the group may be there.
    """
    text = text.strip()
    if text in ("", NO_ACL):
        return NO_ACL
    entries = _parsed(text.split(",")) if len(text) <= _LONGEST else None
    return None if entries is None or {_USER, _MASK, _OTHER} & {*entries} else _joined(entries)


def _parsed(words: Iterable[str]) -> dict[_Key, str] | None:
    """Return entries, or None if a word is none or is there twice."""
    entries: dict[_Key, str] = {}
    for word in words:
        match = _ENTRY.fullmatch(word.strip())
        if match is None:
            return None
        key = match[1] is not None, _KINDS[(match[2] or match[4])[0]], match[3] or ""
        if key in entries:
            return None
        entries[key] = "".join(letter if letter in match[5] else "-" for letter in "rwx")
    return entries


def _joined(entries: _Entries) -> str:
    words = (f"{'default:' * key[0]}{key[1]}:{key[2]}:{entries[key]}" for key in sorted(entries))
    return ",".join(words) or NO_ACL


def of_mode(text: str, mode: int, *, is_directory: bool) -> str:
    """Return the canonical entries that a path of this mode has, if a rule has these.

    A group's entry that is like the mode's group bits needs no word. Default entries are those of directories; of them
    those that setfacl would add are there too.
    """
    entries = {} if text == NO_ACL else _parsed(text.split(",")) or {}
    user, group, other = _bits(mode)
    default = {key[1:]: entry for key, entry in entries.items() if key[0]} if is_directory else {}
    if default:
        default = {("user", ""): user, ("group", ""): entries.get(_GROUP, group), ("other", ""): other} | default
        if any(name for _, name in default):
            bounded = (entry for (kind, name), entry in default.items() if kind == "group" or name)
            default.setdefault(("mask", ""), _united(bounded))
    own = {key: entry for key, entry in entries.items() if not key[0] and (key, entry) != (_GROUP, group)}
    return _joined(own | {(True, *key): entry for key, entry in default.items()})


def _united(entries: Iterable[str]) -> str:
    seen = "".join(entries)
    return "".join(letter if letter in seen else "-" for letter in "rwx")


def of_node(text: str) -> str | None:
    """Return the entries that of_mode() would return, of all that getfacl prints, or None if it printed else."""
    entries = _parsed(word for word in text.split(",") if word)
    if entries is None or not {_USER, _GROUP, _OTHER} <= {*entries}:
        return None
    unsaid = {_USER, _MASK, _OTHER}
    if entries[_GROUP] == entries.get(_MASK, entries[_GROUP]):
        unsaid.add(_GROUP)
    return _joined({key: entry for key, entry in entries.items() if key not in unsaid})


def whole(text: str, mode: int) -> str:
    """Return all entries of a path with these canonical ones and this mode, as setfacl sets them at once."""
    entries = {} if text == NO_ACL else _parsed(text.split(",")) or {}
    user, group, other = _bits(mode)
    own = {key: entry for key, entry in entries.items() if not key[0]}
    has_mask = bool(own)
    words = [f"user::{user}", f"group::{own.pop(_GROUP, group)}", *([f"mask::{group}"] if has_mask else [])]
    words.append(f"other::{other}")
    rest = {key: entry for key, entry in entries.items() if key != _GROUP}
    return ",".join((*words, *([_joined(rest)] if rest else [])))


def _bits(mode: int) -> list[str]:
    """Return the permissions of the owner, the group and others."""
    return [
        "".join(x if mode >> shift & bit else "-" for x, bit in zip("rwx", (4, 2, 1), strict=True))
        for shift in (6, 3, 0)
    ]

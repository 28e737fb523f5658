"""The journal's records of the old versions that repairs kept: the shell text that lists them, and its parser.

Pure: this module contacts no node.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from pytest_synctool.audit import owed_commands
from pytest_synctool.audit.absence import ABSENCE
from pytest_synctool.common.shell import compact, words
from pytest_synctool.common.wording import node_text
from pytest_synctool.errors import RemoteError
from pytest_synctool.repair.plan import KeptVersion
from pytest_synctool.repair.script import Context

LONGEST_PATH: Final = 4096  # bytes; Linux has no longer ones

# The records of a repair are lines: who made it, then PATH SAVED RECORD of each old version, then an empty line. A
# later record counts. `-` as SAVED takes back the one before of the same path, `-` as RECORD all of that old version.
_RECALL: Final = rb"""recall() { # JOURNAL [EARLIER...]: which old versions the last repair has kept, and earlier ones
  f=$1/kept
  for x in "$@"; do
    [ "$x" != "$1" ] || x=$f
    if [ -e "$x" ] && [ ! -r "$x" ]; then echo "refused $x cannot be read"; return; fi
  done
  shift
  many=9 # more than a few
  echo recalled
  for x in "$@" "$f"; do
    [ ! -e "$x" ] || while IFS= read -r l; do
      while IFS= read -r p && [ -n "$p" ] && IFS= read -r s && IFS= read -r r; do still; done
    done <"$x"
  done
  echo end
}
still() { # one that cannot be looked at is not gone
  if [ "$s" = - ]; then printf '%s\n' "$p" - - "$l" -
  elif [ -L "$s" ] || [ -e "$s" ] || ! is_gone; then printf '%s\n' "$p" "$s" "$r" "$l" "$(identified)"; fi
}
is_gone() {
  of=$p p=$s
  if absent; then p=$of; else p=$of; return 1; fi
}
identified() { :; }"""
_FUNCTIONS: Final = b"nl='\n'" + compact(ABSENCE) + _RECALL
_IDENTIFIED: Final = rb"""
identified() { if [ ! -L "$s" ] && [ -d "$s" ]; then echo /; else stat -c %d:%i:%s -- "$s" 2>&-; fi; }"""
_FIELDS: Final = 5

# OWNER:GROUP:MODE:DEVICE:INODE:SIZE
_RECORD: Final = re.compile(rb"-|[0-9]{1,10}:[0-9]{1,10}:[0-7]{1,4}(:[0-9]{1,20}){3}")
_IDENTITY: Final = re.compile(rb"-|/|([0-9]{1,20}(:[0-9]{1,20}){2})?")


@dataclass(frozen=True, slots=True)
class SavedFile:
    """An old version, and what is there now: DEVICE:INODE:SIZE, `/` for a directory, nothing if that is not known."""

    kept: KeptVersion
    identity: bytes = b""

    @property
    def is_directory(self) -> bool:
        """True if a directory is there now."""
        return self.identity == b"/"


def recall(context: Context, *, earlier: bool = False, identified: bool = False) -> bytes:
    """Return the shell text that lists the old versions of the last repair, for the parsers below.

    With `earlier` they are those of all repairs of which records are left. With `identified` each has its identity,
    which costs the node a program for each.
    """
    journal = owed_commands.directory(context.masterdir, context.state)
    more = (b"/earlier.older", b"/earlier") if earlier else ()
    functions = _FUNCTIONS + (_IDENTIFIED if identified else b"")
    return functions + b"\n" + words(b"recall", journal, *(journal + name for name in more))


def parse_recalled(answer: bytes) -> dict[bytes, KeptVersion]:
    """Parse the last old version of each path, as far as they still exist.

    Raises RemoteError if the answer is incomplete or malformed, or if the node could not read the journal.
    """
    return {path: versions[0].kept for path, versions in parse_saved_files(answer).items()}


def parse_saved_files(answer: bytes) -> dict[bytes, list[SavedFile]]:
    """Parse all old versions that still exist, by the path that they are of, the last one of a path first.

    Raises RemoteError as parse_recalled().
    """
    lines = answer.split(b"\n")
    reason = next((node_text(line[8:]) for line in lines if line.startswith(b"refused ")), "its answer is not whole")
    if b"recalled" not in lines or b"end" not in lines:
        raise _unknown(reason)
    fields = lines[lines.index(b"recalled") + 1 : lines.index(b"end")]
    if len(fields) % _FIELDS:
        raise _unknown(reason)
    versions: dict[bytes, dict[bytes, SavedFile]] = {}
    erased: set[tuple[bytes, bytes]] = set()
    taken_back: Counter[bytes] = Counter()
    for start in reversed(range(0, len(fields), _FIELDS)):  # a later record decides about earlier ones
        path, saved, record, by, identity = fields[start : start + _FIELDS]
        if not _is_record(path, saved, record, identity):
            raise _unknown(reason)
        if saved == b"-":
            taken_back[path] += 1
        elif record == b"-":
            erased.add((path, saved))
        elif taken_back[path]:
            taken_back[path] -= 1
        elif (path, saved) not in erased:
            versions.setdefault(path, {}).setdefault(saved, SavedFile(KeptVersion(saved, record, by), identity))
    return {path: list(of_path.values()) for path, of_path in versions.items()}


def _unknown(reason: str) -> RemoteError:
    return RemoteError(f"what the last --fix has kept there cannot be told: {reason}")


def _is_record(path: bytes, saved: bytes, record: bytes, identity: bytes) -> bool:
    is_known = saved == b"-" or _is_path(saved)
    return _is_path(path) and is_known and bool(_RECORD.fullmatch(record)) and bool(_IDENTITY.fullmatch(identity))


def _is_path(word: bytes) -> bool:
    return word.startswith(b"/") and len(word) <= LONGEST_PATH and b"\0" not in word

"""Answers of the package managers of a node about the files below a directory: the script that asks, and its parser.

The script starts a few programs, however many files there are. It writes nothing. Of the answer only these count: exit
statuses, the output formats that dpkg-query(1), rpm(8) and apk-audit(8) document, and the names that find prints. This
module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pytest_synctool.errors import RemoteError

MOST_FILES: Final = 50_000
LARGEST_ANSWER: Final = 32 << 20  # bytes
_LONGEST_LINE: Final = 9_000  # bytes: a name has at most 4,096; longer lines are about directories of many packages
PLAIN_DIRECTORY: Final = re.compile(rb"/|(/[A-Za-z0-9._+-]+)+")

# rpm makes a database where it has none. apk has no command for all files of all packages: its database has the
# directories in lines F:, and their files in lines R:. With no path protected it judges /etc as all else; an older apk
# cannot be asked so, and judges what it protects and all else by two commands.
_SCRIPT: Final = rb"""
nl='
'
section() { printf '\nNONCE %s\n' "$1"; }
ended() { printf '\nNONCE end %s\n' "$?"; }
has() { [ -n "$(command -v "$1")" ]; }
[ ! -L "DIR" ] || { section link; true; ended; }
if has dpkg-query; then
  section dpkg
  dpkg-query -W -f '${binary:Package}\n${Conffiles}\n'
  ended
  section dpkg-owned
  dpkg-query -S "BELOW*"
  ended
  section dpkg-links
  for link in /*; do [ ! -L "$link" ] || (cd -P "$link" 2>&- && printf '%s %s\n' "$link" "$PWD"); done
  true
  ended
fi
if has rpm && [ -d "$(rpm --eval %_dbpath)" ]; then
  section rpm-any
  rpm -qa --qf 'any\n' | head -n 1
  ended
  section rpm
  { rpm -qal; ended; } | grep -e "^BELOW" -e NONCE
  section rpm-changed
  rpm -Va --configfiles --nodeps --noscripts
  ended
fi
for db in /lib/apk/db/installed /usr/lib/apk/db/installed; do
  has apk && [ -e "$db" ] || continue
  section apk
  {
    awk '/^F:/ { d = substr($0, 3); if (d != "") d = d "/" }
      /^R:/ { print "/" d substr($0, 3); n = 1 }
      END { if (n) print "any" }' "$db"
    ended
  } | grep -e "^BELOW" -e '^any$' -e NONCE
  section apk-changed
  apk audit --system --protected-paths /dev/null --check-permissions --recursive "DIR" || {
    section apk-changed
    apk audit --system --recursive "DIR" && apk audit --backup --recursive "DIR"
  }
  ended
  break
done
section files
{
  find "BELOW" -xdev -name "*$nl*" -prune -exec /bin/sh -c 'printf "odd %s\n" $#' sh {} + -o \
    ! -type d -exec stat -c '%f:%s %n' {} +
  ended
} | head -n MOST
section done
"""
_SECTION: Final = re.compile(rb"([a-z-]{1,20})")
_END: Final = re.compile(rb"end ([0-9]{1,3})")
_CONFFILE: Final = re.compile(rb" (/.+?) ([0-9a-f]{32}|newconffile)((?: [a-z-]+)*)")
_OWNED: Final = re.compile(rb".*?: (/.*)")
_VERIFIED: Final = re.compile(rb"(missing|[A-Z0-9.?]{8,12}) +(?:[a-z] +)?(/.*)")
_AUDITED: Final = re.compile(rb"([UMXxe]) (.+)")
_FILE: Final = re.compile(rb"([0-9a-f]{1,8}):([0-9]{1,19}) (/.*)")
_ODD: Final = re.compile(rb"odd ([0-9]{1,9})")
_LINK: Final = re.compile(rb"(/[^/ ]+) (/.+)")
_SIGNAL: Final = 128  # a status from here on is that of a program that was killed
_INSIGNIFICANT: Final = b".?T"  # of rpm -V: a test that passed, one that could not be done, and the time


@dataclass(frozen=True)
class Packages:
    """The files below a directory, and what packages say of them.

    `files` are all but directories, by path with their size in bytes. `unowned` are those of no package. `digests` are
    the MD5s of configuration files as they were installed. `changed` are paths that a package manager calls changed.
    `is_complete` is False if find, rpm or apk could not look everywhere. `odd_names` is the number of names with a
    newline.
    """

    files: Mapping[bytes, int]
    unowned: frozenset[bytes]
    digests: Mapping[bytes, str]
    changed: frozenset[bytes]
    is_complete: bool = True
    odd_names: int = 0


def script(directory: bytes, nonce: bytes) -> bytes:
    """Return the shell text that asks about a plain directory. `nonce` are letters that no file name can hold."""
    if PLAIN_DIRECTORY.fullmatch(directory) is None:
        raise ValueError("not a plain directory")
    text = _SCRIPT.replace(b"BELOW", _below(directory)).replace(b"DIR", directory)
    return text.replace(b"MOST", b"%d" % (MOST_FILES + 3)).replace(b"NONCE", nonce)


def _below(directory: bytes) -> bytes:
    return directory.rstrip(b"/") + b"/"


def parse(directory: bytes, nonce: bytes, answer: bytes) -> Packages:
    """Parse a node's answer. Raises RemoteError if it is incomplete, and if no package manager knows a package."""
    sections = _sections(nonce, answer)
    if "link" in sections:
        raise RemoteError("the directory is a symbolic link there")
    if "files" not in sections:
        raise RemoteError(f"more than {MOST_FILES:,} files")
    status, listed = sections["files"]
    below = _below(directory)
    matches = [match for line in listed if (match := _FILE.fullmatch(line)) and match[3].startswith(below)]
    odd_names = sum(int(match[1]) for line in listed if (match := _ODD.fullmatch(line)))
    files = {match[3]: int(match[2]) for match in matches}
    readers = (_Dpkg(sections), _Rpm(sections), _Apk(sections))
    present = [reader for reader in readers if reader.knows_packages]
    if not present:
        tried = " and ".join(name for name in ("dpkg", "rpm", "apk") if name in sections)
        reason = f"no package is in the database of {tried}" if tried else "there is no package manager"
        raise RemoteError(reason if tried else f"{reason}: no dpkg, rpm or apk")
    owned = frozenset[bytes]().union(*(reader.owned for reader in present))
    digests = {path: md5 for reader in present for path, md5 in reader.digests.items() if path.startswith(below)}
    changed = frozenset(path for reader in present for path in reader.changed if path.startswith(below))
    unowned = frozenset(files) - owned - digests.keys() - changed
    is_complete = status == 0 and all(reader.is_complete for reader in present)
    return Packages(files, unowned, digests, changed, is_complete, odd_names)


_Sections = Mapping[str, tuple[int, list[bytes]]]


def _sections(nonce: bytes, answer: bytes) -> _Sections:
    """Return exit status and lines of each section. One without an end is left out; `done` must be there."""
    pieces = answer.split(b"\n" + nonce + b" ")
    sections: dict[str, tuple[int, list[bytes]]] = {}
    name, lines = None, list[bytes]()
    for piece in pieces[1:]:
        word, *rest = piece.split(b"\n")
        if ending := _END.fullmatch(word):
            if name is not None:
                sections[name] = int(ending[1]), lines
            name = None
        elif begun := _SECTION.fullmatch(word):
            name, lines = begun[1].decode("ascii"), [line for line in rest if len(line) <= _LONGEST_LINE]
    if name != "done":
        raise RemoteError("the node's answer is not whole: it broke off while packages were asked for")
    return sections


class _Dpkg:
    """The answers of dpkg-query."""

    def __init__(self, sections: _Sections) -> None:
        status, lines = sections.get("dpkg", (0, []))
        owned_status, self._owned = sections.get("dpkg-owned", (0, []))
        if status or owned_status > 1:  # 1: nothing is owned there
            raise RemoteError("dpkg-query fails there")
        links = (_LINK.fullmatch(line) for line in sections.get("dpkg-links", (0, []))[1])
        self._links = {link[1]: link[2] for link in links if link}
        conffiles = [match for line in lines if (match := _CONFFILE.fullmatch(line))]
        self.knows_packages = any(line and not line.startswith(b" ") for line in lines)
        self.changed = frozenset[bytes]()
        self.is_complete = True
        self.digests = {
            self._real(match[1]): match[2].decode("ascii")
            for match in conffiles
            if match[2] != b"newconffile" and not {b"obsolete", b"remove-on-upgrade"} & {*match[3].split()}
        }

    @property
    def owned(self) -> frozenset[bytes]:
        """The paths that packages own, and those of diversions."""
        return frozenset(self._real(match[1]) for line in self._owned if (match := _OWNED.fullmatch(line)))

    def _real(self, path: bytes) -> bytes:
        """Return a path without a link at its beginning: packages may have /lib for /usr/lib."""
        top, slash, rest = path[1:].partition(b"/")
        return self._links.get(b"/" + top, b"/" + top) + slash + rest


class _Rpm:
    """The answers of rpm. It verifies only configuration files."""

    def __init__(self, sections: _Sections) -> None:
        status, self._owned = sections.get("rpm", (0, []))
        if status:
            raise RemoteError("rpm fails there")
        self.knows_packages = any(sections.get("rpm-any", (0, []))[1])
        ended, lines = sections.get("rpm-changed", (0, []))
        matches = [match for line in lines if (match := _VERIFIED.fullmatch(line))]
        self.changed = frozenset(match[2] for match in matches if match[1].strip(_INSIGNIFICANT))
        # It fails if a file differs, and then says which one. A question mark is a test that could not be done.
        is_whole = ended == 0 or (ended < _SIGNAL and bool(matches))
        self.is_complete = is_whole and not any(b"?" in match[1] for match in matches)
        self.digests: Mapping[bytes, str] = {}

    @property
    def owned(self) -> frozenset[bytes]:
        """The paths that packages own."""
        return frozenset(self._owned)


class _Apk:
    """The answers of apk. It verifies all files of packages. Added files are those that its database does not have."""

    def __init__(self, sections: _Sections) -> None:
        status, owned = sections.get("apk", (0, []))
        changed_status, lines = sections.get("apk-changed", (0, []))
        if status or changed_status:
            raise RemoteError("apk fails there")
        self.knows_packages = b"any" in owned
        self._owned = owned
        matches = [match for line in lines if (match := _AUDITED.fullmatch(line))]
        self.changed = frozenset(b"/" + match[2].lstrip(b"/") for match in matches if match[1] != b"e")
        self.is_complete = not any(match[1] == b"e" for match in matches)
        self.digests: Mapping[bytes, str] = {}

    @property
    def owned(self) -> frozenset[bytes]:
        """The paths that packages own."""
        return frozenset(self._owned)

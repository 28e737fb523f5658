"""Contents of files on a node: the script that sends them after the answer of a probe, and the parser of both.

A file that equals its source is not sent, nor a file that is too large. A file that not everybody on the node may read
is sent only on request. This module contacts nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.audit import probe
from pytest_synctool.common.shell import quote
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import Actual

# Bytes. Nobody reads a longer difference, and the contents of all nodes at work must fit in memory.
LIMIT: Final = 4 << 20

# NUMBER SECRETS SIZE MD5 PATH. The probe has made standard output descriptor 3.
_SEND: Final = rb"""
send() {
  [ -f "$5" ] && [ ! -L "$5" ] || return 0
  status=$(stat -c '%s %a' -- "$5") || return 0
  [ "${status% *}" -le LIMIT ] || return 0
  case $2:$status in yes:*|*[4567]) ;; *) return 0 ;; esac
  [ "${status% *}" != "$3" ] || case $(md5sum <"$5") in "$4 "*) return 0 ;; esac
  printf '\nNONCE begin %s\n' "$1"
  e=$(head -c MORE -- "$5" 2>&1 >&3)
  printf '\nNONCE end %s\n' "${e##*"$nl"}"
}
""".replace(b"LIMIT", b"%d" % LIMIT).replace(b"MORE", b"%d" % (LIMIT + 1))


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A path to probe. With `content` its contents are sent unless size (bytes) and MD5 (32 hex digits) are these.

    With `secrets` the contents are sent even if not everybody on the node may read them.
    """

    path: bytes
    size: int | None = None
    md5: str | None = None
    content: bool = True
    secrets: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A path on a node. `content` is None where it was not sent; `complaint` is the reason why it is incomplete."""

    state: Actual
    content: bytes | None = None
    complaint: str = ""


def script(requests: Sequence[FetchRequest], nonce: bytes) -> bytes:
    """Return the shell text that answers for these paths. `nonce` are letters that no file can be expected to hold."""
    lines = [probe.script([probe.Request(r.path, r.size) for r in requests]), _SEND.replace(b"NONCE", nonce)]
    for number, request in enumerate(requests):
        if not request.content:
            continue
        size, md5 = b"%d" % (request.size or 0), (request.md5 or "-").encode("ascii")
        secrets = b"yes" if request.secrets else b"no"
        lines.append(b"send %d %s %s %s %s" % (number, secrets, size, md5, quote(request.path)))
    lines.append(b"printf '\\n%s done\\n'" % nonce)
    return b"\n".join(lines)


def parse(requests: Sequence[FetchRequest], nonce: bytes, answer: bytes) -> Mapping[bytes, Copy]:
    """Parse a node's answer into a copy for every path. Raises RemoteError if the answer is incomplete."""
    looked_at, *sent = answer.split(b"\n" + nonce + b" ")
    states = probe.parse([probe.Request(r.path, r.size) for r in requests], looked_at + b"\n")
    if not sent or sent[-1] != b"done\n" or len(sent) % 2 == 0:
        raise RemoteError("the node's answer is not whole: it broke off while contents were sent")
    contents: dict[bytes, tuple[bytes | None, bytes]] = {}
    for begun, ended in zip(sent[:-1:2], sent[1:-1:2], strict=True):
        number, _, text = begun.removeprefix(b"begin ").partition(b"\n")
        contents[requests[int(number)].path] = text, ended.removeprefix(b"end ").strip()
    copies = {}
    for path, state in states.items():
        content, complaint = contents.get(path, (None, b""))
        copies[path] = Copy(state, content, printable(complaint.rpartition(b": ")[2]))
    return copies

"""Contents of files on a node: the script that sends them behind the answer of a probe, and the reader of both.

A file that is the same as the master's is not sent, nor one that is too large, nor, unless that is asked for, one that
not everybody on the node may read: what is secret stays there. Pure on both ends: this module contacts nobody.
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

# In bytes: a difference of more would not be read, and the contents for all nodes at work have room in memory.
LIMIT: Final = 4 << 20

# NUMBER SECRETS SIZE MD5 PATH. Standard output is descriptor 3 since the probe's own beginning.
_SEND: Final = rb"""
send() {
  [ -f "$5" ] && [ ! -L "$5" ] || return 0
  found=$(stat -c '%s %a' -- "$5") || return 0
  [ "${found% *}" -le LIMIT ] || return 0
  case $2:$found in yes:*|*[4567]) ;; *) return 0 ;; esac
  [ "${found% *}" != "$3" ] || case $(md5sum <"$5") in "$4 "*) return 0 ;; esac
  printf '\nNONCE begin %s\n' "$1"
  e=$(head -c MORE -- "$5" 2>&1 >&3)
  printf '\nNONCE end %s\n' "${e##*"$nl"}"
}
""".replace(b"LIMIT", b"%d" % LIMIT).replace(b"MORE", b"%d" % (LIMIT + 1))


@dataclass(frozen=True, slots=True)
class Request:
    """A path to look at. With `content` that is sent, unless it is a file of this size (bytes) and MD5 (32 hex digits).

    With `secrets` it is sent whoever may read it on the node.
    """

    path: bytes
    size: int | None = None
    md5: str | None = None
    content: bool = True
    secrets: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """What a node has under a path. `content` is None where it was not sent; `complaint` says why it was not whole."""

    state: Actual
    content: bytes | None = None
    complaint: str = ""


def script(requests: Sequence[Request], nonce: bytes) -> bytes:
    """The shell text that answers for these paths; `nonce` are letters that no file can be expected to hold."""
    lines = [probe.script([probe.Request(r.path, r.size) for r in requests]), _SEND.replace(b"NONCE", nonce)]
    for number, request in enumerate(requests):
        if not request.content:
            continue
        size, md5 = b"%d" % (request.size or 0), (request.md5 or "-").encode("ascii")
        secrets = b"yes" if request.secrets else b"no"
        lines.append(b"send %d %s %s %s %s" % (number, secrets, size, md5, quote(request.path)))
    lines.append(b"printf '\\n%s done\\n'" % nonce)
    return b"\n".join(lines)


def parse(requests: Sequence[Request], nonce: bytes, answer: bytes) -> Mapping[bytes, Copy]:
    """What a node answered, for every path. Raises RemoteError if the answer is not whole."""
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

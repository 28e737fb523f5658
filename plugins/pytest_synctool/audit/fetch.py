"""Contents of files on a node: the script that sends them after the answer of a probe, and the parser of both.

A file that equals its source is not sent, nor a file that is too large. A file that not everybody on the node may read
is sent only on request. This module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pytest_synctool.audit import probe
from pytest_synctool.audit.probe_script import LONGEST_READ, Request
from pytest_synctool.common.shell import argument_size, words
from pytest_synctool.common.wording import node_text
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import Actual, FileState

# Bytes. Nobody reads a longer difference, and the contents of all nodes at work must fit in memory.
LIMIT: Final = 4 << 20
LARGEST_DIGEST: Final = 1 << 30  # bytes; of a larger file no digest is made
_DIGEST: Final = re.compile(rb"([0-9a-f]{32}) [ *]?-?\n?")
_BEGIN: Final = re.compile(rb"begin ([0-9]{1,9})")

# A file is opened, then looked at, and only then read: its name may have been exchanged meanwhile.
_SEND: Final = (
    rb"""
stop() { # NUMBER REASON
  printf '\nNONCE begin %s\n\nNONCE end %s\n' "$@"
  exit
}
send() { # NUMBER SECRETS MD5 SIZE TOP DIRECTORY NAME
  (
    [ -e /proc/self/stat ] || stop "$1" "it has no /proc, so nobody can tell what is sent"
    ! lacks head || stop "$1" "$words"
    IFS=' ' read -r me p </proc/self/stat || exit
    cd -P -- "$5" 2>&- && [ -d "$6" ] || exit
    enter "$5" "$6" 2>&- || stop "$1" "it is behind a link that 'follow' in attributes.yaml does not allow"
    [ ! -L "./$7" ] && [ -f "./$7" ] || exit
    [ -r "./$7" ] || stop "$1" "Permission denied"
    clock LONGEST # a FIFO that has taken the place of the file keeps the shell waiting
    command exec 4<"./$7" || { kill "$clock"; exit; }
    kill "$clock"
    is=$(stat -L -c %f:%d:%i:%s:%a /proc/self/fd/4) && [ "$is" = "$(stat -c %f:%d:%i:%s:%a -- "./$7")" ] || exit
    case $is in 8???:*) ;; *) exit ;; esac
    size=${is%:*} size=${size##*:}
    if [ "$3" = digest ]; then
      [ "$size" -le LARGEST ] || exit
      printf '\nNONCE begin %s\n' "$1"
      e=$({ head -c "$size" <&4 | md5sum >&3; } 2>&1)
      printf '\nNONCE end %s\n' "${e##*"$nl"}"
      exit
    fi
    case $2:$is in yes:*|*[4567]) ;; *) exit ;; esac
    [ "$size" -le LIMIT ] || exit
    [ "$size" != "$4" ] || case $(head -c LIMIT </proc/self/fd/4 | md5sum) in "$3 "*) exit ;; esac
    printf '\nNONCE begin %s\n' "$1"
    e=$(head -c MORE <&4 2>&1 >&3)
    printf '\nNONCE end %s\n' "${e##*"$nl"}"
  )
}
""".replace(b"LIMIT", b"%d" % LIMIT)
    .replace(b"LARGEST", b"%d" % LARGEST_DIGEST)
    .replace(b"MORE", b"%d" % (LIMIT + 1))
    .replace(b"LONGEST", b"%d" % LONGEST_READ)
)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A path to probe. With `content` its contents are sent unless size (bytes) and MD5 (32 hex digits) are these.

    With `digest` the MD5 of its contents is sent instead, for a file of up to LARGEST_DIGEST bytes. With `secrets` this
    happens even if not everybody on the node may read the file. Of the directories above the path only `through` may be
    a symbolic link.
    """

    path: bytes
    size: int | None = None
    md5: str | None = None
    content: bool = True
    secrets: bool = False
    through: bytes = b""
    digest: bool = False

    @property
    def look(self) -> Request:
        """The request for the state of the path."""
        return Request(self.path, self.size, self.through)


@dataclass(frozen=True, slots=True)
class Copy:
    """A path on a node. `content` is None where it was not sent; `complaint` is the reason why it is incomplete."""

    state: Actual
    content: bytes | None = None
    complaint: str = ""


def script(requests: Sequence[FetchRequest], nonce: bytes) -> bytes:
    """Return the shell text that answers for these paths. `nonce` are letters that no file can be expected to hold."""
    lines = [probe.script([request.look for request in requests]), _SEND.replace(b"NONCE", nonce)]
    for number, request in enumerate(requests):
        if not request.content:
            continue
        md5 = "digest" if request.digest else request.md5 or "-"
        about = [b"%d" % number, b"yes" if request.secrets else b"no", md5.encode("ascii")]
        lines.append(words(b"send", *about, b"%d" % (request.size or 0), *request.look.place))
    lines.append(b"printf '\\n%s done\\n'" % nonce)
    return b"\n".join(lines)


def split(requests: Sequence[FetchRequest], nonce: bytes, limit: int | None) -> Iterator[Sequence[FetchRequest]]:
    """Split requests into parts whose scripts have at most an argument_size() of `limit`, or are of one path."""
    if limit is None:
        yield requests
        return
    empty = argument_size(script((), nonce))
    part: list[FetchRequest] = []
    size = empty
    for request in requests:
        cost = argument_size(script((request,), nonce)) - empty + 8  # later numbers are longer
        if part and size + cost > limit:
            yield part
            part, size = [], empty
        part.append(request)
        size += cost
    if part:
        yield part


def parse(requests: Sequence[FetchRequest], nonce: bytes, answer: bytes) -> Mapping[bytes, Copy]:
    """Parse a node's answer into a copy for every path. Raises RemoteError if it is incomplete or malformed."""
    looked_at, *sent = answer.split(b"\n" + nonce + b" ")
    states = probe.parse([request.look for request in requests], looked_at + b"\n")
    if not sent or sent[-1] != b"done\n" or len(sent) % 2 == 0:
        raise RemoteError("the node's answer is not whole: it broke off while contents were sent")
    copies = {path: Copy(state) for path, state in states.items()}
    for begun, ended in zip(sent[:-1:2], sent[1:-1:2], strict=True):
        header, _, content = begun.partition(b"\n")
        number = _BEGIN.fullmatch(header)
        request = requests[int(number[1])] if number and int(number[1]) < len(requests) else None
        if request is None or not request.content or copies[request.path].content is not None:
            raise RemoteError(f"the node has sent contents that were not requested: {node_text(header)}")
        if len(content) > LIMIT + 1 or not ended.startswith(b"end "):
            raise RemoteError("cannot parse the contents that the node has sent")
        complaint = ended.removeprefix(b"end ").strip().rpartition(b": ")[2]
        copies[request.path] = _copy(request, states[request.path], content, node_text(complaint))
    return copies


def _copy(request: FetchRequest, state: Actual, content: bytes, complaint: str) -> Copy:
    if not request.digest:
        return Copy(state, content, complaint)
    match = _DIGEST.fullmatch(content)
    if match is None or complaint or not isinstance(state, FileState):
        return Copy(state, b"", complaint or "md5sum prints no digest")
    return Copy(replace(state, md5=match[1].decode("ascii")), b"")

"""Command lines that call a script of the masterdir: they bring it to the node, or find it there."""

from __future__ import annotations

import os
import re
from typing import Final

from pytest_synctool.common.shell import shell_line

LONGEST_LINE: Final = 124 << 10  # bytes; the kernel takes no longer argument, and sudo comes before

_FIRST_WORD: Final = re.compile(r"\s*([A-Za-z0-9_][\w.+@%,:-]*)(?=[\s;&|<>()]|$)")

# TOKEN NAME CONTENT LINE: the script is the first program of its name. The place is one that lets programs run.
_BROUGHT: Final = rb"""t=
for d in "${TMPDIR:-/tmp}" /var/tmp "$HOME" /run; do
  case $d in /*) t=${d%/}/$1 ;; *) continue ;; esac
  (umask 077; mkdir "$t" && printf %s "$3" >"$t/$2" && chmod 700 "$t/$2") 2>&- && [ -x "$t/$2" ] && break
  [ ! -d "$t" ] || rm -rf "$t" 2>&-
  t=
done
[ -n "$t" ] || { echo "no directory on the node in which $2 can be run: set TMPDIR" >&2; exit 126; }
trap 'rm -rf "$t"' EXIT
trap 'exit 143' HUP INT PIPE TERM # PIPE: dash prints that a signal has ended the script
PATH=$t:$PATH /bin/sh -c "$4"
exit $?
"""
_PRESENT: Final = b'PATH=$1:$PATH exec /bin/sh -c "$2"\n'  # DIRECTORY LINE


def first_word(line: str) -> str:
    """Return the name of the program that a line of shell text calls first, or "" if it has no plain name."""
    match = _FIRST_WORD.match(line)
    return match[1] if match else ""


def bringing(name: str, content: bytes, line: str, token: str) -> str:
    """Return the line that brings a script to a node, runs `line` there, and removes the script.

    `token` is a random word for the name of its directory. Raise ValueError with the reason if the script cannot be
    part of a line.
    """
    if b"\0" in content:
        raise ValueError("it has NUL bytes")
    text = shell_line(_BROUGHT, token.encode(), name.encode(), content, os.fsencode(line))
    if len(text) > LONGEST_LINE:
        raise ValueError("it is too long")
    return os.fsdecode(text)


def finding(directory: str, line: str) -> str:
    """Return the line that runs `line` where the scripts are in a directory of the node."""
    return os.fsdecode(shell_line(_PRESENT, os.fsencode(directory), os.fsencode(line)))

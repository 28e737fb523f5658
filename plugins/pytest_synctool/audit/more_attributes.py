"""Capabilities, ACLs and SELinux labels of the paths that have an expectation of them.

A line of the answer is about one path, by its number: `k:NUMBER:TEXT` with what getcap prints behind its name,
`g:NUMBER:TEXT` with what getfacl prints, its lines separated by commas; or `k:NUMBER!` and `g:NUMBER!` if the node has
no such program. Each takes one getcap or getfacl. `s:NUMBER:STATUS:TEXT` has the exit status of `restorecon -n -v`, and
what it prints behind the path; `s:NUMBER-` means that SELinux is off. It is asked for all paths at once; it prints
nothing for those that a restorecon would leave as they are. This module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pytest_synctool.common import capabilities
from pytest_synctool.common.wording import node_text
from pytest_synctool.model import NO_SELINUX, RIGHT_LABEL, SELinuxLabel

FUNCTIONS: Final = rb"""
capabilities() { # (NUMBER PATH)...
  if lacks getcap; then
    while [ $# -gt 0 ]; do printf 'k:%s!\n' "$1"; shift 2; done
    return
  fi
  while [ $# -gt 0 ]; do
    out=$(getcap -- "$2" 2>&1)
    out=${out#"$2"}
    printf 'k:%s:%s\n' "$1" "${out%%"$nl"*}"
    shift 2
  done
}
acls() { # (NUMBER PATH)...
  if lacks getfacl; then
    while [ $# -gt 0 ]; do printf 'g:%s!\n' "$1"; shift 2; done
    return
  fi
  while [ $# -gt 0 ]; do
    out=$(getfacl -cpE -- "$2" 2>&1)
    printf 'g:%s:' "$1"
    for line in $out; do printf '%s,' "$line"; done
    echo
    shift 2
  done
}
labels() { # (NUMBER PATH)...
  same= ks= n=$#
  while [ "$n" -gt 0 ]; do
    ks=$ks$1$nl
    set -- "$@" "$2"
    shift 2
    n=$((n - 2))
  done
  if [ ! -e /sys/fs/selinux/enforce ]; then same=-
  elif lacks restorecon; then same='!'
  elif out=$(restorecon -n -v -- "$@" 2>&-) && [ -z "$out" ]; then same=:0:; fi
  for k in $ks; do
    if [ -n "$same" ]; then printf 's:%s%s\n' "$k" "$same"
    else
      status=0
      out=$(restorecon -n -v -- "$1" 2>&-) || { status=$? out=$(restorecon -n -v -- "$1" 2>&1); }
      out=${out#*"$1"}
      printf 's:%s:%s:%s\n' "$k" "$status" "${out%%"$nl"*}"
    fi
    shift
  done
}
"""
_LACKING: Final = "the node has no program {}, which attributes.yaml needs for it"
MOST: Final = 8400  # bytes of honest lines about one path
LABEL_LINE: Final = re.compile(rb"([0-9]{1,9})(?:(-)|(!)|:([0-9]{1,3}):(.*))")
LINE: Final = re.compile(rb"([0-9]{1,9})(?:(!)|:(.*))")


def parse(match: re.Match[bytes], program: str, form_of: Callable[[str], str | None]) -> tuple[str | None, str]:
    """Return the one form of what a program printed, or None and the reason why it is unknown, of what LINE matched."""
    if match[2]:
        return None, _LACKING.format(program)
    form = form_of(match[3].decode("utf-8", "replace"))
    return form, "" if form is not None else f"{program} cannot be understood: {node_text(match[3]) or 'no answer'}"


def parse_label(match: re.Match[bytes]) -> tuple[SELinuxLabel | None, str]:
    """Return the label of a path, or None and the reason why it is unknown, from a line that LABEL_LINE matches."""
    if match[2]:
        return NO_SELINUX, ""
    if match[3]:
        return None, _LACKING.format("restorecon")
    printed = node_text(match[5]).strip()
    if match[4] == b"0":
        if not printed:
            return RIGHT_LABEL, ""
        old, new = _relabelling(printed.split())
        if old.count(":") > 1 and new.count(":") > 1 and old != new:
            return SELinuxLabel(old, new), ""
    return None, f"restorecon -n says: {printed or f'exit status {int(match[4])}'}"


def _relabelling(printed: list[str]) -> tuple[str, str]:
    """Return the labels at the end of "from OLD to NEW", or of "context OLD->NEW"; empty texts for anything else.

    The words between do not count. A regular expression would take a long line apart in too many ways.
    """
    old, arrow, new = (printed[-1] if printed else "").rpartition("->")
    if arrow:
        return old, new
    return (printed[-3], printed[-1]) if len(printed) >= 3 else ("", "")


def capabilities_of_node(text: str) -> str | None:
    """Return the one form of what getcap prints behind a name."""
    return capabilities.canonical(text.strip().removeprefix("= "))  # versions before 2.41 print a sign there

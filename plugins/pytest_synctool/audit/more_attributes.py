"""Capabilities and ACLs of the files that have an expectation of them: a getcap or getfacl for each.

A line of the answer is about one path, by its number: `k:NUMBER:TEXT` with what getcap prints behind its name,
`g:NUMBER:TEXT` with what getfacl prints, its lines separated by commas; or `k:NUMBER!` and `g:NUMBER!` if the node has
no such program. This module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pytest_synctool.common import capabilities
from pytest_synctool.common.wording import node_text

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
"""
MOST: Final = 8400  # bytes of honest lines about one path
LINE: Final = re.compile(rb"([0-9]{1,9})(?:(!)|:(.*))")


def parse(match: re.Match[bytes], program: str, form_of: Callable[[str], str | None]) -> tuple[str | None, str]:
    """Return the one form of what a program printed, or None and the reason why it is unknown, of what LINE matched."""
    if match[2]:
        return None, f"the node has no program {program}, which attributes.yaml needs for it"
    form = form_of(match[3].decode("utf-8", "replace"))
    return form, "" if form is not None else f"{program} cannot be understood: {node_text(match[3]) or 'no answer'}"


def capabilities_of_node(text: str) -> str | None:
    """Return the one form of what getcap prints behind a name."""
    return capabilities.canonical(text.strip().removeprefix("= "))  # versions before 2.41 print a sign there

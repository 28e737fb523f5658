"""The capabilities of the files that have an expectation of them, a getcap for each.

A line of the answer is about one path, by its number: `k:NUMBER:TEXT` with what getcap prints behind its name, or
`k:NUMBER!` if the node has no getcap. This module contacts nobody.
"""

from __future__ import annotations

import re
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
"""
MOST: Final = 4200  # bytes of an honest line
LINE: Final = re.compile(rb"([0-9]{1,9})(?:(!)|:(.*))")


def parse(match: re.Match[bytes]) -> tuple[str | None, str]:
    """Return canonical capabilities, or None and the reason why they are unknown, of what LINE matched."""
    if match[2]:
        return None, "the node has no program getcap, which knows capabilities"
    text = match[3].decode("ascii", "replace").strip()
    text = text.removeprefix("= ")  # of versions before 2.41
    form = capabilities.canonical(text)
    return form, "" if form is not None else f"its capabilities cannot be read: {node_text(match[3])}"

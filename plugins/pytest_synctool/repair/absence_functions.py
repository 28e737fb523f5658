"""Shell functions that tell what is not there from what cannot be looked at. Only a script that needs them has them."""

from __future__ import annotations

from typing import Final

from pytest_synctool.audit.absence import ABSENCE
from pytest_synctool.common.shell import compact

READABLE_ABSENCE: Final = (
    ABSENCE
    + rb"""
is_gone() { # NAME, which may end in /. for what a link leads to; in a shell of its own, for its variables
  ! is_there "./$1" && (set -f; p=${PWD%/}/$1; absent)
}
stays() { # NAME: whether a link in the place of a directory has to stay; then $e is the reason
  e="it leads to a directory: say 'follow: yes' or 'no' in attributes.yaml"
  [ ! -d "./$1" ] || return 0
  [ -L "./$1" ] && [ ! -e "./$1" ] || return
  e="nobody can tell whether it leads to a directory: 'follow: no' in attributes.yaml would replace it anyway"
  ! is_gone "$1/."
}
"""
)
REPAIR_ABSENCE: Final = compact(READABLE_ABSENCE)

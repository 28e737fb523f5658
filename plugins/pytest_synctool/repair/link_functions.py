"""Shell functions for links in the place of directories. Only a script that may replace one has them."""

from __future__ import annotations

from typing import Final

from pytest_synctool.audit.absence import ABSENCE
from pytest_synctool.common.shell import compact

READABLE_LINKS: Final = (
    ABSENCE
    + rb"""
stays() { # NAME: whether it has to stay, since it leads to a directory or nobody can tell; then $e is the reason
  e="it leads to a directory: say 'follow: yes' or 'no' in attributes.yaml"
  [ ! -d "./$1" ] || return 0
  [ -L "./$1" ] && [ ! -e "./$1" ] || return
  e="nobody can tell whether it leads to a directory: 'follow: no' in attributes.yaml would replace it anyway"
  ! (set -f; p=${PWD%/}/$1/.; absent)
}
"""
)
LINKS: Final = compact(READABLE_LINKS)

"""A local user of a node, who exchanges names in a directory of his own as fast as he can, until he is killed.

    python local_user.py STRATEGY DIRECTORY VICTIM

VICTIM is a directory of root's. Strategies:

- `links`: each name of the directory takes turns with a link to the same name in VICTIM (renameat2 exchanges them);
- `above`: the directory `app` in it takes turns with a link to VICTIM;
- `watch`: whatever appears in the directory (inotify) is renamed, and a link to VICTIM or to a file in it is put there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

USER: Final = 4242  # his number

_AT_FDCWD = -100
_EXCHANGE = 2
_APPEARS = 0x100 | 0x80 | 0x40  # IN_CREATE, IN_MOVED_TO, IN_MOVED_FROM
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def exchanging(strategy: str, directory: Path, victim: Path) -> Iterator[None]:
    """Let the user exchange names in a directory."""
    argv = [sys.executable, __file__, strategy, str(directory), str(victim)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def exchange(one: str, other: str) -> None:
    """Exchange two names at once. An error is one of the other side's turn."""
    _LIBC.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)


def links(victim: str) -> None:
    """Let names take turns with links."""
    names = [name for name in (path.name for path in Path().iterdir()) if not name.startswith(".theirs")]
    for name in names:
        Path(f".theirs.{name}").symlink_to(f"{victim}/{name}")
    print("ready", flush=True)
    while True:
        for name in names:
            exchange(name, f".theirs.{name}")
            for later in (name, f"{name}.saved"):
                with contextlib.suppress(OSError):
                    Path(later).symlink_to(f"{victim}/{name}")


def above(victim: str) -> None:
    """Let a directory take turns with a link."""
    Path(".theirs").symlink_to(victim)
    print("ready", flush=True)
    while True:
        exchange("app", ".theirs")


def watch(victim: str) -> None:
    """Exchange whatever appears."""
    notify = _LIBC.inotify_init()
    for place in (".", "app"):
        _LIBC.inotify_add_watch(notify, os.fsencode(place), _APPEARS)
    print("ready", flush=True)
    for number in count():
        os.read(notify, 65536)
        for place in (".", "app"):
            with contextlib.suppress(OSError):
                for name in [path.name for path in Path(place).iterdir()]:
                    if name.startswith((".theirs", "app")):
                        continue
                    path = Path(place, name)
                    with contextlib.suppress(OSError):
                        path.rename(f".theirs.{number}.{name}")
                        file = f"{victim}/{name.removesuffix('.saved')}"
                        path.symlink_to(file if number % 2 else victim)


if __name__ == "__main__":
    chosen, place, target = sys.argv[1:]
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    os.chdir(place)
    {"links": links, "above": above, "watch": watch}[chosen](target)

"""The shells in which generated scripts have to work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests_meta.unit.helpers import BUSYBOX, Shell

OTHER_SHELLS: Final = {
    "mksh": ("mksh",),
    "ksh93": ("ksh93",),
    "zsh": ("zsh", "--emulate", "sh"),
}
# The program that has them all, how it lists them, and the Debian package that has it.
USERLANDS: Final = {
    "uutils": ("coreutils", (), "rust-coreutils"),
    "toybox": ("toybox", (), "toybox"),
    "applets": (BUSYBOX, ("--list",), "busybox-static"),
}
# A shell has these itself, or a node has them besides.
_NOT_LINKED: Final = {"sh", "ash", "hush", "["}


@pytest.fixture(scope="session")
def applets() -> Iterator[str]:
    """A directory that holds BusyBox's applets, and nothing else; any user can reach it."""
    if not os.access(BUSYBOX, os.X_OK):
        pytest.skip("needs busybox (Debian: busybox-static)")
    with tempfile.TemporaryDirectory(prefix="synctool-applets-") as name:
        Path(name).chmod(0o755)
        subprocess.run([BUSYBOX, "--install", "-s", name], check=True)
        yield name


@pytest.fixture(scope="session", params=["dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Each of the shells that a node may have as its /bin/sh."""
    if request.param == "busybox":
        applets: str = request.getfixturevalue("applets")
        return Shell("busybox", (f"{applets}/sh",), {"PATH": applets})
    return Shell(request.param, (f"/bin/{request.param}",), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


@pytest.fixture(scope="session", params=[*USERLANDS, *OTHER_SHELLS])
def userland(request: pytest.FixtureRequest) -> Iterator[Shell]:
    """Each of the other userlands with dash, and each of the other shells with GNU coreutils."""
    name = request.param
    if name in OTHER_SHELLS:
        program, *options = OTHER_SHELLS[name]
        if not (path := shutil.which(program)):
            pytest.skip(f"needs {program}")
        yield Shell(name, (path, *options), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        return
    program, listing, package = USERLANDS[name]
    if not (path := shutil.which(program)):
        pytest.skip(f"needs {program} (Debian: {package})")
    with tempfile.TemporaryDirectory(prefix="synctool-userland-") as directory:
        Path(directory).chmod(0o755)
        listed = subprocess.run([path, *listing], capture_output=True, text=True, check=False).stdout
        for each in {*re.findall(r"[a-z0-9]+", listed)} - _NOT_LINKED:
            Path(directory, each).symlink_to(path)
        yield Shell(name, ("/bin/dash",), {"PATH": directory})


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an unprivileged user can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="synctool-unit-") as name:
        Path(name).chmod(0o755)
        yield Path(name)

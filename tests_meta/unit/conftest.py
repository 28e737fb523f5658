"""The shells in which generated scripts have to work."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_meta.unit.helpers import BUSYBOX, Shell


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


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an unprivileged user can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="synctool-unit-") as name:
        Path(name).chmod(0o755)
        yield Path(name)

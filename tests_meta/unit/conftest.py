"""Settings of hypothesis, and the shells that generated scripts have to work in."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests_meta.unit.helpers import BUSYBOX, Shell

# The same examples in every run, so that a failure is never a matter of luck. `--hypothesis-profile=explore` looks for
# new ones, for as long as `@settings` of a test allow.
COMMON = settings(
    database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("unit", COMMON, derandomize=True, max_examples=40)
settings.register_profile("explore", COMMON, derandomize=False, max_examples=1000)
settings.load_profile("unit")
set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "synctool-hypothesis"))


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

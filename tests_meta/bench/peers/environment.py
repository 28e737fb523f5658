"""The peers' own environment, made when it is needed first: beside this project's, so that neither sees the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests_meta.bench.measure import BenchError

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
DIRECTORY: Final = Path(__file__).parents[3] / ".venv-peers"
PROGRAMS: Final = DIRECTORY / "bin"
_COMPLETE: Final = DIRECTORY / "complete.txt"  # the requirements that are all installed
_LIMIT: Final = 300.0  # seconds that pip may take


def install() -> frozenset[str]:
    """Make the environment, unless it is there with these versions; returns the packages that could not be installed.

    Raises BenchError if there can be none.
    """
    wanted = REQUIREMENTS.read_text()
    if _COMPLETE.exists() and _COMPLETE.read_text() == wanted:
        return frozenset()
    print(f"  installing the peers in {DIRECTORY.name} ...", file=sys.stderr, flush=True)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(DIRECTORY)], capture_output=True, check=False)
    if made.returncode:
        raise BenchError(f"there can be no environment for the peers: {made.stdout.decode(errors='replace')}")
    if _pip("--requirement", str(REQUIREMENTS)):
        _COMPLETE.write_text(wanted)
        return frozenset()
    return frozenset(name for name, pinned in packages(wanted).items() if not _pip(pinned))


def outdated() -> list[str]:
    """Return the peers that have a newer version for this Python, `pyinfra 3.11.0 (3.10.0 is used)` each.

    Raises BenchError if pip cannot tell.
    """
    argv = [str(PROGRAMS / "python"), "-m", "pip", "list", "--outdated", "--format=json"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_LIMIT)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"pip cannot tell whether the peers are the newest: {error}") from error
    return newer(json.loads(done.stdout), packages(REQUIREMENTS.read_text()))


def newer(listed: Sequence[Mapping[str, str]], pinned: Collection[str]) -> list[str]:
    """Return the outdated ones of these packages from what `pip list --outdated --format=json` lists."""
    return [
        f"{each['name']} {each['latest_version']} ({each['version']} is used)"
        for each in listed
        if each["name"].lower().replace("_", "-") in pinned
    ]


def packages(requirements: str) -> dict[str, str]:
    """The pinned requirements by the names of their packages."""
    pinned = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    return {line.partition("==")[0]: line for line in pinned}


def versions(names: Collection[str]) -> str:
    """Packages with the versions that are used, for people."""
    pinned = packages(REQUIREMENTS.read_text())
    return ", ".join(pinned[name].replace("==", " ") for name in names)


def _pip(*what: str) -> bool:
    argv = [str(PROGRAMS / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode:
        print("".join(f"  {line}\n" for line in done.stderr.splitlines()[-3:]), end="", file=sys.stderr)
    return done.returncode == 0

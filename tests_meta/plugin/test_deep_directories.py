"""An overlay that is nested deeper than Python may recurse: every front end takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run

DEPTH = sys.getrecursionlimit() + 100
WORST = ("RecursionError", "Traceback", "INTERNALERROR")


@pytest.fixture
def deep(site: Site) -> Iterator[str]:
    """The destination of a file so deep; what is removed by Python may not be."""
    top = site.masterdir / "overlay/deep"
    here = os.open(".", os.O_RDONLY)
    try:
        top.mkdir()
        os.chdir(top)
        for _ in range(DEPTH):
            Path("d").mkdir()
            os.chdir("d")
        Path("file._all").write_text("content\n")
    finally:
        os.fchdir(here)
        os.close(here)
    yield f"/deep{'/d' * DEPTH}/file"
    subprocess.run(["rm", "-rf", top], check=True)


def test_every_front_end(site: Site, deep: str) -> None:
    site.nodes = {"node1": "batch connection:chroot:///nonexistent"}
    for options, status in (
        (("--collect-only", "-q"), 0),
        (("-q",), 1),
    ):
        ended = site.pytest(*options)
        assert ended.status == status, (options, ended.output[-2000:])
        assert not any(word in ended.output for word in WORST), options
    for words, status in (
        (("synctool", "-r", deep), 0),
        (("synctool", "--manifest"), 0),
        (("synctool",), 3),
    ):
        done = run(site.directory, *words)
        assert done.status == status, (words, done.err[-2000:])
        assert not any(word.encode() in done.err for word in WORST), words

"""Digests of large files are remembered from run to run, as long as nothing about the file changes."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.repository import digests
from pytest_synctool.repository.digests import Digests, Memory

LARGE = 1 << 20
WRONG = "0" * 32


class Site:
    """A large file that has kept still, and what is remembered of it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = directory / "large"
        self.file.write_bytes(b"x" * LARGE)
        self.lines = directory / "cache" / "digests"
        later = max(self.file.stat().st_mtime_ns, self.file.stat().st_ctime_ns) + 3_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: later)

    def md5(self) -> str:
        """The digest, as another run finds it."""
        return Digests(Memory(self.lines)).of(os.fsencode(self.file))[1]

    def true(self) -> str:
        """The digest of what is there."""
        return hashlib.md5(self.file.read_bytes()).hexdigest()

    def lie(self) -> None:
        """Change what is remembered, so that it shows where it is believed."""
        self.lines.write_text(self.lines.read_text().rpartition(" ")[0] + f" {WRONG}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """One in a directory of its own."""
    return Site(tmp_path, monkeypatch)


def test_it_is_read_once(site: Site) -> None:
    assert site.md5() == site.true()
    assert site.lines.stat().st_mode & 0o777 == 0o600
    site.lie()
    assert site.md5() == WRONG


def test_any_change_counts(site: Site) -> None:
    """Also one that leaves size and time of the content alone."""
    assert site.md5() == site.true()
    site.lie()
    before = site.file.stat()
    with site.file.open("r+b") as file:
        file.write(b"y")
    os.utime(site.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site.file.stat().st_mtime_ns == before.st_mtime_ns
    assert site.md5() == site.true()


def test_what_has_just_changed_is_not_remembered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = site.file.stat().st_ctime_ns + 1_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    assert site.md5() == site.true()
    assert not site.lines.exists()


def test_small_files_are_not_remembered(site: Site) -> None:
    site.file.write_bytes(b"x" * (LARGE - 1))
    assert site.md5() == site.true()
    assert not site.lines.exists()


@pytest.mark.parametrize("spoil", ["others may write", "a link", "garbage", "a directory", "unreadable place"])
def test_what_cannot_be_trusted_is_not_believed(site: Site, spoil: str) -> None:
    assert site.md5() == site.true()
    site.lie()
    if spoil == "others may write":
        site.lines.chmod(0o622)
    elif spoil == "a link":
        site.lines.rename(site.lines.with_name("elsewhere"))
        site.lines.symlink_to("elsewhere")
    elif spoil == "garbage":
        site.lines.write_bytes(b"\xff\0 1 2 3\n" + site.lines.read_bytes().replace(WRONG.encode(), b"short"))
    else:
        site.lines.unlink()
        if spoil == "a directory":
            site.lines.mkdir()
        else:
            site.lines.parent.rmdir()
            site.lines.parent.write_text("")
    assert site.md5() == site.true()


def test_it_does_not_grow_forever(site: Site) -> None:
    assert site.md5() == site.true()
    with site.lines.open("ab") as file:
        file.write(b"x\n" * (digests._MOST // 2))
    site.file.write_bytes(b"y" * LARGE)
    assert site.md5() == site.true()
    assert len(site.lines.read_text().splitlines()) == 1


@given(st.lists(st.tuples(*[st.integers(0, 2**63)] * 5), max_size=5, unique=True), st.binary(max_size=40))
def test_what_is_written_is_read(versions: list[tuple[int, int, int, int, int]], noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "digests")
        path.write_bytes(noise + b"\n")
        path.chmod(0o600)
        for number, version in enumerate(versions):
            Memory(path).put(version, f"{number:032x}")
        memory = Memory(path)
        assert [memory.get(version) for version in versions] == [f"{n:032x}" for n in range(len(versions))]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for given_, expected in (
        ("", "/home/somebody/.cache"),
        ("/elsewhere", "/elsewhere"),
        ("here", "/home/somebody/.cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", given_)
        assert Memory.of_user()._path == Path(expected, "pytest-synctool", "digests")

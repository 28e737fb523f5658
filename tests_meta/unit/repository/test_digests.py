"""The digests of large files are kept from run to run as long as the file does not change."""

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
from pytest_synctool.repository.digests import DigestFile, Digests, FileVersion

LARGE = 1 << 20
WRONG = "0" * 32


class Site:
    """A large file that has not changed for a while, and the file of digests."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = directory / "large"
        self.file.write_bytes(b"x" * LARGE)
        self.lines = directory / "cache" / "digests"
        later = max(self.file.stat().st_mtime_ns, self.file.stat().st_ctime_ns) + 3_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: later)

    def md5(self) -> str:
        """Return the digest that another run gets."""
        return Digests(DigestFile(self.lines)).of(os.fsencode(self.file))[1]

    def true(self) -> str:
        """Return the digest of the current content."""
        return hashlib.md5(self.file.read_bytes()).hexdigest()

    def lie(self) -> None:
        """Replace the kept digest by a wrong one, so that a test sees where it is used."""
        self.lines.write_text(self.lines.read_text().rpartition(" ")[0] + f" {WRONG}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site in a directory of its own."""
    return Site(tmp_path, monkeypatch)


def test_later_runs_do_not_read_a_file_that_has_not_changed(site: Site) -> None:
    assert site.md5() == site.true()
    assert site.lines.stat().st_mode & 0o777 == 0o600
    site.lie()
    assert site.md5() == WRONG


def test_a_changed_file_is_read_even_if_its_size_and_content_time_are_the_same(site: Site) -> None:
    assert site.md5() == site.true()
    site.lie()
    before = site.file.stat()
    with site.file.open("r+b") as file:
        file.write(b"y")
    os.utime(site.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site.file.stat().st_mtime_ns == before.st_mtime_ns
    assert site.md5() == site.true()


def test_the_digest_of_a_file_that_has_just_changed_is_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = site.file.stat().st_ctime_ns + 1_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    assert site.md5() == site.true()
    assert not site.lines.exists()


def test_digests_of_small_files_are_not_kept(site: Site) -> None:
    site.file.write_bytes(b"x" * (LARGE - 1))
    assert site.md5() == site.true()
    assert not site.lines.exists()


@pytest.mark.parametrize("spoil", ["others may write", "a link", "garbage", "a directory", "unreadable place"])
def test_a_file_of_digests_that_cannot_be_trusted_is_ignored(site: Site, spoil: str) -> None:
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


def test_a_file_of_digests_that_is_too_large_is_emptied(site: Site) -> None:
    assert site.md5() == site.true()
    with site.lines.open("ab") as file:
        file.write(b"x\n" * (digests._MOST // 2))
    site.file.write_bytes(b"y" * LARGE)
    assert site.md5() == site.true()
    assert len(site.lines.read_text().splitlines()) == 1


_versions = st.builds(FileVersion, *[st.integers(0, 2**63)] * 5)


@given(st.lists(_versions, max_size=5, unique=True), st.binary(max_size=40))
def test_kept_digests_are_read_back(versions: list[FileVersion], noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "digests")
        path.write_bytes(noise + b"\n")
        path.chmod(0o600)
        for number, version in enumerate(versions):
            DigestFile(path).put(version, f"{number:032x}")
        kept = DigestFile(path)
        assert [kept.get(version) for version in versions] == [f"{n:032x}" for n in range(len(versions))]


def test_the_file_of_digests_lies_in_the_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for cache_home, expected in (
        ("", "/home/somebody/.cache"),
        ("/elsewhere", "/elsewhere"),
        ("here", "/home/somebody/.cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", cache_home)
        assert DigestFile.of_user()._path == Path(expected, "pytest-synctool", "digests")

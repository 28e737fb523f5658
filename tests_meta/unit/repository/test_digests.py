"""The digests of sources are kept from run to run as long as a file does not change."""

from __future__ import annotations

import hashlib
import os
import pwd
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common import cache_directory
from pytest_synctool.repository import digest_file, digests
from pytest_synctool.repository.digest_file import DigestFile, version_of
from pytest_synctool.repository.digests import Digests, is_local, is_old

LARGE = 1 << 20
WRONG = bytes(16)


class Site:
    """A file that has not changed for a while, and the file of digests."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = directory / "source"
        self.file.write_bytes(b"x" * 1000)
        self.kept = directory / "cache" / "digests-1"
        self.is_local = True
        later = max(self.file.stat().st_mtime_ns, self.file.stat().st_ctime_ns) + 3_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: later)

    def digests(self) -> Digests:
        """Return the digests of another run."""
        return Digests(DigestFile(self.kept), self.file.stat().st_dev if self.is_local else None)

    def md5(self) -> str:
        """Return the digest that another run gets, which keeps it."""
        of = self.digests()
        md5 = of.kept(self.file.lstat()) or of.of(os.fsencode(self.file))[1]
        of.walked()
        of.store()
        return md5

    def true(self) -> str:
        """Return the digest of the current content."""
        return hashlib.md5(self.file.read_bytes()).hexdigest()

    def lie(self) -> None:
        """Replace the kept digests by wrong ones, so that a test sees where they are used."""
        file = DigestFile(self.kept)
        file.write(dict.fromkeys(file.read(), WRONG))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site in a directory of its own."""
    return Site(tmp_path, monkeypatch)


def test_later_runs_do_not_read_a_file_that_has_not_changed(site: Site) -> None:
    assert site.md5() == site.true()
    assert site.kept.stat().st_mode & 0o777 == 0o600
    assert site.kept.parent.stat().st_mode & 0o777 == 0o700
    site.lie()
    assert site.md5() == WRONG.hex()


def test_no_digests_are_written_again_that_are_there(site: Site) -> None:
    assert site.md5() == site.true()
    before = site.kept.stat().st_ino
    assert site.md5() == site.true()
    assert site.kept.stat().st_ino == before


@pytest.mark.parametrize("is_local", [True, False])
def test_a_changed_file_is_read_even_if_its_size_and_content_time_are_the_same(site: Site, is_local: bool) -> None:
    site.is_local = is_local
    site.file.write_bytes(b"x" * LARGE)
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
    assert not site.kept.exists()


def test_a_file_from_the_future_is_not_kept(site: Site) -> None:
    os.utime(site.file, (2e10, 2e10))  # and its time has more than 63 bits in nanoseconds
    assert site.md5() == site.true()
    assert not site.kept.exists()


@pytest.mark.parametrize(("size", "is_kept"), [(LARGE, True), (LARGE - 1, False)])
def test_elsewhere_large_files_are_kept_and_opened_before_that_counts(site: Site, size: int, is_kept: bool) -> None:
    site.is_local = False
    site.file.write_bytes(b"x" * size)
    assert site.md5() == site.true()
    assert site.kept.exists() == is_kept
    site.lie()
    assert site.digests().kept(site.file.lstat()) is None
    assert site.digests().of(os.fsencode(site.file))[1] == (WRONG.hex() if is_kept else site.true())


def test_all_names_of_a_file_have_its_digest(site: Site) -> None:
    other = site.file.with_name("other")
    other.hardlink_to(site.file)
    for _ in range(2):
        of = site.digests()
        found = {of.kept(name.lstat()) or of.of(os.fsencode(name))[1] for name in (site.file, other)}
        of.store()
        assert found == {site.true()}
    of = site.digests()
    assert of.kept(site.file.lstat()) == of.kept(other.lstat()) == site.true()


def test_digests_of_files_that_are_gone_are_forgotten(site: Site) -> None:
    gone = site.file.with_name("gone")
    gone.write_bytes(b"gone")
    for path in (site.file, gone):
        site.file = path
        of = site.digests()
        of.of(os.fsencode(path))
        of.store()
    file = DigestFile(site.kept)
    assert len(file.read()) == 2
    for number in range(3):  # more than a walk asks for
        file.write({**file.read(), version_of(gone.stat())[:-1] + bytes([number]): WRONG})
    assert site.md5() == site.true()
    assert file.read().keys() == {version_of(gone.stat())}


@pytest.mark.parametrize(
    "spoil",
    [
        *("others may write", "others may write beside it", "a link to where others may write", "garbage", "one bit"),
        *("cut", "of another release", "a directory", "unreadable place"),
    ],
)
def test_a_file_of_digests_that_cannot_be_trusted_is_ignored(site: Site, spoil: str) -> None:
    assert site.md5() == site.true()
    site.lie()
    whole = site.kept.read_bytes()
    if spoil == "others may write":
        site.kept.chmod(0o622)
    elif spoil == "others may write beside it":
        site.kept.parent.chmod(0o777)
    elif spoil == "a link to where others may write":
        site.kept.parent.chmod(0o777)
        site.kept.parent.rename(site.kept.parent.with_name("elsewhere"))
        site.kept.parent.symlink_to("elsewhere")
    elif spoil in ("garbage", "one bit", "cut", "of another release"):
        flipped = whole[:-1] + bytes([whole[-1] ^ 1])
        spoilt = {"garbage": b"\xff\0 1 2 3\n", "one bit": flipped, "cut": whole[:-56]}
        site.kept.write_bytes(spoilt.get(spoil, whole.replace(b"digests 1", b"digests 0")))
    else:
        site.kept.unlink()
        if spoil == "a directory":
            site.kept.mkdir()
        else:
            site.kept.parent.rmdir()
            site.kept.parent.write_text("")
    assert site.md5() == site.true()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_digests_of_another_user_are_ignored(site: Site) -> None:
    assert site.md5() == site.true()
    site.lie()
    os.chown(site.kept, 65534, 65534)
    assert site.md5() == site.true()


def test_there_are_only_so_many_digests_and_files(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_file, "_MOST_RECORDS", 3)
    monkeypatch.setattr(digest_file, "_MOST_FILES", 2)
    of_a_killed_run = site.kept.with_name(".digests-9.0123")
    of_a_killed_run.parent.mkdir(parents=True)
    of_a_killed_run.write_bytes(b"half")
    os.utime(of_a_killed_run, (1, 1))
    for number in range(4):
        DigestFile(site.kept.with_name(f"digests-{number}")).write({bytes([n] * 40): WRONG for n in range(5)})
    names = sorted(each.name for each in site.kept.parent.iterdir())
    assert names == ["digests-2", "digests-3"]
    assert [version[0] for version in DigestFile(site.kept.with_name(names[0])).read()] == [2, 3, 4]


_versions = st.dictionaries(st.binary(min_size=40, max_size=40), st.binary(min_size=16, max_size=16), max_size=5)


@given(_versions, st.binary(max_size=40))
def test_kept_digests_are_read_back_and_noise_is_none(versions: dict[bytes, bytes], noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "digests-1")
        DigestFile(path).write(versions)
        assert DigestFile(path).read() == versions
        with path.open("ab") as file:
            file.write(noise)
        assert DigestFile(path).read() == ({} if noise else versions)


def test_the_files_of_digests_lie_in_the_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache" / "pytest-synctool"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    status = tmp_path.stat()
    file = DigestFile.of(status)
    assert file is not None
    file.write({b"v" * 40: b"m" * 16})
    assert [each.name for each in cache.iterdir()] == [f"digests-{status.st_dev:x}-{status.st_ino:x}"]


def test_the_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for home, expected in (
        ("", "/home/somebody/.cache"),
        ("/elsewhere", "/elsewhere"),
        ("here", "/home/somebody/.cache"),
    ):
        assert cache_directory.of_user({"XDG_CACHE_HOME": home}) == Path(expected, "pytest-synctool")


def test_a_user_without_a_home_directory_keeps_no_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(OSError, match="no home directory"):
        cache_directory.of_user()
    assert DigestFile.of(tmp_path.stat()) is None


_TABLE = rb"""22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
24 22 0:40 / /srv/with\040space rw - nfs4 server:/ rw
25 22 0:41 / /srv rw - xfs /dev/sdb rw
26 22 0:42 / /home rw - xfs /dev/sdc rw
27 26 0:43 / /home rw shared:2 master:3 - fuse.sshfs server: rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((b"/etc", True), (b"/proc", False), (b"/srv", True), (b"/srv/x", True), (b"/srv/with space/x", False)),
        *((b"/srvx", True), (b"/procx", True), (b"/home/anna", False)),
    ],
)
def test_a_directory_is_local_by_the_file_system_that_is_mounted_there_last(
    path: bytes, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(_TABLE)
    monkeypatch.setattr(digests, "_MOUNTS", table)
    monkeypatch.setattr(os.path, "realpath", lambda name: name)
    assert is_local(path) is expected


def test_without_a_table_of_mounts_nothing_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_MOUNTS", tmp_path / "none")
    assert not is_local(b"/etc")


@pytest.mark.parametrize(
    ("modified", "changed", "now", "expected"),
    [
        (5_000_000_001, 5_000_000_001, 8_000_000_000, True),
        (5_000_000_001, 5_000_000_001, 7_000_000_000, False),  # just changed
        (9_000_000_001, 5_000_000_001, 8_000_000_000, False),  # the clock was set back
        (5_000_000_000, 5_000_000_000, 8_000_000_000, False),  # in an image, which has no change times
        (4_000_000_000, 5_000_000_000, 8_000_000_000, True),
    ],
)
def test_times_that_show_each_change(modified: int, changed: int, now: int, expected: bool) -> None:
    assert is_old(modified, changed, now) == expected

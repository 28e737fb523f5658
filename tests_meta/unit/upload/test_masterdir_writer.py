"""What is written into a masterdir: whole or not at all, and where it is said, or not at all."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.source import kind_of
from pytest_synctool.upload.masterdir_writer import Store

from tests_meta.unit.helpers import IS_ROOT, lstat_state, snapshot, state

OWN = (os.geteuid(), os.getegid())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A masterdir with a file, a directory, and links that lead out of it."""
    (tmp_path / "master/overlay/d").mkdir(parents=True)
    (tmp_path / "master/overlay/f").write_text("old")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("outside")
    (tmp_path / "master/overlay/out").symlink_to(tmp_path / "outside")
    (tmp_path / "master/overlay/to_file").symlink_to(tmp_path / "outside/f")
    return Store(tmp_path / "master")


class Breaking(io.BytesIO):
    """Contents that break off on the way."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Half of it."""
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(3)


@pytest.mark.parametrize("name", [b"overlay/f", b"overlay/new", b"overlay/d/new", b"overlay/to_file", b"top"])
@pytest.mark.parametrize("mode", [0o600, 0o4755, 0o444, 0])
def test_a_file(store: Store, tmp_path: Path, name: bytes, mode: int) -> None:
    """Complete, with its mode; a link in its place is replaced, not followed."""
    store.file(name, io.BytesIO(b"content" * 160_000), mode, OWN)
    path = tmp_path / "master" / os.fsdecode(name)
    assert not path.is_symlink()
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) == (mode, 1_120_000)
    assert (tmp_path / "outside/f").read_text() == "outside"
    assert not list((tmp_path / "master").rglob(".synctool*"))


def test_a_file_that_breaks_off(store: Store, tmp_path: Path) -> None:
    """The old one stays, and nothing else."""
    before = snapshot(tmp_path)
    with pytest.raises(RepositoryError, match="overlay/f: Input/output error"):
        store.file(b"overlay/f", Breaking(b"content"), 0o644, OWN)
    after = snapshot(tmp_path)
    # Where something was for a while.
    top = os.fsencode(tmp_path / "master/overlay")
    assert {name for name in before if after.get(name) != before[name]} == {top, top + b"/."}
    assert set(after) == set(before)


def test_a_reader_sees_the_old_or_the_new(store: Store, tmp_path: Path) -> None:
    """While the new one is written, the old one is there."""
    path = tmp_path / "master/overlay/f"

    class Watching(io.BytesIO):
        """Contents that look at the file while they are read."""

        def read(self, size: int | None = -1, /) -> bytes:
            """The next part."""
            assert path.read_text() == "old"
            others = [each for each in path.parent.iterdir() if each.name.startswith(".synctool")]
            assert [stat.S_IMODE(each.stat().st_mode) for each in others] == [0o600]
            return super().read(size)

    store.file(b"overlay/f", Watching(b"new"), 0o644, OWN)
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "write",
    [
        lambda store, name: store.file(name, io.BytesIO(b"x"), 0o644, OWN),
        lambda store, name: store.link(name, b"x", OWN),
        lambda store, name: store.directory(name, 0o755, OWN),
        lambda store, name: store.attributes(name, state(), OWN),
        lambda store, name: store.check(name, None),
    ],
)
def test_nothing_goes_through_a_link(store: Store, tmp_path: Path, write: Callable[[Store, bytes], None]) -> None:
    before = snapshot(tmp_path)
    for name in (b"overlay/out/f", b"overlay/out/d/f", b"overlay/f/f"):
        with pytest.raises(RepositoryError, match="is not a directory, and nothing is written through it"):
            write(store, name)
    assert snapshot(tmp_path) == before


def test_overlay_may_be_a_link_itself(store: Store, tmp_path: Path) -> None:
    (tmp_path / "master/overlay").rename(tmp_path / "elsewhere")
    (tmp_path / "master/overlay").symlink_to("../elsewhere")
    store.directory(b"overlay/d/e", 0o2750, OWN)
    store.link(b"overlay/d/e/link", b"nowhere", OWN)
    made = tmp_path / "elsewhere/d/e"
    assert stat.S_IMODE(made.stat().st_mode) == 0o2750
    assert (made / "link").readlink() == Path("nowhere")


@pytest.mark.skipif(not IS_ROOT, reason="changes owners, needs root")
def test_owners(store: Store, tmp_path: Path) -> None:
    """setuid is left when the owner changes; a link's own owner is meant."""
    store.file(b"overlay/f", io.BytesIO(b"x"), 0o6755, (12, 34))
    store.link(b"overlay/link", b"f", (56, 78))
    store.attributes(b"overlay/link", state(Kind.LINK), (5, 7))
    store.attributes(b"overlay/d", state(Kind.DIRECTORY, mode=0o1700), (1, 2))
    found = [(tmp_path / "master/overlay" / name).lstat() for name in ("f", "link", "d")]
    assert [(each.st_uid, each.st_gid) for each in found] == [(12, 34), (5, 7), (1, 2)]
    assert [stat.S_IMODE(each.st_mode) for each in found[::2]] == [0o6755, 0o1700]


def test_what_was_seen_before(store: Store, tmp_path: Path) -> None:
    seen = lstat_state(os.fsencode(tmp_path / "master/overlay/f"))
    assert isinstance(seen, FileState)
    store.check(b"overlay/f", seen)
    store.check(b"overlay/new", None)
    store.check(b"overlay/not/yet/there", None)
    (tmp_path / "master/overlay/f").write_text("changed")
    for name, existing, reason in (
        (b"overlay/f", seen, "overlay/f has changed since"),
        (b"overlay/f", None, "overlay/f is there already, and stands for nothing"),
        (b"overlay/out", None, "overlay/out is there already"),
        (b"overlay/gone", seen, "overlay/gone has gone since"),
    ):
        with pytest.raises(RepositoryError, match=reason):
            store.check(name, existing)
    assert kind_of((tmp_path / "master/overlay/out").lstat().st_mode) is Kind.LINK


def test_names_that_are_too_long(store: Store) -> None:
    name = b"overlay/" + b"x" * 300
    with pytest.raises(RepositoryError, match="xxx: File name too long"):
        store.check(name, None)
    with pytest.raises(RepositoryError, match="xxx: File name too long"):
        store.link(name, b"x", OWN)

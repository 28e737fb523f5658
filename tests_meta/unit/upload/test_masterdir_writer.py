"""The writer of files in a masterdir: a file is written completely or not at all, and never through a link."""

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
from pytest_synctool.upload.masterdir_writer import MasterdirWriter, OwnerIds

from tests_meta.unit.helpers import IS_ROOT, lstat_state, snapshot, state

OWN = OwnerIds(os.geteuid(), os.getegid())


@pytest.fixture
def writer(tmp_path: Path) -> MasterdirWriter:
    """A writer for a masterdir with a file, a directory, and links that lead out of it."""
    (tmp_path / "master/overlay/d").mkdir(parents=True)
    (tmp_path / "master/overlay/f").write_text("old")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("outside")
    (tmp_path / "master/overlay/out").symlink_to(tmp_path / "outside")
    (tmp_path / "master/overlay/to_file").symlink_to(tmp_path / "outside/f")
    return MasterdirWriter(tmp_path / "master")


class Breaking(io.BytesIO):
    """Contents that end with an error after three bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return three bytes, then fail."""
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(3)


@pytest.mark.parametrize("name", [b"overlay/f", b"overlay/new", b"overlay/d/new", b"overlay/to_file", b"top"])
@pytest.mark.parametrize("mode", [0o600, 0o4755, 0o444, 0])
def test_a_file_is_complete(writer: MasterdirWriter, tmp_path: Path, name: bytes, mode: int) -> None:
    """The file has its mode. A link with its name is replaced, not followed."""
    writer.file(name, io.BytesIO(b"content" * 160_000), mode, OWN)
    path = tmp_path / "master" / os.fsdecode(name)
    assert not path.is_symlink()
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) == (mode, 1_120_000)
    assert (tmp_path / "outside/f").read_text() == "outside"
    assert not list((tmp_path / "master").rglob(".synctool*"))


def test_a_failed_write_leaves_the_old_file(writer: MasterdirWriter, tmp_path: Path) -> None:
    """The old file stays, and the writer leaves no other file."""
    before = snapshot(tmp_path)
    with pytest.raises(RepositoryError, match="overlay/f: Input/output error"):
        writer.file(b"overlay/f", Breaking(b"content"), 0o644, OWN)
    after = snapshot(tmp_path)
    # The temporary file has changed the directory that it was in.
    top = os.fsencode(tmp_path / "master/overlay")
    assert {name for name in before if after.get(name) != before[name]} == {top, top + b"/."}
    assert set(after) == set(before)


def test_a_reader_sees_the_old_or_the_new_file(writer: MasterdirWriter, tmp_path: Path) -> None:
    """The old file stays in place while the writer writes the new one."""
    path = tmp_path / "master/overlay/f"

    class Watching(io.BytesIO):
        """Contents that check the old file while the writer reads them."""

        def read(self, size: int | None = -1, /) -> bytes:
            """Check the old file, then return the next part."""
            assert path.read_text() == "old"
            others = [each for each in path.parent.iterdir() if each.name.startswith(".synctool")]
            assert [stat.S_IMODE(each.stat().st_mode) for each in others] == [0o600]
            return super().read(size)

    writer.file(b"overlay/f", Watching(b"new"), 0o644, OWN)
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "write",
    [
        lambda writer, name: writer.file(name, io.BytesIO(b"x"), 0o644, OWN),
        lambda writer, name: writer.link(name, b"x", OWN),
        lambda writer, name: writer.directory(name, 0o755, OWN),
        lambda writer, name: writer.attributes(name, state(), OWN),
        lambda writer, name: writer.check(name, None),
    ],
)
def test_nothing_is_written_through_a_link(
    writer: MasterdirWriter, tmp_path: Path, write: Callable[[MasterdirWriter, bytes], None]
) -> None:
    before = snapshot(tmp_path)
    for name in (b"overlay/out/f", b"overlay/out/d/f", b"overlay/f/f"):
        with pytest.raises(RepositoryError, match="is not a directory, so nothing is written below it"):
            write(writer, name)
    assert snapshot(tmp_path) == before


def test_overlay_may_be_a_link_itself(writer: MasterdirWriter, tmp_path: Path) -> None:
    (tmp_path / "master/overlay").rename(tmp_path / "elsewhere")
    (tmp_path / "master/overlay").symlink_to("../elsewhere")
    writer.directory(b"overlay/d/e", 0o2750, OWN)
    writer.link(b"overlay/d/e/link", b"nowhere", OWN)
    made = tmp_path / "elsewhere/d/e"
    assert stat.S_IMODE(made.stat().st_mode) == 0o2750
    assert (made / "link").readlink() == Path("nowhere")


@pytest.mark.skipif(not IS_ROOT, reason="changes owners, needs root")
def test_owners_are_set(writer: MasterdirWriter, tmp_path: Path) -> None:
    """A change of owner keeps setuid. A link gets the owner itself, not its target."""
    writer.file(b"overlay/f", io.BytesIO(b"x"), 0o6755, OwnerIds(12, 34))
    writer.link(b"overlay/link", b"f", OwnerIds(56, 78))
    writer.attributes(b"overlay/link", state(Kind.LINK), OwnerIds(5, 7))
    writer.attributes(b"overlay/d", state(Kind.DIRECTORY, mode=0o1700), OwnerIds(1, 2))
    states = [(tmp_path / "master/overlay" / name).lstat() for name in ("f", "link", "d")]
    assert [(each.st_uid, each.st_gid) for each in states] == [(12, 34), (5, 7), (1, 2)]
    assert [stat.S_IMODE(each.st_mode) for each in states[::2]] == [0o6755, 0o1700]


def test_a_source_that_changed_meanwhile_is_not_overwritten(writer: MasterdirWriter, tmp_path: Path) -> None:
    seen = lstat_state(os.fsencode(tmp_path / "master/overlay/f"))
    assert isinstance(seen, FileState)
    writer.check(b"overlay/f", seen)
    writer.check(b"overlay/new", None)
    writer.check(b"overlay/not/yet/there", None)
    (tmp_path / "master/overlay/f").write_text("changed")
    for name, existing, reason in (
        (b"overlay/f", seen, "overlay/f has changed since"),
        (b"overlay/f", None, "overlay/f exists already but is not a source"),
        (b"overlay/out", None, "overlay/out exists already"),
        (b"overlay/gone", seen, "overlay/gone has vanished since"),
    ):
        with pytest.raises(RepositoryError, match=reason):
            writer.check(name, existing)
    assert kind_of((tmp_path / "master/overlay/out").lstat().st_mode) is Kind.LINK


def test_names_that_are_too_long_are_refused(writer: MasterdirWriter) -> None:
    name = b"overlay/" + b"x" * 300
    with pytest.raises(RepositoryError, match="xxx: File name too long"):
        writer.check(name, None)
    with pytest.raises(RepositoryError, match="xxx: File name too long"):
        writer.link(name, b"x", OWN)

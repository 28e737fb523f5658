"""Sources: each file is read once, on first use, and again after a change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.config import parse
from pytest_synctool.repository.digests import Digests
from pytest_synctool.repository.resolution import Repository, load

from tests_meta.unit.helpers import config


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that gets an item for each file that is read from now on."""
    reads: list[bytes] = []
    plain = hashlib.md5

    def md5(*arguments: bytes, usedforsecurity: bool = True) -> object:
        reads.append(b"file")
        return plain(*arguments, usedforsecurity=usedforsecurity)

    monkeypatch.setattr(hashlib, "md5", md5)
    return reads


def repository(tmp_path: Path) -> Repository:
    cluster = config(tmp_path, "node a x", "node b y")
    overlay = cluster.masterdir / "overlay"
    overlay.mkdir()
    (overlay / "f._all").write_text("content")
    os.link(overlay / "f._all", overlay / "g._x")
    (overlay / "h._y").write_text("other")
    return load(cluster)


def test_a_file_is_read_once_and_on_first_use(tmp_path: Path, read: list[bytes]) -> None:
    """This holds for two nodes with the same source, and for two names of the same file."""
    walked = repository(tmp_path)
    nodes = parse("masterdir master\nnode a x\nnode b y\n", tmp_path / "synctool.conf").nodes
    entries = [entry for node in nodes.values() for entry in walked.entries(node)]
    assert read == []
    expected = {entry.destination: entry.expected for entry in entries}
    assert [entry.expected for entry in entries] == [expected[entry.destination] for entry in entries]
    assert len(read) == 2  # f and g are the same file
    assert expected[b"/f"].md5 == expected[b"/g"].md5 == hashlib.md5(b"content").hexdigest()


def replaced(path: Path) -> None:
    """Replace a file by another one with the same content and time."""
    times = path.stat()
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.rename(path)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.write_bytes(b"longer content"), id="size"),
        pytest.param(lambda path: os.utime(path, ns=(1, 1)), id="time"),
        pytest.param(replaced, id="inode"),
    ],
)  # fmt: skip
def test_a_changed_file_is_read_again(tmp_path: Path, read: list[bytes], change: Callable[[Path], object]) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"content")
    digests = Digests()
    name = os.fsencode(path)
    assert digests.of(name) == digests.of(name) == (7, hashlib.md5(b"content").hexdigest())
    before = len(read)
    change(path)
    size, digest = digests.of(name)
    assert len(read) == before + 1
    assert (size, digest) == (path.stat().st_size, hashlib.md5(path.read_bytes()).hexdigest())


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Digests().of(os.fsencode(tmp_path / "gone"))

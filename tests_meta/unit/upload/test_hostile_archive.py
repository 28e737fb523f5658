"""Archives that no honest node sends: they cost little memory and time, and end as RemoteError."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.errors import RemoteError
from pytest_synctool.upload import node_archive
from pytest_synctool.upload.node_archive import MOST_FILES, read

from tests_meta.unit.upload.test_node_archive import BEGUN, END, TOP, answer, member

MB = 1_000_000


@contextmanager
def little(megabytes: int = 10, seconds: float = 5) -> Iterator[None]:
    """Assert that the body needs little memory and time."""
    began = time.process_time()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * MB
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < seconds


def header(name: str, kind: bytes, size: int) -> bytes:
    """Return one header, of which the contents do not follow."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


DIRECTORY = header("./d/", tarfile.DIRTYPE, 0)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_of_many_megabytes(kind: bytes) -> None:
    with tempfile.TemporaryFile() as stream:  # the file has a hole and no blocks
        stream.write(BEGUN + DIRECTORY + header("././@LongLink", kind, 200 * MB))
        stream.seek(200 * MB, os.SEEK_CUR)
        stream.write(END)
        with little(), pytest.raises(RemoteError, match="an entry is too long"):
            read(b"/d", stream)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_of_headers(kind: bytes) -> None:
    """tarfile calls itself for each."""
    nested = (header("././@LongLink", kind, 10) + bytes(512)) * 20_000
    stream = io.BytesIO(BEGUN + DIRECTORY + nested + END)
    with little(), pytest.raises(RemoteError):
        read(b"/d", stream)


def test_a_list_of_holes_without_end() -> None:
    block = bytearray(header("./d/e", tarfile.GNUTYPE_SPARSE, 0))
    block[482] = 1  # more blocks of the list follow
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 8 * 32)
    more = (b"00000000001\0" * 42)[:504] + b"\1" + bytes(7)
    stream = io.BytesIO(BEGUN + DIRECTORY + bytes(block) + more * 10_000 + END)
    with little(), pytest.raises(RemoteError, match="an entry is too long"):
        read(b"/d", stream)


def test_many_files() -> None:
    entries = b"".join(header(f"./d/{number}", tarfile.REGTYPE, 0) for number in range(MOST_FILES + 1))
    stream = io.BytesIO(BEGUN + DIRECTORY + entries + bytes(1024) + END)
    with little(megabytes=60, seconds=20), pytest.raises(RemoteError, match=r"more than 20,000 files"):
        read(b"/d", stream)


def test_many_long_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_archive, "_MOST_NAMES", 10_000)
    names = (member(f"./d/{number}/{'x' * 90}") for number in itertools.count())
    with pytest.raises(RemoteError, match="too long names"):
        read(b"/d", io.BytesIO(answer([TOP, *itertools.islice(names, 200)])))


@pytest.mark.parametrize("name", ["x" * 4096, "/".join("x" * 101)])
def test_a_name_that_is_too_long_or_too_deep(name: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(TOP[0])
        tar.addfile(member(f"./d/{name}")[0])
    with pytest.raises(RemoteError, match="which is too long or too deep"):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


@pytest.mark.parametrize("field", ["uname", "gname", "linkpath"])
def test_a_long_owner_or_target(field: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(TOP[0])
        info, _ = member("./d/e", tarfile.SYMTYPE, target="x")
        info.pax_headers = {field: "9" * 5_000}
        tar.addfile(info)
    with pytest.raises(RemoteError, match=r"with an impossible owner|with an impossible target"):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


def test_many_names_of_one_large_file() -> None:
    """Its contents are read once."""
    links = [member(f"./d/{number}", tarfile.LNKTYPE, target="./d/e") for number in range(2_000)]
    stream = io.BytesIO(answer([TOP, member("./d/e", content=bytes(5 * MB)), *links]))
    with little(megabytes=20):
        archive = read(b"/d", stream)
    assert len({each.state.md5 for each in archive.files}) == 2


def test_a_file_that_is_longer_than_the_answer() -> None:
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(BEGUN + DIRECTORY + header("./d/e", tarfile.REGTYPE, 1 << 60) + END))


def test_a_probe_without_end() -> None:
    stream = io.BytesIO(b"x" * 100 * MB + END)
    with little(), pytest.raises(RemoteError, match="not whole"):
        read(b"/d", stream)


WHOLE = answer([TOP, member("./d/e", content=b"content"), member("./d/f", tarfile.SYMTYPE, target="e")])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=12)), max_size=6))
def test_any_damage_is_refused_or_harmless(damages: list[tuple[int, bytes]]) -> None:
    stream = bytearray(WHOLE)
    for at, data in damages:
        stream[at : at + len(data)] = data
    for block in range(len(BEGUN), len(stream) - 512, 512):  # with right sums, so that damage goes further
        with_sum = stream[block : block + 512]
        stream[block + 148 : block + 156] = b"%06o\0 " % (sum(with_sum[:148]) + sum(with_sum[156:]) + 8 * 32)
    try:
        archive = read(b"/d", io.BytesIO(stream))
    except RemoteError:
        return
    assert all(each.path == b"/d" or each.path.startswith(b"/d/") for each in archive.files)

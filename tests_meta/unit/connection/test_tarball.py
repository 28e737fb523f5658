"""tar streams: what goes into one comes out of it."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shell import COMPLETE
from pytest_synctool.connection import tarball

from tests_meta.unit.helpers import IS_ROOT

NAMES = st.binary(min_size=1, max_size=120).filter(
    lambda name: not {0, ord("/")} & {*name} and name not in (b".", b"..")
)
# tar has eleven octal digits for a size and a time, and seven for the number of an account.
TIMES = st.one_of(st.integers(-(2**31), 2**31), st.sampled_from((-1, 0, 0o77777777777, 0o77777777777 + 1)))
ACCOUNTS = st.sampled_from((0, 1000, 0o7777777, 0o7777777 + 1, 4_000_000_000))


@given(NAMES, st.integers(0, 0o7777), st.tuples(ACCOUNTS, ACCOUNTS), TIMES, st.binary(max_size=1100))
def test_a_file_comes_out_as_it_went_in(
    name: bytes, mode: int, owners: tuple[int, int], mtime: int, content: bytes
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, os.fsdecode(name))
        path.write_bytes(content)
        if IS_ROOT:
            os.chown(path, *owners)
        path.chmod(mode | 0o400)
        os.utime(path, (0, mtime))
        status = path.stat()
        stream = b"".join(tarball.files(os.fsencode(directory), [name], b"place/"))
    with tarfile.open(fileobj=BytesIO(stream), encoding="utf-8", errors="surrogateescape") as tar:
        member, last = tar.getmembers()
        unpacked = tar.extractfile(member)
        assert unpacked is not None
        assert unpacked.read() == content
    assert os.fsencode(member.name) == b"place/" + name
    assert (member.type, member.mode) == (tarfile.REGTYPE, status.st_mode & 0o7777)
    assert (member.uid, member.gid, member.mtime) == (status.st_uid, status.st_gid, int(status.st_mtime))
    assert last.name == "place/" + COMPLETE

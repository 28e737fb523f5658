"""What a node tells of large files, in real shells: a file that is what it was is not read, and any other one is."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit import probe, remembered
from pytest_synctool.audit.digest_memory import DigestMemory, NodeMemory
from pytest_synctool.audit.probe import Request
from pytest_synctool.audit.remembered import NOTHING, Remembered
from pytest_synctool.common.shell import argument_size, whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import FileState, Node, Unknown

from tests_meta.unit.helpers import IS_ROOT, NOBODY, Shell, lstat_state

with_programs = pytest.mark.parametrize("shell", ["dash", "bash"], indirect=True)
needs_root = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

CONTENT = b"content"
WRONG = "0" * 32
STAMP = b"7:8:7:90:100:1970-01-01 00:01:30.5 +0000:1970-01-01 00:01:40.000000001 +0000"
# Of a file in an image: another image with the same time of all files may have other contents there.
IMAGE = b"7:8:7:90:90:1970-01-01 00:01:30.000000000 +0000:1970-01-01 00:01:30.000000000 +0000"
MD5 = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def later(shell: Shell, files: list[Path], tmp_path: Path) -> Shell:
    """Return each shell, with a clock on which all files are old."""
    if shell.name == "busybox":  # its shell takes no other programs than its own
        wait = "until [ $(date +%s) -gt $(($(stat -c %Z '{}') + 3)) ]; do sleep 0.1; done"
        shell.run(wait.format(files[-1]).encode())
        return shell
    return with_program(shell, tmp_path, "date", "echo 9999999999")


def with_program(shell: Shell, directory: Path, name: str, text: str) -> Shell:
    """Return a shell that finds this program first."""
    program = directory / name
    program.write_text(f"#!{shutil.which('dash')}\n{text}\n")
    program.chmod(0o755)
    if str(directory) in shell.env["PATH"]:
        return shell
    return replace(shell, env={**shell.env, "PATH": f"{directory}:{shell.env['PATH']}"})


@pytest.fixture
def files(open_directory: Path) -> list[Path]:
    """Return a file of root's, one of another user, one that others can write, and one in a directory of others."""
    (open_directory / "home").mkdir()
    files = [open_directory / name for name in ("root's file", "another's", "shared", "home/file")]
    for file in files:
        file.write_bytes(CONTENT)
    files[2].chmod(0o666)
    if IS_ROOT:
        os.chown(files[1], NOBODY, NOBODY)
        os.chown(open_directory / "home", NOBODY, NOBODY)
    return files


def ask(shell: Shell, memory: NodeMemory, files: Sequence[Path]) -> list[object]:
    """Return the digests or states that an audit with this memory gets of the files."""
    requests = [Request(path, len(CONTENT), b"", None, memory.of(path)) for path in map(os.fsencode, files)]
    answer = shell.run(whole(probe.script(requests)), timeout=60)
    assert answer.stderr == b""
    actual = probe.parse(requests, answer.stdout)
    memory.unread.clear()
    memory.take(requests, answer.stdout, actual)
    return [state.md5 if isinstance(state, FileState) else state for state in actual.values()]


def new_memory() -> NodeMemory:
    """Return a memory that knows nothing."""
    return NodeMemory(Path("/nowhere"), {})


def lie(memory: NodeMemory) -> None:
    """Make all remembered digests wrong."""
    memory.known = {path: replace(each, md5=WRONG) for path, each in memory.known.items()}


def kept(files: Sequence[Path]) -> set[bytes]:
    """Return those that only root can write. The digest of another one is not remembered."""
    return {os.fsencode(file) for file in files if not (file.stat().st_uid or file.stat().st_mode & 0o22)}


def told(files: Sequence[Path]) -> list[object]:
    """Return the digests of an audit that takes wrong ones from its memory."""
    wrong = kept(files)
    return [WRONG if os.fsencode(file) in wrong else md5 for file, md5 in zip(files, true(files), strict=True)]


def true(files: Sequence[Path]) -> list[object]:
    """Return the digests as Python computes them."""
    states = [lstat_state(os.fsencode(file), size=len(CONTENT)) for file in files]
    return [state.md5 for state in states if isinstance(state, FileState)]


def test_a_file_that_is_what_it_was_is_not_read(later: Shell, files: list[Path]) -> None:
    memory = new_memory()
    assert ask(later, memory, files) == true(files)
    assert memory.unread == set()
    assert set(memory.known) == kept(files)
    lie(memory)
    assert ask(later, memory, files) == told(files)
    assert memory.unread == kept(files)


@pytest.mark.parametrize("theirs", ["chown {nobody}", "chmod 666", "chmod 664"])
@needs_root
def test_what_others_can_write_is_always_read(later: Shell, files: list[Path], theirs: str) -> None:
    """They can change a file through a mapping, and its ctime stays as it is."""
    subprocess.run([*theirs.format(nobody=NOBODY).split(), files[0]], check=True)
    descriptor = os.open(files[0], os.O_RDWR)
    with mmap.mmap(descriptor, len(CONTENT)) as mapped:
        mapped[0] = ord("C")
        subprocess.run(["sh", "-c", f"until [ $(date +%s) -gt $(({int(time.time())} + 3)) ]; do sleep 0.1; done"])
        memory, before = new_memory(), true(files[:1])
        assert ask(later, memory, files[:1]) == before
        mapped[0] = ord("X")
        assert ask(later, memory, files[:1]) == true(files[:1]) != before
    os.close(descriptor)


def test_a_change_is_seen_in_every_userland(userland: Shell, files: list[Path], tmp_path: Path) -> None:
    test_every_change_is_seen(with_program(userland, tmp_path, "date", "echo 9999999999"), files)


def test_every_change_is_seen(later: Shell, files: list[Path]) -> None:
    """Contents with the old time, another file with the old name and time, a change of the mode: all change ctime."""
    memory = new_memory()
    assert ask(later, memory, files) == true(files)
    lie(memory)
    assert ask(later, memory, files) == told(files)
    times = [file.stat() for file in files]
    files[0].write_bytes(b"CONTENT")
    other = files[1].with_name("other")
    other.write_bytes(b"CONTENT")
    other.replace(files[1])
    files[2].chmod(0o600)
    files[3].rename(files[3].with_name("away"))
    files[3].with_name("away").rename(files[3])
    for file, old in zip(files, times, strict=True):
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert ask(later, memory, files) == true(files)
    assert memory.unread == set()


@with_programs
def test_what_has_just_changed_is_not_remembered(shell: Shell, files: list[Path], tmp_path: Path) -> None:
    """Another change within the same tick of the clock would leave all times as they are."""
    now, all_ = int(files[0].stat().st_ctime), len(kept(files))
    for clock, number in ((f"echo {now + 2}", 0), ("false", 0), ("echo today", 0), (f"echo {now + 4}", all_)):
        memory = new_memory()
        assert ask(with_program(shell, tmp_path, "date", clock), memory, files) == true(files)
        assert len(memory.known) == number


@with_programs
def test_what_changes_while_it_is_read_is_not_remembered(shell: Shell, files: list[Path], tmp_path: Path) -> None:
    names = " ".join(f"'{str(file).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'" for file in files)
    changing = with_program(shell, tmp_path, "date", f"chmod a-x {names}; echo 9999999999")
    memory = new_memory()
    assert ask(changing, memory, files) == true(files)
    assert memory.known == {}


@with_programs
@needs_root
def test_a_directory_that_is_exchanged_while_a_file_is_read(shell: Shell, open_directory: Path, tmp_path: Path) -> None:
    """A user who exchanges whole directories changes the ctime of no file in them."""
    home, other, away = (open_directory / name for name in ("home", "other", "away"))
    for directory, content in ((home, b"CONTENT"), (other, CONTENT)):
        directory.mkdir()
        (directory / "file").write_bytes(content)
        os.chown(directory, NOBODY, NOBODY)
    swap = f"mv {home} {away}; mv {other} {home}"
    back = f"mv {home} {other}; mv {away} {home}"
    exchanging = with_program(shell, tmp_path, "date", f"{swap}; echo 9999999999")
    real = shutil.which("md5sum")
    with_program(exchanging, tmp_path, "md5sum", f'{real} "$@"; {back}')
    memory = new_memory()
    ask(exchanging, memory, [home / "file"])
    assert memory.known == {}


def test_nothing_is_taken_from_behind_a_link(later: Shell, files: list[Path]) -> None:
    memory = new_memory()
    ask(later, memory, [files[3]])
    files[3].parent.rename(files[3].parent.with_name("away"))
    files[3].parent.symlink_to("away")
    (state,) = ask(later, memory, [files[3]])
    assert isinstance(state, Unknown)
    assert memory.unread == set()


def answer(*lines: bytes, file: bytes = b"81a4:0") -> bytes:
    """A whole answer about one large file, number 1, that has seven bytes."""
    state = (b"i:0", b"41ed:0:9:0:root:root", b"i:1", file + b":7:0:root:root")
    return b"\n".join((b"synctool-probe", *state, *lines, b"synctool-probe-end", b""))


READ = (b"i:1", MD5.encode() + b"  /d/a", b"o:")


@pytest.mark.parametrize(
    ("lines", "is_known"),
    [
        ([*READ, b"v:1:103:" + STAMP], True),
        ([*READ, b"v:1:102:" + STAMP], False),
        ([b"v:1:103:" + STAMP], False),  # not read
        ([*READ, b"v:0:103:" + STAMP], False),
        ([*READ, b"v:7:103:" + STAMP], False),
        ([*READ, b"v:1:103:" + STAMP.replace(b":7:", b":8:")], False),  # another size
        ([*READ, b"v:1:103:" + IMAGE], False),
        ([*READ, b"v:1:103:" + IMAGE.replace(b".000000000 +0000", b"")], False),
        ([*READ, b"v:1:103:" + IMAGE.replace(b".000", b".001")], True),  # a new file
        ([*READ, b"v:1:103:" + IMAGE.replace(b"90:90", b"90:91").replace(b"30.0", b"31.0", 1)], True),
        ([*READ, b"v:1:103:" + STAMP + b"\x1b"], False),
        ([*READ, b"v:1:103:" + STAMP + b"0" * 200], False),
    ],
)
def test_what_is_remembered(lines: list[bytes], is_known: bool) -> None:
    memory = new_memory()
    requests = [Request(b"/d/a", 7, remembered=NOTHING)]
    memory.take(requests, answer(*lines), probe.parse(requests, answer(*lines)))
    assert {path: each.md5 for path, each in memory.known.items()} == ({b"/d/a": MD5} if is_known else {})


@pytest.mark.parametrize(
    ("file", "is_known"), [(b"81a4:0", True), (b"81a4:7", False), (b"81b4:0", False), (b"81a6:0", False)]
)
def test_what_only_root_can_write_is_remembered(file: bytes, is_known: bool) -> None:
    memory, requests = new_memory(), [Request(b"/d/a", 7, remembered=NOTHING)]
    whole_answer = answer(*READ, b"v:1:103:" + STAMP, file=file)
    memory.take(requests, whole_answer, probe.parse(requests, whole_answer))
    assert bool(memory.known) == is_known


@pytest.mark.parametrize("known", [NOTHING, None])
def test_a_node_cannot_skip_what_was_not_remembered(known: Remembered | None) -> None:
    requests = [Request(b"/d/a", 7, remembered=known)]
    actual = probe.parse(requests, answer(b"q:1"))
    assert isinstance(actual[b"/d/a"], Unknown)
    memory = new_memory()
    memory.take(requests, answer(b"q:1", *READ), probe.parse(requests, answer(b"q:1", *READ)))
    assert memory.unread == set()


_texts = st.one_of(st.binary(max_size=80), st.from_regex(rb"\A[vq]:[0-9:. +-]{0,90}\Z"))


@given(lines=st.lists(_texts, max_size=6))
def test_any_answer_is_understood_or_refused(lines: list[bytes]) -> None:
    requests = [Request(b"/d/a", 7, remembered=Remembered(STAMP, MD5, 0))]
    memory = new_memory()
    try:
        memory.take(requests, answer(*lines), probe.parse(requests, answer(*lines)))
    except RemoteError:
        return
    assert all(each.is_valid for each in memory.known.values())


def test_a_warning_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "pytest-synctool"
    place.symlink_to("nothing")
    problem = "digests cannot be remembered, all files are read: "
    assert DigestMemory.of_user(tmp_path, 7).problem == f"{problem}{place}: File exists"
    place.unlink()
    memory = DigestMemory.of_user(tmp_path, 7).of_node(Node("node1", ("node1", "all"), "node1"))
    assert (memory.path is None) == bool(memory.problem)
    if memory.path is None:
        return
    memory.path.mkdir()
    requests = [Request(b"/d/a", 7, remembered=NOTHING)]
    read = answer(*READ, b"v:1:103:" + STAMP)
    memory.take(requests, read, probe.parse(requests, read))
    memory.save()
    assert memory.problem == f"digests cannot be remembered in {place}/nodes: Is a directory"


def test_a_script_for_large_files_stays_below_the_limit() -> None:
    known = Remembered(STAMP, MD5, 0)
    requests = [Request(b"/srv/%d/some/where/%d" % (n, n), 1 << 20, remembered=known) for n in range(300)]
    parts = list(probe.split(requests, 58_000))
    assert len(parts) > 1
    assert [request for part in parts for request in part] == requests
    assert all(argument_size(probe.script(part)) <= 58_000 for part in parts)


def test_the_smallest_large_file() -> None:
    assert remembered.LARGE == 1 << 20

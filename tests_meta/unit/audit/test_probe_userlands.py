"""The probe with other programs and shells than those of most nodes; with dead and hung mounts; whatever the words."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.audit.probe_timing import TIMING
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Unknown

from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, lstat_state, too_many_links

needs_root = pytest.mark.skipif(not IS_ROOT, reason="mounts, changes owners or the user: needs root")


def ask(shell: Shell, requests: Sequence[Request], user: int | None = None, silence: float = 60) -> dict[bytes, Actual]:
    """Return what a node with this shell answers."""
    answer = shell.run(whole(script(requests, silence)), user=user, timeout=60)
    assert answer.stderr == b""
    return parse(requests, answer.stdout)


@pytest.fixture
def tree(open_directory: Path) -> Path:
    """Return a directory with things of every kind."""
    (open_directory / "file").write_text("abc")
    (open_directory / "link").symlink_to("file")
    (open_directory / "loop").symlink_to("loop")
    too_many_links(open_directory / "long")
    for one, other in (("one", "./other"), ("other", f"../{open_directory.name}/one")):
        (open_directory / one).symlink_to(other)
    (open_directory / "dangling").symlink_to("nowhere")
    (open_directory / "chain").symlink_to("dangling")
    (open_directory / "empty").mkdir()
    (open_directory / "closed").mkdir(mode=0o700)
    (open_directory / "closed/file").write_text("abc")
    (open_directory / "secret").write_text("abc")
    (open_directory / "secret").chmod(0o600)
    for name in ("shared", "yours"):  # others than root can change them
        (open_directory / name).write_text("abc")
    (open_directory / "shared").chmod(0o666)
    os.chown(open_directory / "yours", *(NOBODY, NOBODY) if IS_ROOT else (-1, -1))
    return open_directory


PRESENT: Final = ("file", "link", "loop", "dangling", "empty", "chain", "closed", "shared", "yours")
GONE: Final = (
    *("gone", "gone/below", "file/below", "dangling/below", "chain/below", "empty/gone", "empty/*", "*", "fil"),
    *("loop/below", "loop/below/more", "one/below", "other/file"),
)
UNKNOWN: Final = ("long/file", "n" * 300)


def requests_for(top: Path, names: Sequence[str], *, expected: bool = False) -> list[Request]:
    paths = [os.fsencode(top / name) for name in names]
    return [Request(path, 3, expected=lstat_state(path, size=3) if expected else None) for path in paths]


@pytest.mark.parametrize("expected", [False, True], ids=["drift", "expected"])
def test_every_kind(userland: Shell, tree: Path, expected: bool) -> None:
    names = (*PRESENT, *GONE, *UNKNOWN)
    requests = requests_for(tree, names, expected=False)
    if expected:
        requests = [*requests_for(tree, (*PRESENT, *GONE), expected=True), *requests_for(tree, UNKNOWN)]
    seen = dict(zip(names, ask(userland, requests).values(), strict=True))
    assert {name: seen[name] for name in PRESENT} == {
        name: lstat_state(os.fsencode(tree / name), size=3) for name in PRESENT
    }
    assert {name for name in names if seen[name] is ABSENT} == {*GONE}
    assert {name for name in names if isinstance(seen[name], Unknown)} == {*UNKNOWN}


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("expected", [False, True], ids=["drift", "expected"])
def test_odd_names(userland: Shell, open_directory: Path, kind: str, expected: bool) -> None:
    """One that a program cannot look at or read spoils no other."""
    for name in ODD_NAMES:
        path = open_directory / os.fsdecode(name)
        path.symlink_to(os.fsdecode(name)) if kind == "link" else path.write_bytes(b"abc")
    requests = requests_for(open_directory, [*map(os.fsdecode, ODD_NAMES), "gone"], expected=expected)
    answer = ask(userland, requests)
    assert answer.pop(requests[-1].path) is ABSENT
    if kind == "link" and userland.name == "uutils":  # its readlink prints what is not UTF-8 as U+FFFD
        odd = {path for path, state in answer.items() if isinstance(state, Unknown)}
        assert odd <= {path for path in answer if "\ufffd" in path.decode(errors="replace")}
        requests = [request for request in requests if request.path not in odd]
    assert {path: answer[path] for path in answer if path in {request.path for request in requests}} == {
        request.path: lstat_state(request.path, size=3) for request in requests[:-1]
    }


@needs_root
def test_an_ordinary_user(userland: Shell, tree: Path) -> None:
    names = ("closed/file", "closed/gone", "secret", "file", "gone", "empty/gone")
    answer = [*ask(userland, requests_for(tree, names), NOBODY).values()]
    assert [type(state) for state in answer[:3]] == [Unknown] * 3
    assert answer[3] == lstat_state(os.fsencode(tree / "file"), size=3)
    assert answer[4:] == [ABSENT] * 2


@pytest.mark.parametrize(
    "change", ["rm -r a/b", "rm -r a", "rm -r a/b; ln -s ../c a/b", "rm -r a/b; echo >a/b", "rm a/b/f"]
)
def test_directories_that_are_expected(userland: Shell, tmp_path: Path, change: str) -> None:
    """A directory above files is looked at with them; it has its own result, whatever has become of it."""
    names = ["a", "a/b", "a/b/f", "a/b/g", "c"]
    for name in names:
        make_directory = name in ("a", "a/b", "c")
        (tmp_path / name).mkdir(mode=0o755) if make_directory else (tmp_path / name).write_text("abc")
    requests = requests_for(tmp_path, names, expected=True)
    assert ask(userland, requests) == {r.path: lstat_state(r.path, size=3) for r in requests}
    subprocess.run(["sh", "-c", change], cwd=tmp_path, check=True)
    assert ask(userland, requests) == {r.path: lstat_state(r.path, size=3) for r in requests}


def wrapped(directory: Path, bodies: dict[str, str]) -> Shell:
    """Return dash on a node where programs are scripts; `$REAL` is the directory of the real ones."""
    directory.mkdir()
    for name, body in bodies.items():
        (directory / name).write_text(f"#!/bin/sh\nREAL=/usr/bin\n{body}\n")
        (directory / name).chmod(0o755)
    return Shell("dash", ("/bin/dash",), {"PATH": f"{directory}:/usr/bin:/bin"})


WORDS: Final = {
    "none": "2>&-",
    "the same for everything": "2>&1 >&3 | sed 's/.*/stat: no/' >&2",
    "another for each": '2>&1 >&3 | sed "s/.*/stat: $$: is not there, or is: x=$(date +%N)/" >&2',
    "many lines for each": "2>&1 >&3 | sed 'p;p;s/.*/No such file or directory/' >&2",
    "absent for everything": "2>&1 >&3 | sed 's/:[^:]*$/: No such file or directory/' >&2",
    "an error number at the end": "2>&1 >&3 | sed 's/$/ (os error 2)/' >&2",
}


@needs_root
@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_program_decide_nothing(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, words: str
) -> None:
    directory = tmp_path_factory.mktemp("words")
    directory.parent.chmod(0o755)
    directory.chmod(0o755)
    body = 'exec 3>&1; $REAL/NAME "$@" ' + WORDS[words] + '; exec $REAL/NAME "$@" >&- 2>&-'
    names = ("file", "gone", "closed/file", "closed/gone", "long/file", "secret", "n" * 300)
    shell = wrapped(directory / "bin", {name: body.replace("NAME", name) for name in ("stat", "md5sum")})
    (directory / "bin").chmod(0o755)
    answer = [*ask(shell, requests_for(tree, names), NOBODY).values()]
    assert answer[0] == lstat_state(os.fsencode(tree / "file"), size=3)
    assert answer[1] is ABSENT
    assert [type(state) for state in answer[2:]] == [Unknown] * 5


@pytest.mark.parametrize("expected", [False, True], ids=["drift", "expected"])
def test_names_that_a_program_prints_decide_nothing(tmp_path: Path, expected: bool) -> None:
    """Like uutils, which prints what is not UTF-8 as U+FFFD; and one that refuses such a name, with all others."""
    names = ["a\udcff", "b", "c\udcfe", "d"]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"ab{number}")
    requests = requests_for(tmp_path, [*names, "gone"], expected=expected)
    lossy = '$REAL/md5sum "$@" | sed "s,/.*,/tmp/odd,"'
    strict = 'case $* in *"$(printf "\\376")"*) echo "md5sum: invalid UTF-8" >&2; exit 1 ;; esac; exec $REAL/NAME "$@"'
    shell = wrapped(tmp_path / "lossy", {"md5sum": lossy})
    assert ask(shell, requests) == {r.path: lstat_state(r.path, size=3) for r in requests}
    shell = wrapped(tmp_path / "strict", {name: strict.replace("NAME", name) for name in ("md5sum", "stat")})
    answer = ask(shell, requests)
    odd = answer.pop(requests[2].path)
    assert isinstance(odd, Unknown)
    assert "invalid UTF-8" in odd.reason
    assert answer == {r.path: lstat_state(r.path, size=3) for r in requests if r.path in answer}


def test_a_file_that_cannot_be_read_spoils_no_other(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}").write_text("abc")
    requests = requests_for(tmp_path, [f"{number}" for number in range(20)], expected=True)
    body = 'for p; do case $p in */7 | */11) echo "md5sum: $p: bad disk" >&2; s=1 ;; --) ;; *) $REAL/md5sum -- "$p" ;; '
    body += "esac; done; [ $# -gt 0 ] || exec $REAL/md5sum; exit $s"
    answer = [*ask(wrapped(tmp_path / "bin", {"md5sum": body}), requests).values()]
    bad = {number for number, state in enumerate(answer) if isinstance(state, Unknown)}
    assert bad == {7, 11}
    assert answer[7] == Unknown("bad disk")


# A file system whose server is this script: it never answers, and is gone when nobody has descriptor 8 open any more.
FUSE: Final = """
mount -t tmpfs none /mnt && mkdir /mnt/dead /mnt/hung /mnt/fine /mnt/many && echo abc >/mnt/fine/file || exit
for name in 1 2 3 4 5 6 7 8 9; do echo abc >/mnt/many/$name; done
exec 8<>/dev/fuse
mount -i -t fuse -o fd=8,rootmode=40000,user_id=0,group_id=0 server /mnt/KIND || exit
[ KIND = hung ] || exec 8>&-
exec "$@"
"""
needs_fuse = pytest.mark.skipif(
    not (IS_ROOT and os.path.exists("/dev/fuse") and shutil.which("unshare")), reason="needs root, unshare and FUSE"
)


def with_mount(shell: Shell, kind: str) -> Shell:
    """Return a shell in a mount namespace with a dead or a hung file system."""
    argv = (
        "/usr/bin/unshare",
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-c",
        FUSE.replace("KIND", kind),
        "sh",
        *shell.argv,
    )
    return Shell(shell.name, argv, shell.env)


@needs_fuse
def test_a_dead_mount_is_not_absent(shell: Shell) -> None:
    """Neither it, nor what is below it."""
    names = ["dead", "dead/a", "dead/b/c", "fine/file", "fine/gone", "deaf", *(f"dead/{n}" for n in range(20))]
    for few in (names[:6], names):
        answer = [*ask(with_mount(shell, "dead"), requests_for(Path("/mnt"), few)).values()]
        assert [type(state) for state in answer[:4]] == [*[Unknown] * 3, FileState]
        assert answer[4:6] == [ABSENT] * 2
        assert [type(state) for state in answer[6:]] == [Unknown] * (len(few) - 6)
        assert "not connected" in getattr(answer[1], "reason", "")


@needs_fuse
def test_a_hung_mount_costs_only_what_is_on_it(shell: Shell) -> None:
    """It is named, all else has a result; no process that has begun to look at it is left, or this would not end."""
    names = [
        "fine/file",
        "fine/gone",
        *(f"hung/{number}/{number}" for number in range(30)),
        *map("many/{}".format, range(9)),
    ]
    expected = FileState(Kind.FILE, 0o644, 4, 0, 0, "root", "root")
    requests = [Request(os.fsencode(f"/mnt/{name}"), 4, expected=expected) for name in names]
    began = time.monotonic()
    answer = [*ask(with_mount(shell, "hung"), requests, silence=6).values()]
    assert time.monotonic() - began < 30
    assert isinstance(answer[0], FileState)
    assert answer[1] is ABSENT
    assert {*answer[2:32]} == {Unknown("/mnt/hung does not answer within 2 s")}
    assert answer[32] is ABSENT
    assert [getattr(state, "md5", None) for state in answer[33:]] == [md5(b"abc\n").hexdigest()] * 8


@pytest.mark.parametrize("shell", ["dash", "bash"], indirect=True)
def test_a_long_reading_is_not_silent(shell: Shell, tmp_path: Path) -> None:
    """While md5sum reads, empty lines come on standard error."""
    file, words, ended = (tmp_path / name for name in ("file", "words", "ended"))
    file.write_text("abc")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/md5sum"
    reading = f"until [ -s {words} ]; do read -r x <{file}; sleep 0.1; done"
    text = f'{reading}; echo "{md5(b"abc").hexdigest()}  $2"; : >{ended}'
    program.write_text(f"#!{shutil.which('dash')}\n{text}\n")
    program.chmod(0o755)
    path = os.fsencode(file)
    request = Request(path, 3, expected=lstat_state(path, size=3))
    slow = script([request], 6).replace(b"part 2 ", b"part 30 ")  # as if it were large
    with words.open("wb") as stderr:
        done = subprocess.run(
            shell.argv,
            input=whole(slow),
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={"PATH": f"{tmp_path}/bin:{shell.env['PATH']}"},
            timeout=60,
            check=False,
        )
    assert ended.exists()
    assert parse([request], done.stdout) == {path: lstat_state(path, size=3)}
    assert set(words.read_text()) == {"\n"}


_WAITS_THEN_READS: Final = b"""
cd "$DIRECTORY"; exec 4>&1; IFS='
'; set -f
(: >waits; read -r line <first; : >has_read; read -r line <second) &
job=$! counted=
until [ -e waits ]; do :; done
progress; progress; progress; echo waited
echo abc >first
until [ -e has_read ]; do :; done
progress; progress; echo read
echo abc >second; wait "$job"
"""


@pytest.mark.parametrize("shell", ["dash", "bash"], indirect=True)
def test_a_job_that_only_waits_is_silent(shell: Shell, tmp_path: Path) -> None:
    for name in ("first", "second"):
        os.mkfifo(tmp_path / name)
    done = shell.run(TIMING + _WAITS_THEN_READS.replace(b"$DIRECTORY", os.fsencode(tmp_path)), timeout=60)
    assert done.stdout.decode().splitlines() == ["waited", "", "read"]

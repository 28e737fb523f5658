"""`synctool-aggr` as a filter, in its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("synctool-aggr"))


def run(*arguments: str, data: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    done = subprocess.run([COMMAND, *arguments], input=data, cwd=cwd, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    return done


def test_a_filter() -> None:
    """Lines without a node come first. The last line needs no newline."""
    done = run(data=b"node1: a\nstray\nnode2: a\n\xff\xfe\nnode3: \xff\0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"stray\n\xff\xfe\nnode[1-2]:\n    a\nnode3:\n    \xff\0\n"


def test_nothing_to_read() -> None:
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_files(tmp_path: Path) -> None:
    """The command reads files in order, with standard input as one of them. It skips an unreadable file."""
    for name, text in (("one", "n1: a\nn2: a\n"), ("-two", "n1: b\n")):
        (tmp_path / name).write_text(text)
    done = run("one", "gone", str(tmp_path), "-", "--", "-two", data=b"n2: b\n", cwd=tmp_path)
    assert done.stdout == b"n[1-2]:\n    a\n    b\n"
    assert done.stderr.decode().splitlines() == [
        "synctool-aggr: gone: No such file or directory",
        f"synctool-aggr: {tmp_path}: Is a directory",
    ]
    assert done.returncode == 2


def test_closed_standard_input() -> None:
    done = subprocess.run(["sh", "-c", f'"{COMMAND}" <&-'], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, b"synctool-aggr: -: Bad file descriptor\n")


@pytest.mark.parametrize("text", ["n1: a", "stray"])
def test_broken_pipe(text: str) -> None:
    """`... | synctool-aggr | head`"""
    command = f'set -o pipefail; yes "{text}" | head -100000 | "{COMMAND}" | true'
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk() -> None:
    command = f'echo n1: a | "{COMMAND}" >/dev/full'
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, b"synctool-aggr: No space left on device\n")


@pytest.mark.parametrize("twice", [False, True])
def test_interrupted(twice: bool) -> None:
    """After Ctrl-C the filter prints the rest of its input. A second Ctrl-C ends it at once."""
    with subprocess.Popen([COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"n1: a\nstray\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"stray\n"  # the filter is reading
            process.send_signal(signal.SIGINT)
            process.stdin.write(b"n2: a\nmore\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"more\n"
            if twice:
                process.send_signal(signal.SIGINT)
            else:
                process.stdin.close()
            assert process.stdout.read() == b"n[1-2]:\n    a\n"
            assert process.wait(60) == 130
        finally:
            process.kill()

"""Triggers on nodes that make it hard to run them, or that print without end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.model import ABSENT
from pytest_synctool.repair.plan import plan
from pytest_synctool.repair.script import Result
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners and mounts, needs root")

LAST = "last line"
WINDOWS = "as Windows writes it: convert it, for example with dos2unix"


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """Mount an empty file system over a directory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


def ends(node: DiskNode, *entries: Entry) -> list[Result | None]:
    """Return how the triggers of new files ended."""
    todo = plan([(one, ABSENT) for one in entries], {e.destination: e for e in entries}, os.fsencode(node.master))
    return node.carry_out(todo)[len(entries) :]


def triggered(node: DiskNode, *texts: str) -> list[Result | None]:
    """Return how triggers with these texts ended."""
    return ends(
        node,
        *(
            node.entry(f"f{n}", EXPECTED["file"], trigger=node.trigger(f"overlay/f{n}.post", text))
            for n, text in enumerate(texts)
        ),
    )


def updated(node: DiskNode, text: str) -> Result | None:
    """Return how an on_update command ended."""
    return ends(node, replace(node.entry("u", EXPECTED["file"]), on_update=text.encode()))[0]


def test_where_no_program_may_be_started(node: DiskNode) -> None:
    with mounted(node.master, "noexec,mode=755"):
        assert triggered(
            node,
            '#!/bin/sh\necho "$0"\n',
            "echo no first line\n",
            "#!  /bin/sh  -e \nfalse\n",
            "#!/no/such/interpreter -x\n",
            "#!/bin/sh\r\necho\r\n",
            "#!/etc/passwd\n",
        ) == [
            Result(None, (f"{node.master}/overlay/f0.post",)),
            Result(None, ("no first line",)),
            Result("exit status 1"),
            Result("its interpreter is missing or cannot be run: /no/such/interpreter"),
            Result(f"its first line ends with a carriage return, {WINDOWS}"),
            Result("its interpreter is missing or cannot be run: /etc/passwd"),
        ]
        node.trigger("scripts/note.sh", '#!/bin/sh\necho "$# $1"\n')
        assert updated(node, "note.sh 'one  two' x; echo y") == Result(None, ("2 one  two", "y"))
        node.trigger("scripts/gone.sh", "#!/no/such\n")
        (node.files / "u").unlink()
        assert updated(node, "gone.sh") == Result(
            "scripts/gone.sh: its interpreter is missing or cannot be run: /no/such"
        )
        name = node.trigger("overlay/b.post", "")
        shutil.copy(shutil.which("true") or "", node.master / name)
        (result,) = ends(node, node.entry("b", EXPECTED["file"], trigger=name))
        assert result is not None
        assert result.failure is not None
        assert "noexec" in result.failure or result.failure == "exit status 126: a program could not be run"


def test_a_script_from_windows_says_so_when_it_fails(node: DiskNode) -> None:
    line = f"; its line {{}} ends with a carriage return, {WINDOWS}"
    results = triggered(
        node,
        "#!/bin/sh -e\r\ntrue\r\n",
        "#!/bin/sh\ntrue\nexit 3\r\n",
        "true\r\nfalse\n",
        "#!/bin/sh\nprintf 'a\rb'\nexit 4\n",
        "#!/bin/sh\n: \r\nexit 0\n",
    )
    assert [result and result.failure for result in results][3:] == ["exit status 4", None]
    failures = [str(result and result.failure) for result in results[:3]]
    assert failures[0] == f"its first line ends with a carriage return, {WINDOWS}"
    assert [failure.endswith(line.format(n)) for failure, n in zip(failures[1:], (3, 1), strict=True)] == [True, True]
    node.trigger("scripts/note.sh", "#!/bin/sh\nif true; then\r\nfi\r\n")
    result = updated(node, "note.sh x")
    assert str(result and result.failure).endswith(line.format(2))


def test_one_that_somebody_has_open_for_writing(node: DiskNode) -> None:
    one = node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", "#!/bin/sh\necho ran\n"))
    with (node.master / "overlay/f.post").open("a"):
        assert ends(node, one) == [Result(None, ("ran",))]


def test_a_program_that_is_not_found_is_told_as_such(node: DiskNode) -> None:
    (node.top / "no-program").touch()
    failures = [
        getattr(updated(replace_files(node), text), "failure", "")
        for text in ("no-such-program", f"{node.top}/no-program")
    ]
    assert failures == ["exit status 127: a program was not found", "exit status 126: a program could not be run"]


def replace_files(node: DiskNode) -> DiskNode:
    """Return the node without the file of updated()."""
    (node.files / "u").unlink(missing_ok=True)
    return node


def test_output_needs_no_room(node: DiskNode) -> None:
    tmp = node.top / "tmp"
    much = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"
    with mounted(tmp, "size=64k"):
        results = triggered(
            node,
            f"#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' x; echo; echo {LAST}\n",
            f"#!/bin/sh\nyes | head -n 5000000\nprintf '{LAST}'\n",
            f"#!/bin/sh\n{much}\n",
        )
    assert [None if result is None else (result.failure, result.output[-1]) for result in results] == [
        (None, LAST), (None, LAST), (None, "2999"),
    ]  # fmt: skip
    tmp.rmdir()
    shell = Shell(node.shell.name, node.shell.argv, {**node.shell.env, "TMPDIR": "/no/such/directory"})
    there = replace(node, shell=shell, top=node.top / "other")
    there.top.mkdir()
    for name in ("files", "master", "here", "tmp"):
        (there.top / name).mkdir()
    (result,) = triggered(there, "#!/bin/sh\nprintf '\\0a\\377'\n")
    assert result is not None
    assert (result.failure, result.output[-1].endswith("a\\xff")) == (None, True)


def test_what_is_left_behind_may_print_for_ever(node: DiskNode) -> None:
    """It is not ended by that, fills nothing, and nobody waits for it."""
    left = f"#!/bin/sh\n(trap 'echo >{node.top}/pipe' PIPE; while :; do echo more; done) &\necho $! >{node.top}/pid\n"
    try:
        assert triggered(node, f"{left}echo {LAST}\nexit 3\n")[0] is not None
        pid = int((node.top / "pid").read_text())
        before = written_by(pid)
        limit = time.monotonic() + 30
        while written_by(pid) < before + 1_000_000:
            assert time.monotonic() < limit
        assert not (node.top / "pipe").exists()
        assert os.readlink(f"/proc/{pid}/fd/1").startswith("pipe:")
    finally:
        os.kill(int((node.top / "pid").read_text()), signal.SIGKILL)


def written_by(pid: int) -> int:
    """Return the number of bytes that a process has written."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("wchar"))


def test_no_line_is_taken_for_the_status(node: DiskNode) -> None:
    text = "#!/bin/sh\nprintf 'status 0\\noutput x\\nsynctool-ended-%s\\nstatus 0\\n' $PPID; exit 5\n"
    (result,) = triggered(node, text)
    assert result is not None
    assert result.failure == "exit status 5"
    assert result.output[:2] == ("status 0", "output x")


def test_a_command_that_accepts_a_file_is_bounded_too(node: DiskNode) -> None:
    node.trigger_timeout = 1
    fifo = node.top / "never"
    os.mkfifo(fifo)
    commands = (
        f"sleep 300 & echo $! >{node.top}/pid; grep -q new %s",
        "yes %s | head -n 500000; echo why; exit 4",
        f"cat %s <{fifo}",
    )
    entries = [
        replace(node.entry(f"f{n}", EXPECTED["file"]), attributes=Attributes(mode=0o644, validate=command))
        for n, command in enumerate(commands)
    ]
    try:
        first, second, third = node.fix(*entries)
    finally:
        os.kill(int((node.top / "pid").read_text()), signal.SIGKILL)
    assert first is None
    assert second == "refused by its validate command with exit status 4: why"
    assert third in (
        "refused by its validate command since it did not end within 1 s",
        "refused by its validate command since it was terminated (it has 1 s)",
    )


def test_other_userlands(userland: Shell, open_directory: Path) -> None:
    node = DiskNode.make(userland, open_directory)
    left = f"#!/bin/sh\nsleep 300 &\necho $! >{node.top}/pid\n"
    try:
        results = triggered(node, f"{left}echo one; echo {LAST}\nexit 3\n", f"#!/bin/sh\nprintf '{LAST}'\n", "echo x\n")
    finally:
        os.kill(int((node.top / "pid").read_text()), signal.SIGKILL)
    assert results == [Result("exit status 3", ("one", LAST)), Result(None, (LAST,)), Result(None, ("x",))]


def test_the_timeout_of_toybox_may_lose_the_exit_status(tmp_path: Path, open_directory: Path) -> None:
    """At random it ends with 127."""
    toybox = tmp_path / "toybox"
    toybox.write_text('#!/bin/sh\nshift 3\n"$@"\nexit 127\n')
    toybox.chmod(0o755)
    (tmp_path / "timeout").symlink_to(toybox)
    path = f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"
    node = DiskNode.make(Shell("dash", ("/bin/dash",), {"PATH": path}), open_directory)
    assert triggered(node, "#!/bin/sh\necho x\n", "exit 5\n") == [Result(None, ("x",)), Result("exit status 5")]
    toybox.write_text('#!/bin/sh\n[ "$4" != echo ] || echo yes\nexit 127\n')
    (node.files / "f0").unlink()
    (node.files / "f1").unlink()
    assert triggered(node, "#!/bin/sh\n") == [Result("it did not end within 60 s")]

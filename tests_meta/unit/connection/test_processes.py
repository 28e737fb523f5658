"""Commands that talk to nodes: limits of silence, of the whole time and of what they print."""

from __future__ import annotations

import os
import resource
import select
import sys
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from pytest_synctool.connection import exchange
from pytest_synctool.connection.exchange import Limits, Phase
from pytest_synctool.connection.processes import Answer, Processes
from pytest_synctool.errors import AnswerTooLong, TransportError

MB = 1_000_000


def run(script: str, data: bytes = b"", *, silence: float = 20.0, ceiling: int = MB) -> Answer:
    """Run a shell script as the command for a node."""
    return Processes().run(["/bin/sh", "-c", script], data, Limits(silence, ceiling, Phase.PROBE, "--node-timeout"))


def memory() -> int:
    """Return the largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_an_answer() -> None:
    assert run("cat; echo oops >&2; exit 3", b"x" * 3 * 100_000, ceiling=MB) == Answer(3, b"x" * 300_000, b"oops\n")


@pytest.mark.parametrize("redirection", ["", ">&2"])
def test_a_command_that_prints_without_end_is_ended(redirection: str) -> None:
    before = memory()
    with pytest.raises(AnswerTooLong, match=r"bytes on standard .* during the probe, which is the most allowed"):
        run(f"exec cat /dev/zero {redirection}")
    assert memory() - before < 40 * MB


def test_the_message_names_the_ceiling() -> None:
    with pytest.raises(AnswerTooLong, match="more than 1,234 bytes on standard output during the probe"):
        run("head -c 1235 /dev/zero", ceiling=1234)
    assert len(run("head -c 1234 /dev/zero", ceiling=1234).stdout) == 1234


def test_an_answer_in_a_file_has_a_ceiling_too() -> None:
    with tempfile.TemporaryFile() as output:
        with pytest.raises(AnswerTooLong):
            Processes().run(["cat", "/dev/zero"], b"", Limits(20, MB), output)
        assert output.seek(0, os.SEEK_END) <= MB


def test_both_ends_of_a_long_standard_error_are_kept() -> None:
    stderr = run("echo first >&2; head -c 3000000 /dev/zero >&2; echo last >&2").stderr
    assert stderr.startswith(b"first\n")
    assert stderr.endswith(b"last\n")
    assert b"bytes left out]" in stderr
    assert len(stderr) < 66_000


def test_a_process_in_the_background_that_holds_standard_error_open() -> None:
    """An ssh before 8.5 does so when it keeps a shared connection."""
    began = time.monotonic()
    answer = run("sleep 30 >/dev/null </dev/null & echo $!; echo why >&2")
    assert answer.stderr == b"why\n"
    assert time.monotonic() - began < 10
    os.kill(int(answer.stdout), 9)


def test_a_command_that_closes_its_outputs_and_goes_on() -> None:
    with pytest.raises(TransportError, match=r"no answer within 0\.2 s"):
        run("exec >&- 2>&-; sleep 30", silence=0.2)
    assert run("echo a; exec >&- 2>&-; sleep 0.1; exit 4") == Answer(4, b"a\n", b"")


def test_silence_ends_a_command() -> None:
    with pytest.raises(TransportError, match=r"no answer within 0\.3 s during the repair \(--timeout\)"):
        Processes().run(["sleep", "30"], b"", Limits(0.3, MB, Phase.REPAIR, "--timeout"))


@pytest.mark.parametrize(
    "script",
    ["for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done", "for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.2; done"],
)
def test_output_begins_the_limit_anew(script: str) -> None:
    assert run(script, silence=0.7).status == 0


@pytest.mark.parametrize("is_file", [False, True])
def test_input_that_is_taken_begins_the_limit_anew(is_file: bool) -> None:
    slow = "import os, time\nwhile os.read(0, 100_000): time.sleep(0.15)"
    data = b"x" * 800_000
    source = BytesIO(data) if is_file else data
    assert Processes().run([sys.executable, "-c", slow], source, Limits(0.9, MB)).status == 0


def test_a_command_that_prints_a_little_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MOST_SILENCES", 2)
    with pytest.raises(TransportError, match=r"the probe has not ended within 1 s \(--node-timeout\)"):
        run("while echo x; do sleep 0.05; done", silence=0.4)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this system does not count")
def test_bytes_that_the_process_moves_elsewhere_can_count() -> None:
    """rsync prints nothing while it sends a large file through its own ssh."""
    argv = ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo x >/dev/null; sleep 0.2; done"]
    assert Processes().run(argv, b"", Limits(0.7, has_ssh=True)).status == 0
    with pytest.raises(TransportError, match="no answer within"):
        Processes().run(argv, b"", Limits(0.7))
    with pytest.raises(TransportError, match="no answer within"):
        Processes().run(["sleep", "30"], b"", Limits(0.5, has_ssh=True))


def test_a_command_that_reads_nothing() -> None:
    assert run("exec <&-; echo done", b"x" * MB).stdout == b"done\n"
    with pytest.raises(TransportError, match="no answer within"):
        run("sleep 30", b"x" * MB, silence=0.2)


def test_a_full_disk_is_an_error_of_the_command() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(TransportError, match="on this machine: No"):
        Processes().run(["echo", "x"], b"", Limits(20, MB), full)


def test_end_all_ends_running_commands() -> None:
    processes = Processes()
    threading.Timer(0.2, processes.end_all).start()
    with pytest.raises(TransportError, match="interrupted"):
        processes.run(["sleep", "30"], b"", Limits(20))
    with pytest.raises(TransportError, match="interrupted"):
        processes.run(["true"], b"", Limits(20))


def test_nothing_stays_open() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    run("echo x")
    with pytest.raises(TransportError):
        run("sleep 30", silence=0.05)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_the_ssh_of_a_failed_rsync_prints_the_reason_and_ends(tmp_path: Path) -> None:
    """It ignores the signal with which rsync ends it, and may outlive rsync."""
    ssh = f'echo $$ >"{tmp_path}/pid"; sleep 0.1; echo reason >&2; exec sleep 300'
    argv = ["/bin/sh", "-c", '/bin/sh -c "$1" >/dev/null & exit 12', "sh", ssh]
    answer = Processes().run(argv, b"", Limits(1, has_ssh=True))
    assert (answer.status, answer.stderr) == (12, b"reason\n")
    try:
        with os.fdopen(os.pidfd_open(int((tmp_path / "pid").read_text()))) as watched:
            assert select.select([watched], [], [], 30)[0]
    except ProcessLookupError:
        pass

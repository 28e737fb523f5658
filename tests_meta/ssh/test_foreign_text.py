"""Text that nodes send, on terminals and in the logs of CI systems: nobody obeys it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.terminal import run, terminal
from tests_meta.unit.common.test_console import obeyed

HOSTILE = (
    "##[stop-commands]x",
    "  ::stop-commands::x",
    "a\r::stop-commands::x",
    "##vso[task.complete result=Succeeded;]",
    "##teamcity[buildStop comment='x']",
    "section_start:1:x\r\x1b[0K",
)
CI = {"GITHUB_ACTIONS": "true"}


@pytest.fixture(autouse=True)
def no_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor: a slow run shows no status line between the lines of nodes."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def hostile(live: Site) -> Site:
    """Return node1, where root of the node does its best to be obeyed: owner, file, link, and trigger."""
    live.nodes = {"node1": "batch"}
    text = "\n".join(HOSTILE)
    live.put("owned._all")
    live.put("differs._all", f"{HOSTILE[0]}\nours\n")
    live.link("link._all", "right")
    live.put("file._all")
    live.script("file.post", f"#!/bin/sh\ncat <<'EOF' >&2\n{text}\nEOF\nexit 1\n")
    live.sh("node1", "mkdir -p @; echo content >@/owned; chown 4242 @/owned; chmod 0644 @/owned")
    live.sh("node1", "grep -q :4242: /etc/passwd || echo '##[stop-commands]x:x:4242:4242::/:/bin/sh' >>/etc/passwd")
    live.sh("node1", f"cat >@/differs <<'EOF'\n{text}\nEOF\nln -s '##[stop-commands]x' @/link")
    return live


def foreign(output: str) -> list[str]:
    """Return the commands in a log that are not annotations of our own."""
    return [line for line in obeyed(output) if not re.match(r"::(error|warning) (file=[^:]*,)?title=synctool::", line)]


@ALONE_AND_XDIST
def test_an_audit_and_a_repair_in_ci(hostile: Site, workers: tuple[str, ...]) -> None:
    """Everything is reported; only our own annotations are obeyed. Reports have the exact text."""
    (hostile.directory / "test_own.py").write_text(
        "def test_own(host):\n"
        f"    assert host.file('{hostile.top}/link').linked_to == 'x', host.check_output('cat {hostile.top}/differs')\n"
    )
    for arguments in (("--diff", "-v"), ("-rA", "--explain", "--diff"), ("-q", "test_own.py"), ("--fix",)):
        ended = hostile.pytest(*workers, *arguments, "--synctool-summary=s.md", environment=CI)
        assert ended.status == 1, ended.output
        assert foreign(ended.output) == []
        assert "-q" in arguments or "title=synctool::node1: " in ended.output
        assert obeyed((hostile.directory / "s.md").read_text()) == []
        if "--diff" in arguments:
            assert '"##[stop-commands]x' in (hostile.directory / "reports/drift.json").read_text()
    assert r"#\#[stop-commands]x" in ended.output
    assert r":\:stop-commands::x" in ended.output


@pytest.mark.parametrize(
    "options",
    [("-v",), ("-a", "-v"), ("-d", "differs"), ("-u", "differs"), ("-f", "-v"), ("--restore", "-gall")],
    ids=str,
)
def test_classic_commands(hostile: Site, options: tuple[str, ...]) -> None:
    hostile.configure()
    words = [f"{hostile.top}/{word}" if word == "differs" else word for word in options]
    ended = run(hostile.directory, "synctool", *words)
    assert obeyed((ended.out + ended.err).decode()) == []


@pytest.mark.parametrize("options", [(), ("-a",)], ids=["streamed", "grouped"])
def test_dsh(hostile: Site, options: tuple[str, ...]) -> None:
    """A pipe gets the bytes, a CI job text that nobody obeys, a terminal what `cat -v` shows."""
    hostile.configure()
    command = ("dsh", *options, f"cat {hostile.top}/differs; cat {hostile.top}/differs >&2")
    piped = run(hostile.directory, *command, more={"CI": ""})
    for text in HOSTILE:
        assert text.encode() in piped.out
        assert text.encode() in piped.err
    in_ci = run(hostile.directory, *command, more=CI)
    assert obeyed((in_ci.out + in_ci.err).decode()) == []
    assert b"\x1b[0K" in in_ci.out
    with terminal(hostile.directory, *command) as on_terminal:
        on_terminal.end()
    seen = on_terminal.shown.replace(b"\r\n", b"\n")
    assert seen.count(b"section_start\\:1:x^M^[[0K") == 2
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", seen)


def test_the_filter(tmp_path: Path) -> None:
    """synctool-aggr does the same, with lines of nodes and with others."""
    (tmp_path / "text").write_text("".join(f"node1: {text}\n{text}\n" for text in (*HOSTILE, "käse\t\u202e")))
    plain = run(tmp_path, "synctool-aggr", "text", more={"CI": ""})
    assert "käse\t\u202e" in plain.out.decode()
    assert "\r\x1b[0K" in plain.out.decode()
    assert obeyed(run(tmp_path, "synctool-aggr", "text", more=CI).out.decode()) == []
    with terminal(tmp_path, "synctool-aggr", "text") as on_terminal:
        on_terminal.end()
    seen = on_terminal.shown.replace(b"\r\n", b"\n")
    assert "käse\tM-bM-^@M-." in seen.decode()
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", seen)

"""Shell text in real shells: quoting, and scripts that run completely or not at all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.audit import probe
from pytest_synctool.common.shell import argument_size, ascii_command, compact, quote, whole, words
from pytest_synctool.model import ABSENT, Kind
from pytest_synctool.repair import plan, script
from pytest_synctool.repair.kept_versions import recall
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.source import Tree

from tests_meta.unit.helpers import ODD_NAMES, Shell, entry, file_names, state

_words = st.binary(max_size=30).map(lambda word: word.replace(b"\0", b""))
_tricky = st.lists(st.sampled_from([b"'", b'"', b"\\", b"$", b"\n", b"!", b"\x01", b"\x81", b"\xff", b" ", b"a"])).map(
    b"".join
)


def test_functions_travel_without_what_only_a_reader_needs() -> None:
    text = b"""# Both are tried.
both() { # FIRST SECOND: whether both do
  [ "${#1}" = 3 ] && # not one of four
    case $2 in
      # a comment within
      *'# '*) ;;
    esac
}
"""
    assert (
        compact(text)
        == b"""both() {
[ "${#1}" = 3 ] && # not one of four
case $2 in
*'# '*) ;;
esac
}
"""
    )


@given(arguments=st.lists(_words | _tricky, min_size=1, max_size=40))
@settings(max_examples=40)
def test_a_quoted_word_is_the_same_word_in_the_shell(shell: Shell, arguments: list[bytes]) -> None:
    script = b'show() { for w in "$@"; do printf \'%s\\0\' "$w"; done; }\n' + words(b"show", *arguments)
    answer = shell.run(script)
    assert answer.stderr == b""
    assert answer.stdout == b"".join(word + b"\0" for word in arguments)


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        (b"", b"''"),
        (b"/etc/ntp.conf", b"/etc/ntp.conf"),
        (b"a b", b"'a b'"),
        (b"it's", b"'it'\\''s'"),
        (b"~root", b"'~root'"),
        (b"a\n", b"'a\n'"),
        ("ü".encode(), "'ü'".encode()),
    ],
)
def test_quote(word: bytes, quoted: bytes) -> None:
    assert quote(word) == quoted


@given(arguments=st.lists(_words | _tricky, min_size=1, max_size=40))
@settings(max_examples=40)
def test_an_ascii_command_runs_the_same_script(shell: Shell, arguments: list[bytes]) -> None:
    command = ascii_command(words(b"printf", b"%s|", *arguments) + b"\nexit 7")
    assert command.isascii()
    assert "'" not in command.removeprefix("eval \"$(printf '%b' '").removesuffix("')\"")
    argv = [*shell.argv, "-c", command]
    answer = subprocess.run(argv, capture_output=True, env=dict(shell.env), timeout=30, check=False)
    assert (answer.returncode, answer.stderr) == (7, b"")
    assert answer.stdout == b"".join(word + b"|" for word in arguments)


@given(script=_words)
def test_the_size_of_an_argument(script: bytes) -> None:
    assert len(ascii_command(script + b"'")) == argument_size(script + b"'") + len("eval \"$(printf '%b' '')\"")


def test_whole_runs_the_script_and_returns_its_status(shell: Shell) -> None:
    answer = shell.run(whole(b"echo one\necho two\n(exit 3)"))
    assert (answer.stdout, answer.returncode) == (b"one\ntwo\n", 3)
    assert shell.run(whole(b"echo one; exit 4\necho two")).returncode == 4


def test_text_after_the_script_does_not_run(shell: Shell) -> None:
    assert shell.run(whole(b"cat >/dev/null; echo one") + b"echo two\n").stdout == b"one\n"


def _probing(mark: bytes) -> bytes:
    requests = [probe.Request(b"/" + name, 3) for name in ODD_NAMES]
    return b"echo x >" + quote(mark) + b"\n" + probe.script(requests)


def _fixing(mark: bytes) -> bytes:
    """Return a script for a plan in which every action leaves a mark."""
    destination = mark + b"/it's \xff"
    todo = plan.plan([(entry(destination, state()), state(size=9))], {}, b"/nowhere")
    return script.script(todo, script.Context(b"/nowhere")).replace(b"umask 077", b"umask 077; echo x >" + quote(mark))


@pytest.mark.parametrize("make", [_probing, _fixing], ids=["probe", "plan"])
def test_a_truncated_script_runs_nothing(shell: Shell, tmp_path: Path, make: Callable[[bytes], bytes]) -> None:
    """A broken connection must not make a node run half a command."""
    mark = tmp_path / "mark"
    script = whole(make(os.fsencode(mark)))
    around = [n for n, byte in enumerate(script) if byte in b"\n}'\"" and script[n + 1 : n + 2] != b""]
    cuts = sorted({0, 1, 2, *range(len(script) - 12, len(script) - 1), *around[:: max(1, len(around) // 40)]})
    for cut in cuts:
        shell.run(script[:cut])
        assert not mark.exists(), script[:cut][-60:]
    shell.run(script)
    assert mark.exists()


@given(data=st.data(), names=st.lists(file_names, min_size=1, max_size=5))
@settings(max_examples=25)
def test_a_script_truncated_anywhere_runs_nothing(shell: Shell, data: st.DataObject, names: list[bytes]) -> None:
    body = b"echo ran\n" + b"\n".join(b"act() { echo %s; }\nact" % quote(name) for name in names)
    script = whole(body)
    cut = data.draw(st.integers(0, len(script) - 2))  # the script is still complete without its last newline
    assert shell.run(script[:cut]).stdout == b""


def test_bash_gets_a_script_from_head(tmp_path: Path) -> None:
    """By itself it reads a byte at a time. The rest of its standard input is for the script."""
    script = whole(b"echo $#; exec 9<&0; read -r x <&9; printf %s $x; : " + b"x" * 10_000)
    (tmp_path / "head").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\nexec /usr/bin/head "$@"\n')
    (tmp_path / "head").chmod(0o755)
    bash = Shell("bash", ("/bin/bash",), {"PATH": f"{tmp_path}:/usr/bin:/bin", "BASH_FUNC_head%%": "() { echo no; }"})
    answer = bash.run(script + b"input of the script\n")
    assert (answer.stdout, answer.stderr) == (b"0\ninputofthescript", b"")
    length = len(script) - script.index(b"{\n")
    assert (tmp_path / "asked").read_text() == f"-c {length}\n"


def test_bash_reads_a_script_itself_where_there_is_no_head() -> None:
    without = Shell("bash", ("/bin/bash",), {"PATH": "/nowhere"})
    script = whole(b"echo ran; : " + b"x" * 10_000).replace(b":/usr/bin:/bin", b"")
    assert without.run(script).stdout == b"ran\n"


_pieces = st.sampled_from(
    [
        *(bytes((byte,)) for byte in b"\t\r !#%&'()*-:;<=>\\\"`{|}~x\xff"),
        b"$(",
        b"touch PWNED",
        b"$IFS",
        b"${x:=y}",
        b"%s",
    ]
)
_hostile = st.lists(_pieces, min_size=1, max_size=8).map(b"".join)


@given(names=st.lists(_hostile, min_size=6, max_size=6, unique=True), kind=st.sampled_from(list(Kind)[:3]))
@settings(max_examples=60)
def test_hostile_names_are_only_words(shell: Shell, names: list[bytes], kind: Kind) -> None:
    """Names of files, targets, triggers, owners, nodes and the masterdir run nothing, and every action has a result."""
    name, other, target, account, node, text = names
    one = entry(b"/nowhere/" + name, state(kind, target=target, owner=os.fsdecode(account)), trigger=other)
    gone = entry(b"/nowhere/" + other + b"/x", tree=Tree.DELETE)
    owed = [entry_commands.OwnedCommand(one, entry_commands.Command("post", text))]
    todo = plan.plan(
        [(one, state(Kind.LINK, target=b"elsewhere")), (gone, state())],
        {one.destination: one},
        b"/nowhere/" + other,
        owed,
    )
    with TemporaryDirectory() as top:
        context = script.Context(
            b"/nowhere/" + other,
            os.fsdecode(node),
            os.fsdecode(account),
            os.fsdecode(text),
            saved=b"/nowhere/" + target,
            log=b"/nowhere/" + text,
            state=os.fsencode(top) + b"/state",
        )
        log_lines = [os.fsdecode(name)] * (len(todo.actions) + len(todo.triggers))
        for each in (
            probe.script([probe.Request(b"/" + name, 3), probe.Request(b"/" + other)]),
            script.tidy(context) + recall(context),
            script.script(todo, context, log_lines),
        ):
            answer = shell.run(whole(each), cwd=top)
            assert answer.returncode == 0, answer
            assert [path.name for path in Path(top).rglob("PWNED")] == []
        results, complete = script.parse(todo, answer.stdout)
        assert complete
        assert {result.failure is None for result in results.values()} == {False}
        assert len(results) == len(todo.actions) + 1


def test_names_and_targets_cannot_run_anything(shell: Shell, tmp_path: Path) -> None:
    """Every name from the masterdir is a single word of the script."""
    mark = tmp_path / "mark"
    evil = b"'; touch %s; '$(touch %s)`touch %s`\"$(touch %s)" % ((os.fsencode(mark),) * 4)
    link = entry(b"/nowhere/" + evil, state(Kind.LINK, target=evil, owner=os.fsdecode(evil)), trigger=evil)
    todo = plan.plan([(link, ABSENT)], {link.destination: link}, evil)
    for text in (probe.script([probe.Request(b"/" + evil, 3)]), script.script(todo, script.Context(evil))):
        assert shell.run(whole(text)).returncode == 0
        assert not mark.exists()

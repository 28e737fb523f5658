"""The prologue in each shell: what a login has set is gone, and comes back for commands of the site."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_synctool.common.prologue import LOGIN, PROLOGUE, beginning, begins, first_line
from pytest_synctool.common.shell import shell_line, whole

SHELLS = ("dash", "bash", "mksh", "zsh", "ksh93", "yash", "busybox")
ALWAYS = {"HOME", "PWD", "OLDPWD", "PATH", "LC_ALL", "SHLVL", "_", "SHELLOPTS", "BASHOPTS", "A__z"}
HOSTILE = {
    "CDPATH": "/:/tmp",
    "IFS": "x/",
    "TMOUT": "1",
    "TMPDIR": "/nonexistent",
    "LANG": "xx",
    "SHELLOPTS": "noclobber:nounset:errexit:noglob",
    "BASHOPTS": "nullglob:failglob:xpg_echo",
    "POSIXLY_CORRECT": "1",
    "SUDO_COMMAND": "/bin/sh -c a = b; c =d",
    "TWO": "lines\nPATH=/x = PPID=9 'quoted' \"too\" $HOME `id` \\",
    "login_umask": "0777",
    "BASH_FUNC_cd%%": "() { return 7; }",
    "BASH_FUNC_test%%": "() { return 7; }",
    "BASH_FUNC_builtin%%": "() { return 7; }",
}


@pytest.fixture(params=SHELLS)
def sh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each shell as sh."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"needs {request.param}")
    (tmp_path / "sh").symlink_to(program)
    return str(tmp_path / "sh")


def output(sh: str, script: bytes, *words: bytes, **environment: str) -> bytes:
    """Return what a script prints with such an environment."""
    env = {"PATH": ".:/usr/bin::/bin:x", "HOME": "/root", **environment}
    done = subprocess.run(
        [sh, "-c", script, *words], env=env, capture_output=True, check=False, umask=0o027, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_a_login_is_left(sh: str) -> None:
    lines = output(sh, PROLOGUE + b"env -0; umask", **HOSTILE).split(b"\0")
    assert {line.partition(b"=")[0].decode() for line in lines[:-1]} <= ALWAYS | {
        *(name for name in HOSTILE if not name.isidentifier()),  # functions of another shell than bash
        *("IFS", "LOGNAME", "PPID"),
    }
    assert b"PATH=/usr/bin:/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert b"LC_ALL=C" in lines
    assert int(lines[-1], 8) == 0o077


def test_the_shell_is_as_at_its_start(sh: str) -> None:
    """Options, functions, IFS and CDPATH: none of them has an effect."""
    script = (
        b'x="a b"; set -- $x; echo $#; cd /; cd usr; pwd; echo "\\101"x | head -c 0; echo $undefined; false; echo /us*'
    )
    assert output(sh, PROLOGUE + script, **HOSTILE) == b"2\n/usr\n\n/usr\n"


def test_a_command_of_the_site_gets_all_of_it(sh: str) -> None:
    script = PROLOGUE + LOGIN + b'(as_login; env -0; umask); echo; echo "$LC_ALL"'
    lines = output(sh, script, LC_CTYPE="C", SYNCTOOL_NODE="other", **HOSTILE).split(b"\0")
    for name in ("CDPATH", "TMPDIR", "SUDO_COMMAND", "TWO", "LC_CTYPE"):
        assert f"{name}={ {**HOSTILE, 'LC_CTYPE': 'C'}[name] }".encode() in lines
    assert not any(line.startswith((b"SYNCTOOL_NODE=", b"LC_ALL=")) for line in lines)
    assert int(lines[-1].split()[0], 8) == 0o027
    assert lines[-1].split()[1] == b"C"


def test_a_script_for_our_own_shell_only(sh: str) -> None:
    """It prints the token first. A shell that a login has started instead runs nothing of it."""
    script = first_line("TOKEN") + whole(beginning("TOKEN") + b"echo output")
    for words, status, stdout in ((["TOKEN"], 0, begins("TOKEN") + b"output\n"), ([], 3, b"")):
        done = subprocess.run([sh, "-s", *words], input=script, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (status, stdout)


@pytest.mark.parametrize("program", ["bash", "dash", "zsh", "mksh", "ksh93", "fish", "tcsh", "rc"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.binary(max_size=20).filter(lambda word: b"\0" not in word and not word.endswith(b"\n"))))
def test_every_login_shell_passes_a_line_on(program: str, words: list[bytes]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    script = b"for x do printf '%s\\n!\\n' \"$x\"; done"
    line = shell_line(script, *words) + b" 'last one'"
    done = subprocess.run([program, "-c", line], capture_output=True, check=False, timeout=60)
    assert done.stdout == b"".join(word + b"\n!\n" for word in (*words, b"last one"))

"""Mistakes in the command line of `dsh`."""

from __future__ import annotations

import pytest
from pytest_synctool.cli import dsh


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-stdin"], "no command: expected one behind the options"),
        (["--no-stdin", "--"], "no command: expected one behind the options"),
        (["-M", "date"], "-M takes no command"),
        (["-O", "check", "date"], "-O takes no command"),
        (["-O", "what"], "argument -O: invalid choice: 'what'"),
        (["-p", "0", "date"], "argument -p/--numproc: expected a number from 1 to 999999, not '0'"),
        (["--timeout=-1", "date"], "argument --timeout: expected a number of seconds, not '-1'"),
        (["--timeout", "nan", "date"], "argument --timeout: expected a number of seconds, not 'nan'"),
        (["--connect-timeout", "1.5", "date"], "expected a number from 1 to 999999, not '1.5'"),
        (["--bogus", "date"], "unrecognized arguments: --bogus"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dsh.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err

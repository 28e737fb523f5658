"""The frame of every command: it parses the arguments, prints errors and returns the exit status."""

from __future__ import annotations

import io
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from pytest_synctool.errors import SynctoolError

# Commands have to start at once: a function imports for itself what not every call needs.

OK: Final = 0
DRIFT: Final = 1  # entries differ, or lint has findings
NOT_FOUND: Final = 1
FAILED: Final = 2
UNREACHABLE: Final = 3  # a node is unreachable, or a path on it is unknown
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as shells report it for other commands

_NO_DIRECTORY: Final = "the current directory does not exist any more: change to another one"


def execute(
    name: str,
    argv: Sequence[str] | None,
    new_parser: Callable[[], ArgumentParser],
    work: Callable[[Namespace], int],
    conflict: Callable[[Namespace], str | None] = lambda _: None,
) -> int:
    """Run a command with `argv`, or with the arguments of the process if it is None. Return the exit status.

    `conflict` returns the reason why the options cannot be combined, or None. `work` returns the exit status. Errors
    that end the command are printed on standard error. After a signal (Ctrl-C, SIGTERM, SIGHUP) the status is 128 + its
    number.
    """
    from pytest_synctool.common.garbage import rarely_collected
    from pytest_synctool.connection.interruption import Interruption

    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    interruption = Interruption().install()
    try:
        with rarely_collected():
            status = _status_or_error(name, argv, new_parser, work, conflict)
    finally:
        interruption.restore()
    return status if interruption.number is None else 128 + interruption.number


def _status_or_error(
    name: str,
    argv: Sequence[str] | None,
    new_parser: Callable[[], ArgumentParser],
    work: Callable[[Namespace], int],
    conflict: Callable[[Namespace], str | None],
) -> int:
    try:
        status = _status(argv, new_parser(), work, conflict)
        sys.stdout.flush()
        return status
    except SynctoolError as error:
        print_stderr(str(error).split("\n"))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except OSError as error:
        _discard_output()
        where = f"{error.filename}: " if error.filename else ""
        print_stderr([f"{name}: {where}{error.strerror}" if _has_directory() else f"{name}: {_NO_DIRECTORY}"])
        return FAILED


def _status(
    argv: Sequence[str] | None,
    parser: ArgumentParser,
    work: Callable[[Namespace], int],
    conflict: Callable[[Namespace], str | None],
) -> int:
    try:
        arguments = parser.parse_args(argv)
        if (reason := conflict(arguments)) is not None:
            parser.error(reason)
        return work(arguments)
    except SystemExit as end:  # argparse has printed the help or the mistake
        return end.code if isinstance(end.code, int) else OK


def _has_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def print_stderr(lines: Iterable[str]) -> None:
    """Print lines on standard error: neither a terminal nor a CI system obeys them."""
    _print(lines, sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines for people on standard output: neither a terminal nor a CI system obeys them."""
    _print(lines, sys.stdout)


def _print(lines: Iterable[str], stream: TextIO) -> None:
    from pytest_synctool.common.console import shown

    for line in lines:
        print(shown(line), file=stream)


def _open_closed_streams() -> None:
    """Connect closed output streams (`synctool >&-`) to /dev/null.

    Otherwise the next file or connection would get their descriptors, and with them the output.
    """
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _discard_output() -> None:
    """Connect standard output to /dev/null: at exit Python would try to write the rest, and print a traceback."""
    with suppress(OSError):  # standard output need not be a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""`synctool-aggr`: a filter that prints the same output of many nodes only once."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from pytest_synctool.cli import command, shared_options

_MOST_MEMORY: Final = 1 << 30  # bytes
_LONGEST_LINE: Final = 1 << 20  # bytes; a longer line becomes several ones


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("synctool-aggr", argv, new_parser, _run)


def new_parser() -> ArgumentParser:
    parser = shared_options.bare_parser(
        "synctool-aggr",
        "Group lines `node: text` or `node:text` by the nodes that have exactly the same text. The largest group comes "
        "first. Lines that do not begin with a node are printed at once; so are lines beyond 64 MiB of a node or 1 GiB "
        "of all. On a terminal, control characters are shown as by cat -v.",
        "Exit status: 0 if all files were read, 2 if a file cannot be read.",
    )
    shared_options.add_flags(
        parser, ("--count", "print how many nodes a group has, as is done on a terminal: `node[1-3] (3):`")
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", default=["-"], help="a file to read; - and no FILE mean standard input"
    )
    return parser


def _run(arguments: Namespace) -> int:
    from pytest_synctool.common.console import line_filter
    from pytest_synctool.dsh.aggregate import Aggregate

    aggregate, out = Aggregate(_MOST_MEMORY), sys.stdout.buffer
    filtered = line_filter(out, os.environ)
    unreadable: list[str] = []
    with _one_interruption() as interruptions, suppress(KeyboardInterrupt):
        for line in _lines(arguments.files, unreadable):
            if not aggregate.feed(line):
                out.write(filtered(line) + b"\n")
                out.flush()
    aggregate.write(out, filtered, is_counted=arguments.count)
    if interruptions:
        return command.INTERRUPTED
    return command.FAILED if unreadable else command.OK


def _lines(names: Sequence[str], unreadable: list[str]) -> Iterator[bytes]:
    """Yield the lines of files without newlines.

    Report each file that cannot be read to its end on standard error, and add its name to `unreadable`.
    """
    for name in names:
        try:
            with open(name, "rb") if name != "-" else open(0, "rb", closefd=False) as lines:
                while line := lines.readline(_LONGEST_LINE):
                    yield line.removesuffix(b"\n")
        except OSError as error:
            command.print_stderr([f"synctool-aggr: {name}: {error.strerror}"])
            unreadable.append(name)


@contextmanager
def _one_interruption() -> Iterator[list[int]]:
    """Ignore the first Ctrl-C, which is for the command whose output is read: the filter prints the rest of it.

    Add the signal to the list that is yielded. A second Ctrl-C raises KeyboardInterrupt.
    """
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        signals.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGINT, before)

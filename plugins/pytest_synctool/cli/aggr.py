"""`synctool-aggr`: a filter that tells equal output of many nodes once."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pytest_synctool.cli import common


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool-aggr", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.bare_parser(
        "synctool-aggr",
        "Group lines `node: text` by nodes whose whole text is the same. The largest group comes first. "
        "Lines without a node in front are written at once, as they are.",
        "Exit status: 0 if all is well, 2 if a file cannot be read.",
    )
    parser.add_argument("files", metavar="FILE", nargs="*", default=["-"], help="read these; - is standard input")
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    from pytest_synctool.dsh.aggregate import Aggregate

    told, out = Aggregate(), sys.stdout.buffer
    unread: list[str] = []
    with _one_interruption() as interrupted, suppress(KeyboardInterrupt):
        for line in _lines(arguments.files, unread):
            if not told.feed(line):
                out.write(line + b"\n")
                out.flush()
    told.write(out)
    if interrupted:
        return common.INTERRUPTED
    return common.FAILED if unread else common.OK


def _lines(names: Sequence[str], unread: list[str]) -> Iterator[bytes]:
    """The lines of files, without newlines; files that cannot be read to their end are told, and added to `unread`."""
    for name in names:
        try:
            with open(name, "rb") if name != "-" else open(0, "rb", closefd=False) as lines:
                for line in lines:
                    yield line.removesuffix(b"\n")
        except OSError as error:
            common.complain([f"synctool-aggr: {name}: {error.strerror}"])
            unread.append(name)


@contextmanager
def _one_interruption() -> Iterator[list[int]]:
    """Take one Ctrl-C as meant for the command whose output is read: what it has said is still told.

    The list is not empty after one. The second raises KeyboardInterrupt.
    """
    seen: list[int] = []

    def note(number: int, _: object) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)

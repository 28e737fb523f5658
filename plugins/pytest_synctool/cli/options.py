"""Options of `synctool` for what is done with single files and with the program itself.

Apart from what does it, which loads much more than a call of --help needs.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError

from pytest_synctool.cli import common


def add_diff(parser: ArgumentParser) -> None:
    """Differences."""
    group = parser.add_argument_group("differences")
    group.add_argument(
        "-d",
        "--diff",
        metavar="FILE",
        action="append",
        default=[],
        type=common.destination,
        help="show what differs between the master's source of FILE and the nodes' copies; can be repeated",
    )
    group.add_argument(
        "--show-sensitive", action="store_true", help="with -d: also the contents that not everybody may read"
    )


def add_upload(parser: ArgumentParser) -> None:
    """Uploads."""
    group = parser.add_argument_group("from a node to the repository", "Nothing is written without -f.")
    group.add_argument(
        "-u",
        "--upload",
        metavar="FILE",
        type=common.destination,
        help="bring FILE of the one node that is selected, a directory with all that is in it, into overlay/",
    )
    group.add_argument(
        "-s",
        "--suffix",
        metavar="GROUP",
        help="with -u: the group extension; else that of the node's source, or the node's name where it has none",
    )


def add_update(parser: ArgumentParser) -> None:
    """The program itself."""
    group = parser.add_argument_group("the program itself", "Where packages come from is what pip is configured for.")
    group.add_argument("--check-update", action="store_true", help="tell whether there is a newer version")
    group.add_argument(
        "--download",
        metavar="DIR",
        nargs="?",
        const=".",
        type=_directory,
        help="put the latest version as a file into DIR, else into this directory",
    )


def saved(text: str) -> bytes:
    """A directory on nodes for what is replaced, in its shortest spelling, on a command line."""
    if not text.startswith("/") or not text.isprintable() or (path := common.destination(text)) == b"/":
        raise ArgumentTypeError(f"expected a directory on the nodes like /var/lib/saved, not {text!r}")
    return path


def _directory(text: str) -> str:
    if not text or not os.path.isdir(text):
        raise ArgumentTypeError(f"expected a directory, not '{text}'")
    return text

"""What the commands share: options, the selection of nodes, and what becomes of errors."""

from __future__ import annotations

import io
import math
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from pytest_synctool import __version__
from pytest_synctool.errors import ConfigError, SelectionError, SynctoolError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.model import Node

# A command has to be there at once, so what not every call needs is imported by the function that needs it.

OK: Final = 0
NOT_FOUND: Final = 1
FINDINGS: Final = 1
FAILED: Final = 2
INTERRUPTED: Final = 130
UNREACHED: Final = 3  # a node, or something on it, could not be looked at
BROKEN_PIPE: Final = 141  # what a shell shows for other commands whose reader went away


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with the mistake alone: a usage of many lines would bury it."""
        self.exit(FAILED, f"{self.prog}: error: {message}\n")


def bare_parser(name: str, description: str, epilog: str = "") -> ArgumentParser:
    """A parser for a command that needs no configuration."""
    parser = _Parser(prog=name, description=description, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__} (pytest-synctool)")
    return parser


def new_parser(name: str, description: str, epilog: str = "") -> ArgumentParser:
    """A parser with the options that every other command has."""
    parser = bare_parser(name, description, epilog)
    parser.add_argument(
        "-c",
        "--conf",
        metavar="FILE",
        help="the configuration; else $SYNCTOOL_CONF, ./synctool.conf, /var/lib/synctool/synctool.conf, "
        "or synctool.yaml in these directories",
    )
    return parser


def number(text: str) -> int:
    """A number from 1 on a command line."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise ArgumentTypeError(f"expected a number from 1 to 999999, not {text!r}")
    return int(text)


def number_or_none(text: str) -> int:
    """A number from 0 on a command line."""
    return 0 if text == "0" else number(text)


def seconds(text: str) -> float:
    """A time limit on a command line."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ArgumentTypeError(f"expected a number of seconds, not {text!r}")
    return found


def destination(text: str) -> bytes:
    """An absolute path on a node, in its shortest spelling, on a command line."""
    from pytest_synctool.common.wording import printable

    path = os.fsencode(text)
    if not path.startswith(b"/"):
        raise ArgumentTypeError(f"expected an absolute path like /etc/fstab, not '{printable(path)}'")
    return re.sub(b"^/+", b"/", os.path.normpath(path))


def add_selection(parser: ArgumentParser) -> None:
    """The options by which nodes are selected, read by selected()."""
    group = parser.add_argument_group(
        "nodes",
        "LIST is separated by commas and may have ranges like node[1-3]; the options can be repeated. "
        "An exclusion wins over an inclusion. Ignored nodes take part only where -n names them.",
    )
    for short, long, help_ in (
        ("-n", "--node", "these nodes"),
        ("-g", "--group", "the nodes of these groups"),
        ("-x", "--exclude", "not these nodes"),
        ("-X", "--exclude-group", "not the nodes of these groups"),
    ):
        group.add_argument(short, long, metavar="LIST", action="append", default=[], help=help_)


def selected(config: Config, arguments: Namespace, *, default: Iterable[Node] | None = None) -> list[Node]:
    """The nodes that a command line selects, in the order of the configuration.

    `default` is what is meant where none is included; else it is what the configuration says. Raises SelectionError,
    naming the option, for what does not exist and where no node is left.
    """
    from pytest_synctool.config.selection import select

    included: set[str] = set()
    if arguments.node:
        included |= _names(select(config, ",".join(arguments.node), origin="-n"))
    for group in groups(arguments.group, "-g"):
        included |= _names(select(config, f"group:{group}", origin="-g"))
    if not arguments.node and not arguments.group:
        included = _names(select(config, None, origin="-n") if default is None else default)
    found = [config.nodes[name] for name in config.nodes if name in included - _excluded(config, arguments)]
    if not found:
        raise SelectionError(f"{'-x' if arguments.exclude else '-X'}: no node is left")
    return found


def _excluded(config: Config, arguments: Namespace) -> set[str]:
    """The names of excluded nodes: an ignored one that -n names can be excluded by a group or pattern as well."""
    if not arguments.exclude and not arguments.exclude_group:
        return set()
    from dataclasses import replace

    from pytest_synctool.config.selection import NONE, select

    everyone = replace(config, nodes={name: replace(node, ignored=False) for name, node in config.nodes.items()})
    excluded: set[str] = set()
    if arguments.exclude:
        excluded |= _names(select(everyone, ",".join(arguments.exclude), origin="-x"))
    for group in groups(arguments.exclude_group, "-X"):
        if group != NONE and config.groups.get(group) != ():  # a group that has no nodes is no mistake here
            excluded |= _names(select(everyone, f"group:{group}", origin="-X"))
    return excluded


def groups(lists: Sequence[str], origin: str) -> list[str]:
    """The names in lists of groups, ranges unfolded. Raises SelectionError, beginning with `origin`."""
    if not lists:
        return []
    from pytest_synctool.config.ranges import RangeError, expand
    from pytest_synctool.config.selection import terms

    found: list[str] = []
    for term in terms(",".join(lists)):
        try:
            found += expand(term) if "[" in term else [term]
        except RangeError as error:
            raise SelectionError(f"{origin}: {error}") from error
    return found


def _names(nodes: Iterable[Node]) -> set[str]:
    return {node.name for node in nodes}


def locate(arguments: Namespace) -> Path:
    """The configuration file. Raises ConfigError if there is none."""
    from pytest_synctool.config import find

    if arguments.conf == "":  # a variable that is not set; never another cluster than the one that was meant
        raise ConfigError("-c: expected a file, not an empty name")
    return find(arguments.conf, None, os.environ, Path.cwd(), option="-c", ini_key=None)


def require(command: Sequence[str], keyword: str, config: Config) -> None:
    """Raises ConfigError if there is no such program, which `keyword` in the configuration names."""
    import shutil

    if shutil.which(command[0]) is None:
        raise ConfigError(f"{config.path}: '{keyword}': there is no command {command[0]!r} here")


def complain(lines: Iterable[str]) -> None:
    """Print lines on standard error, whatever they quote."""
    from pytest_synctool.common.wording import printable

    for line in lines:
        print(printable(line.encode("utf-8", "backslashreplace")), file=sys.stderr)


def run(name: str, work: Callable[[], int]) -> int:
    """The exit status of a command: of its work, or of the error that ended it, which is said on standard error."""
    _open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no name is worth a traceback
    try:
        status = _status(work)
        sys.stdout.flush()
        return status
    except SynctoolError as error:
        complain(str(error).split("\n"))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        complain([f"{name}: {where}{error.strerror}"])
        return FAILED


def _open_streams() -> None:
    """Let closed ones (`synctool >&-`) lead nowhere: else the next file or connection would be taken for them."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _status(work: Callable[[], int]) -> int:
    try:
        return work()
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else OK


def _drop_output() -> None:
    """Else Python tries to write the rest when it ends, and complains."""
    with suppress(OSError):  # where standard output is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

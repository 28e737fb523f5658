"""The options that several commands have, and the types of their values."""

from __future__ import annotations

import math
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_synctool import __version__
from pytest_synctool.cli import command
from pytest_synctool.common.trust import HELP, OPTION, Trust
from pytest_synctool.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Options  # a parser, or a group of its options

    from pytest_synctool.config import Config
    from pytest_synctool.connection.route import Sudo


class _Parser(ArgumentParser):
    _words: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse as usual, and keep the words for error()."""
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def print_help(self, file=None):  # type: ignore[no-untyped-def]
        """Print as usual, but with the errors of writing, such as those of a full disk: argparse hides them."""
        (sys.stdout if file is None else file).write(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Print only the mistake and exit: argparse would print a usage of many lines above it."""
        known = self._option_string_actions
        short = [word for word in self._words if word.startswith("-") and word not in known]
        meant = next((f"-{word}" for word in short if f"-{word}" in known), None)
        hint = "" if meant is None else f" (did you mean '{meant}'?)"
        self.exit(command.FAILED, f"{self.prog}: error: {message}{hint}\n")


def bare_parser(name: str, description: str, epilog: str = "") -> ArgumentParser:
    """Return a parser for a command that reads no configuration."""
    parser = _Parser(prog=name, description=description, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__} (pytest-synctool)")
    return parser


def configured_parser(name: str, description: str, epilog: str = "") -> ArgumentParser:
    """Return a parser for a command that reads the configuration."""
    parser = bare_parser(name, description, epilog)
    parser.add_argument(
        "-c",
        "--conf",
        metavar="FILE",
        help="the configuration file; by default $SYNCTOOL_CONF, /var/lib/synctool/synctool.conf or ./synctool.conf, "
        "or synctool.yaml in one of these directories",
    )
    add_trust(parser)
    return parser


def add_trust(parser: ArgumentParser) -> None:
    """Add the option that trust_of() reads."""
    parser.add_argument(OPTION, metavar="NAME", action="append", default=[], help=HELP)


def trust_of(arguments: Namespace) -> Trust:
    """Return the accounts whose files the command obeys. Raise ConfigError for an unknown name."""
    return Trust.of_caller(arguments.trust_owner)


def add_flags(options: Options, *rows: tuple[str, ...]) -> None:
    """Add options without a value. A row is the spellings of an option and then its help."""
    for *spellings, help_ in rows:
        options.add_argument(*spellings, action="store_true", help=help_)


def add_repeatable(options: Options, *rows: tuple[str, str, str], metavar: str = "LIST") -> None:
    """Add options that can be repeated; their values are collected in a list. A row: short, long, help.

    With the metavar FILE, values are names of files.
    """
    kind = file_name if metavar == "FILE" else str
    for short, long, help_ in rows:
        options.add_argument(short, long, metavar=metavar, action="append", default=[], type=kind, help=help_)


def add_sudo(parser: ArgumentParser) -> None:
    """Add the options that sudo_of() reads. They have the names of testinfra's."""
    add_flags(parser, ("--sudo", "become root on the nodes with sudo, which must not ask for a password"))
    parser.add_argument("--sudo-user", metavar="USER", help="with --sudo: become this user instead of root")


def sudo_of(arguments: Namespace) -> Sudo | None:
    """Return the request to run all commands on nodes as another user, or None."""
    from pytest_synctool.connection.route import Sudo

    return Sudo(arguments.sudo_user) if arguments.sudo else None


def sudo_conflict(arguments: Namespace) -> str | None:
    """Return the reason why the options of add_sudo() cannot be combined, or None."""
    user = arguments.sudo_user
    if user is None:
        return None
    if not user or user.startswith("-"):
        return f"--sudo-user: expected the name of a user, not {user!r}"
    return None if arguments.sudo else "--sudo-user needs --sudo"


def no_nodename_conflict(arguments: Namespace) -> str | None:
    """Return the reason why -N and -a cannot be combined, or None."""
    if arguments.no_nodename and arguments.aggregate:
        return "-N does not go with -a, which prints names only"
    return None


def add_parallelism(parser: ArgumentParser, *more: str) -> None:
    """Add the options of commands that contact many nodes at once. `more` are further spellings of -p."""
    help_ = "contact at most N nodes at once (default: num_proc)"
    parser.add_argument("-p", *more, "--numproc", metavar="N", type=number, help=help_)
    parser.add_argument(
        "--connect-timeout",
        metavar="SECONDS",
        type=number,
        default=10,
        help="time limit for a connection (default: %(default)s)",
    )


def number(text: str) -> int:
    """Parse an integer from 1 to 999999."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise ArgumentTypeError(f"expected a number from 1 to 999999, not {text!r}")
    return int(text)


def number_or_zero(text: str) -> int:
    """Parse an integer from 0 to 999999."""
    return 0 if text == "0" else number(text)


def seconds(text: str) -> float:
    """Parse a time limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"expected a number of seconds, not {text!r}")
    return value


def destination(text: str) -> bytes:
    """Parse an absolute path on a node into its shortest spelling."""
    from pytest_synctool.common.wording import printable

    path = os.fsencode(text)
    if not path.startswith(b"/"):
        raise ArgumentTypeError(f"expected an absolute path like /etc/fstab, not '{printable(path)}'")
    return re.sub(b"^/+", b"/", os.path.normpath(path))


def file_name(text: str) -> bytes:
    """Parse the name of a file. Raises ArgumentTypeError for an empty one."""
    if not text:
        raise ArgumentTypeError("expected a file like /etc/fstab, not an empty name")
    return destination(text) if text.startswith("/") else os.fsencode(os.path.normpath(text))


def find_configuration(arguments: Namespace) -> Path:
    """Return the path of the configuration file. Raise ConfigError if there is none."""
    from pytest_synctool.config import find

    if arguments.conf == "":  # -c "$UNSET" must not select another cluster
        raise ConfigError("-c: expected a file, not an empty name")
    path = find(arguments.conf, None, os.environ, Path.cwd(), option="-c", ini_key=None, default_first=True)
    if getattr(arguments, "verbose", False):
        command.print_stderr([f"configuration: {path}"])
    return path


def require_program(words: Sequence[str], keyword: str, config: Config) -> None:
    """Raise ConfigError if this machine does not have the program that `keyword` of the configuration names."""
    import shutil

    if shutil.which(words[0]) is None:
        raise ConfigError(f"{config.path}: '{keyword}': there is no command {words[0]!r} on this machine")

"""`synctool-config`: questions to the configuration, and files made from it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING

from pytest_synctool.cli import common

if TYPE_CHECKING:
    from pytest_synctool.config import Config


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool-config", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser("synctool-config", "Tell what the configuration says. No node is contacted.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("-l", "--list-nodes", action="store_true", help="the names of all nodes, one a line")
    action.add_argument("-L", "--list-groups", action="store_true", help="the names of all groups, one a line")
    action.add_argument("--to-yaml", action="store_true", help="the configuration in the spelling of synctool.yaml")
    action.add_argument(
        "--scan-attributes",
        action="store_true",
        help="an attributes.yaml that says owner, group and mode of what is in overlay/, as it stands",
    )
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    from pytest_synctool import config as configuration

    path = common.locate(arguments)
    if arguments.to_yaml:
        _write_file(configuration.as_yaml(path))
        return common.OK
    config = configuration.load(path)
    if arguments.scan_attributes:
        return _scan_attributes(config)
    _print(config.nodes if arguments.list_nodes else config.groups)
    return common.OK


def _scan_attributes(config: Config) -> int:
    from pytest_synctool import attributes, repository

    # An attributes.yaml that is there already is not read: the tree is asked.
    found = repository.walk(
        config.masterdir, config.known_groups, config.ignore, require_extension=config.require_extension
    )
    _write_file(attributes.scan(source for _, source in found.found.sources()))
    sys.stdout.flush()
    common.complain(f"WARNING {warning}" for warning in found.warnings)
    return common.OK


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _write_file(text: str) -> None:
    """Write the text of a file, which is UTF-8 whatever the locale."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text)

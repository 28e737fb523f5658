"""`synctool-config`: questions to the configuration, and files made from it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import common
from pytest_synctool.errors import SelectionError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.model import Node

_COLUMNS: Final = ("ipaddress", "hostname", "rsync", "connection")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool-config", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser(
        "synctool-config",
        "Tell what the configuration says. No node is contacted.",
        "Exit status: 0 if all is well, 1 if --check has found something, 2 for mistakes.",
    )
    nodes = parser.add_argument_group(
        "nodes and groups", "LIST is separated by commas and may have ranges like node[1-3]."
    )
    nodes.add_argument("-l", "--list-nodes", action="store_true", help="the names of the nodes, one a line")
    nodes.add_argument("-L", "--list-groups", action="store_true", help="the names of all groups, one a line")
    nodes.add_argument(
        "-n", "--node", metavar="LIST", action="append", default=[],
        help="alone: the groups of these nodes, most important first; with others: only these nodes",
    )  # fmt: skip
    nodes.add_argument(
        "-g", "--group", metavar="LIST", action="append", default=[],
        help="the nodes of these groups, or more of them with others",
    )  # fmt: skip
    for short, what, help_ in (
        ("-i", "ipaddress", "the address that is connected to, behind the name of each node"),
        ("-H", "hostname", "its hostname, likewise"),
        ("-r", "rsync", "whether files are brought to it: yes or no"),
        ("-s", "connection", "how it is gone to, as testinfra and `pytest --hosts` take it: ssh://ADDRESS"),
    ):
        nodes.add_argument(short, f"--{what}", action="store_true", help=help_)
    nodes.add_argument("-f", "--filter-ignored", action="store_true", help="leave out ignored nodes and groups")
    _add_others(parser)
    return parser


def _add_others(parser: ArgumentParser) -> None:
    others = parser.add_argument_group("settings and files").add_mutually_exclusive_group()
    others.add_argument("-m", "--masterdir", action="store_true", help="the directory of the repository")
    others.add_argument("-S", "--setting", metavar="NAME", help="a setting, by its keyword: num_proc, ssh_cmd, ...")
    others.add_argument("-C", "--command", metavar="NAME", help="a command: ssh, scp, rsync, diff or synctool")
    others.add_argument("--json", action="store_true", help="all nodes, groups and settings as JSON")
    others.add_argument("--check", action="store_true", help="mistakes in the configuration and the masterdir")
    others.add_argument("--to-yaml", action="store_true", help="the configuration in the spelling of synctool.yaml")
    others.add_argument(
        "--scan-attributes",
        action="store_true",
        help="an attributes.yaml that says owner, group and mode of what is in overlay/, as it stands",
    )


def _other(arguments: Namespace) -> str | None:
    """Which of the settings and files is asked for."""
    names = ("masterdir", "setting", "command", "json", "check", "to_yaml", "scan_attributes")
    return next((name for name in names if getattr(arguments, name)), None)


def _clash(arguments: Namespace) -> str | None:
    """Why the options make no sense together, if they do not."""
    columns = [name for name in _COLUMNS if getattr(arguments, name)]
    about_nodes = bool(arguments.list_nodes or columns)
    other = _other(arguments)
    chosen = bool(arguments.node or arguments.group)
    if other is not None and (about_nodes or chosen or arguments.list_groups or arguments.filter_ignored):
        return f"--{other.replace('_', '-')} goes with no other option but -c"
    if other is not None:
        return None
    if arguments.list_groups and (about_nodes or chosen):
        return "-L lists all groups: it goes with -f only"
    if not (about_nodes or chosen or arguments.list_groups):
        return "nothing to tell: expected -l, -L, -n, -g, -m, -S, --json, --check or another one, see --help"
    if arguments.node and arguments.group and not about_nodes:
        return (
            "-n tells the groups of nodes, and -g the nodes of groups: give one of them, or -l to list all these nodes"
        )
    return None


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (clash := _clash(arguments)) is not None:
        parser.error(clash)
    from pytest_synctool import config as configuration

    path = common.locate(arguments)
    if arguments.to_yaml:
        _write_file(configuration.as_yaml(path))
        return common.OK
    config = configuration.load(path)
    if arguments.scan_attributes:
        return _scan_attributes(config)
    if arguments.check:
        return _check(config)
    if arguments.json:
        _write_json(config)
    elif _other(arguments) is not None:
        _print(_setting(config, arguments))
    elif arguments.list_groups:
        _print(name for name in config.groups if not (arguments.filter_ignored and name in config.ignored_groups))
    elif arguments.node and not (arguments.list_nodes or _columns(arguments)):
        _print(dict.fromkeys(group for node in _nodes(config, arguments) for group in node.groups))
    else:
        columns = _columns(arguments)
        _print(" ".join((node.name, *(column(node) for column in columns))) for node in _nodes(config, arguments))
    return common.OK


def _columns(arguments: Namespace) -> list[Callable[[Node], str]]:
    tell: dict[str, Callable[[Node], str]] = {
        "ipaddress": lambda node: node.address,
        "hostname": lambda node: node.hostname or node.name,
        "rsync": lambda node: "yes" if node.rsync else "no",
        "connection": lambda node: node.host_spec,
    }
    return [tell[name] for name in _COLUMNS if getattr(arguments, name)]


def _nodes(config: Config, arguments: Namespace) -> list[Node]:
    """The nodes that are asked for, in the order of the configuration; all of them where none is named.

    Raises SelectionError for what is none.
    """
    from pytest_synctool.common.wording import nearest
    from pytest_synctool.config.selection import NONE, select

    wanted: set[str] = set()
    if arguments.node:
        wanted |= {node.name for node in select(config, ",".join(arguments.node), origin="-n")}
    for group in common.groups(arguments.group, "-g"):
        if group == NONE:
            continue
        if group not in config.groups and group not in config.nodes:
            raise SelectionError(f"-g: no such group '{group}'{nearest(group, [*config.groups, *config.nodes])}")
        wanted |= set(config.groups.get(group, (group,)))
    if not arguments.node and not arguments.group:
        wanted = set(config.nodes)
    found = [node for name, node in config.nodes.items() if name in wanted]
    return [node for node in found if not (arguments.filter_ignored and node.ignored)]


def _setting(config: Config, arguments: Namespace) -> list[str]:
    from pytest_synctool.common.wording import nearest
    from pytest_synctool.config.settings import lines, settings

    found = settings(config)
    name = "masterdir" if arguments.masterdir else arguments.setting or f"{arguments.command}_cmd"
    if name not in found:
        option, asked = ("-C", arguments.command) if arguments.command else ("-S", name)
        known = (
            [key.removesuffix("_cmd") for key in found if key.endswith("_cmd")] if arguments.command else list(found)
        )
        raise SelectionError(f"{option}: no such setting '{asked}'{nearest(asked, known)}: {', '.join(known)}")
    return lines(name, found[name])


def _write_json(config: Config) -> None:
    import json

    from pytest_synctool.config.settings import settings

    nodes = {
        node.name: {
            "groups": node.groups,
            "address": node.address,
            "hostname": node.hostname or node.name,
            "connection": node.host_spec,
            "rsync": node.rsync,
            "ignored": node.ignored,
        }
        for node in config.nodes.values()
    }
    found = {"path": str(config.path), "nodes": nodes, "groups": config.groups, "settings": settings(config)}
    json.dump(found, sys.stdout, indent=1)
    print()


def _check(config: Config) -> int:
    """Tell the findings of lint. The status says whether there are any. Raises RepositoryError."""
    from pytest_synctool.lint import lint
    from pytest_synctool.repository import resolution

    status, here = common.OK, Path.cwd()
    for rule, findings in lint(config, resolution.load(config)).items():
        for finding in findings:
            path = Path(finding.path)
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            line = "" if finding.line is None else f":{finding.line}"
            print(f"{shown}{line}: {finding.message} [{rule}]")
            status = common.FINDINGS
    return status


def _scan_attributes(config: Config) -> int:
    from pytest_synctool.repository import attributes, resolution

    # An attributes.yaml that is there already is not read: the tree is asked.
    found = resolution.walk(
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

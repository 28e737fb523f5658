"""`synctool-config`: print the configuration, check it, and write files from it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool import __version__
from pytest_synctool.cli import command, shared_options
from pytest_synctool.cli.selection import group_names
from pytest_synctool.cli.shared_options import add_flags, add_repeatable
from pytest_synctool.errors import SelectionError

if TYPE_CHECKING:
    from pytest_synctool.common.trust import Trust
    from pytest_synctool.config import Config
    from pytest_synctool.model import Node

_COLUMNS: Final[dict[str, Callable[[Node], str]]] = {
    "ipaddress": lambda node: node.address,
    "hostname": lambda node: node.hostname or node.name,
    "rsync": lambda node: "yes" if node.rsync else "no",
    "connection": lambda node: node.host_spec,
}
# The options that are not about nodes and groups; each stands alone.
_OTHERS: Final = (
    *("masterdir", "setting", "command", "numproc", "logfile", "package_manager", "list_dirs", "prefix", "nodename"),
    *("list_destinations", "json", "check", "to_yaml", "scan_attributes", "migrate"),
)
# Options of 4.x that print one setting, with its keyword.
_OF_SETTINGS: Final = {
    "masterdir": "masterdir",
    "numproc": "num_proc",
    "logfile": "logfile",
    "package_manager": "package_manager",
}
_IGNORED: Final = " (ignored)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("synctool-config", argv, new_parser, _run, _conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `synctool-config`."""
    parser = shared_options.configured_parser(
        "synctool-config",
        "Print what the configuration contains. No node is contacted.",
        "Exit status: 0 if all is well, 1 if --check has findings or --migrate has something to do, 2 for a mistake in "
        "the command line or the configuration.",
    )
    nodes = parser.add_argument_group(
        "nodes and groups", "LIST is separated by commas and may contain ranges like node[1-3]."
    )
    add_flags(
        nodes,
        ("-l", "--list-nodes", "print the names of the nodes, one per line"),
        ("-L", "--list-groups", "print the names of all groups, one per line"),
    )
    add_repeatable(
        nodes,
        ("-n", "--node", "alone: print the groups of these nodes, most important first; with others: only these nodes"),
        ("-g", "--group", "print the nodes of these groups; with -n and others: the nodes of both"),
    )
    add_flags(
        nodes,
        ("-i", "--ipaddress", "--interface", "print each node and the address to connect to"),
        ("-H", "--hostname", "print each node and its hostname"),
        ("-r", "--rsync", "print each node and `yes`, or `no` if the masterdir is not copied to it"),
        ("--origin", "print each node and the lines of the configuration, or of a command in it, that define it"),
        ("-s", "--connection", "print each node and its host for testinfra and `pytest --hosts`: ssh://ADDRESS"),
        ("-f", "--filter-ignored", "leave out ignored nodes and groups, which are marked otherwise"),
    )
    _add_others(parser)
    parser.add_argument(
        "-v", action="version", version=f"%(prog)s {__version__} (pytest-synctool)", help="as --version"
    )
    return parser


def _add_others(parser: ArgumentParser) -> None:
    others = parser.add_argument_group("settings and files").add_mutually_exclusive_group()
    add_flags(
        others,
        ("-m", "--masterdir", "print the path of the masterdir"),
        ("-d", "--list-dirs", "print the masterdir and the directories in it"),
        ("-p", "--numproc", "print how many nodes are contacted at once"),
        ("-P", "--package-manager", "print package_manager, which has no effect here"),
        ("--logfile", "print the path of the log"),
        ("--prefix", "print the directory in which this program is installed"),
        ("--nodename", "print the name of the node that this machine is"),
        ("--list-destinations", "print the paths on nodes for which overlay/ and delete/ have files, one per line"),
    )
    others.add_argument("-S", "--setting", metavar="NAME", help="print a setting, by its keyword like num_proc")
    others.add_argument("-C", "--command", metavar="NAME", help="print commands: ssh, scp, rsync, diff or synctool")
    add_flags(
        others,
        ("--json", "print all nodes, groups and settings as JSON"),
        ("--check", "print mistakes in the configuration and the masterdir"),
        ("--to-yaml", "print the configuration as synctool.yaml"),
        (
            "--migrate",
            "print how to rename a masterdir of synctool 6 or 7, so that no 'layout 7' is needed; with -f rename it",
        ),
        ("--scan-attributes", "print an attributes.yaml with the present owners, groups and modes of overlay/"),
    )


def _other(arguments: Namespace) -> str | None:
    """Return the name of the option that is not about nodes and groups, or None."""
    return next((name for name in _OTHERS if getattr(arguments, name)), None)


def _columns(arguments: Namespace) -> list[Callable[[Node], str]]:
    return [column for name, column in _COLUMNS.items() if getattr(arguments, name)]


def _conflict(arguments: Namespace) -> str | None:
    about_nodes = bool(arguments.list_nodes or arguments.origin or _columns(arguments))
    other = _other(arguments)
    selects = bool(arguments.node or arguments.group)
    if other is not None:
        is_filter = arguments.filter_ignored and other != "migrate"
        if about_nodes or selects or arguments.list_groups or is_filter:
            return f"--{other.replace('_', '-')} goes with no other option but -c"
        return None
    if arguments.list_groups and (about_nodes or selects):
        return "-L lists all groups: it goes with -f only"
    if not (about_nodes or selects or arguments.list_groups):
        return "nothing to print: expected -l, -L, -n, -g, -m, -S, --json, --check or another one, see --help"
    if arguments.node and arguments.group and not about_nodes:
        return "-n prints the groups of nodes, -g the nodes of groups: give one of them, or -l to list all these nodes"
    return None


def _run(arguments: Namespace) -> int:
    from pytest_synctool import config as configuration
    from pytest_synctool.config import node_commands

    path, trust = shared_options.find_configuration(arguments), shared_options.trust_of(arguments)
    if arguments.to_yaml:
        _write_utf8(configuration.as_yaml(path, trust, node_commands.run))
        return command.OK
    if arguments.check:
        return _check(path, trust)
    config = configuration.load(path, trust, node_commands.run)
    if arguments.migrate:
        return _migrate(config, is_done=arguments.filter_ignored)
    if arguments.scan_attributes:
        return _scan_attributes(config)
    if arguments.list_destinations:
        return _list_destinations(config)
    if arguments.json:
        _write_json(config)
    else:
        _print(_lines(config, arguments))
    return command.OK


def _lines(config: Config, arguments: Namespace) -> Iterable[str]:
    if _other(arguments) is not None:
        return _other_lines(config, arguments)
    if arguments.list_groups:
        names = ((name, name in config.ignored_groups) for name in config.groups)
        return (name + _IGNORED * ignored for name, ignored in names if not (ignored and arguments.filter_ignored))
    nodes, columns = _nodes(config, arguments), _columns(arguments)
    if arguments.origin:
        columns.append(lambda node: ", ".join(map(str, config.node_places[node.name])))
    if arguments.node and not (arguments.list_nodes or columns):
        return dict.fromkeys(group for node in nodes for group in node.groups)
    return (" ".join((node.name, *(each(node) for each in columns))) + _IGNORED * node.ignored for node in nodes)


def _nodes(config: Config, arguments: Namespace) -> list[Node]:
    """Return the nodes that -n and -g select, or else all nodes, in the order of the configuration.

    Raise SelectionError for an unknown name.
    """
    from pytest_synctool.common.wording import nearest
    from pytest_synctool.config.selection import NONE, select

    wanted: set[str] = set()
    if arguments.node:
        wanted |= {node.name for node in select(config, ",".join(arguments.node), origin="-n")}
    for group in group_names(arguments.group, "-g"):
        if group == NONE:
            continue
        if group not in config.groups and group not in config.nodes:
            raise SelectionError(f"-g: no such group '{group}'{nearest(group, [*config.groups, *config.nodes])}")
        wanted |= set(config.groups.get(group, (group,)))
    if not arguments.node and not arguments.group:
        wanted = set(config.nodes)
    nodes = [node for name, node in config.nodes.items() if name in wanted]
    return [node for node in nodes if not (arguments.filter_ignored and node.ignored)]


def _other_lines(config: Config, arguments: Namespace) -> list[str]:
    """Return the lines of an option that stands alone. Raise SelectionError for an unknown name."""
    if arguments.prefix:
        return [sys.prefix]
    if arguments.nodename:
        from pytest_synctool.config import own_node

        return [own_node.own_node(config, own_node.Machine.this(config.trust), origin="--nodename").node.name]
    if arguments.list_dirs:
        keywords = ("masterdir", "overlaydir", "deletedir", "tasksdir", "scriptdir")
        return [f"{word} {config.masterdir / line}" for word in keywords for line in _setting(config, word, "-d")]
    if arguments.command:
        names = arguments.command.split(",")
        return [line for name in names for line in _setting(config, f"{name}_cmd", "-C")]
    by_option = next((word for option, word in _OF_SETTINGS.items() if getattr(arguments, option)), None)
    return _setting(config, by_option or arguments.setting, "-S")


def _setting(config: Config, name: str, option: str) -> list[str]:
    """Return the lines of one setting. Raise SelectionError for an unknown name."""
    from pytest_synctool.common.wording import nearest
    from pytest_synctool.config.later_keywords import WITHOUT_EFFECT
    from pytest_synctool.config.settings import lines, settings

    values = settings(config)
    if name not in values:
        known = [word for word in values if word not in WITHOUT_EFFECT]
        if option == "-C":
            name = name.removesuffix("_cmd")
            known = [word.removesuffix("_cmd") for word in known if word.endswith("_cmd")]
        raise SelectionError(f"{option}: no such setting '{name}'{nearest(name, known)}: {', '.join(known)}")
    return lines(name, values[name])


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
            "origin": list(map(str, config.node_places[node.name])),
        }
        for node in config.nodes.values()
    }
    value = {"path": str(config.path), "nodes": nodes, "groups": config.groups, "settings": settings(config)}
    json.dump(value, sys.stdout, indent=1)
    print()


def _check(conf: Path, trust: Trust) -> int:
    """Print the findings of lint. Return DRIFT if there are any. Raise ConfigError or RepositoryError."""
    from dataclasses import replace

    from pytest_synctool.common.trust import EVERYBODY
    from pytest_synctool.config import node_commands
    from pytest_synctool.lint import lint
    from pytest_synctool.repository import resolution

    status, directory = command.OK, Path.cwd()
    config = replace(resolution.load_config(conf, trust, EVERYBODY, node_commands.run), trust=EVERYBODY)
    for rule, findings in lint(config, resolution.load(config)).items():
        for finding in findings:
            path = Path(finding.path)
            shown = path.relative_to(directory) if path.is_relative_to(directory) else path
            line = "" if finding.line is None else f":{finding.line}"
            command.print_lines([f"{shown}{line}: {finding.message} [{rule}]"])
            status = command.DRIFT
    return status


def _migrate(config: Config, *, is_done: bool) -> int:
    """Print what has to be renamed, or with `is_done` rename it. Return DRIFT if something is still to be done."""
    import os
    from contextlib import ExitStack, closing

    from pytest_synctool.common.shell import quote
    from pytest_synctool.common.wording import printable
    from pytest_synctool.config.model import Layout
    from pytest_synctool.repository import migration
    from pytest_synctool.repository.lock import MasterdirLock

    if config.layout is Layout.PATHS:
        command.print_stderr([f"{config.path} says that the layout is that of synctool 4: nothing to rename"])
        return command.OK
    with ExitStack() as stack:
        if is_done:
            stack.enter_context(closing(MasterdirLock(config.masterdir)))
        plan = migration.plan(config)
        if plan.problems:
            command.print_stderr(plan.problems)
            return command.DRIFT
        if is_done:
            migration.apply(config.masterdir, plan)
    for old, new in plan.renames:
        names = [os.path.join(os.fsencode(config.masterdir), name) for name in (old, new)]
        command.print_lines([f"mv {' '.join(printable(quote(name)) for name in names)}"])
    if config.layout is Layout.GROUPS:
        command.print_stderr([f"{config.path}: replace 'layout 7' by 'layout 4' after the renames"])
    return command.OK if is_done or not plan.renames else command.DRIFT


def _list_destinations(config: Config) -> int:
    """Print the destinations of the masterdir in order. A name that is no line of text is printed as messages do."""
    from pytest_synctool.common.wording import printable
    from pytest_synctool.repository.masterdir import scan_configured
    from pytest_synctool.repository.source import Tree

    sources = scan_configured(config).sources()
    names = {source.destination for _, source in sources if source.tree is not Tree.TASKS}
    _print(map(printable, sorted(names)))
    return command.OK


def _scan_attributes(config: Config) -> int:
    """Print an attributes.yaml for the masterdir. An existing one is not read: it may be wrong."""
    from pytest_synctool.repository.attributes.writer import scan
    from pytest_synctool.repository.masterdir import scan_configured
    from pytest_synctool.repository.resolution import Repository

    repository = Repository(scan_configured(config))
    _write_utf8(scan(source for _, source in repository.masterdir.sources()))
    sys.stdout.flush()
    command.print_stderr(f"WARNING {warning}" for warning in repository.warnings)
    return command.OK


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _write_utf8(text: str) -> None:
    """Write the text of a file to standard output, in UTF-8 whatever the locale."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text)

"""`synctool`: audit and repair nodes, and tell from the repository which source counts for a file, and why."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import common, options
from pytest_synctool.errors import SelectionError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.model import Node
    from pytest_synctool.repository.resolution import Repository

_STATUSES: Final = (
    "Exit status: 0 if all is in sync or was fixed, 1 if something differs or -r names what no selected node has, "
    "2 for mistakes, 3 if a node could not be looked at or something on it is not known."
)
# What asks something else than a run does: each goes with the selection of nodes, and with little more.
_QUESTIONS: Final = (("--manifest", "manifest"), ("-r", "ref"))
_OF_RUNS: Final = (
    *(("-f", "fix"), ("--restore", "restore"), ("-t", "tasks"), ("-1", "single"), ("--unix", "unix")),
    *(("-a", "aggregate"), ("--skip-rsync", "skip_rsync"), ("--nodename", "nodename")),
)
# What is done with nodes instead of a run, with the options of runs that go with it.
_ACTIONS: Final = (
    *(("-d", "diff", ("--nodename", "-a")), ("-u", "upload", ("--nodename", "-f"))),
    *(("--check-update", "check_update", ()), ("--download", "download", ())),
)
_OF_REPAIRS: Final = (("--no-saved", "no_saved"), ("--saved-dir", "saved_dir"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser(
        "synctool",
        "Look at the files of nodes and tell what differs from the repository; with -f put it right.",
        _STATUSES,
    )
    common.add_selection(parser)
    _add_work(parser)
    _add_questions(parser)
    options.add_diff(parser)
    options.add_upload(parser)
    options.add_update(parser)
    return parser


def _add_work(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--fix", action="store_true", help="put right what differs; else nothing is changed")
    parser.add_argument(
        "-1",
        "--single",
        metavar="FILE",
        action="append",
        default=[],
        type=common.destination,
        help="only FILE, an absolute path on a node; can be repeated",
    )
    parser.add_argument("-t", "--tasks", action="store_true", help="run the executables in tasks/ too, with -f")
    parser.add_argument("--unix", action="store_true", help="show the shell text that -f would run, and do nothing")
    parser.add_argument("-a", "--aggregate", action="store_true", help="tell what is the same for many nodes once")
    parser.add_argument("-q", "--quiet", action="store_true", help="only what differs; no warnings")
    parser.add_argument("-v", "--verbose", action="store_true", help="how each source was decided on, and details")
    parser.add_argument("--skip-rsync", action="store_true", help="with -f: the nodes have the masterdir already")
    parser.add_argument("--nodename", metavar="NAME", help="work on this machine alone, as node NAME")
    parser.add_argument("-p", "--numproc", metavar="N", type=common.number, help="so many nodes at once (num_proc)")
    parser.add_argument("--restore", action="store_true", help="put back what the last -f has kept on the nodes")
    parser.add_argument("--no-saved", action="store_true", help="with -f: keep no NAME.saved of what is replaced")
    parser.add_argument(
        "--saved-dir",
        metavar="DIR",
        type=options.saved,
        help="with -f: keep old versions below DIR on the node instead",
    )
    parser.add_argument("--no-waivers", action="store_true", help="as if there were no waivers.yaml")
    parser.add_argument("--no-syslog", action="store_true", help="with -f: do not log to syslog what is done")
    for option, seconds, what in (
        ("--timeout", 120, "one command on a node, a repair with its triggers included"),
        ("--connect-timeout", 10, "a connection"),
        ("--trigger-timeout", 60, "one .post script or command"),
    ):
        parser.add_argument(
            option, metavar="SECONDS", type=common.number, default=seconds, help=f"for {what} (%(default)s)"
        )
    parser.add_argument(
        "--ssh-persist",
        metavar="SECONDS",
        type=common.number_or_none,
        default=60,
        help="how long ssh connections stay open for later runs (%(default)s; 0: not)",
    )


def _add_questions(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("questions", "These contact no node.")
    group.add_argument(
        "-r",
        "--ref",
        metavar="FILE",
        action="append",
        default=[],
        type=common.destination,
        help="tell the source of FILE, an absolute path on a node; can be repeated",
    )
    group.add_argument(
        "--manifest", action="store_true", help="write what every node gets as JSON; ignored nodes are in it too"
    )


def _clash(arguments: Namespace) -> str | None:
    """Why the options make no sense together, if they do not."""
    options = (*(action[:2] for action in _ACTIONS), *_QUESTIONS, *_OF_RUNS, *_OF_REPAIRS)
    given = {option: None for option, name in options if getattr(arguments, name)}
    if arguments.quiet and arguments.verbose:
        return "-q does not go with -v: one asks for less, the other for more"
    if {"--manifest", "-r"} <= set(given):
        return "--manifest does not go with -r: a manifest has every destination"
    if arguments.manifest and arguments.verbose:
        return "--manifest does not go with -v: remarks are not JSON"
    for action, _, others in _ACTIONS:
        for option in given:
            if action in given and option not in (action, *others):
                return f"{option} does not go with {action}: one thing at a time"
    for action in ("--check-update", "--download"):
        if action in given and (arguments.node or arguments.group or arguments.exclude or arguments.exclude_group):
            return f"{action} does not go with -n, -g, -x and -X: it is about no node"
    if arguments.show_sensitive and not arguments.diff:
        return "--show-sensitive needs -d"
    if arguments.suffix is not None and not arguments.upload:
        return "-s needs -u: it is for what is brought into overlay/"
    for question, _ in _QUESTIONS:
        for option, _ in _OF_RUNS:
            if {question, option} <= set(given):
                return f"{option} does not go with {question}, which contacts no node"
    for option in ("-f", "-t", "--unix"):
        if {option, "--restore"} <= set(given):
            return f"{option} does not go with --restore, which puts back what -f has changed"
    if {"-f", "--unix"} <= set(given):
        return "-f does not go with --unix, which shows what -f would do"
    for option, _ in _OF_REPAIRS:
        if option in given and "-f" not in given:
            return f"{option} needs -f: nothing else replaces files"
    if set(dict(_OF_REPAIRS)) <= set(given):
        return "--no-saved does not go with --saved-dir: old versions are kept, or they are not"
    return None


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (clash := _clash(arguments)) is not None:
        parser.error(clash)
    if arguments.check_update or arguments.download:
        from pytest_synctool.cli import update

        return update.run(arguments)
    from pytest_synctool import config as configuration
    from pytest_synctool.repository import resolution

    config = configuration.load(common.locate(arguments))
    everyone = config.nodes.values() if arguments.manifest else None
    if (own := _own(config, arguments)) is not None:
        nodes = [own]
    else:
        nodes = common.selected(config, arguments, default=everyone)
    found = resolution.load(config)
    if arguments.manifest:
        from pytest_synctool.repository import manifest

        status = common.OK
        manifest.write(found, nodes, sys.stdout)
    elif arguments.diff:
        from pytest_synctool.cli import diff

        status = diff.run(config, found, nodes, arguments)
    elif arguments.upload:
        from pytest_synctool.cli import upload

        status = upload.run(config, found, nodes, arguments)
    elif arguments.ref:
        status = _refer(found, nodes, arguments)
    else:
        status = _work(config, found, nodes, arguments, local=own is not None)
    sys.stdout.flush()  # before what is said on the other stream
    if not arguments.quiet:  # what was left out for a node is known only now
        common.complain(f"WARNING {warning}" for warning in (*config.warnings, *found.warnings))
    return status


def _own(config: Config, arguments: Namespace) -> Node | None:
    """The node that this machine is, with a local connection, if that is what is meant. Raises SelectionError."""
    if arguments.nodename is None and "localhost" not in ",".join(arguments.node).split(","):
        return None
    from pytest_synctool.config import own_node

    expression = ",".join(arguments.node) or None
    if not own_node.is_wanted(config, expression, arguments.nodename, origin="-n"):
        return None
    if arguments.group or arguments.exclude or arguments.exclude_group:
        raise SelectionError("-g, -x and -X do not go with the node that this machine is: it is the only one")
    return own_node.own_node(config, own_node.Machine.this(), arguments.nodename, origin="-n").node


def _work(config: Config, found: Repository, nodes: Sequence[Node], arguments: Namespace, *, local: bool) -> int:
    from pytest_synctool.cli.run import Work
    from pytest_synctool.common.nodenames import natural
    from pytest_synctool.common.wording import printable

    known = {entry.destination for node in nodes for entry in found.entries(node)} if arguments.single else set()
    for destination in arguments.single:
        if destination not in known:
            raise SelectionError(f"-1: no selected node has {printable(destination)} in overlay/ or delete/ (see -r)")
    ordered = sorted(nodes, key=lambda node: natural(node.name))
    return Work(config, found, ordered, arguments, local).run()


def _refer(found: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the source of each destination on each node. The status says whether each is on at least one."""
    from pytest_synctool.common.wording import printable
    from pytest_synctool.repository.explain import Explainer

    destinations: dict[bytes, None] = dict.fromkeys(arguments.ref)
    missing = set(destinations)
    explainer = Explainer(found)
    for node in nodes:
        sources = _sources(found, node, destinations)
        missing -= set(sources)
        for destination in destinations:
            shown = sources.get(destination)
            print(f"{node.name}: {shown or f'{printable(destination)} is not in the overlay tree'}")
            if arguments.verbose or shown is None:
                for remark in explainer.remarks(node, {destination}):
                    print(f"{node.name}:     {remark}")
    return common.NOT_FOUND if missing else common.OK


def _sources(found: Repository, node: Node, destinations: Collection[bytes]) -> dict[bytes, str]:
    """The sources in the overlay tree, as the documentation writes them: `/etc/resolv.conf._somegroup`."""
    from pytest_synctool.repository.source import Tree

    return {
        entry.destination: entry.source.shown.removeprefix(Tree.OVERLAY.value)
        for entry in found.entries(node)
        if entry.destination in destinations and entry.tree is Tree.OVERLAY
    }


if __name__ == "__main__":
    sys.exit(main())

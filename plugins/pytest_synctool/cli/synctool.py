"""`synctool`: which source counts for a file, why, and what every node gets. Answers from the masterdir alone."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import common

if TYPE_CHECKING:
    from pytest_synctool.model import Node
    from pytest_synctool.repository import Repository

_NOT_BUILT: Final = (
    "nothing was done: in this version the audit is `pytest`, and the repair `pytest --fix`; "
    "-r, -v and --manifest answer here, without contacting a node"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser(
        "synctool",
        "Tell from the repository which node has which file, and why. No node is contacted.",
        "Exit status: 0 if all is well, 1 if -r names what no selected node has, 2 for mistakes.",
    )
    common.add_selection(parser)
    parser.add_argument(
        "-r",
        "--ref",
        metavar="FILE",
        action="append",
        default=[],
        type=_destination,
        help="tell the source of FILE, an absolute path on a node; can be repeated",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tell how each source was decided on")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not warn of what was left out")
    parser.add_argument(
        "--manifest", action="store_true", help="write what every node gets as JSON; ignored nodes are in it too"
    )
    parser.add_argument("-f", "--fix", action="store_true", help="not in this version: use `pytest --fix`")
    return parser


def _destination(text: str) -> bytes:
    from pytest_synctool.model import printable

    path = os.fsencode(text)
    if not path.startswith(b"/"):
        raise ArgumentTypeError(f"expected an absolute path like /etc/fstab, not '{printable(path)}'")
    return re.sub(b"^/+", b"/", os.path.normpath(path))


def _clash(arguments: Namespace) -> str | None:
    """Why the options make no sense together, if they do not."""
    if arguments.quiet and arguments.verbose:
        return "-q does not go with -v: one asks for less, the other for more"
    if arguments.manifest and arguments.ref:
        return "--manifest does not go with -r: a manifest has every destination"
    if arguments.manifest and arguments.verbose:
        return "--manifest does not go with -v: remarks are not JSON"
    return None


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.fix or not (arguments.manifest or arguments.ref or arguments.verbose):
        common.complain([f"synctool: {_NOT_BUILT}"])
        return common.FAILED
    if (clash := _clash(arguments)) is not None:
        parser.error(clash)
    from pytest_synctool import config as configuration
    from pytest_synctool import manifest, repository
    from pytest_synctool.nodeset import fold

    config = configuration.load(common.locate(arguments))
    everyone = config.nodes.values() if arguments.manifest else None
    nodes = common.selected(config, arguments, default=everyone)
    found = repository.load(config)
    status = common.OK
    if arguments.manifest:
        manifest.write(found, nodes, sys.stdout)
    elif arguments.ref:
        status = _refer(found, nodes, arguments)
    else:
        _explain(found, nodes)
    sys.stdout.flush()  # before what is said on the other stream
    if arguments.verbose and not arguments.ref:
        told = fold(node.name for node in nodes)
        common.complain([f"no node was contacted: this is what the masterdir says of {told}"])
    elif not arguments.quiet:  # what was left out for a node is known only now
        common.complain(f"WARNING {warning}" for warning in (*config.warnings, *found.warnings))
    return status


def _explain(found: Repository, nodes: Sequence[Node]) -> None:
    from pytest_synctool.explain import Explainer

    explainer = Explainer(found)
    for node in nodes:
        for remark in explainer.remarks(node):
            print(f"{node.name}: {remark}")


def _refer(found: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the source of each destination on each node. The status says whether each is on at least one."""
    from pytest_synctool.explain import Explainer
    from pytest_synctool.model import printable

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
    from pytest_synctool.source import Tree

    return {
        entry.destination: entry.source.shown.removeprefix(Tree.OVERLAY.value)
        for entry in found.entries(node)
        if entry.destination in destinations and entry.tree is Tree.OVERLAY
    }

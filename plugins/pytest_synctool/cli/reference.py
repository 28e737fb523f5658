"""`synctool --ref`: the source that each node uses for a file, and why."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence

from pytest_synctool.cli import command
from pytest_synctool.cli.file_names import FileNames
from pytest_synctool.common.console import shown
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.explain import Explainer
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree


def run(repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the sources. Return OK, or NOT_FOUND if a file is on no node; that is one line for all nodes."""
    names = FileNames.of(repository, nodes, {Tree.OVERLAY})
    paths: dict[bytes, None] = {}
    missing = []
    for name in dict.fromkeys(arguments.ref):
        path = names.path(name, "-r")
        if path is None:
            missing.append(name)
        else:
            paths[path] = None
    explainer = Explainer(repository)
    lines = _of_nodes(repository, explainer, nodes, paths, verbose=arguments.verbose)
    if arguments.aggregate:
        from pytest_synctool.dsh.aggregate import Aggregate

        aggregate = Aggregate()
        for node, line in lines:
            aggregate.add(node, shown(line).encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        aggregate.write(sys.stdout.buffer)
    else:
        command.print_lines(f"{node}: {line}" for node, line in lines)
    for name in missing:
        _print_missing(explainer, nodes, name, names.hint(name))
    return command.NOT_FOUND if missing else command.OK


def _of_nodes(
    repository: Repository, explainer: Explainer, nodes: Sequence[Node], paths: Collection[bytes], *, verbose: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines about paths, each with its node."""
    for node in nodes:
        sources = _sources(repository, node, paths)
        for path in paths:
            source = sources.get(path)
            yield node.name, source or f"{printable(path)} is not in the overlay tree"
            if verbose or source is None:
                yield from ((node.name, f"    {remark}") for remark in explainer.remarks(node, {path}))


def _print_missing(explainer: Explainer, nodes: Sequence[Node], name: bytes, hint: str) -> None:
    """Print that no node has a file, once for all nodes for which the reasons are the same."""
    remarks: dict[tuple[str, ...], list[str]] = {}
    for node in nodes:
        remarks.setdefault(tuple(explainer.remarks(node, {name})), []).append(node.name)
    for reasons, alike in remarks.items():
        lines = (f"{printable(name)} is not in the overlay tree{hint}", *(f"    {reason}" for reason in reasons))
        command.print_lines(f"{fold(alike)}: {line}" for line in lines)


def _in_words(entry: Entry) -> str:
    source = entry.source.shown.removeprefix(Tree.OVERLAY.value)
    exclusive = None if entry.attributes is None else entry.attributes.exclusive
    if exclusive in ("yes", "tree"):
        return f"{source} ({'exclusive' if exclusive == 'yes' else 'exclusive tree'})"
    return f"{entry.how_made} {source}" if entry.how_made else source


def _sources(repository: Repository, node: Node, paths: Collection[bytes]) -> dict[bytes, str]:
    """Return the sources of paths, by path, spelled from overlay/ on: `/etc/resolv.conf._somegroup`."""
    return {
        entry.destination: _in_words(entry)
        for entry in repository.entries(node)
        if entry.destination in paths and entry.tree is Tree.OVERLAY
    }

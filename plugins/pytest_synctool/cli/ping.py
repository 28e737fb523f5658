"""`dsh-ping`: which nodes can be reached, as folded lists."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import command, dsh, fleet, shared_options

if TYPE_CHECKING:
    from pytest_synctool.dsh.calls import CallOutcome

_COMMAND: Final = "exit 0"  # of every login shell
_LIMIT: Final = 30.0  # seconds for a login that hangs; the connection has a limit of its own


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("dsh-ping", argv, new_parser, _run, shared_options.sudo_conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `dsh-ping`."""
    parser = shared_options.configured_parser(
        "dsh-ping",
        "Print which nodes can be reached: log in on each and run a command that does nothing. Nodes with the same "
        "result are one line.",
        "Exit status: 0 if all nodes are reachable, 2 for a mistake in the command line or the configuration, 3 if one "
        "is not.",
    )
    fleet.add_options(
        parser,
        quiet="print only the nodes that are unreachable",
        aggregate="accepted for compatibility, ignored: nodes with the same result are always one line",
        limit=_LIMIT,
    )
    shared_options.add_flags(parser, ("--no-tree", "ignore ClusterShell's topology.conf"))
    return parser


def _run(arguments: Namespace) -> int:
    nodes = fleet.over_open_connections(fleet.load(arguments))
    commands = dsh.Commands.of(nodes, _COMMAND, arguments)
    if arguments.unix or arguments.verbose:
        dsh.print_command_lines(commands, arguments)
    if arguments.unix:
        return command.OK
    output = fleet.new_output("dsh-ping", arguments, is_silent=True)
    tree = not arguments.no_tree
    runner = fleet.run_calls("dsh-ping", commands, nodes.calls(), nodes, arguments, output, quiet=True, tree=tree)
    if runner.signal is not None:
        return fleet.exit_status("dsh-ping", nodes, [runner])
    reasons = dict(nodes.unreachable)
    reasons |= {node: reason for node, call in runner.calls.items() if (reason := _reason(call.outcome))}
    reachable = [node for node in runner.calls if node not in reasons]
    command.print_lines(_lines([] if arguments.quiet else reachable, reasons))
    return command.UNREACHABLE if reasons else command.OK


def _reason(outcome: CallOutcome | None) -> str:
    """Return the reason why a node is not reachable, or "" if it is."""
    from pytest_synctool.dsh.calls import CallEnding

    if outcome is None:
        return "it has not answered"
    if outcome.ending is CallEnding.DONE:
        return f"its login works, but a command has exit status {outcome.status}" if outcome.status else ""
    return outcome.reason if outcome.ending is CallEnding.UNREACHABLE else f"no answer within {outcome.reason}"


def _lines(reachable: Iterable[str], reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for the reachable nodes, and one for the nodes of each reason, in the order of the nodes."""
    from pytest_synctool.common.nodenames import fold

    if reachable:
        yield f"{fold(reachable)}: reachable"
    nodes: dict[str, list[str]] = {}
    for node, reason in reasons.items():
        nodes.setdefault(reason, []).append(node)
    for reason, names in nodes.items():
        yield f"{fold(names)}: unreachable: {reason}"

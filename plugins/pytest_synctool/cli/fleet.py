"""What dsh and dcp share: options, the ways to the nodes, and what is said at the end."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TextIO

from pytest_synctool.cli import common
from pytest_synctool.errors import TransportError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.connection.route import Reach
    from pytest_synctool.connection.ssh import SshSettings
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.output import Speech
    from pytest_synctool.dsh.runner import Conductor, Work

STATUSES: Final = (
    "Exit status: 0 if all is well, 2 for mistakes, 3 if a node could not be reached, else 124 if a time limit has "
    "passed, else "
)


def add_options(parser: ArgumentParser) -> None:
    """The selection of nodes, and how they are gone to."""
    common.add_selection(parser)
    parser.add_argument("-a", "--aggregate", action="store_true", help="tell equal output once, at the end")
    parser.add_argument("-q", "--quiet", action="store_true", help="less output")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the command lines that are run")
    parser.add_argument("--unix", action="store_true", help="show the command lines, and run nothing")
    parser.add_argument("-p", "--numproc", metavar="N", type=common.number, help="so many nodes at once (num_proc)")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=common.seconds, help="how long it may take on a node (no limit)"
    )
    parser.add_argument(
        "--connect-timeout", metavar="SECONDS", type=common.number, default=10, help="for a connection (%(default)s)"
    )


@dataclass(frozen=True)
class Fleet:
    """The ways to the selected nodes that dsh and dcp can go to; `unknown` says why not to the others.

    `token` is a word that nobody else says, by which a command announces itself.
    """

    config: Config
    ways: Mapping[str, Reach]
    unknown: Mapping[str, str]
    token: str

    def calls(self) -> list[Call]:
        """A call for each node that can be gone to, in the order of the configuration."""
        from pytest_synctool.connection.ssh import SSH_FAILED
        from pytest_synctool.dsh.calls import Call

        # A container's exec has no exit status of its own for what goes wrong before the command begins.
        lost = {True: (SSH_FAILED,), False: range(1, 256)}
        return [Call(name, self.token, way.is_ssh, lost[way.is_ssh]) for name, way in self.ways.items()]

    def only(self, ways: Mapping[str, Reach]) -> Fleet:
        """These of the nodes, with other ways to them."""
        return replace(self, ways=ways)


def load(arguments: Namespace) -> Fleet:
    """What a command line selects. Raises SynctoolError."""
    import shutil

    from pytest_synctool import config as configuration
    from pytest_synctool.connection.route import reach

    config = configuration.load(common.locate(arguments))
    settings = ssh_settings(config, arguments)
    ways, unknown = {}, {}
    for node in common.selected(config, arguments):
        try:
            way = ways[node.name] = reach(node, settings)
            if not way.is_ssh and shutil.which(way.argv("")[0]) is None:
                raise TransportError(f"there is no command {way.argv('')[0]!r} here")
        except TransportError as error:
            ways.pop(node.name, None)
            unknown[node.name] = str(error)
    if any(way.is_ssh for way in ways.values()):
        common.require(config.ssh_cmd, "ssh_cmd", config)
    return Fleet(config, ways, unknown, f"synctool-{os.urandom(8).hex()}")


def ssh_settings(config: Config, arguments: Namespace) -> SshSettings:
    """How ssh is called."""
    from pytest_synctool.connection.ssh import SshSettings

    return SshSettings(config.ssh_cmd, connect_timeout=arguments.connect_timeout)


def over_open_connections(ways: Mapping[str, Reach]) -> dict[str, Reach]:
    """The same ways, over connections that dsh -M has opened."""
    from pytest_synctool.connection.control_sockets import Sockets
    from pytest_synctool.dsh.multiplex import OpenWays

    open_ways = OpenWays(Sockets.of_user(os.environ))
    return {name: open_ways.use(way) for name, way in ways.items()}


def speech(arguments: Namespace) -> Speech:
    """How what the nodes say is shown."""
    from pytest_synctool.dsh.output import Grouped, Streamed

    return (Grouped if arguments.aggregate else Streamed)(sys.stdout.buffer, sys.stderr.buffer)


def conduct(
    name: str,
    work: Work,
    calls: Sequence[Call],
    found: Fleet,
    arguments: Namespace,
    told: Speech,
    *,
    stdin: int | None = None,
    quiet: bool = False,
    tree: bool = False,
) -> Conductor:
    """Do a work for all calls, as the options say."""
    from pytest_synctool.connection.limits import possible
    from pytest_synctool.dsh.runner import Conductor

    conductor = Conductor(
        work,
        calls,
        told,
        width=possible(arguments.numproc or found.config.num_proc),
        limit=arguments.timeout,
        stdin=stdin,
        quiet=quiet,
        # Said at once: telling the nodes takes a moment.
        interrupted=lambda: common.complain(
            [f"{name}: interrupted, ending what is under way (once more: leave it as it is)"]
        ),
    )
    conductor.run(tree=tree, connect_timeout=arguments.connect_timeout)
    return conductor


def tell_unknown(found: Fleet, told: Speech) -> None:
    """Say why some nodes cannot be gone to at all."""
    for node, reason in found.unknown.items():
        told.err(node, [f"unreachable: {reason}".encode()])


def conclude(name: str, found: Fleet, conductors: Sequence[Conductor], *, most: int = 255) -> int:
    """The exit status, that of a command counting as `most` at most; the later conductor has the last word on a node.

    Where a signal has ended the run, it is said which nodes were done.
    """
    from pytest_synctool.dsh.calls import UNREACHABLE, exit_status

    calls = {node: call for conductor in conductors for node, call in conductor.calls.items()}
    ended = conductors[-1].signal
    if ended is not None:
        common.complain(_interrupted(name, calls, conductors))
        return 128 + ended
    status = exit_status((call.outcome for call in calls.values() if call.outcome is not None), most)
    return UNREACHABLE if found.unknown else status


def _interrupted(name: str, calls: Mapping[str, Call], conductors: Sequence[Conductor]) -> Iterator[str]:
    from pytest_synctool.common.nodenames import fold
    from pytest_synctool.dsh.calls import Ending

    done = {node for node, call in calls.items() if call.outcome and call.outcome.ending is Ending.DONE}
    open_ = {node for node, call in calls.items() if call.outcome is None}
    begun = {node for conductor in conductors for node in conductor.begun}
    stopped = {node for conductor in conductors for node in conductor.stopped} & open_
    for what, nodes in (("done", done), ("ended", stopped), ("not begun", open_ - begun)):
        if nodes:
            yield f"{name}: {what}: {fold(nodes)}"
    problems = {node: problem for conductor in conductors for node, problem in conductor.problems.items()}
    for node in sorted((open_ & begun) - stopped):
        reason = problems.get(node, "nothing has been heard of it")
        yield f"{name}: not known whether it goes on: {node} ({reason})"


def show(lines: Iterable[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print command lines as a shell would understand them, on standard output or another stream."""
    import shlex

    for words in lines:
        print(shlex.join(words), file=stream)

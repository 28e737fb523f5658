"""`dsh`: one command on many nodes at once."""

from __future__ import annotations

import os
import re
import sys
from argparse import REMAINDER, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_synctool.cli import common, fleet

if TYPE_CHECKING:
    from pytest_synctool.connection.route import Reach
    from pytest_synctool.connection.ssh import SshSettings
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.multiplex import OpenWays


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("dsh", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser(
        "dsh",
        "Run a command on nodes, many at once. What they say is shown as `node: line`.",
        fleet.STATUSES + "the highest exit status of the command on a node.",
    )
    parser.usage = "dsh [options] command [argument ...]"
    fleet.add_options(parser)
    parser.add_argument("--no-stdin", action="store_true", help="standard input is not for the command")
    parser.add_argument("--no-tree", action="store_true", help="leave ClusterShell's topology.conf aside")
    parser.add_argument("--skip-rsync", action="store_true", help="for old habits: dsh brings no files to the nodes")
    group = parser.add_argument_group("connections that stay open", "Later commands use them by themselves.")
    group.add_argument("-M", "--multiplex", action="store_true", help="open them")
    group.add_argument("-O", dest="control", metavar="WORD", choices=_WORDS, help=f"one of {', '.join(_WORDS)}")
    group.add_argument(
        "--persist",
        metavar="TIME",
        type=_time,
        default="1h",
        help="how long -M keeps one that is not used (%(default)s)",
    )
    parser.add_argument(
        "command", nargs=REMAINDER, help="what a shell on the node is to run; all that follows belongs to it"
    )
    return parser


_WORDS = ("check", "stop", "exit")


def _time(text: str) -> str:
    if not re.fullmatch(r"([0-9]{1,6}[smhdwSMHDW]?)+", text):
        raise ArgumentTypeError(f"expected a time as ssh writes it, like 90, 30m or 4h, not {text!r}")
    return text


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if (arguments.multiplex or arguments.control) and words:
        parser.error(f"{'-M' if arguments.multiplex else '-O'} takes no command")
    if arguments.multiplex and arguments.control:
        parser.error("-M does not go with -O: one opens connections, the other asks for them")
    if not (words or arguments.multiplex or arguments.control):
        parser.error("no command: expected one behind the options, like `dsh uptime`")
    found = fleet.load(arguments)
    from pytest_synctool.connection.control_sockets import Sockets
    from pytest_synctool.dsh.multiplex import OpenWays

    open_ways = OpenWays(Sockets.of_user(os.environ))
    if arguments.control:
        return _control(found, arguments, open_ways)
    if arguments.multiplex:
        return _open(found, arguments, open_ways)
    ways = {name: open_ways.use(way) for name, way in found.ways.items()}
    return _run(
        found, Commands(ways, " ".join(words), found.token, fleet.ssh_settings(found.config, arguments)), arguments
    )


@dataclass(frozen=True)
class Commands:
    """The same command for all nodes. `settings` are for gateways, which need not be nodes."""

    ways: Mapping[str, Reach]
    command: str
    token: str
    settings: SshSettings

    def line(self, node: str) -> str:
        """The line for a node, which announces itself."""
        return self.ways[node].line(self.command, self.token)

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """What to run here for a line."""
        if node in self.ways:
            return self.ways[node].argv(line)
        from pytest_synctool.connection.route import reach
        from pytest_synctool.model import Node

        return reach(Node(node, (node, "all"), node), self.settings).argv(line)

    def stop_line(self, call: Call) -> str | None:
        """The line that ends the command."""
        return None if call.group is None else self.ways[call.node].stop_line(call.group)

    def done(self, node: str) -> Sequence[bytes]:
        """What a command has to say it has said."""
        return ()


def _run(found: fleet.Fleet, commands: Commands, arguments: Namespace) -> int:
    if arguments.unix or arguments.verbose:
        _show(commands, arguments)
    if arguments.unix:
        return common.OK
    told = fleet.speech(arguments)
    fleet.tell_unknown(found, told)
    conductor = fleet.conduct(
        "dsh",
        commands,
        found.calls(),
        found,
        arguments,
        told,
        stdin=_input(arguments),
        quiet=arguments.quiet,
        tree=not arguments.no_tree,
    )
    told.finish()
    return fleet.conclude("dsh", found, [conductor])


def _show(commands: Commands, arguments: Namespace) -> None:
    """Show the command lines, without the words by which a command announces itself."""
    from pytest_synctool.common.nodenames import fold

    stream = sys.stdout if arguments.unix else sys.stderr
    routed, file = (frozenset[str](), "") if arguments.no_tree else _routed(commands.ways)
    if routed:
        print(f"# through the gateways of {file}, by their ssh: {fold(routed)}", file=stream)
    ways = (way for node, way in commands.ways.items() if node not in routed)
    fleet.show((way.argv(way.line(commands.command)) for way in ways), stream)


def _routed(ways: Mapping[str, Reach]) -> tuple[frozenset[str], str]:
    """The nodes that are behind gateways of ClusterShell, and the file that says so."""
    from ClusterShell.Defaults import config_paths

    if not any(map(os.path.exists, config_paths("topology.conf"))):
        return frozenset(), ""  # as mostly, and before ClusterShell is loaded as a whole
    from ClusterShell.Task import task_self

    from pytest_synctool.dsh.gateways import routed, topology

    task = task_self()
    file = topology(task)
    if file is None:
        return frozenset(), ""
    return frozenset(routed(task, [node for node, way in ways.items() if way.is_ssh])), file


def _input(arguments: Namespace) -> int | None:
    """Standard input, where the command is to have it: not a terminal's, which nobody expects to be typed to all."""
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)  # so that no pipe of ours is taken for it
        return None
    return None if arguments.no_stdin or os.isatty(0) else 0


def _open(found: fleet.Fleet, arguments: Namespace, open_ways: OpenWays) -> int:
    """Open the connections of nodes that are gone to over ssh."""
    open_ways.sockets.prepare()
    ways = {name: open_ways.opening(way, arguments.persist) for name, way in found.ways.items() if way.is_ssh}
    commands = Commands(ways, "echo open", found.token, fleet.ssh_settings(found.config, arguments))
    arguments.no_stdin = arguments.no_tree = True
    return _run(found.only(ways), commands, arguments)


def _control(found: fleet.Fleet, arguments: Namespace, open_ways: OpenWays) -> int:
    """Say a word to open connections, which are all on this machine."""
    import subprocess

    status = common.OK
    for name, way in found.ways.items():
        if not way.is_ssh:
            continue
        words = open_ways.control(way, arguments.control)
        if arguments.unix:
            fleet.show([words])
        elif not open_ways.is_open(way):
            print(f"{name}: not open")
            status = common.NOT_FOUND if arguments.control == "check" else status
        else:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            print(f"{name}: {_last(done.stderr) or _last(done.stdout)}")
            status = status or (common.OK if done.returncode == 0 else common.NOT_FOUND)
    return status


def _last(said: bytes) -> str:
    from pytest_synctool.common.wording import printable

    return printable(said.strip().rpartition(b"\n")[2].strip())

"""`dsh`: one command on many nodes at once."""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import REMAINDER, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import command, fleet, shared_options
from pytest_synctool.errors import ConfigError, SynctoolError, TrustError

if TYPE_CHECKING:
    from pytest_synctool.connection.route import Route
    from pytest_synctool.connection.ssh import SshSettings
    from pytest_synctool.dsh.calls import Call, CallOutcome
    from pytest_synctool.dsh.runner import CallRunner
    from pytest_synctool.model import Node

_WORDS: Final = ("check", "stop", "exit")
_PERSIST: Final = "1h"
_NO_COMMAND: Final = "no command: expected one behind the options, like `dsh uptime`, or one a line on standard input"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("dsh", argv, new_parser, _run, _conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `dsh`."""
    parser = shared_options.configured_parser(
        "dsh",
        "Run a command on many nodes at once. The output of a node is printed as `node: line`. Without a command, run "
        "those on standard input, one a line.",
        fleet.STATUSES + "the highest exit status of the command on any node.",
    )
    parser.usage = "dsh [options] [command [argument ...]]"
    fleet.add_options(parser, quiet="do not print exit statuses")
    shared_options.add_flags(
        parser,
        ("-N", "--no-nodename", "print the lines of standard output without the name of their node"),
        ("--no-stdin", "do not pass standard input to the command"),
        ("--no-tree", "ignore ClusterShell's topology.conf"),
        ("--skip-rsync", "do not bring a script of scripts/: the nodes have it in their masterdir"),
    )
    group = parser.add_argument_group("connections that stay open", "Later commands use them automatically.")
    shared_options.add_flags(group, ("-M", "--multiplex", "open connections to the nodes"))
    group.add_argument(
        "-O",
        dest="control",
        metavar="WORD",
        choices=_WORDS,
        help="check: print which connections are open; exit: close them; stop: accept no new commands on them",
    )
    group.add_argument(
        "--persist",
        metavar="TIME",
        type=_ssh_time,
        help="with -M: close a connection that was not used for TIME (default: ssh_control_persist, or 1h)",
    )
    parser.add_argument(
        "command",
        nargs=REMAINDER,
        help="a command line for the shell on the nodes, or a script of scripts/ by name; all words after the first "
        "one belong to it",
    )
    return parser


def _ssh_time(text: str) -> str:
    if not re.fullmatch(r"([0-9]{1,6}[smhdwSMHDW]?)+", text):
        raise ArgumentTypeError(f"expected a time as ssh writes it, like 90, 30m or 4h, not {text!r}")
    return text


def _words(arguments: Namespace) -> list[str]:
    """Return the words of the command, without the `--` before them."""
    words: list[str] = arguments.command
    return words[1:] if words[:1] == ["--"] else words


def _conflict(arguments: Namespace) -> str | None:
    if (arguments.multiplex or arguments.control) and _words(arguments):
        return f"{'-M' if arguments.multiplex else '-O'} takes no command"
    if arguments.multiplex and arguments.control:
        return "-M does not go with -O: one opens connections, the other checks or ends them"
    if arguments.no_stdin and not (_words(arguments) or arguments.multiplex or arguments.control):
        return _NO_COMMAND
    return shared_options.no_nodename_conflict(arguments) or shared_options.sudo_conflict(arguments)


def _run(arguments: Namespace) -> int:
    nodes = fleet.load(arguments)
    if arguments.control:
        return _control_connections(nodes, arguments)
    if arguments.multiplex:
        return _open_connections(nodes, arguments)
    nodes = fleet.over_open_connections(nodes)
    if not _words(arguments):
        return _run_input(nodes, arguments)
    commands = Commands.of(nodes, _node_line(nodes, " ".join(_words(arguments)), arguments), arguments)
    return _status(nodes, _run_commands(nodes, commands, arguments, _stdin(arguments)))


@dataclass(frozen=True)
class Commands:
    """The same command line for all nodes. `nodes` and `settings` are for gateways, which need not be nodes."""

    routes: Mapping[str, Route]
    command: str
    token: str
    nodes: Mapping[str, Node]
    settings: SshSettings

    @classmethod
    def of(cls, nodes: fleet.Fleet, line: str, arguments: Namespace) -> Commands:
        """Return the command line for these nodes."""
        settings = fleet.ssh_settings(nodes.config, arguments)
        return cls(nodes.routes, line, nodes.token, nodes.config.nodes, settings)

    def line(self, node: str) -> str:
        """Return the command line for a node. It announces itself first."""
        return self.routes[node].line(self.command, self.token)

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """Return the argument list that runs `line` on a node or gateway."""
        if node in self.routes:
            return self.routes[node].argv(line)
        from pytest_synctool.connection.route import route_to
        from pytest_synctool.model import Node

        return route_to(self.nodes.get(node) or Node(node, (node, "all"), node), self.settings).argv(line)

    def stop_line(self, call: Call) -> str | None:
        """Return the command line that ends a call's command, or None if its process group is unknown."""
        return None if call.group is None else self.routes[call.node].stop_line(call.group, call.token)

    def done(self, call: Call) -> Sequence[bytes]:
        """Return no lines: a command prints its own output."""
        return ()


def _node_line(nodes: fleet.Fleet, line: str, arguments: Namespace) -> str:
    """Return the line for the nodes. If it begins with the name of a script of the masterdir, it brings the script.

    Raise SynctoolError if that cannot be done.
    """
    from pytest_synctool.dsh import scripts

    name = scripts.first_word(line)
    path = nodes.config.masterdir / "scripts" / name
    if not name or not path.is_file():
        return line
    if not os.access(path, os.X_OK):
        raise SynctoolError(f"{path} is not executable: chmod +x it, or give the path of another {name}")
    if arguments.skip_rsync:
        return scripts.finding(str(path.parent), line)
    from pytest_synctool.common.trusted_files import read

    try:
        return scripts.bringing(name, read(path, nodes.config.trust, scripts.LONGEST_LINE), line, nodes.token)
    except (ValueError, ConfigError) as error:
        if isinstance(error, TrustError):
            raise
        raise SynctoolError(f"{path} cannot be brought by dsh: {error}: use dcp, and dsh with its path") from error


def _run_input(nodes: fleet.Fleet, arguments: Namespace) -> int:
    """Run the commands on standard input, one after another. Return the worst exit status of all.

    On a terminal Ctrl-C ends a command and not dsh, as in a shell.
    """
    from pytest_synctool.cli import command_input
    from pytest_synctool.common.wording import nodes_in_words
    from pytest_synctool.dsh.calls import exit_status

    outcomes: set[CallOutcome] = set()
    _stdin(arguments)
    is_empty = not command_input.is_terminal()
    for line in command_input.commands(f"dsh on {nodes_in_words(len(nodes.routes))}> "):
        is_empty = False
        runner = _run_commands(nodes, Commands.of(nodes, _node_line(nodes, line, arguments), arguments), arguments)
        if runner is None:
            continue
        outcomes.update(call.outcome for call in runner.calls.values() if call.outcome is not None)
        if runner.signal is not None:
            status = fleet.exit_status("dsh", nodes, [runner])
            if not command_input.is_terminal() or runner.signal != signal.SIGINT:
                return status
    if is_empty:
        raise SynctoolError(_NO_COMMAND)
    return command.UNREACHABLE if nodes.unreachable and not arguments.unix else exit_status(outcomes)


def _status(nodes: fleet.Fleet, runner: CallRunner | None) -> int:
    return command.OK if runner is None else fleet.exit_status("dsh", nodes, [runner])


def _run_commands(
    nodes: fleet.Fleet, commands: Commands, arguments: Namespace, stdin: int | None = None
) -> CallRunner | None:
    """Run a command, and return the runner with the outcomes. Return None with --unix, which only prints."""
    if arguments.unix or arguments.verbose:
        print_command_lines(commands, arguments)
    if arguments.unix:
        return None
    output = fleet.new_output("dsh", arguments)
    fleet.print_unreachable(nodes, output)
    runner = fleet.run_calls(
        "dsh",
        commands,
        nodes.calls(),
        nodes,
        arguments,
        output,
        stdin=stdin,
        quiet=arguments.quiet,
        tree=not arguments.no_tree,
    )
    output.finish()
    return runner


def print_command_lines(commands: Commands, arguments: Namespace) -> None:
    """Print the command lines, without the words by which a command announces itself."""
    from pytest_synctool.common.nodenames import fold

    stream = sys.stdout if arguments.unix else sys.stderr
    routed, file = (frozenset[str](), "") if arguments.no_tree else _routed_nodes(commands.routes)
    if routed:
        print(f"# through the gateways of {file}, by their ssh: {fold(routed)}", file=stream)
    routes = (route for node, route in commands.routes.items() if node not in routed)
    fleet.print_command_lines((route.argv(route.line(commands.command)) for route in routes), stream)


def _routed_nodes(routes: Mapping[str, Route]) -> tuple[frozenset[str], str]:
    """Return the nodes behind gateways of ClusterShell, and the name of its topology file, or "" if there is none."""
    from ClusterShell.Defaults import config_paths

    if not any(map(os.path.exists, config_paths("topology.conf"))):
        return frozenset(), ""  # the usual case; the rest of ClusterShell takes long to import
    from ClusterShell.Task import task_self

    from pytest_synctool.dsh.gateways import routed, topology

    task = task_self()
    file = topology(task)
    if file is None:
        return frozenset(), ""
    return frozenset(routed(task, [node for node, route in routes.items() if route.is_ssh])), file


def _stdin(arguments: Namespace) -> int | None:
    """Return the descriptor of standard input if the command is to read it, or None.

    A terminal is not passed on: nobody expects to type to all nodes at once.
    """
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)  # descriptor 0 is closed: no pipe of ours must get it
        return None
    return None if arguments.no_stdin or os.isatty(0) else 0


def _open_connections(nodes: fleet.Fleet, arguments: Namespace) -> int:
    """Open connections to the nodes that have ssh routes."""
    connections = fleet.open_connections()
    connections.sockets.prepare()
    routes = {name: route for name, route in nodes.routes.items() if route.is_ssh}
    persist = arguments.persist or str(nodes.config.ssh_persist or _PERSIST)
    opening = {name: connections.opening(route, persist) for name, route in routes.items()}
    arguments.no_tree = True
    nodes = nodes.with_routes(opening)
    return _status(nodes, _run_commands(nodes, Commands.of(nodes, "echo open", arguments), arguments))


def _control_connections(nodes: fleet.Fleet, arguments: Namespace) -> int:
    """Check or end the open connections. No node is contacted: their sockets are on this machine."""
    import subprocess

    status = command.OK
    connections = fleet.open_connections()
    for name, route in nodes.routes.items():
        if not route.is_ssh:
            continue
        words = connections.control(route, arguments.control)
        if arguments.unix:
            fleet.print_command_lines([words])
        elif not connections.is_open(route):
            print(f"{name}: not open")
            status = command.NOT_FOUND if arguments.control == "check" else status
        else:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            command.print_lines([f"{name}: {_last_line(done.stderr) or _last_line(done.stdout)}"])
            status = status or (command.OK if done.returncode == 0 else command.NOT_FOUND)
    return status


def _last_line(output: bytes) -> str:
    from pytest_synctool.common.wording import printable

    return printable(output.strip().rpartition(b"\n")[2].strip())

"""The parts that dsh and dcp share: options, routes to the nodes, runs, and the exit status."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TextIO

from pytest_synctool.cli import command
from pytest_synctool.cli.selection import add_selection, selected_nodes
from pytest_synctool.cli.shared_options import (
    add_flags,
    add_parallelism,
    add_sudo,
    find_configuration,
    number,
    require_program,
    seconds,
    sudo_of,
    trust_of,
)
from pytest_synctool.errors import TransportError

if TYPE_CHECKING:
    from pytest_synctool.cli.attended_output import AttendedOutput
    from pytest_synctool.config import Config
    from pytest_synctool.connection.route import Route
    from pytest_synctool.connection.ssh import SshSettings
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.causes import FindCause
    from pytest_synctool.dsh.multiplex import OpenConnections
    from pytest_synctool.dsh.output import Output
    from pytest_synctool.dsh.runner import CallRunner, Job

STATUSES: Final = (
    "Exit status: 0 if all is well, 2 for a mistake in the command line or the configuration, 3 if a node is "
    "unreachable, else 124 if a node exceeded the time limit, else "
)


def add_options(
    parser: ArgumentParser,
    *,
    quiet: str,
    aggregate: str = "print the same output of several nodes only once, at the end",
    limit: float | None = None,
) -> None:
    """Add the options that dsh, dsh-ping and dcp have. `quiet` and `aggregate` are the helps of -q and -a.

    `limit` is the default of --timeout.
    """
    parser.set_defaults(no_nodename=False)  # only dsh can leave the names out
    add_selection(parser)
    add_flags(
        parser,
        ("-a", "--aggregate", aggregate),
        ("-q", "--quiet", quiet),
        ("-v", "--verbose", "print the command lines before they run, and exit status 0 of a node that is done"),
        ("--unix", "print the command lines, and run nothing"),
    )
    add_sudo(parser)
    add_parallelism(parser)
    parser.add_argument("-w", dest="node", metavar="LIST", action="append", default=[], help="as -n")
    parser.add_argument("-f", dest="numproc", metavar="N", type=number, help="as -p")
    parser.add_argument("-l", "--login", metavar="USER", help="log in as USER where the configuration names nobody")
    parser.add_argument(
        "-o", dest="ssh_options", metavar="KEY=VALUE", action="append", default=[], help="an option as for ssh -o"
    )
    parser.add_argument(
        "--options", metavar="WORDS", default=(), type=_words, help="further words for ssh: --options='-4 -p 2222'"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=limit,
        help=f"time limit for each node, connection included (default: {'none' if limit is None else f'{limit:g}'})",
    )


def _words(text: str) -> tuple[str, ...]:
    """Parse the words of a text, which may be quoted as for a shell."""
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ArgumentTypeError(f"expected words for ssh like '-p 2222', not {text!r}: {error}") from None


@dataclass(frozen=True)
class Fleet:
    """The routes to the selected nodes, by name. `unreachable` has the reason for each node without a route.

    `token` is a random word with which a command announces itself.
    """

    config: Config
    routes: Mapping[str, Route]
    unreachable: Mapping[str, str]
    token: str

    def calls(self) -> list[Call]:
        """Return a call for each node that has a route, in the order of the configuration."""
        from pytest_synctool.connection.ssh import SSH_FAILED
        from pytest_synctool.dsh.calls import Call

        # A container's exec has no exit status of its own for failures before the command begins.
        statuses = {True: (SSH_FAILED,), False: range(1, 256)}
        return [
            Call(name, self.token, route.is_ssh, statuses[route.is_ssh], is_container=route.is_container)
            for name, route in self.routes.items()
        ]

    def with_routes(self, routes: Mapping[str, Route]) -> Fleet:
        """Return the same fleet with these routes, and without the nodes that they leave out."""
        return replace(self, routes=routes)


def load(arguments: Namespace) -> Fleet:
    """Return the nodes that a command line selects. Raise SynctoolError."""
    import shutil

    from pytest_synctool import config as configuration
    from pytest_synctool.config import node_commands
    from pytest_synctool.connection.route import route_to

    config = configuration.load(find_configuration(arguments), trust_of(arguments), node_commands.run)
    settings, sudo = ssh_settings(config, arguments), sudo_of(arguments)
    routes, unreachable = {}, {}
    for node in selected_nodes(config, arguments):
        try:
            route = route_to(node, settings, sudo)
            program = route.argv("")[0]
            if not route.is_ssh and shutil.which(program) is None:
                raise TransportError(f"there is no command {program!r} on this machine")
            routes[node.name] = route
        except TransportError as error:
            unreachable[node.name] = str(error)
    if any(route.is_ssh for route in routes.values()):
        require_program(config.ssh_cmd, "ssh_cmd", config)
    return Fleet(config, routes, unreachable, f"synctool-{os.urandom(8).hex()}")


def ssh_settings(config: Config, arguments: Namespace) -> SshSettings:
    """Return the ssh command of the configuration, with options of the command line and the limit for connections."""
    from pytest_synctool.connection.ssh import SshSettings

    login = ("-l", arguments.login) if arguments.login else ()
    options = (word for option in arguments.ssh_options for word in ("-o", option))
    return SshSettings(
        (*config.ssh_cmd, *login, *options, *arguments.options), connect_timeout=arguments.connect_timeout
    )


def open_connections() -> OpenConnections:
    """Return the connections of this user that `dsh -M` opens and later commands use."""
    from pytest_synctool.connection.control_sockets import Sockets
    from pytest_synctool.dsh.multiplex import OpenConnections

    return OpenConnections(Sockets.of_user(os.environ))


def over_open_connections(fleet: Fleet) -> Fleet:
    """Return the same fleet, with routes over the connections that are open."""
    connections = open_connections()
    return fleet.with_routes({name: connections.use(route) for name, route in fleet.routes.items()})


def new_output(name: str, arguments: Namespace, *, is_silent: bool = False) -> AttendedOutput:
    """Return the output of a command for the lines of the nodes: as they come, or grouped at the end, or nothing."""
    from pytest_synctool.cli.attended_output import AttendedOutput
    from pytest_synctool.cli.status_line import StatusLine
    from pytest_synctool.dsh.output import NoOutput
    from pytest_synctool.report.progress import Progress

    line = StatusLine.on(sys.stdout, os.environ, Progress(name=name))
    return AttendedOutput(NoOutput() if is_silent else _plain_output(arguments), line)


def _plain_output(arguments: Namespace) -> Output:
    from pytest_synctool.common.console import line_filter
    from pytest_synctool.dsh.output import GroupedOutput, StreamedOutput

    streams = (sys.stdout.buffer, sys.stderr.buffer)
    filters = [line_filter(stream, os.environ) for stream in streams]
    if arguments.aggregate:
        return GroupedOutput(*streams, *filters)
    return StreamedOutput(*streams, *filters, named=not arguments.no_nodename)


def run_calls(
    name: str,
    job: Job,
    calls: Sequence[Call],
    fleet: Fleet,
    arguments: Namespace,
    output: AttendedOutput,
    *,
    stdin: int | None = None,
    quiet: bool = False,
    tree: bool = False,
) -> CallRunner:
    """Run `job` for all calls, with the options of the command `name`. Return the runner, which holds the outcomes."""
    from pytest_synctool.connection.machine_capacity import limit_parallelism
    from pytest_synctool.dsh.runner import CallRunner

    runner = CallRunner(
        job,
        calls,
        output,
        width=limit_parallelism(arguments.numproc or fleet.config.num_proc),
        limit=arguments.timeout,
        stdin=stdin,
        quiet=quiet,
        verbose=arguments.verbose,
        # Print this at once: it takes a moment to end the commands on the nodes.
        interrupted=lambda: output.message(
            f"{name}: interrupted, ending the commands on the nodes (interrupt again to leave them running)"
        ),
        watcher=output if output.is_attended else None,
        cause_finder=lambda: _cause_finder(fleet, arguments.connect_timeout),
    )
    try:
        runner.run(tree=tree, connect_timeout=arguments.connect_timeout)
    finally:
        output.erase()
    return runner


def _cause_finder(fleet: Fleet, connect_timeout: int) -> FindCause:
    """Return a function that looks for the cause of a failed login that ssh does not name."""
    from pytest_synctool.connection.failed_login import FailedLogins
    from pytest_synctool.connection.processes import Processes

    failed_logins = FailedLogins(Processes(), connect_timeout)
    return lambda node, reason, seconds: failed_logins.cause(fleet.routes[node], reason, seconds)


def print_unreachable(fleet: Fleet, output: Output) -> None:
    """Print the reason for each node without a route."""
    for node, reason in fleet.unreachable.items():
        output.err(node, [f"unreachable: {reason}".encode()])


def exit_status(name: str, fleet: Fleet, runners: Sequence[CallRunner], *, most: int = 255) -> int:
    """Return the exit status of a run. If a signal ended the run, print which nodes are done.

    For a node that several runners had, the last one counts. Exit statuses of commands above `most` count as `most`.
    """
    from pytest_synctool.dsh import calls as outcomes

    calls = {node: call for runner in runners for node, call in runner.calls.items()}
    signal = runners[-1].signal
    if signal is not None:
        command.print_stderr(_interruption(name, calls, runners))
        return 128 + signal
    status = outcomes.exit_status((call.outcome for call in calls.values() if call.outcome is not None), most)
    return outcomes.UNREACHABLE if fleet.unreachable else status


def _interruption(name: str, calls: Mapping[str, Call], runners: Sequence[CallRunner]) -> Iterator[str]:
    from pytest_synctool.common.nodenames import fold
    from pytest_synctool.dsh.calls import CallEnding

    done = {node for node, call in calls.items() if call.outcome and call.outcome.ending is CallEnding.DONE}
    open_ = {node for node, call in calls.items() if call.outcome is None}
    begun = {node for runner in runners for node in runner.begun}
    stopped = {node for runner in runners for node in runner.stopped} & open_
    for state, nodes in (("done", done), ("ended", stopped), ("not begun", open_ - begun)):
        if nodes:
            yield f"{name}: {state}: {fold(nodes)}"
    problems = {node: problem for runner in runners for node, problem in runner.problems.items()}
    for node in sorted((open_ & begun) - stopped):
        reason = problems.get(node, "it has not answered")
        yield f"{name}: may still be running: {node} ({reason})"


def print_command_lines(lines: Iterable[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print argument lists as shell command lines on `stream`, or on standard output if it is None.

    A line with a file name that cannot be printed is ASCII: it stands for the same bytes in every locale.
    """
    import shlex

    from pytest_synctool.common.shell import ascii_command

    for words in lines:
        line = shlex.join(words)
        print(line if line.isprintable() else ascii_command(os.fsencode(line)), file=stream)

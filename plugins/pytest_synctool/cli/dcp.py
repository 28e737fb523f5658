"""`dcp`: files to many nodes at once, or from them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_synctool.cli import command, fleet, shared_options
from pytest_synctool.errors import SynctoolError

if TYPE_CHECKING:
    from pytest_synctool.cli.attended_output import AttendedOutput
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.runner import CallRunner


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("dcp", argv, new_parser, _run, shared_options.sudo_conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `dcp`."""
    parser = shared_options.configured_parser(
        "dcp",
        "Copy files and directories into a directory of many nodes at once. An existing file is replaced. The copy "
        "keeps mode and time, and belongs to the user who logs in on the node.",
        fleet.STATUSES + "1 if a file was not copied.",
    )
    fleet.add_options(parser, quiet="do not print the copied files")
    parser.add_argument(
        "-d",
        "--dest",
        metavar="DIR",
        required=True,
        type=_directory_name,
        help="the directory to copy into; it must exist",
    )
    shared_options.add_flags(
        parser, ("--reverse", "copy FILEs of the nodes (absolute paths) into DIR/NODE on this machine")
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file or directory")
    return parser


def _directory_name(text: str) -> str:
    if not text:
        raise ArgumentTypeError("expected a directory")
    return text


def _run(arguments: Namespace) -> int:
    import shutil
    import tempfile

    from pytest_synctool.dsh import copying

    files = copying.remote_sources(arguments.files) if arguments.reverse else copying.sources(arguments.files)
    nodes = fleet.load(arguments)
    rsync = nodes.config.rsync_cmd
    if arguments.reverse:
        if not os.path.isdir(arguments.dest):
            raise SynctoolError(f"-d {arguments.dest}: no such directory on this machine")
        shared_options.require_program(rsync, "rsync_cmd", nodes.config)
    nodes = fleet.over_open_connections(nodes)
    has_rsync = shutil.which(rsync[0]) is not None
    with tempfile.TemporaryDirectory(prefix="dcp-") as scratch:
        copies = (RsyncCopies if has_rsync else TarCopies)(nodes, arguments, files, Path(scratch))
        lines = (copies.argv_of(node, "") for node in nodes.routes)
        if arguments.unix:
            fleet.print_command_lines(lines)
            return command.OK
        if arguments.verbose:
            fleet.print_command_lines(lines, sys.stderr)
        return _copy(copies, has_rsync)


@dataclass(frozen=True)
class RsyncCopies:
    """The same files for all nodes, or from all of them, by rsync. `scratch` is a directory that ends with the run."""

    nodes: fleet.Fleet
    arguments: Namespace
    files: Sequence[Path]
    scratch: Path

    def line(self, node: str) -> str:
        """Return an empty line: the argument list contains the command."""
        return ""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """Return the argument list of rsync, or of tar for a container."""
        from pytest_synctool.dsh.copying import from_node, tar_line, to_node

        route, rsync, token = self.nodes.routes[node], self.nodes.config.rsync_cmd, self.nodes.token
        if not self.arguments.reverse:
            if route.is_container:
                return route.argv(tar_line(route, self.arguments.dest, token))
            return to_node(rsync, route, self.files, self.arguments.dest, token)
        return from_node(rsync, route, self._list_of_names(), self.place(node), token)

    def stop_line(self, call: Call) -> str | None:
        """Return None: the other end of rsync or tar ends with this one."""
        return None

    def done(self, node: str) -> Sequence[bytes]:
        """Return a line for each copied file, with its new path."""
        from pytest_synctool.common.wording import printable

        if self.arguments.quiet:
            return ()
        names = (os.path.join(self.place(node), file.name) for file in self.files)
        return [f"copied {printable(os.fsencode(name))}".encode() for name in names]

    def place(self, node: str) -> str:
        """Return the directory to copy into: one on the node, or with --reverse one on this machine."""
        return os.path.join(self.arguments.dest, node) if self.arguments.reverse else self.arguments.dest

    def _list_of_names(self) -> str:
        """Return the path of a file that lists the paths on the nodes for rsync. Write it if it does not exist."""
        path = self.scratch / "names"
        if not path.exists():
            path.write_bytes(b"".join(os.fsencode(file) + b"\0" for file in self.files))
        return str(path)


class TarCopies(RsyncCopies):
    """The same for nodes without rsync: they get the files as a tar stream."""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """Return the argument list of a shell on the node that unpacks its standard input."""
        from pytest_synctool.dsh.copying import tar_line

        route = self.nodes.routes[node]
        return route.argv(tar_line(route, self.arguments.dest, self.nodes.token))


def _copy(copies: RsyncCopies, has_rsync: bool) -> int:
    """Copy by rsync if this machine has it, and then by tar to the nodes that have no rsync, and to containers.

    The exec of a container may lose the line by which it tells that it has no rsync.
    """
    from pytest_synctool.connection.rsync import NOISE
    from pytest_synctool.dsh.copying import LEFT_OUT, MISSING, UNREACHABLE_STATUSES

    nodes, arguments = copies.nodes, copies.arguments
    output = fleet.new_output("dcp", arguments)
    fleet.print_unreachable(nodes, output)
    runners: list[CallRunner] = []
    without_rsync = nodes.calls()
    by_rsync = [
        replace(call, unreachable_statuses=UNREACHABLE_STATUSES, noise=NOISE, left_out=LEFT_OUT, is_container=False)
        for call in without_rsync
        if has_rsync and (arguments.reverse or not call.is_container)
    ]
    if by_rsync:
        runners.append(fleet.run_calls("dcp", copies, by_rsync, nodes, arguments, output, quiet=True))
        tried = {call.node for call in by_rsync if call.notice != MISSING}
        without_rsync = [call for call in without_rsync if call.node not in tried]
    if without_rsync and arguments.reverse:
        for call in without_rsync:
            output.err(call.node, [b"the node has no rsync"])
    elif without_rsync and not (runners and _reset_if_interrupted(runners[0], without_rsync)):
        names = {call.node for call in without_rsync}
        runners.append(_copy_by_tar(copies, [call for call in nodes.calls() if call.node in names], output))
    output.finish()
    return fleet.exit_status("dcp", nodes, runners, most=1)


def _reset_if_interrupted(runner: CallRunner, calls: Iterable[Call]) -> bool:
    """Return True if a signal has ended the run; then mark the calls as not begun.

    Their rsync has failed, but nothing was copied to their nodes.
    """
    if runner.signal is None:
        return False
    for call in calls:
        call.outcome = None
        runner.begun.pop(call.node, None)
    return True


def _copy_by_tar(copies: RsyncCopies, calls: Sequence[Call], output: AttendedOutput) -> CallRunner:
    """Copy as a tar stream. Raise OSError if the stream cannot be written."""
    import tempfile

    from pytest_synctool.dsh.copying import pack

    tar_copies = TarCopies(copies.nodes, copies.arguments, copies.files, copies.scratch)
    with tempfile.TemporaryFile() as stream:
        left_out = pack(stream, copies.files)
        stream.flush()
        stream.seek(0)
        for call in calls if left_out else ():
            output.err(call.node, left_out)
            call.is_partial = True
        nodes, arguments = copies.nodes, copies.arguments
        return fleet.run_calls("dcp", tar_copies, calls, nodes, arguments, output, stdin=stream.fileno(), quiet=True)

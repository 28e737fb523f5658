"""`dcp`: files to many nodes at once, or from them."""

from __future__ import annotations

import os
import stat
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_synctool.cli import command, fleet, shared_options
from pytest_synctool.errors import SynctoolError

if TYPE_CHECKING:
    from pytest_synctool.cli.attended_output import AttendedOutput
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.copying import Target
    from pytest_synctool.dsh.runner import CallRunner


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("dcp", argv, new_parser, _run, _conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `dcp`."""
    parser = shared_options.configured_parser(
        "dcp",
        "Copy files and directories to many nodes at once. An existing file is replaced. The copy keeps mode and time, "
        "and belongs to the user who logs in on the node.",
        fleet.STATUSES + "1 if a file was not copied.",
    )
    fleet.add_options(parser, quiet="do not print the copied files")
    parser.add_argument(
        "-d",
        "--dest",
        metavar="DEST",
        type=_destination,
        help="the directory to copy into, which must exist, or the new name of the only FILE (default: the home "
        "directory there, with --reverse this directory)",
    )
    shared_options.add_flags(
        parser,
        ("-N", "--no-nodename", "print the lines of standard output without the name of their node"),
        ("--dry-run", "print what would be copied, and contact no node"),
        ("--reverse", "copy FILEs of the nodes (absolute paths) into DEST/NODE on this machine"),
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file or directory")
    return parser


def _destination(text: str) -> str:
    if not text:
        raise ArgumentTypeError("expected a directory or a file")
    return text


def _conflict(arguments: Namespace) -> str | None:
    return shared_options.no_nodename_conflict(arguments) or shared_options.sudo_conflict(arguments)


def _run(arguments: Namespace) -> int:
    import shutil
    import tempfile

    from pytest_synctool.dsh import copying

    files = copying.remote_sources(arguments.files) if arguments.reverse else copying.sources(arguments.files)
    nodes = fleet.load(arguments)
    rsync = nodes.config.rsync_cmd
    if arguments.reverse:
        arguments.dest = arguments.dest or "."
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
        if arguments.dry_run:
            return _print_plan(copies)
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
    before: dict[tuple[str, Path], tuple[int, int] | None] = field(default_factory=dict)

    def line(self, node: str) -> str:
        """Return an empty line: the argument list contains the command."""
        return ""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """Return the argument list of rsync, or of tar for a container."""
        from pytest_synctool.dsh.copying import from_node, tar_line, to_node

        route, rsync, token = self.nodes.routes[node], self.nodes.config.rsync_cmd, self.nodes.token
        if not self.arguments.reverse:
            if route.is_container:
                return route.argv(tar_line(route, self.files, self.target, token))
            return to_node(rsync, route, self.files, self.target, token)
        return from_node(rsync, route, self._list_of_names(), self.place(node), token)

    def stop_line(self, call: Call) -> str | None:
        """Return None: the other end of rsync or tar ends with this one."""
        return None

    def done(self, call: Call) -> Sequence[bytes]:
        """Return a line for each copied file, with its new path."""
        from pytest_synctool.dsh.copying import NAMED

        if self.arguments.quiet or call.outcome is None or (call.outcome.status and not self.arguments.reverse):
            return ()
        files = self.files if call.outcome.status == 0 else self._arrived(call.node)
        if self.target.name and call.is_container:  # it may have lost the notice
            return [_line(f"copied {_shown(file.name)} to", self.arguments.dest) for file in files]
        if call.notice == NAMED:
            return [_line("copied", self.arguments.dest) for _ in files]
        return [_line("copied", os.path.join(self.place(call.node), file.name)) for file in files]

    def _arrived(self, node: str) -> list[Path]:
        """Return the files that have come to this machine although something else went wrong.

        A file that was here before, and that rsync had no reason to replace, may be the same or missing on the node.
        """
        return [file for file in self.files if self._state(node, file) not in (None, self.before.get((node, file)))]

    def note_present(self) -> None:
        """Note which files are on this machine before they are copied from nodes."""
        for node in self.nodes.routes:
            self.before.update({(node, file): self._state(node, file) for file in self.files})

    def _state(self, node: str, file: Path) -> tuple[int, int] | None:
        """Return what changes if rsync replaces a file on this machine. Return None for a directory or no file."""
        try:
            status = os.lstat(os.path.join(self.place(node), file.name))
        except OSError:
            return None
        return None if stat.S_ISDIR(status.st_mode) else (status.st_ino, status.st_ctime_ns)

    @property
    def target(self) -> Target:
        """Return the destination on the nodes."""
        from pytest_synctool.dsh.copying import Target

        return Target("") if self.arguments.dest is None else Target.of(self.arguments.dest, self.files)

    def place(self, node: str) -> str:
        """Return the directory to copy into: one on the node, or with --reverse one on this machine."""
        if self.arguments.reverse:
            return os.path.join(self.arguments.dest, node)
        return self.arguments.dest or "~"

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
        return route.argv(tar_line(route, self.files, self.target, self.nodes.token))


def _line(words: str, path: str) -> bytes:
    return f"{words} {_shown(path)}".encode()


def _print_plan(copies: RsyncCopies) -> int:
    """Print what would be copied. The nodes decide whether a destination is a directory, so it is printed as it is."""
    command.print_stderr(["DRY RUN, no node was contacted"])
    output = fleet.new_output("dcp", copies.arguments)
    for node in copies.nodes.routes:
        where = f"{copies.place(node)}/" if copies.arguments.reverse else copies.place(node)
        output.out(node, [_line(f"would copy {_shown(file)} to", where) for file in copies.files])
    fleet.print_unreachable(copies.nodes, output)
    output.finish()
    return command.UNREACHABLE if copies.nodes.unreachable else command.OK


def _shown(file: str | Path) -> str:
    from pytest_synctool.common.wording import printable

    return printable(os.fsencode(file))


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
        replace(call, unreachable_statuses=UNREACHABLE_STATUSES, noise=NOISE, known_failure=MISSING, left_out=LEFT_OUT)
        for call in without_rsync
        if has_rsync and (arguments.reverse or not call.is_container)
    ]
    for call in by_rsync:
        call.is_container = False
    if arguments.reverse:
        copies.note_present()
    if by_rsync:
        runners.append(fleet.run_calls("dcp", copies, by_rsync, nodes, arguments, output, quiet=True))
        tried = {call.node for call in by_rsync if call.notice != MISSING}
        without_rsync = [call for call in without_rsync if call.node not in tried]
    if without_rsync and arguments.reverse:
        for call in without_rsync:
            output.err(call.node, [b"the node has no rsync"])
    elif arguments.reverse:
        for call in by_rsync:
            if call.outcome is not None and call.outcome.status:
                output.err(call.node, [b"not everything was copied"])
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

"""`dcp`: files to many nodes at once, or from them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_synctool.cli import common, fleet
from pytest_synctool.errors import SynctoolError

if TYPE_CHECKING:
    from pytest_synctool.dsh.calls import Call
    from pytest_synctool.dsh.output import Speech
    from pytest_synctool.dsh.runner import Conductor


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("dcp", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.new_parser(
        "dcp",
        "Copy files and directories to a directory of nodes, many nodes at once. A file that is there is replaced as a "
        "whole; its mode and time are kept, and it belongs to whoever logs in there.",
        fleet.STATUSES + "1 if something was not copied.",
    )
    fleet.add_options(parser)
    parser.add_argument("-d", "--dest", metavar="DIR", required=True, help="the directory to copy to; it must be there")
    parser.add_argument(
        "--reverse", action="store_true", help="copy files of the nodes (absolute paths) into DIR/NODE here"
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file or directory")
    return parser


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.dest:
        parser.error("argument -d/--dest: expected a directory")
    import shutil
    import tempfile

    from pytest_synctool.dsh import copying

    files = copying.remote_sources(arguments.files) if arguments.reverse else copying.sources(arguments.files)
    found = fleet.load(arguments)
    has_rsync = shutil.which(found.config.rsync_cmd[0]) is not None
    if arguments.reverse:
        if not os.path.isdir(arguments.dest):
            raise SynctoolError(f"-d {arguments.dest}: no such directory here")
        common.require(found.config.rsync_cmd, "rsync_cmd", found.config)
    found = found.only(fleet.over_open_connections(found.ways))
    with tempfile.TemporaryDirectory(prefix="dcp-") as scratch:
        copies = (Copies if has_rsync else Streams)(found, arguments, files, Path(scratch))
        lines = (copies.argv_of(node, "") for node in found.ways)
        if arguments.unix:
            fleet.show(lines)
            return common.OK
        if arguments.verbose:
            fleet.show(lines, sys.stderr)
        return _copy(copies, has_rsync)


@dataclass(frozen=True)
class Copies:
    """The same files for all nodes, or from all of them. `scratch` is a directory for what lives as long as the run."""

    nodes: fleet.Fleet
    arguments: Namespace
    files: Sequence[Path]
    scratch: Path

    def line(self, node: str) -> str:
        """Nothing: what is run at the node is in the argument list."""
        return ""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """rsync's argument list."""
        from pytest_synctool.dsh.copying import from_node, to_node

        way, rsync, token = self.nodes.ways[node], self.nodes.config.rsync_cmd, self.nodes.token
        if not self.arguments.reverse:
            return to_node(rsync, way, self.files, self.arguments.dest, token)
        return from_node(rsync, way, self._names(), self.place(node), token)

    def stop_line(self, call: Call) -> str | None:
        """None: the other end of an rsync, or of a stream, ends with this one."""
        return None

    def done(self, node: str) -> Sequence[bytes]:
        """A line for each file, with the name that it has now."""
        from pytest_synctool.common.wording import printable

        if self.arguments.quiet:
            return ()
        names = (os.path.join(self.place(node), file.name) for file in self.files)
        return [f"copied {printable(os.fsencode(name))}".encode() for name in names]

    def place(self, node: str) -> str:
        """The directory that the files of a node go to: there, or here."""
        return os.path.join(self.arguments.dest, node) if self.arguments.reverse else self.arguments.dest

    def _names(self) -> str:
        """A file with the names of what is to come, for rsync."""
        path = self.scratch / "names"
        if not path.exists():
            path.write_bytes(b"".join(os.fsencode(file) + b"\0" for file in self.files))
        return str(path)


class Streams(Copies):
    """The same for nodes without rsync, which get the files in a stream of tar."""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """A shell there that unpacks what it reads."""
        from pytest_synctool.dsh.copying import tar_line

        way = self.nodes.ways[node]
        return way.argv(tar_line(way, self.arguments.dest, self.nodes.token))


def _copy(copies: Copies, has_rsync: bool) -> int:
    from pytest_synctool.dsh.copying import LEFT_OUT, LOST_BY, MISSING, NOISE

    found, arguments = copies.nodes, copies.arguments
    told = fleet.speech(arguments)
    fleet.tell_unknown(found, told)
    conductors: list[Conductor] = []
    again = found.calls()
    if has_rsync:
        calls = [replace(call, lost_by=LOST_BY, noise=NOISE, left_out=LEFT_OUT) for call in again]
        conductors.append(fleet.conduct("dcp", copies, calls, found, arguments, told, quiet=True))
        again = [call for call in calls if call.word == MISSING]
    if again and arguments.reverse:
        for call in again:
            told.err(call.node, [b"no rsync there"])
    elif again and not (conductors and _not_begun(conductors[0], again)):
        names = {call.node for call in again}
        conductors.append(_stream(copies, [call for call in found.calls() if call.node in names], told))
    told.finish()
    return fleet.conclude("dcp", found, conductors, most=1)


def _not_begun(conductor: Conductor, calls: Iterable[Call]) -> bool:
    """Whether a signal has ended the run: then these have not begun yet, although rsync was tried."""
    if conductor.signal is None:
        return False
    for call in calls:
        call.outcome = None
        conductor.begun.discard(call.node)
    return True


def _stream(copies: Copies, calls: Sequence[Call], told: Speech) -> Conductor:
    """Copy in a stream of tar. Raises OSError if that cannot be made."""
    import tempfile

    from pytest_synctool.dsh.copying import pack

    streams = Streams(copies.nodes, copies.arguments, copies.files, copies.scratch)
    with tempfile.TemporaryFile() as stream:
        left_out = pack(stream, copies.files)
        stream.flush()
        stream.seek(0)
        for call in calls if left_out else ():
            told.err(call.node, left_out)
            call.is_partial = True
        found, arguments = copies.nodes, copies.arguments
        return fleet.conduct("dcp", streams, calls, found, arguments, told, stdin=stream.fileno(), quiet=True)

"""Copies of files to nodes and from nodes: the command lines of rsync, or of tar for nodes without rsync."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from pytest_synctool.common.prologue import PROLOGUE
from pytest_synctool.common.shell import COMPLETE, shell_line
from pytest_synctool.common.wording import printable
from pytest_synctool.connection import rsync
from pytest_synctool.connection.route import Route
from pytest_synctool.errors import SynctoolError

if TYPE_CHECKING:
    from tarfile import TarInfo

MISSING: Final = "missing"  # the notice of a node without rsync
NAMED: Final = "named"  # the notice of a node where the destination is no directory, so that the file gets this name
# The line of rsync for sockets, pipes and devices, which it skips. It exits with 0 nevertheless.
LEFT_OUT: Final = re.compile(rb'skipping non-regular file "')
# With 1 to 4 rsync reports invalid options and the like. Any other exit status can mean that the connection failed.
UNREACHABLE_STATUSES: Final = range(5, 256)

# --checksum: two versions of a file may have the same size and time. No setuid bits: the copies belong to the user who
# logs in on the node, and a setuid program would then run as that user.
_OPTIONS: Final = ("-rlpt", "--checksum", "--chmod=Fug-s", "-s")
# Options of rsync_cmd that only fit a mirror: they remove files, or overwrite a file that is in use.
_NOT_FOR_COPIES: Final = ("--del", "--remove-", "--inplace", "--append", "--write-devices", "--rsync-path=")

# The command on the node: DIRECTORY NAME COMMAND... It announces itself like every call, in a container on standard
# output. An empty DIRECTORY is the home. NAME is a directory there, or the new name of the file; it may be empty.
_ON_NODE: Final = (
    (
        "echo TOKEN $$ >&2; "
        'cd -- "${1:-${HOME:-.}}" 2>&- || { printf "no directory %s on the node\\n" "${1:-$HOME}" >&2; exit 1; }; '
        '[ -z "$2" ] || [ -d "./$2" ] || echo TOKEN NAMED >&2; shift 2; '
        'p=$(command -v "$1" 2>&-) || { echo TOKEN MISSING >&2; exit 127; }; exec "$@"'
    )
    .replace("MISSING", MISSING)
    .replace("NAMED", NAMED)
)

# NAME FILE: unpacks a tar stream into a temporary directory, then moves each file to its name, in the directory NAME if
# there is one. Else FILE, the only one, gets this name. The last member of the stream tells that it is complete.
# - BusyBox refuses links that lead out of the tree; here the user wants to copy them.
# - A link to a directory is replaced, as rsync does: no file goes where the link leads.
# - Not every mv knows -T.
_UNPACK: Final = """\
n=$1; if [ -d "./$n" ]; then cd -- "./$n" && n= || exit; fi
umask 077; t=.synctool-dcp.$$; mkdir "$t" || exit; trap 'rm -rf "$t"' EXIT; trap 'exit 1' HUP INT TERM PIPE
(cd "$t" && EXTRACT_UNSAFE_SYMLINKS=1 tar xpf -) || exit 1
[ -f "$t/COMPLETE" ] || { echo "the stream broke off" >&2; exit 1; }
rm "$t/COMPLETE" && cd "$t" || exit 1
[ -z "$n" ] || [ "$n" = "$2" ] || mv -f "./$2" "./$n" || exit 1
find . -type d ! -name . -exec sh -c '
for d; do
[ ! -L "../$d" ] || rm "../$d"
{ [ -d "../$d" ] || mkdir "../$d"; } && chmod "$(stat -c %a "$d")" "../$d" || exit 1
done' sh {} + || exit 1
find . ! -type d -exec sh -c '
s=0; for f; do
if [ -d "../$f" ] && [ ! -L "../$f" ]; then echo "$f: a directory with this name exists" >&2; s=1; continue; fi
mv -fT "$f" "../$f" 2>&- && continue
[ ! -d "../$f" ] || rm "../$f"; mv -f "$f" "../$f" || s=1
done; exit $s' sh {} +
s=$?; cd ..; exit $s
""".replace("COMPLETE", COMPLETE)


def sources(names: Sequence[str]) -> list[Path]:
    """Return the absolute paths of files on this machine. Raise SynctoolError with one line for each problem."""
    paths = [Path(os.path.abspath(name)) for name in names]  # noqa: PTH100  # a link is copied as a link
    return _checked(paths, [_problem(name, path) for name, path in zip(names, paths, strict=True)])


def remote_sources(names: Sequence[str]) -> list[Path]:
    """Return the paths of files on nodes. Raise SynctoolError with one line for each problem."""
    paths = [Path(os.path.normpath(name)) for name in names]
    problems = [
        None if path.is_absolute() and path.name else f"{_shown(name)}: expected an absolute path on the nodes"
        for name, path in zip(names, paths, strict=True)
    ]
    return _checked(paths, problems)


def _problem(name: str, path: Path) -> str | None:
    try:
        mode = os.lstat(path if name else name).st_mode
    except (OSError, ValueError) as error:
        return f"{_shown(name)}: {getattr(error, 'strerror', None) or error}"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        return f"{_shown(name)}: a special file, which is not copied"
    return None if path.name else f"{_shown(name)}: the root directory is not copied: name the files in it"


def _checked(paths: list[Path], problems: Iterable[str | None]) -> list[Path]:
    """Return the paths. Raise SynctoolError if there is a problem, or if two paths have the same name."""
    lines = [problem for problem in problems if problem is not None] + _same_names(paths)
    if lines:
        raise SynctoolError("\n".join(lines))
    return paths


def _same_names(paths: Iterable[Path]) -> list[str]:
    """Return a problem for each path whose copy would replace the copy of an earlier one."""
    seen: dict[str, Path] = {}
    problems = []
    for path in paths:
        first = seen.setdefault(path.name, path)
        if first != path:
            problems.append(f"{_shown(first)} and {_shown(path)} have the same name")
    return problems


def _shown(path: str | Path) -> str:
    return printable(os.fsencode(path)) or "''"


@dataclass(frozen=True)
class Target:
    """The destination on a node: a directory, which is the home if it is empty, and a name in it.

    The name is that of a directory, or the new name of the only file. It is empty if the destination has to be a
    directory.
    """

    directory: str
    name: str = ""

    @classmethod
    def of(cls, destination: str, files: Sequence[Path]) -> Target:
        """Return the target that cp would take: one file may get a new name, which is no directory by its spelling."""
        directory, name = os.path.split(destination)
        if len(files) != 1 or name in ("", ".", "..") or (files[0].is_dir() and not files[0].is_symlink()):
            return cls(destination)
        return cls(directory or ".", name)


def to_node(command: Sequence[str], route: Route, files: Sequence[Path], target: Target, token: str) -> list[str]:
    """Return the argument list that copies files to a node. rsync understands the name of a target as cp does."""
    start = _rsync(command, route, target, token)
    return [*start, "--", *map(os.fspath, files), _place(route, f"./{target.name}")]


def from_node(command: Sequence[str], route: Route, names: str, directory: str, token: str) -> list[str]:
    """Return the argument list that copies files of a node into a directory of this machine.

    The file `names` lists their paths, each with a NUL at its end.
    """
    chosen = ("--from0", f"--files-from={names}", "--no-relative")
    return [*_rsync(command, route, Target("/"), token), *chosen, "--", _place(route, "/"), f"{directory}/"]


def _rsync(command: Sequence[str], route: Route, target: Target, token: str) -> list[str]:
    kept = [word for word in command if not word.startswith(_NOT_FOR_COPIES)]
    announced = f"echo; echo {token}; "
    path = f"{_node_line(route, announced + _ON_NODE, target, token)} {rsync.node_command(command)}"
    return [*kept, *_OPTIONS, *rsync.shell_options(route.remote_shell(), token), f"--rsync-path={path}"]


def _node_line(route: Route, text: str, target: Target, token: str, *arguments: str) -> str:
    """Return the line that runs these words, and the ones after it, in the directory of a target."""
    if route.is_container:
        text = text.replace("echo TOKEN $$ >&2", "echo TOKEN $$")
    script = PROLOGUE + text.replace("TOKEN", token).encode()
    line = os.fsdecode(shell_line(script, *map(os.fsencode, (target.directory, target.name, *arguments))))
    return " ".join([*map(shlex.quote, route.node_sudo), line])


def _place(route: Route, path: str) -> str:
    return rsync.place(route.remote_name, path)


def tar_line(route: Route, files: Sequence[Path], target: Target, token: str) -> str:
    """Return the line that reads a stream of pack() and puts the files to their target."""
    return _node_line(route, _ON_NODE, target, token, "sh", "-c", _UNPACK, "sh", target.name, files[0].name)


def pack(stream: BinaryIO, files: Sequence[Path]) -> list[bytes]:
    """Write files and whole directories as a tar stream. Raise OSError if something cannot be read or written.

    Return the lines that rsync would print for the special files that are left out.
    """
    from pytest_synctool.connection import tarball  # rarely used, as most nodes have rsync

    left_out: list[bytes] = []

    def with_rsync_attributes(member: TarInfo) -> TarInfo | None:
        if kept := _with_rsync_attributes(member):
            return kept
        left_out.append(f'skipping non-regular file "{_shown(member.name)}"'.encode())
        return None

    with tarball.archive(stream, sys.getfilesystemencoding()) as tar:
        for path in files:
            tar.add(path, arcname=path.name, filter=with_rsync_attributes)
        tarball.complete(tar)
    return left_out


def _with_rsync_attributes(member: TarInfo) -> TarInfo | None:
    """Return a member with the attributes that rsync would copy, or None for a special file."""
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return None
    if not member.isdir():
        member.mode &= ~(stat.S_ISUID | stat.S_ISGID)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member

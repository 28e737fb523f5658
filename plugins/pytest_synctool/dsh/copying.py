"""Files to nodes and from nodes: the command lines of rsync, or of tar where a node has no rsync."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from pytest_synctool.common.shell import COMPLETE
from pytest_synctool.common.wording import printable
from pytest_synctool.connection import rsync
from pytest_synctool.connection.route import Route
from pytest_synctool.errors import SynctoolError

if TYPE_CHECKING:
    from tarfile import TarInfo

MISSING: Final = "missing"  # what a node says that has no rsync
# What rsync says of every failure, besides the reason.
NOISE: Final = re.compile(rb"rsync error: |rsync: connection unexpectedly closed|rsync: \[\w+\] (?:write|read) error: ")
# What rsync says of sockets, pipes and devices, which nobody copies; it ends with 0 all the same.
LEFT_OUT: Final = re.compile(rb'skipping non-regular file "')
# rsync's own 1 to 4 are mistakes in its options and the like; with any other status a connection may have been lost.
UNREACHABLE_STATUSES: Final = range(5, 256)

# By contents, since two versions of a file may have one size and one time. Who logs in on the node owns what is copied,
# so a setuid program would become somebody else's.
_OPTIONS: Final = ("-rlpt", "--checksum", "--chmod=Fug-s", "-s")
# Options of rsync_cmd that are for a mirror: they remove files, or write into the file that is in use.
_NOT_FOR_COPIES: Final = ("--del", "--remove-", "--inplace", "--append", "--write-devices", "--rsync-path=")

# The node's side. It announces itself as commands do.
_AT_THE_NODE: Final = (
    "echo TOKEN $$ >&2; "
    'cd -- "$1" 2>/dev/null || { printf "no directory %s there\\n" "$1" >&2; exit 1; }; shift; '
    'command -v "$1" >/dev/null 2>&1 || { echo TOKEN MISSING >&2; exit 127; }; exec "$@"'
).replace("MISSING", MISSING)

# A stream of tar is unpacked beside what is there, and then each file is moved to its name. Its last member tells that
# it is complete. BusyBox counts a link that leads out of the tree as an attack; here it is what somebody wants to copy.
# A link that leads to a directory gives way, as it does to rsync: nothing is put where it leads. Not every mv knows -T.
_UNPACK: Final = """\
umask 077; t=.synctool-dcp.$$; mkdir "$t" || exit; trap 'rm -rf "$t"' EXIT; trap 'exit 1' HUP INT TERM PIPE
(cd "$t" && EXTRACT_UNSAFE_SYMLINKS=1 tar xpf -) || exit 1
[ -f "$t/COMPLETE" ] || { echo "the stream broke off" >&2; exit 1; }
rm "$t/COMPLETE" && cd "$t" && find . -type d ! -name . -exec sh -c '
for d; do
[ ! -L "../$d" ] || rm "../$d"
{ [ -d "../$d" ] || mkdir "../$d"; } && chmod "$(stat -c %a "$d")" "../$d" || exit 1
done' sh {} + || exit 1
find . ! -type d -exec sh -c '
s=0; for f; do
if [ -d "../$f" ] && [ ! -L "../$f" ]; then echo "$f: there is a directory" >&2; s=1; continue; fi
mv -fT "$f" "../$f" 2>/dev/null && continue
[ ! -d "../$f" ] || rm "../$f"; mv -f "$f" "../$f" || s=1
done; exit $s' sh {} +
s=$?; cd ..; exit $s
""".replace("COMPLETE", COMPLETE)


def sources(names: Sequence[str]) -> list[Path]:
    """What is to be copied from here, as absolute paths. Raises SynctoolError, with every problem, a line each."""
    found = [Path(os.path.abspath(name)) for name in names]  # noqa: PTH100  # a link is copied as a link
    problems = [_problem(name, path) for name, path in zip(names, found, strict=True)]
    return _without_problems(found, problems)


def remote_sources(names: Sequence[str]) -> list[Path]:
    """What is to be copied from nodes. Raises SynctoolError, with every problem, a line each."""
    found = [Path(os.path.normpath(name)) for name in names]
    problems = [
        None if path.is_absolute() and path.name else f"{_shown(name)}: expected an absolute path, as on the nodes"
        for name, path in zip(names, found, strict=True)
    ]
    return _without_problems(found, problems)


def _problem(name: str, path: Path) -> str | None:
    try:
        mode = os.lstat(path if name else name).st_mode
    except (OSError, ValueError) as error:
        return f"{_shown(name)}: {getattr(error, 'strerror', None) or error}"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        return f"{_shown(name)}: a special file, which is not copied"
    return None if path.name else f"{_shown(name)}: expected something below it"


def _without_problems(found: list[Path], problems: Iterable[str | None]) -> list[Path]:
    told = [problem for problem in problems if problem is not None] + _same_names(found)
    if told:
        raise SynctoolError("\n".join(told))
    return found


def _same_names(paths: Iterable[Path]) -> list[str]:
    """Of two with one name, the second would take the place of the first."""
    seen: dict[str, Path] = {}
    problems = []
    for path in paths:
        first = seen.setdefault(path.name, path)
        if first != path:
            problems.append(f"{_shown(first)} and {_shown(path)} have the same name")
    return problems


def _shown(path: str | Path) -> str:
    return printable(os.fsencode(path)) or "''"


def to_node(command: Sequence[str], route: Route, files: Sequence[Path], directory: str, token: str) -> list[str]:
    """Return the argument list that copies files into a directory of a node."""
    return [*_rsync(command, route, directory, token), "--", *map(os.fspath, files), _place(route, "./")]


def from_node(command: Sequence[str], route: Route, names: str, directory: str, token: str) -> list[str]:
    """Return the argument list that copies files of a node into a directory of this machine.

    The file `names` lists their paths, each with a NUL at its end.
    """
    chosen = ("--from0", f"--files-from={names}", "--no-relative")
    return [*_rsync(command, route, "/", token), *chosen, "--", _place(route, "/"), f"{directory}/"]


def _rsync(command: Sequence[str], route: Route, directory: str, token: str) -> list[str]:
    kept = [word for word in command if not word.startswith(_NOT_FOR_COPIES)]
    path = f"{shlex.join(_node_words(route, directory, token))} {rsync.node_command(command)}"
    return [*kept, *_OPTIONS, rsync.shell_option(route.remote_shell()), f"--rsync-path={path}"]


def _node_words(route: Route, directory: str, token: str) -> list[str]:
    """Return the words that run the words after them in a directory of the node."""
    return [*route.node_sudo, "/bin/sh", "-c", _AT_THE_NODE.replace("TOKEN", token), "sh", directory]


def _place(route: Route, path: str) -> str:
    return rsync.place(route.remote_name, path)


def tar_line(route: Route, directory: str, token: str) -> str:
    """Return the line that reads a stream of pack() and puts the files into a directory of a node."""
    return shlex.join([*_node_words(route, directory, token), "sh", "-c", _UNPACK])


def pack(stream: BinaryIO, files: Sequence[Path]) -> list[bytes]:
    """Write files and directories with all that is in them. Raises OSError if something cannot be read or written.

    Returns what rsync would say of the special files that are left out.
    """
    from pytest_synctool.connection import tarball  # most nodes have rsync

    left_out: list[bytes] = []

    def taken(member: TarInfo) -> TarInfo | None:
        if found := _as_rsync_would(member):
            return found
        left_out.append(f'skipping non-regular file "{_shown(member.name)}"'.encode())
        return None

    with tarball.archive(stream) as tar:
        for path in files:
            tar.add(path, arcname=path.name, filter=taken)
        tarball.complete(tar)
    return left_out


def _as_rsync_would(member: TarInfo) -> TarInfo | None:
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return None
    if not member.isdir():
        member.mode &= ~(stat.S_ISUID | stat.S_ISGID)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member

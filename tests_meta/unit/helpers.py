"""What the unit tests share: shells, states as lstat() tells them, and entries built by hand."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hypothesis import strategies as st
from pytest_synctool.common.accounts import group_name, owner_name
from pytest_synctool.config import Config, parse
from pytest_synctool.config.node_commands import Kept
from pytest_synctool.model import ABSENT, Absent, FileState, Kind, Node, NodeError, NodeErrorKind
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree, kind_of

BUSYBOX: Final = shutil.which("busybox") or "busybox"
NOBODY: Final = 65534
IS_ROOT: Final = os.geteuid() == 0

# Names that a file can have: any bytes but NUL and the slash; the newline is refused by the repository.
file_names = (
    st.binary(min_size=1, max_size=40)
    .map(lambda name: bytes(byte for byte in name if byte not in b"\0\n/"))
    .filter(lambda name: name not in (b"", b".", b".."))
)

ODD_NAMES: Final[tuple[bytes, ...]] = (
    b"with space",
    b" leading and trailing ",
    b"quote'quote",
    b'double"quote',
    b"dollar$HOME",
    b"`backtick`",
    b"back\\slash",
    b"back\\nslash\\c",
    b"-leading-dash",
    b"--help",
    b"semi;colon & more | even > that",
    b"star*",
    b"quest?on [ab]",
    b"colon:colon::",
    b"colon at the end:",
    b"percent%s%n",
    b"tab\there",
    b"return\rhere",
    b"return at the end\r",
    b"\x01\x7f\x1b[31m",
    b"\x81\x82\x88",  # what dash marks words with, inside
    b"not utf-8 \xff\xfe",
    "grüße 日本".encode(),
    b"#comment",
    b"~tilde",
    b"trailing-backslash\\",
    b"{brace}",
    b"!bang",
    b"s:81a4:1:2:3:root:root:",
)


@dataclass(frozen=True)
class Shell:
    """A shell with the environment of the node it stands for."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, script: bytes, *, user: int | None = None, timeout: float = 30, cwd: str = "/"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a script from standard input, as the ssh transport does."""
        return subprocess.run(
            [*self.argv, "-s"],
            input=script,
            capture_output=True,
            env=dict(self.env),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            timeout=timeout,
            cwd=cwd,
            check=False,
        )


def lstat_state(path: bytes, *, size: int | None = None) -> FileState | Absent:
    """The state of a path as Python sees it; the digest only of a regular file of `size` bytes."""
    try:
        found = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ABSENT
        raise
    md5 = None
    if stat.S_ISREG(found.st_mode) and found.st_size == size:
        md5 = hashlib.md5(Path(os.fsdecode(path)).read_bytes()).hexdigest()
    return FileState(
        kind=kind_of(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        size=found.st_size,
        uid=found.st_uid,
        gid=found.st_gid,
        owner=owner_name(found.st_uid),
        group=group_name(found.st_gid),
        md5=md5,
        target=os.readlink(path) if stat.S_ISLNK(found.st_mode) else None,
    )


def too_many_links(path: Path) -> None:
    """Make a link that leads to a directory with a file, by more links than the kernel follows."""
    place = path.with_name(f"{path.name} links")
    place.mkdir()
    for number in range(41):
        (place / f"{number}").symlink_to(f"{number + 1}")
    (place / "41").mkdir()
    (place / "41/file").write_text("abc")
    path.symlink_to(f"{place.name}/0")


def snapshot(top: Path) -> dict[bytes, tuple[int, ...]]:
    """Everything below a directory, its times included but for the last access."""
    found: dict[bytes, tuple[int, ...]] = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in [b".", *directories, *files]:
            path = os.path.join(directory, name)
            s = os.lstat(path)
            found[path] = (s.st_mode, s.st_uid, s.st_gid, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
    return found


def state(kind: Kind = Kind.FILE, **fields: object) -> FileState:
    """A state with sensible values for what a test does not care about."""
    base = FileState(kind, 0o644, 3, 0, 0, "root", "root")
    if kind is Kind.FILE:
        base = replace(base, md5="0" * 32)
    if kind is Kind.LINK:
        base = replace(base, mode=0o777, target=b"target")
    return replace(base, **fields)  # type: ignore[arg-type]


class FixedSource(Source):
    """A source whose expected state is the one given: no file has to be there."""

    @property
    def expected(self) -> FileState:
        """The given state."""
        return self.state


def entry(
    destination: bytes,
    expected: FileState | None = None,
    *,
    tree: Tree = Tree.OVERLAY,
    trigger: bytes | None = None,
    relative: bytes | None = None,
    masterdir: bytes = b"/master",
) -> Entry:
    """An entry that expects a state which nobody has to read from a file."""
    relative = relative or tree.value.encode() + destination + b"._all"
    return Entry(FixedSource(tree, masterdir, relative, destination, expected or state()), trigger)


def node(name: str = "node1", *groups: str) -> Node:
    """A node that is in the groups of its own name and `all` as well."""
    return Node(name, (name, *groups, "all"), name)


def config(directory: Path, *lines: str, outputs: Mapping[str, bytes] | None = None) -> Config:
    """A configuration beside an empty masterdir. `outputs` is what the commands of include_nodes print."""
    (directory / "master").mkdir(exist_ok=True)
    text = "\n".join(("masterdir master", *lines))
    return parse(text, directory / "synctool.conf", print_nodes=Kept(outputs or {}))


def names(nodes: Sequence[Node]) -> list[str]:
    """The names of nodes, in their order."""
    return [n.name for n in nodes]


def unreachable(reason: str) -> NodeError:
    """Return the error of a node that could not be reached."""
    return NodeError(NodeErrorKind.UNREACHABLE, reason)

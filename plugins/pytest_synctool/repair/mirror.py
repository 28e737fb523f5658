"""The mirror: the part of the masterdir that a node may see, copied to the same path on the node by tar or rsync.

A push builds a new tree beside the old one, linking unchanged files. The new tree takes the old one's place only when
it is complete. So the node then has exactly what it may see now, and an interrupted push leaves the mirror unchanged.
The next push uses what has come.

A replaced tree is removed. That is safe only in a directory that a push found empty and marked. A directory that
somebody else filled, or the masterdir itself on a shared file system, never has the mark; there a push removes nothing
and leaves no made files, whose names may be those of the masterdir's own files.

The mark holds the fingerprint of the mirror's contents, which shows the controller whether the mirror is up to date.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Final

from pytest_synctool.common.prologue import new_token
from pytest_synctool.common.shell import quote
from pytest_synctool.common.wording import printable
from pytest_synctool.connection import rsync, tarball
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.route import Route
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.errors import TransportError
from pytest_synctool.repair.mirror_contents import Extract, extract
from pytest_synctool.repair.mirror_reuse import present
from pytest_synctool.repair.mirror_script import MADE, MARK, NodeSide
from pytest_synctool.repair.push import Push
from pytest_synctool.repository.digests import Digests
from pytest_synctool.repository.entry import EntryList

_NEW: Final = b".synctool-new/"  # the new tree during a push
# Two versions of a file may have the same size and time: digests tell. Where there is nothing, none is computed.
_COMPARED, _ALL_SENT = "--checksum", "--ignore-times"
_RSYNC_OPTIONS: Final = (
    *("-a", "--sparse"),
    *("-s", "--from0", "--files-from=-", "--ignore-missing-args", "--msgs2stderr"),
)
_VANISHED = 24  # rsync's status when a source vanished while it ran; the second probe shows the effect
_SCRIPTS: Final = b"scripts"
_IN_MEMORY: Final = "some contents are in memory only, and go by tar"

_KEPT: Final = {
    "foreign": "{} was not empty and not made by --fix there, so nothing is removed from it: "
    "say rsync:no if the node shares it, else remove it there once",
    "mounted": "something is mounted below {} there, so nothing is removed from it",
}


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The load of a push into `directory` on a node. `is_first` says that the node is likely to have nothing of it."""

    transport: HostTransport
    route: Route
    directory: bytes
    what: Extract
    fingerprint: str
    is_first: bool


@dataclass(frozen=True, slots=True)
class Mirror:
    """The controller's side of the mirrors of a run. `scripts` are the names below scripts/, read once.

    `problem` is the reason why there can be no mirror at all.
    """

    masterdir: Path
    rsync_cmd: Sequence[str]
    deadline: float
    scripts: tuple[bytes, ...] = ()
    problem: str | None = None
    _extracts: dict[tuple[EntryList, str], tuple[Extract, str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _versions: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _digests: Digests = field(default_factory=Digests, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, masterdir: Path, rsync_cmd: Sequence[str], deadline: float) -> Mirror:
        """Return the mirrors of a masterdir; reads scripts/ now. `deadline` bounds each push, in seconds."""
        if os.path.lexists(masterdir / MARK):
            # A mirror has become a masterdir: only without the mark is it safe from pushes of other controllers.
            problem = f"{masterdir} is marked as a node's copy: if it is the master's, remove {MARK} from it"
            return cls(masterdir, rsync_cmd, deadline, (), problem)
        try:
            return cls(masterdir, rsync_cmd, deadline, tuple(_scripts(os.fsencode(masterdir))))
        except OSError as error:
            shown = printable(os.path.relpath(os.fsencode(error.filename), os.fsencode(masterdir)))
            return cls(masterdir, rsync_cmd, deadline, (), f"cannot read {shown}: {error.strerror}")

    def extract(self, entries: EntryList, waived: str = "") -> tuple[Extract, str]:
        """Return the mirror's contents for a node with these entries, and their fingerprint.

        Nodes that share entries share them.

        `waived` is the text of the node's waivers.yaml.
        """
        key = (entries, waived)
        if key not in self._extracts:
            contents = extract(entries, (*self.scripts, *entries.helpers), waived)
            self._extracts[key] = contents, contents.fingerprint(os.fsencode(self.masterdir), self._versions)
        return self._extracts[key]

    def bring(
        self, transport: HostTransport, what: Extract, fingerprint: str = "unknown", *, is_first: bool = False
    ) -> tuple[str, ...]:
        """Push the mirror's contents to a node; return notes for people.

        With `is_first` all is sent, and nothing compared with what the node has. Raises TransportError if the push
        fails; the mirror is then unchanged.
        """
        if self.problem is not None:
            raise TransportError(self.problem)
        load = _Delivery(transport, *self._place(transport), what, fingerprint, is_first)
        where = "no rsync there"
        if what.secret:
            return self._judge(self._tar(load), _IN_MEMORY)
        if self._goes_by_tar(load):
            push = self._tar(load)
            if push.is_final:
                return self._judge(push)
            load = replace(load, is_first=False)  # parts may have come, or what is there may be the masterdir
        if shutil.which(self.rsync_cmd[0]) is None:
            where = f"no {self.rsync_cmd[0]} here"
        elif not load.route.is_container or self._has_rsync(transport):
            push = self._rsync(load)
            if load.is_first and any(word in _KEPT for word in push.signals):
                push = self._rsync(replace(load, is_first=False))
            unfit = push.unfit
            if unfit is None and "missing" not in push.signals:
                return self._with_contents(what, self._judge(push, reliable=not load.route.is_container))
            where = unfit or where
        return (f"{where}, files were brought by tar", *self._judge(self._tar(load), where))

    def _goes_by_tar(self, load: _Delivery) -> bool:
        """Return True if tar is the faster way, and the site has not said how rsync should work.

        Where there is nothing to compare with, rsync takes twice as long for many small files. Large ones are better
        left to rsync, which may find most of them on the node and goes on in the middle of a file.
        """
        return load.is_first and not load.what.bases and tuple(self.rsync_cmd) == rsync.PLAIN

    def bring_made(self, transport: HostTransport, what: Extract, why_tar: str) -> tuple[str, ...]:
        """Push made contents alone, by tar. Raises TransportError."""
        return self._judge(self._tar(_Delivery(transport, *self._place(transport), what, "made", True)), why_tar)

    def _place(self, transport: HostTransport) -> tuple[Route, bytes]:
        """Return the route of the files, and the mirror's path for the programs at its end."""
        route = transport.route_for_files()
        return route, os.fsencode(_inside(Path(route.root), self.masterdir) if route.root else self.masterdir)

    def _with_contents(self, what: Extract, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the notes of a push. Raises TransportError if the node has not got the contents that were made."""
        if notes and what.has_contents:
            raise TransportError(f"rendered files have no place on the node: {notes[0]}")
        return notes

    def _has_rsync(self, transport: HostTransport) -> bool:
        """Ask a node whether it has rsync. Raises TransportError."""
        name = quote(os.fsencode(rsync.node_command(self.rsync_cmd)))
        asked = transport.run(b"p=$(command -v -- %s) && echo yes || echo no" % name, self.deadline, Phase.PUSH)
        return asked.stdout.strip().rpartition(b"\n")[2] != b"no"

    def _rsync(self, load: _Delivery) -> Push:
        token = new_token()
        with _written(load.what, load.fingerprint) as (number, made):
            top, names = os.fspath(self.masterdir), load.what.names
            # rsync reads the list byte by byte, so the names are short where they can be. Where other files come too,
            # the part before a `/./` is the place of a name and not part of it.
            if made:
                above = os.path.join(os.fsencode(top), b"./")
                top, names = "/", (*[above + name for name in names], *made)
            argv = [
                *self.rsync_cmd,
                *(*_RSYNC_OPTIONS, _ALL_SENT if load.is_first else _COMPARED),
                *rsync.shell_options(load.route.remote_shell(), token),
                "--rsync-path=" + self._node_side(load, token, number, rsync.node_command(self.rsync_cmd)),
                *("--", top, rsync.place(load.route.remote_name, "./")),
            ]
            listed = b"".join([name + b"\0" for name in names])
            limits = replace(load.transport.limits(self.deadline, Phase.PUSH), has_ssh=True)
            return Push("rsync", token, load.transport.processes.run(argv, listed, limits))

    def _tar(self, load: _Delivery) -> Push:
        number, token, names = f"{load.fingerprint}.tar", new_token(), load.what.names
        # BusyBox refuses links that lead out of the tree; here they are entries of the masterdir.
        tar = "cd .. && EXTRACT_UNSAFE_SYMLINKS=1 tar xpf -"
        masterdir, above = os.fsencode(self.masterdir), _NEW + os.fsencode(f"{MADE}{number}/")
        there = {} if load.is_first else present(load.transport, masterdir, names, self._digests, self.deadline)
        pieces = chain(
            tarball.made_files(load.what.made, above), _readable(tarball.files(masterdir, names, _NEW, there))
        )
        command = self._node_side(load, token, number, tar, in_one=True)
        argv = [*load.route.remote_shell(), load.route.remote_name, command]
        limits = load.transport.limits(self.deadline, Phase.PUSH)
        answer = load.transport.processes.run(argv, BufferedReader(tarball.Stream(pieces)), limits)
        return Push("tar", token, replace(answer, stderr=answer.stdout + answer.stderr))

    def _node_side(self, load: _Delivery, token: str, number: str, command: str, *, in_one: bool = False) -> str:
        """Return the line for the login shell of the node."""
        bases = () if in_one else load.what.bases
        side = NodeSide(token, load.directory, number, command, self.deadline, bases, load.is_first, in_one)
        return side.line(load.route)

    def _judge(self, push: Push, otherwise: str = "", *, reliable: bool = True) -> tuple[str, ...]:
        """Return the notes of a push that succeeded. Raises TransportError for one that failed.

        Without `reliable`, the words of the node may be lost. The end of its rsync, which the one here has seen, then
        tells enough: its status is that of the node's script.
        """
        tool, status, signals = push.tool, push.answer.status, push.signals
        if status in (0, _VANISHED) and ("done" in signals or not reliable):
            return tuple(_KEPT[word].format(self.masterdir) for word in signals if word in _KEPT)
        for word in signals:
            if word.startswith("failed "):
                raise TransportError(f"the mirror on the node: {word.removeprefix('failed ')}")
        if "missing" in signals:
            raise TransportError(f"{otherwise}, and no tar there either: one of them has to be installed")
        if tool == "tar" and (kept := [word for word in signals if word in _KEPT]):
            # tar overwrites files, and these may be the masterdir's own.
            raise TransportError(f"{otherwise}, and tar is not let into it: {_KEPT[kept[0]].format(self.masterdir)}")
        raise TransportError(f"{tool} failed with status {status}: {push.reason or 'no reason given'}")


def _readable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a stream. Raises TransportError where that raises OSError."""
    try:
        yield from pieces
    except OSError as error:
        raise TransportError(f"cannot pack the files for the node: {error.strerror or error}") from error


@contextmanager
def _written(what: Extract, fingerprint: str) -> Iterator[tuple[str, list[bytes]]]:
    """Write the made files into a numbered directory; yield the number and the files' names as rsync takes them.

    Raises TransportError if they cannot be written.
    """
    prefix = f"{MADE}{fingerprint}."
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as directory:
            above, name = os.path.split(os.fsencode(directory))
            for each, content in what.made.items():
                path = Path(directory, os.fsdecode(each))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield os.fsdecode(name).removeprefix(MADE), [os.path.join(above, b".", name, each) for each in what.made]
    except OSError as error:
        raise TransportError(f"cannot write the files for the node: {error.strerror or error}") from error


def _scripts(masterdir: bytes) -> Iterable[bytes]:
    """Return the names of scripts/ and of the files, directories and links below it; none if there is no scripts/.

    Raises OSError.
    """
    with os.scandir(masterdir) as listing:
        open_ = [(_SCRIPTS, child) for child in listing if child.name == _SCRIPTS]
    while open_:
        name, child = open_.pop()
        if child.is_dir(follow_symlinks=False):
            with os.scandir(child.path) as listing:
                open_ += [(name + b"/" + inner.name, inner) for inner in listing]
        elif not (child.is_symlink() or child.is_file(follow_symlinks=False)):
            continue
        yield name


def _inside(root: Path, masterdir: Path) -> Path:
    """Return the masterdir's path below a chroot. Raises TransportError if a link there leads out of it."""
    target = root / masterdir.relative_to("/")
    place = Path(os.path.realpath(target))  # Path.resolve() raises RuntimeError for a link that leads to itself
    if not place.is_relative_to(os.path.realpath(root)):
        raise TransportError(f"{target} leads out of {root} through a symbolic link")
    return target

"""Differences in contents between sources and files on nodes, made by the configuration's diff_cmd."""

from __future__ import annotations

import hashlib
import os
import secrets as random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pytest_synctool.audit import fetch
from pytest_synctool.audit.diff_report import Contents, Verdict, as_lines, is_binary, judge
from pytest_synctool.common.wording import printable
from pytest_synctool.connection.exchange import SHORT_ANSWER, Phase
from pytest_synctool.connection.transport import Transport
from pytest_synctool.errors import RemoteError, RepositoryError, TransportError
from pytest_synctool.model import FileState, Kind, Outcome
from pytest_synctool.repository.entry import Entry, lowest_followed
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import parents

# Bytes. Larger files, and files beyond this total of a node, get no diff in reports: many nodes may differ.
LARGEST_FILE: Final = 128 << 10
_MOST_OF_A_NODE: Final = 2 << 20
LARGEST_DIFF: Final = 64 << 10
_MOST_REMEMBERED: Final = 500
_MOST_ON_REQUEST: Final = 32 << 20  # bytes of contents that --diff fetches from a node


def copies(
    transport: Transport,
    entries: Sequence[Entry],
    overlay: Mapping[bytes, Entry],
    deadline: float,
    *,
    everything: bool = False,
    most: int = _MOST_ON_REQUEST,
) -> dict[bytes, fetch.Copy]:
    """Fetch the files of entries from a node; return the copies by path. With `everything`, non-public contents too.

    `overlay` are all overlay entries of the node by destination: they tell which links may be followed.

    Raises TransportError and RemoteError, and AnswerTooLong if the files have more than `most` bytes.
    """
    requests = [_request(entry, overlay, everything=everything) for entry in entries]
    return fetched(transport, requests, deadline, most)


def fetched(
    transport: Transport, requests: Sequence[fetch.FetchRequest], deadline: float, most: int = _MOST_ON_REQUEST
) -> dict[bytes, fetch.Copy]:
    """Fetch what is requested from a node; return the copies by path.

    Raises TransportError and RemoteError, and AnswerTooLong for contents of more than `most` bytes.
    """
    nonce = random.token_hex(16).encode("ascii")
    received: dict[bytes, fetch.Copy] = {}
    for part in fetch.split(requests, nonce, transport.script_limit):
        text = fetch.script(part, nonce)
        answer = transport.run(text, deadline, Phase.FETCH, most + SHORT_ANSWER + len(text))
        received.update(fetch.parse(part, nonce, answer.stdout))
    return received


def _request(entry: Entry, overlay: Mapping[bytes, Entry], *, everything: bool) -> fetch.FetchRequest:
    """Return the request for an entry.

    Contents that attributes.yaml or the source's mode keep secret stay on the node.
    """
    expected = entry.expected
    if expected.kind is not Kind.FILE:
        return fetch.FetchRequest(entry.probed_path, content=False)
    wanted = everything or secret(entry, expected, expected) is None
    return fetch.FetchRequest(
        entry.probed_path,
        expected.size,
        expected.md5,
        content=wanted,
        secrets=everything,
        through=lowest_followed(parents(entry.destination), overlay),
    )


@dataclass(frozen=True)
class Comparer:
    """A comparison by a command such as `diff -u`, which may take `timeout` seconds."""

    command: Sequence[str]
    timeout: float

    def verdict(self, entry: Entry, copy: fetch.Copy, *, secrets: bool) -> Verdict:
        """Return everything there is to report about a node's copy of a file."""
        judged = judge(entry, entry.expected, copy, secrets=secrets)
        return judged if not isinstance(judged, Contents) else judged.before + self.contents(entry, judged.theirs)

    def contents(self, entry: Entry, theirs: bytes) -> Verdict:
        """Return what a repair changes: lines with `-` are those of the node, lines with `+` those of the source."""
        try:
            ours = entry.source.read()
        except RepositoryError as error:
            return Verdict(errors=(str(error),))
        except OSError as error:
            return Verdict(errors=(f"cannot compare {entry.source.shown}: {error.strerror}",))
        return self.of_files(entry.destination, (b"node" + entry.destination, theirs), (entry.source.relative, ours))

    def of_files(self, path: bytes, *files: tuple[bytes, bytes]) -> Verdict:
        """Return what differs between two files of a path: a relative name and contents each."""
        if any(is_binary(content) for _, content in files):
            return Verdict((f"{printable(path)}: binary files differ",))
        try:
            return self._compared(*files)
        except OSError as error:
            return Verdict(errors=(f"cannot compare {printable(path)}: {error.strerror}",))

    def _compared(self, *files: tuple[bytes, bytes]) -> Verdict:
        names = [name for name, _ in files]
        with tempfile.TemporaryDirectory(prefix="synctool-diff-") as directory:
            for name, content in files:
                _write(os.path.join(os.fsencode(directory), name), content)
            try:
                done = subprocess.run(
                    [*self.command, *names],
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=self.timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return Verdict(errors=(f"'{self.command[0]}' has not ended within {self.timeout:g} s",))
        if done.returncode not in (0, 1):
            # The command's own words may be anything, so they are not shown.
            return Verdict(errors=(f"'{' '.join(self.command)}' failed with status {done.returncode}",))
        return Verdict(as_lines(done.stdout, names))


@dataclass
class Shown:
    """The diff of a file for reports, or the `reason` why there is none."""

    diff: str = ""
    reason: str = ""

    def of(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the diff, or the reason, added."""
        more = (f"contents: not shown, {self.reason}",) if self.reason else ()
        return replace(outcome, diff=self.diff, details=(*outcome.details, *more))


@dataclass
class ContentDiffs:
    """Diffs for reports, usable from any thread. The same change on many nodes is compared once."""

    comparer: Comparer
    deadline: float
    _known: dict[tuple[bytes, str | None, bytes], Shown] = field(default_factory=dict)

    def of(
        self, transport: Transport, differing: Mapping[Entry, FileState], overlay: Mapping[bytes, Entry]
    ) -> dict[Entry, Shown]:
        """Return the diffs of files whose contents differ, by entry. None of the entries is secret.

        Each has its actual state. `overlay` are all overlay entries of the node by destination.

        Never raises for anything that the node does: the drift itself is known without a diff.
        """
        shown: dict[Entry, Shown] = {}
        wanted: list[Entry] = []
        left = _MOST_OF_A_NODE
        for entry, actual in differing.items():
            size = max(entry.expected.size, actual.size)
            if size > min(LARGEST_FILE, left):
                shown[entry] = Shown(reason=f"too large here; synctool --diff {printable(entry.destination)} does")
                continue
            left -= size
            wanted.append(entry)
        if not wanted:
            return shown
        try:
            # Some files have grown since.
            received = copies(transport, wanted, overlay, self.deadline, most=2 * _MOST_OF_A_NODE)
        except (TransportError, RemoteError) as error:
            return shown | {entry: Shown(reason=str(error)) for entry in wanted}
        return shown | {entry: self._shown(entry, received[entry.probed_path]) for entry in wanted}

    def _shown(self, entry: Entry, copy: fetch.Copy) -> Shown:
        if copy.content is None or copy.complaint:
            return Shown(reason=copy.complaint or "it changed while it was looked at")
        if not isinstance(copy.state, FileState) or secret(entry, entry.expected, copy.state) is not None:
            return Shown(reason="it changed while it was looked at")
        key = (entry.source.relative, entry.expected.md5, hashlib.sha256(copy.content).digest())
        if key not in self._known:
            verdict = self.comparer.contents(entry, copy.content)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = Shown(_capped("\n".join(verdict.lines)), "; ".join(verdict.errors))
        return self._known[key]


def _capped(text: str) -> str:
    """Return whole lines of at most LARGEST_DIFF bytes, and the number of omitted lines."""
    encoded = text.encode("utf-8")
    if len(encoded) <= LARGEST_DIFF:
        return text
    kept = encoded[:LARGEST_DIFF].decode("utf-8", "ignore").rpartition("\n")[0]
    return f"{kept}\n... and {text.count(chr(10)) - kept.count(chr(10)):,} more lines"


def _write(path: bytes, content: bytes) -> None:
    """Write a file that nobody else can read.

    Its time is always 0: a time could make equal differences look different.
    """
    Path(os.fsdecode(path)).parent.mkdir(parents=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    os.utime(path, (0, 0))

"""The audit of one node: its paths are probed, and each check gets an outcome."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool.audit import listing, owed_commands, probe, rogue
from pytest_synctool.audit.check import Check, CheckEndedError, CheckFunction
from pytest_synctool.audit.drift_outcome import drift
from pytest_synctool.audit.remembered import LARGE
from pytest_synctool.common.shell import argument_size
from pytest_synctool.common.wording import printable_text
from pytest_synctool.connection.exchange import SHORT_ANSWER, Phase
from pytest_synctool.connection.ssh import last_line
from pytest_synctool.connection.transport import Transport
from pytest_synctool.errors import RemoteError, RepositoryError
from pytest_synctool.model import (
    ABSENT,
    NO_SELINUX,
    NOT_RUN,
    OK,
    Absent,
    Actual,
    Change,
    FileState,
    Kind,
    Node,
    Outcome,
    Status,
    Touched,
    Unknown,
)
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.entry import Entry, ExclusiveContents, lowest_followed
from pytest_synctool.repository.runnable import obstacle
from pytest_synctool.repository.secrecy import reveals_contents, secret, tells_of_contents
from pytest_synctool.repository.source import Tree, parents
from pytest_synctool.repository.waivers.rules import NOTHING_WAIVED, InForce

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs
    from pytest_synctool.audit.digest_memory import NodeMemory

MOST_BEFORE: Final = 5 << 20  # bytes

Explain = Callable[[Entry, Node], Sequence[str]]
_Scripts = Sequence[tuple[Sequence[probe.Request], Sequence[listing.Listing], bytes, int]]
_Prepared = tuple[Sequence[Check], probe.Request | None, _Scripts]


@dataclass
class Inspection:
    """The states of one node's paths as its probes found them, and the outcomes that follow.

    `entries` are all that the masterdir has for the node, whether selected or not. `deadline` bounds each probe, in
    seconds. With `dry_run` an outcome names the commands that --fix would run. `explain` returns the lines that say
    why the node has an entry. `contents` compares files whose contents differ; None leaves that out. With a `memory`,
    large files are not read that are as they were when their digests were remembered.
    """

    node: Node
    entries: Sequence[Entry]
    transport: Transport
    masterdir: Path
    deadline: float
    waivers: InForce = NOTHING_WAIVED
    dry_run: bool = True
    explain: Explain | None = None
    contents: ContentDiffs | None = None
    memory: NodeMemory | None = None
    actual: dict[bytes, Actual] = field(default_factory=dict)
    listed: dict[bytes, listing.Listed] = field(default_factory=dict)
    _unreadable: dict[bytes, str] = field(default_factory=dict)
    _has_labels: bool = False  # which a check expects
    _above: dict[bytes, Sequence[FileState]] = field(default_factory=dict)  # of the directories that lead to one
    _prepared: _Prepared | None = None

    @cached_property
    def overlay(self) -> dict[bytes, Entry]:
        """All overlay entries of the node by destination."""
        return {entry.destination: entry for entry in self.entries if entry.tree is Tree.OVERLAY}

    @cached_property
    def _followed(self) -> dict[bytes, Entry]:
        return {path: entry for path, entry in self.overlay.items() if entry.follow}

    @cached_property
    def _by_caseless_path(self) -> dict[str, list[Entry]]:
        paths: dict[str, list[Entry]] = {}
        for entry in self.entries:
            paths.setdefault(_caseless(entry.destination), []).append(entry)
        return paths

    def differing_in_case(self, entry: Entry) -> list[Entry]:
        """Return the node's other entries whose paths differ from this one's only in case or in Unicode form."""
        same = self._by_caseless_path.get(_caseless(entry.destination), ())
        return [other for other in same if other.destination != entry.destination]

    def run_probe(self, checks: Sequence[Check], before: bytes = b"", mark: probe.Request | None = None) -> bytes:
        """Look at the paths of these checks, and at `mark`.

        `before` is shell text that runs first. Return what it prints, of which MOST_BEFORE bytes are allowed. Raises
        TransportError, and RemoteError for an answer that is not whole.
        """
        printed, more = b"", MOST_BEFORE if before else 0
        for part, directories, text, ceiling in self._scripts(checks, mark):
            answer = self.transport.run(before + text, self.deadline, Phase.PROBE, ceiling + more)
            if before:
                printed, before, more = probe.printed_before(answer.stdout), b"", 0
            try:
                actual = probe.parse(part, answer.stdout)
                self.actual.update(actual)
                if self.memory is not None:
                    self.memory.take(part, answer.stdout, actual)
                for directory in (directory for each in directories for directory in each.directories):
                    self.listed.pop(directory, None)
                self.listed.update(listing.parse(directories, answer.stdout) if directories else {})
            except RemoteError as error:
                complaint = last_line(answer.stderr)
                raise RemoteError(f"{error} ({complaint})" if complaint else str(error)) from error
        return printed

    def prepare(self, checks: Sequence[Check], mark: probe.Request | None) -> None:
        """Make the scripts ready with which each run_probe() of these checks looks at the node."""
        self._prepared = checks, mark, self._scripts(checks, mark)

    def _scripts(self, checks: Sequence[Check], mark: probe.Request | None) -> _Scripts:
        """Return the requests, the directories to list, the script and the longest answer of each part of a probe."""
        if self._prepared is not None and self._prepared[0] is checks and self._prepared[1] == mark:
            return self._prepared[2]
        requests = self._requests(checks) | ({mark.path: mark} if mark else {})
        scripts = []
        for part, directories in self._parts(list(requests.values()), checks):
            ceiling = SHORT_ANSWER + probe.largest_answer(part) + listing.largest_answer(directories)
            scripts.append((part, directories, probe.script(part, self.deadline, directories), ceiling))
        return scripts

    def _parts(
        self, requests: Sequence[probe.Request], checks: Sequence[Check]
    ) -> Iterator[tuple[Sequence[probe.Request], Sequence[listing.Listing]]]:
        """Yield what each script of a probe asks for: one script asks for all where the connection can carry it."""
        limit = self.transport.script_limit
        listings = [rogue.listing(contents) for contents in _exclusive(checks)]
        if limit is None or not listings:
            yield from ((part, listings) for part in probe.split(requests, limit))
            return
        yield from ((part, ()) for part in probe.split(requests, limit))
        yield from (
            ((), part) for part in listing.split(listings, probe.room(limit) - argument_size(listing.FUNCTIONS))
        )

    def probe_unselected(self, entries: Sequence[Entry], like: Check) -> None:
        """Look at entries that no check is about, as the check `like` does at its own. Raises as run_probe() does."""
        if entries:
            self.run_probe([Check(entry, like.function) for entry in entries])

    def outcomes(self, checks: Sequence[Check]) -> list[Outcome]:
        """Return the outcome of each check, with content differences as far as they may be shown."""
        outcomes = [self.outcome(check) for check in checks]
        return outcomes if self.contents is None else self._with_contents(self.contents, checks, outcomes)

    def outcome(self, check: Check) -> Outcome:
        """Return the outcome of one check, from the state that the last probe found."""
        if check.settled is not None:
            return check.settled
        if check.is_task:
            return NOT_RUN
        changes = self._changes(check)
        if not changes:
            return OK if check.expected is None else check.expected.of_pass(check.entry)
        is_of_state = check.command is None and not isinstance(check.entry, ExclusiveContents)
        touched = self._touched(check.entry) if is_of_state else None
        if isinstance(changes, Outcome):
            outcome = replace(changes, touched=touched) if touched and changes.status is Status.DRIFT else changes
        else:
            hidden = self.secret(check.entry) if reveals_contents(changes) else None
            outcome = drift(check.entry, changes, hidden, touched)
        if is_of_state:
            outcome = self.waivers.applied(self.node, check.entry.destination, outcome)
        if check.expected is not None and outcome.status is Status.DRIFT:
            outcome = check.expected.of_failure(outcome, AssertionError(outcome.message))
        more = self._not_run(check) if self.dry_run and outcome.status is Status.DRIFT else []
        if self.explain is not None:
            more += self.explain(check.entry, self.node)
        return replace(outcome, details=(*outcome.details, *more)) if more else outcome

    def _touched(self, entry: Entry) -> Touched | None:
        state = self.actual.get(entry.probed_path)
        return state.touched if isinstance(state, FileState) else None

    def is_absent(self, entry: Entry) -> bool:
        """Return True if a probe found nothing at the entry's path; False also where no probe looked."""
        return self.actual.get(entry.probed_path) is ABSENT

    def has_source(self, entry: Entry) -> bool:
        """Return False if the entry's source could not be read when its path was to be probed."""
        return entry.probed_path not in self._unreadable

    def secret(self, entry: Entry) -> str | None:
        """Return the reason why nothing of an entry's contents may be shown, or None if all may."""
        if entry.tree is not Tree.OVERLAY:
            return None
        state = self.actual.get(entry.probed_path)
        actual = state if isinstance(state, FileState) else ABSENT
        directory = entry.destination[: entry.destination.rfind(b"/")]
        above = self._above.get(directory)
        if above is None:
            paths = (path for path in parents(entry.destination) if path in self.overlay)
            above = self._above[directory] = [self.overlay[path].expected for path in paths]
        return secret(entry, entry.expected, actual, above)

    def _path(self, check: Check) -> bytes:
        """Return the path on the node that a check is about."""
        if check.command is None:
            return check.entry.probed_path
        return owed_commands.owed(os.fsencode(self.masterdir), check.entry.destination, check.command.kind)

    def _requests(self, checks: Sequence[Check]) -> dict[bytes, probe.Request]:
        requests: dict[bytes, probe.Request] = {}
        contents = _exclusive(checks)
        for check in (check for check in checks if not check.is_task and check.settled is None):
            if isinstance(check.entry, ExclusiveContents):
                continue
            path = self._path(check)
            if check.entry.tree is Tree.DELETE or check.command is not None:
                requests.setdefault(path, probe.Request(path, expected=ABSENT))
                continue
            try:
                expected = check.entry.expected
            except RepositoryError as error:
                self._unreadable[path] = str(error)
                continue
            self._has_labels = self._has_labels or expected.label is not None
            size = expected.size if expected.kind is Kind.FILE else None
            through = lowest_followed(parents(path), self._followed) if self._followed and size is not None else b""
            known = None
            if self.memory is not None and size is not None and size >= LARGE and not through:
                known = self.memory.of(path)
            requests[path] = probe.Request(path, size, through, expected, known)
        for directory in (directory for each in contents for directory in each.known):
            requests.setdefault(directory, probe.Request(directory))
        return requests

    @property
    def notes(self) -> list[str]:
        """Remarks on the node for people, beside the outcomes."""
        states = self.actual.values() if self._has_labels else ()
        if any(isinstance(state, FileState) and state.label == NO_SELINUX for state in states):
            return ["SELinux is off there: attributes.yaml has 'selinux: restore', and no label is compared"]
        return []

    def rogue_names(self, check: Check) -> listing.Names | Outcome:
        """Return the paths in no entry that a check of an exclusive directory finds, or another outcome.

        Waived ones are left out; if there are no others, the outcome is that of the first of them.
        """
        assert isinstance(check.entry, ExclusiveContents)
        own = (os.fsencode(self.masterdir), owed_commands.STATE)
        names = rogue.rogue_names(check.entry, self.listed, self.actual, own)
        if isinstance(names, Outcome):
            return names
        differing: dict[bytes, Kind] = {}
        waived: dict[bytes, Kind] = {}
        for path, kind in names.items():
            changes = self._called(check, check.entry.rogue(path, kind), FileState(kind, 0, 0, 0, 0))
            if isinstance(changes, Outcome):
                return changes
            if changes:
                is_waived = self.waivers.waives_rogue(self.node, path)
                (waived if is_waived else differing)[path] = kind
        if waived and not differing:
            outcome = rogue.drift(check.entry, waived)
            return self.waivers.applied(self.node, min(waived), outcome)
        return differing

    def _changes(self, check: Check) -> list[Change] | Outcome:
        """Return the differences, or the outcome of a check that could not be made or has an outcome of its own."""
        if isinstance(check.entry, ExclusiveContents):
            names = self.rogue_names(check)
            if isinstance(names, Outcome):
                return names
            return rogue.drift(check.entry, names) if names else []
        path = self._path(check)
        if path in self._unreadable and check.entry.tree is Tree.OVERLAY:
            return Outcome(Status.ERROR, self._unreadable[path])
        actual = self.actual[path]
        if isinstance(actual, Unknown):
            return Outcome(Status.ERROR, f"cannot be looked at: {actual.reason}")
        return self._called(check, check.entry, actual)

    def _called(self, check: Check, entry: Entry, actual: FileState | Absent) -> list[Change] | Outcome:
        """Return the differences that the function of a check returns, or the outcome if it returns none."""
        try:
            changes: object = check.function(entry, actual)
        except CheckEndedError as ended:
            return _of_error(check, ended.outcome, ended.error)
        except Exception as error:  # a site's own function: whatever it raises is the result of its test
            reason = f"{_name(check.function)} raised {type(error).__name__}: {printable_text(str(error))}"
            return _of_error(check, Outcome(Status.ERROR, reason), error)
        if isinstance(changes, list) and all(isinstance(change, Change) for change in changes):
            return changes
        return Outcome(Status.ERROR, f"{_name(check.function)} did not return a list of Change")

    def _with_contents(
        self, contents: ContentDiffs, checks: Sequence[Check], outcomes: Sequence[Outcome]
    ) -> list[Outcome]:
        """Return the outcomes with content differences added."""
        differing: dict[int, tuple[Entry, FileState]] = {}
        for position, (check, outcome) in enumerate(zip(checks, outcomes, strict=True)):
            actual = self.actual.get(check.entry.probed_path)
            if isinstance(actual, FileState) and tells_of_contents(outcome.changes) and not self.secret(check.entry):
                differing[position] = check.entry, actual
        shown = contents.of(self.transport, dict(differing.values()), self.overlay)
        completed = list(outcomes)
        for position, (entry, _) in differing.items():
            completed[position] = shown[entry].of(outcomes[position])
        return completed

    def _not_run(self, check: Check) -> list[str]:
        """Return the lines that name the commands --fix would run, in the documentation's words."""
        commands = [check.command] if check.command is not None else []
        if check.command is None:
            commands = [owned.command for owned in entry_commands.fired_by(check.entry, self.overlay)]
        if not commands:
            return []
        masterdir = os.fsencode(self.masterdir)
        obstacles = [obstacle(command, masterdir) for command in commands]
        return [
            f"not running {command.announced}{f': it cannot run, {reason}' if reason else ''}"
            for command, reason in zip(commands, obstacles, strict=True)
        ]


def _exclusive(checks: Sequence[Check]) -> list[ExclusiveContents]:
    """Return the exclusive directories that checks are about."""
    entries = (check.entry for check in checks if check.settled is None)
    return [entry for entry in entries if isinstance(entry, ExclusiveContents)]


def _of_error(check: Check, outcome: Outcome, error: BaseException) -> Outcome:
    if check.expected is None or outcome.status is not Status.ERROR:
        return outcome
    return check.expected.of_failure(outcome, error)


def _caseless(path: bytes) -> str:
    return unicodedata.normalize("NFD", os.fsdecode(path)).casefold()


def _name(function: CheckFunction) -> str:
    return getattr(function, "__name__", "the check")

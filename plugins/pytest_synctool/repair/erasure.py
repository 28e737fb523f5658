"""`--erase-saved`: remove the old versions that repairs kept, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.model import NodeResult, Outcome, PlannedStep, Skip, Status, UnixOutput
from pytest_synctool.repair import plan
from pytest_synctool.repair.apply import Applied, NodeChanges
from pytest_synctool.repair.kept_names import kept_name
from pytest_synctool.repair.kept_versions import SavedFile, parse_saved_files, recall
from pytest_synctool.repair.plan import Erasure
from pytest_synctool.repository.entry import Entry

_RECALLED: Final = 32 << 20  # bytes; more than the journal keeps of all repairs
_NOT_OURS: Final = "it is not what was kept there"
_UNKNOWN: Final = "it cannot be looked at"
_DIRECTORY: Final = "it is a directory: look into it, and remove it by hand"
NOTHING_TO_ERASE: Final = Outcome(Status.SKIPPED, "no old version is kept", skip=Skip.NOT_KEPT)


@dataclass(frozen=True)
class Erasures:
    """The old versions of a node that can go away, the lines about them, and those about the ones that stay.

    `unknown` is the number of those that cannot be looked at.
    """

    versions: Mapping[bytes, Erasure]
    reasons: Mapping[bytes, str]
    left: Sequence[str]
    unknown: int = 0


def erasures(recalled: Mapping[bytes, Sequence[SavedFile]], only: Collection[bytes] = ()) -> Erasures:
    """Return what to erase: all old versions, or only those of the paths in `only`, which may name the old version."""
    versions: dict[bytes, Erasure] = {}
    reasons: dict[bytes, str] = {}
    left: list[str] = []
    unknown = 0
    for path, saved_files in sorted(recalled.items()):
        for file in saved_files:
            place = file.kept.path
            if only and path not in only and place not in only:
                continue
            # Only a rename within a directory keeps device and inode. Below --saved-dir a name stays as it is.
            is_beside = os.path.basename(place) == kept_name(os.path.basename(path))
            known, actual = (
                identity if is_beside else identity.rpartition(b":")[2]
                for identity in (file.kept.record.split(b":", 3)[-1], file.identity)
            )
            by = f", kept by {node_text(file.kept.by)}" if file.kept.by else ""
            if file.is_directory or known != actual:
                reason = _DIRECTORY if file.is_directory else _NOT_OURS if actual else _UNKNOWN
                left.append(f"{printable(place)} stays: {reason}")
                unknown += not file.identity
            else:
                versions[place] = Erasure(path, known)
                reasons[place] = f"old version of {printable(path)}{by}"
    return Erasures(versions, reasons, left, unknown)


def erase(
    changes: NodeChanges,
    overlay: Mapping[bytes, Entry],
    only: Collection[bytes],
    answered: Callable[[], None],
    *,
    changing: bool,
) -> NodeResult:
    """Remove the old versions of a node, or without `changing` only name them. Nothing is compared.

    `overlay` are its overlay entries by destination, `only` the paths whose old versions are meant, all if it is empty.
    `answered` is called when the node has answered, before anything is changed. Raises TransportError and RemoteError.
    """
    script = recall(changes.context, earlier=True, identified=True)
    answer = changes.transport.run(script, changes.deadline, Phase.PROBE, _RECALLED)
    answered()
    chosen = erasures(parse_saved_files(answer.stdout), only)
    changes.notes += chosen.left
    if changes.unix is UnixOutput.COMMANDS:
        changes.lines += (f"# {line}".encode() for line in chosen.left)
    todo = plan.erase(chosen.versions, overlay)
    if not todo.actions:
        return NodeResult((_or_unknown(NOTHING_TO_ERASE, chosen),))
    lines = [f"{printable(action.path)} {action.verb} ({chosen.reasons[action.path]})" for action in todo.actions]
    if not changing:
        changes.add_commands(todo, lines, (), range(len(lines)))
        outcome = Outcome(Status.SKIPPED, f"{_count(len(lines))} would be erased", skip=Skip.NOT_ERASED)
        steps = (PlannedStep(action.path, line) for action, line in zip(todo.actions, lines, strict=True))
        return NodeResult((_or_unknown(outcome, chosen),), planned=tuple(steps))
    applied = Applied(todo, lines)
    changes.carry_out(applied, lambda _: None)
    changes.add_commands(todo, lines, (), applied.successes())
    if applied.broken is None:
        changes.forget(changes.context.who)
    return NodeResult((_or_unknown(_outcome(changes, applied), chosen),))


def _or_unknown(outcome: Outcome, chosen: Erasures) -> Outcome:
    """Return an error if nobody can tell of some old versions whether they are there; else the outcome."""
    if not chosen.unknown:
        return outcome
    done = "" if outcome is NOTHING_TO_ERASE else f"; {outcome.message}"
    return Outcome(Status.ERROR, f"{_count(chosen.unknown)} cannot be looked at{done}")


def _outcome(changes: NodeChanges, applied: Applied) -> Outcome:
    """Return the outcome of all erasures of a node; note those that failed."""
    paths = [action.path for action in applied.todo.actions]
    failures = {path: failure for path in paths if (failure := applied.failure(path, right=False)) is not None}
    changes.notes += [f"{printable(path)} not erased: {failure}" for path, failure in failures.items()]
    if not failures:
        return Outcome(Status.FIXED, f"{_count(len(paths))} erased")
    return Outcome(Status.DRIFT, f"{len(failures)} of {_count(len(paths))} not erased")


def _count(number: int) -> str:
    return f"{number} old version{'' if number == 1 else 's'}"

"""One node from probe to outcome: audit, with --fix repair and confirm, with --restore put back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.common.wording import internal_error
from pytest_synctool.connection.transport import Transport
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.errors import AnswerTooLong, RemoteError, TransportError
from pytest_synctool.model import OK, Node, NodeError, NodeErrorKind, NodeResult, UnmanagedFiles
from pytest_synctool.repository.entry import Entry

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs
    from pytest_synctool.audit.digest_memory import NodeMemory
    from pytest_synctool.audit.probe import Request
    from pytest_synctool.repair.apply import MirrorOfNode
    from pytest_synctool.repair.node_repair import NodeRepair


@dataclass
class NodeSession:
    """The session of one node: it runs the node's checks as the mode of its settings says.

    `entries` are all that the masterdir has for the node, whether selected or not. A repair brings files to `mirror`,
    if there is one, and contents that the controller makes to `made_in` on the node, or not at all. `contents` compares
    files whose contents differ; None leaves that out. An audit with a `memory` does not read large files that have not
    changed since it read them.
    """

    node: Node
    checks: Sequence[Check]
    entries: Sequence[Entry]
    transport: Transport
    settings: Settings
    mirror: MirrorOfNode | None = None
    contents: ContentDiffs | None = None
    made_in: bytes | None = None
    memory: NodeMemory | None = None

    def run(self, answered: Callable[[], None] = lambda: None, shown: Collection[bytes] | None = None) -> NodeResult:
        """Run the checks and return their outcomes. Never raises for anything that the node does.

        `answered` is called when the node has answered for the first time, before anything is changed. A repair that
        would change a path beyond `shown` changes nothing.
        """
        started = time.perf_counter()
        try:
            result = self._run(answered, shown)
            if self.settings.unmanaged:
                result = replace(result, unmanaged=self._unmanaged())
        except (RemoteError, AnswerTooLong) as error:
            result = NodeResult((), NodeError(NodeErrorKind.BAD_ANSWER, str(error)))
        except TransportError as error:
            result = NodeResult((), NodeError(NodeErrorKind.UNREACHABLE, str(error)))
        if self.memory is not None:
            result = _remember(result, self.memory)
        notes = (*result.notes, *self._inspection.notes)
        result = replace(result, duration=time.perf_counter() - started, notes=notes)
        if "_repair" not in vars(self):  # there was nothing to repair: its modules need not be loaded
            return result
        repair, notes = self._repair, (*notes, *self._repair.notes)
        return replace(result, done=tuple(repair.done), printed=repair.printed, notes=notes, unix=tuple(repair.lines))

    def _run(self, answered: Callable[[], None], shown: Collection[bytes] | None) -> NodeResult:
        inspection, checks, mode = self._inspection, self.checks, self.settings.mode
        if mode.is_about_erasing:
            return self._repair.erase(inspection, self.settings.only, answered, changing=mode is Mode.ERASE_SAVED)
        if mode.is_about_old_versions:
            options = {"earlier": self.settings.earlier, "changing": mode is Mode.RESTORE}
            return NodeResult(tuple(self._repair.restore(inspection, checks, answered, **options)))
        if mode is Mode.FIX:
            self._repair.first_probe(inspection, checks, self._mark)
        else:
            inspection.run_probe(checks, mark=self._mark)
        answered()
        outcomes = inspection.outcomes(checks)
        if mode is Mode.REHEARSE and any(outcome is not OK for outcome in outcomes):
            return self._repair.rehearse(inspection, checks, outcomes)
        if mode is Mode.FIX:
            outcomes = self._repair.fix(inspection, checks, outcomes, shown)
        return NodeResult(tuple(outcomes))

    def _unmanaged(self) -> UnmanagedFiles:
        """Look for unmanaged files. An error is one of this look alone: the outcomes of the node stay."""
        from pytest_synctool.audit.unmanaged_look import look, managed_paths  # most runs do without

        settings = self.settings
        try:
            return look(settings.unmanaged, managed_paths(self.entries), self.transport, settings.deadline)
        except (RemoteError, AnswerTooLong) as error:
            return UnmanagedFiles.unknown(str(error))
        except TransportError as error:
            return UnmanagedFiles.unknown(NodeError(NodeErrorKind.UNREACHABLE, str(error)).text)
        except Exception as error:
            return UnmanagedFiles.unknown(NodeError(NodeErrorKind.INTERNAL, internal_error(error)).text)

    @property
    def _mark(self) -> Request | None:
        return None if self.mirror is None else self.mirror.mark

    @cached_property
    def _inspection(self) -> Inspection:
        settings = self.settings
        return Inspection(
            self.node,
            self.entries,
            self.transport,
            settings.masterdir,
            settings.deadline,
            settings.waivers,
            dry_run=settings.mode is not Mode.FIX,
            explain=settings.explain,
            contents=self.contents,
            memory=self.memory,
        )

    @cached_property
    def _repair(self) -> NodeRepair:
        from pytest_synctool.repair.node_repair import NodeRepair  # an audit does without
        from pytest_synctool.repair.script import Context

        settings = self.settings
        context = Context(
            os.fsencode(settings.masterdir),
            self.node.name,
            self.node.hostname or self.node.name,
            settings.who,
            settings.trigger_timeout,
            saved=settings.saved,
            log=settings.log,
            syslog=settings.syslog,
            silence=settings.deadline,
            post=settings.post,
        )
        return NodeRepair(self.transport, context, settings.deadline, self.mirror, self.made_in, unix=settings.unix)


def _remember(result: NodeResult, memory: NodeMemory) -> NodeResult:
    """Keep what the audit has learnt of large files; return the result with the number of those that it has not read.

    Of a node whose answer was not whole nothing is kept.
    """
    if result.error is None:
        memory.save()
    notes = (memory.problem,) if memory.problem else ()
    return replace(result, notes=(*result.notes, *notes), unread=len(memory.unread) if result.error is None else 0)

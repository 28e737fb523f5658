"""Run audit and repair sessions; shared by the plugin and the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_synctool.audit import owed_commands
from pytest_synctool.audit.check import Check
from pytest_synctool.common.wording import internal_error
from pytest_synctool.config import Config
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.engine.session import NodeSession
from pytest_synctool.engine.settings import Settings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node, NodeError, NodeErrorKind, NodeResult, Status
from pytest_synctool.repository.resolution import Repository

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs
    from pytest_synctool.audit.digest_memory import DigestMemory
    from pytest_synctool.repair.apply import MirrorOfNode
    from pytest_synctool.repair.mirror import Mirror
    from pytest_synctool.repository.entry import EntryList


@dataclass
class Engine:
    """Runs the sessions of nodes, from any thread. With `mirrored` a repair pushes files to each node's mirror."""

    config: Config
    repository: Repository
    settings: Settings
    connections: Connections
    mirrored: bool = True

    def __post_init__(self) -> None:
        deadline = self.settings.deadline
        self._contents: ContentDiffs | None = None
        if self.settings.diff:
            from pytest_synctool.audit.content_diff import Comparer, ContentDiffs  # the commands do without

            self._contents = ContentDiffs(Comparer(self.config.diff_cmd, deadline), deadline)
        self._memory: DigestMemory | None = None
        if self.settings.trust_ctime is not None and self.settings.mode.is_audit:
            from pytest_synctool.audit.digest_memory import DigestMemory  # most runs do without

            self._memory = DigestMemory.of_user(self.settings.masterdir, self.settings.trust_ctime)
        self._mirror: Mirror | None = None
        if self.mirrored and self.settings.mode.changes_nodes:
            from pytest_synctool.repair.mirror import Mirror  # an audit does without

            self._mirror = Mirror.of(self.settings.masterdir, self.config.rsync_cmd, deadline)

    def run(
        self,
        node: Node,
        checks: Sequence[Check],
        answered: Callable[[], None] = lambda: None,
        shown: Collection[bytes] | None = None,
    ) -> NodeResult:
        """Run the checks of one node and return the result. A fault of this program costs only that node's result.

        `answered` is called when the node has answered for the first time. A node with nothing to look at is not
        contacted; nor is one whose checks are all skipped, for its unmanaged files. A repair that would change a path
        beyond `shown` changes nothing.
        """
        settled = [check.settled for check in checks if check.settled is not None]
        looks_further = self.settings.unmanaged and any(outcome.status is not Status.SKIPPED for outcome in settled)
        if settled and len(settled) == len(checks) and not looks_further:
            return NodeResult(tuple(settled))
        try:
            with closing(self.connections.to(node)) as connection:
                return self._session(node, checks, connection).run(answered, shown)
        except TransportError as error:
            return NodeResult((), NodeError(NodeErrorKind.UNREACHABLE, str(error)))
        except Exception as error:
            return NodeResult((), NodeError(NodeErrorKind.INTERNAL, internal_error(error)))

    def _session(self, node: Node, checks: Sequence[Check], connection: HostTransport) -> NodeSession:
        entries = self.repository.entries(node)
        # This machine has one log, which the process that reports writes.
        settings = replace(self.settings, log=b"", syslog=False) if connection.is_local else self.settings
        masterdir = os.fsencode(settings.masterdir)
        mirror: MirrorOfNode | None = None
        made_in: bytes | None = masterdir
        if self.mirrored and node.rsync and not connection.is_local:
            mirror = self._mirror_of(node, entries, connection)
        else:
            carries = connection.is_local or connection.route is not None
            made_in = owed_commands.made_files(masterdir) if carries else None
            if made_in is not None and settings.mode.changes_nodes:
                from pytest_synctool.repair.made_files import MadeFiles  # an audit does without

                mirror = MadeFiles(made_in, connection, entries, settings.deadline)
        memory = None if self._memory is None else self._memory.of_node(node)
        return NodeSession(node, checks, entries, connection, settings, mirror, self._contents, made_in, memory)

    def _mirror_of(self, node: Node, entries: EntryList, connection: HostTransport) -> MirrorOfNode | None:
        if self._mirror is None:
            return None
        from pytest_synctool.repair.node_mirror import NodeMirror
        from pytest_synctool.repository.waivers.writer import mirror_text

        waived = mirror_text(self.repository.waivers, node, (entry.destination for entry in entries), entries.exclusive)
        return NodeMirror(self._mirror, connection, entries, waived)

    def close(self) -> None:
        """Remove the files that the connections share. Call it when all of them are closed."""
        self.connections.close()

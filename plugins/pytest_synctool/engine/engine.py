"""What sessions of nodes are run with: the same for the plugin and for the commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_synctool.audit.check import Check
from pytest_synctool.config import Config
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.engine.session import NodeSession
from pytest_synctool.engine.settings import Settings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node, NodeResult
from pytest_synctool.repository.resolution import Repository

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs
    from pytest_synctool.repair.mirror import Mirror


@dataclass
class Engine:
    """Runs nodes one by one, from any thread. With `mirrored` their mirrors are brought what they need."""

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
        self._mirror: Mirror | None = None
        if self.mirrored and (self.settings.fix or self.settings.restore):
            from pytest_synctool.repair.mirror import Mirror  # an audit does without

            self._mirror = Mirror.of(self.settings.masterdir, self.config.rsync_cmd, deadline)

    def run(self, node: Node, checks: Sequence[Check], answered: Callable[[], None] = lambda: None) -> NodeResult:
        """What became of the checks of a node. A fault of this program with one node does not take others' results.

        `answered` is called once the node has been heard of.
        """
        try:
            with closing(self.connections.to(node)) as connection:
                return self._session(node, checks, connection).run(answered)
        except TransportError as error:
            return NodeResult((), f"{node.name} unreachable: {error}")
        except Exception as error:
            return NodeResult((), f"{node.name}: internal error: {type(error).__name__}: {error}")

    def _session(self, node: Node, checks: Sequence[Check], connection: HostTransport) -> NodeSession:
        entries = self.repository.entries(node)
        # This machine has one log, which the process that reports writes.
        settings = replace(self.settings, log=b"", syslog=False) if connection.is_local else self.settings
        if self._mirror is None or not node.rsync:
            return NodeSession(node, checks, entries, connection, lambda _: (), settings, contents=self._contents)
        from pytest_synctool.repair.mirror import NodeMirror
        from pytest_synctool.repository.waivers.writer import exact

        waived = exact(self.repository.waivers, node, (entry.destination for entry in entries))
        copy = NodeMirror(self._mirror, connection, entries, waived)
        return NodeSession(
            node,
            checks,
            entries,
            connection,
            lambda _: copy.push(),
            settings,
            copy.mark,
            copy.refresh,
            contents=self._contents,
        )

    def close(self) -> None:
        """Remove what the connections have shared, once all of them are over."""
        self.connections.close()

"""What the masterdir says of one destination."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import FileState
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.source import Source, Tree


@dataclass(frozen=True, eq=False)
class Entry:
    """The expected state of one destination, for all nodes on which it is decided in the same way.

    `trigger` is a path below the masterdir. `on_update` is the shell text that the configuration runs after a change.
    Entries are equal only if they are the same object: they are keys of many dictionaries, and hashing a source with
    its state and its digests is slow. A resolved masterdir makes each entry once.
    """

    source: Source
    trigger: bytes | None = None
    attributes: Attributes | None = None
    on_update: bytes | None = None

    @property
    def tree(self) -> Tree:
        """The subdirectory of the masterdir that the entry comes from."""
        return self.source.tree

    @property
    def destination(self) -> bytes:
        """The absolute path on the node."""
        return self.source.destination

    @property
    def expected(self) -> FileState:
        """The state that the destination of an overlay entry must show. Raises RepositoryError."""
        return self.source.expected if self.attributes is None else self._expected

    @cached_property
    def _expected(self) -> FileState:
        return self.with_attributes(self.source.expected)

    def with_attributes(self, state: FileState) -> FileState:
        """A state of the source, with owner, group and mode as attributes.yaml gives them."""
        return state if self.attributes is None else self.attributes.applied(state)

    @property
    def sensitive(self) -> bool:
        """Whether its contents must not be shown."""
        return self.attributes is not None and self.attributes.sensitive

    @property
    def follow(self) -> bool | None:
        """Of a directory, whether a link to one does as well (True), gives way to it (False), or is left for people."""
        return None if self.attributes is None else self.attributes.follow

    @property
    def probed_path(self) -> bytes:
        """The path that shows its state on the node."""
        return self.destination + b"/." if self.follow and self.source.is_directory else self.destination


class EntryList(SharedList[Entry]):
    """The entries of a node. Nodes alike share one list, so that work on it is done once for all of them.

    The list itself is the key under which such work is remembered.
    """

    __slots__ = ()

"""The entry of a destination, and the list of a node's entries."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.patterns import regex
from pytest_synctool.repository.source import Source, Tree


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """The expected state of one destination, shared by the nodes on which the same names and rules decide it.

    `trigger` is a path below the masterdir. `on_update` is the shell text that the configuration runs after a change.
    `directory` has the commands of the directory in delete/ that an entry of delete/ is in. Its path ends with a slash,
    and it is in no list of entries: nothing is compared there.
    `destination` is the absolute path on the node. A probe looks up `probed_path`: it leads behind a symbolic link if
    `follow` accepts one.

    An entry equals only itself: entries are keys of many dictionaries, and hashing sources with their states is slow.
    A repository makes each entry once.
    """

    source: Source
    trigger: bytes | None = None
    attributes: Attributes | None = None
    on_update: bytes | None = None
    directory: Entry | None = None
    tree: Tree = field(init=False, repr=False)
    destination: bytes = field(init=False, repr=False)
    probed_path: bytes = field(init=False, repr=False)
    _expected: FileState | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        source = self.source
        path = source.destination
        object.__setattr__(self, "tree", source.tree)
        object.__setattr__(self, "destination", path)
        object.__setattr__(self, "probed_path", path + b"/." if self.follow and source.is_directory else path)

    @property
    def expected(self) -> FileState:
        """The expected state of an overlay entry. Raises RepositoryError if its source cannot be read."""
        if self.attributes is None:
            return self.source.expected
        expected = self._expected
        if expected is None:
            expected = self.with_attributes(self.source.expected)
            object.__setattr__(self, "_expected", expected)
        return expected

    def with_attributes(self, state: FileState) -> FileState:
        """Return a state of the source with the owner, group and mode from attributes.yaml."""
        return state if self.attributes is None else self.attributes.applied(state)

    @property
    def sensitive(self) -> bool:
        """True if attributes.yaml forbids to show the contents, or if they are decrypted."""
        return self.attributes is not None and (self.attributes.sensitive or self.attributes.decrypt is not None)

    @property
    def is_template(self) -> bool:
        """True for a file that the controller renders for each node."""
        is_called_so = self.attributes is not None and self.attributes.template
        return (self.source.is_template or is_called_so) and self.source.state.kind is Kind.FILE

    @property
    def decrypt(self) -> str | None:
        """The command that prints the contents, if the source is encrypted."""
        return None if self.attributes is None else self.attributes.decrypt

    @property
    def how_made(self) -> str:
        """The words between a destination and its source if the controller makes its contents, else an empty text."""
        steps = [*(["decrypted"] if self.decrypt is not None else []), *(["rendered"] if self.is_template else [])]
        return f"{' and '.join(steps)} from" if steps else ""

    @property
    def follow(self) -> bool | None:
        """The handling of a symbolic link to a directory where this directory should be.

        True accepts the link. False replaces it by the directory. None reports it and leaves it to people.
        """
        return None if self.attributes is None else self.attributes.follow


def lowest_followed(directories: Iterable[bytes], entries: Mapping[bytes, Entry]) -> bytes:
    """Return the lowest of these directories, from the highest down, that may be a symbolic link; b"" for none.

    `entries` are all overlay entries of the node by destination.
    """
    links = [directory for directory in directories if directory in entries and entries[directory].follow]
    return links[-1] if links else b""


@dataclass(frozen=True, eq=False)
class ExclusiveContents(Entry):
    """All that a node may have in an exclusive directory, and below it if it is the top of an exclusive tree.

    The destination is the directory with a slash at its end. `known` has each directory to list, the exclusive one
    first, with the names in it that entries have, or lead to. It is in no list of entries.
    """

    known: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)

    @property
    def is_tree(self) -> bool:
        """True if directories in no entry are removed too."""
        return self.attributes is not None and self.attributes.exclusive == "tree"

    @cached_property
    def _allowed(self) -> re.Pattern[str] | None:
        patterns = () if self.attributes is None else self.attributes.allow
        return re.compile("|".join(map(regex, patterns))) if patterns else None

    def allows(self, path: bytes) -> bool:
        """Return True if a pattern of the directory allows a path below it."""
        allowed = self._allowed
        below = "/" + os.fsdecode(path.removeprefix(self.destination))
        return allowed is not None and allowed.fullmatch(below) is not None

    def may_have(self, path: bytes) -> bool:
        """Return True if a path below the directory is not judged here, or is one that may be there."""
        directory, name = os.path.split(path)
        names = self.known.get(directory)
        return names is None or name in names or self.allows(path)

    def rogue(self, path: bytes, kind: Kind) -> Entry:
        """Return the entry of a path that must not be there, as one of delete/ would be."""
        state = FileState(kind, 0, 0, 0, 0)
        return Entry(Source(Tree.DELETE, self.source.masterdir, self.source.relative, path, state))


class EntryList(SharedList[Entry]):
    """The entries of a node. Nodes with the same entries share one list.

    Results that depend on nothing but the entries are computed once for all these nodes, with the list as the key.
    `helpers` are names below the masterdir of files for group none that the node's commands may read. `templates` are
    the entries that are to be rendered, and are not yet. `exclusive` has the contents of exclusive directories.
    """

    __slots__ = ("exclusive", "helpers", "templates")

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        helpers: Sequence[bytes] = (),
        templates: Iterable[Entry] = (),
        exclusive: Sequence[ExclusiveContents] = (),
    ) -> None:
        super().__init__(entries)
        self.helpers = tuple(helpers)
        self.templates = tuple(templates)
        self.exclusive = tuple(exclusive)

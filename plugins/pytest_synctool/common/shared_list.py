"""An immutable sequence that can be a key of a dictionary without comparing its items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

_T = TypeVar("_T", covariant=True)


class SharedList(Sequence[_T]):
    """A sequence that never changes and that many owners share as one object.

    It equals only itself, so that hashing and comparing take the same time for any length. With tuples as keys, each
    lookup would hash every item: for 1,000 owners of 1,000 items that is a million hashes. A dictionary keeps its keys
    alive; an `id()` as the key would not, and could come to stand for another list.

    Identity ends at the process: a pickled copy is another list.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[_T] = ()) -> None:
        self._items = tuple(items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[_T]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        return self._items[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items)!r})"

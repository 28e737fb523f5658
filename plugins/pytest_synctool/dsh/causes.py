"""Causes of failed connections, looked for in threads while other commands run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

FindCause = Callable[[str, str, float], str | None]

_MOST: Final = 64  # nodes of a run whose failed connections are looked into
_THREADS: Final = 16


class _Search(NamedTuple):
    node: str
    reason: str
    cause: Future[str | None]


class Causes:
    """The searches of one run. `new_finder` returns a function that finds causes; it is called at the first failure.

    That function gets a node, the reason that is known, and the seconds until the failure. `ready` is called in another
    thread when a cause is known. The other methods are for the thread of the engine.
    """

    def __init__(self, new_finder: Callable[[], FindCause], ready: Callable[[], None]) -> None:
        self._new_finder, self._ready = new_finder, ready
        self._find: FindCause | None = None
        self._searches: list[_Search] = []
        self._number = 0
        self._threads: ThreadPoolExecutor | None = None

    def search(self, node: str, reason: str, seconds: float) -> bool:
        """Begin to search for the cause. Return False if there are too many nodes for that."""
        self._number += 1
        if self._number > _MOST:
            return False
        if self._find is None or self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # most runs need no thread

            self._find, self._threads = self._new_finder(), ThreadPoolExecutor(_THREADS)
        cause = self._threads.submit(self._find, node, reason, seconds)
        self._searches.append(_Search(node, reason, cause))
        cause.add_done_callback(lambda _: self._ready())
        return True

    def known(self) -> Iterator[tuple[str, str]]:
        """Yield the nodes whose causes are known by now, each once, with the cause."""
        done = [search for search in self._searches if search.cause.done()]
        self._searches = [search for search in self._searches if not search.cause.done()]
        for search in done:
            yield search.node, search.cause.result() or search.reason

    def rest(self, *, wait: bool) -> Iterator[tuple[str, str]]:
        """Yield all other nodes. Without `wait`, those whose causes are not known yet get the reason that was known."""
        if self._threads is not None:
            self._threads.shutdown(wait=wait, cancel_futures=not wait)
        for search in self._searches:
            cause = search.cause.result() if search.cause.done() and not search.cause.cancelled() else None
            yield search.node, cause or search.reason
        self._searches = []

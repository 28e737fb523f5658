"""Many nodes at once: sessions run in bounded threads, ahead of the tests that ask for their results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Fanout(Generic[Key, Value]):
    """Runs `work(key)` for announced keys in at most `limit` threads and hands each result out once."""

    def __init__(self, work: Callable[[Key], Value], limit: int) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(max_workers=limit, thread_name_prefix="synctool")
        self._futures: dict[Key, Future[Value]] = {}

    def announce(self, keys: Iterable[Key]) -> None:
        """Start work on keys that will be asked for soon; those under way already are left alone."""
        for key in keys:
            if key not in self._futures:
                self._futures[key] = self._pool.submit(self._work, key)

    def result(self, key: Key) -> Value:
        """The result for a key, waiting for it; raises what the work raised."""
        self.announce((key,))
        result = self._futures[key].result()
        del self._futures[key]  # not before: an interrupted wait must not lose it
        return result

    def close(self) -> None:
        """Drop what has not been started; returns when what has been started is over."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def unclaimed(self) -> Iterator[tuple[Key, Value]]:
        """After close(), the results that nobody has asked for."""
        for key, future in self._futures.items():
            if not future.cancelled() and future.exception() is None:
                yield key, future.result()

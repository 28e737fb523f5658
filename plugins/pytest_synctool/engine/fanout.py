"""Work on many nodes at once: sessions run in a bounded number of threads, ahead of the tests that want results.

A silent node does not block others: after a while it no longer counts as at work, so the next node can begin. This does
not happen while this machine is busy: then the machine may be the slow one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from pytest_synctool.connection.machine_capacity import Idleness, limit_parallelism

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

PATIENCE: Final = 2.0  # seconds
_HEED: Final = 0.25  # seconds
_MOST_LATE: Final = 1_000
_USUAL: Final = 3.0  # a node may be silent this many times as long as others took
_WEIGHT: Final = 0.1  # weight of the last node in the time that others took


class Turn:
    """The turn of a node. It counts as at work except while it is late, until answered()."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.began = time.monotonic()
        self.is_silent = True
        self.is_late = False

    def answered(self) -> None:
        """Record that the node has answered. If it was late, wait until a place is free."""
        self._places.answered(self)


class Places:
    """The places for nodes at work: at most `limit`, not counting nodes that are late."""

    def __init__(self, limit: int) -> None:
        self.most = limit_parallelism(limit + _MOST_LATE)
        self._limit = self._free = min(limit, self.most)
        self._free_for_late = self._most_late = self.most - self._free
        self._changed = threading.Condition()
        self._usual = 0.0  # seconds until an answer
        self._silent: deque[Turn] = deque()  # keyed by the time they began

    def begin(self) -> Turn | None:
        """Return a turn, or None if no place is free."""
        with self._changed:
            if self._free <= 0:
                return None
            self._free -= 1
            turn = Turn(self)
            self._silent.append(turn)
            return turn

    def answered(self, turn: Turn) -> None:
        """Record an answer; see Turn."""
        with self._changed:
            if turn.is_silent:
                turn.is_silent = False
                took = time.monotonic() - turn.began
                self._usual += (took - self._usual) * (_WEIGHT if self._usual else 1.0)
            if turn.is_late:
                self._changed.wait_for(lambda: self._free > 0)
                self._free -= 1
                self._late_no_more(turn)

    def end(self, turn: Turn) -> None:
        """Free the place of a turn."""
        with self._changed:
            turn.is_silent = False
            if turn.is_late:
                self._late_no_more(turn)
            else:
                self._free += 1
            self._changed.notify()

    def _late_no_more(self, turn: Turn) -> None:
        turn.is_late = False
        self._free_for_late += 1

    @property
    def late(self) -> int:
        """Return the number of late turns."""
        return self._most_late - self._free_for_late

    def free_late(self, patience: float) -> None:
        """Free the places of turns that have been silent for too long.

        That is `patience` seconds at first, and less the more turns are late, so a whole rack that is down is found
        soon.
        """
        with self._changed:
            latest = time.monotonic() - max(patience / (1 + self.late / self._limit), _USUAL * self._usual)
            while self._silent and self._free_for_late:
                turn = self._silent[0]
                if turn.is_silent and turn.began > latest:
                    break
                self._silent.popleft()
                if turn.is_silent:
                    turn.is_late = True
                    self._free_for_late -= 1
                    self._free += 1


def _wait_for(futures: Sequence[Future[Any]]) -> None:
    """Wait until all are done, and heed signals: one that comes just before a wait would be noticed only after it."""
    while wait(futures, _HEED).not_done:
        pass


class Fanout(Generic[Key, Value]):
    """A pool that runs `work(key, turn)` for announced keys in threads and returns each result once.

    At most `limit` keys are at work, not counting those that have been silent for `patience` seconds.
    """

    def __init__(self, work: Callable[[Key, Turn], Value], limit: int, patience: float = PATIENCE) -> None:
        self._work = work
        self._places = Places(limit)
        self._patience = patience
        self._pool = ThreadPoolExecutor(max_workers=self._places.most, thread_name_prefix="synctool")
        self._futures: dict[Key, Future[Value]] = {}
        self._waiting: deque[tuple[Key, Future[Value]]] = deque()
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._free_late, name="synctool-watch", daemon=True)
        self._watch.start()

    def announce(self, keys: Iterable[Key]) -> None:
        """Start work on keys whose results will be asked for soon. Keys already at work stay as they are.

        Raises RuntimeError after close().
        """
        if self._closed.is_set():
            raise RuntimeError("closed")
        for key in keys:
            if key not in self._futures:
                self._futures[key] = Future()
                self._waiting.append((key, self._futures[key]))
        self._start()

    def next_done(self, keys: Sequence[Key], timeout: float | None = None) -> Key | None:
        """Return the first announced key whose work has ended; wait for one, for some seconds or without end."""
        for key in keys:
            if self._futures[key].done():
                return key
        return next(iter(self.all_done(keys, timeout)), None)

    def all_done(self, keys: Collection[Key], timeout: float | None = None) -> list[Key]:
        """Return the announced keys whose work has ended; if there are none, wait for one as next_done() does."""
        over = [key for key in keys if self._futures[key].done()]
        if not over:
            at_work = [self._futures[key] for key in islice(keys, self._places.most)]  # begun in this order
            wait(at_work, timeout, FIRST_COMPLETED)
            over = [key for key in keys if self._futures[key].done()]
        return over

    @property
    def late(self) -> int:
        """Return the number of keys at work that are late."""
        return self._places.late

    def result(self, key: Key) -> Value:
        """Return the result for a key, waiting for it; raises what the work raised."""
        self.announce((key,))
        _wait_for([self._futures[key]])
        result = self._futures[key].result()
        del self._futures[key]  # not earlier: an interrupted wait must not lose it
        return result

    def close(self) -> None:
        """Cancel the keys that have not started; return when the started ones have ended."""
        self._closed.set()
        with self._starting:
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
        _wait_for([future for future in self._futures.values() if not future.cancelled()])
        self._watch.join()
        self._pool.shutdown(wait=True)

    def unclaimed(self) -> Iterator[tuple[Key, Value]]:
        """Return the results that nobody has asked for. Call it after close()."""
        for key, future in self._futures.items():
            if not future.cancelled() and future.exception() is None:
                yield key, future.result()

    def _start(self) -> None:
        with self._starting:
            while self._waiting and (turn := self._places.begin()) is not None:
                self._pool.submit(self._run, *self._waiting.popleft(), turn)

    def _run(self, key: Key, future: Future[Value], turn: Turn) -> None:
        try:
            result = self._work(key, turn)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        self._places.end(turn)
        self._start()

    def _free_late(self) -> None:
        idleness = Idleness()
        while not self._closed.wait(self._patience / 8):
            if idleness.is_idle():
                self._places.free_late(self._patience)
                self._start()

"""The order in which a process runs its items: a node that is over takes the turn of one that is still out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import pytest

from pytest_synctool.plugin.cluster import is_worker


class Turns(Protocol):
    """The items that this process has to run."""

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """The item whose turn it is, and of those that will surely be run after it the next, `most` in all."""

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """Have an upcoming item run now; the one whose turn it is takes its turn. False if it no longer is."""


def turns_of(session: pytest.Session) -> Turns:
    """The turns of a run: of all its items, or of those that this xdist worker was given."""
    if not is_worker(session.config):
        return SessionTurns(session)
    plugins = session.config.pluginmanager.get_plugins()
    return WorkerTurns(session, next(p for p in plugins if type(p).__name__ == "WorkerInteractor"))


class SessionTurns:
    """pytest's own loop over the items of the session, which looks at each when its turn comes."""

    def __init__(self, session: pytest.Session) -> None:
        self._items = session.items
        self._positions = {item: number for number, item in enumerate(session.items)}

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """See Turns."""
        first = self._positions[item]
        return self._items[first : first + most]

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """See Turns."""
        positions = self._positions
        positions[item], positions[other] = positions[other], positions[item]
        self._items[positions[item]], self._items[positions[other]] = item, other
        return True


class WorkerTurns:
    """The queue of an xdist worker, which tells the controller by its number which item is over."""

    def __init__(self, session: pytest.Session, worker: Any) -> None:
        self._items = session.items
        self._numbers = {item: number for number, item in enumerate(session.items)}
        self._worker = worker

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """See Turns."""
        with self._worker.torun.lock() as waiting:
            numbers = [self._worker.item_index, self._worker.nextitem_index, *islice(waiting, most)]
        return [self._items[number] for number in numbers[:most] if isinstance(number, int)]  # not the mark at its end

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """See Turns."""
        worker, number, others = self._worker, self._numbers[item], self._numbers[other]
        with worker.torun.lock() as waiting:
            if worker.nextitem_index == others:
                worker.nextitem_index = number
            elif others in waiting:
                waiting[waiting.index(others)] = number
            else:  # --dist=worksteal has given it to another worker
                return False
        worker.item_index = others
        return True

"""The queue of items of a process. A node that has finished can be reported before an earlier one that still runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import pytest

from pytest_synctool.plugin.invocation import is_worker


class RunOrder(Protocol):
    """The items that this process has to run, in an order that can still change."""

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """Return the current item and the next ones that are certain to run in this process, `most` in all."""

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """Exchange the places of the current item and an upcoming one. Return False if that has left this process."""


def run_order(session: pytest.Session) -> RunOrder:
    """Return the order of all items of a run, or of the items that this xdist worker has got."""
    if not is_worker(session.config):
        return SessionOrder(session)
    plugins = session.config.pluginmanager.get_plugins()
    return WorkerOrder(session, next(p for p in plugins if type(p).__name__ == "WorkerInteractor"))


class SessionOrder:
    """The order of pytest's own loop over the items of a session. The loop reads an item only when it comes to it."""

    def __init__(self, session: pytest.Session) -> None:
        self._items = session.items
        self._positions = {item: number for number, item in enumerate(session.items)}

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """See RunOrder."""
        first = self._positions[item]
        return self._items[first : first + most]

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """See RunOrder."""
        positions = self._positions
        positions[item], positions[other] = positions[other], positions[item]
        self._items[positions[item]], self._items[positions[other]] = item, other
        return True


class WorkerOrder:
    """The order of an xdist worker's queue, which holds the numbers of items. The worker reports the number it ran."""

    def __init__(self, session: pytest.Session, worker: Any) -> None:
        self._items = session.items
        self._numbers = {item: number for number, item in enumerate(session.items)}
        self._worker = worker

    def upcoming(self, item: pytest.Item, most: int) -> Sequence[pytest.Item]:
        """See RunOrder."""
        with self._worker.torun.lock() as waiting:
            numbers = [self._worker.item_index, self._worker.nextitem_index, *islice(waiting, most)]
        return [self._items[number] for number in numbers[:most] if isinstance(number, int)]  # without the end mark

    def exchange(self, item: pytest.Item, other: pytest.Item) -> bool:
        """See RunOrder."""
        worker, number, other_number = self._worker, self._numbers[item], self._numbers[other]
        with worker.torun.lock() as waiting:
            if worker.nextitem_index == other_number:
                worker.nextitem_index = number
            elif other_number in waiting:
                waiting[waiting.index(other_number)] = number
            else:  # --dist=worksteal has given it to another worker
                return False
        worker.item_index = other_number
        return True

    def send(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Send the report of an item to the controller. No other plugin of the worker can keep it from arriving."""
        self._worker.item_index = self._numbers[item]
        self._worker.pytest_runtest_logreport(report=report)

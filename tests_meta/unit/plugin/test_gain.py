"""The gain of several processes: no estimate is below what can have been saved."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.plugin.xdist.gain import RunTimes, WorkerTimes, most_saved

SECONDS = st.floats(0, 100)


def times(*work: float, reporting: float = 0.0, processors: int = 8) -> RunTimes:
    return RunTimes([WorkerTimes(0.3, each) for each in work], reporting, processors)


def waiting(durations: Sequence[float], places: int) -> float:
    """Return when the last node is done if each waits for the first free place."""
    free = [0.0] * places
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def test_the_longest_part_is_not_saved() -> None:
    assert most_saved(times(1.0, 2.0), [9.0, 9.0], 2) == pytest.approx(1.0)
    assert most_saved(times(1.0, 2.0, reporting=4.0), [9.0, 9.0], 2) == pytest.approx(3.0)


def test_processors_are_shared() -> None:
    assert most_saved(times(2.0, 2.0, reporting=2.0, processors=2), [], 64) == pytest.approx(3.0)
    assert most_saved(times(2.0, 2.0, reporting=2.0, processors=1), [], 64) == 0


def test_one_worker_saves_what_the_controller_does_meanwhile() -> None:
    assert most_saved(times(2.0), [], 64) == 0
    assert most_saved(times(2.0, reporting=0.5), [9.0] * 3, 3) == pytest.approx(0.5)


@given(st.lists(SECONDS, min_size=1, max_size=40), st.integers(1, 8), st.integers(1, 4))
def test_waiting_for_a_place(durations: list[float], at_once: int, workers: int) -> None:
    saved = waiting(durations, at_once) - waiting(durations, at_once * workers)
    assert saved <= most_saved(times(*[0.0] * workers), durations, at_once) + 1e-6

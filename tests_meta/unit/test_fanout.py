"""Many nodes at once: bounded, each worked on once, and nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.fanout import Fanout

WAIT = 20.0  # seconds; only a defect waits that long


@pytest.fixture
def opened() -> Iterator[Callable[[Callable[[int], int], int], Fanout[int, int]]]:
    """Makes fanouts, and closes them."""
    made: list[Fanout[int, int]] = []

    def make(work: Callable[[int], int], limit: int) -> Fanout[int, int]:
        made.append(Fanout(work, limit))
        return made[-1]

    yield make
    for fanout in made:
        fanout.close()


Make = Callable[[Callable[[int], int], int], Fanout[int, int]]


@given(
    keys=st.lists(st.integers(0, 20), unique=True, max_size=20),
    announced=st.lists(st.integers(0, 20), max_size=30),
    limit=st.integers(1, 4),
)
@settings(max_examples=30)
def test_every_key_is_worked_on_once(keys: list[int], announced: list[int], limit: int) -> None:
    done: list[int] = []

    def work(key: int) -> int:
        done.append(key)
        return key * key

    fanout = Fanout(work, limit)
    fanout.announce(key for key in announced if key in keys)
    fanout.announce(key for key in announced if key in keys)
    assert [fanout.result(key) for key in keys] == [key * key for key in keys]
    fanout.close()
    assert sorted(done) == sorted(keys)


def test_as_many_at_once_as_allowed(opened: Make) -> None:
    together = threading.Barrier(3)
    fanout = opened(lambda key: together.wait(WAIT), 3)
    fanout.announce(range(3))
    assert sorted(fanout.result(key) for key in range(3)) == [0, 1, 2]


def test_never_more_at_once_than_allowed(opened: Make) -> None:
    lock, pair, running, most = threading.Lock(), threading.Barrier(2), 0, 0

    def work(key: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pair.wait(WAIT)
        with lock:
            running -= 1
        return key

    fanout = opened(work, 2)
    fanout.announce(range(50))
    assert [fanout.result(key) for key in range(50)] == list(range(50))
    assert most == 2


def test_work_goes_on_while_a_result_is_waited_for(opened: Make) -> None:
    second_done = threading.Event()

    def work(key: int) -> int:
        if key == 2:
            second_done.set()
        elif key == 1:
            assert second_done.wait(WAIT)
        return key

    fanout = opened(work, 2)
    fanout.announce([1, 2])
    assert fanout.result(1) == 1


def test_a_result_that_was_not_announced_is_worked_on(opened: Make) -> None:
    assert opened(lambda key: key + 1, 1).result(7) == 8


def test_an_exception_comes_out_where_the_result_is_asked_for(opened: Make) -> None:
    fanout = opened(lambda key: 10 // key, 2)
    fanout.announce([0, 1])
    with pytest.raises(ZeroDivisionError):
        fanout.result(0)
    assert fanout.result(1) == 10


def test_closing_drops_what_has_not_begun_and_awaits_what_has() -> None:
    begun, release, ran = threading.Event(), threading.Event(), []

    def work(key: int) -> int:
        begun.set()
        assert release.wait(WAIT)
        ran.append(key)
        return key

    fanout = Fanout(work, 1)
    fanout.announce([1, 2, 3])
    assert begun.wait(WAIT)
    closing = threading.Thread(target=fanout.close)
    closing.start()
    assert closing.is_alive()
    release.set()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert ran == [1]
    with pytest.raises(RuntimeError):
        fanout.announce([4])

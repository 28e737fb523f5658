"""Many nodes at once: bounded, each worked on once, and nothing left running."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.connection.machine_capacity import Idleness
from pytest_synctool.engine.fanout import Fanout, Places, Turn

WAIT = 20.0  # seconds; only a defect waits that long


@pytest.fixture
def opened() -> Iterator[Callable[[Callable[[int, Turn], int], int], Fanout[int, int]]]:
    """Makes fanouts, and closes them."""
    made: list[Fanout[int, int]] = []

    def make(work: Callable[[int, Turn], int], limit: int) -> Fanout[int, int]:
        made.append(Fanout(work, limit))
        return made[-1]

    yield make
    for fanout in made:
        fanout.close()


Make = Callable[[Callable[[int, Turn], int], int], Fanout[int, int]]


@given(
    keys=st.lists(st.integers(0, 20), unique=True, max_size=20),
    announced=st.lists(st.integers(0, 20), max_size=30),
    limit=st.integers(1, 4),
)
@settings(max_examples=30)
def test_every_key_is_worked_on_once(keys: list[int], announced: list[int], limit: int) -> None:
    done: list[int] = []

    def work(key: int, _: Turn) -> int:
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
    fanout = opened(lambda key, _: together.wait(WAIT), 3)
    fanout.announce(range(3))
    assert sorted(fanout.result(key) for key in range(3)) == [0, 1, 2]


def test_never_more_at_once_than_allowed(opened: Make) -> None:
    lock, pair, running, most = threading.Lock(), threading.Barrier(2), 0, 0

    def work(key: int, _: Turn) -> int:
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

    def work(key: int, _: Turn) -> int:
        if key == 2:
            second_done.set()
        elif key == 1:
            assert second_done.wait(WAIT)
        return key

    fanout = opened(work, 2)
    fanout.announce([1, 2])
    assert fanout.result(1) == 1


def test_a_result_that_was_not_announced_is_worked_on(opened: Make) -> None:
    assert opened(lambda key, _: key + 1, 1).result(7) == 8


def test_an_exception_comes_out_where_the_result_is_asked_for(opened: Make) -> None:
    fanout = opened(lambda key, _: 10 // key, 2)
    fanout.announce([0, 1])
    with pytest.raises(ZeroDivisionError):
        fanout.result(0)
    assert fanout.result(1) == 10


def test_closing_drops_what_has_not_begun_and_awaits_what_has() -> None:
    begun, release, ran = threading.Event(), threading.Event(), []

    def work(key: int, _: Turn) -> int:
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


def test_a_silent_key_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for as many as are silent; one that has answered is back among those that count."""
    monkeypatch.setattr(Idleness, "is_idle", lambda _: True)
    release, lock, working, most = threading.Event(), threading.Lock(), 0, 0
    pair = threading.Barrier(2)

    def work(key: int, turn: Turn) -> int:
        nonlocal working, most
        if key < 4:
            assert release.wait(WAIT)
        turn.answered()
        with lock:
            working += 1
            most = max(most, working)
        pair.wait(WAIT)
        with lock:
            working -= 1
        return key

    fanout = Fanout(work, 2, patience=0.01)
    fanout.announce(range(10))
    assert [fanout.result(key) for key in range(4, 10)] == list(range(4, 10))
    release.set()
    assert [fanout.result(key) for key in range(4)] == list(range(4))
    fanout.close()
    assert most == 2


@pytest.mark.parametrize("idle", [True, False])
def test_no_room_is_made_while_the_machine_is_busy(monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    looks: list[None] = []
    looked, release, second_began = threading.Event(), threading.Event(), threading.Event()

    def is_idle(_: Idleness) -> bool:
        looks.append(None)
        if len(looks) == 50:
            looked.set()
        return idle

    def work(key: int, _: Turn) -> int:
        if key == 2:
            second_began.set()
        assert release.wait(WAIT)
        return key

    monkeypatch.setattr(Idleness, "is_idle", is_idle)
    fanout = Fanout(work, 1, patience=0.01)
    fanout.announce([1, 2])
    assert looked.wait(WAIT)
    assert second_began.is_set() is idle
    release.set()
    assert [fanout.result(1), fanout.result(2)] == [1, 2]
    fanout.close()


def test_what_is_usual_is_not_late() -> None:
    """Where every node takes long, a node that takes as long keeps its place."""
    places = Places(2)
    slow, fast = begun(places), begun(places)
    assert places.begin() is None
    fast.began -= 3.0
    fast.answered()  # after three seconds
    slow.began -= 8.0
    places.free_late(patience=1.0)
    assert not slow.is_late
    slow.began -= 2.0
    places.free_late(patience=1.0)
    assert slow.is_late
    assert places.begin() is not None


def test_the_more_are_late_the_less_patience_there_is() -> None:
    """Half of it for those that took the places of a whole round of others."""
    places = Places(2)
    for turn in (begun(places), begun(places)):
        turn.began -= 8.0
    places.free_late(patience=8.0)
    assert places.late == 2
    others = [begun(places), begun(places)]
    for turn in others:
        turn.began -= 3.9
    places.free_late(patience=8.0)
    assert places.late == 2
    for turn in others:
        turn.began -= 0.1
    places.free_late(patience=8.0)
    assert places.late == 4
    places.end(others[0])
    assert places.late == 3


def begun(places: Places) -> Turn:
    """A turn that can begin."""
    turn = places.begin()
    assert turn is not None
    return turn


@given(st.lists(st.sampled_from(["begin", "late", "end", "answered"]), max_size=60), st.integers(1, 4))
def test_places_are_never_lost(steps: list[str], limit: int) -> None:
    """Whatever happens in whatever order, in the end as many can begin as in the beginning."""
    places = Places(limit)
    turns: list[Turn] = []
    for step in steps:
        counted = [turn for turn in turns if not turn.is_late]
        assert len(counted) <= limit
        if step == "begin" and (turn := places.begin()) is not None:
            turns.append(turn)
        elif step == "late":
            places.free_late(patience=-1.0)
        elif step == "end" and turns:
            places.end(turns.pop(len(turns) // 2))
        elif step == "answered" and turns and (len(counted) < limit or not turns[0].is_late):
            turns[0].answered()
    for turn in turns:
        places.end(turn)
    assert [places.begin() is not None for _ in range(limit + 1)] == [True] * limit + [False]


def test_idleness(tmp_path: Path) -> None:
    """By the ticks of all processors between two looks; unknown is not idle."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n")
    idleness = Idleness(stat)
    for line, expected in (
        ("cpu  170 0 105 720 105 0 0 0 0 0", True),  # 25 of 100
        ("cpu  240 0 110 740 109 0 0 1 0 0", False),  # 24 of 100
        ("cpu  240 0 110 740 109 0 0 1 0 0", False),  # no time has passed
        ("no such line", False),
        ("cpu  340 0 110 940 109 0 0 1 0 0", False),  # the first look after one that failed
        ("cpu  340 0 110 941 109 0 0 1 0 0", True),
    ):
        stat.write_text(line + "\n")
        assert idleness.is_idle() is expected
    assert not Idleness(tmp_path / "missing").is_idle()


def test_as_many_as_files_may_be_open() -> None:
    """In a process of its own, whose limit is low for good."""
    code = (
        "import resource; from pytest_synctool.connection.machine_capacity import limit_parallelism as limit;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200));"
        "print(limit(9), limit(34), limit(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9", "34", "34", "200"]


def test_whatever_is_over_first_is_handed_out_first(opened: Make) -> None:
    go_on = threading.Event()
    fanout = opened(lambda key, _: key if key != 1 or go_on.wait(WAIT) else -1, 3)
    fanout.announce([1, 2, 3])
    assert fanout.next_done([1, 2], WAIT) == 2
    assert fanout.result(2) == 2
    assert fanout.next_done([1], 0) is None
    assert fanout.next_done([1, 3]) == 3
    go_on.set()
    assert fanout.next_done([1, 3]) in (1, 3)
    assert fanout.result(1) == 1


def test_work_that_raised_is_over_too(opened: Make) -> None:
    fanout = opened(lambda key, _: 10 // key, 1)
    fanout.announce([0])
    assert fanout.next_done([0]) == 0
    with pytest.raises(ZeroDivisionError):
        fanout.result(0)

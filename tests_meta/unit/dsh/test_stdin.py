"""Feed: one input for many readers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pytest_synctool.dsh.stdin import Feed


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the descriptors to read from and to write to."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def read(feed: Feed, offset: int, more: threading.Semaphore) -> bytes:
    """Return some bytes after an offset. Wait until there are some."""
    while (data := feed.after(offset)) is None:
        assert more.acquire(timeout=30)
    return data


def test_every_reader_gets_the_whole_input(pipe: tuple[int, int]) -> None:
    more = threading.Semaphore(0)
    feed = Feed(pipe[0], more.release)
    os.write(pipe[1], b"first")
    assert read(feed, 0, more) == b"first"
    os.write(pipe[1], b"second")
    assert read(feed, 5, more) == b"second"
    os.close(pipe[1])
    assert read(feed, 11, more) == b""
    assert read(feed, 0, more) == b"firstsecond"
    assert read(feed, 3, more) == b"stsecond"
    feed.close()


def test_nothing_is_read_before_a_reader_asks_for_it(pipe: tuple[int, int]) -> None:
    more = threading.Semaphore(0)
    feed = Feed(pipe[0], more.release)
    os.write(pipe[1], b"x" * 30_000)
    assert len(read(feed, 0, more)) == 30_000
    os.write(pipe[1], b"y" * 30_000)
    assert len(read(feed, 0, more)) == 30_000  # these bytes were read before
    assert feed.after(30_000) is None
    assert len(read(feed, 30_000, more)) == 30_000
    feed.close()


def test_waiting_readers_are_resumed_once(pipe: tuple[int, int]) -> None:
    class WaitingReader:
        resumed = 0

        def resume(self) -> None:
            self.resumed += 1

    more = threading.Semaphore(0)
    feed, reader = Feed(pipe[0], more.release), WaitingReader()
    assert feed.after(0) is None
    feed.waiting.append(reader)
    os.write(pipe[1], b"x")
    assert more.acquire(timeout=30)
    feed.resume()
    feed.resume()
    assert reader.resumed == 1
    feed.close()


def test_a_descriptor_that_is_not_open_is_an_empty_input() -> None:
    more = threading.Semaphore(0)
    feed = Feed(10**6, more.release)
    assert read(feed, 0, more) == b""
    feed.close()

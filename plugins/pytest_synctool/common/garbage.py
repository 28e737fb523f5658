"""Settings of Python's garbage collector: it must not search the objects of a large run again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# A run may have millions of objects, and hardly any garbage among them.
_THRESHOLDS: Final = (1_000_000, 50, 10_000)


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Let the collector run rarely, and skip what is older. In the end it does not search the objects of the run."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)

"""Python's cycle collector, kept from looking at every item and report of a large run again and again."""

from __future__ import annotations

import gc
from typing import Final

import pytest

# There may be millions of objects, and next to nothing to be found among them.
_THRESHOLDS: Final = (1_000_000, 50, 10_000)


class GarbageRarely:
    """While it is registered, the collector looks seldom, and not at all at what was there before."""

    def __init__(self) -> None:
        self._before = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Items that were folded are not needed any more; they hold on to themselves, and the reports need room."""
        gc.collect()
        gc.freeze()

    def pytest_unconfigure(self) -> None:
        """Leave the collector's pace as it was; what the run has made is not looked through once more at its end."""
        gc.freeze()
        gc.set_threshold(*self._before)

"""Settings of Python's garbage collector: it must not search the items and reports of a large run again and again."""

from __future__ import annotations

import gc
from typing import Final

import pytest

# A run may have millions of objects, and hardly any garbage among them.
_THRESHOLDS: Final = (1_000_000, 50, 10_000)


class RareGarbageCollection:
    """A plugin: while it is registered, the collector runs rarely and skips objects that are older than the plugin."""

    def __init__(self) -> None:
        self._before = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Free the folded items. They refer to themselves, so only a collection frees them."""
        gc.collect()
        gc.freeze()

    def pytest_unconfigure(self) -> None:
        """Restore the collector's thresholds, without a last search through the objects of the run."""
        gc.freeze()
        gc.set_threshold(*self._before)

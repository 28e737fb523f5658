"""A run of pytest in which the garbage collector searches the items and reports rarely."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

from pytest_synctool.common.garbage import rarely_collected


class RareGarbageCollection:
    """A plugin: while it is registered, the collector runs rarely and skips objects that are older than the plugin."""

    def __init__(self) -> None:
        self._rarely = ExitStack()
        self._rarely.enter_context(rarely_collected())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Free the folded items. They refer to themselves, so only a collection frees them."""
        gc.collect()
        gc.freeze()

    def pytest_unconfigure(self) -> None:
        """Restore the collector's thresholds, without a last search through the objects of the run."""
        self._rarely.close()

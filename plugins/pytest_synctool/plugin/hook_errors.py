"""Errors of other plugins' hooks while results are reported. They must not keep other results from being reported."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pytest


class HookErrors:
    """The first error of a series of calls: each `with` keeps an exception of its block.

    It is no function with @contextmanager: there is a block per test, and many tests.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        # pytest.fail() and pytest.skip() raise what is no Exception.
        if error is None or isinstance(error, KeyboardInterrupt | GeneratorExit | pytest.exit.Exception):
            return False
        self._first = self._first or error
        return True

    def raise_first(self) -> None:
        """Raise the first error, if there is one."""
        if self._first is not None:
            raise self._first

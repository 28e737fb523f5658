"""Errors of other plugins' hooks while results are reported. They must not keep other results from being reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class HookErrors:
    """The first error of a series of calls."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep an exception of the block."""
        try:
            yield
        except Exception as error:
            self._first = self._first or error

    def raise_first(self) -> None:
        """Raise the first error, if there is one."""
        if self._first is not None:
            raise self._first

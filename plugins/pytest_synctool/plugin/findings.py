"""What the last audit found, kept in pytest's cache, so that --lf --fix repairs just that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from pytest_synctool.model import Status
from pytest_synctool.plugin.cluster import cache_of
from pytest_synctool.report.nodetests import NodeTests
from pytest_synctool.session import NodeResult

_KEY: Final = "synctool/findings"


def to_be_fixed(config: pytest.Config) -> Mapping[str, str]:
    """The findings that a repair with --lf keeps to, by node id; none for every other run."""
    return _stored(cache_of(config)) if config.option.synctool_fix and getattr(config.option, "lf", False) else {}


class Findings:
    """Takes up the results of a run. An audit replaces what is known of its tests; a repair only ends it."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache = cache_of(config)
        self._fixing = config.option.synctool_fix
        self._known: dict[str, str] | None = None

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Take up a node. Of one that could not be looked at, nothing new is known."""
        if self._known is None:
            self._known = _stored(self._cache)
        if result.error is not None:
            return
        for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
            if outcome.status in (Status.OK, Status.FIXED):
                self._known.pop(nodeid, None)
            elif outcome.status is Status.DRIFT and not self._fixing:
                self._known[nodeid] = outcome.message

    def store(self) -> None:
        """Keep what is known for the next run."""
        if self._known is not None and self._cache is not None and self._known != _stored(self._cache):
            self._cache.set(_KEY, self._known)


FINDINGS = pytest.StashKey[Findings]()


def _stored(cache: Any) -> dict[str, str]:
    found = {} if cache is None else cache.get(_KEY, {})
    return dict(found) if isinstance(found, dict) else {}

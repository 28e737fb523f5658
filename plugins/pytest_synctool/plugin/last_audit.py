"""The drift that the last audit reported, kept in pytest's cache: --lf --fix repairs only that."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.engine.settings import Mode
from pytest_synctool.model import NodeResult, Outcome, Skip, Status
from pytest_synctool.plugin.cluster import cache_of, mode_of
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.report.node_test_ids import NodeTests

_DRIFT: Final = "synctool/findings"
_WHOLE: Final = "synctool/whole"
_GRANULARITY: Final = "synctool/granularity"


@dataclass(frozen=True)
class LastAudit:
    """The drift that the last audit reported: messages by node id of the entry.

    `whole` has the tests of whole nodes that the audit ran. For each, it has the node ids of the entries that are
    unknown: the audit could not look at them. `failed` has the tests that failed last, as pytest remembers them. If
    none of these is selected, pytest runs all tests: those have drift that nobody has seen.
    """

    drift: Mapping[str, str]
    whole: Mapping[str, Collection[str]]
    failed: Collection[str]

    def of(self, tests: NodeTests, checks: Sequence[Check]) -> list[Check]:
        """Return the checks of a node with the audit's result in `audited`; NONE for what it could not look at."""
        kept = []
        for nodeid, check in zip(tests.ids, checks, strict=True):
            test = nodeid.rpartition("::")[0]
            known = self.whole.get(test)
            is_unknown = nodeid in known if known is not None else nodeid in self.failed or test in self.failed
            unseen = AuditBinding.NONE if is_unknown else AuditBinding.IN_SYNC
            kept.append(replace(check, audited=self.drift.get(nodeid, unseen)))
        return kept


def last_audit(config: pytest.Config) -> LastAudit | None:
    """Return the audit to which a repair with --lf is limited; None in every other run."""
    if not (mode_of(config) is Mode.FIX and getattr(config.option, "lf", False)):
        return None
    cache = cache_of(config)
    return LastAudit(_stored(cache, _DRIFT), _stored(cache, _WHOLE), _stored(cache, "cache/lastfailed"))


def check_granularity(config: pytest.Config) -> None:
    """Raise pytest.UsageError for a repair with --lf if the last run had the other --granularity.

    Its failed tests have other names in this run: pytest would not find them, and would run all tests.
    """
    cache, now = cache_of(config), config.option.synctool_granularity
    if cache is None or not changes_nodes(config) or not getattr(config.option, "lf", False):
        return
    before = cache.get(_GRANULARITY, now)
    if before != now and cache.get("cache/lastfailed", {}):
        raise pytest.UsageError(
            f"--lf with --granularity={now}: the last run had --granularity={before}, and its failures have other "
            "names; use the same value, or audit again first"
        )


class LastAuditRecorder:
    """A recorder of results for later repairs. An audit adds and removes drift; a repair only removes drift."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache = cache_of(config)
        self._fixing = mode_of(config) is not Mode.AUDIT
        self._granularity = config.option.synctool_granularity
        self._drift: dict[str, str] | None = None
        self._whole: dict[str, Collection[str]] = {}

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Record the result of a node; an unreachable node changes nothing."""
        if self._drift is None:
            self._drift = _stored(self._cache, _DRIFT)
            self._whole = _stored(self._cache, _WHOLE)
        if result.error is not None:
            return
        for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
            if outcome.status in (Status.OK, Status.FIXED):
                self._drift.pop(nodeid, None)
            elif outcome.status in (Status.DRIFT, Status.WAIVED) and not self._fixing:
                self._drift[nodeid] = sys.intern(outcome.message)  # many entries share a message
        if not self._fixing:
            self._take_whole(tests, result.outcomes)

    def _take_whole(self, tests: NodeTests, outcomes: Sequence[Outcome]) -> None:
        if tests.whole:
            unknown = [
                nodeid
                for nodeid, outcome in zip(tests.ids, outcomes, strict=True)
                if outcome.status in (Status.ERROR, Status.SKIPPED) and outcome.skip is not Skip.MARKED
            ]
            for test in tests.whole:
                self._whole[test.nodeid] = [nodeid for nodeid in unknown if nodeid.rpartition("::")[0] == test.nodeid]
        elif self._whole:  # these tests were single entries: their whole nodes were not tested again
            for nodeid in tests.ids:
                self._whole.pop(nodeid.rpartition("::")[0], None)

    def store(self) -> None:
        """Write the recorded drift to pytest's cache for the next run."""
        if self._drift is None or self._cache is None:
            return
        for key, value in ((_DRIFT, self._drift), (_WHOLE, self._whole)):
            if value != _stored(self._cache, key):
                self._cache.set(key, value)
        if self._cache.get(_GRANULARITY, None) != self._granularity:
            self._cache.set(_GRANULARITY, self._granularity)


LAST_AUDIT_RECORDER = pytest.StashKey[LastAuditRecorder]()


def _stored(cache: Any, key: str) -> dict[str, Any]:
    value = {} if cache is None else cache.get(key, {})
    return dict(value) if isinstance(value, dict) else {}

"""What the last audit found, kept in pytest's cache, so that --lf --fix repairs just that."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from pytest_synctool.audit.check import Check, LastAudit
from pytest_synctool.model import NodeResult, Outcome, Status
from pytest_synctool.plugin.cluster import cache_of, changes_nodes
from pytest_synctool.report.node_tests import NodeTests

_FINDINGS: Final = "synctool/findings"
_WHOLE: Final = "synctool/whole"
_GRANULARITY: Final = "synctool/granularity"


@dataclass(frozen=True)
class Audited:
    """What an audit found: findings by node id.

    `whole` has the tests of whole nodes that it ran, each with the node ids below it that could not be looked at.
    """

    findings: Mapping[str, str]
    whole: Mapping[str, Collection[str]]

    def of(self, tests: NodeTests, checks: Sequence[Check]) -> list[Check]:
        """The checks of a node, with what the audit found. Of what it has not looked at, nothing is known."""
        kept = []
        for nodeid, check in zip(tests.ids, checks, strict=True):
            known = self.whole.get(nodeid.rpartition("::")[0])
            unseen = LastAudit.NOT_BINDING if known is None or nodeid in known else LastAudit.IN_SYNC
            kept.append(replace(check, audited=self.findings.get(nodeid, unseen)))
        return kept


def to_be_fixed(config: pytest.Config) -> Audited | None:
    """The findings that a repair with --lf keeps to; None for every other run."""
    if not (config.option.synctool_fix and getattr(config.option, "lf", False)):
        return None
    cache = cache_of(config)
    return Audited(_stored(cache, _FINDINGS), _stored(cache, _WHOLE))


def check_granularity(config: pytest.Config) -> None:
    """Raises pytest.UsageError for --lf with a repair if the tests that failed last have other names in this run.

    pytest would find none of them, and run all.
    """
    cache, now = cache_of(config), config.option.synctool_granularity
    if cache is None or not changes_nodes(config) or not getattr(config.option, "lf", False):
        return
    before = cache.get(_GRANULARITY, now)
    if before != now and cache.get("cache/lastfailed", {}):
        raise pytest.UsageError(
            f"--lf with --granularity={now}: the last run had --granularity={before}, and its failures have other "
            "names; give the same, or audit again first"
        )


class Findings:
    """Takes up the results of a run. An audit replaces what is known of its tests; a repair only ends it."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache = cache_of(config)
        self._fixing = config.option.synctool_fix
        self._granularity = config.option.synctool_granularity
        self._known: dict[str, str] | None = None
        self._whole: dict[str, Collection[str]] = {}

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Take up a node. Of one that could not be looked at, nothing new is known."""
        if self._known is None:
            self._known = _stored(self._cache, _FINDINGS)
            self._whole = _stored(self._cache, _WHOLE)
        if result.error is not None:
            return
        for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
            if outcome.status in (Status.OK, Status.FIXED):
                self._known.pop(nodeid, None)
            elif outcome.status in (Status.DRIFT, Status.WAIVED) and not self._fixing:
                self._known[nodeid] = sys.intern(outcome.message)  # few are different
        if not self._fixing:
            self._take_whole(tests, result.outcomes)

    def _take_whole(self, tests: NodeTests, outcomes: Sequence[Outcome]) -> None:
        if tests.whole:
            unknown = [
                nodeid
                for nodeid, outcome in zip(tests.ids, outcomes, strict=True)
                if outcome.status in (Status.ERROR, Status.SKIPPED)
            ]
            for test in tests.whole:
                self._whole[test.nodeid] = [nodeid for nodeid in unknown if nodeid.rpartition("::")[0] == test.nodeid]
        elif self._whole:  # tests of single entries tell of those alone
            for nodeid in tests.ids:
                self._whole.pop(nodeid.rpartition("::")[0], None)

    def store(self) -> None:
        """Keep what is known for the next run."""
        if self._known is None or self._cache is None:
            return
        for key, value in ((_FINDINGS, self._known), (_WHOLE, self._whole)):
            if value != _stored(self._cache, key):
                self._cache.set(key, value)
        if self._cache.get(_GRANULARITY, None) != self._granularity:
            self._cache.set(_GRANULARITY, self._granularity)


FINDINGS = pytest.StashKey[Findings]()


def _stored(cache: Any, key: str) -> dict[str, Any]:
    found = {} if cache is None else cache.get(key, {})
    return dict(found) if isinstance(found, dict) else {}

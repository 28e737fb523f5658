"""The xdist workers of a run, on the controller: it reports the nodes of workers that crash."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterator
from functools import cached_property

import pytest
from execnet.gateway_base import RemoteError
from xdist.dsession import get_default_max_worker_restart
from xdist.remote import Producer
from xdist.scheduler import Scheduling
from xdist.workermanage import WorkerController, parse_tx_spec_config

from pytest_synctool.model import NodeError, NodeErrorKind, NodeResult
from pytest_synctool.plugin.node_items import REFUSAL, tests_of
from pytest_synctool.plugin.node_reports import pack
from pytest_synctool.plugin.xdist.gain import TIMES, WORKER_TIMES, RunTimes, WorkerTimes
from pytest_synctool.plugin.xdist.scheduler import NodeShares
from pytest_synctool.report.node_test_ids import NodeTests


class Workers:
    """A plugin that replaces xdist's default scheduler by NodeShares and reports crashes. Another --dist stays.

    A node at which a worker crashed, or for which no worker was left, is an error like an unreachable node: its tests
    are skipped, and --lf runs them. The controller knows the tests of a node only by collecting them; it does that
    after a crash.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._scheduler: NodeShares | None = None
        self._crashed: list[str] = []
        self._times: list[WorkerTimes] = []
        self._ready = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> NodeShares | None:
        """Return the scheduler of the run; None if --dist names another than the default."""
        if config.getvalue("dist") == "load":
            self._scheduler = NodeShares(config, log)
        return self._scheduler

    def pytest_xdist_node_collection_finished(self) -> None:
        """Count a worker that has collected."""
        self._ready += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:
        """Count crashes as xdist does, to know if it will start a replacement.

        Raises pytest.UsageError if a worker fails before all have collected: its replacement would fail too. So does
        one that refuses to run what it has collected; xdist would end such a run without tests and with status 0.
        """
        output = getattr(node, "workeroutput", {})
        if output.get("exitstatus") == pytest.ExitCode.USAGE_ERROR:
            raise pytest.UsageError(output.get(REFUSAL, f"{_name(node)} ended with a usage error"))
        if error is None:
            if WORKER_TIMES in output:
                self._times.append(WorkerTimes(*output[WORKER_TIMES]))
            return
        self._crashed.append(_name(node))
        if isinstance(error, RemoteError) and self._ready < len(parse_tx_spec_config(self._session.config)):
            raise pytest.UsageError(f"{_name(node)} cannot begin: {_reason(error)}")
        scheduler = self._scheduler
        if scheduler is None or scheduler.collection is None:
            return
        if node not in scheduler.node2collection:  # a replacement that had not collected yet
            scheduler.one_less()
        most = get_default_max_worker_restart(self._session.config)
        scheduler.awaited += most is None or len(self._crashed) <= most
        if node not in scheduler.node2pending:
            scheduler.deal()

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Scheduling) -> None:
        """Turn the report of a crash into the report of the node."""
        del sched
        if self._stopped or (tests := self._collected.get(crashitem)) is None:
            return
        result = _lost_node(f"{self._crashed[-1]} crashed while it was at this node")
        vars(report).update(vars(self._pack(tests, result)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """At the end, report the items for which no worker was left, as errors."""
        began = time.process_time()
        ended = yield
        if not self._crashed:
            processors = len(os.sched_getaffinity(0))
            self._session.config.stash[TIMES] = RunTimes(self._times, time.process_time() - began, processors)
        if self._crashed and not self._stopped:
            for report in self._lost():
                self._session.config.hook.pytest_runtest_logreport(report=report)
        return ended

    def _lost(self) -> Iterator[pytest.TestReport]:
        names = ", ".join(dict.fromkeys(self._crashed))
        if self._scheduler is None:
            dist = self._session.config.getvalue("dist")
            yield _failed(
                "xdist", f"{names} crashed: with --dist {dist} the controller cannot tell which tests are missing"
            )
            return
        reason = f"{names} crashed, and no worker was left to take over"
        for nodeid in list(self._collected) if self._scheduler.collection is None else self._scheduler.left:
            if (tests := self._collected.get(nodeid)) is None:
                yield _failed(nodeid, f"not run: {reason}")
            else:
                yield self._pack(tests, _lost_node(f"not looked at: {reason}"))

    @property
    def _stopped(self) -> bool:
        """Return True if the run ends early on purpose, as with --maxfail."""
        return bool(self._session.shouldfail or self._session.shouldstop)

    @cached_property
    def _collected(self) -> dict[str, NodeTests | None]:
        """Return the tests of every item of the run by the item's id; None for an item that is no node."""
        option = self._session.config.option
        verbose, option.verbose = option.verbose, -1  # no "collected N items" in the middle of the results
        try:
            return {item.nodeid: tests_of(item) for item in self._session.perform_collect()}
        finally:
            option.verbose = verbose

    def _pack(self, tests: NodeTests, result: NodeResult) -> pytest.TestReport:
        """Return the report of a node as a worker would have sent it."""
        total = sum(1 if tests is None else len(tests.ids) for tests in self._collected.values())
        return pack(tests, result, total, sum(tests is not None for tests in self._collected.values()))


def _lost_node(reason: str) -> NodeResult:
    return NodeResult((), NodeError(NodeErrorKind.WORKER_LOST, reason))


def _failed(nodeid: str, reason: str) -> pytest.TestReport:
    path = nodeid.partition("::")[0]
    return pytest.TestReport(nodeid, (path, None, path), {}, "failed", reason, "setup")


def _name(worker: WorkerController) -> str:
    """Return `worker gw0`, or `worker gw1 on admin2` for a worker on another machine."""
    gateway = worker.gateway
    return f"worker {gateway.id} on {gateway.spec.ssh}" if gateway.spec.ssh else f"worker {gateway.id}"


def _reason(error: RemoteError) -> str:
    """Return the reason why a worker could not begin: its usage error, or the last line of its traceback."""
    *before, message = re.split(r"^[\w.]*\bUsageError: ", error.formatted, flags=re.MULTILINE)
    if before:
        return message.strip()
    last: str = error.formatted.strip().splitlines()[-1]
    hint = "; pytest-synctool has to be installed for its Python"
    return last + (hint if last.startswith("ModuleNotFoundError: ") else "")

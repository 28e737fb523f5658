"""The xdist workers of a run as the controller sees them: what becomes of the nodes of one that crashes."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import cached_property

import pytest
from execnet.gateway_base import RemoteError
from xdist.dsession import get_default_max_worker_restart
from xdist.remote import Producer
from xdist.scheduler import Scheduling
from xdist.workermanage import WorkerController, parse_tx_spec_config

from pytest_synctool.model import NodeResult
from pytest_synctool.plugin.node_items import tests_of
from pytest_synctool.plugin.node_reports import pack
from pytest_synctool.plugin.xdist.scheduler import NodeShares
from pytest_synctool.report.node_tests import NodeTests


class Workers:
    """Puts NodeShares in the place of xdist's default; a --dist chosen on purpose is left alone.

    A node at which a worker crashed, or that nobody was left for, is an error like a node that cannot be reached: its
    tests are skipped, and --lf takes them up. Which those are only workers know, until one has crashed: then the
    controller collects as well.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._scheduler: NodeShares | None = None
        self._crashed: list[str] = []
        self._ready = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> NodeShares | None:
        """The scheduler of the run."""
        if config.getvalue("dist") == "load":
            self._scheduler = NodeShares(config, log)
        return self._scheduler

    def pytest_xdist_node_collection_finished(self) -> None:
        """Take note of a worker that is ready; when all are, tests are dealt out."""
        self._ready += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:
        """Count crashes, as xdist does, to know whether there will be a replacement.

        Raises pytest.UsageError for a worker that says why it cannot begin: no other would do better.
        """
        if error is None:
            return
        self._crashed.append(_name(node))
        if isinstance(error, RemoteError) and self._ready < len(parse_tx_spec_config(self._session.config)):
            raise pytest.UsageError(f"{_name(node)} cannot begin: {_reason(error)}")
        scheduler = self._scheduler
        if scheduler is None or scheduler.collection is None:
            return
        if node not in scheduler.node2collection:  # one that was to replace another
            scheduler.one_less()
        most = get_default_max_worker_restart(self._session.config)
        scheduler.awaited += most is None or len(self._crashed) <= most
        if node not in scheduler.node2pending:
            scheduler.deal()

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Scheduling) -> None:
        """Make the report of a crash that of the node."""
        del sched
        if self._stopped or (tests := self._collected.get(crashitem)) is None:
            return
        result = NodeResult((), f"{tests.node}: {self._crashed[-1]} crashed while it was at this node")
        vars(report).update(vars(self._pack(tests, result)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """At the end, report what nobody was left for, so that it does not pass for done."""
        ended = yield
        if self._crashed and not self._stopped:
            for report in self._lost():
                self._session.config.hook.pytest_runtest_logreport(report=report)
        return ended

    def _lost(self) -> Iterator[pytest.TestReport]:
        names = ", ".join(dict.fromkeys(self._crashed))
        if self._scheduler is None:
            dist = self._session.config.getvalue("dist")
            yield _failed("xdist", f"{names} crashed: with --dist {dist} nobody knows what has not been looked at")
            return
        reason = f"{names} crashed, and no worker was left to take over"
        for nodeid in list(self._collected) if self._scheduler.collection is None else self._scheduler.left:
            if (tests := self._collected.get(nodeid)) is None:
                yield _failed(nodeid, f"not run: {reason}")
            else:
                yield self._pack(tests, NodeResult((), f"{tests.node}: not looked at: {reason}"))

    @property
    def _stopped(self) -> bool:
        """Whether the run ends early because it was told so."""
        return bool(self._session.shouldfail or self._session.shouldstop)

    @cached_property
    def _collected(self) -> dict[str, NodeTests | None]:
        """The items of the run, by their ids."""
        option = self._session.config.option
        verbose, option.verbose = option.verbose, -1  # the terminal is in the middle of the results
        try:
            return {item.nodeid: tests_of(item) for item in self._session.perform_collect()}
        finally:
            option.verbose = verbose

    def _pack(self, tests: NodeTests, result: NodeResult) -> pytest.TestReport:
        """The report of a node, as a worker would have sent it."""
        total = sum(1 if tests is None else len(tests.ids) for tests in self._collected.values())
        return pack(tests, result, total, sum(tests is not None for tests in self._collected.values()))


def _failed(nodeid: str, reason: str) -> pytest.TestReport:
    path = nodeid.partition("::")[0]
    return pytest.TestReport(nodeid, (path, None, path), {}, "failed", reason, "setup")


def _name(worker: WorkerController) -> str:
    """`worker gw0`, or `worker gw1 on admin2`."""
    gateway = worker.gateway
    return f"worker {gateway.id} on {gateway.spec.ssh}" if gateway.spec.ssh else f"worker {gateway.id}"


def _reason(error: RemoteError) -> str:
    """Why a worker could not begin: its usage error, or the last line of its traceback."""
    *before, message = re.split(r"^[\w.]*\bUsageError: ", error.formatted, flags=re.MULTILINE)
    if before:
        return message.strip()
    last: str = error.formatted.strip().splitlines()[-1]
    hint = "; pytest-synctool has to be installed for its Python"
    return last + (hint if last.startswith("ModuleNotFoundError: ") else "")

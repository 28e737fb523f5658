"""The run: nodes are run ahead of their turns, and reported test by test, whichever is over first."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import pytest

from pytest_synctool.engine.batches import Batches, Size, split
from pytest_synctool.engine.engine import Engine
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.model import NodeResult, Outcome, Status
from pytest_synctool.plugin.cluster import (
    BY_NODE,
    CLUSTER,
    CONNECTIONS,
    TALLY,
    Cluster,
    cache_of,
    changes_nodes,
    is_worker,
    waivers_of,
)
from pytest_synctool.plugin.gc_tuning import GarbageRarely
from pytest_synctool.plugin.junit import register_junit
from pytest_synctool.plugin.last_audit import FINDINGS, Findings, check_granularity, to_be_fixed
from pytest_synctool.plugin.live_line import LiveLine, live_line
from pytest_synctool.plugin.lock_and_log import LOG
from pytest_synctool.plugin.node_items import Folding, NodeItem
from pytest_synctool.plugin.node_reports import cut, pack, reports, unpack
from pytest_synctool.plugin.report_files import REPORTS
from pytest_synctool.plugin.run_order import Turns, turns_of
from pytest_synctool.plugin.stale_waivers import register_stale_waivers
from pytest_synctool.plugin.xdist.admin_machines import Machines
from pytest_synctool.report.node_tests import NodeTests
from pytest_synctool.repository.lock import who

_MOST_LETTERS: Final = 2_000
_REST: Final = 0.25  # seconds between two looks at what there is to start and to tell


def batches_of(session: pytest.Session) -> Batches | None:
    """The nodes of a run in its batches, in the order in which they are run; None if all are one."""
    option = session.config.option
    size = Size(1) if option.synctool_serial else option.synctool_batch
    if size is None:
        return None
    nodes = [item.node.name for item in session.items if isinstance(item, NodeItem)]
    return Batches(split(nodes, size.of(len(nodes))), option.synctool_max_fail_nodes or 0)


def settings_of(config: pytest.Config, cluster: Cluster) -> Settings:
    """How the sessions of a run are run."""
    option = config.option
    explain = None
    if option.synctool_explain:
        from pytest_synctool.repository.explain import Explainer  # most runs do without

        explain = Explainer(cluster.repository).of_entry
    mode = Mode.FIX if option.synctool_fix else Mode.RESTORE if option.synctool_restore else Mode.AUDIT
    return Settings(
        cluster.config.masterdir,
        mode,
        deadline=float(option.synctool_node_timeout),
        diff=option.synctool_diff or not changes_nodes(config),
        explain=explain,
        trigger_timeout=option.synctool_trigger_timeout,
        who=who(),
        waivers=waivers_of(config, cluster),
        saved=b"-" if option.synctool_no_saved else os.fsencode(option.synctool_saved_dir or ""),
        log=os.fsencode(cluster.config.logfile or ""),
        syslog=not option.synctool_no_syslog,
    )


@dataclass
class Runner:
    """Runs the nodes of this process, ahead of the tests that ask for them."""

    session: pytest.Session
    cluster: Cluster
    engine: Engine
    fanout: Fanout[NodeItem, NodeResult]
    total: int
    nodes: int
    look_ahead: int
    turns: Turns
    batches: Batches | None
    live: LiveLine | None

    @classmethod
    def for_session(cls, session: pytest.Session, cluster: Cluster) -> Runner:
        """The runner of a run, with nothing started."""
        config = session.config
        limit = cluster.config.num_proc
        # With --maxfail a repair that was not asked for any more must not have been started.
        careful = changes_nodes(config) and config.option.maxfail
        engine = Engine(
            cluster.config,
            cluster.repository,
            settings_of(config, cluster),
            config.stash[CONNECTIONS],
            mirrored=not config.option.synctool_skip_rsync,
        )
        nodes = sum(isinstance(item, NodeItem) for item in session.items)
        live = live_line(config)
        if live is not None:
            live.progress.total = nodes
        log = config.stash.get(LOG, None)
        audited = to_be_fixed(config)

        def work(item: NodeItem, turn: Turn) -> NodeResult:
            checks = item.checks
            if audited is not None:
                checks = audited.of(item.tests, checks)
            with live.progress.working(item.node.name) if live else nullcontext():
                result = engine.run(item.node, checks, turn.answered)
            if log is not None:  # at once, and also when the run is interrupted and nobody asks for the result
                log.take(item.tests, result)
            return result

        total = sum(i.number if isinstance(i, NodeItem) else 1 for i in session.items)
        ahead = 1 if careful else 2 * limit
        fanout = Fanout(work, limit)
        return cls(session, cluster, engine, fanout, total, nodes, ahead, turns_of(session), batches_of(session), live)

    def run(self, item: NodeItem) -> tuple[NodeItem, NodeResult]:
        """A node that is over, and its result: it need not be the one whose turn it is.

        Others are started meanwhile. Whatever is not a node, and the next batch, waits for all nodes before it.
        """
        if self.batches is not None and (reason := self.batches.refusal(item.node.name)) is not None:
            return item, self._not_begun(item, reason)
        over = self._next_done(item)
        if over is not item and not self.turns.exchange(item, over):
            over = item
        result = self.fanout.result(over)
        if self.batches is not None:
            self.batches.ended(over.node.name, well=result.well)
        return over, result

    def _next_done(self, item: NodeItem) -> NodeItem:
        try:
            over = self.fanout.next_done(self._begin_ahead(item), 0)
            while over is None:
                if self.live is not None:
                    self.live.show()
                over = self.fanout.next_done(self._begin_ahead(item), _REST)
            return over
        finally:
            if self.live is not None:
                self.live.erase()

    def _begin_ahead(self, item: NodeItem) -> Sequence[NodeItem]:
        """Start nodes, as many more as there are late ones; returns those that may be reported now."""
        ahead = self.look_ahead + self.fanout.late if self.look_ahead > 1 else 1
        upcoming = self.turns.upcoming(item, ahead)
        nodes = [other for other in upcoming if isinstance(other, NodeItem) and self._together(item, other)]
        self.fanout.announce(nodes)
        before_others = len(list(takewhile(lambda other: isinstance(other, NodeItem), upcoming)))
        return nodes[:before_others]

    def _not_begun(self, item: NodeItem, reason: str) -> NodeResult:
        tests = item.tests
        result = NodeResult((Outcome(Status.SKIPPED, reason),) * len(tests.ids))
        if (log := self.session.config.stash.get(LOG, None)) is not None:
            log.take(tests, result)
        return result

    def _together(self, item: NodeItem, other: NodeItem) -> bool:
        return self.batches is None or self.batches.together(item.node.name, other.node.name)

    def close(self) -> None:
        """End what is under way. A repair is let go to its end, so that no node is left in the middle of one."""
        if self.live is not None:
            self.live.close()
        if not changes_nodes(self.session.config):
            self.engine.connections.processes.end_all()
        self.fanout.close()
        self.engine.close()


RUNNER = pytest.StashKey[Runner]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Register late what has to be outermost."""
    check_granularity(session.config)
    plugins = session.config.pluginmanager
    plugins.register(Folding(), "synctool-folding")
    if not is_worker(session.config):
        session.config.stash[FINDINGS] = Findings(session.config)
    if plugins.hasplugin("dsession"):
        plugins.register(Expansion(session), "synctool-expansion")
        if CLUSTER in session.config.stash:
            from pytest_synctool.plugin.xdist.workers import (
                Workers,  # with xdist's schedulers, which most runs do without
            )

            # Not when pytest is configured: xdist registers its session only after every other plugin's turn.
            plugins.register(Workers(session), "synctool-workers")
            plugins.register(Machines(session.config), "synctool-machines")
    if CLUSTER in session.config.stash:
        register_stale_waivers(session)
        plugins.register(GarbageRarely(), "synctool-garbage")
        register_junit(session.config)
        if plugins.hasplugin("nfplugin") and not session.config.option.newfirst:
            # It keeps the id of every test there ever was, for --nf alone.
            plugins.unregister(name="nfplugin")


def is_brief(config: pytest.Config, total: int) -> bool:
    """Whether the terminal shows a letter per node instead of one per test: a screen full of dots tells nobody much."""
    return total > _MOST_LETTERS and config.get_verbosity() <= 0


def set_progress(session: pytest.Session, total: int) -> None:
    """Have pytest's percentage count tests, and what is reported of nodes; where it counts nodes, it does so itself."""
    if is_brief(session.config, total):
        return
    # The error of a node is beside the tests of its entries, but one of the tests of a whole node.
    beside: dict[str, list[str]] = (
        {} if session.config.option.synctool_granularity == BY_NODE else session.config.stash[TALLY].unreachable
    )
    session.testscollected = total + sum(len(nodes) for nodes in beside.values())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Start the runner for this process, and end it whatever happens."""
    config = session.config
    if LOG in config.stash:
        config.stash[LOG].began(len(config.stash[CLUSTER].nodes))
    if CLUSTER not in config.stash or not any(isinstance(item, NodeItem) for item in session.items):
        return (yield)
    runner = Runner.for_session(session, config.stash[CLUSTER])
    config.stash[RUNNER] = runner
    set_progress(session, runner.total)
    try:
        return (yield)
    finally:
        runner.close()
        if changes_nodes(config) and not is_worker(config):
            for item, result in runner.fanout.unclaimed():  # interrupted: what was changed is told all the same
                _report(runner, item.tests, result)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run a node: one report of it goes from a worker to the controller, or its tests' own reports come out here."""
    if not isinstance(item, NodeItem):
        return None
    runner = item.config.stash[RUNNER]
    session = item.session
    over, result = runner.run(item)
    tests = over.tests
    most = item.config.option.maxfail
    if most and not changes_nodes(item.config):  # what was changed is always reported
        tests, result = cut(tests, result, most - session.testsfailed)
    if is_worker(item.config):
        item.ihook.pytest_runtest_logreport(report=pack(tests, result, runner.total, runner.nodes))
        session.testsfailed += sum(report.failed for report in reports(tests, result))
        if most and session.testsfailed >= most:
            session.shouldfail = f"stopping after {session.testsfailed} failures"
    else:
        _report(runner, tests, result)
    return True


def _report(runner: Runner, tests: NodeTests, result: NodeResult) -> None:
    """The reports of a node's tests, in a process that shows them."""
    session = runner.session
    _take(session.config, tests, result, runner.nodes)
    if runner.live is not None:
        runner.live.progress.take(result)
    set_progress(session, runner.total)
    for report in reports(tests, result, brief=is_brief(session.config, runner.total)):
        session.config.hook.pytest_runtest_logreport(report=report)


def _take(config: pytest.Config, tests: NodeTests, result: NodeResult, nodes: int) -> None:
    record = config.stash[TALLY].add(tests, result)
    if REPORTS in config.stash:
        config.stash[REPORTS].take(record, nodes)
    config.stash[FINDINGS].take(tests, result)


class Expansion:
    """On the xdist controller: the report of a node gives way to the reports of its tests."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.live = live_line(session.config)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Leave no line behind."""
        try:
            return (yield)
        finally:
            if self.live is not None:
                self.live.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Emit all reports but the last as new ones; this report itself becomes the last, so none is one too many."""
        config = self.session.config
        node = unpack(report)
        if node is None:
            return (yield)
        _take(config, node.tests, node.result, node.nodes)
        set_progress(self.session, node.total)
        if LOG in config.stash:
            config.stash[LOG].take(node.tests, node.result)
        *others, last = reports(node.tests, node.result, brief=is_brief(config, node.total))
        worker = {key: value for key, value in vars(report).items() if key == "node"}  # where it comes from, if it does
        for other in others:
            vars(other).update(worker)
            config.hook.pytest_runtest_logreport(report=other)
        report.__dict__.clear()
        report.__dict__.update(last.__dict__, **worker)
        result = yield
        if self.live is not None:
            self.live.told(node.result, node.nodes)
        if self.session.shouldfail:
            config.pluginmanager.getplugin("dsession").shouldstop = self.session.shouldfail
        return result


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Entries of nodes that were not looked at have not passed: the run has not, and --lf takes them up again."""
    result = yield
    config = session.config
    tally = config.stash.get(TALLY, None)
    if LOG in config.stash:
        config.stash[LOG].ended()
    if FINDINGS in config.stash:
        config.stash[FINDINGS].store()
    if tally is not None and tally.not_looked_at and not is_worker(config):
        _fail(session, tally.not_looked_at)
    if REPORTS in config.stash:
        written = config.stash[REPORTS]
        _fail_if(session, failed=written.failed)  # by the junit report: the others say so
        written.write(session.exitstatus)
        _fail_if(session, failed=written.failed)
    return result


def _fail_if(session: pytest.Session, *, failed: bool) -> None:
    if failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _fail(session: pytest.Session, not_looked_at: Sequence[str]) -> None:
    """The run has failed by tests that were not looked at, and they are what --lf takes up."""
    _fail_if(session, failed=True)
    cache = cache_of(session.config)
    if cache is not None:
        failed = cache.get("cache/lastfailed", {})
        failed.update(dict.fromkeys(not_looked_at, True))
        cache.set("cache/lastfailed", failed)

"""The run of the tests: several nodes run at once, and each is reported test by test as soon as it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Final

import pytest

from pytest_synctool.engine.batches import Batches, Size, split
from pytest_synctool.engine.engine import Engine
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.model import NodeResult, Outcome, Skip, Status
from pytest_synctool.plugin.cluster import CLUSTER, CONNECTIONS, INTERRUPTION, TALLY, Cluster, cache_of
from pytest_synctool.plugin.disarmed_writer import disarm_terminal
from pytest_synctool.plugin.gc_tuning import RareGarbageCollection
from pytest_synctool.plugin.hook_errors import HookErrors
from pytest_synctool.plugin.invocation import changes_nodes, is_worker, runs_tests
from pytest_synctool.plugin.item_queue import RunOrder, WorkerOrder, run_order
from pytest_synctool.plugin.junit import register_junit
from pytest_synctool.plugin.last_audit import LAST_AUDIT_RECORDER, LastAuditRecorder, check_granularity, last_audit
from pytest_synctool.plugin.live_line import LiveLine, live_line
from pytest_synctool.plugin.lock_and_log import LOG
from pytest_synctool.plugin.node_items import NodeFolding, NodeItem
from pytest_synctool.plugin.node_reports import cut, pack, reports
from pytest_synctool.plugin.nothing_selected import nothing_selected
from pytest_synctool.plugin.other_plugins import OTHER_PLUGINS, HookSwitch, OtherPlugins
from pytest_synctool.plugin.recording import is_brief, record, set_progress
from pytest_synctool.plugin.report_files import REPORT_FILES, groups_of
from pytest_synctool.plugin.session_settings import settings_of
from pytest_synctool.plugin.stale_waivers import register_stale_waivers
from pytest_synctool.plugin.terminal import NOTHING_COMPARED, print_summary
from pytest_synctool.plugin.terminal_reporter import terminal_reporter
from pytest_synctool.plugin.xdist.gain import ProcessorTimes
from pytest_synctool.report.ending import ending_of_result
from pytest_synctool.report.node_test_ids import NodeTests

_INTERVAL: Final = 0.25  # seconds between two checks for nodes to start and for a new text of the live line


def batches_of(session: pytest.Session) -> Batches | None:
    """Return the batches of a run, with the nodes in the order in which they run; None without batches."""
    option = session.config.option
    size = Size(1) if option.synctool_serial else option.synctool_batch
    if size is None:
        return None
    nodes = [item.node.name for item in session.items if isinstance(item, NodeItem)]
    return Batches(split(nodes, size.of(len(nodes))), option.synctool_max_fail_nodes or 0)


@dataclass
class Runner:
    """The runner of this process's nodes. It starts nodes before pytest's loop comes to them."""

    session: pytest.Session
    cluster: Cluster
    engine: Engine
    fanout: Fanout[NodeItem, NodeResult]
    total: int
    nodes: int
    look_ahead: int
    order: RunOrder
    batches: Batches | None
    live: LiveLine | None
    announced: set[NodeItem] = field(default_factory=set)
    is_ready: bool = False  # for the reports

    @classmethod
    def for_session(cls, session: pytest.Session, cluster: Cluster) -> Runner:
        """Return the runner of a run. No node is started yet."""
        config = session.config
        limit = cluster.config.num_proc
        # A repair with --maxfail runs one node at a time: after the last failure no other may have been started.
        one_by_one = changes_nodes(config) and config.option.maxfail
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
        audit = last_audit(config)

        def work(item: NodeItem, turn: Turn) -> NodeResult:
            checks = item.checks
            if audit is not None:
                checks = audit.of(item.tests, checks)
            with live.progress.working(item.node.name) if live else nullcontext():
                result = engine.run(item.node, checks, turn.answered)
            if log is not None:  # here, because after an interrupt nothing else may ask for the result
                log.take(item.tests, result)
            return result

        total = sum(i.number if isinstance(i, NodeItem) else 1 for i in session.items)
        ahead = 1 if one_by_one else 2 * limit
        fanout = Fanout(work, limit)
        order = run_order(session)
        return cls(session, cluster, engine, fanout, total, nodes, ahead, order, batches_of(session), live)

    def run(self, item: NodeItem) -> tuple[NodeItem, NodeResult]:
        """Return a node that is done, with its result: the node of `item`, or an upcoming one that is done first.

        Other nodes start meanwhile. An item that is no node, and the next batch, wait for all nodes before them.
        """
        if self.batches is not None and (reason := self.batches.refusal(item.node.name)) is not None:
            return item, self._not_begun(item, reason)
        done = self._next_done(item)
        if done is not item and not self.order.exchange(item, done):
            done = item
        result = self.fanout.result(done)
        if self.batches is not None:
            self.batches.ended(done.node.name, well=ending_of_result(result).is_good)
        return done, result

    def _next_done(self, item: NodeItem) -> NodeItem:
        try:
            done = self.fanout.next_done(self._begin_ahead(item), 0)
            if done is None and not self.is_ready and (files := self.session.config.stash.get(REPORT_FILES, None)):
                files.get_ready()
            self.is_ready = True
            while done is None:
                if self.live is not None:
                    self.live.show()
                done = self.fanout.next_done(self._begin_ahead(item), _INTERVAL)
            return done
        finally:
            if self.live is not None:
                self.live.erase()

    def _begin_ahead(self, item: NodeItem) -> Sequence[NodeItem]:
        """Start upcoming nodes, one more for each late node. Return the nodes that may be reported now."""
        ahead = self.look_ahead + self.fanout.late if self.look_ahead > 1 else 1
        upcoming = self.order.upcoming(item, ahead)
        nodes = [other for other in upcoming if isinstance(other, NodeItem) and self._together(item, other)]
        for node in nodes:
            if node not in self.announced:
                node.set_up()
                self.announced.add(node)
        self.fanout.announce(nodes)
        before_others = len(list(takewhile(lambda other: isinstance(other, NodeItem), upcoming)))
        return nodes[:before_others]

    def _not_begun(self, item: NodeItem, reason: str) -> NodeResult:
        tests = item.tests
        not_begun = Outcome(Status.SKIPPED, reason, skip=Skip.NOT_BEGUN)
        result = NodeResult(tuple(check.settled or not_begun for check in item.checks))
        if (log := self.session.config.stash.get(LOG, None)) is not None:
            log.take(tests, result)
        return result

    def _together(self, item: NodeItem, other: NodeItem) -> bool:
        return self.batches is None or self.batches.together(item.node.name, other.node.name)

    def close(self) -> None:
        """End the nodes that still run. An audit is killed; a repair runs to its end, so no node is half repaired."""
        if self.live is not None:
            self.live.close()
        if not changes_nodes(self.session.config):
            self.engine.connections.processes.end_all()
        self.fanout.close()
        self.engine.close()


RUNNER = pytest.StashKey[Runner]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Register the plugins whose hooks must wrap those of all other plugins."""
    check_granularity(session.config)
    if CLUSTER in session.config.stash:
        disarm_terminal(session.config)
    plugins = session.config.pluginmanager
    NodeFolding().register(plugins)
    if is_worker(session.config):
        plugins.register(ProcessorTimes(), "synctool-processor-times")
    else:
        session.config.stash[LAST_AUDIT_RECORDER] = LastAuditRecorder(session.config)
    if plugins.hasplugin("dsession"):
        # Not at the top: most runs do not need it, and it loads xdist's schedulers.
        from pytest_synctool.plugin.xdist.expansion import Expansion

        plugins.register(Expansion(session), "synctool-expansion")
        if CLUSTER in session.config.stash:
            from pytest_synctool.plugin.xdist.admin_machines import AdminMachines
            from pytest_synctool.plugin.xdist.workers import Workers

            # Not in pytest_configure: xdist registers its session after all other plugins have run that hook.
            plugins.register(Workers(session), "synctool-workers")
            plugins.register(AdminMachines(session.config), "synctool-machines")
    if CLUSTER in session.config.stash:
        register_stale_waivers(session)
        _register_unmanaged_tests(session)
        plugins.register(RareGarbageCollection(), "synctool-garbage")
        register_junit(session.config)
        if plugins.hasplugin("nfplugin") and not session.config.option.newfirst:
            # It stores the id of every test of every run, and only --nf needs them.
            plugins.unregister(name="nfplugin")


def _register_unmanaged_tests(session: pytest.Session) -> None:
    """With --unmanaged-fail, register the plugin that makes a test for each node, in the process that shows reports."""
    files = session.config.stash.get(REPORT_FILES, None)
    if files is not None and files.unmanaged is not None and session.config.option.synctool_unmanaged_fail:
        from pytest_synctool.plugin.unmanaged import UnmanagedTests  # most runs do without

        session.config.pluginmanager.register(UnmanagedTests(session, files.unmanaged), "synctool-unmanaged")


def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Create the runner of this process, and close it at the end, also after an exception."""
    config = session.config
    if LOG in config.stash:
        config.stash[LOG].began(len(config.stash[CLUSTER].nodes))
    if CLUSTER in config.stash:
        others = OtherPlugins(session, groups_of(config.stash[CLUSTER]))
        config.stash[OTHER_PLUGINS] = others
        HookSwitch(config, "pytest_runtest_protocol", partial(_run_alone, others))
    if (
        not runs_tests(config)
        or CLUSTER not in config.stash
        or not any(isinstance(item, NodeItem) for item in session.items)
    ):
        return (yield)
    runner = Runner.for_session(session, config.stash[CLUSTER])
    config.stash[RUNNER] = runner
    set_progress(session, runner.total)
    try:
        return (yield)
    finally:
        runner.close()
        if changes_nodes(config):
            _report_unclaimed(runner)


def _run_alone(
    others: OtherPlugins, run: Callable[..., object], item: pytest.Item, nextitem: pytest.Item | None
) -> object:
    return others.run(item, nextitem) if isinstance(item, NodeItem) else run(item=item, nextitem=nextitem)


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run a node. A worker sends one report of the node to the controller; another process emits a report per test."""
    if not isinstance(item, NodeItem):
        return None
    if not runs_tests(item.config):
        _list_tests(item)
        return True
    runner = item.config.stash[RUNNER]
    session = item.session
    done, result = runner.run(item)
    tests = done.tests
    most = item.config.option.maxfail
    if most and not changes_nodes(item.config):  # a repair reports all changes
        tests, result = cut(tests, result, most - session.testsfailed)
    if isinstance(runner.order, WorkerOrder):
        runner.order.send(done, pack(tests, result, runner.total, runner.nodes))
        session.testsfailed += sum(report.failed for report in reports(tests, result))
        if most and session.testsfailed >= most:
            session.shouldfail = f"stopping after {session.testsfailed} failures"
    else:
        _report(runner, tests, result)
        if getattr(item.config.option, "usepdb", False):
            from pytest_synctool.plugin.drift_debugger import debug_drift  # most runs do without

            debug_drift(done, tests, result, runner.engine.connections)
    return True


def _list_tests(item: NodeItem) -> None:
    """Print the tests of a node, as --setup-plan prints those that do not run."""
    if terminal_reporter(item.config) is not None:
        writer = item.config.get_terminal_writer()
        for nodeid in item.tests.tests:
            writer.line(f"\n        {nodeid}")


def _report_unclaimed(runner: Runner) -> None:
    """Report all changes of a run that an interrupt or an error has ended. They are recorded before hooks are called.

    Raises the first error of a hook, unless another error has ended the run.
    """
    config = runner.session.config
    unclaimed = [(item, item.tests, result) for item, result in runner.fanout.unclaimed()]
    errors = HookErrors()
    if isinstance(runner.order, WorkerOrder):
        for item, tests, result in unclaimed:
            runner.order.send(item, pack(tests, result, runner.total, runner.nodes))
        return
    for _, tests, result in unclaimed:
        record(config, tests, result, runner.nodes)
    for _, tests, result in unclaimed:
        with errors:
            _show(runner, tests, result)
    if sys.exception() is None:
        errors.raise_first()


def _report(runner: Runner, tests: NodeTests, result: NodeResult) -> None:
    """Record and emit the reports of a node's tests, in a process that shows reports."""
    record(runner.session.config, tests, result, runner.nodes)
    _show(runner, tests, result)


def _show(runner: Runner, tests: NodeTests, result: NodeResult) -> None:
    session = runner.session
    if runner.live is not None:
        runner.live.progress.take(result)
    set_progress(session, runner.total)
    brief = is_brief(session.config, runner.total)
    session.config.stash[OTHER_PLUGINS].report(tests, result, brief=brief)


def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Write the reports, and fail the run if entries were not looked at; --lf then runs these again."""
    config = session.config
    if INTERRUPTION in config.stash:
        config.stash[INTERRUPTION].is_ending = True
    if (reason := nothing_selected(session)) is not None:
        config.stash[NOTHING_COMPARED] = reason
        needs_nodes = changes_nodes(config) or config.option.synctool_unmanaged_fail
        if needs_nodes and session.exitstatus == pytest.ExitCode.OK:  # nothing repaired is no success
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    try:
        return (yield)
    except BaseException:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        raise
    finally:
        _finish(session)
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            print_summary(config, terminal_reporter(config))  # pytest prints none


def _finish(session: pytest.Session) -> None:
    config = session.config
    tally = config.stash.get(TALLY, None)
    if LOG in config.stash:
        config.stash[LOG].ended()
    if LAST_AUDIT_RECORDER in config.stash:
        config.stash[LAST_AUDIT_RECORDER].store()
    if tally is not None and tally.not_looked_at and not is_worker(config):
        _fail(session, tally.not_looked_at)
    if REPORT_FILES in config.stash:
        files = config.stash[REPORT_FILES]
        _fail_if(session, failed=files.failed)  # before write(): the other reports hold the exit status
        files.write(session.exitstatus)
        _fail_if(session, failed=files.failed)
    if CLUSTER in config.stash:
        config.stash[CLUSTER].repository.masterdir.digests.store()


def _fail_if(session: pytest.Session, *, failed: bool) -> None:
    if failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _fail(session: pytest.Session, not_looked_at: Sequence[str]) -> None:
    """Fail the run for tests that were not looked at, and add them to the tests that --lf runs."""
    _fail_if(session, failed=True)
    cache = cache_of(session.config)
    if cache is not None:
        failed = cache.get("cache/lastfailed", {})
        failed.update(dict.fromkeys(not_looked_at, True))
        cache.set("cache/lastfailed", failed)

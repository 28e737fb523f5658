"""Other plugins that follow tests, such as reporters: they see each test of a node as an ordinary test that runs.

pytest's own plugins get the few reports that they need. Others get all hooks of a test, with an item and the reports of
its phases. Nothing of this is done where no other plugin listens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import NodeResult
from pytest_synctool.plugin.check_files import files_of
from pytest_synctool.plugin.hook_errors import HookErrors
from pytest_synctool.plugin.invocation import is_worker
from pytest_synctool.plugin.node_reports import category_of, letter_of, reports
from pytest_synctool.plugin.ordinary_reports import Phases, ordinary_tests
from pytest_synctool.plugin.terminal_reporter import terminal_reporter
from pytest_synctool.report.node_test_ids import NodeTests

_OURS: Final = ("_pytest", "xdist", "testinfra", "pytest_synctool", "__channelexec__")  # the last: xdist's in a worker
# These run tests again, or limit their time, and show no results. They do nothing to the tests of nodes.
_RUNNING: Final = (
    *("_hypothesis_pytestplugin", "anyio", "pytest_asyncio", "pytest_forked", "pytest_repeat"),
    *("pytest_rerunfailures", "pytest_retry", "pytest_timeout"),
)
# Options of some of them: the attribute, the value that means nothing, and the name.
_RUNNING_OPTIONS: Final = {
    "pytest_forked": ("forked", False, "--forked"),
    "pytest_repeat": ("count", 1, "--count"),
    "pytest_rerunfailures": ("reruns", 0, "--reruns"),
    "pytest_retry": ("retries", 0, "--retries"),
    "pytest_timeout": ("timeout", 0, "--timeout"),
}
_PROTOCOL: Final = "pytest_runtest_protocol"
_LOGSTART: Final = "pytest_runtest_logstart"
_LOGREPORT: Final = "pytest_runtest_logreport"
_LOGFINISH: Final = "pytest_runtest_logfinish"
_LOGS: Final = (_LOGSTART, _LOGREPORT, _LOGFINISH)
_TESTSTATUS: Final = "pytest_report_teststatus"
_MAKEREPORT: Final = "pytest_runtest_makereport"
_INTERACT: Final = "pytest_exception_interact"
_FOLLOWING: Final = (*_LOGS, _INTERACT)  # all plugins are called
_PHASES: Final[dict[str | None, str]] = {phase: f"pytest_runtest_{phase}" for phase in ("setup", "call", "teardown")}
# A plugin may run a test in these hooks, or raise. Only its wrappers around them are called.
_WRAPPED: Final = (_PROTOCOL, _MAKEREPORT, *_PHASES.values())


def options_without_effect(config: pytest.Config) -> list[str]:
    """Return the options of this run that other plugins have, and that do nothing to the tests of nodes."""
    modules = (plugin.__name__ for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType))
    packages = {module.partition(".")[0] for module in modules}
    options = (option for package, option in _RUNNING_OPTIONS.items() if package in packages)
    return [name for dest, nothing, name in options if getattr(config.option, dest, None) not in (None, nothing)]


def is_foreign(impl: Any) -> bool:
    """Return True if the implementation of a hook is neither pytest's nor of a plugin that this one needs."""
    return _package(impl) not in _OURS


def _package(impl: Any) -> str:
    module: str = impl.function.__module__
    return module.partition(".")[0]


def follows_setup(impl: Any) -> bool:
    """Return True for a plugin's wrapper around pytest_runtest_setup: it follows tests, as reporters do.

    Another implementation of this hook may skip tests, and so may the wrapper of a conftest.
    """
    file = getattr(impl.plugin, "__file__", None) or ""
    return is_foreign(impl) and (impl.wrapper or impl.hookwrapper) and Path(file).name != "conftest.py"


def _listens(impl: Any, hook: str) -> bool:
    if not is_foreign(impl) or _package(impl) in _RUNNING:
        return False
    if hook == _PHASES["setup"]:
        return follows_setup(impl)
    return hook in _FOLLOWING or impl.wrapper or impl.hookwrapper


def others_listen(config: pytest.Config) -> bool:
    """Return True if this process shows results and a plugin or a conftest follows single tests."""
    if is_worker(config):
        return False
    hooks = config.pluginmanager.hook
    return any(
        _listens(impl, name) for name in (*_FOLLOWING, *_WRAPPED) for impl in getattr(hooks, name).get_hookimpls()
    )


class _OwnReports:
    """The reports of a test for pytest's own plugins, which get each of them once."""

    def __init__(
        self, reports: Iterable[pytest.TestReport], log: Callable[[pytest.TestReport], None], errors: HookErrors
    ) -> None:
        self._left = list(reports)
        self._log = log
        self._errors = errors

    def log(self, phase: pytest.TestReport | None = None) -> None:
        """Pass on the reports of a phase, or all that are left. Keep the error of a hook for the end."""
        ready = [r for r in self._left if phase is None or (r.when, r.outcome) == (phase.when, phase.outcome)]
        self._left = [report for report in self._left if report not in ready]
        for report in ready:
            with self._errors:
                self._log(report)


class FinishedTest(pytest.Item):
    """A test that has run, for the hooks of other plugins. `phase` is the report of its present phase."""

    phases: Phases
    phase: pytest.TestReport
    own: _OwnReports
    funcargs: Mapping[str, object]

    def runtest(self) -> None:
        """Raise AssertionError: the test has run."""
        raise AssertionError(f"{self.nodeid} has a result already")


class _Group(pytest.Collector):
    """A test file, or a node below it."""

    def collect(self) -> Sequence[pytest.Item]:
        """Return nothing: tests that have run are not collected again."""
        return ()


class OtherPlugins:
    """A plugin that passes results on: to pytest's own plugins as they are, to others as ordinary tests.

    `groups` has the groups of each node. Create it when all plugins are registered.
    """

    def __init__(self, session: pytest.Session, groups: Mapping[str, Sequence[str]]) -> None:
        self._session = session
        self._groups = groups
        self._parents: dict[str, pytest.Collector] = {}
        self._items: list[pytest.Item] = []
        self._listen = others_listen(session.config)
        manager = session.config.pluginmanager
        protocol, reporters = _foreign(manager, _PROTOCOL), _foreign(manager, *_LOGS)
        self._own_protocol = manager.subset_hook_caller(_PROTOCOL, protocol)
        self._own_logreport = manager.subset_hook_caller(_LOGREPORT, reporters)
        # A report without a letter is only counted, if no other plugin has a say in it.
        self._terminal = terminal_reporter(session.config)
        if self._terminal in reporters or _foreign(manager, _TESTSTATUS):
            self._terminal = None
        self._not_to_terminal = manager.subset_hook_caller(_LOGREPORT, [*reporters, self._terminal])
        self._theirs = {name: _caller(manager, name, reporters) for name in (*_FOLLOWING, *_WRAPPED)}
        if self._listen:
            manager.register(self, "synctool-other-plugins")

    def run(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run a node, without what other plugins wrap around a test: it is many tests, and has limits of its own."""
        return self._own_protocol(item=item, nextitem=nextitem)

    def log(self, report: pytest.TestReport) -> None:
        """Pass a report to pytest's own plugins, and to those that this one needs."""
        if self._terminal is None or letter_of(report) != "":
            self._own_logreport(report=report)
            return
        self._terminal._add_stats(category_of(report), [report])
        self._not_to_terminal(report=report)

    def report(self, tests: NodeTests, result: NodeResult, *, brief: bool, **attributes: object) -> None:
        """Report a node's tests. `attributes` are set in each report. Raises the first error of a hook at the end."""
        errors = HookErrors()
        own = reports(tests, result, brief=brief)
        if attributes:
            own = _with_attributes(own, attributes)
        if not self._listen:
            for report in own:
                with errors:
                    self.log(report)
            errors.raise_first()
            return
        every = ordinary_tests(tests, result, self._groups.get(tests.node, ()), time.time())
        phases = next(every, ())
        for nodeid, group in groupby(own, key=lambda report: report.nodeid):
            left = _OwnReports(group, self.log, errors)
            if phases and nodeid == phases[0].nodeid:
                for report in phases:
                    vars(report).update(attributes)
                self._run_finished(phases, left, errors)
                phases = next(every, ())
            left.log()
        errors.raise_first()

    def _run_finished(self, phases: Phases, own: _OwnReports, errors: HookErrors) -> None:
        item = self._item(phases, own)
        with errors:
            self._theirs[_PROTOCOL](item=item, nextitem=None)
        item.phases = ()
        # Items live as long as the session: a plugin may remember them by id().
        self._items.append(item)

    def _item(self, phases: Phases, own: _OwnReports) -> FinishedTest:
        nodeid = phases[0].nodeid
        above, _, name = nodeid.rpartition("::")
        item: FinishedTest = FinishedTest.from_parent(self._parent(above), name=name, nodeid=nodeid)
        vars(item).update(phases=phases, own=own, funcargs={}, location=phases[0].location)
        item.extra_keyword_matches.update(phases[0].keywords)
        return item

    def _parent(self, nodeid: str) -> pytest.Collector:
        if not nodeid:
            return self._session
        if nodeid not in self._parents:
            above, _, name = nodeid.rpartition("::")
            path = {} if above else {"path": files_of(self._session.config).path(nodeid)}
            self._parents[nodeid] = _Group.from_parent(self._parent(above), name=name, nodeid=nodeid, **path)
        return self._parents[nodeid]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Go through the phases of a test that has run."""
        if not isinstance(item, FinishedTest):
            return None
        about = {"nodeid": item.nodeid, "location": item.location}
        self._theirs[_LOGSTART](**about)
        for phase in item.phases:
            item.phase = phase
            self._theirs[_PHASES[phase.when]](item=item, **({"nextitem": None} if phase.when == "teardown" else {}))
            call = _call(phase)
            report = self._theirs[_MAKEREPORT](item=item, call=call)
            item.own.log(phase)
            self._theirs[_LOGREPORT](report=report)
            if phase.failed:
                self._theirs[_INTERACT](node=item, call=call, report=report)
        self._theirs[_LOGFINISH](**about)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> pytest.TestReport | None:
        """Return the report of the present phase of a test that has run."""
        return item.phase if isinstance(item, FinishedTest) else None


def _with_attributes(own: Iterable[pytest.TestReport], attributes: Mapping[str, object]) -> Iterator[pytest.TestReport]:
    for report in own:
        vars(report).update(attributes)
        yield report


def _foreign(manager: pytest.PytestPluginManager, *hooks: str) -> set[object]:
    """Return the plugins whose implementation of one of the hooks is foreign.

    A terminal reporter that replaces pytest's may inherit one hook from it, and have another of its own.
    """
    impls = (impl for name in hooks for impl in getattr(manager.hook, name).get_hookimpls())
    return {impl.plugin for impl in impls if is_foreign(impl)}


def _caller(manager: pytest.PytestPluginManager, name: str, reporters: set[object]) -> Callable[..., Any]:
    """Return a caller of a hook for the other plugins that listen."""
    impls = getattr(manager.hook, name).get_hookimpls()
    listening = {i.plugin for i in impls if _listens(i, name) or (name in _LOGS and i.plugin in reporters)}
    return manager.subset_hook_caller(name, [plugin for plugin in manager.get_plugins() if plugin not in listening])


def _call(report: pytest.TestReport) -> pytest.CallInfo[None]:
    """Return the call that ended as a report says."""

    def run() -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            raise pytest.skip.Exception(report.longreprtext)
        if report.failed and report.when == "setup":
            raise SynctoolError(report.longreprtext)
        if not report.passed:
            raise AssertionError(report.longreprtext)

    when = report.when
    assert when is not None
    call: pytest.CallInfo[None] = pytest.CallInfo.from_call(run, when=when)
    call.start, call.stop, call.duration = report.start, report.stop, report.duration
    return call


OTHER_PLUGINS = pytest.StashKey[OtherPlugins]()


class HookSwitch:
    """A caller in the place of a hook: `instead` gets pytest's caller and the arguments of each call."""

    def __init__(self, config: pytest.Config, name: str, instead: Callable[..., Any]) -> None:
        hooks = config.pluginmanager.hook
        self._caller = getattr(hooks, name)
        self._instead = instead
        setattr(hooks, name, self)

    def __call__(self, **arguments: Any) -> Any:
        """Call the function in the place of the hook."""
        return self._instead(self._caller, **arguments)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of pytest's caller: plugins can still be registered."""
        return getattr(self._caller, name)

"""The reports of nodes on the controller of xdist: the reports of their tests replace them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import nullcontext

import pytest

from pytest_synctool.plugin.hook_errors import HookErrors
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.plugin.live_line import live_line
from pytest_synctool.plugin.lock_and_log import LOG
from pytest_synctool.plugin.node_reports import unpack
from pytest_synctool.plugin.other_plugins import OTHER_PLUGINS, HookSwitch
from pytest_synctool.plugin.recording import is_brief, record, set_progress


class Expansion:
    """A plugin of the xdist controller that replaces the report of a node by the reports of its tests."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.live = live_line(session.config)
        self.errors = HookErrors()
        HookSwitch(session.config, "pytest_runtest_logreport", self._expand)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Erase the live line at the end of the run. Raise what the hook of another plugin has raised in a repair."""
        try:
            ended = yield
        finally:
            if self.live is not None:
                self.live.close()
        self.errors.raise_first()
        return ended

    def _expand(self, log: Callable[..., object], report: pytest.TestReport) -> None:
        """Emit a report per test in the place of the report of a node."""
        config = self.session.config
        node = unpack(report)
        if node is None:
            log(report=report)
            return
        record(config, node.tests, node.result, node.nodes)
        set_progress(self.session, node.total)
        if LOG in config.stash:
            config.stash[LOG].take(node.tests, node.result)
        worker = {key: value for key, value in vars(report).items() if key in ("node", "worker_id")}  # set by xdist
        # After an error xdist would read no more results: a repair reports all changes first.
        with self.errors if changes_nodes(config) else nullcontext():
            config.stash[OTHER_PLUGINS].report(node.tests, node.result, brief=is_brief(config, node.total), **worker)
        if self.live is not None:
            self.live.take(node.result, node.nodes)
        if self.session.shouldfail:
            config.pluginmanager.getplugin("dsession").shouldstop = self.session.shouldfail

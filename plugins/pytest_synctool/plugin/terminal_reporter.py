"""pytest's terminal reporter, which may be switched off or replaced."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter


def terminal_reporter(config: pytest.Config) -> TerminalReporter | None:
    """Return pytest's terminal reporter, or one that is built on it; None if something else shows the results."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return reporter if isinstance(reporter, TerminalReporter) else None

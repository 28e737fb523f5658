"""The hooks of the pytest plugin. Each calls the function of its name in a module below, which does the work.

These modules load most of the package. A run that can have no node, such as that of another project's tests in the
same environment, does not load them.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_synctool.plugin.as_installed import AsInstalled

sys.meta_path.insert(0, AsInstalled)  # before the first large import

from pytest_synctool.plugin.arguments import pytest_load_initial_conftests, settle_arguments
from pytest_synctool.plugin.check_files import is_check_file
from pytest_synctool.plugin.invocation import may_have_nodes
from pytest_synctool.plugin.options import check_combinations, pytest_addoption, release_short_names
from pytest_synctool.plugin.separate_values import check_separate_values

__all__ = ["pytest_addoption", "pytest_load_initial_conftests"]

_MARKERS: Final = (
    "overlay: checks of overlay entries",
    "delete: checks of delete entries",
    "exclusive: checks of directories that may have nothing else",
    "post: checks of commands that have to run after a change",
    "task: tasks to run, with --tasks",
    "always: commands of always_run, with --fix",
    "lint: rules of --synctool-lint",
)
_IS_ACTIVE = pytest.StashKey[bool]()


def _is_active(config: pytest.Config) -> bool:
    return config.stash.get(_IS_ACTIVE, False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Refuse --looponfail for nodes."""
    if getattr(config.option, "looponfail", False):
        from pytest_synctool.plugin import configure

        configure.refuse_loop(config)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and set up the run if it may have nodes. Raises pytest.UsageError."""
    option = config.option
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    check_separate_values(config)  # before names are released: it reads the command line again
    release_short_names(config)
    check_combinations(config)
    settle_arguments(config)
    if not hasattr(option, "hosts"):
        raise pytest.UsageError("pytest-synctool needs testinfra's plugin, which is not loaded: -p testinfra.plugin")
    option.synctool_selection = option.hosts  # later code rewrites option.hosts
    if may_have_nodes(config):
        _set_up(config)


def _set_up(config: pytest.Config) -> None:
    from pytest_synctool.common.garbage import rarely_collected

    config.stash[_IS_ACTIVE] = True
    with rarely_collected():  # the modules, too, are many objects that stay
        from pytest_synctool.plugin import configure

        configure.pytest_configure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Close and restore what the run has set up."""
    if _is_active(config):
        from pytest_synctool.plugin import configure

        configure.pytest_unconfigure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Register the plugins of a run."""
    if _is_active(session.config):
        from pytest_synctool.plugin import run

        run.pytest_sessionstart(session)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return header lines about the cluster."""
    if not _is_active(config):
        return []
    from pytest_synctool.plugin import terminal

    return terminal.pytest_report_header(config)


# Not tryfirst: pytest's terminal and xdist's worker and controller must run this hook first, because they announce the
# collection. They do so by default, and pytest's own collection runs after this plugin.
def pytest_collection(session: pytest.Session) -> bool | None:
    """Collect the rules of lint with --synctool-lint."""
    if not session.config.option.synctool_lint:
        return None
    from pytest_synctool.plugin import lint

    return lint.pytest_collection(session)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the check functions of a test file."""
    if not is_check_file(file_path, parent.session):
        return None
    if not _is_active(parent.config):
        _set_up(parent.config)
        pytest_sessionstart(parent.session)
    from pytest_synctool.plugin import collect

    return collect.pytest_collect_file(file_path, parent)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Run ordinary tests that use testinfra's `host` on the nodes of the run."""
    if not _is_active(metafunc.config):
        return (yield)
    from pytest_synctool.plugin import testinfra_hosts

    return (yield from testinfra_hosts.pytest_generate_tests(metafunc))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Set up what looks at nodes, and close it at the end."""
    if not _is_active(session.config):
        return (yield)
    from pytest_synctool.plugin import run

    return (yield from run.pytest_runtestloop(session))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run a node."""
    if not _is_active(item.config):
        return None
    from pytest_synctool.plugin import run

    return run.pytest_runtest_protocol(item)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str | None, str, str | tuple[str, dict[str, bool]]] | None:
    """Return category, letter and word of an entry's report. It is called for each test, so it loads nothing."""
    terminal = sys.modules.get("pytest_synctool.plugin.terminal")
    return None if terminal is None else terminal.pytest_report_teststatus(report, config)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Write the reports."""
    if not _is_active(session.config):
        return (yield)
    from pytest_synctool.plugin import run

    return (yield from run.pytest_sessionfinish(session))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None]:
    """Print the summary."""
    if not _is_active(config):
        return (yield)
    from pytest_synctool.plugin import terminal

    return (yield from terminal.pytest_terminal_summary(terminalreporter, config))

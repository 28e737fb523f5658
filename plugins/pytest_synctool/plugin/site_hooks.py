"""Hooks of other plugins and of conftest files that change what a test means: collection, selection and setup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from inspect import getattr_static
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_synctool.plugin.other_plugins import follows_setup, is_foreign

_SELECTING: Final = (
    *("pytest_collection_modifyitems", "pytest_itemcollected", "pytest_deselected"),
    *("pytest_collectstart", "pytest_make_collect_report", "pytest_runtest_setup"),
)
_XUNIT: Final = ("setup_module", "setUpModule", "setup_function")


def wants_single_tests(config: pytest.Config) -> bool:
    """Return True if a hook of another plugin may select, mark or skip single tests."""
    hook = config.pluginmanager.hook
    return any(is_foreign(impl) for name in _SELECTING for impl in getattr(hook, name).get_hookimpls())


def has_setup(config: pytest.Config) -> bool:
    """Return True if another plugin has a hook pytest_runtest_setup that may skip tests."""
    return any(_may_skip(impl) for impl in config.pluginmanager.hook.pytest_runtest_setup.get_hookimpls())


def _may_skip(impl: Any) -> bool:
    return is_foreign(impl) and not follows_setup(impl)


def set_up(item: pytest.Item, hooks_of: Path) -> None:
    """Call the hooks pytest_runtest_setup of other plugins than pytest's own. They may raise.

    Of conftest files, only those apply that apply to the path `hooks_of`.
    """
    manager = item.config.pluginmanager
    own = [impl.plugin for impl in manager.hook.pytest_runtest_setup.get_hookimpls() if not _may_skip(impl)]
    conftests = set(getattr(manager, "_conftest_plugins", ()))
    applying = getattr(manager, "_getconftestmodules", lambda path: ())(hooks_of)
    elsewhere = conftests.difference(applying)
    manager.subset_hook_caller("pytest_runtest_setup", [*own, *elsewhere])(item=item)


def _package(plugin: object) -> str:
    module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return module.partition(".")[0]


def setup_fixtures(collector: pytest.Collector, module: Any, hooks_of: Path) -> Iterator[str]:
    """Yield the autouse fixtures and setup functions that ordinary tests of a check module would run first.

    `collector` is that of the module, which has no fixtures itself. Fixtures of installed plugins are left out. If
    conftest files of another path apply, `hooks_of`, their autouse fixtures count too.
    """
    manager: Any = collector.session._fixturemanager
    plugins = collector.config.pluginmanager
    installed = {_package(plugin) for plugin, _ in plugins.list_plugin_distinfo()}
    for name in manager._getautousenames(collector):
        definitions = manager.getfixturedefs(name, collector) or ()
        functions = [definition.func for definition in definitions]
        if not functions or any(not _is_of(f.__module__, (*installed, "_pytest")) for f in functions):
            yield name
    conftests = () if hooks_of == collector.path else getattr(plugins, "_getconftestmodules", lambda path: ())(hooks_of)
    for conftest in conftests:
        yield from (name for name, value in vars(conftest).items() if _is_autouse(value))
    for name, value in vars(module).items():
        if name in _XUNIT or _is_autouse(value):
            yield name


def _is_of(module: str, packages: Iterable[str]) -> bool:
    """Return True if a module is in one of the packages, or where pip installs packages: `-p` loads it too."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in packages or any(map(Path(file).is_relative_to, _installed()))


@cache
def _installed() -> Sequence[str]:
    import sysconfig  # it is slow to load, and the fixtures of most runs are those of known packages

    return sysconfig.get_path("purelib"), sysconfig.get_path("platlib")


def _is_autouse(value: object) -> bool:
    for attribute in ("_fixture_function_marker", "_pytestfixturefunction"):
        marker = getattr_static(value, attribute, None)
        if marker is not None:
            return bool(getattr(marker, "autouse", False))
    return False


def in_words(names: Iterable[str]) -> str:
    """Return the names of fixtures, each once."""
    return ", ".join(dict.fromkeys(names))

"""The modules of the plugin are imported with the bytecode that pip has compiled, and pytest compiles none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_synctool.plugin.as_installed import AsInstalled

_CONFTEST = """
import sys
from _pytest.assertion.rewrite import AssertionRewritingHook

def pytest_unconfigure():
    name = "pytest_synctool.plugin."
    loaders = {key: module.__spec__.loader for key, module in sys.modules.items() if key.startswith(name)}
    print("modules", len(loaders) > 10)
    print("anew", sorted(key for key, loader in loaders.items() if isinstance(loader, AssertionRewritingHook)))
"""


def test_pytest_compiles_no_module_of_the_plugin_anew(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Named like this, a plugin's modules are rewritten, as those of every installed plugin are.
    argv = [sys.executable, "-m", "pytest", "-p", "pytest_synctool.plugin", "-p", "no:hypothesispytest", "--co", "-q"]
    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "modules True" in run.stdout
    assert "anew ['pytest_synctool.plugin.as_installed']" in run.stdout


def test_other_modules_are_found_as_before() -> None:
    assert AsInstalled.find_spec("pytest_synctool_site") is None
    assert AsInstalled.find_spec("synctool_checks") is None
    assert AsInstalled.find_spec("pytest_synctool.no_such_module", []) is None

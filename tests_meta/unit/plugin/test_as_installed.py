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
    name = "pytest_synctool."
    loaders = {key: module.__spec__.loader for key, module in sys.modules.items() if key.startswith(name)}
    print("modules", len(loaders))
    print("anew", sorted(key for key, loader in loaders.items() if isinstance(loader, AssertionRewritingHook)))
"""


def loaded(directory: Path, *arguments: str) -> tuple[int, str]:
    """Return the number of modules of the package that a run loads, and those that pytest has compiled anew."""
    (directory / "conftest.py").write_text(_CONFTEST)
    (directory / "pytest.ini").write_text("[pytest]\n")
    # Named like this, a plugin's modules are rewritten, as those of every installed plugin are.
    argv = [sys.executable, "-m", "pytest", "-p", "pytest_synctool.plugin", "-p", "no:hypothesispytest", "--co", "-q"]
    run = subprocess.run([*argv, *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    lines = dict(line.split(" ", 1) for line in run.stdout.splitlines() if line.startswith(("modules", "anew")))
    return int(lines["modules"]), lines["anew"]


def test_pytest_compiles_no_module_of_the_plugin_anew(tmp_path: Path) -> None:
    (tmp_path / "masterdir/overlay").mkdir(parents=True)
    (tmp_path / "site.conf").write_text("masterdir masterdir\nnode node1 all connection:local://\n")
    number, anew = loaded(tmp_path, "--synctool-conf=site.conf", "--pyargs", "synctool_checks")
    assert number > 100
    assert anew == "['pytest_synctool.plugin', 'pytest_synctool.plugin.as_installed']"


def test_the_suite_of_another_project_loads_hardly_any(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_nothing():\n    pass\n")
    number, anew = loaded(tmp_path)
    assert number < 20
    assert anew == "['pytest_synctool.plugin', 'pytest_synctool.plugin.as_installed']"


def test_other_modules_are_found_as_before() -> None:
    assert AsInstalled.find_spec("pytest_synctool_site") is None
    assert AsInstalled.find_spec("synctool_checks") is None
    assert AsInstalled.find_spec("pytest_synctool.no_such_module", []) is None

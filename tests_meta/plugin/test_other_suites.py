"""Another project's suite in an environment with this plugin: its options are its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_synctool.plugin.options import OPTIONS

from tests_meta.site import Site

SHORT = [option.name for option in OPTIONS if not option.name.startswith("--synctool-")]


def conftest_of(*names: str) -> str:
    """Return a conftest that defines options, each a switch, and a test that gets the first of them."""
    lines = [
        f"    parser.addoption({name!r}, action='store_true', default=False, dest={name[2:] + '_'!r})" for name in names
    ]
    return "\n".join(("def pytest_addoption(parser):", *lines, ""))


def pytest_in(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a directory: its exit status and its output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["", "tests"])
def test_a_project_may_define_every_short_spelling(tmp_path: Path, folder: str) -> None:
    tests = tmp_path / folder
    tests.mkdir(exist_ok=True)
    (tests / "conftest.py").write_text(conftest_of(*SHORT))
    values = ", ".join(f"config.option.{name[2:]}_" for name in SHORT if "-" not in name[2:])
    (tests / "test_it.py").write_text(
        f"def test_it(pytestconfig):\n    config = pytestconfig\n    assert all([{values}])"
    )
    status, output = pytest_in(tmp_path, *([folder] if folder else []), *SHORT)
    assert status == 0, output
    assert "synctool:" not in output
    status, output = pytest_in(tmp_path, *([folder] if folder else []), "--help")
    assert status == 0, output
    assert "--synctool-batch" in output


def test_a_conftest_that_is_loaded_late_may_define_them_too(tmp_path: Path) -> None:
    """pytest loads a conftest that is deep in a tree only when it collects, and sets the defaults of its options."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "conftest.py").write_text(conftest_of(*SHORT))
    (deep / "test_it.py").write_text("def test_it(pytestconfig):\n    assert pytestconfig.option.batch_ is False\n")
    status, output = pytest_in(tmp_path)
    assert status == 0, output


def test_a_plugin_may_define_them_too(tmp_path: Path) -> None:
    (tmp_path / "of_theirs.py").write_text(conftest_of("--serial", "--diff"))
    (tmp_path / "test_it.py").write_text("def test_it(pytestconfig):\n    assert pytestconfig.option.serial_\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p of_theirs\npythonpath = .\n")
    status, output = pytest_in(tmp_path, "--serial")
    assert status == 0, output


def test_the_long_spellings_work_where_the_short_ones_are_taken(site: Site) -> None:
    site.put("file._all")
    site.nodes = {"gone": "batch connection:chroot:///nonexistent", "lost": "batch connection:chroot:///nonexistent"}
    (site.directory / "conftest.py").write_text(conftest_of("--batch", "--fix", "--nodename"))
    run = site.pytest("--fix", "--batch", ".")
    assert run.status == 1, run.output
    assert "dry run, nothing is changed" in run.output
    hint = "synctool: --fix, --nodename, --batch are options of another plugin or a conftest here: write --synctool-fix"
    assert hint in run.output
    run = site.pytest("--synctool-fix", "--synctool-batch=1", "--no-syslog", ".")
    assert run.status == 1, run.output
    assert "fixing" in run.output
    assert "not begun: 1 of 1 node failed in the batch before" in run.output


def test_the_hint_names_the_option_that_repairs(tmp_path: Path) -> None:
    site = Site(tmp_path, "hint")
    site.nodes = {"node1": "batch connection:chroot:///"}
    site.put("file._all")
    assert " --lf --fix\n" in site.pytest(".").output
    (tmp_path / "conftest.py").write_text(conftest_of("--fix"))
    assert " --lf --synctool-fix\n" in site.pytest(".").output


def test_both_spellings_are_the_same_option(site: Site) -> None:
    site.put("file._all")
    site.nodes = {"gone": "batch connection:chroot:///nonexistent"}
    for spelling in ("--connect-timeout=x", "--synctool-connect-timeout=x", "--synctool-connect-timeout x"):
        run = site.pytest(*spelling.split())
        assert run.status == 4, run.output
        assert "expected a number of seconds from 1, not 'x'" in run.output
    run = site.pytest("--serial", "--synctool-batch=1", "--fix")
    assert "--serial is --batch=1: give one of them" in run.output


def test_help_lists_each_option_once(tmp_path: Path) -> None:
    status, output = pytest_in(tmp_path, "--help")
    assert status == 0
    lines = [line.strip() for line in output.splitlines()]
    for option in OPTIONS:
        assert (
            sum(line.startswith((option.name + " ", option.name + "=")) or line == option.name for line in lines) == 1
        )
    assert "--synctool-batch" not in output


def test_a_conftest_may_load_the_plugin(site: Site) -> None:
    """A checkout does this, where the plugin is not installed. Its conftest comes first, and may have an option."""
    site.put("file._all")
    site.nodes = {"gone": "batch connection:chroot:///nonexistent"}
    loading = "pytest_plugins = ['testinfra.plugin', 'pytest_synctool.plugin']\n"
    (site.directory / "conftest.py").write_text(conftest_of("--diff") + loading)
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = site.command("--explain", "--synctool-connect-timeout=1", "--synctool-diff", ".", configured=False)
    site.configure()
    run = site.pytest(command=command, environment=environment)
    assert run.status == 1, run.output
    assert "--diff is an option of another plugin or a conftest here: write --synctool-diff" in run.output

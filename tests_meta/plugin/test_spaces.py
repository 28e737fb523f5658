"""Options with a space before their value: pytest decides where its configuration is before it knows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests_meta.site import Site

OPTIONS = (
    *("--synctool-conf", "--synctool-reports", "--synctool-jsonl", "--synctool-summary", "--synctool-codequality"),
    *("--synctool-baseline", "--synctool-saved-dir", "--saved-dir", "--ssh-config", "--synctool-nodename"),
)


@pytest.fixture
def project(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory elsewhere. The site has an ini file and a test of its own."""
    site.put("one._all")
    (site.directory / "pytest.ini").write_text("[pytest]\nsynctool_conf = synctool.conf\ntestpaths = nothing\n")
    (site.directory / "test_own.py").write_text("def test_own():\n    assert False\n")
    return tmp_path_factory.mktemp("elsewhere")


@pytest.mark.parametrize("place", ["command line", "PYTEST_ADDOPTS"])
@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_that_would_move_the_root_is_refused(site: Site, project: Path, option: str, place: str) -> None:
    """The message gives the spelling that works."""
    site.configure()
    (project / "value").touch()
    value = str(project / "value")
    words = [option, value]
    command = [*site.command(configured=False), "--collect-only"]
    environment = {}
    if place == "command line":
        command += words
    else:
        environment["PYTEST_ADDOPTS"] = " ".join(words)
    run = site.pytest(command=command, environment=environment)
    assert run.status == 4, run.output
    assert f"write {option}={value} in one word" in run.output


@pytest.mark.parametrize("spelling", ["--synctool-conf {}", "--synctool-conf={}"])
def test_both_spellings_mean_the_same_in_the_site_itself(site: Site, project: Path, spelling: str) -> None:
    """Neither the root nor the ini file depends on the value there."""
    del project
    path = os.path.relpath(site.configure(), site.directory)
    command = [*site.command("--collect-only", "-q", configured=False), *spelling.format(path).split()]
    run = site.pytest(command=command)
    assert run.status == 0, run.output
    assert "test_own" not in run.output
    assert "/one" in run.output


@pytest.mark.parametrize("option", ["--saved-dir", "--nodename", "--synctool-saved-dir"])
def test_no_conftest_is_loaded_from_a_value(site: Site, project: Path, option: str) -> None:
    """The short names come later than the conftests, which may have options of these names."""
    value = site.directory / "value"
    value.mkdir()
    (value / "conftest.py").write_text(f"open({str(project / 'loaded')!r}, 'w')\n")
    site.pytest("--collect-only", option, str(value))
    assert not (project / "loaded").exists()


def test_a_conftest_may_have_a_switch_of_this_name_before_a_test_path(site: Site) -> None:
    """The word is no value of our option, so it is a path, whose conftest is loaded."""
    tests = site.directory / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--batch', action='store_true')\n"
    )
    (tests / "test_own.py").write_text("def test_own(pytestconfig):\n    assert pytestconfig.option.batch\n")
    run = site.pytest(command=[*site.command()[:3], "-p", "no:hypothesispytest", "--batch", "tests"])
    assert run.status == 0, run.output

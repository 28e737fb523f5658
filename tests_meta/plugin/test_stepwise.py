"""--stepwise and --looponfail: tests of nodes run together, and nodes change without a file of this machine."""

from __future__ import annotations

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site

# pytest 8.4 and later have it.
RESET = ["--stepwise-reset"] if hasattr(pytest, "RaisesExc") else []


@ALONE_AND_XDIST
@pytest.mark.parametrize("option", ["--sw", "--stepwise-skip", *RESET, "--sw --fix"])
def test_it_is_refused(site: Site, option: str, workers: tuple[str, ...]) -> None:
    site.put("one._all")
    run = site.pytest(*option.split(), *workers)
    assert run.status == 4, run.output
    assert "--stepwise does not go with the tests of nodes" in run.output
    assert "-x" in run.output


def test_it_works_for_other_tests(site: Site) -> None:
    (site.directory / "test_own.py").write_text("def test_own():\n    pass\n")
    command = [*site.command()[:3], "--sw", "test_own.py"]
    assert site.pytest(command=command).status == 0


@pytest.mark.parametrize("option", ["-f", "--looponfail --fix", "-f synctool_checks/test_overlay.py"])
def test_looponfail_is_refused(site: Site, option: str) -> None:
    site.put("one._all")
    run = site.pytest(*option.split())
    assert run.status == 4, run.output
    assert "--looponfail does not go with the tests of nodes" in run.output
    assert "--lf" in run.output

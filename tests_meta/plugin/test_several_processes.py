"""The summary of a run with -n says so if one process would have been faster."""

from __future__ import annotations

import os
import re

import pytest

from tests_meta.site import Run, Site

# A check of the site that takes as much processor time of its worker as SECONDS says.
SLOW = """
import os, time
import pytest
@pytest.mark.overlay
def CHECK(entry, actual):
    end = time.process_time() + float(os.environ['SECONDS'])
    while time.process_time() < end:
        pass
    return []
"""
NOTE = re.compile(r"^-n (\d) made this run slower: a process needs (\S+) s to start, and saved at most (\S+) s", re.M)


def run(site: Site, *arguments: str, seconds: str = "0") -> Run:
    site.nodes = {f"node{number}": "batch connection:chroot:///" for number in (1, 2)}
    site.put("file._all")
    (site.directory / "test_slow.py").write_text(SLOW.replace("CHECK", "check_slow"))
    return site.pytest("test_slow.py", "-m", "delete or overlay", *arguments, environment={"SECONDS": seconds})


def test_few_nodes_do_not_need_processes(site: Site) -> None:
    for number in "12":
        found = NOTE.search(run(site, f"-n{number}").output)
        assert found is not None
        assert found[1] == number
        assert float(found[2]) > float(found[3])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="several processes save nothing on one processor")
def test_a_run_that_gains_has_no_note(site: Site) -> None:
    """Each of two workers works longer than it takes to start."""
    assert "slower" not in run(site, "-n2", seconds="0.5").output


def test_other_runs_have_no_note(site: Site) -> None:
    """One process; processes that --tx names; a quiet run; and tests of which nothing is known."""
    assert "slower" not in run(site).output
    assert "slower" not in run(site, "--dist=load", "--tx=2*popen").output
    assert "slower" not in run(site, "-n2", "-q").output
    (site.directory / "test_other.py").write_text("import pytest\n@pytest.mark.overlay\ndef test_other(): pass\n")
    done = run(site, "-n2", "test_other.py")
    assert ("test_other", "test_other") in done.results
    assert "slower" not in done.output

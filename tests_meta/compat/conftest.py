"""A cluster of three nodes for other plugins: two in chroots with BusyBox, and one that does not answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests_meta.site import Run, Site

BASE = ("testinfra.plugin", "xdist", "xdist.looponfail", "pytest_synctool.plugin")
_VARYING: Final = ("duration", "since", "cause", "entry_set")  # what differs from run to run


@dataclass(frozen=True)
class Results:
    """Our own results of a run: the exit status, the verdicts in junit.xml, and drift.json without times."""

    status: int
    tests: Counter[str]
    drift: object


@dataclass(frozen=True)
class Compat:
    """A site, and runs on it in which only named plugins are loaded. `alone` has the results of runs without others."""

    site: Site
    alone: dict[tuple[str, ...], Results]

    def run(self, *arguments: str, plugins: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> Run:
        """Run pytest with these plugins beside those that this one needs."""
        loaded = [word for plugin in (*BASE, *plugins) for word in ("-p", plugin)]
        return self.command(self.site.command(*loaded, *arguments), environment)

    def command(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
        """Run this command line of pytest, in a process that has loaded no plugin before."""
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})}
        return self.site.finish(self.site.start(command, alone), timeout=120)

    def results(self, run: Run) -> Results:
        """Return the results of the last run, the same for every site."""
        text = (self.site.directory / "reports" / "drift.json").read_text().replace(self.site.top, "@")
        document: dict[str, Any] = json.loads(text)
        sets = [sorted(map(json.dumps, entries)) for entries in document["entry_sets"]]  # plugins may change the order
        rows = [{**row, "entries": sets[row["entry_set"]]} for row in document["nodes"]] + document["results"]
        rows = [{key: value for key, value in row.items() if key not in _VARYING} for row in rows]
        ending = {key: document["run"][key] for key in ("mode", "complete", "exit_status")}
        drift = (ending, document["summary"], document["stale_waivers"], sorted(map(json.dumps, rows)))
        return Results(run.status, self.verdicts(run), drift)

    def verdicts(self, run: Run) -> Counter[str]:
        """Return what junit.xml has of each test."""
        verdicts = (f"{word} {key} {run.messages[key]}" for key, word in run.results.items())
        return Counter(verdict.replace(self.site.top, "@") for verdict in verdicts)

    def expected(self, *arguments: str) -> Results:
        """Return the results of a run without other plugins: they are the same in every test of this process."""
        if arguments not in self.alone:
            self.alone[arguments] = self.results(self.run(*arguments))
            self.reset()
        return self.alone[arguments]

    def reset(self) -> None:
        """Undo what runs have done to the nodes, and delete what they have written."""
        for root in (self.site.directory / "roots").iterdir():
            shutil.rmtree(root / "data", ignore_errors=True)
            (root / self.site.top[1:]).mkdir(parents=True)
            (root / self.site.top[1:] / "same").write_text("content\n")
        for name in ("reports", ".pytest_cache"):
            shutil.rmtree(self.site.directory / name, ignore_errors=True)


@pytest.fixture(scope="session")
def alone() -> dict[tuple[str, ...], Results]:
    """Return the results of runs without other plugins, by their arguments."""
    return {}


@pytest.fixture
def compat(site: Site, alone: dict[tuple[str, ...], Results]) -> Compat:
    """Return a site where each node but `gone` has a file in sync, one that is missing, one that is waived."""
    busybox = shutil.which("busybox")
    if busybox is None or os.geteuid():
        pytest.skip("needs root and busybox (Debian: busybox-static)")
    for name in ("node1", "node2"):
        root = site.directory / "roots" / name
        for directory in ("bin", "etc", "tmp", "var/lib"):
            (root / directory).mkdir(parents=True)
        shutil.copy(busybox, root / "bin" / "busybox")
        subprocess.run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True)
        (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\n")
        site.nodes[name] = f"batch connection:chroot://{root}"
    site.nodes["gone"] = "login connection:chroot:///nonexistent"
    site.put("same._all")
    site.put("missing._all")
    site.put("odd [name]::%._all")
    site.put("waived._all")
    site.delete("absent._all")
    waiver = f"- path: {site.top}/waived\n  groups: all\n  reason: known\n  expires: 2099-01-01\n"
    (site.masterdir / "waivers.yaml").write_text(waiver)
    made = Compat(site, alone)
    made.reset()
    return made

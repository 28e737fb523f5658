"""A cluster of three nodes for other plugins: two in chroots with BusyBox, and one that does not answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from tests_meta.site import Run, Site

BASE = ("testinfra.plugin", "xdist.plugin", "pytest_synctool.plugin")


@dataclass(frozen=True)
class Compat:
    """A site, and runs on it in which only named plugins are loaded."""

    site: Site

    def run(self, *arguments: str, plugins: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> Run:
        """Run pytest with these plugins beside those that this one needs."""
        loaded = [word for plugin in (*BASE, *plugins) for word in ("-p", plugin)]
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})}
        return self.site.pytest(*loaded, *arguments, environment=alone)

    def results(self) -> tuple[Counter[str], dict[str, object]]:
        """Return the test cases of junit.xml, and drift.json without what differs from run to run."""
        run = self.site.read(0, "")
        document = json.loads((self.site.directory / "reports" / "drift.json").read_text())
        return Counter(f"{word} {key} {run.messages[key]}" for key, word in run.results.items()), document["summary"]

    def reset(self) -> None:
        """Undo what repairs have done to the nodes."""
        for root in (self.site.directory / "roots").iterdir():
            shutil.rmtree(root / "data", ignore_errors=True)
            (root / self.site.top[1:]).mkdir(parents=True)
            (root / self.site.top[1:] / "same").write_text("content\n")


@pytest.fixture
def compat(site: Site) -> Compat:
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
    made = Compat(site)
    made.reset()
    return made

"""A whole cycle on nodes with other userlands gives the verdicts of a node with GNU coreutils."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests_meta.site import Run, Site
from tests_meta.terminal import run as run_command

USERLANDS = {"node1": ("coreutils", "uutils"), "node2": ("toybox", "toybox")}
GNU = "node3"
# Root's .bashrc is read before each command: the node's programs come first, what they lack comes from behind.
INSTALL = """
mkdir -p /run/other && cd /run/other
for name in $(PROGRAM | grep -oE '[a-z0-9]+'); do
  case $name in sh | bash) ;; *) [ ! -x "/usr/bin/$name" ] || ln -sf /usr/bin/PROGRAM "$name" ;; esac
done
echo 'PATH=/run/other:$PATH' >/root/.bashrc
"""


@pytest.fixture
def others(live: Site) -> Iterator[Site]:
    """Return a site whose node1 has uutils and whose node2 has toybox."""
    for program, package in USERLANDS.values():
        if shutil.which(program, path="/usr/bin") is None:
            pytest.skip(f"needs {program} of {package}")
    for node, (program, _) in USERLANDS.items():
        live.sh(node, INSTALL.replace("PROGRAM", program))
    yield live
    for node in USERLANDS:
        live.sh(node, "rm -rf /run/other /root/.bashrc")


def verdicts(site: Site, run: Run) -> dict[str, dict[str, str]]:
    """Return what each node's entries ended with."""
    found: dict[str, dict[str, str]] = {node: {} for node in site.nodes}
    for (classname, name), word in run.results.items():
        found[classname.rpartition(".")[2]][name] = word
    return found


def test_a_cycle_of_every_kind_of_drift(others: Site) -> None:
    others.put("file._all", "content\n")
    others.put("mode._all", "content\n", 0o600)
    others.put("deep/er/file._all", "content\n")
    others.put("odd grüße ' name._all", "content\n")
    others.link("link._all", "target")
    others.directory_of("directory._all", 0o700)
    others.delete("evil._all")
    others.script("file.post", "#!/bin/sh\necho fired >>fired\n")
    drift = "cd @; rm -r file link directory; mkdir file; touch evil; echo x >mode; ln -s link link; echo x >directory"
    for change in (":", drift, "rm -rf @"):
        for node in others.nodes:
            others.sh(node, f"rm -rf @/*.saved; {change}")
        for options, status in (((), 1), (("--fix",), 0), ((), 0)):
            run = others.pytest(*options)
            assert run.status == status, run.output
            each = verdicts(others, run)
            assert each["node1"] == each["node2"] == each[GNU]
        snapshots = {others.snapshot(node) for node in others.nodes}
        assert len(snapshots) == 1


def test_dsh_and_dcp(others: Site) -> None:
    others.configure()
    for node in others.nodes:
        others.sh(node, "mkdir -p @")
    (others.directory / "copied").write_text("copied\n")
    copied = run_command(others.directory, "dcp", "-a", "-d", others.top, "copied")
    assert copied.status == 0, copied
    read = run_command(others.directory, "dsh", "-a", f"cat {others.top}/copied; exit 3")
    assert (read.status, read.out, read.err) == (3, b"node[1-3]:\n    copied\n", b"node[1-3]:\n    exit status 3\n")

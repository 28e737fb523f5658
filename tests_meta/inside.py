"""pytest run on a node itself, as somebody who is logged in there would."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Run, Site

CHECKOUT: Final = Path(__file__).parents[1]
CONF: Final = "/etc/synctool.conf"
HOME: Final = "/run/inside"  # where pytest is started and its report is written

# The node's processes are in a chroot; entering the mount namespace that they are in anyway leads out of it, to where
# the machine's directories are and the node's are seen from outside.
_OUTSIDE: Final = "exec nsenter --mount=/proc/1/ns/mnt sh -ec {script} sh {root} {paths}"
_SHOW: Final = """
root=$1; shift
for path; do
    [ -z "$(ls -A "$root$path" 2>/dev/null)" ] || continue
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
    mount -o remount,bind,ro "$root$path"
done
"""
_HIDE: Final = """
root=$1; shift
for path; do if mountpoint -q "$root$path"; then umount "$root$path"; fi; done
"""


@dataclass(frozen=True)
class Inside:
    """A node on which this Python and the plugin are to be had. Its own synctool.conf is CONF."""

    site: Site
    cluster: EmbeddedCluster
    node: str

    def configure(self, *lines: str) -> None:
        """Write the node's synctool.conf: that of the site, with the path of its masterdir, and these lines."""
        text = self.site.configure().read_text().replace("masterdir masterdir", f"masterdir {self.site.masterdir}")
        self.cluster.write(self.node, CONF, "\n".join((text, *lines, "")).encode())

    def pytest(self, *arguments: str, prefix: Sequence[str] = ()) -> Run:
        """Run the compliance suite there on CONF; `prefix` are words in front of the command line."""
        report = f"{HOME}/junit.xml"
        command = [*prefix, sys.executable, "-m", "pytest", "--pyargs", "synctool_checks", "-p", "no:cacheprovider"]
        command += ["-p", "no:hypothesispytest"]
        command += [f"--synctool-conf={CONF}", f"--junitxml={report}", *arguments]
        script = f"umask 022; mkdir -p {HOME} && chmod 777 {HOME} && cd {HOME} && rm -f {report} || exit 1\n"
        script += f"COLUMNS=200 exec {shlex.join(command)} 2>&1"
        done = self.cluster.run(self.node, script, check=False, timeout=120)
        there = self.site.directory / "junit.xml"
        there.unlink(missing_ok=True)
        if content := self.cluster.run(self.node, f"cat {report} 2>&- || :").stdout:
            there.write_bytes(content)
        return self.site.read(done.returncode, done.stdout.decode(errors="replace"))

    def synctool(self, *arguments: str) -> tuple[int, list[str]]:
        """Run `synctool` there on CONF: its exit status and its lines."""
        command = [sys.executable, "-m", "pytest_synctool.cli.synctool", "-c", CONF, *arguments]
        done = self.cluster.run(self.node, f"{shlex.join(command)} 2>&1", check=False, timeout=120)
        return done.returncode, done.stdout.decode().splitlines()


@contextlib.contextmanager
def inside(site: Site, node: str) -> Iterator[Inside]:
    """A node with this Python. What is made visible there is read-only, and gone afterwards."""
    cluster = site.cluster
    assert cluster is not None
    root = cluster.directory / "nodes" / node / "root"
    paths = sorted({CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}, key=lambda path: len(path.parts))

    def outside(script: str, those: Sequence[Path]) -> None:
        words = {"script": shlex.quote(script), "root": shlex.quote(str(root)), "paths": shlex.join(map(str, those))}
        cluster.run(node, _OUTSIDE.format(**words))

    try:
        outside(_SHOW, paths)
        yield Inside(site, cluster, node)
    finally:
        outside(_HIDE, paths[::-1])
        cluster.run(node, f"rm -rf {CONF} {HOME}")

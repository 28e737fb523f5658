"""A cluster's configuration and masterdir for a test, and pytest run on it as an administrator would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta import forked_pytest

# A site that says how rsync should work gets no mirror by tar.
BY_RSYNC = "rsync_cmd rsync --rsync-path=rsync"

# Of the directory `links` on a node makes a link that leads there, by more links than the kernel follows.
TOO_MANY_LINKS = """
mv links 41; for n in $(seq 0 40); do ln -s $((n + 1)) $n; done; ln -s 0 links
"""


@dataclass(frozen=True)
class Run:
    """How a run of pytest ended. `results` has a word (passed, failure, error, skipped) per junit test case."""

    status: int
    output: str
    results: Mapping[tuple[str, str], str]
    messages: Mapping[tuple[str, str], str]

    def word(self, node: str, destination: str, kind: str = "overlay") -> str:
        """The result of one entry of one node."""
        return self.results[(f"synctool_checks.test_{kind}.{node}", destination)]

    def message(self, node: str, destination: str, kind: str = "overlay") -> str:
        """What the report says of one entry of one node."""
        return self.messages[(f"synctool_checks.test_{kind}.{node}", destination)]

    def count(self, word: str) -> int:
        """How many tests ended with this word."""
        return list(self.results.values()).count(word)


@dataclass
class Site:
    """A directory with synctool.conf and a masterdir. Destinations lie below `top`, a directory of this test alone."""

    directory: Path
    name: str
    nodes: dict[str, str] = field(default_factory=lambda: {"node1": "batch"})
    lines: list[str] = field(default_factory=list)
    cluster: EmbeddedCluster | None = None

    def __post_init__(self) -> None:
        self.masterdir = self.directory / "masterdir"
        self.top = f"/data/{zlib.crc32(os.fsencode(self.directory)):08x}"
        for tree in ("overlay", "delete"):
            (self.masterdir / tree).mkdir(parents=True)
        self.masterdir.chmod(0o700)  # sources have the owners and modes that nodes need
        self.directory.chmod(0o755)

    def put(
        self, name: str | bytes, content: str | bytes = "content\n", mode: int = 0o644, tree: str = "overlay"
    ) -> Path:
        """A file below the test's own top; directories above it are made with mode 0755."""
        path = self._path(name, tree)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def link(self, name: str, target: str) -> None:
        """A symbolic link below the test's own top."""
        self._path(name, "overlay").symlink_to(target)

    def directory_of(self, name: str, mode: int = 0o755) -> None:
        """A directory below the test's own top."""
        path = self._path(name, "overlay")
        path.mkdir(exist_ok=True)
        path.chmod(mode)

    def delete(self, name: str) -> None:
        """A name that must not exist, below the test's own top."""
        self.put(name, "", tree="delete")

    def script(self, name: str, text: str) -> None:
        """An executable trigger below the test's own top."""
        self.put(name, text, 0o755)

    def _path(self, name: str | bytes, tree: str) -> Path:
        path = self.masterdir / tree / self.top[1:] / os.fsdecode(name)
        made = []
        for parent in path.parents:
            if parent.exists():
                break
            made.append(parent)
        for parent in reversed(made):
            parent.mkdir()
            parent.chmod(0o755)
        return path

    def configure(self) -> Path:
        """Write synctool.conf."""
        lines = ["masterdir masterdir", *self.lines]
        if self.cluster is not None:
            lines.append(f"ssh_cmd ssh -F {self.cluster.ssh_config}")
        lines += [f"node {name} {rest}" for name, rest in self.nodes.items()]
        path = self.directory / "synctool.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(self, *arguments: str, configured: bool = True) -> list[str]:
        """The command line of a run, without Hypothesis, which takes as long to load as all else."""
        conf = [f"--synctool-conf={self.configure()}"] if configured else []
        report = f"--junitxml={self.directory / 'junit.xml'}"
        suite, quick = ["--pyargs", "synctool_checks"], ["-p", "no:hypothesispytest"]
        return [sys.executable, "-m", "pytest", *suite, *conf, report, *quick, *arguments]

    def pytest(
        self,
        *arguments: str,
        configured: bool = True,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
        timeout: float = 120,
    ) -> Run:
        """Run the compliance suite on this site, in its directory."""
        started = list(command or self.command(*arguments, configured=configured))
        if started[:3] != [sys.executable, "-m", "pytest"]:
            return self.finish(self.start(started, environment), timeout)
        (self.directory / "junit.xml").unlink(missing_ok=True)
        status, output = forked_pytest.run(started[3:], str(self.directory), self._environment(environment), timeout)
        return self.read(status, output.decode(errors="replace"))

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a run, in a process group of its own."""
        (self.directory / "junit.xml").unlink(missing_ok=True)
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    @staticmethod
    def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
        """The environment of a run: that of the tests, but for what steers pytest and its plugin, and `more`."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SYNCTOOL_"))}
        return {**inherited, "COLUMNS": "200", **(more or {})}

    def finish(self, process: subprocess.Popen[str], timeout: float) -> Run:
        """How a run ended; it is killed after `timeout` seconds."""
        with process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return self.read(process.returncode, output)

    def read(self, status: int, output: str) -> Run:
        """What a run that has ended left behind: its exit status, its output, and its report."""
        report = self.directory / "junit.xml"
        results, messages = {}, {}
        if report.exists():
            for case in ElementTree.parse(report).iter("testcase"):
                key = (case.get("classname", ""), case.get("name", ""))
                assert key not in results, f"two test cases {key}"
                outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
                results[key] = "passed" if outcome is None else outcome.tag
                messages[key] = "" if outcome is None else f"{outcome.get('message')}\n{outcome.text}"
        return Run(status, output, results, messages)

    def sh(self, node: str, command: str) -> str:
        """Run a command on a node, not through ssh; `@` stands for the test's own top. Returns its output."""
        assert self.cluster is not None
        return self.cluster.run(node, command.replace("@", self.top)).stdout.decode(errors="surrogateescape")

    def snapshot(self, node: str) -> str:
        """Everything below the test's own top on a node, with type, mode, owner, size, target and digest."""
        look = "find @ -mindepth 0 -printf '%P %y %m %U:%G %s %l\\n' 2>/dev/null | sort; "
        look += "find @ -type f -exec md5sum {} + 2>/dev/null | sort"
        return self.sh(node, look)


def without_times(output: str) -> str:
    """The output of pytest with durations taken out."""
    return re.sub(r"\d+\.\d+s", "", output)

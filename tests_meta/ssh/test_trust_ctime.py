"""--trust-ctime on real nodes: a large file is read once, and then only if anything about it has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests_meta import terminal
from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Run, Site

LARGE = b"x" * (1 << 20)
DAY = 24 * 60 * 60
WRONG = "0" * 32
NODES = pytest.mark.parametrize("node", ["node1", "node5"])  # GNU, BusyBox


class Audits:
    """A site whose node has a large file, as it should be, since more than two seconds."""

    def __init__(self, live: Site, cache: Path) -> None:
        self.live, self.cache = live, cache

    def on(self, *nodes: str) -> Audits:
        """Choose the nodes, and bring the file there."""
        self.live.nodes = dict.fromkeys(nodes, "batch")
        self.live.put("large._all", LARGE)
        self.live.put("small._all", b"y")
        assert self.run("--fix").status == 0
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until the last change of the file is clearly older than the next look."""
        for node in self.live.nodes:
            self.live.sh(node, "until [ $(date +%s) -gt $(($(stat -c %Z @/large) + 3)) ]; do sleep 0.1; done")

    def run(self, *arguments: str) -> Run:
        """Run pytest with a cache directory of its own."""
        return self.live.pytest(*arguments, environment={"XDG_CACHE_HOME": str(self.cache)})

    def audit(self, *arguments: str) -> tuple[int, int]:
        """Run an audit that trusts ctimes; return its exit status and the number of files that were not read."""
        return self.run("--trust-ctime", *arguments).status, self.report()["summary"]["files_not_read"]

    def report(self) -> Any:
        """Return drift.json."""
        return json.loads((self.live.directory / "reports/drift.json").read_text())

    @property
    def files(self) -> list[Path]:
        """The files in which digests are remembered."""
        return sorted((self.cache / "pytest-synctool/nodes").glob("*"))

    def remember(self, change: Callable[[list[Any]], None]) -> None:
        """Change each row (path, stamp, digest, time) that is remembered."""
        for file in self.files:
            document = json.loads(file.read_text())
            for row in document["files"]:
                change(row)
            file.write_text(json.dumps(document))

    def lie(self) -> None:
        """Replace the remembered digests by wrong ones: whoever uses them finds drift."""

        def change(row: list[Any]) -> None:
            row[2] = WRONG

        self.remember(change)


@pytest.fixture
def audits(live: Site, tmp_path: Path) -> Audits:
    """Return audits with an empty cache directory."""
    return Audits(live, tmp_path / "cache")


@NODES
def test_a_file_is_read_once(audits: Audits, node: str) -> None:
    audits.on(node)
    assert audits.audit() == (0, 0)
    assert audits.audit() == (0, 1)
    assert audits.run().status == 0
    assert audits.report()["nodes"][0]["files_not_read"] == 0  # without the option all are read
    audits.lie()
    assert audits.run().status == 0
    assert audits.audit() == (1, 1)  # so the digest is that of the memory


@ALONE_AND_XDIST
def test_reports_say_how_many_were_not_read(audits: Audits, workers: tuple[str, ...]) -> None:
    audits.on("node1", "node2", "node5")
    audits.audit(*workers)
    run = audits.run("--trust-ctime=3", *workers)
    assert "3 files were not read: unchanged since an earlier audit, by ctime (--trust-ctime)" in run.output
    report = audits.report()
    assert report["summary"]["files_not_read"] == 3
    assert [node["files_not_read"] for node in report["nodes"]] == [1, 1, 1]
    history = terminal.run(audits.live.directory, "synctool-history", "--json").out
    assert [run["files_not_read"] for run in json.loads(history)["runs"]][-2:] == [0, 3]
    line = b"3 files were not read: unchanged since an earlier audit, by ctime (--trust-ctime)\n"
    assert line in terminal.run(audits.live.directory, "synctool-history", "-1").out
    junit = ElementTree.parse(audits.live.directory / "junit.xml")
    assert [p.get("value") for p in junit.iter("property") if p.get("name") == "files not read"] == ["3"]


@NODES
def test_a_change_with_a_forged_mtime_is_found(audits: Audits, node: str) -> None:
    audits.on(node)
    audits.audit()
    audits.live.sh(node, "cp -p @/large /tmp/before; printf z | dd of=@/large bs=1 seek=5000 conv=notrunc 2>&1")
    audits.live.sh(node, "touch -r /tmp/before @/large")
    assert audits.audit() == (1, 0)
    audits.settle()
    audits.audit()
    assert audits.audit() == (1, 1)  # the digest of what differs is remembered too


@NODES
def test_another_file_of_that_name_is_read(audits: Audits, node: str) -> None:
    audits.on(node)
    audits.audit()
    audits.live.sh(node, "cp -p @/large @/other; mv @/other @/large")
    assert audits.audit() == (0, 0)


@NODES
def test_a_repair_reads_everything(audits: Audits, node: str) -> None:
    audits.on(node)
    audits.audit()
    before = [file.read_bytes() for file in audits.files]
    audits.lie()
    assert audits.run("--fix", "--trust-ctime").status == 0
    assert audits.report()["summary"]["files_not_read"] == 0
    assert [file.read_bytes() for file in audits.files] != before  # and what is remembered stays as it is
    assert audits.audit() == (1, 1)


def test_a_digest_is_trusted_for_so_many_days(audits: Audits) -> None:
    audits.on("node1")
    audits.audit()

    def age(days: float) -> Callable[[list[Any]], None]:
        def change(row: list[Any]) -> None:
            row[3] = time.time() - days * DAY

        return change

    audits.remember(age(2.9))
    assert audits.audit("--trust-ctime=3")[1] == 1
    audits.remember(age(3.1))
    assert audits.audit("--trust-ctime=3")[1] == 0
    assert audits.audit("--trust-ctime=3")[1] == 1  # it was read, and is remembered again
    audits.remember(age(-1))  # the clock was put back
    assert audits.audit()[1] == 0


def test_only_what_nobody_else_can_write_is_trusted(audits: Audits) -> None:
    audits.on("node1")
    audits.audit()
    (file,) = audits.files
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    audits.lie()
    file.chmod(0o666)
    assert audits.audit() == (0, 0)
    (file,) = audits.files  # a new one
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text()[:-5])
    assert audits.audit() == (0, 0)
    audits.lie()
    file.parent.chmod(0o777)
    run = audits.run("--trust-ctime")
    assert run.status == 0
    assert "WARNING node1: digests cannot be remembered, all files are read: " in run.output


@NODES
def test_files_that_others_can_exchange(audits: Audits, node: str) -> None:
    """What was read is remembered by the open file, and a link above it is not followed."""
    audits.live.directory_of("home")
    audits.live.put("home/large._all", LARGE)
    audits.on(node)
    audits.live.sh(node, "chown -R 1000 @/home; chown 0 @/home/large")
    audits.settle()
    audits.live.sh(node, "until [ $(date +%s) -gt $(($(stat -c %Z @/home/large) + 3)) ]; do sleep 0.1; done")
    audits.audit()
    assert audits.audit() == (1, 2)  # the owner of the directory differs
    audits.live.sh(node, "mv @/home @/away; ln -s away @/home")
    status, number = audits.audit()
    assert (status, number) == (1, 1)


def test_the_command_synctool(audits: Audits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(audits.cache))
    audits.on("node1")
    line = b"1 file was not read: unchanged since an earlier audit, by ctime (--trust-ctime)"
    words = [["synctool"], ["synctool", "--trust-ctime"], ["synctool", "--trust-ctime=2"], ["synctool"]]
    outputs = [terminal.run(audits.live.directory, *each).out for each in words]
    assert [line in output for output in outputs] == [False, False, True, False]


@pytest.mark.parametrize("value", ["0", "-1", "x", "99999"])
def test_a_wrong_number_of_days(live: Site, value: str) -> None:
    run = live.pytest(f"--trust-ctime={value}")
    assert run.status == 4
    assert f"expected a number of days from 1, not '{value}': write --trust-ctime=7" in run.output


def test_days_are_part_of_the_word(live: Site) -> None:
    run = live.pytest("--trust-ctime", "3")
    assert run.status == 4
    assert "write --trust-ctime=3 in one word" in run.output

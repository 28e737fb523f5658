"""Whatever is edited in a masterdir between two runs, the kept digests change nothing that a run expects."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool import config as configuration
from pytest_synctool.model import FileState
from pytest_synctool.repository import digests
from pytest_synctool.repository.resolution import load

_EDITS: Final = 12
_RUNS: Final = 12
_CONF: Final = "masterdir master\nnode node1 batch\nnode node2 login\n"


class Masterdir:
    """A masterdir that is edited at random."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.top, self.dice = directory / "master", random.Random(seed)
        self.conf = directory / "synctool.conf"
        self.conf.write_text(_CONF)
        (self.top / "overlay").mkdir(parents=True)
        (self.top / "overlay").chmod(0o755)
        self.top.chmod(0o700)
        self.clock = directory / "clock"
        for _ in range(30):
            self.add()

    def _pick(self, is_wanted: Callable[[Path], bool]) -> Path | None:
        paths = sorted(path for path in (self.top / "overlay").rglob("*") if is_wanted(path))
        return self.dice.choice(paths) if paths else None

    def _file(self) -> Path | None:
        return self._pick(lambda path: path.is_file() and not path.is_symlink())

    def _name(self) -> str:
        return f"f{self.dice.randrange(12)}._{self.dice.choice(['all', 'batch', 'login', 'node1', 'unknown'])}"

    def _content(self) -> bytes:
        return self.dice.randbytes(self.dice.choice([0, 4, 4, 4, 9]))

    def add(self) -> None:
        above = self._pick(Path.is_dir) or self.top / "overlay"
        if self.dice.random() < 0.2 and len(above.parts) - len(self.top.parts) < 4:
            (above / f"d{self.dice.randrange(3)}").mkdir(exist_ok=True)
        elif not (path := above / self._name()).is_symlink():
            path.write_bytes(self._content())

    def remove(self) -> None:
        if (path := self._file()) is not None:
            path.unlink()

    def rename(self) -> None:
        if (path := self._file()) is not None:
            path.rename(path.with_name(self._name()))

    def exchange(self) -> None:
        """Exchange two files, or two directories."""
        is_wanted = self.dice.choice([Path.is_file, Path.is_dir])
        one, other = self._pick(is_wanted), self._pick(is_wanted)
        if one and other and one != other and not (one.is_relative_to(other) or other.is_relative_to(one)):
            aside = self.top / "aside"
            one.rename(aside)
            other.rename(one)
            aside.rename(other)

    def mode(self) -> None:
        if (path := self._file()) is not None:
            path.chmod(self.dice.choice([0o600, 0o644, 0o755]))

    def edit(self) -> None:
        """Write other contents in place, of the same size and with the same time."""
        if (path := self._file()) is not None:
            before = path.stat()
            with path.open("r+b") as file:
                file.write(self.dice.randbytes(before.st_size))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def replace(self) -> None:
        """Put another file in the place of one, of the same size and with the same time."""
        if (path := self._file()) is not None:
            before, new = path.stat(), self.top / "new"
            new.write_bytes(self.dice.randbytes(before.st_size))
            os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
            new.replace(path)

    def link(self) -> None:
        if (path := self._file()) is not None:
            name = path.with_name(self._name())
            if not os.path.lexists(name):
                self.dice.choice([name.hardlink_to, name.symlink_to])(path)

    def attributes(self) -> None:
        mode = self.dice.choice(["0600", "0644"])
        rule = f"- path: /f{self.dice.randrange(12)}\n  groups: batch\n  mode: '{mode}'\n"
        (self.top / "attributes.yaml").write_text(rule)

    def groups(self) -> None:
        one, other = self.dice.sample(["batch", "login"], 2)
        self.conf.write_text(f"masterdir master\nnode node1 {one}\nnode node2 {other}\n")

    def edit_often(self) -> None:
        """Edit the masterdir when the clock of its file system has gone on."""
        self.clock.write_bytes(b"")
        last = self.clock.stat().st_ctime_ns
        while self.clock.stat().st_ctime_ns == last:
            self.clock.write_bytes(b"")
        kinds = (self.add, self.remove, self.rename, self.exchange, self.mode, self.edit, self.edit, self.replace)
        for _ in range(self.dice.randrange(_EDITS)):
            self.dice.choice((*kinds, self.link, self.attributes, self.groups))()

    def expected(self, *, cached: bool) -> tuple[dict[tuple[str, bytes], tuple[FileState, bytes]], int]:
        """Return what a run expects on the nodes, and from how many sources whose digest was kept."""
        config = configuration.load(self.conf)
        repository = load(config, cached=cached)
        entries = [(node.name, entry) for node in config.nodes.values() for entry in repository.entries(node)]
        known = sum(entry.source.state.md5 is not None for _, entry in entries)
        states = {(node, entry.destination): (entry.expected, entry.source.relative) for node, entry in entries}
        repository.masterdir.digests.store()
        return states, known


@pytest.mark.parametrize("seed", range(8))
def test_runs_with_and_without_kept_digests_expect_the_same(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "is_local", lambda path: True)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_000_000_000)  # nothing has just changed
    masterdir = Masterdir(tmp_path, seed)
    kept = 0
    for _ in range(_RUNS):
        masterdir.edit_often()
        with_cache, known = masterdir.expected(cached=True)
        assert with_cache == masterdir.expected(cached=False)[0]
        kept += known
    assert kept > 20  # else nothing was tried


@pytest.mark.parametrize("seed", range(4))
def test_of_what_changes_all_the_time_nothing_is_kept(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "is_local", lambda path: True)
    masterdir = Masterdir(tmp_path, seed)
    for _ in range(_RUNS):
        masterdir.edit()
        with_cache, known = masterdir.expected(cached=True)
        assert with_cache == masterdir.expected(cached=False)[0]
        assert not known

"""The revision of a masterdir in git, with real repositories."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.trust import Trust
from pytest_synctool.model import Revision
from pytest_synctool.repository.revision import RevisionLook, parsed

OURS = Trust.of_caller()
COMMIT = "1f4b0c" + "0" * 34


def git(place: Path, *words: str) -> str:
    """Run git and return its output."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def masterdir(tmp_path: Path) -> Path:
    """Return a masterdir below the top of a repository with one commit."""
    place = tmp_path / "top" / "masterdir"
    place.mkdir(parents=True)
    git(place.parent, "init", "-q")
    (place / "file").write_text("one")
    git(place.parent, "add", ".")
    git(place.parent, "commit", "-qm", "one")
    return place


def test_a_commit_and_what_differs_from_it(masterdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(masterdir, "rev-parse", "HEAD")
    (masterdir.parent / "beside").write_text("not in the masterdir")
    (masterdir / ".synctool-lock").write_text("root@here")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")  # as in a hook of git
    assert RevisionLook(masterdir, OURS).result() == Revision(commit, is_dirty=False)
    (masterdir / "new").write_text("")
    assert RevisionLook(masterdir, OURS).result() == Revision(commit, is_dirty=True)
    (masterdir / "new").unlink()
    (masterdir / "file").unlink()
    assert RevisionLook(masterdir, OURS).result() == Revision(commit, is_dirty=True)


def test_no_revision(tmp_path: Path, masterdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    assert RevisionLook(plain, OURS).result() is None
    git(plain, "init", "-q")
    assert RevisionLook(plain, OURS).result() is None  # no commit
    assert RevisionLook(tmp_path / "nowhere", OURS).result() is None
    monkeypatch.setenv("PATH", "")
    assert RevisionLook(masterdir, OURS).result() is None


def test_a_repository_runs_no_program_of_its_own(masterdir: Path, tmp_path: Path) -> None:
    """A configuration that somebody else can change is not even read; fsmonitor is off in any case."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(masterdir, "config", "core.fsmonitor", str(program))
    assert RevisionLook(masterdir, OURS).result() is not None
    git(masterdir, "config", "filter.x.clean", str(program))
    (masterdir / ".gitattributes").write_text("* filter=x\n")
    (masterdir / "file").write_text("two")
    config = masterdir.parent / ".git" / "config"
    config.chmod(stat.S_IMODE(config.stat().st_mode) | stat.S_IWOTH)
    assert RevisionLook(masterdir, OURS).result() is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_a_checkout_of_a_trusted_account(masterdir: Path) -> None:
    for path in (masterdir.parent, *masterdir.parent.rglob("*")):
        os.chown(path, 4711, 4711)
    assert RevisionLook(masterdir, OURS).result() is None
    assert RevisionLook(masterdir, Trust(frozenset((0, 4711)))).result() is not None


@given(st.binary())
def test_the_output_of_git(text: bytes) -> None:
    assert parsed(text) is None or b"# branch.oid " in text
    head = f"# branch.oid {COMMIT}\n# branch.head x\n".encode()
    dirty = any(line and not line.startswith(b"#") for line in text.split(b"\n"))
    assert parsed(head + text) == Revision(COMMIT, dirty)

"""What is asked for, as a digest: it changes with each part of a state, and with nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pytest_synctool.model import Kind
from pytest_synctool.report.signature import UNREADABLE, signature
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.helpers import entry, state


def test_each_part_counts() -> None:
    plain = state()
    states = [
        plain,
        replace(plain, mode=0o600),
        replace(plain, owner="daemon", uid=1),
        replace(plain, group="daemon", gid=1),
        replace(plain, md5="1" * 32),
        replace(plain, size=4),
        state(Kind.DIRECTORY),
        state(Kind.LINK),
        state(Kind.LINK, target=b"elsewhere\xff"),
    ]
    found = [signature(entry(b"/etc/motd", one)) for one in states]
    assert len(set(found)) == len(states)
    assert {len(one) for one in found} == {16}


def test_nothing_else_counts() -> None:
    """Neither where the source is, nor a trigger, nor the size of a directory."""
    found = {
        signature(entry(b"/etc/motd", trigger=b"overlay/etc/motd.post", relative=b"overlay/etc/motd._batch")),
        signature(entry(b"/etc/motd", masterdir=b"/elsewhere")),
    }
    assert len(found) == 1
    assert signature(entry(b"/a", state(Kind.DIRECTORY))) == signature(entry(b"/a", state(Kind.DIRECTORY, size=99)))


def test_what_has_to_be_gone() -> None:
    assert signature(entry(b"/etc/motd", tree=Tree.DELETE)) == "absent"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    source = Source(Tree.OVERLAY, os.fsencode(tmp_path), b"overlay/etc/motd._all", b"/etc/motd", state())
    assert signature(Entry(source)) == UNREADABLE

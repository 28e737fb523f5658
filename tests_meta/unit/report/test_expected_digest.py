"""Signatures of expected states: each part of a state changes the signature, and nothing else does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pytest_synctool.model import Kind
from pytest_synctool.report.expected_digest import UNREADABLE, signature
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.exclusive import exclusive_contents
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
    signatures = [signature(entry(b"/etc/motd", one)) for one in states]
    assert len(set(signatures)) == len(states)
    assert {len(one) for one in signatures} == {16}


def test_nothing_else_counts() -> None:
    """The path of the source, a trigger and the size of a directory make no difference."""
    signatures = {
        signature(entry(b"/etc/motd", trigger=b"overlay/etc/motd.post", relative=b"overlay/etc/motd._batch")),
        signature(entry(b"/etc/motd", masterdir=b"/elsewhere")),
    }
    assert len(signatures) == 1
    assert signature(entry(b"/a", state(Kind.DIRECTORY))) == signature(entry(b"/a", state(Kind.DIRECTORY, size=99)))


def test_an_entry_of_delete() -> None:
    assert signature(entry(b"/etc/motd", tree=Tree.DELETE)) == "absent"


def test_an_unreadable_source(tmp_path: Path) -> None:
    source = Source(Tree.OVERLAY, os.fsencode(tmp_path), b"overlay/etc/motd._all", b"/etc/motd", state(md5=None))
    assert signature(Entry(source)) == UNREADABLE


def test_an_exclusive_directory() -> None:
    """Its contents have a signature of the names that it may have, and of the patterns that allow others."""

    def contents(*allow: str, more: tuple[Entry, ...] = ()) -> Entry:
        top = Entry(entry(b"/d", state(Kind.DIRECTORY)).source, attributes=Attributes(exclusive="yes", allow=allow))
        return exclusive_contents([top, *more])[0]

    made = [contents(), contents("x"), contents(more=(entry(b"/d/x"),)), contents(more=(entry(b"/d/y"),))]
    assert len({signature(each) for each in made}) == len(made)
    assert signature(contents()) == signature(contents(more=(entry(b"/e/x"),)))

"""Old versions that go away: those of the journal, known by device, inode and size; with real shells."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shell import whole
from pytest_synctool.model import OldVersions
from pytest_synctool.repair import plan
from pytest_synctool.repair.erasure import Erasures, erasures
from pytest_synctool.repair.kept_versions import SavedFile, parse_recalled, parse_saved_files, recall
from pytest_synctool.repair.plan import KeptVersion
from pytest_synctool.repair.script import Context, Result

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import ODD_NAMES, Shell, too_many_links


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def chosen(node: DiskNode, *only: str) -> Erasures:
    """What would be erased: everything, or the old versions of these files."""
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    answer = node.shell.run(whole(recall(context, earlier=True, identified=True))).stdout
    return erasures(parse_saved_files(answer), {os.fsencode(node.files / name) for name in only})


def erase(node: DiskNode, erasures: Erasures) -> dict[str, str | None]:
    """Erase them; return the reason for each that stays."""
    todo = plan.erase(erasures.versions, {})
    results = node.carry_out(todo, who="the one that erases")
    names = [os.path.relpath(os.fsdecode(action.path), node.files) for action in todo.actions]
    return {name: None if result is None else result.failure for name, result in zip(names, results, strict=True)}


def names_in(node: DiskNode) -> list[str]:
    return sorted(str(path.relative_to(node.files)) for path in node.files.rglob("*"))


def test_what_was_kept_goes_away_and_nothing_else(node: DiskNode) -> None:
    """Files and links of all runs, whatever their names; what others have called .saved stays, and directories do."""
    names = [os.fsdecode(name) for name in ODD_NAMES]
    for name in names:
        (node.files / name).write_text("old")
    (node.files / "l").symlink_to("nowhere")
    (node.files / "d").mkdir()
    (node.files / "mine").write_text("in sync")
    (node.files / "mine.saved").write_text("by hand")
    assert set(node.fix(*(node.entry(name, EXPECTED["file"]) for name in names), who="one")) == {None}
    assert set(node.fix(node.entry("l", EXPECTED["file"]), node.entry("d", EXPECTED["file"]), who="two")) == {None}
    would = chosen(node)
    assert would.left == [f"{node.files}/d.saved stays: it is a directory: look into it, and remove it by hand"]
    assert would.reasons[os.fsencode(node.files / "l.saved")] == f"old version of {node.files}/l, kept by two"
    assert erase(node, would) == dict.fromkeys((*(f"{name}.saved" for name in names), "l.saved"))
    assert names_in(node) == sorted([*names, "d", "d.saved", "l", "mine", "mine.saved"])
    assert not chosen(node).versions


def test_what_cannot_be_looked_at_stays_and_is_told(node: DiskNode) -> None:
    (node.files / "f").write_text("old")
    saved = node.top / "old versions"
    assert node.fix(node.entry("f", EXPECTED["file"]), saved=os.fsencode(saved)) == [None]
    saved.rename(node.top / "elsewhere")
    too_many_links(saved)
    assert chosen(node) == Erasures({}, {}, [f"{saved}{node.files}/f stays: it cannot be looked at"], unknown=1)


def test_only_of_some_files() -> None:
    """By the name of the file, or of the old version."""
    recalled = {b"/%c" % n: [SavedFile(KeptVersion(b"/%c.saved" % n, b"0:0:600:1:2:3"), b"1:2:3")] for n in b"abc"}
    assert set(erasures(recalled, {b"/a", b"/b.saved"}).versions) == {b"/a.saved", b"/b.saved"}


def test_another_file_of_that_name_stays(node: DiskNode) -> None:
    """Also one that comes between the listing and the erasure, or gets the number of the old version's inode."""
    for name in "abc":
        (node.files / name).write_text("old")
    assert set(node.fix(*(node.entry(name, EXPECTED["file"]) for name in "abc"))) == {None}
    (node.files / "b.saved").unlink()
    (node.files / "b.saved").write_text("another")  # of the same size, it could have the same device and inode
    would = chosen(node)
    assert would.left == [f"{node.files}/b.saved stays: it is not what was kept there"]
    (node.files / "c.saved").rename(node.files / "elsewhere")
    (node.files / "c.saved").mkdir()
    assert erase(node, would) == {"a.saved": None, "c.saved": "it is not what was kept there"}
    with (node.files / "a.saved").open("w") as file:  # most file systems use a free inode at once
        file.write("old")
    assert not chosen(node, "a").versions
    assert not chosen(node, "a").left
    assert names_in(node) == ["a", "a.saved", "b", "b.saved", "c", "c.saved", "elsewhere"]


def test_in_a_directory_of_their_own(node: DiskNode, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a copy has other numbers, the size counts, if root alone may write there."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == node.files.stat().st_dev:
        shm = tmp_path_factory.mktemp("other")
    saved = shm / f"synctool-erased-{os.getpid()}"
    (node.files / "f").write_text("old")
    one = node.entry("f", EXPECTED["file"])
    old = Path(f"{saved}{node.files}/f")
    try:
        assert node.fix(one, saved=os.fsencode(saved)) == [None]
        would = chosen(node)
        assert set(would.versions) == {os.fsencode(old)}
        old.parent.chmod(0o777)
        assert node.carry_out(plan.erase(would.versions, {})) == [Result("it is not what was kept there")]
        old.parent.chmod(0o755)
        assert node.carry_out(plan.erase(would.versions, {})) == [Result(None)]
        assert not old.exists()
    finally:
        shutil.rmtree(saved, ignore_errors=True)


def test_no_link_leads_elsewhere(node: DiskNode) -> None:
    """The directory has become a link to one with a file of the same name."""
    (node.files / "d").mkdir()
    (node.files / "d/f").write_text("old")
    assert node.fix(node.entry("d/f", EXPECTED["file"])) == [None]
    would = chosen(node)
    (node.files / "d").rename(node.files / "e")
    (node.files / "d").symlink_to("e")
    (reason,) = erase(node, would).values()
    assert reason is not None
    assert "leads to" in reason
    assert (node.files / "e/f.saved").exists()


def test_a_version_erased_is_none_to_restore(node: DiskNode) -> None:
    """Not even if somebody puts a file there; an older one in another place still is."""
    one = node.entry("f", EXPECTED["file"])
    places: tuple[bytes | OldVersions, ...] = (os.fsencode(node.top / "saved"), OldVersions.BESIDE)
    for place in places:
        (node.files / "f").write_text("old")
        assert node.fix(one, saved=place, who=str(place)) == [None]
    assert erase(node, chosen(node, "f.saved")) == {"f.saved": None}
    (node.files / "f.saved").write_text("old")
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    recalled = parse_recalled(node.shell.run(whole(recall(context, earlier=True))).stdout)
    assert [version.path for version in recalled.values()] == [os.fsencode(f"{node.top}/saved{node.files}/f")]


STEPS = st.lists(
    st.tuples(st.sampled_from(["kept", "not replaced", "erased"]), st.sampled_from("ab"), st.sampled_from("xyz"))
)


@given(STEPS)
def test_the_last_record_decides(steps: list[tuple[str, str, str]]) -> None:
    """Against a reading from the first record to the last."""
    expected: dict[str, list[str]] = {}
    lines = []
    for step, path, place in steps:
        places = expected.setdefault(path, [])
        lines += [f"/{path}", f"/{place}", "-" if step == "erased" else "0:0:600:1:2:3", "me", "1:2:3"]
        if step == "erased":
            places[:] = [one for one in places if one != place]
        elif step == "kept":
            places.append(place)
        else:
            lines += [f"/{path}", "-", "-", "me", "-"]
    parsed = parse_saved_files("\n".join(["recalled", *lines, "end"]).encode())
    read = {path.decode(): [file.kept.path.decode() for file in files] for path, files in parsed.items()}
    assert read == {
        f"/{path}": [f"/{one}" for one in dict.fromkeys(reversed(places))]
        for path, places in expected.items()
        if places
    }


def test_many_records_take_little_time() -> None:
    began = time.process_time()
    kept = b"".join(b"/a\n/%d\n0:0:600:1:2:3\nme\n1:2:3\n" % number for number in range(20_000))
    gone = b"".join(b"/a\n/%d\n-\nme\n1:2:3\n" % number for number in range(20_000, 40_000))
    assert len(parse_saved_files(b"recalled\n%bend\n" % (kept + gone))[b"/a"]) == 20_000
    assert time.process_time() - began < 3

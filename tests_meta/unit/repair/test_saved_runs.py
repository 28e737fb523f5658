"""Old versions: where a repair keeps them, and how they come back, with real shells."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, OldVersions
from pytest_synctool.repair.kept_versions import parse_recalled, recall
from pytest_synctool.repair.plan import KeptVersion, Plan, restore
from pytest_synctool.repair.script import Context, Result
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import Command

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, lstat_state, too_many_links


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def names_in(node: DiskNode) -> list[str]:
    """The names of the node's files."""
    return sorted(path.name for path in node.files.iterdir())


def kept(node: DiskNode, *, earlier: bool = False) -> dict[str, KeptVersion]:
    """Return the old versions of the last repair, or of all, by name below the node's files."""
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    answer = node.shell.run(whole(recall(context, earlier=earlier))).stdout
    return {os.path.relpath(os.fsdecode(path), node.files): old for path, old in parse_recalled(answer).items()}


def recalled(node: DiskNode) -> dict[str, str]:
    """Return the paths of the old versions of the last repair, by name below the node's files."""
    return {name: os.fsdecode(old.path) for name, old in kept(node).items()}


def put_back(node: DiskNode, *entries: Entry) -> list[Result | None]:
    """Restore these from what was kept."""
    old = kept(node)
    pairs = [(one, old[os.path.relpath(os.fsdecode(one.destination), node.files)]) for one in entries]
    return node.carry_out(restore(pairs, {one.destination: one for one in entries}))


def test_in_a_directory_of_their_own(node: DiskNode) -> None:
    """Under their whole paths, not more open than the new ones, beside which nothing is left."""
    saved = node.top / "old versions"
    names = [os.fsdecode(name) for name in ODD_NAMES]
    for name in names:
        (node.files / name).write_bytes(b"old " + os.fsencode(name))
        os.chown(node.files / name, 7, 8)
        (node.files / name).chmod(0o604)
    entries = [node.entry(name, EXPECTED["file"]) for name in names]
    assert set(node.fix(*entries, saved=os.fsencode(saved))) == {None}
    assert names_in(node) == sorted(names)
    for name in names:
        old = Path(f"{saved}{node.files / name}")
        found = lstat_state(os.fsencode(old))
        assert found is not ABSENT
        assert (old.read_bytes(), found.uid, found.gid, found.mode) == (b"old " + os.fsencode(name), 0, 0, 0o600)
    assert recalled(node) == {name: f"{saved}{node.files / name}" for name in names}


def test_on_another_file_system(node: DiskNode, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a link cannot be made, a copy is."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == node.files.stat().st_dev:
        shm = tmp_path_factory.mktemp("other")
    saved = shm / f"synctool-saved-{os.getpid()}"
    (node.files / "f").write_text("old")
    (node.files / "d").mkdir()
    (node.files / "d/inside").write_text("kept")
    try:
        entries = [node.entry(name, EXPECTED["file"]) for name in "fd"]
        assert set(node.fix(*entries, saved=os.fsencode(saved))) == {None}
        assert Path(f"{saved}{node.files}/f").read_text() == "old"
        assert Path(f"{saved}{node.files}/d/inside").read_text() == "kept"
    finally:
        node.shell.run(b"rm -rf " + os.fsencode(saved))


def test_not_at_all(node: DiskNode) -> None:
    """But a directory is never thrown away."""
    (node.files / "f").write_text("old")
    (node.files / "d").mkdir()
    (node.files / "d/inside").write_text("kept")
    (node.files / "l").symlink_to("d")
    link = replace(node.entry("l", EXPECTED["directory"]), attributes=Attributes(follow=False))
    entries = [node.entry("f", EXPECTED["file"]), node.entry("d", EXPECTED["file"]), link]
    assert set(node.fix(*entries, saved=OldVersions.NOWHERE)) == {None}
    assert names_in(node) == ["d", "d.saved", "f", "l"]
    assert (node.files / "d.saved/inside").read_text() == "kept"
    assert recalled(node) == {"d": str(node.files / "d.saved")}


def test_nothing_to_recall(node: DiskNode) -> None:
    assert recalled(node) == {}
    assert node.fix(node.entry("f", EXPECTED["file"])) == [None]
    assert recalled(node) == {}


def test_what_cannot_be_looked_at_is_not_gone(node: DiskNode) -> None:
    """It is one to restore, and a restore that does not find it tells."""
    for name in "fg":
        (node.files / name).write_text("old")
    saved = node.top / "old versions"
    entries = [node.entry(name, EXPECTED["file"]) for name in "fg"]
    assert set(node.fix(*entries, saved=os.fsencode(saved))) == {None}
    Path(f"{saved}{node.files}/g").unlink()
    assert recalled(node) == {"f": f"{saved}{node.files}/f"}
    saved.rename(node.top / "elsewhere")
    assert recalled(node) == {}
    too_many_links(saved)
    assert recalled(node) == {name: f"{saved}{node.files}/{name}" for name in "fg"}
    for result in put_back(node, *entries):
        assert result is not None
        assert result.failure is not None
    assert [(node.files / name).read_text() for name in "fg"] == ["new", "new"]


def test_a_journal_that_cannot_be_read_is_no_empty_one() -> None:
    for answer in (b"refused /x/saved cannot be read\n", b"", b"recalled\n/a\n/a.saved\n"):
        with pytest.raises(RemoteError, match="what the last --fix has kept there cannot be told"):
            parse_recalled(answer)


def test_they_come_back(node: DiskNode) -> None:
    """Each as it was, and what has to run after a change runs; what was new stays; then there is nothing more."""
    (node.files / "f").write_text("old")
    (node.files / "f").chmod(0o600)
    (node.files / "l").symlink_to("/etc/passwd")
    (node.files / "d").mkdir()
    (node.files / "d/inside").write_text("kept")
    (node.files / "x").write_text("a file")
    script = node.trigger("overlay/f.post", f"#!/bin/sh\necho ran >>{node.top}/log\n")
    file, link = node.entry("f", EXPECTED["file"], trigger=script), node.entry("l", EXPECTED["file"])
    directory, made = node.entry("d", EXPECTED["file"]), node.entry("x", EXPECTED["directory"])
    before = {name: lstat_state(os.fsencode(node.files / name)) for name in "fldx"}
    new = node.entry("new", EXPECTED["file"])
    assert set(node.fix(file, link, directory, made, new)) == {None}
    assert set(recalled(node)) == {"f", "l", "d", "x"}
    assert set(put_back(node, file, link, directory, made)) == {Result(None)}
    assert {name: lstat_state(os.fsencode(node.files / name)) for name in "fldx"} == before
    assert ((node.files / "f").read_text(), (node.files / "d/inside").read_text()) == ("old", "kept")
    assert names_in(node) == ["d", "f", "l", "new", "x"]
    assert (node.top / "log").read_text() == "ran\nran\n"
    assert recalled(node) == {}


def test_what_cannot_come_back_is_not_lost(node: DiskNode) -> None:
    """Wherever it breaks off, the old version is still where it was kept."""
    (node.files / "f").write_text("old")
    (node.files / "f").chmod(0o4700)
    one = node.entry("f", EXPECTED["file"])
    assert node.fix(one) == [None]
    (node.files / "f").unlink()
    (node.files / "f/inside").mkdir(parents=True)
    (result,) = put_back(node, one)
    assert result is not None
    assert result.failure is not None
    assert ((node.files / "f.saved").read_text(), (node.files / "f.saved").stat().st_mode & 0o7777) == ("old", 0o600)
    (node.files / "f/inside").rmdir()
    assert put_back(node, one) == [Result(None)]
    assert ((node.files / "f").read_text(), (node.files / "f").stat().st_mode & 0o7777) == ("old", 0o4700)


def test_another_file_does_not_come_back(node: DiskNode) -> None:
    """Whoever may write in the directory could have put anything there."""
    (node.files / "f").write_text("old")
    one = node.entry("f", EXPECTED["file"])
    assert node.fix(one) == [None]
    (node.files / "f.saved").unlink()
    (node.files / "f.saved").write_text("theirs")
    assert put_back(node, one) == [Result("what is kept there was changed or replaced since")]
    assert (node.files / "f").read_text() == "new"


def test_another_directory_does_not_come_back(node: DiskNode) -> None:
    """Else its owner and mode would become those of the old one."""
    (node.files / "d").mkdir()
    os.chown(node.files / "d", 7, 8)
    one = node.entry("d", EXPECTED["file"])
    assert node.fix(one) == [None]
    (node.files / "d.saved").rename(node.files / "elsewhere")
    (node.files / "d.saved").mkdir(mode=0o700)
    (result,) = put_back(node, one)
    assert result == Result("what is kept there was changed or replaced since")
    state = (node.files / "d.saved").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (0, 0, 0o700)
    assert (node.files / "d").read_text() == "new"


def test_a_replacement_that_failed_leaves_nothing_behind(node: DiskNode) -> None:
    """Neither an old version nor a line in the journal; an older old version is there as before."""
    with node.unmovable("f"), node.unmovable("g"):
        (node.files / "f.saved").write_text("older")
        entries = [node.entry(name, EXPECTED["file"]) for name in "fgh"]
        failures = node.fix(*entries)
    assert [failure is None for failure in failures] == [False, False, True]
    assert names_in(node) == ["f", "f.saved", "g", "h"]
    assert (node.files / "f.saved").read_text() == "older"
    assert recalled(node) == {}


def test_only_of_the_last_repair(node: DiskNode) -> None:
    for name in "ab":
        (node.files / name).write_text(f"old {name}")
    one, two = (node.entry(name, EXPECTED["file"]) for name in "ab")
    assert node.fix(one) == [None]
    assert node.carry_out(Plan((), ()), who="another run") == []
    assert set(recalled(node)) == {"a"}
    assert node.fix(two, who="another run") == [None]
    assert set(recalled(node)) == {"b"}
    found = kept(node, earlier=True)
    assert {name: (old.path, old.by) for name, old in found.items()} == {
        "a": (os.fsencode(node.files / "a.saved"), b"me"),
        "b": (os.fsencode(node.files / "b.saved"), b"another run"),
    }
    assert node.carry_out(restore([(one, found["a"])], {one.destination: one}))[0] == Result(None)
    assert (node.files / "a").read_text() == "old a"
    assert set(kept(node, earlier=True)) == {"b"}


def test_records_of_earlier_repairs_have_a_bound(node: DiskNode) -> None:
    one = node.entry("a", EXPECTED["file"])
    journal = None
    for number in range(6):
        (node.files / "a").write_text(f"old {number}")
        assert node.fix(one, who=f"run {number}") == [None]
        (journal,) = (node.top / "state").glob("*/kept")
        with journal.with_name("kept").open("ab") as file:
            file.writelines(b"/gone/%d\n/gone/%d.saved\n-\n" % (n, n) for n in range(20_000))
    assert journal is not None
    assert sum(path.stat().st_size for path in journal.parent.iterdir()) < 4_000_000
    assert kept(node, earlier=True)["a"].by == b"run 5"


def test_a_directory_that_is_in_use_stays(node: DiskNode) -> None:
    """What was put into it since is not thrown away."""
    (node.files / "x").write_text("a file")
    made = node.entry("x", EXPECTED["directory"])
    assert node.fix(made) == [None]
    (node.files / "x/since").write_text("kept")
    (result,) = put_back(node, made)
    assert result is not None
    assert result.failure is not None
    assert re.search("not empty", result.failure)
    assert (node.files / "x/since").read_text() == "kept"
    assert (node.files / "x.saved").read_text() == "a file"


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d node3: (.*)")


def test_the_log_of_a_node(node: DiskNode) -> None:
    """Every action with time, node and result; triggers too. Nobody else may read it."""
    log = node.top / "node.log"
    (node.files / "b.saved").mkdir()
    (node.files / "b").write_text("old")
    fails = node.trigger("overlay/a.post", "#!/bin/sh\nexit 3\n")
    one, two = node.entry("a\x1b", EXPECTED["file"], trigger=fails), node.entry("b", EXPECTED["file"])
    node.fix(one, two, log=os.fsencode(log))
    found = [match[1] for line in log.read_text().splitlines() if (match := LINE.fullmatch(line))]
    assert sorted(found[:2]) + found[2:] == [
        f"{node.files}/a\\x1b created",
        f"{node.files}/b updated: FAILED {node.files}/b.saved is a directory, in the way",
        "running command $masterdir/overlay/a.post: FAILED exit status 3",
    ]
    assert len(log.read_text().splitlines()) == len(found)
    assert log.stat().st_mode & 0o777 == 0o640
    assert Command("post", b"overlay/a.post").announced == "command $masterdir/overlay/a.post"


def test_a_log_that_cannot_be_written_stops_nothing(node: DiskNode) -> None:
    one = node.entry("a", EXPECTED["file"])
    assert node.fix(one, log=b"/nowhere/at/all.log") == [None]
    (remark,) = node.remarks
    assert remark.startswith("its log is not complete: ")
    assert "/nowhere/at/all.log" in remark


@pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")
@pytest.mark.parametrize("what", ["open directory", "link", "dangling link", "pipe", "another's", "behind a link"])
def test_a_log_that_a_local_user_could_exchange_is_not_written(node: DiskNode, what: str) -> None:
    logs, victim = node.top / "logs", node.top / "victim"
    logs.mkdir()
    victim.write_text("as it was")
    log = logs / "synctool.log"
    match what:
        case "open directory":
            log.write_text("")
            logs.chmod(0o775)
        case "link" | "dangling link":
            log.symlink_to(victim if what == "link" else node.top / "made")
        case "pipe":
            os.mkfifo(log)
        case "another's":
            log.write_text("")
            os.chown(log, NOBODY, NOBODY)
        case _:
            (logs / "own").mkdir()
            os.chown(logs / "own", NOBODY, NOBODY)
            (logs / "own/link").symlink_to(node.top)
            log = logs / "own/link/open/synctool.log"
            (node.top / "open").mkdir()
            (node.top / "open").chmod(0o777)
    assert node.fix(node.entry("a", EXPECTED["file"]), log=os.fsencode(log)) == [None]
    (remark,) = node.remarks
    assert remark.startswith("its log is not complete: ")
    assert (victim.read_text(), (node.top / "made").exists()) == ("as it was", False)
    assert not log.is_file() or log.read_bytes() in (b"", b"as it was")


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_source_that_became_a_link_is_not_followed(node: DiskNode, number: int, what: str) -> None:
    """Nor is a pipe read, which would keep the node waiting."""
    entries = [node.entry(name, EXPECTED["file"]) for name in "abcde"[:number]]
    for entry in entries:
        assert entry.expected.size == 3  # it is read here, before the change
        source = node.master / os.fsdecode(entry.source.relative)
        source.unlink()
        if what == "link":
            source.symlink_to("/etc/passwd")
        else:
            os.mkfifo(source)
    for failure in node.fix(*entries):
        assert failure is not None
        assert "the source is no regular file any more" in failure
    assert not [path for path in node.files.rglob("*") if path.is_file()]


LONG = "d" * 250, "é" * 125, "f" * 255, "g" * 241, "$x'" * 84


def test_of_long_names(node: DiskNode) -> None:
    """A name that has no room for .saved gets a shorter one, which --restore finds; files and directories."""
    for name in LONG:
        (node.files / name).write_text(f"old {name}")
        (node.files / name).chmod(0o666)
    (node.files / LONG[0]).unlink()
    (node.files / LONG[0]).mkdir()
    (node.files / LONG[0] / "inside").write_text("kept")
    # The source of a file has an extension, which needs room too.
    kinds = ["file" if len(os.fsencode(name)) <= 250 else "link" for name in LONG]
    entries = [node.entry(name, EXPECTED[kind]) for name, kind in zip(LONG, kinds, strict=True)]
    assert set(node.fix(*entries)) == {None}
    assert not any(map(node.changes, entries))
    where = recalled(node)
    assert {os.path.basename(where[name]) for name in LONG} == set(names_in(node)) - set(LONG)
    assert [(Path(where[name]).read_text()) for name in LONG[1:]] == [f"old {name}" for name in LONG[1:]]
    assert [result and result.failure for result in put_back(node, *entries)] == [None] * len(LONG)
    assert sorted(names_in(node)) == sorted(LONG)
    assert (node.files / LONG[0] / "inside").read_text() == "kept"
    assert [(node.files / name).read_text() for name in LONG[1:]] == [f"old {name}" for name in LONG[1:]]


def test_a_replacement_of_a_long_name_that_failed_leaves_the_old_version(node: DiskNode) -> None:
    name = "n" * 250
    one = node.entry(name, EXPECTED["link"])
    (node.files / name).write_text("first")
    assert node.fix(one) == [None]
    (earlier,) = set(names_in(node)) - {name}
    (node.files / name).unlink()
    with node.unmovable(name):
        (failure,) = node.fix(one)
        assert failure is not None
        assert names_in(node) == sorted((name, earlier))
        assert (node.files / earlier).read_text() == "first"
    assert recalled(node) == {name: str(node.files / earlier)}


def test_behind_a_link_that_is_followed(node: DiskNode) -> None:
    """The records have the path that the masterdir has, so that --restore finds it; the old version is where it is."""
    (node.files / "real").mkdir()
    (node.files / "real/f").write_text("old")
    (node.files / "d").symlink_to("real")
    above = replace(node.entry("d", EXPECTED["directory"]), attributes=Attributes(follow=True))
    one = node.entry("d/f", EXPECTED["file"])
    assert node.fix(one, of=(above,)) == [None]
    old = kept(node)
    assert {name: os.fsdecode(version.path) for name, version in old.items()} == {"d/f": f"{node.files}/real/f.saved"}
    entries = {each.destination: each for each in (above, one)}
    assert node.carry_out(restore([(one, old["d/f"])], entries)) == [Result(None)]
    assert (node.files / "real/f").read_text() == "old"
    assert recalled(node) == {}

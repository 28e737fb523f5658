"""Plans carried out by real shells: everything is put right, nothing is lost, what fails is told."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.model import ABSENT, FileState, Kind
from pytest_synctool.repair.plan import NewVersion, Plan, plan
from pytest_synctool.repair.script import Result
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, lstat_state, snapshot, state, too_many_links

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

ROOT = state(Kind.DIRECTORY, mode=0o755)


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


FOUND = (
    "nothing",
    "file",
    "other content",
    "empty file",
    "link",
    "dangling link",
    "link to directory",
    "directory",
    "pipe",
)


def put(path: Path, what: str, elsewhere: Path) -> None:
    """Put something where an entry will be."""
    match what:
        case "file" | "other content" | "empty file":
            path.write_bytes({"file": b"new", "other content": b"old", "empty file": b""}[what])
        case "link" | "dangling link" | "link to directory":
            path.symlink_to({"link": "/etc/passwd", "dangling link": "nowhere"}.get(what, str(elsewhere)))
        case "directory":
            path.mkdir()
            (path / "inside").write_text("kept")
        case "pipe":
            os.mkfifo(path)


def narrowed(old: FileState, new: FileState) -> FileState:
    """Return the state in which an old version of root is kept: nobody may do more with it than with the new one."""
    readable = new.mode & 0o777 if new.kind is not Kind.LINK else 0o777
    entered = (readable & 0o444) >> 2 if old.kind is Kind.DIRECTORY else 0
    mode = old.mode if old.kind is Kind.LINK else old.mode & (readable | entered)
    return replace(old, md5=None, mode=mode)


@pytest.mark.parametrize("wanted", EXPECTED)
def test_every_kind_of_drift_is_put_right(node: DiskNode, wanted: str) -> None:
    """Whatever was there, under all odd names; and what was there is still there as NAME.saved."""
    elsewhere = node.top / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "inside").write_text("kept")
    names = [f"{os.fsdecode(odd)} {number}" for number, odd in enumerate(ODD_NAMES)]
    entries, before = [], {}
    for number, name in enumerate(names):
        found = FOUND[number % len(FOUND)]
        put(node.files / name, found, elsewhere)
        one = replace(node.entry(name, EXPECTED[wanted]), attributes=Attributes(follow=False))
        entries.append(one)
        before[name] = (found, node.actual(one))
    outside = snapshot(elsewhere)
    assert set(node.fix(*entries)) == {None}
    assert {one.destination: node.changes(one) for one in entries} == {one.destination: [] for one in entries}
    assert snapshot(elsewhere) == outside
    for name, (found, state_before) in before.items():
        saved = lstat_state(os.fsencode(node.files / f"{name}.saved"))
        if found == "nothing" or (found == wanted and wanted != "link"):  # the link there points elsewhere
            assert saved is ABSENT
        else:
            assert isinstance(saved, FileState)
            assert isinstance(state_before, FileState)
            assert replace(saved, md5=None) == narrowed(state_before, EXPECTED[wanted])
    assert plan([(one, ABSENT) for one in entries if node.changes(one)], {}, b"/m") == Plan((), ())


def test_a_link_that_leads_to_a_directory_stays(node: DiskNode) -> None:
    """Unless it is said to give way: /lib may be such a link."""
    put(node.files / "a", "link to directory", node.master)
    put(node.files / "b", "directory", node.master)
    entries = [node.entry("a", EXPECTED["directory"]), node.entry("b", EXPECTED["file"])]
    assert node.fix(*entries) == ["it leads to a directory: say 'follow: yes' or 'no' in attributes.yaml", None]
    assert (node.files / "a").readlink() == node.master
    assert not (node.files / "a.saved").exists()


@pytest.mark.parametrize("where", ["too many links", "too long a name", "behind too long a name"])
def test_a_link_that_may_lead_to_a_directory_stays(node: DiskNode, where: str) -> None:
    """So does one to a file system that does not answer."""
    link = node.files / "a"
    if where == "too many links":
        too_many_links(link)
    else:
        link.symlink_to("z" * 300 + ("/x" if where.startswith("behind") else ""))
    before = snapshot(node.files)
    (failure,) = node.fix(node.entry("a", EXPECTED["directory"]))
    assert failure is not None
    assert failure.startswith("nobody can tell whether it leads to a directory: ")
    assert snapshot(node.files) == before


@pytest.mark.parametrize("target", ["nowhere", "a", "no/such/directory", "/etc/passwd", "/etc/passwd/x", "b", "c/"])
def test_a_link_that_leads_to_no_directory_gives_way(node: DiskNode, target: str) -> None:
    (node.files / "b").symlink_to("a")
    (node.files / "c").symlink_to("no/such/directory")
    (node.files / "a").symlink_to(target)
    one = node.entry("a", EXPECTED["directory"])
    assert node.fix(one) == [None]
    assert node.changes(one) == []
    assert (node.files / "a.saved").is_symlink()


def test_what_was_moved_aside_comes_back(node: DiskNode) -> None:
    """If nothing can take its place."""
    put(node.files / "f", "directory", node.master)
    one = node.entry("f", EXPECTED["file"])
    todo = plan([(one, node.actual(one))], {}, os.fsencode(node.master))
    (action,) = todo.actions
    assert isinstance(action.work, NewVersion)
    broken = Plan((replace(action, work=replace(action.work, validate=b'rm "$f"')),), ())
    (result,) = node.carry_out(broken)
    assert result is not None
    assert "No such file or directory" in str(result.failure)
    assert (node.files / "f/inside").read_text() == "kept"
    assert not (node.files / "f.saved").exists()


def test_the_saved_copy_holds_the_old_content_and_the_next_one_replaces_it(node: DiskNode) -> None:
    one = node.entry("f", EXPECTED["file"])
    for old in ("first", "second"):
        (node.files / "f").unlink(missing_ok=True)
        (node.files / "f").write_text(old)
        assert node.fix(one) == [None]
        assert ((node.files / "f").read_text(), (node.files / "f.saved").read_text()) == ("new", old)


def test_an_interrupted_repair_can_be_taken_up_again(node: DiskNode) -> None:
    """Cut off between the saving and the renaming, the file and its saved copy are one and the same."""
    (node.files / "f").write_text("old")
    (node.files / "f.saved").hardlink_to(node.files / "f")
    one = node.entry("f", EXPECTED["file"])
    assert node.fix(one) == [None]
    assert (node.files / "f.saved").read_text() == "old"


def test_a_saved_copy_that_is_a_link_is_replaced_and_not_followed(node: DiskNode) -> None:
    (node.files / "f").write_text("old")
    (node.files / "other").write_text("kept")
    (node.files / "f.saved").symlink_to("other")
    assert node.fix(node.entry("f", EXPECTED["file"])) == [None]
    assert ((node.files / "f.saved").read_text(), (node.files / "other").read_text()) == ("old", "kept")


@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_gets_exactly_its_mode(node: DiskNode, exists: bool) -> None:
    """setgid goes away where it is not wanted, and is not taken over from the directory above."""
    node.files.chmod(0o2755)
    plain = node.entry("plain", state(Kind.DIRECTORY, mode=0o755))
    special = node.entry("special", state(Kind.DIRECTORY, mode=0o6711))
    if exists:
        (node.files / "plain").mkdir()
        (node.files / "plain").chmod(0o6755)
        (node.files / "special").mkdir(mode=0o711)
    assert node.fix(plain, special) == [None, None]
    assert node.changes(plain) == node.changes(special) == []


@pytest.mark.parametrize(
    ("owner", "uid", "group", "gid", "reason"),
    [
        ("daemon", 4242, "daemon", 4242, None),
        (None, 4242, None, 4243, None),
        (None, 1, "daemon", 4242, None),
        ("nosuchuser", 4242, "nosuchgroup", 4243, "no user nosuchuser on node3"),
        (None, 4242, "nosuchgroup", 4243, "no group nosuchgroup on node3"),
        ("nosuchuser", 4242, "daemon", 4243, "no user nosuchuser on node3"),
        ("daemon", 2, "nosuchgroup", 4243, "no group nosuchgroup on node3"),
        ("daemon.daemon", 4242, "daemon", 4242, "no user daemon.daemon on node3"),
        ("nosuchuser", 2, "daemon", 2, "no user nosuchuser on node3"),  # number 2 is somebody else's here
        ("4242", 4711, "a:b", 4712, None),  # chown would not take these for names
    ],
)
def test_owners_by_name_or_by_number_where_there_is_no_name(
    node: DiskNode, owner: str | None, uid: int, group: str | None, gid: int, reason: str | None
) -> None:
    """Of owner and group each for itself; new or there already. The number of a name may be somebody else here."""
    entries = [
        node.entry(f"{age} {kind}", replace(expected, owner=owner, uid=uid, group=group, gid=gid))
        for age in ("new", "old")
        for kind, expected in EXPECTED.items()
    ]
    (node.files / "old file").write_bytes(b"new")
    (node.files / "old link").symlink_to(os.fsdecode(EXPECTED["link"].target or b""))
    (node.files / "old directory").mkdir()
    assert set(node.fix(*entries)) == {reason}
    if reason is None:
        assert {one.destination: node.changes(one) for one in entries} == {one.destination: [] for one in entries}
    else:
        assert not any((node.files / f"new {kind}").exists() for kind in EXPECTED)
        assert {path.lstat().st_uid for path in node.files.iterdir()} == {0}
        assert (node.files / "old file").read_bytes() == b"new"


def test_parents_that_are_missing_are_made_and_those_that_exist_left_alone(node: DiskNode) -> None:
    top = node.entry("top", state(Kind.DIRECTORY, mode=0o751))
    below = node.entry("top/below", state(Kind.DIRECTORY, mode=0o700, uid=4242, owner=None))
    file = node.entry("top/below/f", EXPECTED["file"])
    (node.files / "top").mkdir(mode=0o700)
    assert node.fix(file, of=(top, below)) == [None, None, None]
    assert node.changes(file) == node.changes(below) == []
    assert [change.what for change in node.changes(top)] == ["mode"]


def test_a_file_in_place_of_a_parent_is_set_aside(node: DiskNode) -> None:
    (node.files / "top").write_text("in the way")
    directory, file = node.entry("top", ROOT), node.entry("top/f", EXPECTED["file"])
    assert node.fix(file, directory) == [None, None]
    assert node.changes(file) == []
    assert (node.files / "top.saved").read_text() == "in the way"


def test_what_must_not_exist_is_removed_links_and_not_what_they_point_to(node: DiskNode) -> None:
    names = [os.fsdecode(name) for name in ODD_NAMES]
    (node.top / "target").write_text("kept")
    for name in names:
        (node.files / name).symlink_to(node.top / "target")
    (node.files / "pipe").unlink(missing_ok=True)
    os.mkfifo(node.files / "pipe")
    entries = [node.delete(name) for name in (*names, "pipe", "gone")]
    assert set(node.fix(*entries)) == {None}
    assert list(node.files.iterdir()) == []
    assert (node.top / "target").read_text() == "kept"


class TestFailures:
    """A step that fails says why, leaves what was there, and does not keep the others from being done."""

    def fixed(self, node: DiskNode, name: str) -> list[str | None]:
        """Repair a file among others, which have to succeed."""
        bad, *good = (node.entry(each, EXPECTED["file"]) for each in (name, "Before", "zz", "also/this"))
        (node.files / "also").mkdir()
        failures = node.fix(bad, *good)
        assert failures.count(None) == len(good)
        assert not any(map(node.changes, good))
        assert node.changes(bad) != []
        return [failure for failure in failures if failure is not None]

    @pytest.mark.parametrize("name", ["f", "a\\nb", "a\\c", "a\\0101"])
    def test_saved_is_in_the_way(self, node: DiskNode, name: str) -> None:
        (node.files / name).write_text("old")
        (node.files / f"{name}.saved").mkdir()
        assert self.fixed(node, name) == [f"{node.files / name}.saved is a directory, in the way"]
        assert (node.files / name).read_text() == "old"

    def test_a_directory_and_its_saved_copy_are_in_the_way(self, node: DiskNode) -> None:
        for name in ("f", "f.saved"):
            (node.files / name).mkdir()
        assert self.fixed(node, "f") == [f"{node.files / 'f'}.saved is in the way"]

    @pytest.mark.parametrize("name", ["f", "a\\nb", "a\\c"])
    def test_no_source(self, node: DiskNode, name: str) -> None:
        bad, good = node.entry(name, EXPECTED["file"]), node.entry("zz", EXPECTED["file"])
        assert bad.expected.size == 3
        (node.master / f"overlay/{name}._all").unlink()
        (failure, other) = node.fix(bad, good)
        assert other is None
        assert failure is not None
        assert "No such file or directory" in failure

    def test_no_parent(self, node: DiskNode) -> None:
        (failure,) = self.fixed(node, "missing/f")
        assert failure is not None
        assert "No such file or directory" in failure

    def test_what_was_a_file_has_become_a_directory(self, node: DiskNode) -> None:
        one = node.entry("f", EXPECTED["file"])
        todo = plan([(one, state(size=9))], {}, os.fsencode(node.master))
        (node.files / "f").mkdir()
        (result,) = node.carry_out(todo)
        assert result == Result("it has become a directory")
        assert (node.files / "f").is_dir()

    def test_no_permission(self, node: DiskNode) -> None:
        """Nothing changes, not even for a moment."""
        (node.files / "f").write_text("old")
        (node.files / "g").write_bytes(b"new")
        entries = [node.entry("f", EXPECTED["file"]), node.entry("g", EXPECTED["file"]), node.delete("f")]
        todo = plan([(e, node.actual(e)) for e in entries], {}, os.fsencode(node.master))
        before = snapshot(node.files)
        results = node.carry_out(todo, user=NOBODY)
        assert snapshot(node.files) == before
        assert len(results) == 3
        for result in results:
            assert result is not None
            assert result.failure is not None
            assert result.failure.endswith("Permission denied (the login is not root: see --sudo)")


class TestValidate:
    """The command of attributes.yaml that has to accept a file before it takes the name."""

    def gated(self, node: DiskNode, name: str, command: str, content: bytes = b"new", mode: int = 0o644) -> Entry:
        made = node.entry(name, EXPECTED["file"], content)
        return replace(made, attributes=Attributes(mode=mode, validate=command))

    def test_what_is_accepted_is_put_in_place(self, node: DiskNode) -> None:
        """The command sees the new content under the path it is given, whatever the name, and no standard input."""
        for odd in ODD_NAMES:
            entry = self.gated(node, os.fsdecode(odd), "test \"$(cat %s)\" = new && ! read x && echo 'fine  enough'")
            (node.files / os.fsdecode(odd)).write_bytes(b"old")
            assert node.fix(entry) == [None], odd
            assert node.changes(entry) == []

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            ("echo first; echo 'line 3: syntax error' >&2; false %s", "exit status 1: line 3: syntax error"),
            ("exit 7 # %s", "exit status 7"),
            ("no-such-command %s", "exit status 127: a program was not found: "),
        ],
    )
    def test_what_is_refused_changes_nothing(self, node: DiskNode, command: str, reason: str) -> None:
        (node.files / "f").write_bytes(b"old")
        (node.files / "g").write_bytes(b"old")
        before = snapshot(node.files)
        refused, other = self.gated(node, "f", command), node.entry("g", EXPECTED["file"])
        (failure,) = node.fix(refused)
        assert failure is not None
        assert failure.startswith(f"refused by its validate command with {reason}".rstrip())
        after = snapshot(node.files)
        name = os.fsencode(node.files / "f")
        assert after[name] == before[name]
        assert not (node.files / "f.saved").exists()
        failures = node.fix(refused, other)
        assert (failures[0], failures[1]) == (failure, None)

    def test_what_it_says_of_a_secret_is_not_told(self, node: DiskNode) -> None:
        """Not in the answer, from where it would go into reports and logs."""
        entry = self.gated(node, "f", "cat %s >&2; false", b"top-secret", mode=0o640)
        (failure,) = node.fix(entry)
        assert failure == "refused by its validate command with exit status 1 (what it says is not shown: sensitive)"

    @pytest.mark.parametrize(
        ("command", "shown"),
        [
            ("echo %s':3:17: syntax error'; echo ' top-secret = 42'; echo '  ^'", ": line 3 17 syntax error"),
            ("echo %s' line 2: Bad option: TOP-SECRET 42 \"secret\"'", ": line line 2 bad option"),
            ("echo top-secret near line 3 of %s", None),
            ("echo %s; cat %s", None),
            ("od -c %s", None),
        ],
    )
    def test_where_a_secret_is_wrong(self, node: DiskNode, command: str, shown: str | None) -> None:
        """As visudo and sshd say it: the line of the new file and the reason, without any word that is in the file."""
        entry = self.gated(node, "f", f"{{ {command}; }} >&2; false", b"top-secret = 42\n", mode=0o440)
        (failure,) = node.fix(entry)
        why = (
            "what it says is not shown: sensitive" if shown is None else f"sensitive, so that only this is shown{shown}"
        )
        assert failure == f"refused by its validate command with exit status 1 ({why})"

    def test_where_only_the_mode_differs_there_is_nothing_to_accept(self, node: DiskNode) -> None:
        entry = self.gated(node, "f", "false %s")
        (node.files / "f").write_bytes(b"new")
        (node.files / "f").chmod(0o600)
        assert node.fix(entry) == [None]
        assert node.changes(entry) == []

"""Plans as values: what is done, in which order, and what is made of a node's answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shell import compact
from pytest_synctool.model import ABSENT, Absent, FileState, Kind
from pytest_synctool.repair.plan import Action, Plan, Removal, Trigger, plan
from pytest_synctool.repair.script import Context, Result, parse, script
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import Command
from pytest_synctool.repository.source import Tree, parents

from tests_meta.unit.helpers import entry, state

DIRECTORY = state(Kind.DIRECTORY, mode=0o755)
Drifted = list[tuple[Entry, FileState | Absent]]


def by_destination(*entries: Entry) -> dict[bytes, Entry]:
    """Entries as plan() wants them."""
    return {e.destination: e for e in entries}


def done(todo: Plan) -> list[tuple[bytes, str]]:
    """The actions of a plan in short."""
    return [(action.path, action.verb) for action in todo.actions]


@pytest.mark.parametrize(
    ("expected", "actual", "verb", "needs_mirror"),
    [
        (state(), ABSENT, "created", True),
        (state(), state(size=9), "updated", True),
        (state(), state(md5="f" * 32), "updated", True),
        (state(), state(Kind.LINK), "updated", True),
        (state(), state(mode=0o600), "owner and mode set", False),
        (state(Kind.LINK), ABSENT, "linked", False),
        (state(Kind.LINK), state(Kind.LINK, target=b"x"), "linked", False),
        (state(Kind.LINK), state(Kind.LINK, owner="bob"), "owner and mode set", False),
        (DIRECTORY, ABSENT, "created", False),
        (DIRECTORY, state(), "created", False),
        (DIRECTORY, state(Kind.DIRECTORY), "owner and mode set", False),
    ],
)
def test_actions(expected: FileState, actual: FileState | Absent, verb: str, needs_mirror: bool) -> None:
    one = entry(b"/a", expected)
    todo = plan([(one, actual)], by_destination(one), b"/m")
    assert done(todo) == [(b"/a", verb)]
    assert todo.needs_mirror is needs_mirror


def test_order_of_actions() -> None:
    """Design: delete entries, directories parents first, files and links; what lies in one directory together."""
    entries = [
        entry(b"/d/b/file", state()),
        entry(b"/d/b", DIRECTORY),
        entry(b"/d", DIRECTORY),
        entry(b"/d/a-link", state(Kind.LINK)),
        entry(b"/d-e", DIRECTORY),
    ]
    gone = entry(b"/z", tree=Tree.DELETE)
    drifted: Drifted = [*((e, ABSENT) for e in entries), (gone, state())]
    todo = plan(drifted, by_destination(*entries), b"/m")
    assert done(todo) == [
        (b"/z", "deleted"),
        (b"/d", "created"),
        (b"/d-e", "created"),
        (b"/d/b", "created"),
        (b"/d/a-link", "linked"),
        (b"/d/b/file", "created"),
    ]
    assert plan(list(reversed(drifted)), by_destination(*entries), b"/m") == todo


def test_missing_parents_are_made_first_as_the_masterdir_has_them() -> None:
    top, below = entry(b"/d", DIRECTORY), entry(b"/d/e", state(Kind.DIRECTORY, mode=0o700))
    other, file = entry(b"/x", DIRECTORY), entry(b"/d/e/f/g", state())
    entries = by_destination(top, below, other, file)
    assert done(plan([(file, ABSENT)], entries, b"/m")) == [
        (b"/d", "created"),
        (b"/d/e", "created"),
        (b"/d/e/f/g", "created"),
    ]
    assert done(plan([(file, state(size=9))], entries, b"/m")) == [(b"/d/e/f/g", "updated")]


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.LINK, Kind.OTHER])
def test_what_must_not_exist_is_removed(kind: Kind) -> None:
    gone = entry(b"/-a b", tree=Tree.DELETE)
    todo = plan([(gone, state(kind))], {}, b"/m")
    assert todo.actions == (Action(b"/-a b", "deleted", Removal()),)
    assert not todo.needs_mirror


def test_directories_are_never_deleted() -> None:
    """Design: "delete/: the destination must not exist. Directories are never deleted"."""
    gone = entry(b"/a", tree=Tree.DELETE)
    assert plan([(gone, state(Kind.DIRECTORY))], {}, b"/m") == Plan((), ())


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([], by_destination(entry(b"/d", DIRECTORY, trigger=b"t")), b"/m") == Plan((), ())


def post(script: bytes) -> Command:
    return Command("post", script)


class TestTriggers:
    """Documentation: "The .post script will be run when the file changes"; of a directory, for files in it."""

    directory = entry(b"/d", DIRECTORY, trigger=b"overlay/d.post")
    one = entry(b"/d/one", state(), trigger=b"overlay/d/one.post")
    two = entry(b"/d/two", state())
    below = entry(b"/d/e", DIRECTORY)
    deep = entry(b"/d/e/deep", state())
    entries = by_destination(directory, one, two, below, deep)

    def triggers(self, *drifted: Entry) -> tuple[Trigger, ...]:
        """The triggers of a plan for these."""
        return plan([(e, state(size=9)) for e in drifted], self.entries, b"/m").triggers

    def test_files_before_directories_each_once(self) -> None:
        """Design: "those of files, then those of directories, each once"."""
        assert self.triggers(self.two, self.one) == (
            Trigger(b"/d/one", post(b"overlay/d/one.post"), b"/d", frozenset({b"/d/one"})),
            Trigger(b"/d", post(b"overlay/d.post"), b"/d", frozenset({b"/d/one", b"/d/two"})),
        )

    def test_only_of_what_changed(self) -> None:
        assert [t.command.text for t in self.triggers(self.two)] == [b"overlay/d.post"]

    def test_a_directory_is_triggered_by_what_is_directly_in_it(self) -> None:
        assert self.triggers(self.deep) == ()
        assert [t.command.text for t in self.triggers(self.below)] == [b"overlay/d.post"]

    def test_on_update_is_another_form_of_the_same(self) -> None:
        """Documentation: "on_update /etc/xinetd.d/identd /etc/init.d/xinetd reload", on files and directories."""
        directory = replace(self.directory, on_update=b"/bin/rm *.saved ; reload")
        file = replace(self.two, on_update=b"hupdaemon.sh inetd")
        found = plan([(file, state(size=9))], by_destination(directory, file), b"/m").triggers
        assert found == (
            Trigger(b"/d/two", Command("on_update", b"hupdaemon.sh inetd"), b"/d", frozenset({b"/d/two"})),
            Trigger(b"/d", post(b"overlay/d.post"), b"/d", frozenset({b"/d/two"})),
            Trigger(b"/d", Command("on_update", b"/bin/rm *.saved ; reload"), b"/d", frozenset({b"/d/two"})),
        )
        assert [trigger.command.announced for trigger in found] == [
            "command hupdaemon.sh inetd",
            "command $masterdir/overlay/d.post",
            "command /bin/rm *.saved ; reload",
        ]

    def test_a_change_of_the_directory_itself(self) -> None:
        todo = plan([(self.directory, state(Kind.DIRECTORY, mode=0))], self.entries, b"/m")
        assert todo.triggers == (Trigger(b"/d", post(b"overlay/d.post"), b"/d", frozenset({b"/d"})),)
        assert todo.needs_mirror

    def test_a_deleted_file_triggers_its_own_and_its_directory(self) -> None:
        gone = entry(b"/d/gone", tree=Tree.DELETE, trigger=b"delete/d/gone.post")
        assert plan([(gone, state())], self.entries, b"/m").triggers == (
            Trigger(b"/d/gone", post(b"delete/d/gone.post"), b"/d", frozenset({b"/d/gone"})),
            Trigger(b"/d", post(b"overlay/d.post"), b"/d", frozenset({b"/d/gone"})),
        )


_depths = st.lists(st.sampled_from([b"a", b"b", b"a-b"]), min_size=1, max_size=4).map(lambda p: b"/" + b"/".join(p))


@given(
    kinds=st.dictionaries(_depths, st.sampled_from([DIRECTORY, state(), state(Kind.LINK)]), max_size=12), data=st.data()
)
def test_every_drifted_entry_is_dealt_with_once_after_its_parents(
    kinds: dict[bytes, FileState], data: st.DataObject
) -> None:
    entries = by_destination(*(entry(path, expected) for path, expected in kinds.items()))
    for path in list(entries):  # as in a repository: only directories have something below them
        if any(above in entries and kinds[above].kind is not Kind.DIRECTORY for above in parents(path)):
            del entries[path]
    chosen = data.draw(st.lists(st.sampled_from(sorted(entries)), unique=True)) if entries else []
    todo = plan([(entries[path], ABSENT) for path in chosen], entries, b"/m")
    paths = [action.path for action in todo.actions]
    assert len(set(paths)) == len(paths)
    assert set(chosen) <= set(paths)
    for number, path in enumerate(paths):
        for above in parents(path):
            assert above not in entries or above in paths[:number]
    assert set(paths) - set(chosen) <= {above for path in chosen for above in parents(path)}


@pytest.mark.parametrize(
    ("path", "above"), [(b"/a", []), (b"/a/b", [b"/a"]), (b"/a/b/c", [b"/a", b"/a/b"]), (b"/", [])]
)
def test_parents(path: bytes, above: list[bytes]) -> None:
    assert list(parents(path)) == above


TWO = Plan(
    (Action(b"/a", "deleted", Removal()), Action(b"/b", "deleted", Removal())),
    (Trigger(b"/a", Command("post", b"t"), b"/", frozenset({b"/a"})),),
)


@pytest.mark.parametrize(
    ("answer", "results", "complete"),
    [
        (b"ok 0\nok 1\nok 2\nend\n", {0: None, 1: None, 2: None}, True),
        (b"ok 0\nfailed 1 cp: no space\nend\n", {0: None, 1: "cp: no space"}, True),
        (b"failed 0 \nend\n", {0: "failed without a word"}, True),
        (b"failed 0 \x1b[1m\xff\nend\n", {0: "\\x1b[1m\\xff"}, True),
        (b"ok 0\nok 1\n", {0: None, 1: None}, False),
        (b"", {}, False),
        (b"ok 0\nfailed 1 this is the end", {0: None, 1: "this is the end"}, False),
        (b"ok 0\nfailed 1 this is the end\n", {0: None, 1: "this is the end"}, False),
        (b"ok 0\nok 1\noutput end\n", {0: None, 1: None}, False),
        (b"ok 0\nok 1\noutput x\nok 2\nend\nlogout\n", {0: None, 1: None, 2: None}, True),
        (b"Welcome\nok \nfailed\nok x\nok 0\nend\n", {0: None}, True),
    ],
)
def test_answers(answer: bytes, results: dict[int, str | None], complete: bool) -> None:
    found, whole = parse(TWO, answer)
    assert {number: result.failure for number, result in found.items()} == results
    assert whole is complete


def test_the_output_of_a_trigger_belongs_to_it() -> None:
    found, _ = parse(TWO, b"ok 0\nok 1\noutput one\noutput ok 0\noutput \x1b\n\nfailed 2 exit status 3\nend\n")
    assert found == {0: Result(None), 1: Result(None), 2: Result("exit status 3", ("one", "ok 0", "\\x1b"))}


@given(
    answer=st.lists(
        st.sampled_from([b"ok ", b"failed ", b"output ", b"0", b"1", b"\n", b"end"]) | st.binary(max_size=3)
    )
)
def test_any_answer_is_read(answer: list[bytes]) -> None:
    results, complete = parse(TWO, b"".join(answer))
    assert complete is (b"end" in b"".join(answer).split(b"\n")) or not complete
    assert all(result.failure is None or result.failure.isprintable() for result in results.values())


def test_a_readable_script_is_the_same_with_comments() -> None:
    readable = script(TWO, Context(b"/m"), readable=True)
    assert compact(readable) == compact(script(TWO, Context(b"/m")))
    assert b"\nlock() {\n  for l in" in readable
    assert b"\nlock() {\nfor l in" in script(TWO, Context(b"/m"))


def test_the_script_shows_what_is_done_to_what() -> None:
    """The text is shown to people as well: one comment for each action, printable."""
    todo = plan([(entry(b"/a\x1b\xff", state()), ABSENT)], {}, b"/m")
    assert b"# created /a\\x1b\\xff" in script(todo, Context(b"/m")).split(b"\n")


def test_a_large_file_is_not_copied_with_the_others() -> None:
    """tar cannot let a file share blocks with its source."""
    entries = [entry(b"/d/%d" % size, state(size=size)) for size in (1, 2, 3, 4, 2 << 20)]
    todo = plan([(each, ABSENT) for each in entries], by_destination(*entries), b"/master")
    lines = [line.strip() for line in script(todo, Context(b"/master")).splitlines()]
    assert b"fill overlay/d/1._all overlay/d/2._all overlay/d/3._all overlay/d/4._all &&" in lines
    assert b"copy_of /master/overlay/d/%d._all" % (2 << 20) in b"\n".join(lines)

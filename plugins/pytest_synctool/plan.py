"""What --fix does to a node, as values: ordered actions, and the shell text of each.

The text is complete in itself below PROLOGUE, so what is shown is what is run. Pure: nothing here contacts a node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_synctool import journal
from pytest_synctool.model import ABSENT, Absent, FileState, Kind, printable
from pytest_synctool.remote import PROLOGUE
from pytest_synctool.repository import Entry
from pytest_synctool.shell import quote, words
from pytest_synctool.source import Tree, parents


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one path: `verb` says what is done in the log's words, `text` is its shell text.

    `beside` is the directory in which it needs a private one, or empty.
    """

    path: bytes
    verb: str
    text: bytes
    beside: bytes = b""
    needs_mirror: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run: a script below the masterdir (`post`, `task`), or the shell text of an on_update."""

    kind: Literal["post", "on_update", "task"]
    text: bytes

    @property
    def shown(self) -> str:
        """As people know it: the script below the masterdir, or the text."""
        return printable(self.text)

    @property
    def announced(self) -> str:
        """As the documentation announces it: `command $masterdir/overlay/etc/x.post`."""
        return f"command {'' if self.kind == 'on_update' else '$masterdir/'}{self.shown}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A command to run once, in `directory`, if one of `causes` was changed; it is that of `path`.

    One that is `owed` is run in any case: from an earlier run, or a task.
    """

    path: bytes
    command: Command
    directory: bytes
    causes: frozenset[bytes]
    owed: bool = False

    @property
    def name(self) -> bytes:
        """Its name in the journal."""
        return journal.name(self.path, self.command.kind)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a plan is carried out.

    `masterdir` is the mirror's path on the node, `node` its name in the configuration and `hostname` its own. `who`
    tells others whose lock it is. `trigger_timeout` bounds each trigger, in seconds. `state` is a directory of the
    node's own.
    """

    masterdir: bytes
    node: str = ""
    hostname: str = ""
    who: str = "somebody"
    trigger_timeout: int = 60
    state: bytes = journal.STATE


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, then triggers: those of files before those of directories."""

    actions: tuple[Action, ...]
    triggers: tuple[Trigger, ...]

    @property
    def needs_mirror(self) -> bool:
        """Whether the node needs files of the masterdir for it."""
        return bool(self.triggers) or any(action.needs_mirror for action in self.actions)


def plan(
    drifted: Sequence[tuple[Entry, FileState | Absent]],
    entries: Mapping[bytes, Entry],
    masterdir: bytes,
    owed: Sequence[tuple[Entry, Command]] = (),
    tasks: Sequence[Entry] = (),
) -> Plan:
    """The plan that brings drifted entries to their expected state.

    `entries` are all overlay entries of the node by destination: a missing parent directory of a drifted entry is
    made as they describe it, and their triggers are looked up there. `masterdir` is the mirror's path on the node.
    A directory that must not exist is left alone: directories are never deleted. `owed` are commands that an earlier
    run has left to do, `tasks` are run after everything else, in the order of their names.
    """
    deletes = [_remove(e) for e, state in drifted if e.tree is Tree.DELETE and _removable(state)]
    wanted = {entry.destination: (entry, state) for entry, state in drifted if entry.tree is Tree.OVERLAY}
    above = {
        parent: entries[parent]
        for path, (_, state) in wanted.items()
        if state is ABSENT
        for parent in parents(path)
        if parent in entries and parent not in wanted
    }
    in_order = sorted(wanted.values(), key=lambda pair: _order(pair[0]))
    changes = [*deletes, *(_bring(entry, state, masterdir) for entry, state in in_order)]
    if not changes and not owed and not tasks:
        return Plan((), ())
    deleted = {entry.destination: entry for entry, _ in drifted if entry.tree is Tree.DELETE}
    triggers = _triggers({action.path for action in changes}, entries, deleted, owed)
    needed = [_make_if_missing(above[path]) for path in sorted(above, key=lambda path: path.split(b"/"))]
    last = (_task(entry) for entry in sorted(tasks, key=lambda entry: entry.destination))
    return Plan((*needed, *changes), (*triggers, *last))


def _order(entry: Entry) -> tuple[bool, list[bytes]]:
    return entry.expected.kind is not Kind.DIRECTORY, entry.destination.split(b"/")


def _removable(state: FileState | Absent) -> bool:
    return isinstance(state, FileState) and state.kind is not Kind.DIRECTORY


def _remove(entry: Entry) -> Action:
    return Action(entry.destination, "deleted", words(b"rm", b"-f", b"--", entry.destination))


def _make_if_missing(entry: Entry) -> Action:
    """A directory that nobody asked for, but without which nothing can be put into it."""
    made = _replace(entry, "created", b"")
    path = quote(entry.destination)
    return replace(made, text=b"[ -e %s ] || [ -L %s ] || { %s; }" % (path, path, made.text))


def _bring(entry: Entry, actual: FileState | Absent, masterdir: bytes) -> Action:
    expected, path = entry.expected, entry.destination
    if isinstance(actual, FileState) and _same_content(expected, actual):
        return Action(path, "owner and mode set", _attributes(expected, quote(path)))
    verbs = {Kind.FILE: "created" if actual is ABSENT else "updated", Kind.LINK: "linked"}
    return _replace(entry, verbs.get(expected.kind, "created"), _save(path, expected, actual), masterdir)


def _same_content(expected: FileState, actual: FileState) -> bool:
    """Whether only owner, group or mode can differ."""
    if expected.kind is Kind.FILE:
        same = (actual.size, actual.md5) == (expected.size, expected.md5)
    else:
        same = actual.target == expected.target
    return same and actual.kind is expected.kind


def _save(path: bytes, expected: FileState, actual: FileState | Absent) -> bytes:
    """What to do with what stands there now: nothing is thrown away."""
    kinds = {expected.kind, *([actual.kind] if isinstance(actual, FileState) else [])}
    if Kind.DIRECTORY not in kinds:
        return b"keep " + quote(path)
    return b"" if actual is ABSENT else b"aside " + quote(path)


def _attributes(state: FileState, path: bytes) -> bytes:
    """chown before chmod, since chown takes setuid and setgid away.

    Five digits, since with four GNU chmod leaves those bits on a directory as they are.
    """
    owner, group = _names(state)
    text = b"own %s %s" % (words(owner, group, b"%d" % state.uid, b"%d" % state.gid), path)
    return text if state.kind is Kind.LINK else text + b" && real %s && chmod -- %05o %s" % (path, state.mode, path)


def _names(state: FileState) -> tuple[bytes, bytes]:
    owner = str(state.uid) if state.owner is None else state.owner
    group = str(state.gid) if state.group is None else state.group
    return os.fsencode(owner), os.fsencode(group)


def _replace(entry: Entry, verb: str, save: bytes, masterdir: bytes = b"") -> Action:
    """Made complete in a private directory beside the target, then renamed over it."""
    state, path = entry.expected, entry.destination
    directory = os.path.dirname(path).rstrip(b"/") + b"/"
    new = b'"${t:?}"/' + quote(os.path.basename(path))
    if state.kind is Kind.FILE:
        source = quote(os.path.join(masterdir, entry.source.relative))
        owner, group = _names(state)
        at_once = b"install -o %s -g %s -m %04o -- %s %s" % (quote(owner), quote(group), state.mode, source, new)
        # install knows no numbers for names that the node does not have
        make = b"{ %s || { cp -- %s %s && %s; }; } && flush %s" % (at_once, source, new, _attributes(state, new), new)
        if entry.attributes is not None and entry.attributes.validate is not None:
            command = os.fsencode(entry.attributes.validate.replace("%s", '"$f"'))
            make += b" && accept %s %s" % (quote(command), new)
    elif state.kind is Kind.LINK:
        make = b"ln -s -- %s %s && %s" % (quote(state.target or b""), new, _attributes(state, new))
    else:
        make = b"mkdir -- %s && %s" % (new, _attributes(state, new))
    rename = b"mv -f -- %s %s" % (new, quote(directory))
    text = b" && ".join(part for part in (make, save, rename) if part)
    return Action(path, verb, text, directory, needs_mirror=state.kind is Kind.FILE)


def commands_of(entry: Entry) -> list[Command]:
    """The commands of an entry's own path, in the order in which they run."""
    found = [] if entry.trigger is None else [Command("post", entry.trigger)]
    return found if entry.on_update is None else [*found, Command("on_update", entry.on_update)]


def fired_by(entry: Entry, entries: Mapping[bytes, Entry]) -> Iterator[tuple[Entry, Command]]:
    """What a change of an entry fires, with whose it is: its own commands, and those of the directory that it is in.

    `entries` are all overlay entries of the node by destination.
    """
    above = entries.get(os.path.dirname(entry.destination))
    for owner in (entry, above):
        if owner is not None:
            yield from ((owner, command) for command in commands_of(owner))


def _triggers(
    changed: set[bytes],
    entries: Mapping[bytes, Entry],
    deleted: Mapping[bytes, Entry],
    owed: Sequence[tuple[Entry, Command]],
) -> Iterable[Trigger]:
    """Those of files in the order of paths, then those of directories."""
    fired: dict[tuple[Entry, Command], set[bytes]] = {each: set() for each in owed}
    for path in changed:
        entry = entries.get(path) or deleted.get(path)
        if entry is not None:
            for each in fired_by(entry, entries):
                fired.setdefault(each, set()).add(path)

    def order(each: tuple[Entry, Command]) -> tuple[bool, bytes, bool]:
        return _is_directory(each[0]), each[0].destination, each[1].kind == "on_update"

    for owner, command in sorted(fired, key=order):
        path, causes = owner.destination, frozenset(fired[owner, command])
        directory = path if _is_directory(owner) else os.path.dirname(path)
        yield Trigger(path, command, directory, causes, (owner, command) in owed)


def task(entry: Entry) -> Command:
    """The command of an entry of tasks/."""
    return Command("task", entry.source.relative)


def _task(entry: Entry) -> Trigger:
    return Trigger(entry.destination, task(entry), b"/", frozenset(), owed=True)


def _is_directory(entry: Entry) -> bool:
    return entry.tree is Tree.OVERLAY and entry.source.is_directory


def parts(plan: Plan, context: Context, limit: int | None) -> Iterator[range]:
    """The numbers of actions and triggers in runs whose scripts stay below `limit` bytes, where there is a limit."""
    count = len(plan.actions) + len(plan.triggers)
    if limit is None:
        yield range(count)
        return
    empty = len(_header(plan, context))
    start, size = 0, empty
    for number in range(count):
        # Every earlier number may have to be told as done.
        cost = len(_text(plan, context, number)) + 8
        if number > start and size + cost > limit:
            yield range(start, number)
            start, size = number, empty + 8 * number
        size += cost
    yield range(start, count)


def script(plan: Plan, context: Context, numbers: Iterable[int] | None = None, done: Iterable[int] = ()) -> bytes:
    """The shell text that carries out actions and triggers of a plan (all if not told which).

    Those in `done` have succeeded in earlier scripts.

    A trigger runs only if one of its causes was really changed.
    """
    everything = range(len(plan.actions) + len(plan.triggers))
    lines = [_header(plan, context), b" ".join(b"d%d=1" % number for number in done)]
    lines += [_text(plan, context, number) for number in (everything if numbers is None else numbers)]
    return b"\n".join([*lines, b"clean", b"echo end"])


def _header(plan: Plan, context: Context) -> bytes:
    variables = {
        b"export SYNCTOOL_NODE": os.fsencode(context.node),
        b"export SYNCTOOL_NODENAME": os.fsencode(context.hostname or context.node),
        b"export SYNCTOOL_MASTERDIR": context.masterdir,
        b"export SYNCTOOL_ROOT": context.masterdir,
        b"state": context.state,
        b"journal": journal.directory(context.masterdir, context.state),
        b"who": os.fsencode(context.who),
        b"limit": b"%d" % context.trigger_timeout,
    }
    settings = (b"%s=%s" % (name, quote(value)) for name, value in variables.items())
    owed = (
        words(b"owe", b"%d" % number, trigger.name, trigger.path)
        for number, trigger in enumerate(plan.triggers, len(plan.actions))
        if trigger.command.kind != "task"  # the next run is not to make up for it
    )
    return b"\n".join((PROLOGUE + next(settings), *settings, b"begin", *owed))


def _text(plan: Plan, context: Context, number: int) -> bytes:
    if number < len(plan.actions):
        action = plan.actions[number]
        comment = b"# %s %s" % (action.verb.encode(), printable(action.path).encode())
        return b"%s\nact() { %s; }\nstep %d %s" % (comment, action.text, number, quote(action.beside))
    trigger = plan.triggers[number - len(plan.actions)]
    causes = b"".join(b"$d%d" % n for n, action in enumerate(plan.actions) if action.path in trigger.causes)
    command = trigger.command
    is_text = command.kind == "on_update"
    what = command.text if is_text else os.path.join(context.masterdir, command.text)
    run = words(b"on_update" if is_text else b"script", b"%d" % number, trigger.directory, trigger.name, what)
    if trigger.owed:
        return b"clean\n" + run
    spare = words(b"paid", trigger.name)
    return b'clean\nif [ -n "%s" ]; then %s; elif [ -n "$n%d" ]; then %s; fi' % (causes, run, number, spare)


@dataclass(frozen=True, slots=True)
class Result:
    """How one action or trigger went: `failure` is None where it succeeded."""

    failure: str | None
    output: tuple[str, ...] = ()


def parse(plan: Plan, answer: bytes) -> tuple[dict[int, Result], bool]:
    """The result of each action and trigger by number, and whether the script came to its end.

    Numbers count through `actions`, then `triggers`; one that is not in the answer did not run. Where the node refused
    to begin, all have failed for that reason.
    """
    results: dict[int, Result] = {}
    output: list[str] = []
    lines = answer.split(b"\n")
    for line in lines:
        word, _, rest = line.partition(b" ")
        if word == b"refused":
            refused = Result(printable(rest))
            return dict.fromkeys(range(len(plan.actions) + len(plan.triggers)), refused), True
        if word == b"output":
            output.append(printable(rest))
            continue
        number, _, reason = rest.partition(b" ")
        if word in (b"ok", b"failed") and number.isdigit():
            failure = None if word == b"ok" else printable(reason) or "failed without a word"
            results[int(number)] = Result(failure, tuple(output))
            output = []
    return results, b"end" in lines

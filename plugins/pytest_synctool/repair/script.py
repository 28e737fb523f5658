"""The shell text of a plan, and the parser of its answer.

The text is complete in itself: a rehearsal shows what a repair runs, with comments. This module contacts no node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Final

from pytest_synctool.audit import owed_commands
from pytest_synctool.common.shell import quote, words
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.model import Kind, OldVersions
from pytest_synctool.repair import kept_report
from pytest_synctool.repair.absence_functions import READABLE_ABSENCE, REPAIR_ABSENCE
from pytest_synctool.repair.bulk_commands import TOGETHER, attributes_text, in_parts, make_all, make_trees, set_all
from pytest_synctool.repair.kept_names import naming
from pytest_synctool.repair.new_trees import NewTree, new_trees
from pytest_synctool.repair.plan import (
    Action,
    Erasure,
    KeptVersion,
    MovingAway,
    NewAttributes,
    NewVersion,
    Plan,
    Removal,
    Trigger,
)
from pytest_synctool.repair.removal_functions import READABLE_REMOVALS, REMOVALS
from pytest_synctool.repair.shell_functions import PROLOGUE, READABLE_PROLOGUE

# Actions that one shell carries out. What it has read of them fills its memory, and makes it slower to start programs.
_OF_PART: Final = 1000
# New trees that one call of a function puts in place: it takes time for each pair of them.
_RENAMED: Final = 100

MOST_REMARKS: Final = 20  # of one script
# Bytes of a trigger's output with the word before each line. The node sends the last 4,100, of up to 4,100 lines.
MOST_OUTPUT: Final = 40_000


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a repair on one node.

    `masterdir` is the mirror's path on the node, `node` its name in the configuration and `hostname` its own name.
    `who` names the owner of the lock to others. `trigger_timeout` bounds each trigger, in seconds. A replaced file is
    kept as `NAME.saved`, or below the directory `saved`, or nowhere. Each action is appended to the file `log` on the
    node, if set, and goes to its syslog. `state` is the node's own state directory. Without `post` the triggers of what
    changes are noted as owed, and not run. `silence` is the longest time in which the script may print nothing, in
    seconds. `taken` names the repairs whose kept reports were taken over.
    """

    masterdir: bytes
    node: str = ""
    hostname: str = ""
    who: str = "somebody"
    trigger_timeout: int = 60
    saved: bytes | OldVersions = OldVersions.BESIDE
    log: bytes = b""
    syslog: bool = False
    state: bytes = owed_commands.STATE
    silence: float = 60
    taken: tuple[str, ...] = ()
    post: bool = True

    @property
    def aside(self) -> bytes:
        """The place for old versions that cannot be beside the new ones: where all are kept, if that is elsewhere."""
        if self.saved is OldVersions.BESIDE:
            return self.state + b"/kept"
        return self.saved.value if isinstance(self.saved, OldVersions) else self.saved


def script(
    plan: Plan,
    context: Context,
    log_lines: Sequence[str] = (),
    numbers: Iterable[int] | None = None,
    done: Iterable[int] = (),
    *,
    with_trees: bool = True,
    readable: bool = False,
) -> bytes:
    """Return the shell text that carries out actions and triggers of a plan: those in `numbers`, or all.

    `log_lines` are the lines of the node's log for each number; empty ones are left out. The numbers in `done`
    succeeded in earlier scripts. A trigger runs only if one of its causes changed.

    If a new tree cannot be put in place, what belongs below it has no result, and no trigger runs. Without `with_trees`
    the script brings everything step by step. A `readable` one has its functions with comments.
    """
    everything = range(len(plan.actions) + len(plan.triggers))
    numbers = everything if numbers is None else list(numbers)
    steps = ((number, log_lines[number]) for number in numbers if number < len(log_lines))
    report = kept_report.begin(steps, context.taken)
    succeeded = {*done}
    causes = _done(number for number in plan.causes(plan.triggers) if number in succeeded)
    lines = [_header(plan, context, report, readable=readable), causes]
    lines += _lines(plan, context, log_lines, numbers, with_trees=with_trees)
    return b"\n".join([*lines, b"clean", b"noted end"])


def _header(plan: Plan, context: Context, report: bytes, *, readable: bool = False) -> bytes:
    variables = {
        b"export SYNCTOOL_NODE": os.fsencode(context.node),
        b"export SYNCTOOL_NODENAME": os.fsencode(context.hostname or context.node),
        b"export SYNCTOOL_MASTERDIR": context.masterdir,
        b"export SYNCTOOL_ROOT": context.masterdir,
        b"state": context.state,
        b"masterdir": context.masterdir,
        b"journal": owed_commands.directory(context.masterdir, context.state),
        b"who": os.fsencode(context.who),
        b"limit": b"%d" % context.trigger_timeout,
        b"pause": b"%d" % max(1, context.silence / 3),
        b"place": context.saved.value if isinstance(context.saved, OldVersions) else context.saved,
        b"aside": context.aside,
        b"log": context.log,
        b"syslog": b"1" if context.syslog else b"",
    }
    settings = (b"%s=%s" % (name, quote(value)) for name, value in variables.items())
    owed = (
        words(b"owe", b"%d" % number, trigger.name, trigger.path)
        for number, trigger in enumerate(plan.triggers, len(plan.actions))
        if trigger.command.follows_a_change
    )
    begin = [b"begin", report, *([b"remember"] if plan.actions and not plan.of_old_versions else [])]
    functions = READABLE_PROLOGUE if readable else PROLOGUE
    removes = any(isinstance(action.work, MovingAway) for action in plan.actions)
    if removes or any(isinstance(action.work, NewVersion) and action.work.old == "leave" for action in plan.actions):
        functions += READABLE_ABSENCE if readable else REPAIR_ABSENCE
    if removes:
        functions += READABLE_REMOVALS if readable else REMOVALS
    return b"\n".join((functions + next(settings), *settings, *begin, *owed))


def _lines(
    plan: Plan, context: Context, log_lines: Sequence[str], numbers: Iterable[int], *, with_trees: bool = True
) -> Iterator[bytes]:
    """Return the shell text of these actions and triggers. New versions in one directory are put in place together."""
    first = len(plan.actions)
    numbers = list(numbers)
    texts: dict[int, bytes] = {}
    if context.log or context.syslog:
        texts = {n: quote(log_lines[n].encode("utf-8", "surrogateescape")) for n in numbers if log_lines[n]}
    actions = [(number, plan.actions[number]) for number in numbers if number < first]
    yield from naming({action.name: None for _, action in actions})
    trees, others = new_trees(actions) if with_trees else ([], actions)
    causes = {*plan.causes(plan.triggers)}
    # A new tree may need a change of what is above it, which is a directory.
    above = next((n for n, (_, action) in enumerate(others) if not _is_of_directories(action)), len(others))
    yield from _in_parts(others[:above], context.masterdir, causes, texts)
    if trees:
        # Variables for thousands of actions cost a shell more than the actions.
        yield from _log_lines([tree.number for tree in trees], texts)
        yield from _trees(trees, context.masterdir)
        yield from (line for tree in trees for line in _all_done(tree, causes, texts))
    yield from _in_parts(others[above:], context.masterdir, causes, texts)
    if actions:
        yield b"clean"
    if trees:
        yield from _unplaced(plan, [number for number in numbers if number >= first])
    triggers = [number for number in numbers if number >= first]
    yield from _log_lines(triggers, texts)
    yield from (_trigger(plan, context, number) for number in triggers)


def _done(numbers: Iterable[int]) -> bytes:
    return b" ".join(b"d%d=1" % number for number in numbers)


def _within(directory: bytes, link: bytes, *, aside: bool = False) -> bytes:
    return words(b"within_aside" if aside else b"within", directory, *([link] if link else []))


def _function(action: Action) -> str:
    """Return the shell function that carries out an action; those of the same one in a row are carried out together."""
    work = action.work
    if isinstance(work, NewVersion):
        if work.in_place:
            return "over_all"
        # A name whose old version was moved away must be filled at once.
        return "put" if work.old in ("swap", "leave") or work.validate else "put_all"
    if isinstance(work, NewAttributes):
        together = work.state.kind is not Kind.DIRECTORY and not work.state.has_more
        return "set_all" if together else "set_each"
    names: dict[type[Removal | MovingAway | Erasure | KeptVersion], str] = {
        Removal: "remove",
        MovingAway: "move_away",
        Erasure: "erase",
        KeptVersion: "back",
    }
    return names[type(work)]


def _is_new_directory(action: Action) -> bool:
    return isinstance(action.work, NewVersion) and action.work.make == "directory"


def _is_of_directories(action: Action) -> bool:
    """Return True for a removal, and for a change of a directory: they come first."""
    work = action.work
    if isinstance(work, NewVersion | NewAttributes):
        return work.state.kind is Kind.DIRECTORY
    return isinstance(work, Removal | MovingAway)


def _log_lines(numbers: Iterable[int], texts: Mapping[int, bytes]) -> Iterator[bytes]:
    yield from (b"l%d=%s" % (number, texts[number]) for number in numbers if number in texts)


def _in_parts(
    actions: Sequence[tuple[int, Action]], masterdir: bytes, causes: Set[int], texts: Mapping[int, bytes]
) -> Iterator[bytes]:
    """Return the shell text of these actions. Of many, each part is a text that a shell of its own reads."""
    for start in range(0, len(actions), _OF_PART):
        part = actions[start : start + _OF_PART]
        lines = [*_log_lines([number for number, _ in part], texts), *_in_order(part, masterdir)]
        if len(actions) <= _OF_PART:
            yield from lines
            return
        causing = (b"d%d" % number for number, _ in part if number in causes)
        yield words(b"part", b"\n".join(lines), *causing)


def _in_order(actions: Sequence[tuple[int, Action]], masterdir: bytes) -> Iterator[bytes]:
    for (function, _), group in groupby(actions, lambda pair: (_function(pair[1]), _is_new_directory(pair[1]))):
        members = list(group)
        for start in range(0, len(members), TOGETHER):
            yield from _together(function, members[start : start + TOGETHER], masterdir)


def _trees(trees: Sequence[NewTree], masterdir: bytes) -> Iterator[bytes]:
    """Return the shell text of new directories, each renamed with all below it."""
    groups = [list(group) for _, group in groupby(trees, lambda tree: (tree.top.directory, tree.top.through))]
    places = [group[0].top.directory.rstrip(b"/") for group in groups]
    yield make_trees(places, [each for tree in trees for each in (tree.top, *(a for _, a in tree.below))], masterdir)
    for place, group in zip(places, groups, strict=True):
        yield _within(group[0].top.directory, group[0].top.through, aside=group[0].top.aside)
        yield from (_comment(tree.top) for tree in group)
        for start in range(0, len(group), _RENAMED):
            tops = [(tree.number, tree.top) for tree in group[start : start + _RENAMED]]
            yield from _calls("put_all", place, tops)
            yield b"with_all " + b" ".join(b"%d" % number for number, _ in tops)


def _all_done(tree: NewTree, causes: Set[int], texts: Mapping[int, bytes]) -> Iterator[bytes]:
    """Return the shell text that tells of what has come with a new directory. `texts` are for the log, by number."""
    numbers = [number for number, _ in tree.below]
    yield b'if [ -n "$w%d" ]; then' % tree.number
    yield b"all_ok " + b" ".join(b"%d" % number for number in numbers)
    yield _done(number for number in numbers if number in causes)
    yield from in_parts(b"say_all", [texts[number] for number in numbers if number in texts])
    yield b"else unplaced=1; fi"


def _comment(action: Action) -> bytes:
    return b"# %s %s" % (action.verb.encode(), printable(action.path).encode())


def _together(function: str, members: Sequence[tuple[int, Action]], masterdir: bytes) -> Iterator[bytes]:
    """Return the shell text of actions of one kind: those in one directory are carried out by one call."""
    groups = [(key, list(group)) for key, group in groupby(members, lambda pair: _where(pair[1]))]
    alone = function == "put_all" and len(members) == 1
    if carrying := [action.path for _, action in members if action.may_lose_attributes]:
        yield words(b"carrying", *carrying)
    # A new directory without anything in it may be above others: those of one directory have one of their own.
    places = [
        b"/%d" % n if _is_new_directory(group[0][1]) else key[0].rstrip(b"/") for n, (key, group) in enumerate(groups)
    ]
    if function == "put_all" and not alone:
        yield make_all(
            [(place, [a for _, a in group]) for place, (_, group) in zip(places, groups, strict=True)], masterdir
        )
    for place, ((directory, link, aside), actions) in zip(places, groups, strict=True):
        yield _within(directory, link, aside=aside)
        for number, action in actions:
            yield _comment(action)
            if isinstance(action.work, NewVersion) and action.work.validate:
                silent = b" silent" if action.work.silent else b""
                yield b'checked%d() { accept %s "$1"%s; }' % (number, quote(action.work.validate), silent)
        yield from _calls("put" if alone else function, place, actions)
        labelled = [word for number, action in actions for word in _labelled(number, action)]
        if labelled:
            yield words(b"restored", *labelled)
    if carrying:
        yield b"carry="


def _where(action: Action) -> tuple[bytes, bytes, bool]:
    return action.directory, action.through, action.aside


def _labelled(number: int, action: Action) -> Iterator[bytes]:
    """Yield the number and the name of what has to have the SELinux label of its path."""
    work = action.work
    if isinstance(work, NewVersion | NewAttributes) and work.state.label is not None:
        yield from (b"%d" % number, work.name if isinstance(work, NewAttributes) else action.name)


def _calls(function: str, place: bytes, actions: Sequence[tuple[int, Action]]) -> Iterator[bytes]:
    if function == "back":
        for number, action in actions:
            if isinstance(action.work, KeptVersion):
                yield words(b"back", b"%d" % number, action.work.path, action.work.record, action.name)
        return
    first = [function.encode()]
    if function == "put_all":
        first.append(quote(place))
    elif function == "set_all" and len(actions) > 1:
        yield set_all([action for _, action in actions])
    elif function == "set_all":
        first = [b"set_each"]
    records = (words(*_record(number, action)) for number, action in actions)
    yield b" \\\n  ".join((b" ".join(first), *records))


def _record(number: int, action: Action) -> Iterator[bytes]:
    """Return the words of an action, as the shell functions take them."""
    work = action.work
    yield b"%d" % number
    if isinstance(work, NewVersion):
        kind = b"checked%d" % number if work.validate else work.make.encode()
        yield from (kind, work.old.encode(), work.source, attributes_text(work.state), action.name)
    elif isinstance(work, NewAttributes):
        state = work.state
        kinds = {Kind.FILE: b"file", Kind.LINK: b"link", Kind.DIRECTORY: b"directory"}
        again = (
            (state.target or b"") if state.kind is Kind.LINK else b"%d:%s" % (state.size, (state.md5 or "").encode())
        )
        yield from (kinds[state.kind], _differing(work), again, attributes_text(state), work.name)
    elif isinstance(work, Erasure):
        yield from (work.identity, work.version, action.name)
    elif isinstance(work, MovingAway):
        yield from (b"directory" if work.directory else b"other", action.name)
    else:
        yield action.name


def _differing(work: NewAttributes) -> bytes:
    return (b"o" if work.owner else b"") + (b"m" if work.mode else b"")


def _unplaced(plan: Plan, triggers: Sequence[int]) -> Iterator[bytes]:
    """Return the shell text that leaves the triggers to another script, if a new tree could not be put in place."""
    yield b'if [ -n "$unplaced" ]; then'
    for number in triggers:
        trigger = plan.triggers[number - len(plan.actions)]
        if not trigger.owed:  # it is noted again before the change
            yield b'[ -n "%s" ] || [ -z "$n%d" ] || %s' % (_caused(plan, trigger), number, words(b"paid", trigger.name))
    yield b"noted %s; exit; fi" % kept_report.UNPLACED


def _caused(plan: Plan, trigger: Trigger) -> bytes:
    """Return a shell word that is empty unless an action has succeeded that causes the trigger."""
    return b"".join(b"$d%d" % number for number in plan.causes([trigger]))


def _trigger(plan: Plan, context: Context, number: int) -> bytes:
    trigger = plan.triggers[number - len(plan.actions)]
    command = trigger.command
    what = command.text if command.is_text else os.path.join(context.masterdir, command.text)
    function = b"on_update" if command.is_text else b"script"
    within = _within(trigger.directory, trigger.through)
    run = b"%s && %s" % (within, words(function, b"%d" % number, trigger.name, what))
    if trigger.owed:
        return run
    spare = words(b"paid", trigger.name)
    return b'if [ -n "%s" ]; then %s; elif [ -n "$n%d" ]; then %s; fi' % (_caused(plan, trigger), run, number, spare)


def tidy(context: Context, *, more: bytes = b"") -> bytes:
    """Return the shell text that removes the remains of a killed repair and then runs `more`, before a probe.

    Made contents go away last, if then no repair is under way.
    """
    journal = owed_commands.directory(context.masterdir, context.state)
    settings = b"state=%s journal=%s log= syslog= place= aside= saved=" % (quote(context.state), quote(journal))
    made = quote(owed_commands.made_files(context.masterdir, context.state))
    last = b"[ ! -d %s ] || under_way '' || rm -rf -- %s" % (made, made)
    return b"(\n%s\n%s\ntidy\n%s\n%s\n)\n" % (PROLOGUE, settings, more or kept_report.take(), last)


def heard(context: Context, whose: Iterable[str]) -> bytes:
    """Return the shell text that deletes the kept reports of these repairs, which were heard."""
    state, journal = quote(context.state), quote(owed_commands.directory(context.masterdir, context.state))
    text = kept_report.heard(whose)
    return b"(\n%s\nstate=%s journal=%s\n%s\n)\n" % (kept_report.KEPT_REPORT, state, journal, text)


def remarks(answer: bytes) -> list[str]:
    """Return the different remarks for people in a script's answer. Of many there are only the first ones."""
    different: dict[str, None] = {}
    for line in BytesIO(answer):
        if line.startswith(b"remark "):
            different[node_text(line[7:].rstrip(b"\n"))] = None
            if len(different) > MOST_REMARKS:
                different.popitem()
                break
    return list(different)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one action or trigger: `failure` is None if it succeeded."""

    failure: str | None
    output: tuple[str, ...] = ()


def is_refused(answer: bytes) -> bool:
    """Return True if the node refused to begin."""
    return any(line.startswith(b"refused ") for line in BytesIO(answer))


def parse(plan: Plan, answer: bytes) -> tuple[dict[int, Result], bool]:
    """Parse the result of each action and trigger by number. Also return True if the script reached its end.

    Numbers count through `actions`, then `triggers`; a number without a result did not run. If the node refused to
    begin, every number has failed for that reason.
    """
    count = len(plan.actions) + len(plan.triggers)
    results: dict[int, Result] = {}
    output: list[str] = []
    room = MOST_OUTPUT
    complete = False
    for ended in BytesIO(answer):
        line = ended.removesuffix(b"\n")
        complete = complete or line in (b"end", kept_report.UNPLACED)
        word, _, rest = line.partition(b" ")
        if word == b"refused":
            return dict.fromkeys(range(count), Result(node_text(rest))), True
        if word == b"output":
            room -= len(line)
            if room >= 0:
                output.append(node_text(rest))
            continue
        digits, _, reason = rest.partition(b" ")
        if word in (b"ok", b"failed") and (number := _number(digits, count)) is not None:
            failure = None if word == b"ok" else node_text(reason) or "failed without a word"
            results[number] = Result(failure, tuple(output))
            output, room = [], MOST_OUTPUT
    return results, complete


def _number(digits: bytes, count: int) -> int | None:
    """Return a number below `count`, or None for anything else."""
    if not digits.isdigit() or len(digits) > len(str(count)) or int(digits) >= count:
        return None
    return int(digits)

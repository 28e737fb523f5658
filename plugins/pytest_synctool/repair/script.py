"""The shell text of a plan, and the parser of its answer.

The text is complete in itself: a rehearsal shows exactly the text that a repair runs. This module contacts no node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Final

from pytest_synctool.audit import owed_commands
from pytest_synctool.common.shell import quote, words
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import OldVersions
from pytest_synctool.repair.plan import Action, Plan
from pytest_synctool.repair.shell_functions import PROLOGUE, RECALL, TIDY

# New versions made in one directory before the first of them is renamed into place.
_TOGETHER: Final = 50

LONGEST_PATH: Final = 4096  # bytes; Linux has no longer ones
MOST_REMARKS: Final = 20  # of one script
# Bytes of a trigger's output with the word before each line. The node sends the last 4,000, of up to 4,000 lines.
MOST_OUTPUT: Final = 40_000


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a repair on one node.

    `masterdir` is the mirror's path on the node, `node` its name in the configuration and `hostname` its own name.
    `who` names the owner of the lock to others. `trigger_timeout` bounds each trigger, in seconds. A replaced file is
    kept as `NAME.saved`, or below the directory `saved`, or nowhere. Each action is appended to the
    file `log` on the node, if set, and goes to its syslog. `state` is the node's own state directory.
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


def parts(plan: Plan, context: Context, log_lines: Sequence[str], limit: int | None) -> Iterator[range]:
    """Split the numbers of actions and triggers into ranges whose scripts stay below `limit` bytes, if any."""
    count = len(plan.actions) + len(plan.triggers)
    if limit is None:
        yield range(count)
        return
    empty = len(_header(plan, context))
    start, size = 0, empty
    for number in range(count):
        # The script may have to list every earlier number as done.
        cost = len(b"\n".join(_lines(plan, context, log_lines, [number]))) + 8
        if number > start and size + cost > limit:
            yield range(start, number)
            start, size = number, empty + 8 * number
        size += cost
    yield range(start, count)


def script(
    plan: Plan,
    context: Context,
    log_lines: Sequence[str] = (),
    numbers: Iterable[int] | None = None,
    done: Iterable[int] = (),
) -> bytes:
    """Return the shell text that carries out actions and triggers of a plan: those in `numbers`, or all.

    `log_lines` are the lines of the node's log for each number; empty ones are left out. The numbers in `done`
    succeeded in earlier scripts. A trigger runs only if one of its causes changed.
    """
    everything = range(len(plan.actions) + len(plan.triggers))
    lines = [_header(plan, context), b" ".join(b"d%d=1" % number for number in done)]
    lines += _lines(plan, context, log_lines, everything if numbers is None else numbers)
    return b"\n".join([*lines, b"clean", b"echo end"])


def _header(plan: Plan, context: Context) -> bytes:
    variables = {
        b"export SYNCTOOL_NODE": os.fsencode(context.node),
        b"export SYNCTOOL_NODENAME": os.fsencode(context.hostname or context.node),
        b"export SYNCTOOL_MASTERDIR": context.masterdir,
        b"export SYNCTOOL_ROOT": context.masterdir,
        b"state": context.state,
        b"journal": owed_commands.directory(context.masterdir, context.state),
        b"who": os.fsencode(context.who),
        b"limit": b"%d" % context.trigger_timeout,
        b"saved": context.saved.value if isinstance(context.saved, OldVersions) else context.saved,
        b"log": context.log,
        b"syslog": b"1" if context.syslog else b"",
    }
    settings = (b"%s=%s" % (name, quote(value)) for name, value in variables.items())
    owed = (
        words(b"owe", b"%d" % number, trigger.name, trigger.path)
        for number, trigger in enumerate(plan.triggers, len(plan.actions))
        if trigger.command.follows_a_change
    )
    begin = [b"begin", b"remember"] if plan.actions and not plan.restoring else [b"begin"]
    return b"\n".join((PROLOGUE + next(settings), *settings, *begin, *owed))


def _lines(plan: Plan, context: Context, log_lines: Sequence[str], numbers: Iterable[int]) -> Iterator[bytes]:
    """Return the shell text of these actions and triggers. New versions in one directory are put in place together."""
    first = len(plan.actions)
    numbers = list(numbers)
    if context.log or context.syslog:
        yield from (
            b"l%d=%s" % (n, quote(log_lines[n].encode("utf-8", "surrogateescape"))) for n in numbers if log_lines[n]
        )
    actions = [(number, plan.actions[number]) for number in numbers if number < first]
    for (directory, link), here in groupby(actions, lambda pair: (pair[1].directory, pair[1].through)):
        yield words(b"within", directory, *([link] if link else []))
        for together, group in groupby(here, lambda pair: _can_wait(pair[1])):
            members = list(group)
            for start in range(0, len(members), _TOGETHER if together else 1):
                yield _put(members[start : start + _TOGETHER]) if together else _one(*members[start])
    for number in numbers:
        if number >= first:
            yield _trigger(plan, context, number)


def _comment(action: Action) -> bytes:
    return b"# %s %s\n" % (action.verb.encode(), printable(action.path).encode())


def _can_wait(action: Action) -> bool:
    """Return True if an action can wait for others. A name whose old version was moved away must be filled at once."""
    return action.save in ("keep", "nothing") and not action.if_missing


def _one(number: int, action: Action) -> bytes:
    if action.save is not None and not action.if_missing:
        return _put([(number, action)], b"swap")
    if not action.if_missing:
        fresh = b" fresh" if action.private else b""
        return b"%sact() { %s; }\nstep %d%s" % (_comment(action), action.text, number, fresh)
    name = quote(action.name)
    text = b"%smake() { %s; }\nact() { [ -e %s ] || [ -L %s ] || { make %s && mv -f -- %s ./; }; }\nstep %d fresh"
    new = b'"$t"/' + name
    return text % (_comment(action), action.text, name, name, new, new, number)


def _put(actions: Sequence[tuple[int, Action]], how: bytes = b"put") -> bytes:
    made = b"\n".join(b"%smake%d() { %s; }" % (_comment(action), number, action.text) for number, action in actions)
    what = (
        b"%d %s %s %s" % (number, (action.save or "").encode(), b"sync" if action.synced else b"-", quote(action.name))
        for number, action in actions
    )
    return made + b"\n" + how + b" " + b" ".join(what)


def _trigger(plan: Plan, context: Context, number: int) -> bytes:
    trigger = plan.triggers[number - len(plan.actions)]
    causes = b"".join(b"$d%d" % n for n, action in enumerate(plan.actions) if action.path in trigger.causes)
    command = trigger.command
    is_text = command.is_text
    what = command.text if is_text else os.path.join(context.masterdir, command.text)
    run = words(b"on_update" if is_text else b"script", b"%d" % number, trigger.directory, trigger.name, what)
    if trigger.owed:
        return b"clean\n" + run
    spare = words(b"paid", trigger.name)
    return b'clean\nif [ -n "%s" ]; then %s; elif [ -n "$n%d" ]; then %s; fi' % (causes, run, number, spare)


def tidy(context: Context) -> bytes:
    """Return the shell text that removes the remains of a killed repair. It runs before the probe."""
    return TIDY + b"\ntidy %s\n" % quote(owed_commands.directory(context.masterdir, context.state))


def recall(context: Context) -> bytes:
    """Return the shell text that lists the old versions of the last repair, for parse_recalled()."""
    return RECALL + b"\nrecall %s" % quote(owed_commands.directory(context.masterdir, context.state))


def parse_recalled(answer: bytes) -> dict[bytes, bytes]:
    """Parse the paths of the old versions, by destination, as far as the last repair kept them and they still exist.

    Raises RemoteError if the answer is incomplete or malformed, or if the node could not read the journal.
    """
    lines = answer.split(b"\n")
    reason = next((node_text(line[8:]) for line in lines if line.startswith(b"refused ")), "its answer is not whole")
    if b"recalled" in lines and b"end" in lines:
        kept = lines[lines.index(b"recalled") + 1 : lines.index(b"end")]
        if len(kept) % 2 == 0 and all(map(_is_path, kept)):
            return dict(zip(kept[::2], kept[1::2], strict=True))
    raise RemoteError(f"what the last --fix has kept there cannot be told: {reason}")


def _is_path(word: bytes) -> bool:
    return word.startswith(b"/") and len(word) <= LONGEST_PATH and b"\0" not in word


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
        complete = complete or line == b"end"
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

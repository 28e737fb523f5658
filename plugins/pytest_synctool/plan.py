"""What --fix does to a node, as values: ordered actions, and the shell text of each.

The text is complete in itself below PROLOGUE, so what is shown is what is run. Pure: nothing here contacts a node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pytest_synctool.model import ABSENT, Absent, FileState, Kind, printable
from pytest_synctool.repository import Entry
from pytest_synctool.shell import quote, words
from pytest_synctool.source import Tree

PROLOGUE: Final = rb"""LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
nl='
'
t= at=
# When the other end of the connection goes away, the repair goes on: nothing is left in the middle.
trap : PIPE HUP
trap 'exit 1' INT TERM
trap clean EXIT
clean() { [ -z "$t" ] || rm -rf -- "$t"; t= at=; }
fresh() { # DIRECTORY: a private directory in it, where a file is made complete before a rename puts it in place
  [ "$at" != "$1" ] || return 0
  clean
  if e=$(mktemp -d "${1%/}/.synctool.XXXXXX" 2>&1); then t=$e at=$1; else return 1; fi
}
own() { # by name, each by number where the node does not know the name
  chown -h -- "$1:$2" "$5" && return
  chown -h -- "$1" "$5" || chown -h -- "$3" "$5" || return
  chown -h -- ":$2" "$5" || chown -h -- ":$4" "$5"
}
flush() { sync -- "$1" || sync; }
keep() { # a file or link about to be replaced stays as NAME.saved
  [ -e "$1" ] || [ -L "$1" ] || return 0
  if [ -d "$1" ] && [ ! -L "$1" ]; then echo "it has become a directory" >&2; return 1; fi
  if [ -d "$1.saved" ]; then printf '%s is a directory, in the way\n' "$1.saved" >&2; return 1; fi
  ln -f -- "$1" "$1.saved" || cp -pP -- "$1" "$1.saved"
}
aside() { # what a rename cannot replace is moved to NAME.saved
  if [ -e "$1.saved" ] || [ -L "$1.saved" ]; then printf '%s is in the way\n' "$1.saved" >&2; return 1; fi
  mv -- "$1" "$1.saved"
}
accept() { # COMMAND FILE: whether the command, in which $f is the file, accepts it
  v=$( { if [ -c /dev/null ]; then exec </dev/null; else exec <&-; fi; f=$2; cd / && eval "$1"; } 2>&1) && return
  printf 'refused by its validate command with exit status %s: %s\n' "$?" "${v##*"$nl"}" >&2
  return 1
}
step() { # NUMBER DIRECTORY, with the action in act(); the directory is empty where none is needed
  if { [ -z "$2" ] || fresh "$2"; } && e=$(act 2>&1); then eval "d$1=1"; echo "ok $1"
  else printf 'failed %s %s\n' "$1" "${e##*"$nl"}"; clean; fi
}
trigger() { # NUMBER DIRECTORY SCRIPT; output goes to a file, since a daemon it starts may hold on to a pipe
  o=$(mktemp "${TMPDIR:-/tmp}/synctool.XXXXXX") || { echo "failed $1 no room for its output"; return; }
  if [ ! -x "$3" ]; then echo "failed $1 it is not an executable file"; rm -f -- "$o"; return; fi
  (cd -- "$2" && if [ -c /dev/null ]; then exec "$3" </dev/null; else exec "$3" <&-; fi) >"$o" 2>&1
  s=$?
  tail -c 4000 -- "$o" | sed 's/^/output /'
  echo
  rm -f -- "$o"
  if [ "$s" = 0 ]; then echo "ok $1"; else echo "failed $1 exit status $s"; fi
}
"""


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
class Trigger:
    """A script below the masterdir to run once, in `directory`, if one of `causes` was changed."""

    script: bytes
    directory: bytes
    causes: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, then triggers: those of files before those of directories."""

    actions: tuple[Action, ...]
    triggers: tuple[Trigger, ...]

    @property
    def needs_mirror(self) -> bool:
        """Whether the node needs files of the masterdir for it."""
        return bool(self.triggers) or any(action.needs_mirror for action in self.actions)


def plan(drifted: Sequence[tuple[Entry, FileState | Absent]], entries: Mapping[bytes, Entry], masterdir: bytes) -> Plan:
    """The plan that brings drifted entries to their expected state.

    `entries` are all overlay entries of the node by destination: a missing parent directory of a drifted entry is
    made as they describe it, and their triggers are looked up there. `masterdir` is the mirror's path on the node.
    A directory that must not exist is left alone: directories are never deleted.
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
    if not changes:
        return Plan((), ())
    deleted = {entry.destination: entry for entry, _ in drifted if entry.tree is Tree.DELETE}
    triggers = _triggers({action.path for action in changes}, entries, deleted)
    needed = [_make_if_missing(above[path]) for path in sorted(above, key=lambda path: path.split(b"/"))]
    return Plan((*needed, *changes), tuple(triggers))


def parents(path: bytes) -> Iterable[bytes]:
    """The directories above a path, topmost first, `/` left out."""
    parts = path.split(b"/")[1:-1]
    return [b"/" + b"/".join(parts[: depth + 1]) for depth in range(len(parts))]


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
    return text if state.kind is Kind.LINK else text + b" && chmod -- %05o %s" % (state.mode, path)


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


def _triggers(changed: set[bytes], entries: Mapping[bytes, Entry], deleted: Mapping[bytes, Entry]) -> Iterable[Trigger]:
    of_files: dict[bytes, Trigger] = {}
    of_directories: dict[bytes, tuple[bytes, set[bytes]]] = {}
    for path in sorted(changed):
        entry = entries.get(path) or deleted.get(path)
        if entry is not None and entry.trigger is not None:
            if entry.source.state.kind is Kind.DIRECTORY:
                of_directories.setdefault(entry.trigger, (path, set()))[1].add(path)
            else:
                of_files[path] = Trigger(entry.trigger, os.path.dirname(path), frozenset((path,)))
        above = entries.get(os.path.dirname(path))
        if above is not None and above.trigger is not None:
            of_directories.setdefault(above.trigger, (above.destination, set()))[1].add(path)
    yield from of_files.values()
    for script, (directory, causes) in sorted(of_directories.items()):
        yield Trigger(script, directory, frozenset(causes))


def parts(plan: Plan, limit: int | None) -> Iterator[range]:
    """The numbers of actions and triggers in runs whose scripts stay below `limit` bytes, where there is a limit."""
    count = len(plan.actions) + len(plan.triggers)
    if limit is None:
        yield range(count)
        return
    start, size = 0, len(PROLOGUE)
    for number in range(count):
        # Every earlier number may have to be told as done.
        cost = len(_text(plan, b"", number)) + 8
        if number > start and size + cost > limit:
            yield range(start, number)
            start, size = number, len(PROLOGUE) + 8 * number
        size += cost
    yield range(start, count)


def script(plan: Plan, masterdir: bytes, numbers: Iterable[int] | None = None, done: Iterable[int] = ()) -> bytes:
    """The shell text that carries out actions and triggers of a plan (all if not told which).

    Those in `done` have succeeded in earlier scripts.

    A trigger runs only if one of its causes was really changed.
    """
    lines = [PROLOGUE, b" ".join(b"d%d=1" % number for number in done)]
    lines += [_text(plan, masterdir, number) for number in (next(parts(plan, None)) if numbers is None else numbers)]
    return b"\n".join([*lines, b"clean", b"echo end"])


def _text(plan: Plan, masterdir: bytes, number: int) -> bytes:
    if number < len(plan.actions):
        action = plan.actions[number]
        comment = b"# %s %s" % (action.verb.encode(), printable(action.path).encode())
        return b"%s\nact() { %s; }\nstep %d %s" % (comment, action.text, number, quote(action.beside))
    trigger = plan.triggers[number - len(plan.actions)]
    causes = b"".join(b"$d%d" % n for n, action in enumerate(plan.actions) if action.path in trigger.causes)
    command = words(b"trigger", b"%d" % number, trigger.directory, os.path.join(masterdir, trigger.script))
    return b'clean\nif [ -n "%s" ]; then %s; fi' % (causes, command)


@dataclass(frozen=True, slots=True)
class Result:
    """How one action or trigger went: `failure` is None where it succeeded."""

    failure: str | None
    output: tuple[str, ...] = ()


def parse(plan: Plan, answer: bytes) -> tuple[dict[int, Result], bool]:
    """The result of each action and trigger by number, and whether the script came to its end.

    Numbers count through `actions`, then `triggers`; one that is not in the answer did not run.
    """
    results: dict[int, Result] = {}
    output: list[str] = []
    lines = answer.split(b"\n")
    for line in lines:
        word, _, rest = line.partition(b" ")
        if word == b"output":
            output.append(printable(rest))
            continue
        number, _, reason = rest.partition(b" ")
        if word in (b"ok", b"failed") and number.isdigit():
            failure = None if word == b"ok" else printable(reason) or "failed without a word"
            results[int(number)] = Result(failure, tuple(output))
            output = []
    return results, b"end" in lines

"""What --fix does to a node, as values: ordered actions, and the shell text of each.

The text is complete in itself below PROLOGUE, so what is shown is what is run. Pure: nothing here contacts a node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.model import ABSENT, Absent, FileState, Kind, printable
from pytest_synctool.repository import Entry, Tree
from pytest_synctool.shell import quote, words

PROLOGUE: Final = rb"""LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
nl='
'
fresh() { # a private directory beside the target, so that a rename puts the finished file in place
  t=$(mktemp -d "${1%/}/.synctool.XXXXXX") && trap 'rm -rf -- "$t"' EXIT
}
own() { # by name, or by number where the node does not know the name
  chown -h -- "$1:$2" "$5" || chown -h -- "$3:$4" "$5"
}
flush() { sync -- "$1" || sync; }
keep() { # a file or link about to be replaced stays as NAME.saved
  [ -e "$1" ] || [ -L "$1" ] || return 0
  if [ -d "$1" ] && [ ! -L "$1" ]; then echo "it has become a directory" >&2; return 1; fi
  if [ -d "$1.saved" ]; then echo "$1.saved is a directory, in the way" >&2; return 1; fi
  ln -f -- "$1" "$1.saved" || cp -pP -- "$1" "$1.saved"
}
aside() { # what a rename cannot replace is moved to NAME.saved
  if [ -e "$1.saved" ] || [ -L "$1.saved" ]; then echo "$1.saved is in the way" >&2; return 1; fi
  mv -- "$1" "$1.saved"
}
step() { # NUMBER, with the action in act()
  if e=$(act 2>&1); then echo "ok $1"; else printf 'failed %s %s\n' "$1" "${e##*"$nl"}"; fi
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
    """One change of one path: `verb` says what is done in the log's words, `text` is its shell text."""

    path: bytes
    verb: str
    text: bytes
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
    path = quote(entry.destination)
    make = _replace(entry.destination, b"mkdir -- " + _fresh(entry.destination), entry.expected, b"")
    text = b"if [ ! -e %s ] && [ ! -L %s ]; then %s; fi" % (path, path, make)
    return Action(entry.destination, "created", text)


def _bring(entry: Entry, actual: FileState | Absent, masterdir: bytes) -> Action:
    expected, path = entry.expected, entry.destination
    if isinstance(actual, FileState) and _same_content(expected, actual):
        return Action(path, "owner and mode set", _attributes(expected, quote(path)))
    save = _save(path, expected, actual)
    if expected.kind is Kind.FILE:
        source = os.path.join(masterdir, entry.source.relative)
        make = b"cp -- %s %s" % (quote(source), _fresh(path))
        verb = "created" if actual is ABSENT else "updated"
        return Action(path, verb, _replace(path, make, expected, save), needs_mirror=True)
    if expected.kind is Kind.LINK:
        make = b"ln -s -- %s %s" % (quote(expected.target or b""), _fresh(path))
        return Action(path, "linked", _replace(path, make, expected, save))
    return Action(path, "created", _replace(path, b"mkdir -- " + _fresh(path), expected, save))


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


def _fresh(path: bytes) -> bytes:
    return b'"$t"/' + quote(os.path.basename(path))


def _attributes(state: FileState, path: bytes) -> bytes:
    """chown before chmod, since chown takes setuid and setgid away.

    Five digits, since with four GNU chmod leaves those bits on a directory as they are.
    """
    owner = state.owner if state.owner is not None else str(state.uid)
    group = state.group if state.group is not None else str(state.gid)
    numbers = words(*(w.encode("utf-8", "surrogateescape") for w in (owner, group, str(state.uid), str(state.gid))))
    text = b"own %s %s" % (numbers, path)
    return text if state.kind is Kind.LINK else text + b" && chmod -- %05o %s" % (state.mode, path)


def _replace(path: bytes, make: bytes, state: FileState, save: bytes) -> bytes:
    """Made complete in a private directory beside the target, then renamed over it."""
    directory = quote(os.path.dirname(path).rstrip(b"/") + b"/")
    flush = b"flush " + _fresh(path) if state.kind is Kind.FILE else b""
    rename = b"mv -f -- %s %s" % (_fresh(path), directory)
    commands = (b"fresh " + directory, make, _attributes(state, _fresh(path)), flush, save, rename)
    return b" && ".join(command for command in commands if command)


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


def script(plan: Plan, masterdir: bytes) -> bytes:
    """The shell text that carries a plan out; a trigger runs only if one of its causes was really changed."""
    lines = [PROLOGUE]
    numbers: dict[bytes, list[int]] = {}
    for number, action in enumerate(plan.actions):
        lines.append(b"# %s %s" % (action.verb.encode(), printable(action.path).encode()))
        lines.append(b"act() { %s; }" % action.text)
        lines.append(b'r=$(step %d); echo "$r"; case $r in ok*) d%d=1 ;; esac' % (number, number))
        numbers.setdefault(action.path, []).append(number)
    for number, trigger in enumerate(plan.triggers, len(plan.actions)):
        causes = b"".join(b"$d%d" % n for path in sorted(trigger.causes) for n in numbers.get(path, ()))
        command = words(b"trigger", b"%d" % number, trigger.directory, os.path.join(masterdir, trigger.script))
        lines.append(b'if [ -n "%s" ]; then %s; fi' % (causes, command))
    lines.append(b"echo end")
    return b"\n".join(lines)


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
    for line in answer.split(b"\n"):
        word, _, rest = line.partition(b" ")
        if word == b"output":
            output.append(printable(rest))
            continue
        number, _, reason = rest.partition(b" ")
        if word in (b"ok", b"failed") and number.isdigit():
            failure = None if word == b"ok" else printable(reason) or "failed without a word"
            results[int(number)] = Result(failure, tuple(output))
            output = []
    return results, answer.rstrip(b"\n").endswith(b"end")

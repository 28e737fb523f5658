"""Rules about the files in the masterdir: their modes, where links lead, what can be run and read."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_synctool.common.wording import nearest, printable
from pytest_synctool.lint.context import SCRIPTS, ExpectedMode, Finding, Subject, is_directory
from pytest_synctool.model import Kind
from pytest_synctool.repository.masterdir import Candidate
from pytest_synctool.repository.source import Source, Tree

_OTHERS_WRITE = 0o002
_STICKY = 0o1000
_SET_ID = 0o6000


def trigger_not_executable(subject: Subject) -> Iterator[Finding]:
    """Triggers that cannot be run."""
    return _not_executable(subject, "trigger-not-executable", subject.triggers)


def task_not_executable(subject: Subject) -> Iterator[Finding]:
    """Tasks that cannot be run."""
    tasks = [candidate.relative for candidate, _ in subject.sources(Tree.TASKS)]
    return _not_executable(subject, "task-not-executable", tasks)


def _not_executable(subject: Subject, rule: str, programs: list[bytes]) -> Iterator[Finding]:
    for relative in programs:
        if (trouble := _why_not_run(subject.path_of(relative))) is not None:
            yield subject.at_source(rule, relative, trouble)


def _why_not_run(path: Path) -> str | None:
    """What keeps a file from being run; what a link lacks that leads nowhere is another rule's concern."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode):
        return "is not a regular file, so it cannot be run: put an executable file in its place"
    return None if mode & 0o111 else "is not executable, so it cannot be run: chmod +x"


def on_update_command(subject: Subject) -> Iterator[Finding]:
    """Commands of `on_update` that are looked up in scripts/, and are not there or cannot be run."""
    for rule in subject.config.on_update:
        word = _first_word(rule.command)
        name = os.fsencode(word)
        if name.startswith(b"/"):
            continue
        shown, path = printable(name), subject.path_of(SCRIPTS + b"/" + name)
        if os.path.exists(path):
            trouble = _why_not_run(path)
        else:
            hint = nearest(word, [os.fsdecode(script.removeprefix(SCRIPTS + b"/")) for script in subject.scripts[1:]])
            trouble = f"is not there{hint}: put it there, or give the full path of a command on the nodes"
        if trouble is not None:
            message = f"'on_update {printable(rule.path)}': scripts/{shown} {trouble}"
            yield subject.at("on-update-command", f"{printable(rule.path)} {shown}", message, rule.place)


def _first_word(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed: the shell on the node will say so
        words = command.split()
    return words[0] if words else ""


def world_writable(subject: Subject) -> Iterator[Finding]:
    """What every user may change: on the nodes what is in overlay/, here what root runs or what decides on it."""

    def too_open(expected: ExpectedMode, source: Source) -> bool:
        sticky = source.state.kind is Kind.DIRECTORY and expected.mode & _STICKY
        return bool(expected.mode & _OTHERS_WRITE and not sticky)

    yield from _by_mode(subject, "world-writable", too_open, "lets everybody write: chmod o-w")
    for relative in (*subject.programs, *_plain_directories(subject)):
        try:
            mode = subject.path_of(relative).lstat().st_mode
        except OSError:
            continue
        sticky = stat.S_ISDIR(mode) and mode & _STICKY
        if mode & _OTHERS_WRITE and not stat.S_ISLNK(mode) and not sticky:
            message = f"mode {stat.S_IMODE(mode):04o} lets everybody change what root runs or deletes: chmod o-w"
            yield subject.at_source("world-writable", relative, message)


def _plain_directories(subject: Subject) -> Iterator[bytes]:
    """Directories that are no entries, but in which a new name would mean something; the masterdir is `.`."""
    yield from (b".", os.fsencode(Tree.OVERLAY.value))
    for tree in (Tree.DELETE, Tree.TASKS):
        top = os.fsencode(tree.value)
        above = os.fsencode(subject.path_of(top))
        for directory, directories, _ in os.walk(above):
            directories.sort()
            yield top + directory[len(above) :]
    yield from (relative for relative in subject.scripts if is_directory(subject.path_of(relative)))


def setuid(subject: Subject) -> Iterator[Finding]:
    """Files that run with the rights of their owner or group, whoever starts them."""

    def set_id(expected: ExpectedMode, source: Source) -> bool:
        return source.state.kind is Kind.FILE and bool(expected.mode & _SET_ID)

    hint = "gives every user who runs it the rights of its owner or group: chmod ug-s, or use sudo"
    return _by_mode(subject, "setuid", set_id, hint)


def _by_mode(
    subject: Subject, rule: str, wrong: Callable[[ExpectedMode, Source], bool], hint: str
) -> Iterator[Finding]:
    for candidate, source in subject.sources(Tree.OVERLAY):
        if source.state.kind is Kind.LINK:
            continue
        found = [expected for expected in subject.expected_modes(candidate, source) if wrong(expected, source)]
        if found:
            message = f"{_mode_in_words(subject, candidate, source, found[0])} {hint}"
            yield subject.at_source(rule, candidate.relative, message)


def _mode_in_words(subject: Subject, candidate: Candidate, source: Source, expected: ExpectedMode) -> str:
    """`mode 0666`, or `mode 0666 by attributes.yaml:3 on node[1-2]`."""
    origins = expected.attributes.origins if expected.attributes is not None else ()
    origin = next((origin for origin in origins if origin.startswith("mode ")), None)
    if origin is None:
        return f"mode {expected.mode:04o}"
    on = subject.nodes(subject.groups_for_modes(candidate, source), expected.groups) if expected.groups else ""
    return f"{origin} on {on}" if on else origin


def symlink_leaves_tree(subject: Subject) -> Iterator[Finding]:
    """Links that cannot lead on a node to where they lead here."""
    rule = "symlink-leaves-tree"
    masterdir = os.fsencode(subject.config.masterdir)
    tops = {masterdir, os.path.realpath(masterdir)}
    for candidate, source in subject.sources(Tree.OVERLAY):
        target = source.state.target
        if target is None:
            continue
        if target.startswith(b"/"):
            if any(_is_below(os.path.normpath(target), top) for top in tops):
                message = f"leads into the masterdir, to {printable(target)}: give the path that it has on the nodes"
                yield subject.at_source(rule, candidate.relative, message)
        elif _climbs_out(source.destination, target):
            message = f"leads above / from {printable(source.destination)}, to {printable(target)}: correct its target"
            yield subject.at_source(rule, candidate.relative, message)
    trees = [os.fsencode(tree.value) for tree in (Tree.OVERLAY, Tree.DELETE, Tree.TASKS)]
    for relative in dict.fromkeys((*trees, *subject.scripts, *subject.programs)):
        path = subject.path_of(relative)
        if not path.is_symlink():
            continue
        shown = printable(os.fsencode(path.readlink()))
        if not os.path.exists(path):
            yield subject.at_source(rule, relative, f"leads to {shown}, where nothing is: correct its target")
        elif not _is_below(os.fsencode(os.path.realpath(path)), os.path.realpath(masterdir)):
            message = f"leads out of the masterdir, to {shown}, which is not copied to the nodes: put a copy here"
            yield subject.at_source(rule, relative, message)


def _is_below(path: bytes, top: bytes) -> bool:
    return path == top or path.startswith(top.rstrip(b"/") + b"/")


def _climbs_out(destination: bytes, target: bytes) -> bool:
    depth = destination.count(b"/") - 1
    for part in target.split(b"/"):
        if part == b"..":
            depth -= 1
        elif part not in (b"", b"."):
            depth += 1
        if depth < 0:
            return True
    return False


def unreadable(subject: Subject) -> Iterator[Finding]:
    """What this user cannot read, so that it can be neither compared nor copied."""
    files = [c.relative for c, source in subject.sources(Tree.OVERLAY) if source.state.kind is Kind.FILE]
    for relative in (*files, *dict.fromkeys((*subject.programs, *subject.scripts))):
        path = subject.path_of(relative)
        if path.is_symlink():
            continue
        wanted = os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK
        if not os.access(path, wanted):
            message = "this user cannot read it, so it can be neither compared nor copied: chmod or chown"
            yield subject.at_source("unreadable", relative, message)

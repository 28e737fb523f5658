"""Rules about the files in the masterdir: modes, targets of links, executable and readable files."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_synctool.common.wording import nearest, printable
from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import SCRIPTS, ExpectedMode, Finding, LintContext, is_directory
from pytest_synctool.model import Kind
from pytest_synctool.repository.candidates import Candidate
from pytest_synctool.repository.source import Source, Tree

_OTHERS_WRITE = 0o002
_STICKY = 0o1000
_SET_ID = 0o6000


def trigger_not_executable(context: LintContext) -> Iterator[Finding]:
    """Find triggers that cannot be run."""
    return _not_executable(context, "trigger-not-executable", context.triggers)


def task_not_executable(context: LintContext) -> Iterator[Finding]:
    """Find tasks that cannot be run."""
    tasks = [candidate.relative for candidate, _ in context.sources(Tree.TASKS) if candidate.groups[-1] != "none"]
    return _not_executable(context, "task-not-executable", tasks)


def _not_executable(context: LintContext, rule: str, programs: list[bytes]) -> Iterator[Finding]:
    for relative in programs:
        if (problem := _run_problem(context.path_of(relative))) is not None:
            yield context.source_finding(rule, relative, problem)


def _run_problem(path: Path) -> str | None:
    """Return the reason why a file cannot be run, if any. Another rule covers links without a target."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode):
        return "is not a regular file, so it cannot be run: put an executable file in its place"
    return None if mode & 0o111 else "is not executable, so it cannot be run: chmod +x"


def on_update_command(context: LintContext) -> Iterator[Finding]:
    """Find `on_update` commands that are missing from scripts/ or cannot be run. Absolute paths are not checked."""
    for rule in context.config.on_update:
        word = _first_word(rule.command)
        name = os.fsencode(word)
        if name.startswith(b"/"):
            continue
        shown, path = printable(name), context.path_of(SCRIPTS + b"/" + name)
        if os.path.exists(path):
            problem = _run_problem(path)
        else:
            hint = nearest(word, [os.fsdecode(script.removeprefix(SCRIPTS + b"/")) for script in context.scripts[1:]])
            problem = f"does not exist{hint}: create it, or give the full path of a command on the nodes"
        if problem is not None:
            message = f"'on_update {printable(rule.path)}': scripts/{shown} {problem}"
            yield context.finding("on-update-command", f"{printable(rule.path)} {shown}", message, rule.place)


def command_missing(context: LintContext) -> Iterator[Finding]:
    """Find configured commands of the controller that it does not have."""
    config = context.config
    commands = {"ssh_cmd": config.ssh_cmd, "rsync_cmd": config.rsync_cmd, "diff_cmd": config.diff_cmd}
    for keyword, place in config.command_places.items():
        program = commands[keyword][0]
        if shutil.which(program) is None:
            message = f"'{keyword}': this machine has no program '{program}' that it can run: install or correct it"
            yield context.finding("command-missing", keyword, message, place)
    attributes = context.repository.attributes
    for rule in attributes.rules:
        if rule.decrypt is None:
            continue
        program = _first_word(rule.decrypt)
        if shutil.which(program if "/" not in program else os.path.join(config.masterdir, program)) is None:
            message = f"'decrypt': this machine has no program '{program}' that it can run: install or correct it"
            yield context.finding("command-missing", "decrypt", message, Place(attributes.path, rule.line))


def _first_word(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # an unclosed quote, which the shell on the node will report
        words = command.split()
    return words[0] if words else ""


def world_writable(context: LintContext) -> Iterator[Finding]:
    """Find files that every user can change.

    For sources in overlay/ the mode on the nodes counts. For programs that root runs, and for the directories that
    hold the trees, the mode on the controller counts.
    """

    def too_open(expected: ExpectedMode, source: Source) -> bool:
        sticky = source.state.kind is Kind.DIRECTORY and expected.mode & _STICKY
        return bool(expected.mode & _OTHERS_WRITE and not sticky)

    yield from _by_mode(context, "world-writable", too_open, "lets every user write: chmod o-w")
    for relative in (*context.programs, *_plain_directories(context)):
        try:
            mode = context.path_of(relative).lstat().st_mode
        except OSError:
            continue
        sticky = stat.S_ISDIR(mode) and mode & _STICKY
        if mode & _OTHERS_WRITE and not stat.S_ISLNK(mode) and not sticky:
            message = f"mode {stat.S_IMODE(mode):04o} lets every user change files that root runs or deletes: chmod o-w"
            yield context.source_finding("world-writable", relative, message)


def _plain_directories(context: LintContext) -> Iterator[bytes]:
    """Yield directories that are not entries but in which a new name has an effect. The masterdir is `.`."""
    yield from (b".", os.fsencode(Tree.OVERLAY.value))
    for tree in (Tree.DELETE, Tree.TASKS):
        top = os.fsencode(tree.value)
        above = os.fsencode(context.path_of(top))
        for directory, directories, _ in os.walk(above):
            directories.sort()
            yield top + directory[len(above) :]
    yield from (relative for relative in context.scripts if is_directory(context.path_of(relative)))


def setuid(context: LintContext) -> Iterator[Finding]:
    """Find files that run with the rights of their owner or group, whoever starts them."""

    def set_id(expected: ExpectedMode, source: Source) -> bool:
        return source.state.kind is Kind.FILE and bool(expected.mode & _SET_ID)

    hint = "gives every user who runs it the rights of its owner or group: chmod ug-s, or use sudo"
    return _by_mode(context, "setuid", set_id, hint)


def _by_mode(
    context: LintContext, rule: str, wrong: Callable[[ExpectedMode, Source], bool], hint: str
) -> Iterator[Finding]:
    for candidate, source in context.sources(Tree.OVERLAY):
        if source.state.kind is Kind.LINK:
            continue
        bad_modes = [expected for expected in context.expected_modes(candidate, source) if wrong(expected, source)]
        if bad_modes:
            message = f"{_mode_in_words(context, candidate, source, bad_modes[0])} {hint}"
            yield context.source_finding(rule, candidate.relative, message)


def _mode_in_words(context: LintContext, candidate: Candidate, source: Source, expected: ExpectedMode) -> str:
    """Return `mode 0666`, or `mode 0666 by attributes.yaml:3 on node[1-2]`."""
    origins = expected.attributes.origins if expected.attributes is not None else ()
    origin = next((origin for origin in origins if origin.startswith("mode ")), None)
    if origin is None:
        return f"mode {expected.mode:04o}"
    on = context.nodes(context.groups_for_modes(candidate, source), expected.groups) if expected.groups else ""
    return f"{origin} on {on}" if on else origin


def symlink_leaves_tree(context: LintContext) -> Iterator[Finding]:
    """Find links whose target on a node differs from their target on the controller."""
    rule = "symlink-leaves-tree"
    masterdir = os.fsencode(context.config.masterdir)
    tops = {masterdir, os.path.realpath(masterdir)}
    for candidate, source in context.sources(Tree.OVERLAY):
        target = source.state.target
        if target is None:
            continue
        if target.startswith(b"/"):
            if any(_is_below(os.path.normpath(target), top) for top in tops):
                message = f"leads into the masterdir, to {printable(target)}: use the path of the target on the nodes"
                yield context.source_finding(rule, candidate.relative, message)
        elif _climbs_out(source.destination, target):
            message = f"leads above / from {printable(source.destination)}, to {printable(target)}: correct its target"
            yield context.source_finding(rule, candidate.relative, message)
    trees = [os.fsencode(tree.value) for tree in (Tree.OVERLAY, Tree.DELETE, Tree.TASKS)]
    for relative in dict.fromkeys((*trees, *context.scripts, *context.programs)):
        path = context.path_of(relative)
        if not path.is_symlink():
            continue
        shown = printable(os.fsencode(path.readlink()))
        if not os.path.exists(path):
            yield context.source_finding(rule, relative, f"leads to {shown}, which does not exist: correct its target")
        elif not _is_below(os.fsencode(os.path.realpath(path)), os.path.realpath(masterdir)):
            message = (
                f"leads out of the masterdir, to {shown}, which is not copied to the nodes: put a copy in its place"
            )
            yield context.source_finding(rule, relative, message)


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


def unreadable(context: LintContext) -> Iterator[Finding]:
    """Find files that this user cannot read and so cannot compare or copy."""
    files = [c.relative for c, source in context.sources(Tree.OVERLAY) if source.state.kind is Kind.FILE]
    for relative in (*files, *dict.fromkeys((*context.programs, *context.scripts))):
        path = context.path_of(relative)
        if path.is_symlink():
            continue
        wanted = os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK
        if not os.access(path, wanted):
            message = "this user cannot read it, so it cannot be compared or copied: chmod or chown"
            yield context.source_finding("unreadable", relative, message)

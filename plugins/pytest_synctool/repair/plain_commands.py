"""A plan as the plain shell commands that a person would type on the node (documentation: "unix-style output").

They do what the script of a repair does, without its guards: no lock, no check of who may rename in a directory, no
report. Pure: this module contacts no node.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from pytest_synctool.common import acl
from pytest_synctool.common.capabilities import NO_CAPABILITIES
from pytest_synctool.common.shell import quote, words
from pytest_synctool.model import Kind, OldVersions
from pytest_synctool.repair.bulk_commands import owner_and_group
from pytest_synctool.repair.kept_names import kept_path
from pytest_synctool.repair.plan import Action, Erasure, MovingAway, NewAttributes, NewVersion, Plan, Removal, Trigger
from pytest_synctool.repair.script import Context
from pytest_synctool.repository.source import parents

_SET_ID: Final = 0o6000


def plain_commands(
    plan: Plan, context: Context, log_lines: Sequence[str], absent: Collection[bytes], numbers: Collection[int]
) -> list[bytes]:
    """Return the lines for the steps of a plan that are in `numbers` and have a line in the log, in their order.

    `absent` are the paths that do not exist. The lines can be typed at a prompt of root's, one after the other.
    """
    writer = _Writer(context, absent)
    lines: list[bytes] = []
    links: set[bytes] = set()
    for number, action in enumerate(plan.actions):
        if number in numbers and log_lines[number]:
            link = next((path for path in parents(action.path) if path in links), None)
            text = writer.of_action(action)
            # Nothing is put through a link that stays.
            lines += text if link is None else [b"if [ ! -L %s ]; then" % quote(link), *text, b"fi"]
            lines.append(b"")
            if isinstance(action.work, NewVersion) and action.work.old == "leave":
                links.add(action.path)
    for number, trigger in enumerate(plan.triggers, len(plan.actions)):
        if number in numbers:
            lines += [*writer.of_trigger(trigger), b""]
    return lines


class _Writer:
    def __init__(self, context: Context, absent: Collection[bytes]) -> None:
        self._context, self._absent = context, absent
        self._has_mask = self._has_variables = False

    def of_action(self, action: Action) -> Iterator[bytes]:
        work, shown = action.work, _in_a_comment(action.path)
        if isinstance(work, Removal):
            yield b"# deleting file " + shown
            yield words(b"rm", action.path)
        elif isinstance(work, Erasure):
            yield b"# erasing old version of " + _in_a_comment(work.version)
            yield words(b"rm", action.path)
        elif isinstance(work, MovingAway):
            yield b"# removing " + shown
            yield from self._put_aside(action)
        elif isinstance(work, NewAttributes):
            yield b"# setting owner and mode of " + shown
            path = os.path.join(action.directory, work.name)
            if work.owner:
                yield self._chown(path, work)
            if work.state.kind is not Kind.LINK and (work.mode or work.state.mode & _SET_ID):
                yield _chmod(path, work)
            yield from _more_attributes(path, work)
        elif isinstance(work, NewVersion):
            yield from self._of_new_version(action, work)

    def _of_new_version(self, action: Action, work: NewVersion) -> Iterator[bytes]:
        path = action.path
        is_new = path in self._absent
        yield b"# %s %s %s" % (b"creating" if is_new else b"updating", work.make.encode(), _in_a_comment(path))
        if work.old == "leave" or work.validate:
            yield from self._mask()
        if work.old == "leave":
            yield b"# a link that leads to a directory stays"
            yield b"if [ ! -d %s ]; then" % quote(path)
        if work.validate:
            yield words(b"if", b"sh", b"-c", b"f=$1; " + work.validate, b"validate", work.source) + b"; then"
        if not is_new:
            yield from self._put_aside(action, copy=work.in_place)
        if work.make == "link":
            yield words(b"ln", b"-s", work.source, path)
            yield self._chown(path, work)
        else:
            yield from self._mask()
            yield b"umask 077"
            if work.in_place:
                yield words(b"chmod", b"go=", path)
            # cp writes a file through that is there
            yield words(b"mkdir", path) if work.make == "directory" else words(b"cp", work.source, path)
            yield self._chown(path, work)
            yield _chmod(path, work)
            yield from _more_attributes(path, work)
        if work.validate or work.old == "leave":
            yield b"fi"

    def _mask(self) -> Iterator[bytes]:
        """Yield the command that remembers the umask, once: it must not depend on a condition."""
        if not self._has_mask:
            yield b"mask=$(umask)"
        self._has_mask = True

    def _put_aside(self, action: Action, *, copy: bool = False) -> Iterator[bytes]:
        saved, path, directory = self._context.saved, action.path, action.directory
        if saved is OldVersions.BESIDE and action.aside:
            saved = self._context.aside
        program = (b"cp", b"-p") if copy else (b"mv",)
        if saved is OldVersions.NOWHERE:
            yield from () if copy else [words(b"rm", path)]
        elif isinstance(saved, OldVersions):
            yield words(*program, path, kept_path(path))
        else:
            yield words(b"mkdir", b"-p", saved + directory)
            yield words(*program, path, saved + path)

    def _chown(self, path: bytes, work: NewVersion | NewAttributes) -> bytes:
        follows = [b"-h"] if work.state.kind is Kind.LINK else []
        return words(b"chown", *follows, b":".join(owner_and_group(work.state)), path)

    def of_trigger(self, trigger: Trigger) -> Iterator[bytes]:
        if trigger.obstacle:
            yield b"# " + os.fsencode(trigger.announced)
            return
        yield b"# run " + os.fsencode(trigger.command.announced)
        if self._has_mask:
            yield b"umask $mask"
        if not self._has_variables:
            self._has_variables = True
            node = os.fsencode(self._context.node)
            hostname = os.fsencode(self._context.hostname) or node
            values = {b"NODE": node, b"NODENAME": hostname}
            values |= dict.fromkeys((b"MASTERDIR", b"ROOT"), self._context.masterdir)
            yield b"export " + b" ".join(b"SYNCTOOL_%s=%s" % (name, quote(value)) for name, value in values.items())
            yield b'export PATH="$SYNCTOOL_MASTERDIR/scripts:$PATH"'
        text = trigger.command.text
        if not trigger.command.is_text:
            text = quote(os.path.join(self._context.masterdir, text))
        yield from (b"( cd %s || exit" % quote(trigger.directory), text, b")")


def _chmod(path: bytes, work: NewVersion | NewAttributes) -> bytes:
    return words(b"chmod", b"%04o" % work.state.mode, path)


def _more_attributes(path: bytes, work: NewVersion | NewAttributes) -> Iterator[bytes]:
    """Yield the commands for an expected ACL, capabilities and SELinux label."""
    if work.state.acl is not None and (work.state.acl != acl.NO_ACL or isinstance(work, NewAttributes)):
        yield words(b"setfacl", b"-k", b"--set", os.fsencode(acl.whole(work.state.acl, work.state.mode)), path)
    capabilities = work.state.capabilities
    if capabilities == NO_CAPABILITIES and isinstance(work, NewAttributes):
        yield words(b"setcap", b"-r", path)
    elif capabilities not in (None, NO_CAPABILITIES):
        yield words(b"setcap", str(capabilities).encode(), path)
    if work.state.label is not None:
        yield words(b"restorecon", path)


def _in_a_comment(path: bytes) -> bytes:
    return path.replace(b"\n", b"?")

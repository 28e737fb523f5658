"""A migration: the renames that turn the layout of synctool 6 and 7 into that of synctool 4, for the same nodes.

`overlay/wn/etc/` becomes `overlay/etc._wn/`, and `overlay/all/etc/` becomes `overlay/etc/`. The plan is made only if
every node keeps its sources and triggers, and nothing is in the way of a new name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Config, Layout
from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository import attributes
from pytest_synctool.repository.candidates import TRIGGER, Candidate, Masterdir, split_extension
from pytest_synctool.repository.destination_resolver import by_importance
from pytest_synctool.repository.later_releases import GROUP_TREES, PURGE, group_trees
from pytest_synctool.repository.masterdir import scan_configured

_MOST_CHANGED: Final = 20


class Rename(NamedTuple):
    """A name below the masterdir, and the name that it gets."""

    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Migration:
    """The renames, the directories of groups that are empty after them, and what is in the way, a line each."""

    renames: tuple[Rename, ...]
    emptied: tuple[bytes, ...]
    problems: tuple[str, ...]


def plan(config: Config) -> Migration:
    """Return the migration of a masterdir, which is read as one of synctool 6 or 7. Raises what scan() raises."""
    walked = scan_configured(replace(config, layout=Layout.GROUPS, directories={}))
    tops = [tree.value.encode() for tree in GROUP_TREES]
    trees = [
        tree
        for tree in group_trees(config.masterdir, tops, config.known_groups, config.ignore)
        if not _at(config.masterdir, tree).is_symlink()
    ]
    problems = [
        f"{printable(left.relative)}: synctool 6 and 7 ignored it, synctool 4 would not: move it out of the tree first"
        for left in walked.left_out
        if left.destination == b"/"
    ]
    problems += _rules_of_sources(config)
    problems += [
        f"{printable(each)}: synctool 4 has no {PURGE}/: move it to overlay/ and call it 'exclusive: tree' in "
        f"{attributes.FILE_NAME}"
        for each in sorted(walked.purged)
    ]
    renames: list[Rename] = []
    for tree in trees:
        for path in sorted(_at(config.masterdir, tree).iterdir()):
            name, new = os.fsencode(path.name), _new_name(path, os.fsdecode(os.path.basename(tree)), config)
            if new is None:
                problems.append(f"{printable(tree + b'/' + name)}: it has no group: rename it first")
            else:
                renames.append(Rename(tree + b"/" + name, os.path.dirname(tree) + b"/" + new))
    problems += _collisions(config.masterdir, renames)
    if not problems:
        problems += _changes(config, walked, renames)
    return Migration(tuple(renames), tuple(trees), tuple(problems))


def _at(masterdir: Path, relative: bytes) -> Path:
    return masterdir / os.fsdecode(relative)


def _rules_of_sources(config: Config) -> Iterator[str]:
    """Yield a line for each rule of attributes.yaml that names a source, which would get another name."""
    rules = attributes.load(config.masterdir / attributes.FILE_NAME, config.known_groups, config.trust).rules
    for rule in rules:
        if any(name.startswith("overlay/") for name in rule.names):
            yield f"{attributes.FILE_NAME}:{rule.line}: the rule names a source, which moves: give it a path and groups"


def _new_name(path: Path, group: str, config: Config) -> bytes | None:
    """Return the name that something in the tree of a group gets directly in overlay/ or delete/, or None."""
    name, is_directory = os.fsencode(path.name), path.is_dir() and not path.is_symlink()
    base, extension = split_extension(name)
    if config.ignore.why((name, base), is_directory) is not None:
        return name
    is_trigger = base.endswith(TRIGGER) and not is_directory
    if extension is None and config.require_extension and not is_directory and not is_trigger:
        return None
    if group == "all":
        return name
    if extension in (None, "all") or group == "none":
        return base + b"._" + os.fsencode(group)
    return name  # whether this means the same is checked for each node


def _collisions(masterdir: Path, renames: Sequence[Rename]) -> Iterator[str]:
    counts = Counter(rename.new for rename in renames)
    for rename in renames:
        if counts[rename.new] > 1:
            yield f"{printable(rename.old)}: another name would be {printable(rename.new)} too: join them first"
        elif os.path.lexists(_at(masterdir, rename.new)):
            yield f"{printable(rename.old)}: {printable(rename.new)} is there already: rename one of them first"


def _changes(config: Config, walked: Masterdir, renames: Iterable[Rename]) -> list[str]:
    """Return a line for each source or trigger that a node would no longer use, and the one that it would use."""
    new_tops = {rename.old: rename.new for rename in renames}
    kinds: dict[tuple[str, ...], str] = {}
    used = {
        g for table in (walked.candidates, walked.triggers) for each in table.values() for c in each for g in c.groups
    }
    for node in config.nodes.values():
        kinds.setdefault(tuple(group for group in node.groups if group in used or group == "all"), node.name)
    lines: dict[str, None] = {}
    for table in (walked.candidates, walked.triggers):
        for candidates in table.values():
            moved = {_moved(candidate, new_tops): candidate for candidate in candidates}
            for groups, name in kinds.items():
                before, after = by_importance(candidates, groups)[:1], by_importance(list(moved), groups)[:1]
                if before != [moved[each] for each in after]:
                    shown = printable((before or [moved[after[0]]])[0].relative)
                    other = printable(moved[after[0]].relative) if after and before else "nothing" if before else "it"
                    lines[f"{shown}: {name} would get {other} instead: give it another group first"] = None
    shown_lines = list(lines)[:_MOST_CHANGED]
    return shown_lines + ([f"and {len(lines) - _MOST_CHANGED} more"] if len(lines) > _MOST_CHANGED else [])


def _moved(candidate: Candidate, new_tops: Mapping[bytes, bytes]) -> Candidate:
    """Return a candidate as the walk finds it after the renames."""
    parts = candidate.relative.split(b"/")
    old = b"/".join(parts[:3])
    new = new_tops.get(old)
    if new is None:  # in tasks/
        return candidate
    relative = new + candidate.relative[len(old) :]
    groups = tuple(split_extension(part)[1] for part in relative.split(b"/")[1:])
    return Candidate(groups, relative, None)


def apply(masterdir: Path, migration: Migration) -> None:
    """Do the renames of a migration without problems. Nothing is replaced: after an error, all is as it was before.

    Raises RepositoryError.
    """
    done: list[Rename] = []
    for rename in migration.renames:
        try:
            _move(_at(masterdir, rename.old), _at(masterdir, rename.new))
        except OSError as error:
            for earlier in reversed(done):
                with suppress(OSError):
                    _move(_at(masterdir, earlier.new), _at(masterdir, earlier.old))
            message = f"cannot rename {printable(rename.old)}: {error.strerror}: nothing is renamed"
            raise RepositoryError(message) from error
        done.append(rename)
    for tree in migration.emptied:
        with suppress(OSError):
            _at(masterdir, tree).rmdir()


def _move(old: Path, new: Path) -> None:
    """Rename a file, link or directory. Raises OSError if the new name is there; a file is never replaced."""
    if os.path.lexists(new):
        raise FileExistsError(17, "the new name is there already", new)
    if old.is_dir() and not old.is_symlink():
        old.rename(new)  # replaces nothing but an empty directory
        return
    os.link(old, new, follow_symlinks=False)  # unlike a rename, it fails if somebody has made the name meanwhile
    old.unlink()

"""Names in a masterdir that synctool 6 and 7 read otherwise than synctool 4: a run never guesses which one is meant.

There, a directory directly in overlay/ or delete/ is the tree of a group, `x.pre` is a script to run before a change of
x, `x._template.post` is one that generates x from `x._template`, and purge/ has directories that nodes must have with
nothing else in them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.config.model import Layout
from pytest_synctool.repository.source import Tree

TEMPLATE: Final = "template"
PURGE: Final = "purge"
GROUP_TREES: Final = (Tree.OVERLAY, Tree.DELETE)  # the trees that a group can have

_MOST_NAMED: Final = 5
_SCRIPT: Final = re.compile(rb"\.(?:pre(?:\.post)?|(_template)\.post)(?:\._[^.]*)?\Z")


def is_later(name: bytes, known_groups: Collection[str]) -> bool:
    """Return True for a file in overlay/ that synctool 6 and 7 run before a change, or to generate a file."""
    if b".pre" not in name and b"._template" not in name:  # asked of every name, so the usual case comes first
        return False
    match = _SCRIPT.search(name)
    return match is not None and (match[1] is None or TEMPLATE not in known_groups)


def group_trees(
    masterdir: Path, tops: Iterable[bytes], known_groups: Collection[str], ignore: IgnoreRules
) -> Iterator[bytes]:
    """Yield the directories directly in overlay/ and delete/, the `tops`, that have the name of a group."""
    for top in tops:
        with suppress(OSError), os.scandir(os.path.join(os.fsencode(masterdir), top)) as listing:
            for child in sorted(listing, key=lambda child: child.name):
                # A link may lead to itself: DirEntry.is_dir() raises an error then.
                is_tree = os.fsdecode(child.name) in known_groups and os.path.isdir(child.path)
                if is_tree and not ignore.why((child.name,), True):
                    yield top + b"/" + child.name


def purges(masterdir: Path, ignore: IgnoreRules) -> bool:
    """Return True if purge/ has something. Empty directories of groups, as an installation makes them, are nothing."""
    if ignore.why((os.fsencode(PURGE),), True):
        return False
    try:
        with os.scandir(masterdir / PURGE) as listing:
            return any(not child.is_dir() or _has_names(child.path) for child in listing)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it is there, and what it has cannot be known
        return True


def _has_names(path: str) -> bool:
    with os.scandir(path) as listing:
        return any(listing)


def refusal(
    masterdir: Path,
    layout: Layout | None,
    tops: Iterable[bytes],
    known_groups: Collection[str],
    ignore: IgnoreRules,
    scripts: Sequence[bytes],
) -> str | None:
    """Return why a masterdir cannot be used, in one line with the next step, or None.

    `tops` are the directories of GROUP_TREES; `scripts` are the names for which is_later() is true.
    """
    if layout is Layout.PATHS:
        return None
    pre = [name for name in scripts if b"._template" not in os.path.basename(name)]
    templates = [name for name in scripts if name not in pre]
    if layout is Layout.GROUPS:
        return _unsupported(masterdir, pre, templates)
    trees = list(group_trees(masterdir, tops, known_groups, ignore))
    parts = [
        *([f"{_names(trees, '/')} as trees of groups"] if trees else []),
        *([f"{_names(pre)} to be run before a change"] if pre else []),
        *([f"{_names(templates)} to fill in templates"] if templates else []),
        *([f"{PURGE}/"] if purges(masterdir, ignore) else []),
    ]
    if not parts:
        return None
    return (
        f"{masterdir} may be a repository of synctool 6 or 7, with {', '.join(parts)}: write 'layout 7' in the "
        "configuration if it is one (or see `synctool-config --migrate`), or 'layout 4' if nodes get these names as "
        "they are"
    )


def _unsupported(masterdir: Path, pre: Sequence[bytes], templates: Sequence[bytes]) -> str | None:
    """Return which parts of synctool 6 and 7 cannot be done, and what to do about them, or None."""
    steps = []
    if pre:
        steps.append(f"{_names(pre)} (make it a .post script, or a task)")
    if templates:
        steps.append(f"{_names(templates)} (write the template for Jinja2 and remove the script)")
    if not steps:
        return None
    reason = f"{masterdir} has what only synctool 6 and 7 can do: {', '.join(steps)}"
    return f"{reason}; or name it in an 'ignore' line to run without it"


def _names(names: Sequence[bytes], end: str = "") -> str:
    shown = ", ".join(printable(name) + end for name in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")

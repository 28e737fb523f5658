"""Keywords of synctool 5 to 7 that synctool 4 did not have: what they set here, and which of them set nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.config.model import ConfigNotice, Layout, Place

RULE: Final = "without-effect"
_COLORS: Final = (
    *("info", "warn", "error", "fail", "sync", "link", "mkdir", "rm", "chown", "chmod", "exec", "upload", "new"),
    *("type", "dryrun", "fixing", "ok"),
)
WITHOUT_EFFECT: Final = (
    *("master", "master_node", "manage_master", "slave", "tempdir", "prefix", "terse", "full_path", "sync_times"),
    *("ping_cmd", "pkg_cmd", "package_manager"),
    *("colorize_full_line", "colorize_full_lines", "colorize_bright", "colorize_bold"),
    *(f"color_{word}" for word in _COLORS),
)
DIRECTORIES: Final = {"overlaydir": "overlay", "deletedir": "delete", "tasksdir": "tasks", "scriptdir": "scripts"}
COLLECTED: Final = frozenset((*WITHOUT_EFFECT, *DIRECTORIES))  # keywords that may appear more than once
FOREVER: Final = 999_999  # seconds

_TIME: Final = re.compile(r"(\d{1,6})([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_VARIABLE: Final = "$masterdir"


@dataclass
class LaterKeywords:
    """The statements with a keyword of COLLECTED."""

    without_effect: dict[str, str] = field(default_factory=dict)
    _first: list[tuple[str, Place]] = field(default_factory=list)
    _directories: list[tuple[str, str, Place]] = field(default_factory=list)

    def add(self, keyword: str, place: Place, text: str) -> None:
        """Take a statement. `text` is all that follows the keyword."""
        if keyword in DIRECTORIES:
            self._directories.append((keyword, text, place))
            return
        if keyword not in self.without_effect:
            self._first.append((keyword, place))
        self.without_effect[keyword] = text

    def notices(self) -> Iterator[ConfigNotice]:
        """Yield one notice about all keywords without effect, at the line of the first one."""
        if self._first:
            keywords = [keyword for keyword, _ in self._first]
            shown = [keyword for keyword in keywords if not keyword.startswith("color_")]
            shown += ["color_..."] if len(shown) < len(keywords) else []
            verb, them = ("has", "it") if len(keywords) == 1 else ("have", "them")
            message = f"{', '.join(shown)} {verb} no effect here: remove {them} unless another program reads {them}"
            yield ConfigNotice(RULE, self._first[0][1], keywords[0], message)

    def directories(
        self, masterdir: Path, layout: Layout | None, complain: Callable[[Place, str], None]
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the directories of each tree that has some of its own, as names below the masterdir.

        Pass those that cannot be used to `complain`: nodes have all trees at the same places as the masterdir.
        """
        trees: dict[str, list[str]] = {}
        for keyword, text, place in self._directories:
            tree, path = DIRECTORIES[keyword], _path(text, masterdir)
            name = os.path.relpath(path, masterdir)
            problem = _problem(tree, name, trees.get(tree, []), layout)
            if problem is not None:
                complain(place, f"'{keyword} {text}': {problem.format(masterdir / tree)}")
            elif not path.is_dir():
                complain(place, f"'{keyword}': {path} is not a directory: create it, or correct this line")
            else:
                trees.setdefault(tree, []).append(name)
        return {tree: tuple(names) for tree, names in trees.items() if names != [tree]}


def _path(text: str, masterdir: Path) -> Path:
    if text == _VARIABLE or text.startswith(_VARIABLE + "/"):
        text = text.removeprefix(_VARIABLE).lstrip("/")
    return Path(os.path.normpath(masterdir / text))


def _problem(tree: str, name: str, others: list[str], layout: Layout | None) -> str | None:
    """Return why a directory cannot be one of a tree, with {} for the directory of the tree, or None."""
    is_tree = name == tree
    if layout is Layout.GROUPS and not is_tree:
        return "with 'layout 7', the directories of {} are those of groups: remove this line"
    if not is_tree and (tree == "scripts" or not name.startswith(tree + "/")):
        inside = "" if tree == "scripts" else " and directories in it"
        return "only {}" + inside + " can be used, since nodes have the same: move it there, or make a link there"
    for other in others:
        if f"{name}/".startswith(f"{other}/") or other.startswith(f"{name}/"):
            return f"this is in {other}, or it contains it: remove one"
    return None


def default_masterdir(path: Path) -> Path | None:
    """Return the masterdir of a configuration of synctool 6 or 7: ROOT/var, if the file is in ROOT/etc, or None."""
    directory = path.absolute().parent
    masterdir = directory.parent / "var"
    return masterdir if directory.name == "etc" and (masterdir / "overlay").is_dir() else None


def persist_seconds(text: str) -> int | None:
    """Return the value of ssh_control_persist in seconds, or None if it is not a time. `none` is 0."""
    if text.lower() in ("none", "no"):
        return 0
    if text.lower() == "yes":
        return FOREVER
    if not re.fullmatch(rf"(?:{_TIME.pattern})+", text.lower()):
        return None
    total = sum(int(number) * _SECONDS[unit] for number, unit in _TIME.findall(text.lower()))
    return min(total, FOREVER)

"""The settings of a configuration, by the keywords of synctool.conf: everything but nodes and groups."""

from __future__ import annotations

import os
import shlex

from pytest_synctool.config import later_keywords, variables
from pytest_synctool.config.model import Config

# A command is a tuple of words. A list is a tuple too.
Setting = str | int | bool | tuple[str, ...] | None


def settings(config: Config) -> dict[str, Setting]:
    """Return the value of every setting, by keyword. None stands for a setting without value and default."""
    return {
        "masterdir": str(config.masterdir),
        "layout": None if config.layout is None else config.layout.value,
        "num_proc": config.num_proc,
        "default_nodeset": config.default_nodeset,
        "require_extension": config.require_extension,
        "ignore": config.ignore.patterns,
        "ignore_dotfiles": config.ignore.dotfiles,
        "ignore_dotdirs": config.ignore.dotdirs,
        "ignore_group": tuple(sorted(config.ignored_groups)),
        "symlink_mode": None if config.symlink_mode is None else f"{config.symlink_mode:04o}",
        "logfile": config.logfile,
        "backup_copies": config.backup_copies,
        "syslogging": config.syslogging,
        "colorize": config.colorize,
        "ssh_control_persist": config.ssh_persist,
        **{keyword: config.directories.get(tree, (tree,)) for keyword, tree in later_keywords.DIRECTORIES.items()},
        "ssh_cmd": config.ssh_cmd,
        "scp_cmd": config.scp_cmd,
        "rsync_cmd": config.rsync_cmd,
        "diff_cmd": config.diff_cmd,
        "synctool_cmd": config.synctool_cmd,
        "on_update": tuple(f"{os.fsdecode(each.path)} {each.command}" for each in config.on_update),
        "always_run": config.always_run,
        "var": tuple(variables.in_lines(config.variables)),
        **{keyword: config.without_effect.get(keyword) for keyword in later_keywords.WITHOUT_EFFECT},
    }


def lines(name: str, value: Setting) -> list[str]:
    """Return a setting as text for synctool.conf, one line per item of a list, and no line if it has no value."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if not isinstance(value, tuple):
        return [str(value)]
    if name.endswith("_cmd"):
        return [shlex.join(value)] if value else []
    return list(value)

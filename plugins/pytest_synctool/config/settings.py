"""What a configuration says apart from nodes and groups, by the keywords of synctool.conf."""

from __future__ import annotations

import os
import shlex

from pytest_synctool.config.model import Config

# A command is a tuple of words, and so is a list.
Setting = str | int | bool | tuple[str, ...] | None


def settings(config: Config) -> dict[str, Setting]:
    """Every setting with its value, given or by default; None for one that is not set and has no default."""
    return {
        "masterdir": str(config.masterdir),
        "num_proc": config.num_proc,
        "default_nodeset": config.default_nodeset,
        "require_extension": config.require_extension,
        "ignore": config.ignore.patterns,
        "ignore_dotfiles": config.ignore.dotfiles,
        "ignore_dotdirs": config.ignore.dotdirs,
        "ignore_group": tuple(sorted(config.ignored_groups)),
        "symlink_mode": None if config.symlink_mode is None else f"{config.symlink_mode:04o}",
        "logfile": config.logfile,
        "ssh_cmd": config.ssh_cmd,
        "scp_cmd": config.scp_cmd,
        "rsync_cmd": config.rsync_cmd,
        "diff_cmd": config.diff_cmd,
        "synctool_cmd": config.synctool_cmd,
        "on_update": tuple(f"{os.fsdecode(each.path)} {each.command}" for each in config.on_update),
        "always_run": config.always_run,
    }


def lines(name: str, value: Setting) -> list[str]:
    """A setting as synctool.conf would have it, a line for each item of a list; nothing where it is not set."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if not isinstance(value, tuple):
        return [str(value)]
    if name.endswith("_cmd"):
        return [shlex.join(value)] if value else []
    return list(value)

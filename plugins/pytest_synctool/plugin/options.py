"""The options of the plugin, and the combinations of them that are refused."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_synctool.audit import remembered
from pytest_synctool.common.trust import HELP, OPTION
from pytest_synctool.engine import batches
from pytest_synctool.plugin.invocation import BY_ENTRY, BY_NODE, changes_nodes, option_without_tests, repair_option


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number of seconds from 1, not {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number from 0, not {text!r}")
    return int(text)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= remembered.MOST_DAYS):
        raise argparse.ArgumentTypeError(
            f"expected a number of days from 1, not {text!r}: write {remembered.OPTION}={remembered.DAYS}"
        )
    return int(text)


def _size(text: str) -> batches.Size:
    try:
        return batches.size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _directory(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or not os.path.normpath(text).strip("/"):
        raise argparse.ArgumentTypeError(f"expected a directory on the nodes like /var/lib/saved, not {text!r}")
    return os.path.normpath(text)


def _plain_directory(text: str) -> str:
    """Return a directory on the nodes whose name needs no quotes."""
    from pytest_synctool.audit.packages import PLAIN_DIRECTORY  # most runs do without

    path = os.path.normpath(text)
    if text.startswith("/") and PLAIN_DIRECTORY.fullmatch(os.fsencode(path)):
        return path
    raise argparse.ArgumentTypeError(
        f"expected a directory on the nodes like /etc, of ASCII letters, digits and ._+-, not {text!r}; "
        "a test path comes before --synctool-unmanaged"
    )


@dataclass(frozen=True)
class PluginOption:
    """An option of the plugin. One with neither `metavar` nor `choices` is a switch.

    With `bare`, the value may be left out, and is this one then. A value is in the same word: `--unmanaged=/etc`.
    """

    name: str
    help: str
    metavar: str | None = None
    type: Callable[[str], object] = str
    default: object = None
    choices: tuple[str, ...] | None = None
    repeatable: bool = False
    bare: str | int | None = None

    @property
    def long_name(self) -> str:
        """Return the name that no other plugin takes: `--synctool-no-saved` for `--no-saved`."""
        return "--synctool-" + self.name.removeprefix("--").removeprefix("synctool-")

    @property
    def dest(self) -> str:
        """Return the name of its value: `synctool_no_saved` for `--no-saved`, `synctool_conf` for `--synctool-conf`."""
        return self.long_name.removeprefix("--").replace("-", "_")

    @property
    def has_own_word(self) -> bool:
        """True if the value may be in a word of its own: `--batch 8`."""
        return (self.metavar is not None or self.choices is not None) and self.bare is None

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of argparse's add_argument() beside the name."""
        if self.choices is not None:
            value: dict[str, Any] = {"choices": self.choices, "default": self.default}
        elif self.repeatable:
            value = {"metavar": self.metavar, "action": "append", "default": []}
        elif self.metavar is not None:
            value = {"metavar": self.metavar, "type": self.type, "default": self.default}
            if self.bare is not None:
                value |= {"nargs": "?", "const": self.bare}
        else:
            value = {"action": "store_true"}
        return {"dest": self.dest, "help": self.help, **value}


_GROUP: Final = (
    "synctool: audit and repair the files of a cluster (see also --hosts). Each option has a second name, such as "
    "--synctool-fix, which also works where another plugin has an option --fix"
)

# --hosts, --ssh-config, --sudo and their like are testinfra's.
OPTIONS: Final = (
    PluginOption(
        "--synctool-conf",
        "configuration file (default: ini key synctool_conf, $SYNCTOOL_CONF, ./synctool.conf, "
        "/var/lib/synctool/synctool.conf)",
        metavar="FILE",
    ),
    PluginOption(OPTION, HELP, metavar="NAME", repeatable=True),
    PluginOption("--fix", "repair drift (default: audit only, no node is changed)"),
    PluginOption(
        "--nodename",
        "work on this machine only, as node NAME, with its own copy of the masterdir (default with --hosts=localhost: "
        "the node with this machine's host name or address)",
        metavar="NAME",
    ),
    PluginOption(
        "--batch",
        "with --fix: repair N nodes (or N%% of them) at a time; a batch starts only after one without failures",
        metavar="N|N%",
        type=_size,
    ),
    PluginOption("--serial", "with --fix: repair one node at a time, same as --batch=1"),
    PluginOption(
        "--max-fail-nodes",
        "with --batch: start no further batch once more than N nodes have failed (default: 0)",
        metavar="N",
        type=_count,
    ),
    PluginOption(
        "--no-syslog", "with --fix: do not log repairs to syslog; `logfile` of the configuration is still written"
    ),
    PluginOption(
        "--no-saved",
        "with --fix: keep no NAME.saved of replaced files; a directory in the way of a file is still kept",
    ),
    PluginOption(
        "--saved-dir",
        "with --fix: keep old versions below DIR on the node, such as DIR/etc/motd (default: beside the new version)",
        metavar="DIR",
        type=_directory,
    ),
    PluginOption(
        "--restore",
        "list the old versions that the last --fix kept on the nodes of --hosts, or with -k or ids an earlier one; "
        "with --fix, put them back and run their .post scripts",
    ),
    PluginOption(
        "--skip-rsync",
        "with --fix: copy no files to the nodes, which have the masterdir already (for one node: rsync:no in the "
        "configuration)",
    ),
    PluginOption("--tasks", "collect a test for each task; --fix runs the tasks, an audit skips them"),
    PluginOption("--no-waivers", "ignore waivers.yaml: report waived drift, and repair it with --fix"),
    PluginOption(
        remembered.OPTION,
        remembered.HELP,
        metavar="DAYS",
        type=_days,
        bare=remembered.DAYS,
    ),
    PluginOption("--no-cache", "read every source: use no digests that earlier runs have kept"),
    PluginOption("--diff", "show content differences, each distinct one once; never of non-public contents"),
    PluginOption(
        "--unmanaged",
        "also report the files below DIR (/etc) that no entry has and that differ from what packages installed",
        metavar="DIR",
        type=_plain_directory,
        bare="/etc",
    ),
    PluginOption("--unmanaged-fail", "with --unmanaged: a test per node fails if it has such files"),
    PluginOption("--explain", "show in each failure which source applies to the node, why, and which others do not"),
    PluginOption(
        "--connect-timeout",
        "longest wait for a node to accept a connection (default: %(default)s)",
        metavar="SECONDS",
        type=_seconds,
        default=10,
    ),
    PluginOption(
        "--ssh-persist",
        "keep ssh connections open for later runs, this long after their last use; 0 closes them with the run "
        "(default: ssh_control_persist of the configuration, or 60)",
        metavar="SECONDS",
        type=_count,
    ),
    PluginOption(
        "--node-timeout",
        "longest silence of a node while it is audited or repaired, or gets files (default: %(default)s)",
        metavar="SECONDS",
        type=_seconds,
        default=120,
    ),
    PluginOption(
        "--trigger-timeout",
        "longest run of one .post script or on_update command (default: %(default)s)",
        metavar="SECONDS",
        type=_seconds,
        default=60,
    ),
    PluginOption(
        "--granularity",
        "one test per entry, or one per node that lists its entries, for runs of millions of entries (default: "
        "%(default)s)",
        choices=(BY_ENTRY, BY_NODE),
        default=BY_ENTRY,
    ),
    PluginOption("--synctool-lint", "check the configuration and the masterdir, a test per rule; contact no node"),
    PluginOption(
        "--synctool-reports",
        "write drift.html, index.html, drift.json, junit.xml, metrics.prom and history.sqlite to DIR; an empty DIR "
        "writes none (default: ini key synctool_reports, or reports/ beside the ini file or in the current directory)",
        metavar="DIR",
    ),
    PluginOption("--synctool-jsonl", "write results to FILE as lines of JSON during the run", metavar="FILE"),
    PluginOption(
        "--synctool-summary", "append a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY", metavar="FILE"
    ),
    PluginOption("--synctool-codequality", "write drift to FILE as a code-quality report for GitLab", metavar="FILE"),
    PluginOption(
        "--synctool-baseline",
        "mark drift as new in the reports unless FILE, an older drift.json, has it",
        metavar="FILE",
    ),
    PluginOption(
        "--notify",
        "run COMMAND with drift.json on standard input and a line in $SYNCTOOL_NEWS if there is news: a new failure, a "
        "node that does not answer any more, or all is well again",
        metavar="COMMAND",
    ),
    PluginOption(
        "--history-keep",
        "keep the last N runs in history.sqlite, for synctool-history; 0 records nothing (default: %(default)s)",
        metavar="N",
        type=_count,
        default=100,
    ),
    PluginOption(
        "--metrics-nodes",
        "name at most N nodes in metrics.prom, those that are not well, the worst first (default: %(default)s)",
        metavar="N",
        type=_count,
        default=100,
    ),
    PluginOption(
        "--runs-keep",
        "keep the reports of the last N runs of the whole cluster, and of N others, in runs/ID below the reports; 0 "
        "keeps none, and every run replaces the reports (default: %(default)s)",
        metavar="N",
        type=_count,
        default=30,
    ),
    PluginOption(
        "--runs-days",
        "delete the kept reports of a run after N days; 0 sets no age (default: %(default)s)",
        metavar="N",
        type=_count,
        default=90,
    ),
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, by the names that begin with --synctool-, and the ini keys of the plugin.

    The other names are added last: see add_short_names(). If a conftest loads the plugin, they are added at once, as
    pytest calls no hook of the plugin before it reads the command line.
    """
    group = parser.getgroup("synctool", _GROUP)
    for option in OPTIONS:
        group.addoption(option.long_name, **option.arguments)
    parser.addini("synctool_reports", "directory for reports, relative to the ini file (default: reports)", default="")
    parser.addini("synctool_conf", "configuration file of the cluster, relative to the ini file", default="")
    if any(Path(name).name == "conftest.py" for name, _ in pluginmanager.list_name_plugin()):
        add_short_names(parser)


def add_short_names(parser: pytest.Parser) -> None:
    """Add the name `--batch` of `--synctool-batch`, and so on, unless a conftest or another plugin has such an option.

    Call it when all of them have added theirs: pytest refuses a name that is there already. Help lists the short names.
    """
    group = parser.getgroup("synctool")
    taken = set(_names_of_options(parser))
    long = {name: option for option in group.options for name in option.names()}
    for option in OPTIONS:
        if option.name not in taken:
            group.addoption(option.name, **option.arguments)
            long[option.long_name].attrs()["help"] = argparse.SUPPRESS


def values_of_short_names(parser: pytest.Parser, words: Sequence[str]) -> Iterator[str]:
    """Yield the words that are values of options which add_short_names() adds later.

    A word that the option refuses is none: the option may be a switch of a conftest, and the word a test path.
    """
    taken = set(_names_of_options(parser))
    types = {option.name: option.type for option in OPTIONS if option.has_own_word and option.name not in taken}
    for name, value in pairwise(words):
        if name in types:
            with suppress(argparse.ArgumentTypeError):
                types[name](value)
                yield value


def _names_of_options(parser: pytest.Parser) -> Iterator[str]:
    for group in (parser._anonymous, *parser._groups):
        for option in group.options:
            yield from option.names()


def add_bare_values(parser: pytest.Parser, words: list[str]) -> None:
    """Add the value to options in a command line that are there without one: argparse would take the next word for it.

    Raises pytest.UsageError for a next word that looks like the value.
    """
    bare = {name: option for option in OPTIONS if option.bare for name in (option.name, option.long_name)}
    ours = {name for option in parser.getgroup("synctool").options for name in option.names()}
    foreign = {*_names_of_options(parser)} - ours
    for position, word in enumerate(words):
        if word == "--":
            return
        if word not in bare or word in foreign:
            continue
        following = words[position + 1 : position + 2]
        if following and (following[0].startswith("/") or following[0].isdecimal()):
            raise pytest.UsageError(
                f"write {word}={following[0]} in one word; if {following[0]} is a test path, write it before {word}"
            )
        words[position] = f"{word}={bare[word].bare}"


def release_short_names(config: pytest.Config) -> None:
    """Let conftests that pytest loads during collection have options of the same names.

    The command line has been read. Help still lists the names.
    """
    actions: dict[str, object] = getattr(config._parser.optparser, "_option_string_actions", {})
    for name in {option.name for option in OPTIONS}.difference(taken_names(config)):
        actions.pop(name, None)


def taken_names(config: pytest.Config) -> dict[str, str]:
    """Return the short names that another plugin or a conftest has, each with the name to use."""
    ours = {name for option in config._parser.getgroup("synctool").options for name in option.names()}
    return {option.name: option.long_name for option in OPTIONS if option.name not in ours}


def check_combinations(config: pytest.Config) -> None:
    """Raise pytest.UsageError, with the reason, if options of the plugin exclude each other."""
    conflicts = chain(
        _conflicts_of_saved(config.option),
        _conflicts_of_unmanaged(config.option),
        _conflicts_of_repairs(config),
        _conflicts_of_batches(config),
    )
    message = next(conflicts, None)
    if message is not None:
        raise pytest.UsageError(message)


def _conflicts_of_saved(option: argparse.Namespace) -> Iterator[str]:
    for name, value in (("--no-saved", option.synctool_no_saved), ("--saved-dir", option.synctool_saved_dir)):
        if value and not option.synctool_fix:
            yield f"{name} needs --fix: nothing else replaces files"
    if option.synctool_no_saved and option.synctool_saved_dir:
        yield "--no-saved does not go with --saved-dir: old versions are kept, or they are not"
    if option.synctool_restore and option.synctool_tasks:
        yield "--tasks does not go with --restore, which puts back what --fix has changed"


def _conflicts_of_unmanaged(option: argparse.Namespace) -> Iterator[str]:
    if option.synctool_unmanaged_fail and not option.synctool_unmanaged:
        yield "--unmanaged-fail needs --unmanaged: nothing else looks for such files"
    for name, value in (("--restore", option.synctool_restore), ("--synctool-lint", option.synctool_lint)):
        if value and option.synctool_unmanaged:
            yield f"--unmanaged does not go with {name}, which compares no node"


def _conflicts_of_repairs(config: pytest.Config) -> Iterator[str]:
    if not changes_nodes(config) and not config.option.synctool_restore:
        return
    name = repair_option(config)
    if config.option.synctool_lint:
        yield f"{name} does not go with --synctool-lint: it contacts no node, so nothing is changed"
    if (other := option_without_tests(config)) is not None:
        yield f"{name} does not go with {other}: nothing runs, so nothing is changed"
    if config.option.synctool_restore and not config.option.hosts and config.option.synctool_nodename is None:
        yield "--restore needs the names of nodes: --hosts=NODES (--hosts=all: every node)"


def _conflicts_of_batches(config: pytest.Config) -> Iterator[str]:
    option = config.option
    if option.synctool_batch and option.synctool_serial:
        yield "--serial is --batch=1: give one of them"
    values = {
        "--batch": option.synctool_batch,
        "--serial": option.synctool_serial or None,
        "--max-fail-nodes": option.synctool_max_fail_nodes,  # may be 0
    }
    used = [name for name, value in values.items() if value is not None]
    if not used:
        return
    if not option.synctool_fix:
        yield f"{used[0]} needs --fix: an audit changes nothing, so it looks at all nodes at once"
    if used == ["--max-fail-nodes"]:
        yield "--max-fail-nodes needs --batch or --serial: without them every repair begins at once"
    if getattr(option, "tx", None) and getattr(option, "dist", "no") != "no":
        yield (
            f"{used[0]} does not go with -n: several processes cannot wait for each other's batches, and one process "
            "repairs up to num_proc nodes at once"
        )

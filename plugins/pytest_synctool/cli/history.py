"""`synctool-history`: print past runs, the history of an entry, or the changes between two runs."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import command, shared_options
from pytest_synctool.errors import ConfigError, HistoryError

if TYPE_CHECKING:
    from pytest_synctool.report.history.periods import Life
    from pytest_synctool.report.history.reader import History, Run
    from pytest_synctool.report.record import EntryName

_FROM_THE_END: Final = re.compile(r"-[1-9][0-9]{0,5}")
_MOST_LISTED: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("synctool-history", argv, new_parser, _run, _conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `synctool-history`."""
    parser = shared_options.bare_parser(
        "synctool-history",
        "Print past runs and their results. Without options, list the runs, the latest one last. Nothing is changed.",
        "Exit status: 0 if all is well, 2 for a mistake in the command line or a history that cannot be read.",
    )
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="print the history of this entry: when it drifted, why, who fixed it"
    )
    shared_options.add_repeatable(
        parser,
        ("-n", "--node", "with PATH: only on these nodes, separated by commas and with ranges like node[1-3]"),
    )
    parser.add_argument("-N", "--last", metavar="N", type=shared_options.number, help="list only the latest N runs")
    parser.add_argument(
        "--between",
        metavar="RUN",
        nargs=2,
        help="print the changes between two runs; RUN is an id, its beginning, or -1 for the latest, -2 for the one "
        "before",
    )
    shared_options.add_flags(parser, ("--json", "print JSON"))
    parser.add_argument(
        "--reports",
        metavar="DIR",
        help="the directory of the history (default: reports, here or beside the configuration)",
    )
    shared_options.add_trust(parser)
    return parser


def _directory(named: str | None, file: str) -> Path:
    """Return the directory of the history: the named one, `reports` here, or that of the cluster's configuration."""
    if named is not None:
        return Path(named or ".")
    here = Path("reports")
    if not (here / file).exists():
        from pytest_synctool.config import find
        from pytest_synctool.report.files import directory_of

        with suppress(ConfigError):
            return directory_of(find(None, None, os.environ, Path.cwd()))
    return here


def _conflict(arguments: Namespace) -> str | None:
    if arguments.between and arguments.path:
        return "PATH prints the history of an entry, and --between the changes between runs: give one of them"
    if arguments.node and not arguments.path:
        return "-n goes with PATH only"
    if arguments.last and (arguments.path or arguments.between):
        return "-N goes with the list of runs only"
    return None


def _run(arguments: Namespace) -> int:
    from pytest_synctool.report.history.database import NAME

    path = _directory(arguments.reports, NAME) / NAME
    if arguments.path is not None:
        _print_life(path, arguments)
    elif arguments.between:
        _print_differences(path, arguments)
    else:
        _print_runs(path, arguments)
    return command.OK


def _print_runs(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.reader import opened

    with opened(path, shared_options.trust_of(arguments)) as history:
        runs = history.runs[-(arguments.last or len(history.runs)) :]
    if arguments.json:
        _write_json({"runs": [wording.run_value(run) for run in runs]})
    else:
        command.print_lines(wording.runs(runs))


def _print_life(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.periods import life
    from pytest_synctool.report.history.reader import opened

    lives: dict[EntryName, dict[str, Life]] = {}
    with opened(path, shared_options.trust_of(arguments)) as history:
        for entry in _entries(history, arguments.path, path):
            lives[entry] = {node: life(entry, sights) for node, sights in history.life(entry).items()}
    if arguments.node:
        _select_nodes(lives, arguments, path)
    groups = {entry: wording.shared(of_nodes) for entry, of_nodes in lives.items() if of_nodes}
    if not groups:
        raise HistoryError(f"{path}: no run that is kept has looked at {arguments.path}")
    if arguments.json:
        _write_json({"entries": [wording.life_value(entry, group) for entry, all_ in groups.items() for group in all_]})
    else:
        command.print_lines(line for entry, all_ in groups.items() for line in wording.entry_life(entry, all_))


def _entries(history: History, text: str, path: Path) -> list[EntryName]:
    """Return the entries of all kinds with a path. Raise HistoryError if there is none."""
    from pytest_synctool.common.wording import nearest, printable

    wanted = printable(os.fsencode(text))
    spellings = {wanted} | ({printable(shared_options.destination(text))} if text.startswith("/") else set())
    entries = [entry for entry in history.entries if entry.path in spellings]
    if not entries:
        hint = nearest(wanted, [entry.path for entry in history.entries])
        raise HistoryError(f"{path}: no run that is kept has looked at {wanted}{hint}")
    return sorted(entries, key=lambda entry: (entry.check, entry.name))


def _select_nodes(lives: dict[EntryName, dict[str, Life]], arguments: Namespace, path: Path) -> None:
    """Remove all nodes but those of -n. Raise HistoryError for a node on which no run has looked at the entry."""
    from pytest_synctool.common.nodenames import unfold
    from pytest_synctool.common.wording import nearest

    wanted = list(dict.fromkeys(unfold(",".join(arguments.node), origin="-n")))
    known = {node for of_nodes in lives.values() for node in of_nodes}
    for node in wanted:
        if node not in known:
            hint = nearest(node, known)
            raise HistoryError(f"-n: no run in {path} has looked at {arguments.path} on '{node}'{hint}")
    for entry, of_nodes in lives.items():
        lives[entry] = {node: life for node, life in of_nodes.items() if node in set(wanted)}


def _print_differences(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.comparison import between
    from pytest_synctool.report.history.reader import opened

    with opened(path, shared_options.trust_of(arguments)) as history:
        first, second = sorted((_find_run(history, text, path) for text in arguments.between), key=lambda run: run.seq)
        fixes = history.fixes(first, second)
        differences = between(first.started, history.nodes(first), history.nodes(second), fixes)
    if arguments.json:
        changes = [wording.difference_value(difference, nodes) for difference, nodes in differences.items()]
        _write_json({"from": wording.run_value(first), "to": wording.run_value(second), "changes": changes})
    else:
        command.print_lines(wording.differences(first, second, differences))


def _find_run(history: History, text: str, path: Path) -> Run:
    """Return the run with this number or id. Raise HistoryError if none or several match."""
    if _FROM_THE_END.fullmatch(text):
        if int(text[1:]) > len(history.runs):
            raise HistoryError(f"--between: {text}: {path} has only {len(history.runs)} runs")
        return history.runs[int(text)]
    exact = [run for run in history.runs if run.id == text]
    matches = exact or [run for run in history.runs if text and run.id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise HistoryError(f"--between: no run '{text}' in {path}; synctool-history lists them")
    more = ", ..." if len(matches) > _MOST_LISTED else ""
    names = ", ".join(run.id for run in matches[:_MOST_LISTED])
    raise HistoryError(f"--between: '{text}' could be {len(matches)} runs: {names}{more}")


def _write_json(value: dict[str, object]) -> None:
    import json

    from pytest_synctool.report.history.wording import FORMAT

    json.dump({"version": FORMAT} | value, sys.stdout, indent=1)
    print()

"""`synctool-history`: past runs, the life of an entry, and what changed between two runs."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool.cli import common
from pytest_synctool.errors import HistoryError

if TYPE_CHECKING:
    from pytest_synctool.report.history.periods import Life
    from pytest_synctool.report.history.reader import History, Run
    from pytest_synctool.report.record import EntryName

_LAST: Final = re.compile(r"-[1-9][0-9]{0,5}")
_MOST_NAMED: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process; returns the exit status."""
    return common.run("synctool-history", lambda: _main(argv))


def _parser() -> ArgumentParser:
    parser = common.bare_parser(
        "synctool-history",
        "Tell what past runs have found. Alone: the runs themselves, the last one last. Nothing is changed.",
        "Exit status: 0 if all is well, 2 for mistakes and for a history that cannot be read.",
    )
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="the life of this entry: when it drifted, why, who fixed it"
    )
    parser.add_argument(
        "-n", "--node", metavar="LIST", action="append", default=[],
        help="with PATH: only on these nodes, separated by commas and with ranges like node[1-3]",
    )  # fmt: skip
    parser.add_argument("-N", "--last", metavar="N", type=common.number, help="only the last N runs")
    parser.add_argument(
        "--between", metavar="RUN", nargs=2,
        help="what changed between two runs: an id, the beginning of one, or -1 for the last, -2 for that before it",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    parser.add_argument(
        "--reports", metavar="DIR", default="reports", help="where the history is, else in reports here"
    )
    return parser


def _clash(arguments: Namespace) -> str | None:
    if arguments.between and arguments.path:
        return "PATH tells the life of an entry, and --between what changed between runs: give one of them"
    if arguments.node and not arguments.path:
        return "-n goes with PATH only"
    if arguments.last and (arguments.path or arguments.between):
        return "-N goes with the list of runs only"
    return None


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (clash := _clash(arguments)) is not None:
        parser.error(clash)
    from pytest_synctool.report.history.database import NAME

    path = Path(arguments.reports or ".", NAME)
    if arguments.path is not None:
        _tell_life(path, arguments)
    elif arguments.between:
        _tell_differences(path, arguments)
    else:
        _tell_runs(path, arguments)
    return common.OK


def _tell_runs(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.reader import opened

    with opened(path) as history:
        runs = history.runs[-(arguments.last or len(history.runs)) :]
    if arguments.json:
        _write_json({"runs": [wording.run_value(run) for run in runs]})
    else:
        _print(wording.runs(runs))


def _tell_life(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.periods import life
    from pytest_synctool.report.history.reader import opened

    found: dict[EntryName, dict[str, Life]] = {}
    with opened(path) as history:
        for entry in _entries(history, arguments.path, path):
            found[entry] = {node: life(entry, sights) for node, sights in history.life(entry).items()}
    if arguments.node:
        _select(found, arguments, path)
    groups = {entry: wording.shared(lives) for entry, lives in found.items() if lives}
    if not groups:
        raise HistoryError(f"{path}: no run that is kept has looked at {arguments.path}")
    if arguments.json:
        _write_json({"entries": [wording.life_value(entry, group) for entry, all_ in groups.items() for group in all_]})
    else:
        _print(line for entry, all_ in groups.items() for line in wording.entry_life(entry, all_))


def _entries(history: History, asked: str, path: Path) -> list[EntryName]:
    """The entries with a path, of every kind. Raises HistoryError if there is none."""
    from pytest_synctool.common.wording import nearest, printable

    wanted = printable(os.fsencode(asked))
    spellings = {wanted} | ({printable(common.destination(asked))} if asked.startswith("/") else set())
    found = [entry for entry in history.entries if entry.path in spellings]
    if not found:
        hint = nearest(wanted, [entry.path for entry in history.entries])
        raise HistoryError(f"{path}: no run that is kept has looked at {wanted}{hint}")
    return sorted(found, key=lambda entry: (entry.check, entry.name))


def _select(found: dict[EntryName, dict[str, Life]], arguments: Namespace, path: Path) -> None:
    """Leave the nodes that are asked for. Raises HistoryError for one that no run has seen the entry on."""
    from pytest_synctool.common.nodenames import unfold
    from pytest_synctool.common.wording import nearest

    wanted = list(dict.fromkeys(unfold(",".join(arguments.node), origin="-n")))
    known = {node for lives in found.values() for node in lives}
    for node in wanted:
        if node not in known:
            hint = nearest(node, known)
            raise HistoryError(f"-n: no run in {path} has looked at {arguments.path} on '{node}'{hint}")
    for entry, lives in found.items():
        found[entry] = {node: life for node, life in lives.items() if node in set(wanted)}


def _tell_differences(path: Path, arguments: Namespace) -> None:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.comparison import between
    from pytest_synctool.report.history.reader import opened

    with opened(path) as history:
        first, second = sorted((_run(history, text, path) for text in arguments.between), key=lambda run: run.seq)
        fixes = history.fixes(first, second)
        found = between(first.started, history.nodes(first), history.nodes(second), fixes)
    if arguments.json:
        changes = [wording.difference_value(difference, nodes) for difference, nodes in found.items()]
        _write_json({"from": wording.run_value(first), "to": wording.run_value(second), "changes": changes})
    else:
        _print(wording.differences(first, second, found))


def _run(history: History, text: str, path: Path) -> Run:
    """The run that is meant. Raises HistoryError if that is none or could be several."""
    if _LAST.fullmatch(text):
        if int(text[1:]) > len(history.runs):
            raise HistoryError(f"--between: {text}: {path} has only {len(history.runs)} runs")
        return history.runs[int(text)]
    exact = [run for run in history.runs if run.id == text]
    found = exact or [run for run in history.runs if text and run.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise HistoryError(f"--between: no run '{text}' in {path}; synctool-history lists them")
    more = ", ..." if len(found) > _MOST_NAMED else ""
    names = ", ".join(run.id for run in found[:_MOST_NAMED])
    raise HistoryError(f"--between: '{text}' could be {len(found)} runs: {names}{more}")


def _print(lines: Iterable[str]) -> None:
    from pytest_synctool.common.wording import printable_text

    for line in lines:
        print(printable_text(line))


def _write_json(value: dict[str, object]) -> None:
    import json

    from pytest_synctool.report.history.wording import FORMAT

    json.dump({"version": FORMAT} | value, sys.stdout, indent=1)
    print()

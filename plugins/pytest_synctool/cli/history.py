"""`synctool-history`: print past runs, one of them, the history of an entry or a node, or changes between two runs."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
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
        "what",
        metavar="PATH|RUN",
        nargs="?",
        help="print the history of this entry: when it drifted, why, who fixed it; or the results of this run",
    )
    shared_options.add_repeatable(
        parser,
        (
            "-n",
            "--node",
            "print these nodes over time, separated by commas and with ranges like node[1-3]; with PATH, RUN or "
            "--between: only these nodes",
        ),
    )
    parser.add_argument("-N", "--last", metavar="N", type=shared_options.number, help="list only the latest N runs")
    parser.add_argument(
        "--since",
        metavar="WHEN",
        type=_beginning,
        help="only runs that began since then: 2026-11-29, 2026-11-29T04:00, 12h, 3d, 2w, today, yesterday",
    )
    parser.add_argument(
        "--between",
        metavar="RUN",
        nargs=2,
        help="print the changes between two runs; a RUN is an id, its beginning, or -1 for the latest, -2 for the one "
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


def _beginning(text: str) -> datetime:
    from pytest_synctool.report.history.since import beginning

    try:
        return beginning(text, datetime.now().astimezone())
    except ValueError as error:
        raise ArgumentTypeError(f"{error}, not {text!r}") from error


def _conflict(arguments: Namespace) -> str | None:
    if arguments.between and arguments.what:
        return "PATH and RUN print one entry or one run, and --between the changes between runs: give one of them"
    if arguments.last and (arguments.what or arguments.between):
        return "-N goes with the list of runs and with -n only"
    if arguments.since and arguments.between:
        return "--since does not go with --between, which names its runs"
    return None


def _run(arguments: Namespace) -> int:
    from pytest_synctool.report.history.database import NAME
    from pytest_synctool.report.history.reader import opened

    path = _directory(arguments.reports, NAME) / NAME
    with opened(path, shared_options.trust_of(arguments)) as history:
        output = _asked_for(history, arguments)(history, path, arguments)
    if arguments.json:
        _write_json(output.value())
    else:
        command.print_lines(output.lines)
    return command.OK


@dataclass(frozen=True)
class _Output:
    """The output of a command: lines for people, or a value for JSON."""

    lines: Iterable[str]
    value: Callable[[], dict[str, object]]


def _asked_for(history: History, arguments: Namespace) -> Callable[[History, Path, Namespace], _Output]:
    if arguments.between:
        return _print_differences
    if arguments.what is not None:
        return _print_run if _means_run(history, arguments.what) else _print_life
    return _print_nodes if arguments.node else _print_runs


def _means_run(history: History, text: str) -> bool:
    """Return True for the number of a run, its id, or the beginning of one: those of paths are others."""
    is_number = _FROM_THE_END.fullmatch(text) is not None
    return is_number or any(text and run.id.startswith(text) for run in history.runs)


def _recent(history: History, arguments: Namespace) -> Sequence[Run]:
    """Return the runs since the time that the command line names, and at most the number that it names."""
    runs = [run for run in history.runs if arguments.since is None or run.started >= arguments.since]
    return runs[-(arguments.last or len(runs) or 1) :]


def _nodes(history: History, path: Path, arguments: Namespace) -> list[str]:
    """Return the nodes of -n. Raise HistoryError for one that no run has looked at."""
    from pytest_synctool.common.nodenames import unfold
    from pytest_synctool.common.wording import nearest

    known = set(history.node_names)
    wanted = list(dict.fromkeys(unfold(",".join(arguments.node), origin="-n")))
    for node in wanted:
        if node not in known:
            raise HistoryError(f"-n: no run in {path} was for '{node}'{nearest(node, known)}")
    return wanted


def _print_nodes(history: History, path: Path, arguments: Namespace) -> _Output:
    from pytest_synctool.report.history import views

    runs = _recent(history, arguments)
    numbers = {run.seq: number for number, run in enumerate(history.runs, -len(history.runs))}
    sights = {
        node: [(numbers[run.seq], run, sight) for run, sight in history.of_node(node, runs)]
        for node in _nodes(history, path, arguments)
    }
    return _Output(
        [line for node, seen in sights.items() for line in views.node_lines(node, seen)],
        lambda: {"nodes": [views.node_value(node, seen) for node, seen in sights.items()]},
    )


def _print_run(history: History, path: Path, arguments: Namespace) -> _Output:
    from pytest_synctool.report.history import views, wording

    if arguments.since:
        raise HistoryError("--since does not go with RUN: it is one run")
    run = _find_run(history, arguments.what, path, "RUN")
    nodes = history.nodes(run)
    if arguments.node:
        nodes = {node: nodes[node] for node in _nodes(history, path, arguments) if node in nodes}
    return _Output(
        list(views.run_lines(run, nodes)),
        lambda: {
            "run": wording.run_value(run),
            "nodes": [{"node": node, **views.sight_value(sight)} for node, sight in nodes.items()],
        },
    )


def _print_runs(history: History, _: Path, arguments: Namespace) -> _Output:
    from pytest_synctool.report.history import wording

    runs = _recent(history, arguments)
    return _Output(list(wording.runs(runs)), lambda: {"runs": [wording.run_value(run) for run in runs]})


def _print_life(history: History, path: Path, arguments: Namespace) -> _Output:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.periods import life

    lives: dict[EntryName, dict[str, Life]] = {}
    since = arguments.since
    for entry in _entries(history, arguments.what, path):
        recent = {
            node: [sight for sight in sights if since is None or sight.run.started >= since]
            for node, sights in history.life(entry).items()
        }
        lives[entry] = {node: life(entry, sights) for node, sights in recent.items() if sights}
    if arguments.node:
        _select_nodes(lives, arguments, path)
    groups = {entry: wording.shared(of_nodes) for entry, of_nodes in lives.items() if of_nodes}
    if not groups:
        raise HistoryError(f"{path}: no run that is kept has looked at {arguments.what}{' since then' * bool(since)}")
    return _Output(
        [line for entry, all_ in groups.items() for line in wording.entry_life(entry, all_)],
        lambda: {"entries": [wording.life_value(entry, group) for entry, all_ in groups.items() for group in all_]},
    )


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
            raise HistoryError(f"-n: no run in {path} has looked at {arguments.what} on '{node}'{hint}")
    for entry, of_nodes in lives.items():
        lives[entry] = {node: life for node, life in of_nodes.items() if node in set(wanted)}


def _print_differences(history: History, path: Path, arguments: Namespace) -> _Output:
    from pytest_synctool.report.history import wording
    from pytest_synctool.report.history.comparison import between

    first, second = sorted((_find_run(history, text, path) for text in arguments.between), key=lambda run: run.seq)
    wanted = set(_nodes(history, path, arguments) if arguments.node else history.node_names)
    before, after = (
        {node: sight for node, sight in history.nodes(run).items() if node in wanted} for run in (first, second)
    )
    fixes = [fix for fix in history.fixes(first, second) if fix.node in wanted]
    differences = between(first.started, before, after, fixes)
    return _Output(
        list(wording.differences(first, second, differences)),
        lambda: {
            "from": wording.run_value(first),
            "to": wording.run_value(second),
            "changes": [wording.difference_value(difference, nodes) for difference, nodes in differences.items()],
        },
    )


def _find_run(history: History, text: str, path: Path, origin: str = "--between") -> Run:
    """Return the run with this number or id. Raise HistoryError if none or several match."""
    if _FROM_THE_END.fullmatch(text):
        if int(text[1:]) > len(history.runs):
            raise HistoryError(f"{origin}: {text}: {path} has only {len(history.runs)} runs")
        return history.runs[int(text)]
    exact = [run for run in history.runs if run.id == text]
    matches = exact or [run for run in history.runs if text and run.id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise HistoryError(f"{origin}: no run '{text}' in {path}; synctool-history lists them")
    more = ", ..." if len(matches) > _MOST_LISTED else ""
    names = ", ".join(run.id for run in matches[:_MOST_LISTED])
    raise HistoryError(f"{origin}: '{text}' could be {len(matches)} runs: {names}{more}")


def _write_json(value: dict[str, object]) -> None:
    import json

    from pytest_synctool.report.history.wording import FORMAT

    json.dump({"version": FORMAT} | value, sys.stdout, indent=1)
    print()

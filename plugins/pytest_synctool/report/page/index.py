"""`index.html`: all runs of the history, and each node and path over time, as one page without a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from pytest_synctool import __version__
from pytest_synctool.common.nodenames import fold, natural
from pytest_synctool.common.trust import Trust
from pytest_synctool.errors import HistoryError
from pytest_synctool.model import Status
from pytest_synctool.report import files
from pytest_synctool.report.history.database import NAME
from pytest_synctool.report.history.reader import History, Run, opened
from pytest_synctool.report.history_values import Past
from pytest_synctool.report.kept_runs import kept_ids
from pytest_synctool.report.links import INDEX, PAGE, Links
from pytest_synctool.report.page import environment, policy, style_sheet
from pytest_synctool.report.page.data import readable
from pytest_synctool.report.page.trend import trend
from pytest_synctool.report.record import EntryName

_MOST_BARS: Final = 60
_RECENT: Final = 20  # runs in the tables of nodes and paths
_MOST_ROWS: Final = 200
# The worst first: the word of a cell's style, its letter, and its meaning.
_CELLS: Final = {
    Status.ERROR: ("error", "E", "error"),
    Status.DRIFT: ("drift", "D", "drift"),
    Status.WAIVED: ("waived", "W", "waived drift"),
    Status.FIXED: ("fixed", "F", "fixed"),
    Status.OK: ("ok", ".", "in sync"),
    Status.SKIPPED: ("skipped", "s", "not compared"),
}
_UNSEEN: Final = ("unseen", "?", "not looked at")


@dataclass(frozen=True, slots=True)
class _Run:
    """A row of the table of runs, and the head of a column."""

    id: str
    began: str
    mode: str
    who: str
    revision: str
    counts: Sequence[tuple[str, int]]
    notes: str
    href: str

    @property
    def day(self) -> str:
        return self.began[5:16]

    @property
    def title(self) -> str:
        return f"{self.began}, {self.mode} by {self.who}"


@dataclass(frozen=True, slots=True)
class _Cell:
    """A run's result for a row; without a word there is none."""

    word: str = ""
    letter: str = ""
    title: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """A path, or nodes that were alike in all runs."""

    name: str
    number: int
    cells: Sequence[_Cell]


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: Sequence[_Row]
    more: int


def write(reports: Path, trust: Trust, mode: int) -> None:
    """Write the page of all runs among the reports, unless there is no history that can be read. Raises OSError."""
    kept = frozenset(kept_ids(reports))
    with suppress(HistoryError), opened(reports / NAME, trust) as history:
        files.write(reports / INDEX, index(history, Links(kept=kept), has_page=(reports / PAGE).exists()), mode)


def index(history: History, links: Links, *, has_page: bool) -> Iterator[str]:
    """Return the page as chunks of text. `has_page` is True if the reports have a page of a run beside this one."""
    runs = history.runs
    recent = runs[-_RECENT:]
    rows = [_row(run, links) for run in runs]
    style = style_sheet()
    yield from (
        environment()
        .get_template("index.html.j2")
        .generate(
            version=__version__,
            style=Markup(style),
            policy=policy(style),
            has_page=has_page,
            made=readable(runs[-1].ended.astimezone()) if runs else "",
            trend=trend("", [_past(run) for run in runs[-_MOST_BARS:]], links),
            runs=rows,
            recent=rows[-len(recent) :] if recent else [],
            nodes=_nodes(history.endings(recent), recent, links),
            paths=_paths(history.counts(recent), recent, links),
            legend=[*_CELLS.values(), _UNSEEN],
        )
    )


def _row(run: Run, links: Links) -> _Run:
    counts = (
        ("Nodes", run.selected),
        ("With errors", run.errors),
        ("Drifted", run.drifted),
        ("Waived", run.waived),
        ("Fixed", run.fixed),
        ("In sync", run.in_sync),
    )
    notes = [] if run.is_whole in (True, None) else ["of a part of the cluster"]
    notes += [] if run.complete else ["did not come to its end"]
    revision = "" if run.revision is None else run.revision.text
    began = readable(run.started.astimezone())
    return _Run(run.id, began, run.mode, run.who, revision, counts, ", ".join(notes), links.run(run.id))


def _past(run: Run) -> Past:
    counts = {word: getattr(run, word) for word in ("in_sync", "drifted", "fixed", "errors", "entries", "complete")}
    return Past(run.id, run.started.astimezone(), run.mode, **counts)


def _nodes(
    endings: Sequence[tuple[Mapping[int, tuple[Status, bool]], Sequence[str]]], runs: Sequence[Run], links: Links
) -> _Rows:
    """Return a row for all nodes that ended alike in all runs, those of most trouble first."""
    order = sorted(
        ((by_run, sorted(names, key=natural)) for by_run, names in endings),
        key=lambda row: (_trouble([status for status, _ in row[0].values()]), natural(row[1][0])),
    )
    rows = []
    for by_run, names in order[:_MOST_ROWS]:
        of_one = names[0] if len(names) == 1 else ""
        cells = [_node_cell(by_run.get(run.seq), links.run(run.id, node=of_one)) for run in runs]
        rows.append(_Row(fold(names), len(names), cells))
    return _Rows(rows, len(order) - len(rows))


def _trouble(statuses: Sequence[Status]) -> tuple[int, ...]:
    """Return a key that sorts the worst first: by the number of errors, then of drift, and so on."""
    return tuple(-statuses.count(status) for status in _CELLS if status not in (Status.OK, Status.SKIPPED))


def _node_cell(ending: tuple[Status, bool] | None, href: str) -> _Cell:
    if ending is None:
        return _Cell()
    status, is_unseen = ending
    return _Cell(*(_UNSEEN if is_unseen else _CELLS[status]), href)


def _paths(counts: Mapping[EntryName, Mapping[int, Mapping[Status, int]]], runs: Sequence[Run], links: Links) -> _Rows:
    """Return a row for each path that was not in sync, those of most trouble first."""
    order = sorted(counts, key=lambda entry: (_weight(counts[entry]), entry.path))
    rows = []
    for entry in order[:_MOST_ROWS]:
        name = entry.path if entry.kind == "overlay" else f"{entry.path} ({entry.kind})"
        by_run = counts[entry]
        cells = [_path_cell(by_run.get(run.seq), links.run(run.id, text=entry.path)) for run in runs]
        rows.append(_Row(name, 1, cells))
    return _Rows(rows, len(order) - len(rows))


def _weight(by_run: Mapping[int, Mapping[Status, int]]) -> tuple[int, ...]:
    weight = dict.fromkeys(_CELLS, 0)
    for counts in by_run.values():
        for status, number in counts.items():
            weight[status] -= number
    return tuple(weight.values())


def _path_cell(counts: Mapping[Status, int] | None, href: str) -> _Cell:
    if not counts:
        return _Cell()
    worst = next(status for status in _CELLS if status in counts)
    word, _, _ = _CELLS[worst]
    title = ", ".join(f"{_CELLS[status][2]} on {counts[status]:,}" for status in _CELLS if status in counts)
    return _Cell(word, f"{counts[worst]:,}", title, href)

"""Report files. The process that shows reports writes them at the end of a run, even of an interrupted one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import pytest

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import check_directory, open_named, read_limited, resolve
from pytest_synctool.config.selection import are_usual
from pytest_synctool.errors import TrustError
from pytest_synctool.plugin.ci_files import CiFiles, unwritten_in_words
from pytest_synctool.plugin.cluster import Cluster, mode_of
from pytest_synctool.plugin.invocation import SUITE, ini_directory, is_worker, selects_tests
from pytest_synctool.plugin.repair_command import repair_command
from pytest_synctool.report import drift_json, files
from pytest_synctool.report.coverage import has_all_entries
from pytest_synctool.report.drift_json import Known, NotADocumentError, known_drift
from pytest_synctool.report.history_values import Onsets, Past
from pytest_synctool.report.kept_runs import DOCUMENT, Keeping, ReportPlaces, kept_ids
from pytest_synctool.report.links import INDEX, Links
from pytest_synctool.report.metrics import metrics
from pytest_synctool.report.record import NodeRecord, RunRecord
from pytest_synctool.repository.revision import RevisionLook

if TYPE_CHECKING:
    from pytest_synctool.plugin.unmanaged import UnmanagedReport
    from pytest_synctool.report.history.lifetimes import Signatures

_DEFAULT: Final = "reports"
JUNIT: Final = "junit.xml"
_MOST_OF_BASELINE: Final = 128 << 20  # bytes, of a pipe or a device
_SELECTING: Final = ("keyword", "markexpr", "lf", "deselect")
_CUT_SHORT: Final = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)


def directory_of(config: pytest.Config) -> Path | None:
    """Return the directory of --synctool-reports, of the ini key synctool_reports, or `reports`; None to write none."""
    base = ini_directory(config) or config.invocation_params.dir
    option = config.option.synctool_reports
    if option is not None:
        return (config.invocation_params.dir / option).absolute() if option else None
    return (base / (config.getini("synctool_reports") or _DEFAULT)).absolute()


def open_reports(config: pytest.Config, cluster: Cluster) -> None:
    """Open the report files of this run, in the process that shows reports, and set the path of the junit report.

    pytest's junit plugin reads that path only later. Raises pytest.UsageError for a path of an option that cannot be
    used.
    """
    option = config.option
    if is_worker(config) or option.synctool_lint:
        return
    directory, problem = directory_of(config), None
    if directory is not None and (problem := _unusable(directory, cluster.config.trust)) is not None:
        if option.synctool_reports is not None:
            raise pytest.UsageError(f"--synctool-reports: {problem}")
        directory = None
    if directory is None and option.synctool_notify:
        raise pytest.UsageError(f"--notify needs a directory of reports{'' if problem is None else f': {problem}'}")
    junit_is_named = getattr(option, "xmlpath", "") is not None  # pytest's junit plugin may be switched off
    if directory is not None and not junit_is_named:
        option.xmlpath = str(directory / JUNIT)
    config.stash[REPORT_FILES] = ReportFiles(config, cluster, directory, junit_is_named)
    if problem is not None:
        message = f"WARNING {problem}; --synctool-reports=DIR names another directory"
        config.stash[REPORT_FILES].messages.append((message, "yellow"))


def _unusable(directory: Path, trust: Trust) -> str | None:
    """Create a directory. Return the reason if nothing can be written there, so that a run stops before it starts.

    Others may not be able to put a file or a link in the place of a report.
    """
    reason: str | None
    try:
        with suppress(FileNotFoundError):
            resolve(directory, trust)
        directory.mkdir(parents=True, exist_ok=True)
        check_directory(directory, trust)
    except TrustError as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror
    else:
        if os.access(directory, os.W_OK):
            return None
        reason = os.strerror(errno.EACCES)
    return f"no reports can be written in {directory}: {reason}"


def is_cut_short(exit_status: int) -> bool:
    """Return True for a run that an interrupt or an error has ended, perhaps before it looked at the first node."""
    return exit_status in _CUT_SHORT


class ReportFiles:
    """The report files of a run.

    `messages` are lines about them for the terminal, each with its colour. `commands` are workflow commands for GitHub.
    """

    def __init__(self, config: pytest.Config, cluster: Cluster, directory: Path | None, junit_is_named: bool) -> None:
        settings = cluster.config
        self.run = RunRecord.begun(mode_of(config).recorded, settings.path, settings.masterdir, groups_of(cluster))
        self.failed = False
        self.messages: list[tuple[str, str]] = []
        self.commands: list[str] = []
        self._config = config
        self._cluster = cluster
        self._order = {node.name: number for number, node in enumerate(cluster.nodes)}
        self._directory = directory
        self.junit_is_named = junit_is_named
        self.trust = cluster.config.trust
        self.mode = files.mode_for(cluster.config.masterdir)
        self._revision = RevisionLook(settings.masterdir, self.trust)
        self._known = _baseline(config)
        self.unmanaged = _unmanaged(config, cluster)
        self._signatures: Signatures | None = None
        self._jsonl = _open_jsonl(config, self.trust, self.mode)
        if self._jsonl is not None:
            self._stream(drift_json.line("run", drift_json.run_fields(self.run)))

    def take(self, record: NodeRecord, selected: int) -> None:
        """Add the result of a node. `selected` is the number of nodes of the run."""
        self.run.selected = selected
        self.run.nodes.append(record)
        if self._jsonl is not None:
            self._stream("".join(drift_json.lines_of(self.run, record)))

    @cached_property
    def places(self) -> ReportPlaces:
        """The places of the reports of this run, if it writes any. Call conclude() before."""
        assert self._directory is not None
        keeping = Keeping(self._config.option.synctool_runs_keep, self._config.option.synctool_runs_days)
        return ReportPlaces(self._directory, self.run, keeping, self.trust, self.mode)

    def _is_whole(self) -> bool:
        """Return True if the run was asked to look at every entry of every node, as far as its results show."""
        cluster, records = self._cluster, self.run.nodes
        if cluster.own is not None or not are_usual(cluster.config, cluster.nodes):
            return False
        if not records:
            return not _selects_tests(self._config)
        return has_all_entries(cluster.repository, cluster.nodes, records)

    def get_ready(self) -> None:
        """Load and look up what write() needs in any case. To be called while nodes are at work."""
        if self._directory is None:
            return
        from pytest_synctool.report import page

        page.get_ready()
        import_module("prometheus_client")
        import_module("pytest_synctool.report.page.index")
        if self._config.option.synctool_history_keep:
            from pytest_synctool.report.history.signatures import signatures_of

            import_module("pytest_synctool.report.history.recorder")
            cluster, is_whole = self._cluster, not selects_tests(self._config)
            self._signatures = signatures_of(cluster.repository, cluster.nodes, at_once=is_whole)

    def conclude(self) -> None:
        """Complete the record at the end of a run; only the first call does."""
        if self.run.is_whole is None:
            self.run.is_whole = self._is_whole()
            self.run.revision = self._revision.result()

    def write(self, exit_status: int) -> None:
        """Write all files. An error becomes one of the `messages` and sets `failed`."""
        run = self.run
        self.conclude()
        if self.unmanaged is not None:
            run.unmanaged = self.unmanaged.record()
        run.nodes.sort(key=lambda node: self._order.get(node.node, len(self._order)))
        run.ended = datetime.now().astimezone()
        run.exit_status = int(exit_status)
        run.selected = max(run.selected, len(run.nodes))
        run.complete = not is_cut_short(exit_status) and len(run.nodes) == run.selected
        if self._directory is not None and not run.nodes and not is_cut_short(exit_status):
            self.messages.append((f"Reports: none, as no node was looked at; older ones stay in {self._directory}", ""))
        elif self._directory is not None:
            self._write_reports(self._directory)
        self._write_for_ci()
        if self._jsonl is not None:
            end: dict[str, object] = {"run": drift_json.run_fields(run), "summary": drift_json.summary_fields(run)}
            end["stale_waivers"] = drift_json.stale_fields(run)
            if run.unmanaged is not None:
                end["unmanaged"] = drift_json.unmanaged_fields(run.unmanaged)
            self._stream(drift_json.line("end", end))
            self._end_stream()

    def _write_reports(self, directory: Path) -> None:
        run, places = self.run, self.places
        onsets, past = self._remember(directory)
        # Not at the top: it loads Jinja2, which most runs of pytest do not need.
        from pytest_synctool.report.page import html

        kept = frozenset((run.id, *kept_ids(places.reports))) if places.keeping.number else frozenset()
        has_index = bool(self._config.option.synctool_history_keep)
        links = Links("" if places.replaces else "../../", kept, has_index)
        self._put("drift.json", lambda: drift_json.document(run, onsets, self._known))
        self._put("drift.html", lambda: html(run, onsets, past, links))
        self._put("metrics.prom", lambda: [metrics(run, self._config.option.synctool_metrics_nodes)])
        if self.failed:
            return
        self._notify(directory)
        places.prune()
        if has_index:
            self._write_index(directory)
        aside = "" if places.replaces else f" (of a part of the cluster; {directory} has those of the whole)"
        self.messages.append((f"Reports: {places.shown}{aside}", ""))

    def _write_index(self, directory: Path) -> None:
        """Write the page of all runs; without a readable history there is none, which _remember() has reported."""
        from pytest_synctool.report.page.index import write

        try:
            write(directory, self.trust, self.mode)
        except OSError as error:
            self.unwritten(str(directory / INDEX), error)

    def _notify(self, directory: Path) -> None:
        """Run the command of --notify if this run has news. A failure is one of the run, and the news are kept."""
        command = self._config.option.synctool_notify
        if not command:
            return
        # Not at the top: most runs of pytest do not need it.
        from pytest_synctool.plugin.notification import read_known, run_command, write_known
        from pytest_synctool.report.news import news

        known = read_known(directory, self.trust)
        new = news(self.run, known)
        try:
            if new.text:
                if reason := run_command(command, new, self.places.own / DOCUMENT, self.places.shown):
                    self.failed = True
                    self.messages.append((f"--notify failed: {reason}", "red"))
                    return
                self.messages.append((f"Notified: {new.text}", ""))
            if new.known != known:
                write_known(directory, new.known)
        except OSError as error:
            self.unwritten(str(error.filename or command), error)

    def _write_for_ci(self) -> None:
        ci = CiFiles(self._config, self.trust, self.mode, self.unwritten)
        if not ci.is_wanted:
            return
        # Not at the top: most runs of pytest do not need it.
        from pytest_synctool.report.ci import code_quality, markdown, workflow_commands

        run, known = self.run, self._known
        ci.write(
            lambda top: code_quality(run, top),
            lambda _: markdown(run, known, repair_command(self._config, self._cluster)),
        )
        if ci.wants_commands:
            self.commands += workflow_commands(run, known, ci.workspace)

    def _remember(self, directory: Path) -> tuple[Onsets, Sequence[Past]]:
        """Record the run in the history. Return since when and why its drift is there, and the runs before it."""
        keep = self._config.option.synctool_history_keep
        if not keep:
            return {}, ()
        # Not at the top: it loads SQLite, which most runs of pytest do not need.
        from pytest_synctool.report.history.recorder import record
        from pytest_synctool.report.history.signatures import signatures_of

        path, cluster = directory / "history.sqlite", self._cluster
        made = [self._signatures or signatures_of(cluster.repository, cluster.nodes)]
        self._signatures = None  # record() gives their memory back
        recorded = record(path, self.run, made.pop(), keep, self.trust)
        if recorded.problem is not None:
            self.messages.append((f"WARNING {recorded.problem}", "yellow"))
        return recorded.onsets, recorded.past

    def _put(self, name: str, chunks: Callable[[], Iterable[str]]) -> None:
        try:
            self.places.put(name, chunks())
        except OSError as error:
            self.unwritten(str(self.places.reports / name), error)

    def _stream(self, text: str) -> None:
        assert self._jsonl is not None
        try:
            self._jsonl.write(text)
            self._jsonl.flush()
        except OSError as error:
            self.unwritten(self._config.option.synctool_jsonl, error)
            self._end_stream()

    def _end_stream(self) -> None:
        if self._jsonl is not None:
            with suppress(OSError):  # _stream() has reported it
                self._jsonl.close()
        self._jsonl = None

    def unwritten(self, path: str, error: OSError) -> None:
        """Take note of a report that could not be written."""
        self.failed = True
        self.messages.append((unwritten_in_words(path, error), "red"))


def _selects_tests(config: pytest.Config) -> bool:
    """Return True if the command line asks for some tests only: by an option, an id, or a file."""
    files = (arg for arg in config.args if arg != SUITE and not (config.invocation_params.dir / arg).is_dir())
    return any(getattr(config.option, name, None) for name in _SELECTING) or any(files)


REPORT_FILES = pytest.StashKey[ReportFiles]()


def groups_of(cluster: Cluster) -> dict[str, list[str]]:
    """Return the groups of each node, without its own name and `all`."""
    return {node.name: [g for g in node.groups if g not in (node.name, "all")] for node in cluster.nodes}


def _unmanaged(config: pytest.Config, cluster: Cluster) -> UnmanagedReport | None:
    if not config.option.synctool_unmanaged:
        return None
    from pytest_synctool.plugin.unmanaged import UnmanagedReport  # most runs do without

    option = config.option
    nodes = [node.name for node in cluster.nodes]
    return UnmanagedReport(option.synctool_unmanaged, nodes, fails=option.synctool_unmanaged_fail)


def _baseline(config: pytest.Config) -> Known | None:
    path = config.option.synctool_baseline
    if not path:
        return None
    try:
        with open(path, "rb", buffering=0) as file:  # a pipe is what the user wants
            limit = max(_MOST_OF_BASELINE, os.fstat(file.fileno()).st_size)
            return known_drift(read_limited(file.fileno(), limit).decode("utf-8"))
    except FileNotFoundError as error:
        raise pytest.UsageError(f"--synctool-baseline: there is no file {path}") from error
    except (OSError, UnicodeDecodeError, OverflowError) as error:
        raise pytest.UsageError(f"--synctool-baseline: cannot read {path}: {error}") from error
    except NotADocumentError as error:
        raise pytest.UsageError(f"--synctool-baseline: {path}: {error}; expected a drift.json") from error


def _open_jsonl(config: pytest.Config, trust: Trust, mode: int) -> IO[str] | None:
    path = config.option.synctool_jsonl
    if not path:
        return None
    try:
        descriptor = open_named(path, os.O_WRONLY | os.O_CREAT, trust, mode)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, 0)
        return open(descriptor, "w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise pytest.UsageError(f"--synctool-jsonl: cannot write {path}: {error.strerror}") from error

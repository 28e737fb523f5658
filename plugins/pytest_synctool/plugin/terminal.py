"""Terminal output: the header, a word per test, and the summary at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.engine.settings import Mode
from pytest_synctool.plugin.cluster import CLUSTER, TALLY, Cluster, mode_of
from pytest_synctool.plugin.disarmed_writer import WRITER
from pytest_synctool.plugin.durations import durations_of_nodes
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.plugin.late_tests import is_late
from pytest_synctool.plugin.lock_and_log import LOG
from pytest_synctool.plugin.node_reports import category_of, is_entry, is_fixed, letter_of
from pytest_synctool.plugin.options import taken_names
from pytest_synctool.plugin.ordinary_reports import is_ordinary
from pytest_synctool.plugin.other_plugins import options_without_effect
from pytest_synctool.plugin.repair_command import repair_command
from pytest_synctool.plugin.report_files import REPORT_FILES
from pytest_synctool.plugin.terminal_reporter import terminal_reporter
from pytest_synctool.plugin.xdist.gain import loss_note
from pytest_synctool.report.summary import quiet_summary, summary
from pytest_synctool.report.tally import Tally

_MODES: Final = {
    Mode.AUDIT: "dry run, nothing is changed on any node",
    Mode.FIX: "fixing",
    Mode.RECALL: "dry run, nothing is restored",
    Mode.RESTORE: "restoring",
}
_MOST_SHOWN: Final = 10
_USUAL_TESTS: Final = frozenset("fEN")  # failures and errors; N stands for none
_LETTER_COLOURS: Final = {".": "green", "+": "green", "s": "yellow", "x": "yellow", "F": "red", "E": "red"}


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return header lines: the configuration, the number of nodes, and whether the run changes nodes."""
    cluster = config.stash.get(CLUSTER, None)
    if cluster is None:
        return []
    if config.option.synctool_lint:
        return [f"synctool: {cluster.config.path}, lint, no node is contacted"]
    nodes = f"{nodes_in_words(len(cluster.nodes))} of {len(cluster.config.nodes)}"
    lines = [f"synctool: {cluster.config.path}, {nodes}, {_MODES[mode_of(config)]}"]
    if taken := taken_names(config):
        many = "are options" if len(taken) > 1 else "is an option"
        names = ", ".join(taken)
        instead = ", ".join(taken.values())
        lines.append(f"synctool: {names} {many} of another plugin or a conftest here: write {instead}")
    if ignored := options_without_effect(config):
        limit = " (--node-timeout has)" if "--timeout" in ignored else ""
        lines.append(f"synctool: no effect on the tests of nodes: {', '.join(ignored)}{limit}")
    if cluster.own is not None:
        lines.append(f"synctool: this machine is {cluster.own.node.name}, by {cluster.own.reason}")
    elif cluster.left_out:
        lines.append(f"synctool: left out as ignored: {fold(cluster.left_out)}")
    return lines


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str | None, str, str | tuple[str, dict[str, bool]]] | None:
    """Return category, letter and word of an entry's report. With -qq there are no letters."""
    if not is_entry(report):
        return None
    if _is_silent(config):
        return category_of(report), "", ""
    if (letter := letter_of(report)) is not None:
        word = (letter, {_LETTER_COLOURS[letter]: True}) if letter else ""
        return category_of(report), letter, word
    if is_fixed(report):
        return "fixed", "+", "FIXED"
    if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
        return "passed", ".", "PASSED"  # pytest's own words; this saves asking every other plugin for each test
    return None


_IS_SILENT = pytest.StashKey[bool]()


def _is_silent(config: pytest.Config) -> bool:
    """Return True with -qq. The answer is kept, as pytest looks for it in its ini file each time."""
    if _IS_SILENT not in config.stash:
        config.stash[_IS_SILENT] = config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) < -1
    return config.stash[_IS_SILENT]


def count_fixed_as_passed(config: pytest.Config) -> None:
    """Give the terminal's statistics only pytest's own categories: other plugins make their reports of these."""
    reporter = terminal_reporter(config)
    if reporter is not None and "fixed" in reporter.stats:
        reporter.stats["passed"] = [*reporter.stats.get("passed", ()), *reporter.stats.pop("fixed")]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None]:
    """Print the summary: parts of the masterdir that are left out, results grouped by their text, counts of nodes.

    The grouped results replace single failures, unless -v, -r, --tb or --explain asks for these: each failure stands
    once, and a thousand nodes with the same drift are one line. A few failures of a repair are shown, with what
    commands printed. With -q there is nothing else, and nothing at all if every entry is in sync.
    """
    try:
        return (yield from _with_summary(terminalreporter, config))
    finally:
        if (reason := config.stash.get(NOTHING_COMPARED, None)) is not None:
            terminalreporter.write_line(f"synctool: no node was compared: {reason}", yellow=True)


def _with_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None]:
    tally = config.stash.get(TALLY, None)
    if not _has_summary(config) or tally is None:
        return (yield)
    quiet = terminalreporter.verbosity < 0
    shown = terminalreporter.verbosity > 0 or config.option.synctool_explain or _asks_for_tests(config)
    shown = shown or (changes_nodes(config) and tally.failures <= _MOST_SHOWN)
    hide = quiet or not shown
    hidden = _hide_entries(terminalreporter) if hide else {}
    try:
        with durations_of_nodes(terminalreporter.stats, tally.durations, config.option.durations):
            return (yield)
    finally:
        terminalreporter.stats.update(hidden)
        print_summary(config, terminalreporter)
        if tally.failures and hide and not quiet:
            terminalreporter.write_line("For expected and actual state test by test: -v, or the junit report")


def _asks_for_tests(config: pytest.Config) -> bool:
    """Return True if -r names more tests for the short summary than pytest does by itself, or --tb a style."""
    return bool(set(config.option.reportchars) - _USUAL_TESTS) or config.option.tbstyle not in ("auto", "no")


NOTHING_COMPARED = pytest.StashKey[str]()
_PRINTED = pytest.StashKey[bool]()


def print_summary(config: pytest.Config, terminalreporter: Any) -> None:
    """Print the summary once, also of a run that ends with an error. Without a terminal reporter print nothing."""
    if terminalreporter is None or not _has_summary(config) or config.stash.get(_PRINTED, False):
        return
    config.stash[_PRINTED] = True
    quiet = terminalreporter.verbosity < 0
    if not quiet:
        terminalreporter.section("synctool")
    for text, colour in _lines(config, config.stash[TALLY], config.stash[CLUSTER], quiet=quiet):
        terminalreporter.write_line(text, **{colour: True} if colour else {})
    if REPORT_FILES in config.stash and WRITER in config.stash and not quiet:
        for command in config.stash[REPORT_FILES].commands:
            config.stash[WRITER].command(command)


def _has_summary(config: pytest.Config) -> bool:
    tally, cluster = config.stash.get(TALLY, None), config.stash.get(CLUSTER, None)
    if tally is None or cluster is None or config.option.synctool_lint:
        return False
    return bool(tally.nodes or cluster.warnings)


def _lines(config: pytest.Config, tally: Tally, cluster: Cluster, *, quiet: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour. With `quiet` there are none if all is well."""
    files = config.stash.get(REPORT_FILES, None)
    stale, messages = ((), []) if files is None else (files.run.stale_waivers, files.messages)
    further = [*_unmanaged_lines(config, quiet=quiet), *_log_lines(config), *messages]
    if quiet:
        warnings = cluster.warnings if config.get_verbosity() == -1 else ()
        diffs = config.option.synctool_diff
        yield from quiet_summary(tally, warnings, fixing=changes_nodes(config), diffs=diffs, stale=stale)
        yield from ((text, colour) for text, colour in further if colour)  # warnings and errors have a colour
        return
    yield from summary(
        tally,
        cluster.warnings,
        fixing=changes_nodes(config),
        repair=repair_command(config, cluster),
        always=cluster.config.always_run,
        diffs=config.option.synctool_diff,
        printed=config.get_verbosity() > 0,
        stale=stale,
    )
    yield from further
    if (note := loss_note(config)) is not None:
        yield note, ""


def _unmanaged_lines(config: pytest.Config, *, quiet: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines about unmanaged files, if the run has looked for some."""
    files = config.stash.get(REPORT_FILES, None)
    if files is None or files.unmanaged is None:
        return
    colour = "red" if config.option.synctool_unmanaged_fail else "yellow"
    everything = config.get_verbosity() > 0
    for line, is_remark in files.unmanaged.summary(files.run.selected, quiet=quiet, everything=everything):
        yield line, "" if is_remark else colour


def _log_lines(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """Yield the places of the log of a repair, and its problem if there is one."""
    log = config.stash.get(LOG, None)
    if log is not None and log.places:
        yield f"Log of what was done: {', '.join(log.places)}", ""
    if log is not None and log.problem is not None:
        yield f"WARNING the log {log.problem}", "yellow"


def _hide_entries(terminalreporter: Any) -> dict[str, list[Any]]:
    """Remove the failures of entries from pytest's own summaries. Return the statistics to put back."""
    stats = terminalreporter.stats
    shown = {
        word: [r for r in stats.get(word, ()) if not (is_entry(r) or is_ordinary(r) or is_late(r))]
        for word in ("failed", "error")
    }
    before = {word: stats[word] for word in shown if word in stats}
    stats.update({word: reports for word, reports in shown.items() if word in stats})
    return before

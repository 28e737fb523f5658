"""The junit report of a run. pytest's own writer makes its frame and the test cases that did not pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, xml_key

from pytest_synctool.model import Outcome, Status
from pytest_synctool.plugin.cluster import CLUSTER
from pytest_synctool.plugin.node_reports import node_of, outcome_of
from pytest_synctool.plugin.report_files import JUNIT, REPORT_FILES, ReportFiles, groups_of, is_cut_short
from pytest_synctool.report import files
from pytest_synctool.report.nodeids import decode

# The limit for all diffs of a report together, in characters: one may have LARGEST_DIFF of them, on thousands of nodes.
_MOST_OF_DIFFS: Final = 32 << 20
_NO_DIFF: Final = "The diff is left out because the report would be too large: see drift.json, or run synctool --diff"
_DOTS: Final = str.maketrans(".", "_")
_IN_TEXT: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # `&` first: the others bring some
_IN_ATTRIBUTES: Final = {**_IN_TEXT, '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#09;"}
_PLACE: Final = ElementTree.Element("testcase")
_NO_CASES: Final[list[Any]] = [SimpleNamespace(to_xml=lambda: _PLACE)]


def passed_case(
    names: tuple[str, str], time: str, file: str = "", properties: Sequence[tuple[str, str]] = (), output: str = ""
) -> str:
    """Return the element of a test case that has passed, as pytest's own writer would write it.

    `file` and `properties` are empty unless the family is xunit1. `output` has what a repair did.
    """
    classname, name = names
    place = f' file="{_escaped(file)}"' if file else ""
    head = f'<testcase classname="{_escaped(classname)}" name="{_escaped(name)}"{place} time="{time}"'
    if not (properties or output):
        return f"{head} />"
    pairs = "".join(f'<property name="{name}" value="{_escaped(value)}" />' for name, value in properties)
    above = f"<properties>{pairs}</properties>" if pairs else ""
    below = f"<system-out>{_escaped(output, _IN_TEXT)}</system-out>" if output else ""
    return f"{head}>{above}{below}</testcase>"


def _escaped(text: str, entities: Mapping[str, str] = _IN_ATTRIBUTES) -> str:
    """Return a text as ElementTree writes it."""
    for character, entity in entities.items():
        if character in text:
            text = text.replace(character, entity)
    return text


def names(nodeid: str, node: str) -> tuple[str, str]:
    """Return the class name (check and node) and the name (destination, decoded) of a test case.

    CI systems split class names at dots, so `_` replaces the dots of the node's name. A destination that is not
    printable, or has a `%`, stays encoded as in the node id: so two test cases never have the same name.
    """
    above, _, name = nodeid.rpartition("::")
    if name == node:  # the test of a whole node
        return _classes(above), node
    return _class_name(above, node), _shown(name)


@lru_cache(maxsize=64)  # the tests of a node under one check share it
def _class_name(above: str, node: str) -> str:
    return f"{_classes(above.removesuffix(f'::{node}'))}.{node.translate(_DOTS)}"


def _classes(check: str) -> str:
    return check.removesuffix(".py").replace("/", ".").replace(".py::", ".").replace("::", ".")


def _shown(name: str) -> str:
    if "%" not in name:
        return name
    try:
        plain = decode(name).decode("utf-8")
    except UnicodeDecodeError:
        return name
    return plain if plain.isprintable() and "%" not in plain else name


def properties(outcome: Outcome, groups: Sequence[str]) -> list[tuple[str, str]]:
    """Return the properties of a test case in the xunit1 family: groups, status, and the kinds of changes if any."""
    pairs = [("groups", " ".join(groups)), ("status", outcome.status.value)]
    kinds = ", ".join(change.what for change in outcome.changes)
    return [*pairs, ("changes", kinds)] if kinds else pairs


def register_junit(config: pytest.Config) -> None:
    """Register the writer of this module in the place of pytest's."""
    xml = config.stash.get(xml_key, None)
    if xml is None or CLUSTER not in config.stash or REPORT_FILES not in config.stash:
        return
    config.pluginmanager.unregister(xml)
    config.stash[xml_key] = JunitFile.of(xml, config.stash[REPORT_FILES], groups_of(config.stash[CLUSTER]))
    config.pluginmanager.register(config.stash[xml_key])


class JunitFile(LogXML):
    """pytest's writer, which here completes the test cases of entries, and writes a temporary file and renames it.

    An error is only reported: the summary and the other reports are still written. `groups` are those of each node.
    """

    reports: ReportFiles
    groups: Mapping[str, Sequence[str]]
    written = True
    _left = _MOST_OF_DIFFS

    @classmethod
    def of(cls, xml: LogXML, reports: ReportFiles, groups: Mapping[str, Sequence[str]]) -> JunitFile:
        """Return a writer that shares all attributes with pytest's writer, so that both know the same test cases."""
        writer = cls.__new__(cls)
        writer.__dict__ = vars(xml)
        writer.reports = reports
        writer.groups = groups
        return writer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a report. That of an entry gets its names before, and its message afterwards."""
        node = node_of(report)
        if node is None:
            super().pytest_runtest_logreport(report)
            return
        outcome = outcome_of(report)
        if report.passed:
            self._add_passed(report, node, outcome)
            return
        diff = self._within_limit(outcome.diff)
        if self._has_properties or "%" in report.nodeid or "." in node:
            self._name(report, node, outcome)
        text: Any = report.longrepr
        if outcome.diff and report.failed:
            text.diff = diff
        super().pytest_runtest_logreport(report)
        if report.failed and report.when == "setup":
            nodes = self.node_reporter(report).nodes
            nodes[-1].set("message", bin_xml_escape(str(report.longrepr).partition("\n")[0]))
        elif report.failed:
            self._close(report)

    def _close(self, report: pytest.TestReport) -> None:
        """Finish the test case of a failure, as pytest's writer does when the test is torn down."""
        if self.log_passing_tests:
            self.node_reporter(report).write_captured_output(report)
        self.open_reports.remove(report)
        self.finalize(report)

    @property
    def _has_properties(self) -> bool:
        return bool(self.family == "xunit1")

    def _add_passed(self, report: pytest.TestReport, node: str, outcome: Outcome) -> None:
        """Add the finished test case of a test that has passed: most tests of a run have."""
        file, pairs, output = "", [], ""
        if self._has_properties:
            file, pairs = outcome.source or report.location[0], self._properties(outcome, node)
        if outcome.status is Status.FIXED:
            diff = self._within_limit(outcome.diff).splitlines()
            output = bin_xml_escape("\n".join((outcome.message, *outcome.details, *diff)))
        self.add_stats("passed")
        cases: list[Any] = self.node_reporters_ordered
        cases.append(passed_case(self._names(report, node), f"{report.duration:.3f}", file, pairs, output))

    def _names(self, report: pytest.TestReport, node: str) -> tuple[str, str]:
        classname, name = names(report.nodeid, node)
        return f"{self.prefix}.{classname}" if self.prefix else classname, name

    def _name(self, report: pytest.TestReport, node: str, outcome: Outcome) -> None:
        reporter = self.node_reporter(report)
        for key, text in zip(("classname", "name"), self._names(report, node), strict=True):
            reporter.add_attribute(key, text)
        if self._has_properties:
            if outcome.source:
                reporter.add_attribute("file", outcome.source)
            for key, value in self._properties(outcome, node):
                reporter.add_property(key, value)

    def _properties(self, outcome: Outcome, node: str) -> list[tuple[str, str]]:
        return properties(outcome, self.groups.get(node, ()))

    def _within_limit(self, diff: str) -> str:
        """Return the diff, or a hint in its place once all diffs together are too large."""
        if len(diff) > self._left:
            return _NO_DIFF
        self._left -= len(diff)
        return diff

    def pytest_sessionfinish(self, exitstatus: int) -> None:  # type: ignore[override]  # no argument has a default in a hook
        """Write the file. Without tests, an older one among the other reports stays as it is."""
        self.reports.conclude()
        if (revision := self.reports.run.revision) is not None:
            self.add_global_property("masterdir revision", revision.text)
        if self.reports.run.unread:
            self.add_global_property("files not read", str(self.reports.run.unread))
        if not (self.reports.junit_is_named or self.node_reporters_ordered or is_cut_short(exitstatus)):
            self.written = False
            return
        try:
            if self.reports.junit_is_named:
                files.write_named(self.logfile, self._chunks(), self.reports.trust, self.reports.mode)
            else:
                places = self.reports.places
                places.put(JUNIT, self._chunks())
                self.logfile = str(places.shown / JUNIT)
        except OSError as error:
            self.written = False
            self.reports.unwritten(self.logfile, error)

    def _chunks(self) -> Iterator[str]:
        """Yield the text of the file: the frame that pytest's writer makes, and in it one test case after the other.

        All of them as one tree would take the memory of the run once more.
        """
        head, _, end = self._frame().partition(ElementTree.tostring(_PLACE, encoding="unicode"))
        yield head
        for case in self.node_reporters_ordered:
            yield case if isinstance(case, str) else ElementTree.tostring(case.to_xml(), encoding="unicode")
        yield end

    def _frame(self) -> str:
        """Return what pytest's writer writes for an empty test case in the place of all others."""
        path, cases = self.logfile, self.node_reporters_ordered
        with TemporaryDirectory(prefix="synctool-junit-") as directory:
            self.logfile, self.node_reporters_ordered = f"{directory}/{JUNIT}", _NO_CASES
            try:
                super().pytest_sessionfinish()
                return Path(self.logfile).read_text(encoding="utf-8")
            finally:
                self.logfile, self.node_reporters_ordered = path, cases

    def pytest_terminal_summary(self, terminalreporter: Any, config: Any = None) -> None:
        """Print the path of the file if it was written. `config` is there because versions of pytest differ."""
        if self.written and terminalreporter.verbosity >= 0:
            terminalreporter.write_sep("-", f"generated xml file: {self.logfile}")

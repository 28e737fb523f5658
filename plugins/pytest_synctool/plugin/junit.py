"""The junit report of a run. pytest's own writer makes it; this module completes it and replaces the file at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, xml_key

from pytest_synctool.common.replacing import replacing
from pytest_synctool.common.trusted_files import follow_named, is_descriptor
from pytest_synctool.model import Outcome, Status
from pytest_synctool.plugin.cluster import CLUSTER
from pytest_synctool.plugin.node_reports import node_of, outcome_of
from pytest_synctool.plugin.report_files import JUNIT, REPORT_FILES, ReportFiles, groups_of, is_cut_short
from pytest_synctool.report.nodeids import decode

# The limit for all diffs of a report together, in characters: one may have LARGEST_DIFF of them, on thousands of nodes.
_MOST_OF_DIFFS: Final = 32 << 20
_NO_DIFF: Final = "The diff is left out because the report would be too large: see drift.json, or run synctool --diff"
_DOTS: Final = str.maketrans(".", "_")


@dataclass(frozen=True, slots=True)
class PassedCase:
    """A finished test case that has passed, in a fraction of the memory that pytest's writer keeps for each.

    `file` and `properties` are empty unless the family is xunit1. `output` has what a repair did.
    """

    classname: str
    name: str
    time: str
    file: str = ""
    properties: Sequence[tuple[str, str]] = ()
    output: str | None = None

    def to_xml(self) -> ElementTree.Element:
        """Return the element, as pytest's own test case does."""
        attributes = {"classname": self.classname, "name": self.name}
        if self.file:
            attributes["file"] = self.file
        case = ElementTree.Element("testcase", attributes, time=self.time)
        if self.properties:
            above = ElementTree.SubElement(case, "properties")
            for name, value in self.properties:
                ElementTree.SubElement(above, "property", name=name, value=value)
        if self.output is not None:
            ElementTree.SubElement(case, "system-out").text = self.output
        return case


def names(nodeid: str, node: str) -> tuple[str, str]:
    """Return the class name (check and node) and the name (destination, decoded) of a test case.

    CI systems split class names at dots, so `_` replaces the dots of the node's name. A destination that is not
    printable, or has a `%`, stays encoded as in the node id: so two test cases never have the same name.
    """
    above, _, name = nodeid.rpartition("::")
    is_whole = name == node  # the test of a whole node
    check = above if is_whole else above.removesuffix(f"::{node}")
    classes = check.removesuffix(".py").replace("/", ".").replace(".py::", ".").replace("::", ".")
    return (classes, node) if is_whole else (f"{classes}.{node.translate(_DOTS)}", _shown(name))


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
        diff = self._within_limit(outcome.diff)
        if report.passed:
            self._add_passed(report, node, outcome, diff)
            return
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

    def _add_passed(self, report: pytest.TestReport, node: str, outcome: Outcome, diff: str) -> None:
        """Add the finished test case of a test that has passed: most tests of a run have."""
        classname, name = self._names(report, node)
        file, pairs, output = "", [], None
        if self._has_properties:
            file, pairs = outcome.source or report.location[0], self._properties(outcome, node)
        if outcome.status is Status.FIXED:
            output = bin_xml_escape("\n".join((outcome.message, *outcome.details, *diff.splitlines())))
        self.add_stats("passed")
        cases: list[Any] = self.node_reporters_ordered
        cases.append(PassedCase(sys.intern(classname), name, f"{report.duration:.3f}", file, pairs, output))

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
                self._write_named()
            else:
                places = self.reports.places
                with places.writing(JUNIT) as path:
                    self._replace(path, places.like(JUNIT))
                self.logfile = str(places.shown / JUNIT)
        except OSError as error:
            self.written = False
            self.reports.unwritten(self.logfile, error)

    def _write_named(self) -> None:
        path = Path(follow_named(self.logfile, self.reports.trust))
        if is_descriptor(path) or (path.exists() and not path.is_file()):  # such as /dev/stdout
            super().pytest_sessionfinish()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._replace(path)

    def _replace(self, path: Path, like: Path | None = None) -> None:
        with replacing(path, self.reports.mode, like or path) as temporary:
            self.logfile = str(temporary)
            try:
                super().pytest_sessionfinish()
            finally:
                self.logfile = str(path)

    def pytest_terminal_summary(self, terminalreporter: Any, config: Any = None) -> None:
        """Print the path of the file if it was written. `config` is there because versions of pytest differ."""
        if self.written and terminalreporter.verbosity >= 0:
            terminalreporter.write_sep("-", f"generated xml file: {self.logfile}")

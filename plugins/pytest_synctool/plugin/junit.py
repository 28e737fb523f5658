"""The junit report of a run: what pytest's own writer makes, completed, and replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, xml_key

from pytest_synctool.model import Outcome, Status
from pytest_synctool.plugin.cluster import CLUSTER
from pytest_synctool.plugin.node_reports import node_of, outcome_of
from pytest_synctool.plugin.report_files import REPORTS, groups_of
from pytest_synctool.report import files
from pytest_synctool.report.nodeids import decode

# In characters, of all diffs: one is as large as LARGEST_DIFF, and thousands of nodes may have the same.
_MOST_OF_DIFFS: Final = 32 << 20
_NO_DIFF: Final = "The diff is not repeated here, the report would be too large: see drift.json, or synctool --diff"
_DOTS: Final = str.maketrans(".", "_")


class Junit:
    """Completes the test cases of entries. `xml` is pytest's LogXML, `groups` are those of each node."""

    def __init__(self, xml: Any, groups: Mapping[str, Sequence[str]]) -> None:
        self._xml = xml
        self._groups = groups
        self._with_properties = xml.family == "xunit1"
        self._left = _MOST_OF_DIFFS

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Before pytest's writer sees a report it is told the names, afterwards its words are put right."""
        node = node_of(report)
        if node is None or report.when == "teardown":
            return (yield)
        outcome = outcome_of(report)
        if self._with_properties or "%" in report.nodeid or "." in node:
            self._name(report, node, outcome)
        diff = self._within_limit(outcome.diff)
        text: Any = report.longrepr
        if outcome.diff and report.failed:
            text.diff = diff
        result = yield
        if report.failed and report.when == "setup":
            nodes = self._xml.node_reporter(report).nodes
            nodes[-1].set("message", bin_xml_escape(str(report.longrepr).partition("\n")[0]))
        elif outcome.status is Status.FIXED:
            told = ElementTree.Element("system-out")
            told.text = bin_xml_escape("\n".join((outcome.message, *outcome.details, *diff.splitlines())))
            self._xml.node_reporter(report).append(told)
        return result

    def _name(self, report: pytest.TestReport, node: str, outcome: Outcome) -> None:
        reporter = self._xml.node_reporter(report)
        classname, name = names(report.nodeid, node)
        reporter.add_attribute("classname", f"{self._xml.prefix}.{classname}" if self._xml.prefix else classname)
        reporter.add_attribute("name", name)
        if self._with_properties:
            if outcome.source:
                reporter.add_attribute("file", outcome.source)
            for key, value in properties(outcome, self._groups.get(node, ())):
                reporter.add_property(key, value)

    def _within_limit(self, diff: str) -> str:
        """The diff, or what to say instead if there have been too many."""
        if len(diff) > self._left:
            return _NO_DIFF
        self._left -= len(diff)
        return diff


def names(nodeid: str, node: str) -> tuple[str, str]:
    """The class name and the name of a test case: check and node, and the destination as people write it.

    A dot is a level of class names to those that read them, so the node's are replaced. A name with what XML or a
    terminal cannot hold, or with a `%`, stays as it is in the node id: two are never the same.
    """
    check, _, rest = nodeid.partition(f"::{node}")
    classes = check.removesuffix(".py").replace("/", ".").replace(".py::", ".").replace("::", ".")
    shown = node.translate(_DOTS)
    if not rest:  # the node itself
        return classes, node
    name = rest.removeprefix("::")
    try:
        plain = decode(name).decode("utf-8")
    except UnicodeDecodeError:
        plain = "%"
    return f"{classes}.{shown}", plain if plain.isprintable() and "%" not in plain else name


def properties(outcome: Outcome, groups: Sequence[str]) -> list[tuple[str, str]]:
    """What a test case of the xunit1 family says beside: groups, status, and what has changed."""
    found = [("groups", " ".join(groups)), ("status", outcome.status.value)]
    kinds = ", ".join(change.what for change in outcome.changes)
    return [*found, ("changes", kinds)] if kinds else found


Tell = Callable[[str, OSError], None]


def register_junit(config: pytest.Config) -> None:
    """Complete what pytest's writer says of entries, and take its place when it comes to the file."""
    xml = config.stash.get(xml_key, None)
    if xml is None or CLUSTER not in config.stash or REPORTS not in config.stash:
        return
    config.pluginmanager.register(Junit(xml, groups_of(config.stash[CLUSTER])), "synctool-junit")
    config.pluginmanager.unregister(xml)
    config.stash[xml_key] = whole = JunitFile.of(xml, config.stash[REPORTS].unwritten)
    config.pluginmanager.register(whole)


class JunitFile(LogXML):
    """Writes beside the file and renames; what cannot be written is told, and takes nothing else with it."""

    tell: Tell
    written = True

    @classmethod
    def of(cls, xml: LogXML, tell: Tell) -> JunitFile:
        """In the place of another one, with which it shares all that has been taken up and will be."""
        made = cls.__new__(cls)
        made.__dict__ = vars(xml)
        made.tell = tell
        return made

    def pytest_sessionfinish(self) -> None:
        """Write it."""
        path = Path(self.logfile)
        try:
            if path.exists() and not path.is_file():  # such as /dev/stdout
                super().pytest_sessionfinish()
                return
            with files.replacing(path) as temporary:
                self.logfile = str(temporary)
                try:
                    super().pytest_sessionfinish()
                finally:
                    self.logfile = str(path)
        except OSError as error:
            self.written = False
            self.tell(str(path), error)

    def pytest_terminal_summary(self, terminalreporter: Any, config: Any = None) -> None:
        """Say where it is, if it is there. What pytest's own one is given is not the same in all versions."""
        if self.written and terminalreporter.verbosity >= 0:
            terminalreporter.write_sep("-", f"generated xml file: {self.logfile}")

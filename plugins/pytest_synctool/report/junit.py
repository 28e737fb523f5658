"""What the junit report says of entries, beside what pytest writes there by itself.

pytest's own writer makes the file. Its reporters of single tests, which the fixture record_xml_attribute is made of
too, are told the names that CI systems show, what was done, and the message without the words around it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import bin_xml_escape

from pytest_synctool.model import Outcome, Status
from pytest_synctool.nodeids import decode
from pytest_synctool.report.expand import node_of, outcome_of

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

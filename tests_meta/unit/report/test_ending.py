"""Every mixture of outcomes gives a node one ending, and every report counts the node under that ending."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pytest_synctool.cli import command
from pytest_synctool.cli.run import exit_status
from pytest_synctool.model import NOT_KEPT, NOT_RUN, OK, NodeError, NodeErrorKind, NodeResult, Outcome, Skip, Status
from pytest_synctool.plugin.node_reports import letter_of, reports
from pytest_synctool.report import drift_json
from pytest_synctool.report.ci import markdown
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding, ending_of_result, in_words
from pytest_synctool.report.history.tables import past_of
from pytest_synctool.report.metrics import metrics
from pytest_synctool.report.page import wording
from pytest_synctool.report.page.data import data
from pytest_synctool.report.progress import Progress
from pytest_synctool.report.record import NodeRecord, RunRecord
from pytest_synctool.report.repair_log import RepairCounts
from pytest_synctool.report.summary import in_a_line, summary
from pytest_synctool.report.tally import Tally

from tests_meta.unit.plugin.test_node_reports import suite
from tests_meta.unit.report.test_run_reports import DRIFT, ERROR, FIXED, run_of

WAIVED = Outcome(Status.WAIVED, "mode mismatch", waiver="for now")
MISSED = Outcome(Status.SKIPPED, "not begun: an earlier batch failed", skip=Skip.NOT_BEGUN)
OUTCOMES = {
    "error": ERROR,
    "drift": DRIFT,
    "missed": MISSED,
    "waived": WAIVED,
    "fixed": FIXED,
    "ok": OK,
    "not_run": NOT_RUN,
    "not_kept": NOT_KEPT,
}
# The first of these that is among a node's outcomes gives the ending.
RULE = {
    "error": NodeEnding.ERROR,
    "drift": NodeEnding.DRIFTED,
    "missed": NodeEnding.NOT_BEGUN,
    "waived": NodeEnding.WAIVED,
    "fixed": NodeEnding.FIXED,
    "ok": NodeEnding.IN_SYNC,
    "not_run": NodeEnding.SKIPPED,
    "not_kept": NodeEnding.SKIPPED,
}
MIXTURES = [mixture for size in (1, 2, 3) for mixture in combinations_with_replacement(OUTCOMES, size)]
NODE_ERRORS = [
    (NodeError(kind, "why"), NodeEnding.UNREACHABLE if kind is NodeErrorKind.UNREACHABLE else NodeEnding.UNKNOWN)
    for kind in NodeErrorKind
]
PATHS = (b"/a", b"/b", b"/c")
# The words of lines for people, by the endings that they stand for.
LINE_WORDS = {
    "in sync": {NodeEnding.IN_SYNC},
    "fixed": {NodeEnding.FIXED},
    "restored": {NodeEnding.FIXED},
    "waived": {NodeEnding.WAIVED},
    "drifted": {NodeEnding.DRIFTED},
    "with errors": {NodeEnding.ERROR},
    "not looked at": {*NOTHING_KNOWN, NodeEnding.NOT_BEGUN},
    "skipped": {NodeEnding.SKIPPED},
    "with nothing to restore": {NodeEnding.SKIPPED},
}
PROGRESS_WORDS = {
    "fixed": NodeEnding.FIXED,
    "waived": NodeEnding.WAIVED,
    "drifted": NodeEnding.DRIFTED,
    "with errors": NodeEnding.ERROR,
    "unreachable": NodeEnding.UNREACHABLE,
    "unknown": NodeEnding.UNKNOWN,
    "not begun": NodeEnding.NOT_BEGUN,
}


def expected(result: NodeResult) -> NodeEnding:
    """Return the ending of a result by the rule as the documentation has it."""
    if result.error is not None:
        return dict(NODE_ERRORS)[result.error]
    names = {name for name, outcome in OUTCOMES.items() if outcome in result.outcomes}
    return next((ending for name, ending in RULE.items() if name in names), NodeEnding.IN_SYNC)


def numbers(line: str) -> dict[str, int]:
    """Return the counts of a line: `1 fixed, 2 not looked at` by the words."""
    pairs = re.findall(r"(\d[\d,]*) ([a-z ]+?)(?=[,;.]|$)", line)
    return {words: int(number.replace(",", "")) for number, words in pairs}


def line_counts(endings: Counter[NodeEnding], *, restoring: bool) -> dict[str, int]:
    """Return the counts that a line for people should have, without zeros."""
    left_out = {"skipped", "fixed"} if restoring else {"with nothing to restore", "restored"}
    counts = {word: sum(endings[e] for e in ends) for word, ends in LINE_WORDS.items() if word not in left_out}
    return {word: number for word, number in counts.items() if number}


def by_value(endings: Counter[NodeEnding]) -> dict[str, int]:
    """Return counts by the words of drift.json, without zeros."""
    return {ending.value: number for ending, number in endings.items() if number}


def without_zeros(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts that are not 0."""
    return {word: number for word, number in counts.items() if number}


def check_programs_reports(run: RunRecord, endings: Counter[NodeEnding]) -> None:
    """Compare drift.json, the lines of JSON, the metrics, the history and the data of the page with the endings."""
    document = json.loads("".join(drift_json.document(run, {}, None)))
    assert without_zeros(document["summary"]["nodes"]) == {"selected": len(run.nodes), **by_value(endings)}
    assert Counter(node["outcome"] for node in document["nodes"]) == by_value(endings)
    rows = [json.loads(line) for node in run.nodes for line in drift_json.lines_of(run, node)]
    assert Counter(row["outcome"] for row in rows if row["type"] == "node") == by_value(endings)
    samples = [s for family in text_string_to_metric_families(metrics(run)) for s in family.samples]
    metric = {s.labels["outcome"]: int(s.value) for s in samples if s.name == "synctool_nodes"}
    assert without_zeros(metric) == by_value(endings)
    assert [s.value for s in samples if s.name == "synctool_unreachable_nodes" and s.labels["group"] == "all"] == [
        sum(endings[ending] for ending in NOTHING_KNOWN)
    ]
    past = past_of(run)
    assert (past.in_sync, past.drifted, past.fixed, past.errors) == (
        endings[NodeEnding.IN_SYNC],
        endings[NodeEnding.DRIFTED],
        endings[NodeEnding.FIXED],
        sum(endings[ending] for ending in (*NOTHING_KNOWN, NodeEnding.ERROR)),
    )
    assert Counter(node[2] for node in json.loads(data(run, {}))["nodes"]) == by_value(endings)


def check_peoples_reports(run: RunRecord, results: Sequence[NodeResult], endings: Counter[NodeEnding]) -> None:
    """Compare the words of the page, Markdown, summary, progress, log and the command's last line with the endings."""
    assert {word: number for word, _, number in wording.node_counts(run)} == by_value(endings)
    text = next(line for line in "".join(markdown(run, None)).splitlines() if ": " in line and "Entries" in line)
    counted = numbers(text.partition(" Entries: ")[0].partition(": ")[2])
    assert counted == {word.replace("_", " "): number for word, number in by_value(endings).items()}
    line = line_counts(endings, restoring=False)
    tally, progress, log = Tally(), Progress(len(results)), RepairCounts()
    for number, result in enumerate(results):
        tally.add(suite(*PATHS[: len(result.outcomes) or 3], node=f"n{number}"), result)
        progress.take(result)
        log.add(result)
    whole = next(text for text, _ in summary(tally, (), fixing=True) if re.match(r"\d+ nodes?: ", text))
    assert numbers(whole.partition(": ")[2]) == line
    assert numbers(in_a_line(tally, (), fixing=True).partition(";")[0].partition(": ")[2]) == line
    assert numbers(in_words(Counter(map(ending_of_result, results))).partition(": ")[2]) == line
    shown = numbers(progress.line(0, 1000).partition(", ")[2])
    assert shown == {word: endings[ending] for word, ending in PROGRESS_WORDS.items() if endings[ending]}
    logged = re.findall(r"(\d+) nodes? ([a-z ]+)", str(log))
    assert {words: int(number) for number, words in logged} == without_zeros(
        {"not looked at": sum(endings[e] for e in NOTHING_KNOWN), "not begun": endings[NodeEnding.NOT_BEGUN]}
    )


def check(results: Sequence[NodeResult]) -> None:
    """Compare every report of a run with these results with the endings by the rule."""
    endings = Counter(map(expected, results))
    run = run_with(results)
    check_programs_reports(run, endings)
    check_peoples_reports(run, results, endings)


def run_with(results: Sequence[NodeResult]) -> RunRecord:
    """Return a run in which each result is that of a node, with as many entries as it has outcomes."""
    run = run_of({})
    run.nodes = [node for number, result in enumerate(results) for node in records(f"n{number}", result)]
    run.selected = len(run.nodes)
    return run


def records(node: str, result: NodeResult) -> Iterator[NodeRecord]:
    """Yield the record of a node."""
    yield from run_of({node: result}, PATHS[: len(result.outcomes) or 3]).nodes


@pytest.mark.parametrize("mixture", MIXTURES, ids="+".join)
def test_every_mixture_is_counted_once_and_alike(mixture: Sequence[str]) -> None:
    check([NodeResult(tuple(OUTCOMES[name] for name in mixture))])


@pytest.mark.parametrize(("error", "ending"), NODE_ERRORS, ids=lambda value: getattr(value, "value", ""))
def test_a_node_of_which_nothing_is_known(error: NodeError, ending: NodeEnding) -> None:
    assert ending_of_result(NodeResult((), error)) is ending
    check([NodeResult((), error)])


@given(
    st.lists(
        st.lists(st.sampled_from(list(OUTCOMES.values())), min_size=1, max_size=3).map(lambda o: NodeResult(tuple(o)))
        | st.sampled_from([NodeResult((), error) for error, _ in NODE_ERRORS]),
        min_size=1,
        max_size=6,
    )
)
def test_any_nodes_together(results: list[NodeResult]) -> None:
    check(results)


def test_the_order_of_outcomes_does_not_matter() -> None:
    for names in product(OUTCOMES, repeat=3):
        result = NodeResult(tuple(OUTCOMES[name] for name in names))
        assert ending_of_result(result) is expected(result)


def test_a_node_without_entries_is_in_sync() -> None:
    assert ending_of_result(NodeResult()) is NodeEnding.IN_SYNC


def test_the_letter_and_the_exit_status_are_those_of_the_ending() -> None:
    """No node with drift, an error or a missed entry gets the letter or the exit status of a good one."""
    letters = {"error": "E", "drift": "F", "missed": "s", "waived": "x", "fixed": "+", "ok": ".", "not_run": "s"}
    statuses = {"error": command.UNREACHABLE, "missed": command.UNREACHABLE, "drift": command.DRIFT}
    for mixture in MIXTURES:
        result = NodeResult(tuple(OUTCOMES[name] for name in mixture))
        ending = expected(result)
        assert ending_of_result(result) is ending
        decisive = next(name for name, each in RULE.items() if each is ending)
        first = next(iter(reports(suite(*PATHS[: len(mixture)]), result, brief=True)))
        assert letter_of(first) == letters[decisive], mixture
        assert exit_status([ending]) == statuses.get(decisive, command.OK), mixture
        assert ending.is_good == (decisive not in statuses), mixture


@pytest.mark.parametrize(
    ("endings", "status"),
    [
        ([], command.OK),
        ([NodeEnding.IN_SYNC, NodeEnding.DRIFTED], command.DRIFT),
        ([NodeEnding.DRIFTED, NodeEnding.UNREACHABLE, NodeEnding.FIXED], command.UNREACHABLE),
        ([NodeEnding.UNKNOWN], command.UNREACHABLE),
    ],
)
def test_the_worst_node_gives_the_exit_status(endings: list[NodeEnding], status: int) -> None:
    assert exit_status(endings) == status


def test_a_restoring_run_has_words_of_its_own() -> None:
    endings = Counter({NodeEnding.FIXED: 2, NodeEnding.SKIPPED: 3, NodeEnding.UNKNOWN: 1, NodeEnding.NOT_BEGUN: 1})
    line = in_words(endings, restoring=True)
    assert line == "7 nodes: 2 restored, 2 not looked at, 3 with nothing to restore"
    assert numbers(line.partition(": ")[2]) == line_counts(endings, restoring=True)

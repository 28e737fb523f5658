"""The record of a run, and the reports for programs, checked against their schema and with real parsers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files as resources
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pytest_synctool.common.nodenames import fold
from pytest_synctool.model import (
    ABSENT,
    NOT_RUN,
    OK,
    Change,
    Deviation,
    FileState,
    Kind,
    NodeError,
    NodeErrorKind,
    NodeResult,
    Outcome,
    Status,
    Unknown,
    UnmanagedVersion,
)
from pytest_synctool.plugin.junit import names
from pytest_synctool.report import drift_json, files
from pytest_synctool.report.ci import code_quality, markdown, workflow_commands
from pytest_synctool.report.drift_json import NotADocumentError, known_drift
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.grouping import grouped
from pytest_synctool.report.metrics import metrics
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import EntryName, NodeRecord, Recorder, RunRecord, StaleWaiver, UnmanagedRecord

import synctool_checks
from tests_meta.unit.helpers import ODD_NAMES, unreachable
from tests_meta.unit.plugin.test_node_reports import SUITE, suite

SCHEMA = json.loads(resources("pytest_synctool").joinpath("schema/drift.json").read_text())
CHANGES = (Change("mode", "0644", "0600"),)
DRIFT = Outcome(Status.DRIFT, "mode mismatch", ("mode: expected 0644, found 0600",), CHANGES, "overlay/a._all")
MISSING = Outcome(Status.DRIFT, "missing", changes=(Change("missing", "file", "nothing"),))
FIXED = Outcome(Status.FIXED, "updated (file size mismatch)", source="overlay/a._all")
ERROR = Outcome(Status.ERROR, "cannot be looked at: Permission denied")


def record(node: str, paths: Sequence[bytes], result: NodeResult, recorder: Recorder) -> NodeRecord:
    """Return the record of a node with these destinations."""
    return recorder.take(suite(*paths, node=node), result)


def run_of(results: dict[str, NodeResult], paths: Sequence[bytes] = (b"/a", b"/b")) -> RunRecord:
    """Return a run over nodes that all have the same entries; each is in group batch."""
    recorder, began = Recorder(), datetime(2026, 11, 25, 3, 14, 15, tzinfo=UTC)
    made = RunRecord("r1", "audit", "root", "admin1", "/x/synctool.conf", "/x/masterdir", began, began, {})
    made.ended = began + timedelta(seconds=2)
    made.nodes = [record(node, paths, result, recorder) for node, result in results.items()]
    made.groups, made.selected = dict.fromkeys(results, ("batch",)), len(results)
    return made


MIXED = {
    "n1": NodeResult((DRIFT, OK)),
    "n2": NodeResult((DRIFT, FIXED)),
    "n3": NodeResult((OK, OK), duration=1.5),
    "n4": NodeResult((OK, ERROR)),
    "n5": NodeResult((), unreachable("Connection refused")),
}

_texts = st.text(max_size=12)
_outcomes = st.just(OK) | st.builds(
    Outcome,
    st.sampled_from([Status.DRIFT, Status.FIXED, Status.ERROR, Status.SKIPPED, Status.WAIVED]),
    _texts,
    st.lists(_texts, max_size=2).map(tuple),
    st.lists(st.builds(Change, _texts, _texts, _texts), max_size=2).map(tuple),
    _texts,
    _texts,
    _texts,
)
_errors = st.builds(NodeError, st.sampled_from(NodeErrorKind), _texts)
_results = st.builds(NodeResult, st.tuples(_outcomes, _outcomes)) | st.builds(NodeResult, st.just(()), _errors)
_runs = st.dictionaries(st.sampled_from(["n1", "n2", "web.x", "n10"]), _results, max_size=4).map(run_of)


class TestRecord:
    def test_counts(self) -> None:
        run = run_of(MIXED)
        words = {node.node: node.ending.value for node in run.nodes}
        assert words == {"n1": "drifted", "n2": "drifted", "n3": "in_sync", "n4": "error", "n5": "unreachable"}
        assert run.entry_counts() == {"ok": 4, "drift": 2, "fixed": 1, "error": 1, "waived": 0, "skipped": 0}
        assert not run.everything_seen

    def test_nodes_alike_share_their_entries(self) -> None:
        run = run_of(MIXED)
        assert len({node.entries for node in run.nodes}) == 1

    def test_a_node_that_was_not_begun_is_not_in_sync(self) -> None:
        """An earlier batch failed, or the run was interrupted. Tasks that an audit skips do not count as missed."""
        left = NodeResult((Outcome(Status.SKIPPED, "not begun"),) * 2)
        run = run_of({"n1": left, "n2": NodeResult((OK, NOT_RUN))})
        run.selected = 3
        assert [node.ending.value for node in run.nodes] == ["not_begun", "in_sync"]
        assert run.node_counts()[NodeEnding.NOT_BEGUN] == 2
        assert not run.everything_seen


class TestGrouped:
    def test_the_worst_first_under_folded_nodes(self) -> None:
        groups = grouped(run_of(MIXED).nodes)
        assert [(group.outcome.status.value, fold(group.nodes), group.text) for group in groups] == [
            ("error", "n4", "/b cannot be looked at: Permission denied"),
            ("drift", "n[1-2]", "/a mode mismatch"),
            ("fixed", "n2", "/b updated (file size mismatch)"),
        ]

    def test_a_missing_directory_is_one_finding(self) -> None:
        paths = (b"/d", b"/d/a", b"/d/e", b"/d/e/b", b"/dd")
        run = run_of(dict.fromkeys(("n1", "n2"), NodeResult((MISSING,) * 4 + (DRIFT,))), paths)
        assert [(g.text, fold(g.nodes)) for g in grouped(run.nodes)] == [
            ("/d missing and 3 below it", "n[1-2]"),
            ("/dd mode mismatch", "n[1-2]"),
        ]

    def test_a_finding_with_a_remark_stands_by_itself(self) -> None:
        """A remark may differ from entry to entry: the trigger that ran, or the reason why a repair failed."""
        created = replace(MISSING, status=Status.FIXED, message="created (missing)")
        ran = replace(created, message="created (missing), ran overlay/d/a.post", has_remark=True)
        run = run_of({"n1": NodeResult((created, ran, created))}, (b"/d", b"/d/a", b"/d/b"))
        assert [group.text for group in grouped(run.nodes)] == [
            "/d created (missing) and 1 below it",
            "/d/a created (missing), ran overlay/d/a.post",
        ]

    def test_the_words_of_a_message_do_not_make_it_missing(self) -> None:
        """A site's own check may say anything; only the change decides."""
        own = Outcome(Status.DRIFT, "licence (missing)", changes=(Change("licence", "a file", "none"),))
        run = run_of({"n1": NodeResult((own, own))}, (b"/d", b"/d/a"))
        assert [group.text for group in grouped(run.nodes)] == ["/d licence (missing)", "/d/a licence (missing)"]

    @given(run=_runs)
    def test_no_finding_is_lost(self, run: RunRecord) -> None:
        counts = run.entry_counts()
        listed = sum((1 + group.below) * len(group.nodes) for group in grouped(run.nodes))
        assert listed == sum(counts[word] for word in ("drift", "error", "waived", "fixed"))


class TestDocument:
    @given(run=_runs)
    def test_it_is_valid_and_holds_everything(self, run: RunRecord) -> None:
        text = "".join(drift_json.document(run, {}, frozenset()))
        document = json.loads(text.encode("utf-8", "backslashreplace"))
        jsonschema.validate(document, SCHEMA)
        assert [node["node"] for node in document["nodes"]] == [node.node for node in run.nodes]
        assert len(document["results"]) == sum(len(node.results) for node in run.nodes)
        for node in document["nodes"]:
            assert len(document["entry_sets"][node["entry_set"]]) == 2

    def test_new_and_known_drift(self) -> None:
        before = "".join(drift_json.document(run_of({"n1": NodeResult((DRIFT, OK))}), {}, None))
        now = run_of({"n1": NodeResult((DRIFT, MISSING)), "n2": NodeResult((DRIFT, OK))})
        document = json.loads("".join(drift_json.document(now, {}, known_drift(before))))
        assert [(row["node"], row["path"], row["new"]) for row in document["results"]] == [
            ("n1", "/a", False),
            ("n1", "/b", True),
            ("n2", "/a", True),
        ]
        table = "".join(markdown(now, known_drift(before)))
        assert "| DRIFT | n&#91;1-2&#93; (2 nodes) | /a mode mismatch | new on n2 |" in table

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "pytest-synctool drift", "version": 2}'])
    def test_another_text_is_refused(self, text: str) -> None:
        with pytest.raises(NotADocumentError):
            known_drift(text)

    def test_lines(self) -> None:
        run = run_of(MIXED)
        rows = [json.loads(line) for node in run.nodes for line in drift_json.lines_of(run, node)]
        assert [row["type"] for row in rows if row["node"] == "n2"] == ["node", "result", "result"]

    def test_the_id_of_a_test(self) -> None:
        assert EntryName("a/test_overlay.py", "/etc/a%5Bb").test_id("n1") == "a/test_overlay.py::n1::/etc/a%5Bb"


class TestMetrics:
    def test_commands_and_second_tests_of_a_destination_are_no_managed_entries(self) -> None:
        tests = NodeTests(
            "n1",
            "synctool_checks/test_overlay.py::n1",
            [
                "synctool_checks/test_overlay.py::n1::/etc/motd",
                "synctool_checks/test_overlay.py::n1::/etc/hosts",
                "mine/test_own.py::n1::/etc/motd",
                "synctool_checks/test_post.py::n1::post:/etc/motd",
                "synctool_checks/test_tasks.py::n1::/tasks/daily",
            ],
        )
        run = run_of({})
        run.nodes.append(Recorder().take(tests, NodeResult((OK,) * 5)))
        assert 'synctool_managed_entries{group="all"} 2.0' in metrics(run)

    @given(run=_runs)
    def test_a_real_parser_reads_them(self, run: RunRecord) -> None:
        samples = [s for family in text_string_to_metric_families(metrics(run)) for s in family.samples]
        values = {(s.name, *s.labels.values()): s.value for s in samples}
        assert values[("synctool_drifted_entries", "all")] == run.entry_counts()["drift"]
        assert values[("synctool_unreachable_nodes", "all")] == sum(node.error is not None for node in run.nodes)
        assert values[("synctool_last_run_complete",)] == run.everything_seen
        assert values[("synctool_last_run_timestamp_seconds",)] == run.ended.timestamp()

    def test_groups(self) -> None:
        text = metrics(run_of(MIXED))
        assert 'synctool_drifted_entries{group="batch"} 2.0' in text
        assert 'synctool_managed_entries{group="all"} 8.0' in text
        assert 'synctool_nodes{outcome="unreachable"} 1.0' in text


class TestPipeline:
    def test_a_run_that_did_not_look_at_everything_is_never_in_sync(self) -> None:
        assert "not everything could be looked at" in "".join(markdown(run_of(MIXED), None))
        interrupted = run_of({"n1": NodeResult((OK, OK))})
        interrupted.complete = False
        assert "did not come to its end" in "".join(markdown(interrupted, None))
        assert "## synctool: in sync" in "".join(markdown(run_of({"n1": NodeResult((OK, OK))}), None))

    def test_at_most_ten_annotations(self) -> None:
        paths = [b"/%d" % number for number in range(25)]
        run = run_of({"n1": NodeResult((DRIFT,) * 25)}, paths)
        commands = list(workflow_commands(run, None, "/x"))
        assert len(commands) == 10
        assert commands[0].startswith("::error file=masterdir/overlay/a._all,title=synctool::n1: /")
        assert commands[-1] == "::error title=synctool::and 16 more findings, see the reports"

    @given(run=_runs)
    def test_an_annotation_is_one_line(self, run: RunRecord) -> None:
        for text in workflow_commands(run, None, "/x"):
            assert text.startswith("::")
            assert len(text.splitlines()) == 1

    def test_code_quality(self) -> None:
        issues = json.loads(code_quality(run_of(MIXED), "/x"))
        assert [(issue["severity"], issue["location"]["path"]) for issue in issues] == [
            ("critical", "synctool.conf"),
            ("critical", "b"),
            ("major", "masterdir/overlay/a._all"),
        ]
        more = json.loads(code_quality(run_of({**MIXED, "n9": NodeResult((DRIFT, OK))}), "/x"))
        assert more[2]["fingerprint"] == issues[2]["fingerprint"]
        assert len({issue["fingerprint"] for issue in issues}) == 3

    def test_a_table_that_is_cut_names_the_file_with_the_rest(self) -> None:
        paths = [b"/%d" % number for number in range(51)]
        table = "".join(markdown(run_of({"n1": NodeResult((DRIFT,) * 51)}, paths), None))
        assert "... and 1 more findings, see `drift.json`\n" in table

    def test_markdown_leaves_names_as_they_are(self) -> None:
        table = "".join(markdown(run_of({"n1": NodeResult((DRIFT, OK))}, (b"/a|<img>`", b"/b")), None))
        assert "<img>" not in table
        assert "/a&#124;&#60;img&#62;&#96; mode mismatch" in table


class TestNames:
    @pytest.mark.parametrize(
        ("node", "path", "expected"),
        [
            ("node1", b"/etc/motd", ("synctool_checks.test_overlay.node1", "/etc/motd")),
            ("web.example", b"/a[1]", ("synctool_checks.test_overlay.web_example", "/a[1]")),
            ("node1", b"/a\xff", ("synctool_checks.test_overlay.node1", "/a%FF")),
            ("node1", b"/100%", ("synctool_checks.test_overlay.node1", "/100%25")),
        ],
    )
    def test_class_and_name(self, node: str, path: bytes, expected: tuple[str, str]) -> None:
        assert names(f"{SUITE}::{node}::{encode(path)}", node) == expected

    def test_of_a_node_and_of_a_check_of_ones_own(self) -> None:
        assert names(f"{SUITE}::a.b", "a.b") == ("synctool_checks.test_overlay", "a.b")
        assert names("test_own.py::check_x::n1::/a", "n1") == ("test_own.check_x.n1", "/a")
        assert names("test_own.py::check_x::check::/a", "check") == ("test_own.check_x.check", "/a")

    def test_they_are_unique(self) -> None:
        paths = [*ODD_NAMES, b"\\xff", b"\xff", b"%FF", b"a%FF", b"a\xff", b"[", b"%5B", b"::", b"%3A%3A"]
        pairs = {names(f"{SUITE}::n1::{encode(b'/' + path)}", "n1") for path in paths}
        assert len(pairs) == len(set(paths))


class TestFiles:
    def test_replaced_as_a_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "made" / "report"
        files.write(path, ["one", "\udcff"])
        assert path.read_text() == "one\\udcff"

        def broken() -> Sequence[str]:
            raise OSError(28, os.strerror(28))

        with pytest.raises(OSError, match="No space"):
            files.write(path, (text for _ in "x" for text in broken()))
        assert [entry.name for entry in path.parent.iterdir()] == ["report"]
        assert path.read_text() == "one\\udcff"


def test_kinds_of_the_suite() -> None:
    """Each file of the suite has a kind of its own; test_tasks.py is for the kind `task`."""
    suite = Path(synctool_checks.__file__).parent
    kinds = {EntryName(f"synctool_checks/{path.name}", "/x").kind for path in suite.glob("test_*.py")}
    assert kinds == {"overlay", "delete", "exclusive", "post", "task", "always"}
    assert EntryName("mine/test_overlay.py", "/x").kind == "check"


def test_unmanaged_files_for_ci() -> None:
    """They are in the summary; annotations and issues are for those that fail the run."""
    run = run_of({"n1": NodeResult((OK, OK)), "n2": NodeResult((OK, OK))})
    lines = [(("n1", "n2"), "/etc/|x belongs to no package")]
    run.unmanaged = UnmanagedRecord("/etc", ["n1", "n2"], {}, lines=lines)
    row = "| UNMANAGED | n&#91;1-2&#93; (2 nodes) | /etc/&#124;x belongs to no package |"
    assert row in "".join(markdown(run, None)).splitlines()
    assert list(workflow_commands(run, None, "/x")) == []
    assert json.loads(code_quality(run, "/x")) == []
    run.unmanaged = replace(run.unmanaged, fails=True)
    assert row in "".join(markdown(run, None)).splitlines()
    (command,) = workflow_commands(run, None, "/x")
    assert command.startswith("::error")
    assert "n[1-2] (2 nodes): /etc/|x belongs to no package" in command
    (issue,) = json.loads(code_quality(run, "/x"))
    assert issue["check_name"] == "unmanaged"


def test_unmanaged_files_in_the_document() -> None:
    """Nodes with the same versions share a set. Every text is printable."""
    run = run_of({"n1": NodeResult((OK, OK))})
    link = FileState(Kind.LINK, 0o777, 4, 0, 0, None, "root\udcff", target=b"x")
    versions = [
        UnmanagedVersion(b"/etc/\xff", Deviation.UNOWNED, link, ("n1", "n2")),
        UnmanagedVersion(b"/etc/a", Deviation.MISSING, ABSENT, ("n1",)),
        UnmanagedVersion(b"/etc/b", Deviation.CHANGED, Unknown("Permission denied"), ("n1", "n2")),
    ]
    run.unmanaged = UnmanagedRecord("/etc", ["n1", "n2"], {"down": ["n3"]}, versions)
    read = json.loads("".join(drift_json.document(run, {}, None)))
    jsonschema.validate(read, SCHEMA)
    nothing = dict.fromkeys(("type", "owner", "group", "mode", "size", "error"))
    assert read["unmanaged"] == {
        "directory": "/etc",
        "known": ["n1", "n2"],
        "unknown": [{"reason": "down", "nodes": ["n3"]}],
        "node_sets": [["n1", "n2"], ["n1"]],
        "files": [
            {
                **{"path": "/etc/\\xff", "reason": "unowned", "node_set": 0, "type": "symbolic link", "owner": "0"},
                **{"group": "root\\xff", "mode": "0777", "size": None, "error": None},
            },
            {"path": "/etc/a", "reason": "missing", "node_set": 1, **nothing},
            {"path": "/etc/b", "reason": "changed", "node_set": 0, **nothing, "error": "Permission denied"},
        ],
    }


@pytest.mark.parametrize(
    ("outcome", "fields", "verdict"),
    [
        (OK, {}, "in sync"),
        (FIXED, {"mode": "fix"}, "fixed"),
        (replace(DRIFT, status=Status.WAIVED, waiver="for now"), {}, "nothing but waived drift"),
        (DRIFT, {"exit_status": 1}, "drift"),
        (OK, {"exit_status": 1}, "the run failed"),
        (OK, {"exit_status": 1, "stale_waivers": (StaleWaiver("waivers.yaml:1", ("n1",), "gone"),)}, "stale waivers"),
        (OK, {"exit_status": 2, "complete": False}, "not everything could be looked at"),
        (FIXED, {"mode": "restore"}, "old versions put back"),
        (DRIFT, {"mode": "restore", "exit_status": 1}, "not everything could be put back"),
    ],
)
def test_the_verdict_of_a_summary(outcome: Outcome, fields: dict[str, object], verdict: str) -> None:
    run = run_of({"n1": NodeResult((OK, outcome))})
    for name, value in fields.items():
        setattr(run, name, value)
    assert "".join(markdown(run, None)).startswith(f"## synctool: {verdict}\n")


def test_a_summary_of_nothing_is_not_in_sync() -> None:
    """A run without nodes is not in sync, and neither is one in which all entries were skipped."""
    skipped = "".join(markdown(run_of({"n1": NodeResult((NOT_RUN, NOT_RUN))}), None))
    assert skipped.startswith("## synctool: nothing was looked at\n")
    assert "".join(markdown(run_of({}), None)).startswith("## synctool: not everything could be looked at\n")

"""The page of a run, as a parser sees it: what is in it, what is left out and said to be, and that nothing gets out."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import NOT_KEPT, NOT_RUN, OK, Change, NodeError, NodeErrorKind, NodeResult, Outcome, Status
from pytest_synctool.report.history_values import Onset, Onsets, Past
from pytest_synctool.report.page import html, wording
from pytest_synctool.report.page.data import data
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord, StaleWaiver, UnmanagedRecord

from tests_meta.unit.helpers import unreachable
from tests_meta.unit.report.test_run_reports import DRIFT, ERROR, FIXED, MIXED, run_of

GONE = NodeResult((), unreachable("Connection refused"))
LEFT = NodeResult((Outcome(Status.SKIPPED, "not begun: a batch before it failed"),) * 2)
# What would end a script or an attribute, begin an element, or turn what is read around.
HOSTILE = (
    "</script><script>window.injected=1</script>",
    "<!--<script>",
    '"><img src=x onerror="window.injected=1">',
    "' onmouseover='window.injected=1",
    "{{ 7 * 7 }}${window.injected=1}",
    "a\u202eb\u2066c\u2028d\u2029e\x00\x1b[31m\u200b",
    "&lt;b&gt;&amp;",
)
_texts = st.text(max_size=12) | st.sampled_from(HOSTILE)


@dataclass
class Page:
    """A page, taken apart."""

    text: str

    def __post_init__(self) -> None:
        self.tree: Any = lxml.html.document_fromstring(self.text.encode())
        self.data: dict[str, Any] = json.loads(self.tree.get_element_by_id("data").text)

    def words(self, path: str) -> list[str]:
        """The texts of elements, their white space as it is shown."""
        return [" ".join(element.text_content().split()) for element in self.tree.xpath(path)]

    @property
    def headline(self) -> str:
        return self.words("//h1")[0]

    @property
    def level(self) -> str:
        return str(self.tree.xpath("//section[h1]/@class")[0]).removeprefix("verdict ")

    @property
    def reasons(self) -> list[str]:
        return self.words("//section[h1]//li")

    def table(self, section: str) -> list[list[str]]:
        """The cells of a section's table."""
        rows = self.tree.xpath(f"//section[@aria-labelledby='{section}-title']//tbody/tr")
        return [[" ".join(cell.text_content().split()) for cell in row] for row in rows]

    def found(self) -> dict[tuple[str, str], tuple[list[Any], list[str], list[str]]]:
        """By node and path what was found: the finding, its details and its life."""
        data, pairs = self.data, {}
        for name, _, _, _, number, _, _, _, numbers in data["nodes"]:
            for position, what in zip(numbers[::2], numbers[1::2], strict=True):
                finding, details, life = data["found"][what]
                pairs[name, data["entries"][data["sets"][number][position]][1]] = (
                    data["findings"][finding],
                    [] if details < 0 else data["details"][details],
                    [] if life < 0 else data["lives"][life],
                )
        return pairs


def page(run: RunRecord, onsets: Onsets | None = None, past: Sequence[Past] = ()) -> Page:
    """The page of a run."""
    return Page("".join(html(run, onsets or {}, past)))


def failed(results: Mapping[str, NodeResult], paths: Sequence[bytes] = (b"/a", b"/b")) -> RunRecord:
    """A run that ended with exit status 1."""
    run = run_of(dict(results), paths)
    run.exit_status = 1
    return run


class TestVerdict:
    def test_in_sync(self) -> None:
        seen = page(run_of({"n1": NodeResult((OK, OK)), "n2": NodeResult((OK, FIXED))}))
        assert (seen.level, seen.headline, seen.reasons) == (
            "good",
            "In sync: 4 entries on 2 nodes, 1 of them after repair",
            [],
        )

    def test_drift(self) -> None:
        seen = page(failed({"n1": NodeResult((DRIFT, OK)), "n2": NodeResult((OK, OK))}))
        assert (seen.level, seen.headline) == ("drift", "Drift on 1 of 2 nodes")
        assert seen.reasons == ["1 entry differs from the masterdir.", "The exit status of the run is 1."]

    def test_waived(self) -> None:
        seen = page(run_of({"n1": NodeResult((replace(DRIFT, status=Status.WAIVED, waiver="for now"), OK))}))
        assert (seen.level, seen.headline) == ("accepted", "Waived drift on 1 of 1 node")
        assert seen.table("findings")[0][3] == "/a mode mismatch (waived: for now)"

    def test_stale_waivers(self) -> None:
        run = failed({"n1": NodeResult((OK, OK)), "n2": NodeResult((OK, OK))})
        run.stale_waivers = [StaleWaiver("waivers.yaml:7", ("n1", "n2"), "/a no longer differs: remove this waiver")]
        seen = page(run)
        assert (seen.level, seen.headline) == ("drift", "1 waiver is stale")
        assert seen.reasons == [
            "1 waiver is stale: what was accepted is in sync.",
            "The exit status of the run is 1.",
        ]
        assert seen.words("//section[@aria-labelledby='stale-title']//tbody//td") == [
            "n[1-2]",
            "2",
            "waivers.yaml:7: /a no longer differs: remove this waiver",
        ]

    def test_unmanaged_files(self) -> None:
        """They are why a run fails only if it was asked to."""
        run = run_of({"n1": NodeResult((OK, OK)), "n2": NodeResult((OK, OK))})
        lines = [(("n1", "n2"), "/etc/<x> belongs to no package"), (("n2",), "unmanaged files: no dpkg")]
        run.unmanaged = UnmanagedRecord("/etc", ["n1"], {}, lines=lines)
        seen = page(run)
        assert (seen.level, seen.reasons) == ("good", [])
        assert seen.words("//section[@aria-labelledby='unmanaged-title']//tbody//td") == [
            *("n[1-2]", "2", "/etc/<x> belongs to no package"),
            *("n2", "1", "unmanaged files: no dpkg"),
        ]
        run.unmanaged = replace(run.unmanaged, fails=True)
        run.exit_status = 1
        seen = page(run)
        assert (seen.level, seen.headline) == ("bad", "The run failed")
        assert seen.reasons == ["Unmanaged files below /etc fail 2 nodes.", "The exit status of the run is 1."]

    def test_what_the_waiver_says_is_not_said_again(self) -> None:
        waived = replace(DRIFT, status=Status.WAIVED, waiver="for now", details=(*DRIFT.details, "waived: for now"))
        assert json.loads(data(run_of({"n1": NodeResult((waived, OK))}), {}))["details"] == []

    @pytest.mark.parametrize(
        ("results", "reason"),
        [
            ({"n1": NodeResult((OK, OK)), "n9": GONE}, "1 node is unreachable: nothing is known of the entries there."),
            ({"n1": NodeResult((OK, ERROR))}, "1 node with errors: something there could not be looked at."),
            ({"n1": LEFT, "n2": LEFT}, "2 nodes are not begun: something there was not looked at."),
            ({}, "No node was looked at."),
        ],
        ids=["unreachable", "error", "not begun", "nothing"],
    )
    @pytest.mark.parametrize("status", [0, 1])
    def test_never_good_if_something_was_not_seen(
        self, results: dict[str, NodeResult], reason: str, status: int
    ) -> None:
        run = run_of(results)
        run.exit_status = status
        seen = page(run)
        assert (seen.level, seen.headline) == ("bad", "Not everything could be looked at")
        assert reason in seen.reasons
        assert "Nothing differs." not in seen.text

    def test_never_good_if_the_run_did_not_come_to_its_end(self) -> None:
        run = run_of({"n1": NodeResult((OK, OK))})
        run.complete, run.selected = False, 3
        seen = page(run)
        assert seen.level == "bad"
        assert seen.reasons[0] == "The run did not come to its end. What is not listed was not looked at."
        assert seen.reasons[1] == "2 nodes are not begun: something there was not looked at."

    def test_never_good_with_another_exit_status_than_0(self) -> None:
        seen = page(failed({"n1": NodeResult((OK, OK))}))
        assert (seen.level, seen.headline) == ("bad", "The run failed")
        assert "Nothing differs." not in seen.text

    def test_never_good_if_all_was_skipped(self) -> None:
        """As with an audit of tasks alone."""
        seen = page(run_of({"n1": NodeResult((NOT_RUN, NOT_RUN))}))
        assert (seen.level, seen.headline, seen.reasons) == (
            "accepted",
            "Nothing was looked at",
            ["2 entries skipped."],
        )
        assert "Nothing differs." not in seen.text

    def test_a_restore_is_never_good(self) -> None:
        """It does not look whether anything is in sync."""
        run = run_of({"n1": NodeResult((FIXED, NOT_KEPT)), "n2": NodeResult((NOT_KEPT, NOT_KEPT))})
        run.mode = "restore"
        seen = page(run)
        assert (seen.level, seen.headline) == ("accepted", "Old versions put back on 1 of 2 nodes")
        assert seen.reasons == ["What was put back is drift again; what else there is was not looked at."]
        assert seen.words("//section[@class='counts']/dl[1]/dd") == ["2", "1 restored", "1 with nothing put back"]
        run.nodes.append(run_of({"n3": NodeResult((DRIFT, NOT_KEPT))}).nodes[0])
        run.exit_status, run.selected = 1, 3
        assert (page(run).level, page(run).headline) == ("bad", "Not everything could be put back")

    def test_a_restore_of_nothing_does_not_say_that_nothing_differs(self) -> None:
        run = run_of({"n1": NodeResult((NOT_KEPT, NOT_KEPT))})
        run.mode = "restore"
        assert "Nothing differs" not in page(run).text

    def test_counts(self) -> None:
        dry = NodeResult((OK, NOT_RUN))
        seen = page(failed({**MIXED, "n8": dry}))
        nodes, entries = (seen.words(f"//section[@class='counts']/dl[{number}]/dd") for number in (1, 2))
        assert nodes == ["6", "1 with errors", "1 unreachable", "2 drifted", "2 in sync"]
        assert entries == [
            "12", "2 not looked at", "1 could not be looked at", "2 drifted", "1 fixed", "1 skipped", "5 in sync",
        ]  # fmt: skip


class TestTables:
    def test_what_was_found(self) -> None:
        seen = page(failed(MIXED))
        assert [row[:5] for row in seen.table("findings")] == [
            ["ERROR", "n4", "1", "/b cannot be looked at: Permission denied", "overlay"],
            ["DRIFT", "n[1-2]", "2", "/a mode mismatch", "overlay"],
            ["FIXED", "n2", "1", "/b updated (file size mismatch)", "overlay"],
        ]
        assert seen.table("unseen") == [["n5", "1", "unreachable: Connection refused"]]

    def test_what_was_not_begun_has_its_reason(self) -> None:
        seen = page(failed({"n1": LEFT, "n2": LEFT}))
        assert seen.table("unseen") == [["n[1-2]", "2", "not begun: a batch before it failed"]]
        assert {finding[0] for finding in seen.data["findings"]} == {"unseen"}

    def test_tasks_of_a_dry_run_are_skipped_and_no_more(self) -> None:
        seen = page(run_of({"n1": NodeResult((OK, NOT_RUN))}))
        assert (seen.level, seen.reasons) == ("good", ["1 entry skipped."])
        assert seen.data["findings"][0][0] == "skipped"

    def test_since_when_and_why(self) -> None:
        run = failed({"n1": NodeResult((DRIFT, OK)), "n2": NodeResult((DRIFT, OK))})
        entry = run.nodes[0].entries[0]
        late = run.started + timedelta(days=1)
        onsets = {("n1", entry): Onset(late, "masterdir", True), ("n2", entry): Onset(run.started, "node", True)}
        seen = page(run, onsets)
        when = "2026-11-25 03:14:15+00:00"
        assert seen.table("findings")[0][6] == f"{when} the node was changed; the masterdir was changed"
        assert seen.found()["n2", "/a"][2] == [when, "node"]

    def test_notes(self) -> None:
        note = ("the log cannot be written",)
        seen = page(run_of({n: NodeResult((OK, OK), notes=note) for n in ("n1", "n2")}))
        assert seen.table("notes") == [["n[1-2]", "2", "the log cannot be written"]]

    def test_many_findings_are_cut_and_counted(self) -> None:
        paths = [b"/%d" % number for number in range(503)]
        seen = page(failed({"n1": NodeResult((DRIFT,) * 503)}, paths))
        assert len(seen.table("findings")) == 500
        assert "3 more findings are not in this table; they are in drift.json." in seen.words("//p[@class='more']")
        assert len(seen.found()) == 503

    def test_a_long_node_set_is_cut_and_said_to_be(self) -> None:
        names = {f"n{number}x{number * 7919 % 1000}": NodeResult((DRIFT, OK)) for number in range(600)}
        nodes, number = page(failed(names)).table("findings")[0][1:3]
        assert nodes.endswith(" ... (the rest is in drift.json)")
        assert len(nodes) < 2100
        assert number == "600"

    def test_folding_names_does_not_take_forever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Equal sets are folded once, small ones always, and of the others no more than so many names."""
        monkeypatch.setattr(wording, "_MOST_NAMES", 150)
        sizes = (150, 150, 149, 100)
        results = {f"n{n:03}": NodeResult(tuple(DRIFT if n < size else OK for size in sizes)) for n in range(150)}
        rows = page(failed(results, [b"/%d" % number for number in range(4)])).table("findings")
        assert [row[1] for row in rows] == [
            "n[000-149]",
            "n[000-149]",
            "too many to be listed here, they are in drift.json",
            "n[000-099]",
        ]
        assert [int(row[2]) for row in rows] == [*sizes]


class TestData:
    def test_equal_findings_are_in_it_once(self) -> None:
        explained = [replace(DRIFT, details=(*DRIFT.details, f"because of {n}")) for n in range(20)]
        seen = page(failed({f"n{n}": NodeResult((outcome, OK)) for n, outcome in enumerate(explained)}))
        assert len(seen.data["findings"]) == 1
        assert seen.found()["n7", "/a"][1] == ["because of 7"]
        assert [len(seen.data[name]) for name in ("entries", "sets", "details", "nodes")] == [2, 1, 20, 20]

    def test_what_the_table_of_changes_says_is_not_said_again(self) -> None:
        details = ("mode: expected 0644, found 0600", "source: overlay/a._all", "it stays")
        seen = page(failed({"n1": NodeResult((replace(DRIFT, details=details), OK))}))
        finding, more, _ = seen.found()["n1", "/a"]
        assert finding[2:4] == [[["mode", "0644", "0600"]], "overlay/a._all"]
        assert more == ["it stays"]

    def test_equal_diffs_are_in_it_once_and_all_together_have_a_limit(self) -> None:
        large = "+" + "x" * (3 << 20)
        diffs = [large + "1", large + "2", large + "3", "-small\n+ones\tx"]
        paths = [b"/%d" % number for number in range(4)]
        outcomes = tuple(replace(DRIFT, diff=diff) for diff in diffs)
        seen = page(
            failed(
                {"n1": NodeResult(outcomes), "n2": NodeResult((replace(outcomes[0], message="m"), *outcomes[1:]))},
                paths,
            )
        )
        assert seen.data["diffs"] == [diffs[0], diffs[1], diffs[3]]
        assert {path: found[0][4] for (node, path), found in seen.found().items() if node == "n1"} == {
            "/0": 0, "/1": 1, "/2": -2, "/3": 2,
        }  # fmt: skip

    def test_a_node_that_was_not_reached_has_its_reason_and_entries(self) -> None:
        seen = page(failed({"n1": NodeResult((OK, OK)), "n9": GONE}))
        node = seen.data["nodes"][1]
        assert node[2:4] == ["unreachable", "unreachable: Connection refused"]
        assert seen.data["sets"][node[4]] == [0, 1]


class TestTrend:
    def test_no_earlier_runs(self) -> None:
        run = run_of({"n1": NodeResult((OK, OK))})
        assert "No earlier runs are known." in page(run).text
        own = Past(run.id, run.started, "audit", 1, 0, 0, 0, 0, True)
        assert "No earlier runs are known." in page(run, past=[own]).text

    def test_bars(self) -> None:
        run = run_of({"n1": NodeResult((OK, OK))})
        restore = Past("r9", run.started, "restore", 4, 0, 0, 0, 0, True)
        earlier = Past("r0", run.started - timedelta(days=1), "fix", 2, 1, 0, 1, 9, False)
        seen = page(run, past=[earlier, restore, Past(run.id, run.started, "audit", 4, 0, 0, 0, 0, True)])
        bars = seen.tree.xpath("//svg//g")
        parts = [
            [(r.get("class"), float(r.get("y")), float(r.get("height"))) for r in bar.xpath("rect")] for bar in bars
        ]
        assert parts[0][1:] == [("errors", 90, 30), ("drifted", 60, 30), ("in_sync", 0, 60)]
        assert [bar.xpath("string(text)") for bar in bars] == ["!", ""]
        assert [row[:2] + row[-1:] for row in seen.table("trend")] == [
            ["2026-11-25 03:14:15+00:00 (this run)", "audit", "yes"],
            ["2026-11-24 03:14:15+00:00", "fix", "NO"],
        ]


def _run(texts: Sequence[str]) -> RunRecord:
    """A run in which each of these texts is wherever a text can be."""
    run = failed({})
    run.user = run.host = run.configuration = run.masterdir = run.id = texts[0]
    for number, text in enumerate(texts):
        entry = EntryName("synctool_checks/test_overlay.py" if number % 2 else text, f"/{text}")
        change = Change(text, text, text)
        outcome = Outcome(Status.DRIFT, text, (text,), (change,), text, f"+{text}\n-{text}\t.", text)
        run.nodes.append(NodeRecord(f"n{number}", SharedList([entry]), ((0, outcome),), None, 1.0, (text,), (text,)))
        run.groups = {**run.groups, f"n{number}": (text,)}
    run.nodes.append(NodeRecord("n9999", SharedList(), (), NodeError(NodeErrorKind.BAD_ANSWER, texts[0])))
    run.selected = len(run.nodes)
    return run


class TestHostile:
    @given(texts=st.lists(_texts, min_size=1, max_size=4))
    def test_texts_stay_texts(self, texts: list[str]) -> None:
        """Elements are those of the template, and what the parser reads back is what went in, made visible."""
        seen, plain = page(_run(texts)), page(_run(["a"] * len(texts)))
        shape = [(e.tag, sorted(e.keys())) for e in seen.tree.iter() if isinstance(e.tag, str)]
        assert {*map(str, shape)} <= {*map(str, [(e.tag, sorted(e.keys())) for e in plain.tree.iter()])}
        assert not seen.tree.xpath("//comment() | //img")
        assert len(seen.tree.xpath("//script")) == 2
        for number, text in enumerate(texts):
            shown = printable_text(text)
            finding, details, _ = seen.found()[f"n{number}", seen.data["entries"][_entry_of(seen, number)][1]]
            assert finding[:4] == ["drift", shown, [[shown] * 3], shown]
            assert details == [shown]
            lines = "\n".join("\t".join(map(printable_text, t.split("\t"))) for t in f"+{text}\n-{text}\t.".split("\n"))
            assert seen.data["diffs"][finding[4]] == lines

    def test_nothing_is_invisible_or_ends_the_data(self) -> None:
        text = page(_run(HOSTILE)).text
        assert text.count("</script>") == 2
        assert "<!--" not in text
        assert not [c for c in text if not c.isprintable() and c != "\n"]
        _, _, data = text.partition('id="data">')
        assert data.partition("</script>")[0].isascii()

    def test_only_its_own_style_and_script_may_be_used(self) -> None:
        seen = page(failed(MIXED))
        (policy,) = seen.tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        parts = dict(part.split(" ", 1) for part in policy.split("; "))
        assert parts["default-src"] == "'none'"
        for tag, rule in (("style", "style-src"), ("script[not(@type)]", "script-src")):
            (text,) = seen.tree.xpath(f"//{tag}/text()")
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert parts[rule] == f"'sha256-{digest}'"
        assert not seen.tree.xpath("//@style | //@src | //link | //@*[starts-with(name(), 'on')]")
        assert set(seen.tree.xpath("//@href")) == {"#findings"}


def _entry_of(seen: Page, number: int) -> int:
    return int(seen.data["sets"][seen.data["nodes"][number][4]][0])


def test_every_control_has_a_name() -> None:
    tree = page(failed(MIXED)).tree
    for control in tree.xpath("//input | //select"):
        assert control.xpath("normalize-space(string(ancestor::label))")
    for name in tree.xpath("//@aria-labelledby | //@aria-describedby"):
        assert all(tree.xpath(f"//*[@id='{id_}']") for id_ in name.split()), name
    assert len(set(tree.xpath("//@id"))) == len(tree.xpath("//@id"))

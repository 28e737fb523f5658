"""waivers.yaml: its reader, the drift that it accepts, and the text for the mirror of a node."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import jsonschema
import pytest
import pytest_synctool
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import OK, Kind, Outcome, Status
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.exclusive import exclusive_contents
from pytest_synctool.repository.waivers import NO_WAIVERS, InForce, Waiver, Waivers, load, parse
from pytest_synctool.repository.waivers.writer import mirror_text

from tests_meta.unit.helpers import entry, node, state

PATH = Path("/master/waivers.yaml")
NODES = ("node1", "node2", "node3", "web")
GROUPS = ("batch", "login", *NODES)
SCHEMA = json.loads((Path(pytest_synctool.__file__).parent / "schema/waivers.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TODAY = date(2026, 11, 28)
LATER = date(2030, 1, 1)
DRIFT = Outcome(Status.DRIFT, "mode mismatch", ("source: x",))

GOOD = """\
# waits for people
- path: /etc/ntp.conf
  nodes: node[1-2]
  reason: >
    waits for the
    new server
  expires: 2026-12-31
- path: [/srv/**, "/etc/cron.d/*"]
  nodes: [node3, web]
  groups: batch
  reason: "moved: ticket 4711"
  expires: "2027-02-28"
"""


def read(text: str) -> Waivers:
    """Return the waivers of a text that the schema accepts too."""
    waivers = parse(text, PATH, NODES, GROUPS)
    VALIDATOR.validate(None if text == "null" else yaml.load(text, yaml.BaseLoader) or None)
    return waivers


def test_a_reason_may_be_a_number_for_an_editor_too() -> None:
    """An editor reads 4711 as a number; the number of a ticket is a reason."""
    text = "- {path: /etc/motd, groups: all, reason: 4711, expires: '2026-12-31'}"
    VALIDATOR.validate(yaml.safe_load(text))


def problems(text: str) -> list[str]:
    """Return the problems of a file without its path."""
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH, NODES, GROUPS)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{PATH}:") for line in lines)
    return [line.removeprefix(f"{PATH}:") for line in lines]


def in_force(text: str, today: date = TODAY) -> InForce:
    """Return the waivers of a text on a day."""
    return InForce(read(text), today)


def waiver(path: str, expires: date, *, nodes: str = "node[1-2]") -> str:
    """Return an item of the file."""
    return f"- path: {path}\n  nodes: {nodes}\n  reason: because\n  expires: {expires}\n"


class TestReading:
    """The reader of the file, and the problems that it notes."""

    def test_waivers_as_read(self) -> None:
        assert read(GOOD).waivers == (
            Waiver(
                2,
                ("/etc/ntp.conf",),
                frozenset({"node1", "node2"}),
                frozenset(),
                "waits for the new server",
                date(2026, 12, 31),
            ),
            Waiver(
                8,
                ("/srv/**", "/etc/cron.d/*"),
                frozenset({"node3", "web"}),
                frozenset({"batch"}),
                "moved: ticket 4711",
                date(2027, 2, 28),
            ),
        )

    @pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "null"])
    def test_a_file_without_waivers(self, text: str) -> None:
        assert read(text).waivers == ()

    def test_no_file(self, tmp_path: Path) -> None:
        assert load(tmp_path / "waivers.yaml", NODES, GROUPS).waivers == ()

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "waivers.yaml").mkdir()
        with pytest.raises(ConfigError, match=r"waivers\.yaml: cannot be read: Is a directory"):
            load(tmp_path / "waivers.yaml", NODES, GROUPS)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("path: /f", ["1: expected a list of rules like '- path: /etc/motd', not a table"]),
            (
                "- {}",
                [
                    "1: no 'path': expected a destination",
                    "1: no 'reason': expected why",
                    "1: no 'expires': expected the last day, as 2026-12-31",
                    "1: neither 'nodes' nor 'groups': expected at least one; 'groups: all' is all",
                ],
            ),
            ("- {path: /f, nodes: node1, reason: r, expire: 2026-01-01}",
             ["1: unknown key 'expire' (did you mean 'expires'?)"]),
            ("- {path: f, nodes: node1, reason: r, expires: 2026-01-01}",
             ["1: 'f' is no 'path': expected a destination that starts with '/'"]),
            ("- {path: '/[f', nodes: node1, reason: r, expires: 2026-01-01}",
             ["1: '/[f' is no 'path': a '[' has no ']' (the character itself is written as [[])"]),
            ("- {path: /f, nodes: node7, reason: r, expires: 2026-01-01}",
             ["1: unknown node 'node7' (did you mean 'node3'?)"]),
            ("- {path: /f, nodes: 'node[2-4]', reason: r, expires: 2026-01-01}",
             ["1: unknown node 'node4' (did you mean 'node3'?)"]),
            ("- {path: /f, nodes: 'zz[', reason: r, expires: 2026-01-01}",
             ["1: 'nodes': 'zz[' is not a node set: missing bracket: \"zz[\""]),
            ("- {path: /f, nodes: '@batch', reason: r, expires: 2026-01-01}",
             ["1: unknown node '@batch': it is a group, and they are for 'groups'"]),
            ("- {path: /f, nodes: [], reason: r, expires: 2026-01-01}",
             ["1: 'nodes' expects a node or a node set like node[1-3] or a list of them, not an empty list"]),
            ("- {path: /f, groups: batsh, reason: r, expires: 2026-01-01}",
             ["1: unknown group 'batsh' (did you mean 'batch'?)"]),
            ("- {path: /f, groups: all, reason: , expires: 2026-01-01}",
             ["1: 'reason' expects some words, not nothing"]),
            ("- {path: /f, groups: all, reason: ' ', expires: 2026-01-01}",
             ["1: 'reason' expects some words, not ' '"]),
            ("- {path: /f, groups: all, reason: [r], expires: 2026-01-01}",
             ["1: 'reason' expects some words, not a list"]),
            ("- {path: /f, groups: all, reason: r, expires: never}",
             ["1: 'expires' expects a day like 2026-12-31, not 'never'"]),
            ("- {path: /f, groups: all, reason: r, expires: 2026-02-30}",
             ["1: 'expires' expects a day like 2026-12-31, not '2026-02-30'"]),
            ("- {path: /f, groups: all, reason: r, expires: 20261231}",
             ["1: 'expires' expects a day like 2026-12-31, not '20261231'"]),
            ("- {path: /f, groups: all, reason: r, expires: 2026-12-31T10:00:00}",
             ["1: 'expires' expects a day like 2026-12-31, not '2026-12-31T10:00:00'"]),
            ("- {path: /f, groups: all, reason: r, expires: }",
             ["1: 'expires' expects a day like 2026-12-31, not nothing"]),
            ("[{path: /f, groups: all, reason: r, expires: 2026-01-01}, "
             "{path: /g, groups: all, reason: r, expires: 2026-01-01}]",
             ["1: another waiver on the same line: expected each on lines of its own"]),
            ("- path: f\n  nodes: x\n  reason: r\n  expires: e\n- 1\n",
             ["1: 'f' is no 'path': expected a destination that starts with '/'",
              "2: unknown node 'x': expected one of the configuration",
              "4: 'expires' expects a day like 2026-12-31, not 'e'",
              "5: expected a rule like '- path: /etc/motd', not '1'"]),
        ],
    )  # fmt: skip
    def test_problems(self, text: str, expected: list[str]) -> None:
        assert problems(text) == expected

    @given(
        st.recursive(
            st.none() | st.text(max_size=8) | st.sampled_from(["/f", "node1", "all", "2026-01-01", "node[1-2"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["path", "nodes", "groups", "reason", "expires", "x"]), inner)
            ),
            max_leaves=12,
        )
    )
    def test_any_document_is_read_or_refused_with_lines(self, document: object) -> None:
        text = yaml.safe_dump(document)
        try:
            waivers = parse(text, PATH, NODES, GROUPS)
        except ConfigError as error:
            lines = str(error).split("\n")
            waivers = NO_WAIVERS
        else:
            lines = []
        assert all(line.startswith(f"{PATH}:") for line in lines)
        assert all(w.paths and (w.nodes or w.groups) and w.reason and w.expires > date.min for w in waivers.waivers)


class TestAccepting:
    """The outcomes of entries that a waiver covers."""

    def test_drift_on_its_nodes(self) -> None:
        waivers = in_force(GOOD)
        text = "waits for the new server, until 2026-12-31, waivers.yaml:2"
        assert waivers.applied(node("node1"), b"/etc/ntp.conf", DRIFT) == Outcome(
            Status.WAIVED, "mode mismatch", ("source: x", f"waived: {text}"), waiver=text
        )
        assert waivers.applied(node("node3"), b"/etc/ntp.conf", DRIFT) == DRIFT
        assert waivers.applied(node("node1"), b"/etc/ntp.conf.d", DRIFT) == DRIFT

    def test_by_group_and_pattern(self) -> None:
        waivers = in_force(GOOD)
        for name, groups, path, status in (
            ("node1", ["batch"], b"/srv", Status.WAIVED),
            ("node1", ["batch"], b"/srv/a/b", Status.WAIVED),
            ("web", [], b"/etc/cron.d/x", Status.WAIVED),
            ("web", [], b"/etc/cron.d", Status.DRIFT),
            ("node1", ["login"], b"/srv", Status.DRIFT),
        ):
            assert waivers.applied(node(name, *groups), path, DRIFT).status is status, (name, path)

    def test_all_nodes(self) -> None:
        waivers = in_force("- {path: /f, groups: all, reason: r, expires: 2027-01-01}")
        assert waivers.applied(node("web"), b"/f", DRIFT).status is Status.WAIVED

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.DRIFT])
    def test_nothing_but_drift(self, status: Status) -> None:
        outcome = Outcome(status, "cannot be looked at: Input/output error")
        assert in_force(GOOD).applied(node("node1"), b"/etc/ntp.conf", outcome) is outcome

    def test_until_the_end_of_its_last_day(self) -> None:
        last = date(2026, 12, 31)
        assert in_force(GOOD, last).applied(node("node1"), b"/etc/ntp.conf", DRIFT).status is Status.WAIVED
        outcome = in_force(GOOD, last + timedelta(1)).applied(node("node1"), b"/etc/ntp.conf", DRIFT)
        text = "expired on 2026-12-31: waits for the new server, waivers.yaml:2"
        assert outcome == replace(DRIFT, details=("source: x", f"waiver {text}"), waiver=text)

    def test_the_first_one_that_has_not_expired_is_used(self) -> None:
        text = "".join(waiver("/f", TODAY + timedelta(days)) for days in (-1, 0, 1))
        assert in_force(text).applied(node("node1"), b"/f", DRIFT).waiver.endswith("waivers.yaml:5")
        assert in_force(text, TODAY + timedelta(9)).applied(node("node1"), b"/f", DRIFT).waiver.endswith("yaml:1")

    def test_names_and_reasons_that_terminals_cannot_show(self) -> None:
        waivers = in_force('- {path: "/?", nodes: node1, reason: "a\\x1b[31mb", expires: 2027-01-01}')
        assert waivers.applied(node("node1"), b"/\xff", DRIFT).waiver == "a\\x1b[31mb, until 2027-01-01, waivers.yaml:1"

    def test_without_a_file(self) -> None:
        assert InForce(NO_WAIVERS, TODAY).applied(node("node1"), b"/f", DRIFT) is DRIFT


class TestMirrors:
    """The waivers.yaml in the mirror of a node, which a node that audits itself uses."""

    def test_text(self) -> None:
        text = mirror_text(read(GOOD), node("node3"), [b"/srv/a*", b"/etc/cron.d/x", b"/etc/ntp.conf"])
        assert text == (
            "# The controller's waivers.yaml, reduced to this node. A later --fix may replace this file.\n"
            '- path:\n  - "/srv/a[*]"\n  - "/etc/cron.d/x"\n  groups: all\n  reason: "moved: ticket 4711"\n'
            "  expires: 2027-02-28\n"
        )
        assert mirror_text(read(GOOD), node("node3"), [b"/etc/ntp.conf"]) == ""
        assert mirror_text(NO_WAIVERS, node("node1"), [b"/etc/ntp.conf"]) == ""

    @given(
        st.lists(st.tuples(st.sampled_from(["/a", "/d/*", "/**", "/?"]), st.integers(-2, 2), st.sampled_from(NODES))),
        st.lists(st.binary(min_size=1).filter(lambda name: not {0, 10, 47} & {*name}), max_size=4),
        st.text(min_size=1).filter(lambda text: "".join(text.split()) != ""),
    )
    def test_the_node_decides_as_the_controller_does(
        self, rules: list[tuple[str, int, str]], names: list[bytes], reason: str
    ) -> None:
        items = [
            {"path": path, "nodes": name, "reason": reason, "expires": str(TODAY + timedelta(days))}
            for path, days, name in rules
        ]
        paths = [b"/a", b"/d/b", *(b"/" + name for name in names if name not in (b".", b".."))]
        ours = InForce(parse(yaml.safe_dump(items), PATH, NODES, GROUPS), TODAY)
        managed = node("node1", "batch")
        theirs = InForce(parse(mirror_text(ours.waivers, managed, paths), PATH, (), ()), TODAY)
        for path in paths:
            expected, actual = (each.applied(managed, path, DRIFT) for each in (ours, theirs))
            assert actual.status is expected.status
            assert actual.waiver.rpartition(", ")[0] == expected.waiver.rpartition(", ")[0]


def test_ok_is_left_as_it_is() -> None:
    assert in_force(GOOD).applied(node("node1"), b"/etc/ntp.conf", OK) is OK


def test_a_mirror_has_the_waivers_for_exclusive_directories() -> None:
    """Names that may be in its exclusive directories are waived by the same patterns on the node; no others come."""
    top = Entry(entry(b"/d", state(Kind.DIRECTORY)).source, attributes=Attributes(exclusive="yes"))
    text = "- {path: [/d/rogue, '/d/x*', /e/other, '/e/*'], groups: all, reason: r, expires: 2999-12-31}"
    mirrored = mirror_text(parse(text, PATH, (), ()), node("node1"), [b"/d"], exclusive_contents([top]))
    assert [each.paths for each in parse(mirrored, PATH, (), ()).waivers] == [("/d/rogue", "/d/x*")]

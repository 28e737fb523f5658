"""attributes.yaml: the attributes that rules decide, and the names that match."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import jsonschema
import pytest
import pytest_synctool
import yaml
from pytest_synctool.common.accounts import group_id, group_name, owner_name, user_id
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import Kind
from pytest_synctool.repository.attributes import NO_RULES, AttributeRules, Attributes, Rule, load, parse
from pytest_synctool.repository.attributes import rules as rules_module
from pytest_synctool.repository.candidates import split_extension
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.helpers import NOBODY, state

PATH = Path("/master/attributes.yaml")
KNOWN = ("n1", "n2", "g", "h", "z", "batch")
CASES = Path(__file__).parent / "cases" / "attributes.yaml"
SCHEMA = Path(pytest_synctool.__file__).parent / "schema" / "attributes.json"
DESCRIBED = json.loads(SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(DESCRIBED)

GOOD = """\
# a comment
- path: /**
  owner: root
  group: "0"
- path: [/etc/sudoers, "/etc/sudoers.d/*"]
  groups: [batch, n1]
  mode: "0440"
  validate: visudo -cf %s
  sensitive: yes
- source: overlay/etc/fstab._n2
  groups: all
  mode: 0600
"""


class Case(TypedDict):
    """One case of cases/attributes.yaml."""

    name: str
    rules: str
    decided: list[tuple[str, str, str | None]]


def load_cases() -> list[Case]:
    """Return the cases of the table."""
    cases: list[Case] = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return cases


def source(name: str) -> Source:
    """Return a source by its name below overlay/: `d/` is a directory, `l._all@` a symbolic link, others are files."""
    kind = {"/": Kind.DIRECTORY, "@": Kind.LINK}.get(name[-1], Kind.FILE)
    relative = b"overlay/" + name.rstrip("/@").encode()
    destination = b"/" + b"/".join(split_extension(part)[0] for part in relative.split(b"/")[1:])
    return Source(Tree.OVERLAY, b"/master", relative, destination, state(kind))


def read(text: str) -> AttributeRules:
    """Return the rules of a text that the schema accepts too."""
    rules = parse(text, PATH, KNOWN)
    VALIDATOR.validate(yaml.safe_load(text))
    return rules


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: str(case["name"]))
def test_rules_decide_as_in_the_table(case: Case) -> None:
    rules = read(case["rules"])
    for name, groups, expected in case["decided"]:
        attributes = rules.decide(source(name), groups.split())
        origins = None if attributes is None else ", ".join(attributes.origins).replace(" by attributes.yaml:", ":")
        assert origins == expected, (name, groups)


def test_each_attribute_has_an_origin() -> None:
    rules = read('- {path: /f, owner: o, group: g, mode: "4750", validate: check %s, sensitive: on}')
    assert rules.decide(source("f._all"), ["n1", "all"]) == Attributes(
        owner="o",
        group="g",
        mode=0o4750,
        validate="check %s",
        sensitive=True,
        origins=(
            "owner o by attributes.yaml:1",
            "group g by attributes.yaml:1",
            "mode 4750 by attributes.yaml:1",
            "validate check %s by attributes.yaml:1",
            "sensitive yes by attributes.yaml:1",
        ),
    )


def test_a_decision_does_not_depend_on_earlier_ones() -> None:
    rules = read("- {path: /f, groups: n1, owner: a}\n- {path: /f, groups: n2, owner: b}")
    for node, owner in [("n1", "a"), ("n2", "b"), ("n1", "a")]:
        attributes = rules.decide(source("f._all"), (node, "all"))
        assert attributes is not None
        assert attributes.owner == owner
    assert rules.decide(source("f._all"), ("n3", "all")) is None


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("/**", "etc/ etc/x etc/d/x", ""),
        ("/*", "etc/ x", "etc/x"),
        ("/etc/**", "etc/ etc/x etc/d/x", "etc2 srv/etc/"),
        ("/etc/*", "etc/x etc/.x", "etc/ etc/d/x"),
        ("/**/x", "x etc/x etc/d/x", "etc/xx etc/x/y"),
        ("/etc/**/x", "etc/x etc/a/x etc/a/b/x", "x etc/ax srv/x"),
        ("/**/d/**", "d/ d/x a/d/ a/b/d/x/y", "da/x a/xd"),
        ("/**/**/x", "x a/x a/b/x", "y"),
        ("/a/**/b/**/c", "a/b/c a/1/b/c a/b/1/c a/1/2/b/3/c a/b/b/c/c", "a/c a/b ac"),
        ("/a**", "a ab", "a/b"),
        ("/a**c", "ac abc", "a/c ab"),
        ("/a*b*c", "abc a1b2c abbcc aXbc.c", "ab ac abcd a/bc"),
        ("/*a*a*b", "aab 1a2a3b aaaab", "ab aa aaba"),
        ("/a?c", "abc a.c", "ac abbc a/c"),
        ("/[ab]c", "ac bc", "cc c abc"),
        ("/[a-c]", "a b c", "d -"),
        ("/[!a-c]", "d - !", "a b c"),
        ("/[ab!]", "a b !", "c"),
        ("/[^a]", "^ a", "b"),
        ("/[-a]", "- a", "b"),
        ("/[a-]", "- a", "b"),
        ("/[]a]", "] a", "b"),
        ("/[!]a]", "b", "] a"),
        ("/a[ -~]b", "a.b a-b a~b", "a/b ab"),
        ("/a[!x]b", "a.b", "a/b axb"),
        ("/f[*]", "f*", "fx f"),
        ("/f[?]", "f?", "fx"),
        ("/f[[]1]", "f[1]", "f1 f["),
        ("/f[&&~|]", "f& f~ f|", "f"),
        ("/a.b*", "a.b a.bc", "aXb"),
        ("/A*", "A Ab", "a"),
        ("/a+(b)*", "a+(b) a+(b)c", "aab"),
        ("/gr[ü]ße*", "grüße", "grusse"),
        ("/a", "a", "A ab a/b"),
    ],
)
def test_patterns(pattern: str, matches: str, others: str) -> None:
    """A pattern matches the same names as a path and as a source."""
    by_path = read(yaml.safe_dump([{"path": pattern, "owner": "root"}], allow_unicode=True))
    by_source = read(yaml.safe_dump([{"source": "overlay" + pattern, "owner": "root"}], allow_unicode=True))
    for names, expected in ((matches, True), (others, False)):
        for name in names.split():
            assert bool(by_path.matching(source(name))) is expected, name
            assert bool(by_source.matching(source(name))) is expected, name


@pytest.mark.parametrize("tree", [Tree.DELETE, Tree.TASKS])
def test_rules_are_for_overlay(tree: Tree) -> None:
    rules = read("- {path: /**, owner: root}\n- {path: /f, owner: root}")
    other = Source(tree, b"/master", tree.value.encode() + b"/f._all", b"/f", state())
    assert rules.matching(other) == ()
    assert rules.decide(other, ("n1", "all")) is None
    assert len(rules.matching(source("f._all"))) == 2


def test_a_source_is_matched_with_its_extensions() -> None:
    rules = read("- {source: overlay/d._g/*._n1, owner: root}")
    assert rules.matching(source("d._g/f._n1"))
    assert not rules.matching(source("d._g/f._n2"))
    assert not rules.matching(source("d/f._n1"))


def test_names_that_are_not_utf_8_are_matched_by_patterns() -> None:
    odd = Source(Tree.OVERLAY, b"/master", b"overlay/\xff._all", b"/\xff", state())
    assert read("- {path: '/?', owner: root}").matching(odd)
    assert read("- {path: '/[!a]', owner: root}").matching(odd)


@pytest.mark.parametrize("stars", ["*a" * 30 + "*b", "*a/" * 5 + "**/" + "*a" * 20 + "?b"])
def test_no_pattern_takes_long(stars: str) -> None:
    rules = read(f"- {{path: '/{stars}', owner: root}}")
    start = time.perf_counter()
    assert not rules.matching(source("a" * 250))
    assert not rules.matching(source("a/" * 5 + "a" * 250))
    assert time.perf_counter() - start < 0.5


def test_matching_has_rules_for_any_groups_in_the_order_of_the_file() -> None:
    rules = read(
        "- {path: /*, groups: none, owner: a}\n- {path: /f, owner: b}\n- {path: /g, owner: c}\n"
        "- {source: [overlay/f._all, overlay/f*], owner: d}\n"
    )
    assert [rule.line for rule in rules.matching(source("f._all"))] == [1, 2, 4]
    assert [rule.line for rule in rules.matching(source("h._all"))] == [1]
    assert rules.matching(source("d/x._all")) == ()


def test_the_rules_as_read() -> None:
    rules = read(GOOD)
    assert rules.path == PATH
    assert rules.groups == {"batch", "n1", "all"}
    assert rules.rules == (
        Rule(2, ("/**",), owner="root", group="0"),
        Rule(
            5,
            ("/etc/sudoers", "/etc/sudoers.d/*"),
            ("batch", "n1"),
            mode=0o440,
            validate="visudo -cf %s",
            sensitive=True,
        ),
        Rule(10, ("overlay/etc/fstab._n2",), ("all",), mode=0o600),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "---\n", "null"])
def test_a_file_without_rules(text: str) -> None:
    assert read(text).rules == ()


def test_no_rules() -> None:
    assert NO_RULES.groups == frozenset()
    assert NO_RULES.decide(source("f._all"), ("n1", "all")) is None
    assert NO_RULES.matching(source("f._all")) == ()


@pytest.mark.parametrize("word", ["yes", "true", "ON", "1", "Yes"])
def test_sensitive_yes(word: str) -> None:
    assert read(f"- {{path: /f, sensitive: {word}}}").rules[0].sensitive is True


@pytest.mark.parametrize("word", ["no", "False", "off", "0", "nO"])
def test_sensitive_no(word: str) -> None:
    assert read(f"- {{path: /f, sensitive: {word}}}").rules[0].sensitive is False


@pytest.mark.parametrize("group", ["all", "none"])
def test_the_groups_that_are_always_known(group: str) -> None:
    assert parse(f"- {{path: /f, owner: a, groups: {group}}}", PATH, ()).groups == {group}


def test_the_schema_is_one_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(DESCRIBED)
    rule = DESCRIBED["$defs"]["rule"]
    assert set(rule["properties"]) == {"path", "source", *Rule.__dataclass_fields__} - {"line", "names"}
    assert all(value["description"] for value in rule["properties"].values())
    assert rule["additionalProperties"] is False


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "attributes.yaml"
    assert load(path, KNOWN) == AttributeRules((), path)
    path.write_text("\ufeff- {path: /f, owner: root}\n", encoding="utf-8")
    assert load(path, KNOWN).rules == (Rule(1, ("/f",), owner="root"),)
    path.write_bytes(b"- path: /\xff")
    with pytest.raises(ConfigError) as caught:
        load(path, KNOWN)
    assert str(caught.value) == f"{path}:1: not a text file in UTF-8 (byte 9): convert it, or correct this line"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, KNOWN)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"
    with pytest.raises(ConfigError) as caught:
        load(path / "attributes.yaml", KNOWN)
    assert str(caught.value) == f"{path / 'attributes.yaml'}: cannot be read: Not a directory"


@pytest.mark.parametrize(
    ("word", "name", "number"),
    [
        ("root", "root", 0),
        ("0", None, 0),
        ("007", None, 7),
        ("nobody", "nobody", NOBODY),
        ("stranger", "stranger", -1),
    ],
)
def test_owners_and_groups_applied(word: str, name: str | None, number: int, accounts: None) -> None:
    before = state(uid=5, owner="x", gid=6, group="y")
    assert Attributes(owner=word).applied(before) == replace(before, owner=name, uid=number)
    assert Attributes(group=word).applied(before) == replace(before, group=name, gid=number)


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that this machine has the users and groups root and nobody, and no others."""
    names = {0: "root", NOBODY: "nobody"}
    numbers = {name: number for number, name in names.items()}
    functions: dict[str, Callable[..., object]] = {
        "user_id": numbers.get, "group_id": numbers.get
    }  # fmt: skip
    for name, function in functions.items():
        monkeypatch.setattr(rules_module, name, function)


def test_modes_applied() -> None:
    attributes = Attributes(mode=0o2750)
    assert attributes.applied(state()) == state(mode=0o2750)
    assert attributes.applied(state(Kind.DIRECTORY)) == state(Kind.DIRECTORY, mode=0o2750)
    assert attributes.applied(state(Kind.LINK)) == state(Kind.LINK)
    assert Attributes(mode=0).applied(state()) == state(mode=0)
    assert Attributes(validate="x %s", sensitive=True).applied(state()) == state()


def test_numbers_of_accounts_on_this_machine() -> None:
    assert (owner_name(0), user_id("root")) == ("root", 0)
    assert group_id(group_name(0) or "") == 0
    for odd in ("no such user", "", "a\0b", "\ud800"):
        assert user_id(odd) is None
        assert group_id(odd) is None


def test_a_thousand_sources_and_rules_are_matched_at_once() -> None:
    names = [f"etc/d{n % 37}/file{n}" for n in range(1000)]
    exact = [Rule(n, (f"/{name}",), ("g",), mode=0o600) for n, name in enumerate(names, 1)]
    patterns = [Rule(2000 + n, (f"/etc/**/file*{n}",), owner="root") for n in range(10)]
    rules = AttributeRules((*patterns, *exact), PATH)
    sources = [source(name + "._all") for name in names]
    start = time.perf_counter()
    decided = [rules.decide(each, ("n1", "g", "all")) for each in sources]
    seconds = time.perf_counter() - start
    assert all(each is not None and each.mode == 0o600 and each.owner == "root" for each in decided)
    assert seconds < 0.5  # about 15 ms on an idle machine

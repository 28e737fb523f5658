"""attributes.yaml: the attributes that rules decide, the names that match, and the problems of a file."""

from __future__ import annotations

import json
import random
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
from pytest_synctool.repository.masterdir import split_extension
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


def problems(text: str) -> list[str]:
    """Return the problems of a file without its path."""
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH, KNOWN)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{PATH}:") for line in lines)
    return [line.removeprefix(f"{PATH}:") for line in lines]


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


NO_ATTRIBUTE = "1: no attribute: expected at least one of owner, group, mode, validate, sensitive, follow"

# Texts with their problems. With True, the schema refuses the file too.
PROBLEMS = [
    ("path: /f\nowner: root", ["1: expected a list of rules like '- path: /etc/motd', not a table"], True),
    ("rules", ["1: expected a list of rules like '- path: /etc/motd', not 'rules'"], True),
    ("- /etc/motd", ["1: expected a rule like '- path: /etc/motd', not '/etc/motd'"], True),
    ("- [a]\n-\n", ["1: expected a rule like '- path: /etc/motd', not a list",
                    "2: expected a rule like '- path: /etc/motd', not nothing"], True),
    ("- {}", ["1: neither 'path' nor 'source': expected one of them",
              NO_ATTRIBUTE], True),
    ("- owner: root", ["1: neither 'path' nor 'source': expected one of them"], True),
    ("- path: /f", [NO_ATTRIBUTE], True),
    ("- {path: /f, groups: g}", [NO_ATTRIBUTE], True),
    ("- path: /f\n  source: overlay/f._all\n  owner: root",
     ["1: both 'path' and 'source': expected one of them"], True),
    ("- path: /f\n  onwer: root", ["2: unknown key 'onwer' (did you mean 'owner'?)"], True),
    ("- paths: /f\n  owner: root", ["1: unknown key 'paths' (did you mean 'path'?)"], True),
    ("- path: /f\n  owner: root\n  xyz: 1", [
        "3: unknown key 'xyz': expected one of path, source, groups, owner, group, mode, validate, sensitive, "
        "follow"], True),
    ("- path: /f\n  owner: root\n  path: /g", ["3: 'path' is set twice, first on line 1"], False),
    ("- path: /f\n  onwer: a\n  onwer: a", ["2: unknown key 'onwer' (did you mean 'owner'?)",
                                           "3: 'onwer' is set twice, first on line 2"], True),
    ("- path: /f\n  owner: root\n  groups: batsh", ["3: unknown group 'batsh' (did you mean 'batch'?)"], False),
    ("- path: /f\n  owner: root\n  groups:\n  - g\n  - 7777", [
        "5: unknown group '7777': expected a group or node of the configuration"], False),
    ("- {path: /f, owner: root, groups: []}",
     ["1: 'groups' expects a group or a list of them, not an empty list"], True),
    ("- {path: /f, owner: root, groups: }", ["1: 'groups' expects a group or a list of them, not nothing"], True),
    ("- {path: /f, owner: root, groups: [[g]]}", ["1: 'groups' expects a group or a list of them, not a list"], True),
    ("- {path: /f, owner: root, groups: {g: h}}",
     ["1: 'groups' expects a group or a list of them, not a table"], True),
    ("- {path: [], owner: root}", ["1: 'path' expects a name or a list of them, not an empty list"], True),
    ("- {path: {a: b}, owner: root}", ["1: 'path' expects a name or a list of them, not a table"], True),
    ("- {path: '', owner: root}", ["1: 'path' expects a name or a list of them, not nothing"], True),
    ("- {path: [/f, [/g]], owner: root}", ["1: 'path' expects a name or a list of them, not a list"], True),
    ("- {path: f, owner: root}", ["1: 'f' is no 'path': expected a destination that starts with '/'"], True),
    ("- {path: '**/f', owner: root}", ["1: '**/f' is no 'path': expected a destination that starts with '/'"], True),
    ("- {path: /, owner: root}", ["1: '/' is no 'path': expected a name between the slashes, not nothing"], True),
    ("- {path: /f/, owner: root}", ["1: '/f/' is no 'path': expected a name between the slashes, not nothing"], True),
    ("- {path: //f, owner: root}", ["1: '//f' is no 'path': expected a name between the slashes, not nothing"], True),
    ("- {path: /a/../b, owner: root}",
     ["1: '/a/../b' is no 'path': expected a name between the slashes, not '..'"], True),
    ("- {path: /., owner: root}", ["1: '/.' is no 'path': expected a name between the slashes, not '.'"], True),
    ('- {path: "/a\\nb", owner: root}', ["1: '/a\\nb' is no 'path': no name holds a newline or NUL"], True),
    ("- {path: '/a[b', owner: root}", [
        "1: '/a[b' is no 'path': a '[' has no ']' (the character itself is written as [[])"], False),
    ("- {path: '/a[]', owner: root}", [
        "1: '/a[]' is no 'path': a '[' has no ']' (the character itself is written as [[])"], False),
    ("- {path: '/a[b/c]', owner: root}", [
        "1: '/a[b/c]' is no 'path': a '[' has no ']' (the character itself is written as [[])"], False),
    ("- {path: '/[z-a]', owner: root}", ["1: '/[z-a]' is no 'path': the range 'z-a' is empty"], False),
    ("- {source: /f, owner: root}", [
        "1: '/f' is no 'source': expected a source below the masterdir, like overlay/etc/fstab._all"], True),
    ("- {source: delete/f._all, owner: root}", [
        "1: 'delete/f._all' is no 'source': expected a source below the masterdir, like overlay/etc/fstab._all"], True),
    ("- {source: overlay/, owner: root}", [
        "1: 'overlay/' is no 'source': expected a name between the slashes, not nothing"], True),
    ("- {source: overlay/../f, owner: root}", [
        "1: 'overlay/../f' is no 'source': expected a name between the slashes, not '..'"], True),
    ("- {path: /f, owner: [root]}", ["1: 'owner' expects a name or a number, not a list"], True),
    ("- {path: /f, group: }", ["1: 'group' expects a name or a number, not nothing"], True),
    ("- {path: /f, owner: 'root:root'}", [
        "1: 'owner' expects a name without ':' or a number up to 4294967294, not 'root:root'"], True),
    ("- {path: /f, group: -1}", ["1: 'group' expects a name without ':' or a number up to 4294967294, not '-1'"], True),
    ("- {path: /f, owner: 4294967295}", [
        "1: 'owner' expects a name without ':' or a number up to 4294967294, not '4294967295'"], True),
    ("- {path: /f, mode: 0o644}",
     ["1: 'mode' expects an octal number up to 7777 without '0o', like \"0644\", not '0o644'"], True),
    ("- {path: /f, mode: '0888'}", ["1: 'mode' expects an octal number up to 7777, like \"0644\", not '0888'"], True),
    ("- {path: /f, mode: 644.0}", ["1: 'mode' expects an octal number up to 7777, like \"0644\", not '644.0'"], False),
    ("- {path: /f, mode: 10000}", ["1: 'mode' expects an octal number up to 7777, like \"0644\", not '10000'"], True),
    ("- {path: /f, mode: u=rw}", ["1: 'mode' expects an octal number up to 7777, like \"0644\", not 'u=rw'"], True),
    ("- {path: /f, mode: [0644]}", ["1: 'mode' expects an octal number like \"0644\", not a list"], True),
    ("- {path: /f, validate: visudo -c}", [
        "1: 'validate' expects a command with one %s for the file, not 'visudo -c'"], True),
    ("- {path: /f, validate: cmp %s %s}", [
        "1: 'validate' expects a command with one %s for the file, not 'cmp %s %s'"], True),
    ("- {path: /f, validate: [visudo]}", ["1: 'validate' expects a command like 'visudo -cf %s', not a list"], True),
    ("- path: /f\n  validate: |\n    a %s\n    b\n", [
        "2: 'validate' expects one line without control characters, not 'a %s\\nb\\n'"], False),
    ("- {path: /f, follow: maybe}", ["1: 'follow' expects yes or no, not 'maybe'"], True),
    ("- {path: /f, sensitive: maybe}", ["1: 'sensitive' expects yes or no, not 'maybe'"], True),
    ("- {path: /f, sensitive: }", ["1: 'sensitive' expects yes or no, not nothing"], True),
    ("- {path: /f, sensitive: {}}", ["1: 'sensitive' expects yes or no, not a table"], True),
    ("- path: f\n  mode: 9\n- path: /g\n  groups: nn1\n  onwer: root\n- 7", [
        "1: 'f' is no 'path': expected a destination that starts with '/'",
        "2: 'mode' expects an octal number up to 7777, like \"0644\", not '9'",
        "4: unknown group 'nn1' (did you mean 'n1'?)",
        "5: unknown key 'onwer' (did you mean 'owner'?)",
        "6: expected a rule like '- path: /etc/motd', not '7'"], True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "schema_too"), PROBLEMS)
def test_problems(text: str, expected: list[str], schema_too: bool) -> None:
    assert problems(text) == expected
    assert not schema_too or not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "line"), [("- path: ]", 1), ("- a\n\t- b", 2), ("- *a", 1), ("[]\n---\n[]", 2), ("- path: !x y", 1)]
)
def test_invalid_yaml_is_one_problem_with_a_line(text: str, line: int) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"{line}: ")


@pytest.mark.parametrize("group", ["all", "none"])
def test_the_groups_that_are_always_known(group: str) -> None:
    assert parse(f"- {{path: /f, owner: a, groups: {group}}}", PATH, ()).groups == {group}


def test_the_schema_is_one_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(DESCRIBED)
    rule = DESCRIBED["$defs"]["rule"]
    assert set(rule["properties"]) == {"path", "source", *Rule.__dataclass_fields__} - {"line", "names"}
    assert all(value["description"] for value in rule["properties"].values())
    assert rule["additionalProperties"] is False


def test_bad_files_are_refused_and_never_crash() -> None:
    """This holds for 2,000 mutations of a good file."""
    rng = random.Random(20)
    snippets = [
        *"[]{}*?!%&:-,#'\"|>/\\ \n\t~@`",
        "\x00",
        "\x7f",
        "ß",
        "\U0001f600",
        "..",
        "- ",
        "**",
        "%s",
        "null",
        "[[]",
    ]
    outcomes: set[str] = set()
    strangers: list[str] = []
    for _ in range(2000):
        text = GOOD
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(text))
            end = start + rng.choice([0, 0, 1, 1, 2, 10])
            text = text[:start] + rng.choice([rng.choice(snippets), text[end : end + 9], ""]) + text[end:]
        try:
            rules = parse(text, PATH, KNOWN)
        except ConfigError as error:
            outcomes.add("refused")
            strangers += [line for line in str(error).split("\n") if not line.startswith(f"{PATH}:")]
        else:
            outcomes.add("read")
            rules.decide(source("etc/sudoers._all"), ("n1", "all"))
    assert not strangers
    assert outcomes == {"read", "refused"}


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "attributes.yaml"
    assert load(path, KNOWN) == AttributeRules((), path)
    path.write_text("\ufeff- {path: /f, owner: root}\n", encoding="utf-8")
    assert load(path, KNOWN).rules == (Rule(1, ("/f",), owner="root"),)
    path.write_bytes(b"- path: /\xff")
    with pytest.raises(ConfigError) as caught:
        load(path, KNOWN)
    assert str(caught.value) == f"{path}: not a text file in UTF-8 (byte 9)"
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
        ("0", "root", 0),
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
        "owner_name": names.get, "group_name": names.get, "user_id": numbers.get, "group_id": numbers.get
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

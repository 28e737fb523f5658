"""Problems of attributes.yaml: the messages, the schema, and random mutations of a good file."""

from __future__ import annotations

import random

import pytest
import yaml
from pytest_synctool.errors import ConfigError
from pytest_synctool.repository.attributes import parse

from tests_meta.unit.repository.test_attributes import GOOD, KNOWN, PATH, VALIDATOR, source


def problems(text: str) -> list[str]:
    """Return the problems of a file without its path."""
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH, KNOWN)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{PATH}:") for line in lines)
    return [line.removeprefix(f"{PATH}:") for line in lines]


NO_ATTRIBUTE = (
    "1: no attribute: expected at least one of owner, group, mode, validate, sensitive, follow, template, decrypt, "
    "in_place, capabilities, acl, selinux, exclusive, allow, although_vital"
)

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
        "follow, template, decrypt, in_place, capabilities, acl, selinux, exclusive, allow, although_vital"], True),
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
    ("- {path: /f, capabilities: cap_net_raw}", [
        "1: 'capabilities' expects text like cap_net_bind_service=ep, or none, not 'cap_net_raw'"], True),
    ("- {path: /f, capabilities: cap_net_rw=ep}", [
        "1: 'capabilities' expects text like cap_net_bind_service=ep, or none, not 'cap_net_rw=ep'"], False),
    ("- {path: /f, capabilities: cap_kill=p cap_net_raw=ep}", [
        "1: 'capabilities' expects 'e' for all or none of them, not 'cap_kill=p cap_net_raw=ep'"], False),
    ("- {path: /f, selinux: enforcing}", ["1: 'selinux' expects restore, not 'enforcing'"], True),
    ("- {path: /f, acl: 'user::rw'}", [
        "1: 'acl' expects entries like user:anna:rw,default:group:adm:r, or none, not 'user::rw'"], True),
    ("- {path: /f, acl: 'u:a:r,user:a:w'}", [
        "1: 'acl' expects entries like user:anna:rw,default:group:adm:r, or none, not 'u:a:r,user:a:w'"], False),
    ("- {path: /f, in_place: perhaps}", ["1: 'in_place' expects yes or no, not 'perhaps'"], True),
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
    ("- {path: /f, template: maybe}", ["1: 'template' expects yes or no, not 'maybe'"], True),
    ("- {path: /f, decrypt: gpg}", ["1: 'decrypt' expects a command with one %s for the file, not 'gpg'"], True),
    ("- {path: /f, decrypt: '%s'}", ["1: 'decrypt' expects a command with one %s for the file, not '%s'"], True),
    ("- {path: /f, decrypt: 'a %s %s'}", [
        "1: 'decrypt' expects a command with one %s for the file, not 'a %s %s'"], True),
    ("- {path: /f, decrypt: \"gpg '%s\"}", ["1: 'decrypt' is not a command line: No closing quotation"], False),
    ("- {path: /f, decrypt: ['gpg %s']}", ["1: 'decrypt' expects a command like 'gpg --decrypt %s', not a list"], True),
    ("- {path: /f, decrypt: }", ["1: 'decrypt' expects a command like 'gpg --decrypt %s', not nothing"], True),
    ("- {path: /d, exclusive: maybe}", ["1: 'exclusive' expects yes, tree or no, not 'maybe'"], True),
    ("- {path: /d, allow: []}", ["1: 'allow' expects a name or a list of them, not an empty list"], True),
    ("- {path: /d, allow: [a, /b, '../c', '[x']}", [
        "1: '/b' is no 'allow': expected a name or pattern below the directory, like *.local, without a slash in front",
        "1: '../c' is no 'allow': expected a name between the slashes, not '..'",
        "1: '[x' is no 'allow': a '[' has no ']' (the character itself is written as [[])"], False),
    ("- {path: [/d, /e*], although_vital: yes}", [
        "1: 'although_vital' expects a rule that names the directory, without a pattern"], False),
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

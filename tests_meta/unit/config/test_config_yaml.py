"""The two spellings of a configuration. They mean the same, and any file is a configuration or gets clear errors."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import Config, Place, as_yaml, later_keywords, parse
from pytest_synctool.config.statements import SHAPES, YAML_KEYS, Statement, read, to_yaml
from pytest_synctool.errors import ConfigError

from tests_meta.unit.config.test_config_files import assert_is_consistent

CONF = """
masterdir master
node node1 batch rack1
node n[001-003] wn ipaddress:192.168.1.[20] rsync:no
node node2 batch interface:node2-mgmt hostname:two
node plain
node web connection:docker://web1
group wn batch worker
ignore_node node2
ignore_group rack1
ignore .svn *.swp
ignore_dotfiles yes
ignore_dotdirs no
require_extension no
default_nodeset batch n[001-002]
num_proc 7
ssh_cmd ssh -p 22 -o 'User name'
scp_cmd scp -q
rsync_cmd /opt/rsync -z
diff_cmd diff -c
synctool_cmd /opt/synctool.py
logfile /var/log/synctool.log
symlink_mode 0755
layout 7
backup_copies no
syslogging no
colorize no
ssh_control_persist 1h30m
on_update /etc/xinetd.d /etc/init.d/xinetd  reload
on_update /etc/inetd.conf hupdaemon.sh inetd
always_run /bin/rm -f '/tmp/a  b'
include_nodes conf print  '%s' 'node i1 inc'
include_nodes slurm sinfo
var ntp_server  ntp1.example.org iburst
var slots 16
var slots._batch 4
var umask._node1 022
"""
YAML = """
masterdir: master
nodes:
  node1: [batch, rack1]
  n[001-003]:
    groups: wn
    ipaddress: 192.168.1.[20]
    rsync: no
  node2: {groups: [batch], interface: node2-mgmt, hostname: two}
  plain:
  web:
    connection: docker://web1
groups:
  wn: [batch, worker]
ignore_nodes: [node2]
ignore_groups: rack1
ignore: [.svn, "*.swp"]
ignore_dotfiles: true
ignore_dotdirs: No
require_extension: off
default_nodeset: ["batch", "n[001-002]"]
num_proc: 7
ssh_cmd: ssh -p 22 -o 'User name'
scp_cmd: scp -q
rsync_cmd: /opt/rsync -z
diff_cmd: diff -c
synctool_cmd: /opt/synctool.py
logfile: /var/log/synctool.log
symlink_mode: 0755
layout: 7
backup_copies: no
syslogging: off
colorize: false
ssh_control_persist: 1h30m
on_update:
  - path: /etc/xinetd.d
    command: /etc/init.d/xinetd  reload
  - {path: /etc/inetd.conf, command: hupdaemon.sh inetd}
always_run: /bin/rm -f '/tmp/a  b'
include_nodes:
  - conf print  '%s' 'node i1 inc'
  - slurm sinfo
vars:
  ntp_server: ntp1.example.org iburst
  slots: 16
  slots._batch: 4
  umask._node1: "022"
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an empty masterdir."""
    directory = tmp_path_factory.mktemp("spellings")
    (directory / "master").mkdir()
    return directory


@pytest.fixture(scope="session")
def schema() -> Any:
    """A validator with the schema of synctool.yaml."""
    text = resources.files("pytest_synctool").joinpath("schema", "synctool.json").read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    return jsonschema.Draft202012Validator(json.loads(text))


def same(one: Config, other: Config) -> bool:
    """Return True if two configurations differ only in the file that they come from."""
    return replace(one, path=other.path) == other


def print_nodes(text: str, _words: tuple[str, ...], _directory: Path) -> bytes:
    """Return what the commands of the two configurations print."""
    return {"conf print  '%s' 'node i1 inc'": b"node i1 inc", "slurm sinfo": b"i[1-2] inc"}[text]


def print_damaged(_text: str, _words: tuple[str, ...], _directory: Path) -> bytes:
    """Return what commands print whose lines are damaged; they are not run."""
    return b"node i1 inc"


def problems(text: str, path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, path)
    return [line.removeprefix(f"{path}:").strip() for line in str(caught.value).split("\n")]


def test_every_keyword_in_both_spellings(place: Path, schema: Any) -> None:
    classic, modern = (
        parse(CONF, place / "synctool.conf", print_nodes=print_nodes),
        parse(YAML, place / "synctool.yaml", print_nodes=print_nodes),
    )
    assert same(classic, modern)
    assert classic.on_update[0].command == "/etc/init.d/xinetd  reload"
    assert classic.always_run == ("/bin/rm -f '/tmp/a  b'",)
    assert (classic.symlink_mode, classic.logfile) == (0o755, "/var/log/synctool.log")
    keywords = {statement.split()[0] for statement in CONF.split("\n") if statement}
    assert keywords == set(SHAPES) - {"include", *later_keywords.WITHOUT_EFFECT, *later_keywords.DIRECTORIES}
    schema.validate(yaml.safe_load(YAML))


def test_every_later_keyword_in_both_spellings(place: Path, schema: Any) -> None:
    directories = {keyword: f"$masterdir/{tree}" for keyword, tree in later_keywords.DIRECTORIES.items()}
    for tree in later_keywords.DIRECTORIES.values():
        (place / "master" / tree).mkdir(exist_ok=True)
    rows = {"masterdir": "master", **directories, **dict.fromkeys(later_keywords.WITHOUT_EFFECT, "blue")}
    classic = parse("\n".join(f"{k} {v}" for k, v in rows.items()) + "\nnode n hostid:/x", place / "later.conf")
    modern = {**rows, "nodes": {"n": {"hostid": "/x"}}}
    schema.validate(modern)
    assert same(classic, parse(yaml.safe_dump(modern), place / "later.yaml"))
    assert list(classic.without_effect) == [*later_keywords.WITHOUT_EFFECT]
    assert classic.nodes["n"].hostid == "/x"
    assert as_yaml_is_same(classic, place / "later.conf", rows)


def as_yaml_is_same(classic: Config, path: Path, rows: dict[str, str]) -> bool:
    """Return True if the conversion of a file with these rows means the same."""
    path.write_text("\n".join(f"{k} {v}" for k, v in rows.items()) + "\nnode n hostid:/x\n")
    return same(classic, parse(as_yaml(path), path.with_suffix(".yaml")))


def test_conversion(place: Path, schema: Any) -> None:
    conf = place / "convert.conf"
    conf.write_text(CONF)
    converted = as_yaml(conf, print_nodes=print_nodes)
    assert same(
        parse(CONF, conf, print_nodes=print_nodes), parse(converted, place / "synctool.yaml", print_nodes=print_nodes)
    )
    schema.validate(yaml.safe_load(converted))
    with pytest.raises(ConfigError, match="is YAML already"):
        as_yaml(place / "synctool.yaml")


_words = st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True)
_odd_words = st.text(
    st.characters(exclude_characters="\0\n#\\", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))
).filter(lambda word: word.split() == [word])
_texts = st.lists(_odd_words, min_size=1, max_size=3).map("  ".join)
_specifiers = st.fixed_dictionaries(
    {},
    optional={
        "interface": _words,
        "ipaddress": st.sampled_from(["10.0.0.1", "2001:db8::1"]),
        "connection": st.just("docker://web1"),
        "rsync": st.sampled_from(["yes", "no", "On", "0"]),
    },
)


@st.composite
def statements(draw: st.DrawFn) -> list[str]:
    """Draw the lines of a valid synctool.conf, in any order."""
    lines = ["masterdir master"]
    nodes = draw(st.lists(_words.map(lambda word: f"n{word}"), min_size=1, max_size=5, unique=True))
    groups = st.lists(_words.map(lambda word: f"g{word}"), max_size=4)
    for name in nodes:
        specifiers = [f"{key}:{value}" for key, value in draw(_specifiers).items()]
        lines.append(" ".join((draw(st.sampled_from(["node", "host"])), name, *draw(groups), *specifiers)))
    compounds = draw(st.lists(_words.map(lambda word: f"x{word}"), max_size=3, unique=True))
    lines += [f"group {name} {' '.join(draw(groups.filter(len)))}" for name in compounds]
    lists = draw(st.lists(st.sampled_from(["ignore", "ignore_file", "always_run"]), max_size=3))
    lines += [f"{keyword} {draw(_texts)}" for keyword in lists]
    commands = draw(st.lists(st.sampled_from(["ssh_cmd", "diff_cmd", "synctool_cmd"]), max_size=3, unique=True))
    lines += [f"{keyword} {draw(_texts.filter(lambda text: not set(text) & QUOTES))}" for keyword in commands]
    lines += [f"on_update /{path} {draw(_texts)}" for path in draw(st.lists(_words, max_size=2))]
    if draw(st.booleans()):
        lines.append(f"ignore_node {nodes[0]}")
    if draw(st.booleans()):
        lines.append(f"default_nodeset {draw(st.sampled_from([*nodes, 'none']))}")
    truths = st.sampled_from(["yes", "no", "TRUE", "0"])
    lines += [f"{keyword} {draw(truths)}" for keyword in ("ignore_dotfiles", "require_extension")]
    return draw(st.permutations(lines))


@given(lines=statements())
def test_both_spellings_mean_the_same(lines: list[str], place: Path, schema: Any) -> None:
    text = "\n".join(lines)
    path = place / "synctool.conf"
    classic = parse(text, path)
    converted = to_yaml(read(text, path, _no_problem))
    modern = parse(converted, place / "synctool.yaml")
    assert same(classic, modern)
    schema.validate(yaml.safe_load(converted))


@given(words=st.lists(_odd_words, min_size=1, max_size=4))
def test_words_survive_the_conversion(words: list[str], place: Path) -> None:
    """This includes words that YAML would read as a number, a truth, a date or null."""
    path = place / "synctool.yaml"
    where = next(read("ignore x", place / "synctool.conf", lambda place, message, *, hides_names=False: None)).place
    for keyword in ("ignore", "masterdir"):
        arguments = tuple(words) if keyword == "ignore" else (" ".join(words),)
        text = to_yaml([Statement(where, keyword, arguments)])
        (statement,) = read(text, path, _no_problem)
        assert (statement.keyword, statement.arguments) == (keyword, arguments)


def _no_problem(place: Place, message: str, *, hides_names: bool = False) -> None:
    pytest.fail(message)


QUOTES = {"'", '"'}
HEAD = "masterdir: master\nnodes: {node1: [batch]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nod: x", "3: unknown keyword 'nod' in the file (did you mean 'nodes'?)"),
        ("node: x", "3: unknown keyword 'node' in the file (did you mean 'nodes'?)"),
        ("num_proc: 1\nnum_proc: 2", "4: 'num_proc' appears twice, first on line 3: remove one"),
        ("num_proc: many", "3: 'num_proc' expects a number from 1, not 'many'"),
        ("num_proc: [1, 2]", "3: 'num_proc': expected a text on one line, not a list"),
        ("num_proc:", "3: 'num_proc' needs a value: add it, or remove this key"),
        ("num_proc: []", "3: 'num_proc': expected a text on one line, not a list"),
        ("ignore: []", "3: 'ignore' needs a value: add it, or remove this key"),
        ("ignore:\n  - a\n  -", "4: 'ignore' needs a value: add it, or remove this key"),
        ("ignore:\n  - a\n  - [b]", "5: 'ignore': expected a text on one line, not a list"),
        ("ssh_cmd: |\n  a\n  b", "3: 'ssh_cmd': expected a text on one line, not several lines"),
        ("groups: [a]", "3: 'groups': expected a table, not a list"),
        ("groups: {g: }", "3: 'groups' needs a value: add it, or remove this key"),
        ("groups: {g: []}", "3: group 'g' has no members: add some, like 'group g batch'"),
        ("groups: {batch: {a: b}}", "3: group 'batch': expected a text on one line, not a table"),
        ("ignore_nodes: all", "3: 'ignore_node all': nothing would be left: name the nodes"),
        ("on_update: x", "3: 'on_update': expected a list of tables with path and command, not a text"),
        ("on_update:\n- path: /x", "4: 'on_update' needs a path and a command"),
        ("on_update:\n- path: x\n  command: y", "4: 'on_update' expects an absolute path, not 'x'"),
        ("on_update:\n- {path: /x, comand: y}", "4: unknown keyword 'comand' in 'on_update' (did you mean 'command'?)"),
        ("on_update:\n- a", "4: 'on_update': expected a table, not a text"),
        ("<<: {num_proc: 2}", f"3: unknown keyword '<<' in the file: expected one of {', '.join(YAML_KEYS)}"),
        ("a: 1\n---\nb: 2", "4: a second document: expected one"),
        ("x: *nothing", "3: '*nothing' refers to no anchor, or to a value that contains it"),
        ("? [a]\n: b", "3: a key must be a plain word"),
        ("num_proc: !!python/name:x 1", "3: the tag 'tag:yaml.org,2002:python/name:x' is not supported"),
        ("ignore: " + "[" * 60 + "]" * 60, "3: lists and tables are nested more than 50 deep"),
    ],
)  # fmt: skip
def test_problems(place: Path, text: str, message: str) -> None:
    assert message in problems(HEAD + text, place / "synctool.yaml")


def test_a_file_that_is_not_yaml_has_one_problem(place: Path) -> None:
    """The missing statements are not reported too."""
    messages = problems("masterdir: master\nnodes: {node1: [a}\n", place / "synctool.yaml")
    assert len(messages) == 1
    assert messages[0].startswith("2: not YAML: ")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("{node1: [b@d]}", "2: 'b@d' is not a group name: expected letters, digits and . _ + -"),
        ("{node1: {groups: ['rsync:no']}}", "2: 'rsync:no' is not a group name: expected letters, digits and . _ + -"),
        ("{node1: {grups: [a]}}", "2: unknown keyword 'grups' in node 'node1' (did you mean 'groups'?)"),
        ("{node1: {rsync: perhaps}}", "2: 'rsync:' expects yes or no, not 'perhaps'"),
        ("{node1: {interface: }}", "2: 'interface:' needs a value that does not start with '-'"),
        ("{node1: a, node1: b}", "2: 'node1' appears twice, first on line 2: remove one"),
        ("[node1]", "2: 'nodes': expected a table, not a list"),
        ("{all: [a]}", "2: node 'all' is named like a built-in group: rename it"),
    ],
)  # fmt: skip
def test_problems_of_nodes(place: Path, nodes: str, message: str) -> None:
    assert message in problems(f"masterdir: master\nnodes: {nodes}\n", place / "synctool.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "nodes: {node1: {grups: [a]}}",
        "nodes: [node1]",
        "nodes: {node1: {rsync: perhaps}}",
        "nodes: {n/1: []}",
        "num_proc: many",
        "num_proc: 0",
        "groups: {g: {a: b}}",
        "on_update: [{path: /x}]",
        "on_update: [{path: x, command: y}]",
        "ignore: []",
        "unknown: 1",
        "symlink_mode: '0999'",
        "logfile: relative",
    ],
)
def test_the_schema_and_the_reader_refuse_the_same_files(place: Path, schema: Any, text: str) -> None:
    assert problems("masterdir: master\n" + text, place / "synctool.yaml")
    with pytest.raises(jsonschema.ValidationError):
        schema.validate({"masterdir": "master", **yaml.safe_load(text)})


def _damaged(text: str, dice: random.Random) -> str:
    """Change some places in a file, as people and disks do."""
    pieces = [
        "",
        "\n",
        " ",
        ":",
        "- ",
        "{",
        "[",
        "]",
        "#",
        "\\",
        "'",
        '"',
        "*a",
        "&a ",
        "!",
        "\t",
        "\0",
        "é",
        "\x85",
        "-",
    ]
    pieces += ["[1-9]", "[9-1]", "[1-99999999]", "group g g\n", "include x\n"]
    for _ in range(dice.randrange(1, 8)):
        at, end = sorted(dice.choices(range(len(text) + 1), k=2))
        end = min(end, at + dice.randrange(30))
        piece = dice.choice([text[at:end] * 2, *pieces])
        text = text[:at] + piece + text[end:]
    return text


@pytest.mark.parametrize(("name", "valid"), [("synctool.conf", CONF), ("synctool.yaml", YAML)])
def test_ten_thousand_damaged_files(place: Path, name: str, valid: str) -> None:
    """Every damaged file is a configuration, or it has problems with lines. Nothing else happens."""
    dice = random.Random(name)
    refused = 0
    messages: list[str] = []
    form = re.compile(re.escape(str(place / name)) + r":(\d+:)? \S")
    for _ in range(5000):
        try:
            cluster = parse(_damaged(valid, dice), place / name, print_nodes=print_damaged)
        except ConfigError as error:
            messages.extend(str(error).split("\n"))
            refused += 1
        else:
            assert_is_consistent(cluster)
    assert [line for line in messages if not form.match(line)] == []
    assert 1000 < refused < 5000

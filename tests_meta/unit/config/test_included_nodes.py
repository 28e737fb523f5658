"""Nodes and groups that commands print: formats, merging, errors, trust, and one run of each command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import Config, command_output, included_nodes, load, node_commands, parse
from pytest_synctool.config.included_nodes import OutputError, statements
from pytest_synctool.config.node_commands import Kept
from pytest_synctool.errors import ConfigError

from tests_meta.unit.helpers import IS_ROOT

FORMATS = ("ansible", "clustershell", "conf", "genders", "slurm")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The path of a configuration beside an empty masterdir."""
    (tmp_path / "master").mkdir()
    return tmp_path / "synctool.conf"


def included(conf: Path, form: str, output: str | bytes, *lines: str) -> Config:
    """Return the configuration whose last line includes an output."""
    content = output.encode() if isinstance(output, str) else output
    text = "\n".join(("masterdir master", *lines, f"include_nodes {form} tool".removesuffix("clustershell tool")))
    if form == "clustershell":
        text += form
        return parse(text, conf, print_nodes=Kept({form: content}))
    return parse(text, conf, print_nodes=Kept({f"{form} tool": content}))


def groups(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the groups of each node, without itself and `all`."""
    return {name: node.groups[1:-1] for name, node in config.nodes.items()}


INVENTORY = {
    "_meta": {
        "hostvars": {
            "n1": {"ansible_host": "10.0.0.1", "x": "{{ y }}"},
            "n2": {"ansible_host": "fe80::2", "ansible_port": 2222},
            "n3": {"ansible_port": "2200"},
        }
    },
    "all": {"children": ["ungrouped", "prod", "db", "web"]},
    "ungrouped": {"hosts": ["lone"]},
    "prod": {"children": ["web"]},
    "web": {"hosts": ["n1", "n2"]},
    "db": {"hosts": ["n2", "n3"]},
    "app": ["n1"],
}


@pytest.mark.parametrize(
    ("form", "output", "expected"),
    [
        ("conf", "# x\nnode n[1-2] a b\nnode m\ngroup a c\n", {"n1": "a c b", "n2": "a c b", "m": ""}),
        (
            "slurm",
            "n[1-2],m1 batch*\nn2 debug,(null)\n\nm2\n",
            {"n1": "batch", "n2": "batch debug", "m1": "batch", "m2": ""},
        ),
        (
            "genders",
            "n1,n[2-3] web,rack=3,url=http://x,all # c\nn4\n",
            dict.fromkeys(("n1", "n2", "n3"), "web rack-3 rack url") | {"n4": ""},
        ),
        (
            "clustershell",
            "@web n[1-2],m1-ib[1-2]\n@local:db n2\n@none2\n",
            {"n1": "web", "n2": "web db", "m1-ib1": "web", "m1-ib2": "web"},
        ),
        ("ansible", json.dumps(INVENTORY), {"lone": "", "n1": "web prod app", "n2": "web prod db", "n3": "db"}),
    ],
)
def test_formats(conf: Path, form: str, output: str, expected: dict[str, str]) -> None:
    assert groups(included(conf, form, output)) == {name: tuple(text.split()) for name, text in expected.items()}


def test_addresses_of_an_inventory(conf: Path) -> None:
    nodes = included(conf, "ansible", json.dumps(INVENTORY)).nodes
    assert [(nodes[name].address, nodes[name].connection) for name in ("n1", "n2", "n3", "lone")] == [
        ("10.0.0.1", None),
        ("fe80::2", "ssh://[fe80::2]:2222"),
        ("n3", "ssh://n3:2200"),
        ("lone", None),
    ]


def problem(conf: Path, form: str, output: str | bytes, *lines: str) -> str:
    """Return the only problem of an output, after the number of its line in the configuration."""
    with pytest.raises(ConfigError) as caught:
        included(conf, form, output, *lines)
    text = str(caught.value)
    assert "\n" not in text, text
    return text.removeprefix(f"{conf}:")


@pytest.mark.parametrize(
    ("form", "output", "expected"),
    [
        (
            "conf",
            "node n1\nnode x! a\nnode y! b",
            "'tool' line 2: 'x!' is not a node name: expected letters, digits and . _ + -",
        ),
        (
            "conf",
            "ssh_cmd evil",
            "'tool' line 1: 'ssh_cmd' cannot be included: expected one of node, group, ignore_node, ignore_group",
        ),
        ("conf", "Traceback of a tool", "'tool' line 1: unknown keyword 'Traceback': expected one of "),
        ("conf", "\n\n", "'tool': prints no node: expected at least one"),
        ("conf", "node n1 a\nnode n1 rsync:maybe", "'tool' line 2: 'rsync:' expects yes or no, not 'maybe'"),
        (
            "conf",
            "node n1 rsync:no\nnode n1 rsync:yes",
            "'tool' line 2: node 'n1' has rsync:yes here and rsync:no on line 2 ('tool' line 1): remove one",
        ),
        ("conf", b"node n1\nnode \xff", "'tool' line 2: is not text in UTF-8"),
        ("slurm", "n1 batch up", "'tool' line 1: has 3 words: expected nodes and partitions, like 'n[1-3] batch'"),
        ("slurm", "n[1-3 batch", "'tool' line 1: 'n[1-3' is not a list of nodes"),
        ("slurm", "n[3-1] batch", "'tool' line 1: 'n[3-1]': '3-1' goes backwards"),
        ("slurm", "n1,,n2 batch", "'tool' line 1: 'n1,,n2' is not a list of nodes"),
        ("slurm", "interface:x batch", "'tool' line 1: 'interface:x' is not a list of nodes"),
        (
            "slurm",
            "n1 connection:local://",
            "'tool' line 1: 'connection:local://' is not a group name: expected letters, digits and . _ + -",
        ),
        ("genders", "n1 a b!", "'tool' line 1: 'b!' is not a group name: expected letters, digits and . _ + -"),
        ("clustershell", "web: n1", "'clustershell' line 1: expected a group and its nodes, like '@batch n[1-3]'"),
        ("ansible", "[]", "'tool': is no inventory: expected a table of groups"),
        ("ansible", '{"a":\n', "'tool' line 2: is not JSON: Expecting value"),
        ("ansible", '{"a": {}, "a": {}}', "'tool': is not JSON: a key appears twice in a table"),
        ("ansible", "[" * 200_000, "'tool': is not JSON: "),
        ("ansible", '{"a": {"children": ["b"]}, "b": {"children": ["a"]}}', "'tool': a group contains itself: "),
        ("ansible", '{"a": {"hosts": "n1"}}', "'tool': the hosts of group 'a' are no list of names"),
        (
            "ansible",
            '{"a": {"hosts": ["n:1"]}}',
            "'tool': 'n:1' is not a node name: expected letters, digits and . _ + -",
        ),
        (
            "ansible",
            '{"a b": {"hosts": ["n1"]}}',
            "'tool': 'a b' is not a group name: expected letters, digits and . _ + -",
        ),
        (
            "ansible",
            '{"a": {"hosts": ["n1"]}, "_meta": {"hostvars": {"n1": {"ansible_host": "{{ x }}"}}}}',
            "'tool': the address of 'n1' is not one: '{{ x }}'",
        ),
    ],
)
def test_a_bad_line_is_the_only_problem(conf: Path, form: str, output: str | bytes, expected: str) -> None:
    assert problem(conf, form, output).startswith(f"2: {expected}")


def test_many_nodes(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(included_nodes, "MOST_NODES", 100)
    assert problem(conf, "slurm", "n[1-90] a\nm[1-90] a") == "2: 'tool' line 2: more than 100 nodes"


def test_a_deep_inventory(conf: Path) -> None:
    groups = {f"g{n}": {"children": [f"g{n + 1}"]} for n in range(20_000)}
    assert problem(conf, "ansible", json.dumps(groups)) == "2: 'tool': the groups have more than 1,000,000 parents"


def test_a_node_has_the_groups_of_all_its_lines(conf: Path) -> None:
    config = included(conf, "slurm", "n[1-2] batch\nn1 debug", "node n1 own interface:n1-mgmt")
    assert groups(config) == {"n1": ("own", "batch", "debug"), "n2": ("batch",)}
    assert config.nodes["n1"].address == "n1-mgmt"
    assert list(map(str, config.node_places["n1"])) == [f"{conf}:2", f"{conf}:3: 'tool' line 1"]
    assert str(config.group_places["debug"]) == f"{conf}:3: 'tool' line 2"


def test_two_lines_of_the_configuration_remain_an_error(conf: Path) -> None:
    text = "masterdir master\ninclude_nodes slurm tool\nnode n1 a\nnode n1 b"
    with pytest.raises(ConfigError) as caught:
        parse(text, conf, print_nodes=Kept({"slurm tool": b"n1 batch"}))
    assert str(caught.value) == f"{conf}:4: node 'n1' is defined twice, first on line 3: remove one"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ansibel tool", "'include_nodes': unknown format 'ansibel' (did you mean 'ansible'?)"),
        ("ansible-inventory --list", "'include_nodes': unknown format 'ansible-inventory'"),
        ("conf", "'include_nodes': 'conf' needs a command"),
        ("conf 'tool", "'include_nodes' is not a command line: No closing quotation"),
        ("clustershell a b", "'include_nodes': 'clustershell' expects the name of one source, or none"),
        ("clustershell -f", "'include_nodes': 'clustershell' expects the name of one source, or none"),
        (
            "conf no-such-tool",
            "'no-such-tool' cannot be run: No such file or directory: install the program, or "
            "correct its name (by hand: no-such-tool)",
        ),
        ("conf ./closed", "'./closed' cannot be run: Permission denied: chmod +x (by hand: ./closed)"),
        ("conf ./odd", "'./odd' cannot be run: No such file or directory: the program in its '#!' line is missing"),
        ("conf true", "'true': prints no node: expected at least one"),
        ("conf sh -c 'echo node n1; exit 3'", "'sh -c 'echo node n1; exit 3'' ended with status 3 (by hand: "),
        ("conf cat /dev/zero", "'cat /dev/zero' prints more than 100,000 bytes (by hand: "),
        ("conf tail -f /dev/null", "'tail -f /dev/null' has not ended within 0.3 s (by hand: "),
    ],
)
def test_failing_commands(conf: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str) -> None:
    """What depends on the unknown nodes is not reported."""
    monkeypatch.setattr(command_output, "LONGEST", 0.3 if "tail" in line else 30)
    monkeypatch.setattr(command_output, "LARGEST", 100_000)
    for name, mode in (("closed", 0o644), ("odd", 0o755)):
        (conf.parent / name).write_text("#!/no/such/program\n")
        (conf.parent / name).chmod(mode)
    text = f"masterdir master\nnode n0\ninclude_nodes {line}\nignore_node n1\nvar x._web 1"
    with pytest.raises(ConfigError) as caught:
        parse(text, conf, print_nodes=node_commands.run)
    assert str(caught.value).startswith(f"{conf}:3: {expected}")


def test_a_command_runs_once_and_without_a_shell(conf: Path) -> None:
    """It runs in the directory of the configuration, also if an included file names it."""
    program = conf.parent / "tool"
    program.write_text('#!/bin/sh\necho x >>ran; cat; for group; do echo "node n1 $group"; done\n')
    program.chmod(0o755)
    (conf.parent / "sub").mkdir()
    (conf.parent / "sub/more.conf").write_text("include_nodes conf ./tool 'a' b\ninclude_nodes conf ./tool c\n")
    conf.write_text("masterdir master\ninclude_nodes conf ./tool 'a' b\ninclude sub/more.conf\n")
    config = load(conf, print_nodes=node_commands.run)
    assert groups(config) == {"n1": ("a", "b", "c")}
    assert (conf.parent / "ran").read_text() == "x\nx\n"
    assert load(conf, print_nodes=Kept(config.node_outputs)) == config
    assert (conf.parent / "ran").read_text() == "x\nx\n"
    with pytest.raises(ConfigError, match=r"synctool\.conf:2: '\./tool 'a' b' is not run here \(by hand: "):
        load(conf)


def test_only_kept_outputs_are_used(conf: Path) -> None:
    """Workers and revisions of git choose no command."""
    with pytest.raises(ConfigError, match="'touch ran' has not been run: the present configuration"):
        parse("masterdir master\ninclude_nodes conf touch ran", conf, print_nodes=Kept({"conf tool": b"node n1"}))


@pytest.mark.skipif(not IS_ROOT, reason="files belong to others only where root gives them away")
def test_files_of_others_are_refused(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That holds for the command, and for what ClusterShell reads."""
    program, sources = conf.parent / "tool", conf.parent / "sources"
    sources.mkdir()
    for path in (program, sources / "groups.conf"):
        path.write_text("#!/bin/sh\ntouch ran\n")
        path.chmod(0o755)
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(sources))
    for line, name in (("conf ./tool", "tool"), ("conf sh ./tool", "tool"), ("clustershell", "groups.conf")):
        with pytest.raises(ConfigError, match=rf"synctool\.conf:2: 'include_nodes': .*/{name} is not trusted"):
            parse(f"masterdir master\ninclude_nodes {line}", conf, print_nodes=node_commands.run)
    assert not (conf.parent / "ran").exists()


def test_a_groups_file_of_clustershell(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = conf.parent / "sources"
    (sources / "groups.d").mkdir(parents=True)
    (sources / "groups.conf").write_text("[Main]\ndefault: racks\nautodir: $CFGDIR/groups.d\n")
    (sources / "groups.d/cluster.yaml").write_text(
        "racks:\n  rack1: n[1-2]\n  all: n[1-4]\nroles:\n  web: n[2-3],m1\n  empty: ''\n"
    )
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(sources))
    text = "masterdir master\ninclude_nodes clustershell\ninclude_nodes clustershell roles"
    config = parse(text, conf, print_nodes=node_commands.run)
    expected = {"n1": "rack1", "n2": "rack1 web", "n3": "web", "n4": "", "m1": "web"}
    assert groups(config) == {name: tuple(words.split()) for name, words in expected.items()}
    with pytest.raises(ConfigError, match=r"synctool\.conf:2: 'clustershell nope' ended with status 1"):
        parse("masterdir master\ninclude_nodes clustershell nope", conf, print_nodes=node_commands.run)


words = st.sampled_from(["n1", "n[1-2]", "@a", "a,b=1", "node", "group", "#", "[", "]", "\n", ":", "*", "{", '"hosts"'])
tables = st.recursive(
    st.none() | st.text(max_size=3) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "hosts", "children", "_meta", "hostvars", "all"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(FORMATS), st.binary() | st.lists(words).map(" ".join) | tables.map(json.dumps))
def test_any_output_is_nodes_or_one_problem(
    tmp_path_factory: pytest.TempPathFactory, form: str, output: str | bytes
) -> None:
    content = output if isinstance(output, bytes) else output.encode()
    try:
        printed = list(statements(form, content))
    except OutputError:
        printed = []
    path = tmp_path_factory.getbasetemp() / "synctool.conf"
    try:
        config = included(path, form, content, "node n0")
    except ConfigError as error:
        lines = [line for line in str(error).split("\n") if "masterdir" not in line]
        assert all(line.startswith(f"{path}:3: ") or printed for line in lines)
    else:
        assert printed
        assert len(config.nodes) > 1 or any("n0" in each.arguments for each in printed)

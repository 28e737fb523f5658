"""The statements of synctool.conf, and the messages about everything that can be wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.config import Config, parse
from pytest_synctool.config.statements import SHAPES
from pytest_synctool.errors import ConfigError

from tests_meta.unit.helpers import config


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The path of a configuration beside an empty masterdir. No test writes the file."""
    (tmp_path / "master").mkdir()
    return tmp_path / "synctool.conf"


def problems(conf: Path, *lines: str, head: tuple[str, ...] = ("masterdir master", "node node1 batch")) -> list[str]:
    """Return the problems of a file with two valid lines before `lines`, without the path."""
    with pytest.raises(ConfigError) as caught:
        parse("\n".join((*head, *lines)), conf)
    lines_of_error = str(caught.value).split("\n")
    assert all(line.startswith(f"{conf}:") for line in lines_of_error)
    return [line.removeprefix(f"{conf}:") for line in lines_of_error]


def test_a_minimal_file_and_its_defaults(conf: Path) -> None:
    cluster = parse("masterdir master\nnode node1\n", conf)
    assert cluster == Config(
        path=conf,
        masterdir=conf.parent / "master",
        nodes={"node1": cluster.nodes["node1"]},
        groups={"all": ("node1",)},
        ignore=cluster.ignore,
        ssh_cmd=("ssh",),
        rsync_cmd=("rsync",),
        num_proc=64,
        warnings=(),
    )
    assert (cluster.ignore.patterns, cluster.ignore.dotfiles, cluster.ignore.dotdirs) == ((), False, False)
    node = cluster.nodes["node1"]
    assert (node.groups, node.address, node.connection, node.rsync, node.ignored) == (
        ("node1", "all"),
        "node1",
        None,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("line", "attribute", "expected"),
    [
        ("num_proc 7", "num_proc", 7),
        ("NUM_PROC 7", "num_proc", 7),
        ("ssh_cmd ssh -p 22 -o 'User name'", "ssh_cmd", ("ssh", "-p", "22", "-o", "User name")),
        ("rsync_cmd /opt/rsync -z", "rsync_cmd", ("/opt/rsync", "-z")),
        ("ignore a b*", "ignore.patterns", ("a", "b*")),
        ("ignore_file a", "ignore.patterns", ("a",)),
        ("ignore_files a b", "ignore.patterns", ("a", "b")),
        ("ignore_dir a", "ignore.patterns", ("a",)),
        ("ignore_dirs a\nignore b", "ignore.patterns", ("a", "b")),
        ("ignore_dotfiles yes", "ignore.dotfiles", True),
        ("ignore_dotfiles No", "ignore.dotfiles", False),
        ("ignore_dotdirs on", "ignore.dotdirs", True),
        ("host node9", "nodes.node9.name", "node9"),
        ("node node9 interface:ib9", "nodes.node9.address", "ib9"),
        ("node node9 ipaddress:2001:db8::9", "nodes.node9.address", "2001:db8::9"),
        ("node node9 ipaddress:10.0.0.9 interface:ib9", "nodes.node9.address", "ib9"),
        ("node node9 hostname:nine", "nodes.node9.hostname", "nine"),
        ("node node9 hostname:nine", "nodes.node9.address", "node9"),
        ("node node9 connection:docker://web9", "nodes.node9.connection", "docker://web9"),
        ("node node9 rsync:no", "nodes.node9.rsync", False),
        ("node node9 rsync:YES", "nodes.node9.rsync", True),
        ("node node9 a b", "nodes.node9.groups", ("node9", "a", "b", "all")),
        ("node node9 all none a a", "nodes.node9.groups", ("node9", "a", "all")),
        ("ignore_host node1", "nodes.node1.ignored", True),
    ],
)
def test_statements(tmp_path: Path, line: str, attribute: str, expected: object) -> None:
    value: object = config(tmp_path, "node node1 batch", line)
    for name in attribute.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    assert value == expected


@pytest.mark.parametrize(
    "line",
    [
        "logfile /var/log/synctool.log",
        "always_run /bin/true",
        "symlink_mode 0777",
        "scp_cmd scp -q",
        "synctool_cmd /opt/synctool.py",
    ],
)
def test_statements_without_warnings(conf: Path, line: str) -> None:
    assert parse(f"masterdir master\nnode node1\n{line}\n", conf).warnings == ()


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("node n a # b", ("n", "a", "all")),
        ("  \t node\tn   a  ", ("n", "a", "all")),
        ("# node m\nnode n a", ("n", "a", "all")),
        ("node n \\\n a \\\n b", ("n", "a", "b", "all")),
        ("node n a\\\nb", ("n", "a", "b", "all")),
        ("node n a \\", ("n", "a", "all")),
        ("node n a # \\\nb", ("n", "a", "all")),
        ("node n a\r\n", ("n", "a", "all")),
        ("node n a \\\r\n b\r\n", ("n", "a", "b", "all")),
        ("\n\n\nnode n a", ("n", "a", "all")),
    ],
)
def test_comments_and_continued_lines(tmp_path: Path, text: str, groups: tuple[str, ...]) -> None:
    cluster = config(tmp_path, text)
    assert {name: node.groups for name, node in cluster.nodes.items()} == {"n": groups}


def test_a_number_sign_inside_a_word_is_not_a_comment(tmp_path: Path) -> None:
    assert config(tmp_path, "node n", "ignore a#b #x #y").ignore.patterns == ("a#b",)


def test_a_problem_in_a_continued_line_is_on_the_line_where_it_starts(conf: Path) -> None:
    assert problems(conf, "", "node \\", " n2 \\", " b@d", "nod x") == [
        "4: 'b@d' is not a group name: expected letters, digits and . _ + -",
        "7: unknown keyword 'nod' (did you mean 'node'?)",
    ]


@pytest.mark.parametrize(
    ("lines", "groups"),
    [
        (["node n wn x", "group wn b s"], ("n", "wn", "b", "s", "x", "all")),
        (["node n x wn b", "group wn b s"], ("n", "x", "wn", "b", "s", "all")),
        (["group wn b s", "group s t u", "node n wn x"], ("n", "wn", "b", "s", "t", "u", "x", "all")),
        (["node n wn x", "group wn all x"], ("n", "wn", "x", "all")),
        (["node n wn", "group wn b", "group b c"], ("n", "wn", "b", "c", "all")),
    ],
)
def test_compound_groups_are_expanded_in_place(tmp_path: Path, lines: list[str], groups: tuple[str, ...]) -> None:
    cluster = config(tmp_path, *lines)
    assert cluster.nodes["n"].groups == groups
    assert cluster.warnings == ()
    assert cluster.groups == dict.fromkeys(cluster.groups, ("n",))
    assert set(cluster.groups) == {*groups} - {"n"}


def test_groups_hold_their_nodes_in_the_order_of_the_file(tmp_path: Path) -> None:
    cluster = config(tmp_path, "node z batch", "node a rack1 batch", "node m rack1")
    assert dict(cluster.groups) == {"batch": ("z", "a"), "rack1": ("a", "m"), "all": ("z", "a", "m")}
    assert list(cluster.nodes) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("name", "known"), [("all", True), ("none", True), ("n", True), ("a", True), ("b", True), ("c", False), ("", False)]
)
def test_groups_that_a_file_name_can_have(tmp_path: Path, name: str, known: bool) -> None:
    """Documentation: "The nodename itself can also be used as a group", "Group 'none' ... a copy of a file around"."""
    assert (name in config(tmp_path, "node n a", "group a b").known_groups) is known


def test_a_group_without_nodes_gets_a_warning(conf: Path) -> None:
    cluster = parse("masterdir master\nnode n a\ngroup rack x\n", conf)
    assert [w for w in cluster.warnings if w.startswith(f"{conf}:3: ") and "'rack'" in w]


class TestIgnored:
    """Nodes and groups that runs ignore."""

    def test_ignored_nodes_keep_their_groups(self, tmp_path: Path) -> None:
        cluster = config(tmp_path, "node a x", "node b x", "ignore_node b")
        assert [node.ignored for node in cluster.nodes.values()] == [False, True]
        assert cluster.nodes["b"].groups == ("b", "x", "all")

    def test_an_ignored_group_ignores_its_nodes_and_disappears_from_them(self, tmp_path: Path) -> None:
        cluster = config(tmp_path, "node a x y", "node b y", "node c w", "group w x", "ignore_group x")
        assert {name: (n.ignored, n.groups) for name, n in cluster.nodes.items()} == {
            "a": (True, ("a", "y", "all")),
            "b": (False, ("b", "y", "all")),
            "c": (True, ("c", "w", "all")),
        }
        assert cluster.groups["x"] == ()
        assert "x" in cluster.known_groups

    def test_an_ignored_compound_group_gives_no_advice_to_put_it_on_a_node_line(self, tmp_path: Path) -> None:
        cluster = config(tmp_path, "node a w", "group w x", "ignore_group w")
        assert cluster.nodes["a"].ignored
        assert not [warning for warning in cluster.warnings if "'node' line" in warning]

    @pytest.mark.parametrize(
        ("lines", "ignored", "notices"),
        [
            (["ignore_node node2"], [], ["4: no such node 'node2' (did you mean 'node1'?), which 'ignore_node' leaves "
             "out: correct it, or remove it"]),
            (["ignore_group bach"], [], ["4: 'ignore_group bach': no node has this group (did you mean 'batch'?): "
             "correct it, or remove it"]),
            (["ignore_host node9 teras batch"], [], ["4: no such nodes 'node9', 'teras', 'batch', which "
             "'ignore_node' leaves out: correct it, or remove it"]),
            (["ignore_node node1 batch x"], ["node1"], ["4: no such nodes 'batch', 'x', which 'ignore_node' leaves "
             "out: correct it, or remove it"]),
            (["ignore_node batch"], ["node1"], ["4: 'batch' is a group, whose nodes are ignored: write "
             "'ignore_group batch'"]),
            (["ignore_group login"], ["login"], ["4: 'login' is a node, which is ignored: write 'ignore_node login'"]),
            (["ignore_group none"], [], ["4: 'ignore_group none' has no effect, since no run has a node of this group: "
             "remove it"]),
            (["ignore_group rack[1-2]", "group w rack1"], [], ["4: 'ignore_group rack2': no node has this group (did "
             "you mean 'rack1'?): correct it, or remove it"]),
            (["node old[1-2] none batch"], ["old1", "old2"], ["4: node old1 and 1 more is in the group 'none', and so "
             "ignored: write 'ignore_node' instead"]),
            (["node old w", "group w none"], ["old"], ["4: node old is in the group 'none', and so ignored: write "
             "'ignore_node' instead"]),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_4_x_took_is_a_notice(
        self, conf: Path, lines: list[str], ignored: list[str], notices: list[str]
    ) -> None:
        cluster = parse("\n".join(("masterdir master", "node node1 batch", "node login", *lines)), conf)
        assert [name for name, node in cluster.nodes.items() if node.ignored] == ignored
        assert [f"{notice.place}: {notice.message}" for notice in cluster.notices] == [f"{conf}:{n}" for n in notices]
        assert set(cluster.warnings) >= {f"{conf}:{notice}" for notice in notices}

    def test_files_of_a_group_that_is_ignored_and_gone_are_known(self, conf: Path) -> None:
        cluster = parse("masterdir master\nnode node1\nignore_group old\n", conf)
        assert "old" in cluster.known_groups
        assert cluster.groups["old"] == ()
        assert cluster.ignored_groups == {"old"}

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("ignore_node all", "3: 'ignore_node all': nothing would be left: name the nodes"),
            ("ignore_group all", "3: 'ignore_group all': a built-in group cannot be ignored"),
            ("ignore_group x/y", "3: 'x/y' is not a group name: expected letters, digits and . _ + -"),
        ],
    )
    def test_what_cannot_be_meant_stops(self, conf: Path, line: str, message: str) -> None:
        assert problems(conf, line) == [message]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nodes x", "unknown keyword 'nodes' (did you mean 'node'?)"),
        ("ignore_dotfile yes", "unknown keyword 'ignore_dotfile' (did you mean 'ignore_dotfiles'?)"),
        ("zzz x", f"unknown keyword 'zzz': expected one of {', '.join(SHAPES)}"),
        ("node", "'node' needs a value: add it, or remove this line"),
        ("masterdir", "'masterdir' needs a value: add it, or remove this line"),
        ("node node1", "node 'node1' is defined twice, first on line 2: remove one"),
        ("host node1", "node 'node1' is defined twice, first on line 2: remove one"),
        ("node all", "node 'all' is named like a built-in group: rename it"),
        ("node none", "node 'none' is named like a built-in group: rename it"),
        ("node -x", "'-x' is not a node name: expected letters, digits and . _ + -"),
        ("node n2 x/y", "'x/y' is not a group name: expected letters, digits and . _ + -"),
        ("node n2 node1", "group 'node1' is named like the node on line 2"),
        ("node n2 ipaddres:1", "unknown node specifier 'ipaddres:' (did you mean 'ipaddress'?), expected one of "
         "interface:, ipaddress:, hostname:, hostid:, connection:, rsync:"),
        ("node n2 hostname:", "'hostname:' needs a value that does not start with '-'"),
        ("node n2 interface:-oProxyCommand=x", "'interface:' needs a value that does not start with '-'"),
        ("node n2 rsync:maybe", "'rsync:' expects yes or no, not 'maybe'"),
        ("node n2 connection:web:x", "'connection:' 'web:x' has no valid port: expected a number from 1 to 65535"),
        ("node n2 ipaddress:1:2:3", "'ipaddress:' '1:2:3' has no valid IPv6 address: expected HOST, USER@HOST:PORT, "
         "[IPV6]:PORT or ssh://USER@HOST:PORT"),
        ("node n2 interface:me@", "'interface:' 'me@' has no valid host: expected HOST, USER@HOST:PORT, [IPV6]:PORT "
         "or ssh://USER@HOST:PORT"),
        ("group all x", "group 'all' is built in and cannot be defined: rename it"),
        ("group none x", "group 'none' is built in and cannot be defined: rename it"),
        ("group g", "group 'g' has no members: add some, like 'group g batch'"),
        ("group g/ x", "'g/' is not a group name: expected letters, digits and . _ + -"),
        ("group node1 x", "group 'node1' is named like the node on line 2"),
        ("group batch x y/", "'y/' is not a group name: expected letters, digits and . _ + -"),
        ("group batch batch", "group 'batch' contains itself: batch > batch: remove one of them"),
        ("num_proc 0", "'num_proc' expects a number from 1, not '0'"),
        ("num_proc many", "'num_proc' expects a number from 1, not 'many'"),
        ("layout 8", "'layout' expects 4, 5, 6 or 7, the release of synctool, not '8'"),
        ("num_proc 1 2", "'num_proc' expects a number from 1, not '1 2'"),
        ("ignore_dotfiles perhaps", "'ignore_dotfiles' expects yes or no, not 'perhaps'"),
        ("ignore_dotdirs 2", "'ignore_dotdirs' expects yes or no, not '2'"),
        ("ssh_cmd ssh 'x", "'ssh_cmd' is not a command line: No closing quotation"),
        ("masterdir master", "'masterdir' is set twice, first on line 1: remove one"),
    ],
)  # fmt: skip
def test_problems(conf: Path, line: str, message: str) -> None:
    assert problems(conf, line) == [f"3: {message}"]


@pytest.mark.parametrize(
    "lines",
    [
        ["group batch x", "group x batch"],
        ["group batch x", "group x y", "group y x z"],
        ["group unused other", "group other unused"],
    ],
)
def test_a_group_inside_itself_is_an_error(conf: Path, lines: list[str]) -> None:
    assert any("contains itself" in line for line in problems(conf, *lines))


def test_a_member_of_a_group_named_like_a_node_is_an_error(conf: Path) -> None:
    """Members of a group are groups. With `group rack node1` every node of the rack would get the files of node1."""
    assert problems(conf, "node node2 rack", "group rack node1") == [
        "4: group 'node1' is named like the node on line 2"
    ]


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(conf: Path) -> None:
    assert problems(conf, "nod x", "num_proc 0", "node", "ignore_node all", head=("masterdir missing",)) == [
        " no 'node' line: expected at least one, like 'node node1 batch'",
        f"1: masterdir {conf.parent / 'missing'} is not a directory: create it, or correct this line",
        "2: unknown keyword 'nod' (did you mean 'node'?)",
        "3: 'num_proc' expects a number from 1, not '0'",
        "4: 'node' needs a value: add it, or remove this line",
        "5: 'ignore_node all': nothing would be left: name the nodes",
    ]


def test_an_empty_file_lacks_everything(conf: Path) -> None:
    assert problems(conf, head=()) == [
        " no 'masterdir' line: expected one, like 'masterdir /var/lib/synctool'",
        " no 'node' line: expected at least one, like 'node node1 batch'",
    ]


@pytest.mark.parametrize(
    ("value", "address", "url"),
    [
        ("web1", "web1", None),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("ssh://[fe80::1%25eth0]", "fe80::1%eth0", None),
        ("me@web1", "web1", "ssh://me@web1"),
        ("web1:22", "web1", "ssh://web1:22"),
        ("[::1]:22", "::1", "ssh://[::1]:22"),
        ("CORP\\a@b@[fe80::1%e0]:22", "fe80::1%e0", "ssh://CORP%5Ca%40b@[fe80::1%25e0]:22"),
        ("ssh://a%40b@web1:22", "web1", "ssh://a%40b@web1:22"),
    ],
)
@pytest.mark.parametrize("spelling", ["conf", "yaml"])
def test_addresses(tmp_path: Path, value: str, address: str, url: str | None, spelling: str) -> None:
    """`ipaddress:`, `interface:` and `connection:` take the same forms, in both spellings."""
    (tmp_path / "master").mkdir()
    for key in ("ipaddress", "interface", "connection"):
        conf, yaml = f"node n x {key}:{value}", f"nodes: {{n: {{groups: [x], {key}: '{value}'}}}}"
        text = f"masterdir master\n{conf}\n" if spelling == "conf" else f"masterdir: master\n{yaml}\n"
        node = parse(text, tmp_path / f"synctool.{spelling}").nodes["n"]
        host = f"[{address.replace('%', '%25')}]" if ":" in address else address
        spec = url or f"ssh://{host}"
        assert node.host_spec == spec
        if key == "connection":
            assert (node.address, node.connection) == ("n", spec)
        else:
            assert (node.address, node.connection) == (address, url)
            assert node.ipaddress == (address if key == "ipaddress" else None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ssh://me@web1:22?sudo=true&sudo_user=a@b", "ssh://me@web1:22?sudo=true&sudo_user=a@b"),
        ("docker://1000:50@web1", "docker://1000:50@web1"),
        ("chroot:///srv/image", "chroot:///srv/image"),
        ("local://", "local://"),
    ],
)
def test_connections_with_options_and_of_other_kinds(tmp_path: Path, value: str, expected: str) -> None:
    assert config(tmp_path, f"node n connection:{value}").nodes["n"].connection == expected


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("[fe80::[20]]:22", ["ssh://[fe80::20]:22", "ssh://[fe80::21]:22"]),
        ("fe80::[0a-0b]", None),
        ("me@[fe80::[1-2]%eth0]", ["ssh://me@[fe80::1%25eth0]", "ssh://me@[fe80::2%25eth0]"]),
        ("web[1]:22", ["ssh://web1:22", "ssh://web2:22"]),
        ("fe80::[9]", ["ssh://[fe80::9]", "ssh://[fe80::10]"]),
        ("[::1]:22", None),
    ],
)
def test_addresses_of_many_nodes(conf: Path, value: str, hosts: list[str] | None) -> None:
    line = f"node n[1-2] x ipaddress:{value}"
    if hosts is None:
        assert len(problems(conf, line)) == 1
    else:
        nodes = parse(f"masterdir master\n{line}\n", conf).nodes.values()
        assert [node.host_spec for node in nodes] == hosts

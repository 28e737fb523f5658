"""The own node: the node of a configuration that a machine is, for machines with any hostname and addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import Config
from pytest_synctool.config.own_node import Machine, is_own_address, is_wanted, own_node, parse_hosts
from pytest_synctool.errors import SelectionError, TrustError

from tests_meta.unit.helpers import config

CLUSTER = (
    "node node1 batch ipaddress:10.0.0.1",
    "node node2 batch hostname:second.example.org interface:node2-mgmt ipaddress:10.0.0.2",
    "node node3.example.org login ipaddress:fd00::3",
    "node node4 login hostname:FOUR",
    "node node5 login connection:docker://five ipaddress:127.0.0.5",
    "node node6 old ipaddress:10.0.0.6",
    "ignore_group old",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config(tmp_path_factory.mktemp("cluster"), *CLUSTER)


def machine(hostname: str = "stranger", *addresses: str, hosts: Mapping[str, Sequence[str]] | None = None) -> Machine:
    """Return a machine with these addresses, and with the loopback addresses that every machine has."""
    return Machine(hostname, lambda address: address in addresses or address.startswith("127."), hosts or {})


def identified(cluster: Config, here: Machine, nodename: str | None = None) -> str:
    """Return the own node of a machine and the reason."""
    own = own_node(cluster, here, nodename)
    assert own.node.connection == "local://"
    assert own.node.groups == cluster.nodes[own.node.name].groups
    return f"{own.node.name} by {own.reason}"


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("node1", "node1 by hostname 'node1'"),
        ("node1.anywhere.org", "node1 by hostname 'node1'"),
        ("NODE1.", "node1 by hostname 'node1'"),
        ("second.example.org", "node2 by hostname 'second.example.org'"),
        ("node3.example.org", "node3.example.org by hostname 'node3.example.org'"),
        ("four.example.org", "node4 by hostname 'four'"),
        ("node5", "node5 by hostname 'node5'"),
    ],
)
def test_by_hostname(cluster: Config, hostname: str, expected: str) -> None:
    """The hostname or its first label must be the name or `hostname:` of a node. No address is checked."""

    def unasked(address: str) -> bool:
        raise AssertionError(address)

    assert identified(cluster, Machine(hostname, unasked, {})) == expected


@pytest.mark.parametrize("hostname", ["second", "node3", "org", "stranger", "", "node", "node11", "10.0.0.1"])
def test_a_part_of_a_name_is_not_the_name(cluster: Config, hostname: str) -> None:
    with pytest.raises(SelectionError):
        own_node(cluster, machine(hostname))


@pytest.mark.parametrize(
    ("address", "hosts", "expected"),
    [
        ("10.0.0.1", {}, "node1 by address '10.0.0.1'"),
        ("10.0.0.2", {}, "node2 by address '10.0.0.2'"),
        ("fd00::3", {}, "node3.example.org by address 'fd00::3'"),
        ("10.9.9.9", {"node2-mgmt": ["10.9.9.9"]}, "node2 by address '10.9.9.9'"),
        ("10.9.9.9", {"node4": ["127.0.1.1", "10.9.9.9"]}, "node4 by address '10.9.9.9'"),
        ("10.9.9.9", {"four": ["10.9.9.9"]}, "node4 by address '10.9.9.9'"),
    ],
)
def test_by_address(cluster: Config, address: str, hosts: dict[str, list[str]], expected: str) -> None:
    """The address comes from `ipaddress:`, or from a name in /etc/hosts."""
    assert identified(cluster, machine("stranger", address, hosts=hosts)) == expected


def test_the_hostname_counts_more_than_an_address(cluster: Config) -> None:
    assert identified(cluster, machine("node4", "10.0.0.1")) == "node4 by hostname 'node4'"


def test_an_address_is_compared_in_its_normal_form(tmp_path: Path) -> None:
    made = config(tmp_path, "node n ipaddress:FD00:0:0::0:3")
    assert identified(made, machine("stranger", "fd00::3")) == "n by address 'fd00::3'"


def test_addresses_that_every_machine_has_identify_no_node(tmp_path: Path) -> None:
    """Every machine has 127.0.0.5, and other addresses too."""
    addresses = ("127.0.0.5", "::1", "0.0.0.0", "::", "::ffff:127.0.0.6")
    made = config(tmp_path, *(f"node n{n} ipaddress:{a}" for n, a in enumerate(addresses)))
    here = Machine("stranger", lambda address: True, {"n1": ["224.0.0.1", "127.0.1.1", "no address"]})
    with pytest.raises(SelectionError, match="no node has an address in it or in /etc/hosts that could be compared"):
        own_node(made, here)


def test_an_ipv4_address_in_an_ipv6_address_is_the_ipv4_address(tmp_path: Path) -> None:
    made = config(tmp_path, "node n ipaddress:::ffff:10.0.0.1")
    assert identified(made, machine("stranger", "10.0.0.1")) == "n by address '10.0.0.1'"


def test_no_match_reports_everything_that_was_compared(cluster: Config) -> None:
    with pytest.raises(SelectionError) as caught:
        own_node(cluster, machine("vm.example.org"))
    assert str(caught.value) == (
        f"--hosts: this machine is none of the 6 nodes of {cluster.path}: no node has the name or 'hostname:' "
        "'vm.example.org' or 'vm', and no interface of this machine has the address of one "
        "(10.0.0.1, 10.0.0.2, fd00::3, 10.0.0.6); name the node with --nodename=NAME"
    )


def test_many_addresses_are_not_all_reported(tmp_path: Path) -> None:
    made = config(tmp_path, "node n[1-100] ipaddress:10.0.0.[1]")
    with pytest.raises(SelectionError, match=r"\(10\.0\.0\.1, .*, 10\.0\.0\.5 and 95 more\); name"):
        own_node(made, machine())


@pytest.mark.parametrize(
    ("hostname", "addresses", "message"),
    [
        ("a.b", (), r"can be any of n\[1-2\] of .*: n1 has the hostname 'a.b'; n2 has the hostname 'a.b'; name .*NAME"),
        ("x", ("10.0.0.1", "10.0.0.2"), r"n1 has the address '10.0.0.1'; n2 has the address '10.0.0.2'"),
        ("x", ("10.0.0.3",), r"n3 has the address '10.0.0.3'; n4 has the address '10.0.0.3'"),
    ],
)
def test_several_matches_are_an_error(tmp_path: Path, hostname: str, addresses: tuple[str, ...], message: str) -> None:
    lines = [f"node n{n} hostname:A.B ipaddress:10.0.0.{n}" for n in (1, 2)]
    lines += [f"node n{n} ipaddress:10.0.0.3" for n in (3, 4)]
    with pytest.raises(SelectionError, match=message):
        own_node(config(tmp_path, *lines), machine(hostname, *addresses))


def test_by_hostid(tmp_path: Path) -> None:
    """Where machines have the same hostname; only root's word counts, and the file decides alone about its node."""
    file = tmp_path / "hostid"
    made = config(
        tmp_path, f"node a hostid:{file}", f"node b hostname:bee hostid:{file}", "node web", "node c hostid:/gone"
    )

    def own() -> str:
        here = Machine.this(made.trust)
        own = own_node(made, Machine("web", lambda _: False, {}, here.hostid))
        return f"{own.node.name} by {own.reason}"

    assert own() == "web by hostname 'web'"
    for text, expected in (
        ("a\n", "a by hostid 'a'"),
        (" Bee. x\n", "b by hostid 'bee'"),
        ("c", "web by hostname 'web'"),
    ):
        file.write_text(text)
        assert own() == expected
    with pytest.raises(
        SelectionError, match=rf"no 'hostid:' file \({file}, /gone\) is there with the name of its node"
    ):
        own_node(made, machine("a"))
    file.chmod(0o666)
    with pytest.raises(TrustError, match="hostid"):
        own()


def test_an_ignored_node_needs_nodename(cluster: Config) -> None:
    for here in (machine("node6"), machine("stranger", "10.0.0.6")):
        with pytest.raises(
            SelectionError, match=r"this machine is node6 by its .* ignores node6; --nodename=node6 selects it"
        ):
            own_node(cluster, here)
        assert identified(cluster, here, "node6") == "node6 by --nodename"


def test_nodename_decides(cluster: Config) -> None:
    assert identified(cluster, machine("node1", "10.0.0.1"), "node2") == "node2 by --nodename"
    with pytest.raises(SelectionError, match=r"--nodename: no such node 'node9' \(did you mean 'node\d'\?\)"):
        own_node(cluster, machine("node1"), "node9")
    with pytest.raises(SelectionError, match=r"--nodename: no such node ''"):
        own_node(cluster, machine("node1"), "")


def test_the_option_that_selects_it_again(cluster: Config) -> None:
    assert own_node(cluster, machine("node1")).option == "--hosts=localhost"
    assert own_node(cluster, machine("node1"), "node2").option == "--nodename=node2"


@pytest.mark.parametrize(
    ("expression", "nodename", "expected"),
    [
        (None, None, False),
        ("node1", None, False),
        ("node1,node2", None, False),
        ("localhost", None, True),
        (" localhost ", None, True),
        ("localhost", "node1", True),
        (None, "node1", True),
        ("", None, False),
    ],
)
def test_selections_that_mean_the_own_node(
    cluster: Config, expression: str | None, nodename: str | None, expected: bool
) -> None:
    assert is_wanted(cluster, expression, nodename) is expected


@pytest.mark.parametrize("line", ["node localhost batch", "node node9 localhost"])
def test_a_node_or_group_called_localhost_is_meant_by_its_name(tmp_path: Path, line: str) -> None:
    made = config(tmp_path, line)
    assert not is_wanted(made, "localhost", None)
    assert not is_wanted(made, "localhost,all", None)
    with pytest.raises(SelectionError, match="--nodename names the node that this machine is"):
        is_wanted(made, "localhost", "node9")


@pytest.mark.parametrize("expression", ["localhost,node1", "group:batch,localhost"])
def test_localhost_cannot_be_combined_with_other_nodes(cluster: Config, expression: str) -> None:
    with pytest.raises(SelectionError, match="--hosts: 'localhost' is the node that this machine is, and cannot be"):
        is_wanted(cluster, expression, None)


@pytest.mark.parametrize("expression", ["node1", "batch", "node2,node3"])
def test_nodename_does_not_go_with_a_selection(cluster: Config, expression: str) -> None:
    with pytest.raises(SelectionError, match=f"with --hosts=localhost, not with --hosts={expression}"):
        is_wanted(cluster, expression, "node2")


def test_hosts_file() -> None:
    text = "# a comment\n10.0.0.1 node1.example.org NODE1 # node9\n\n  fd00::1\tnode1  \n127.0.0.1\n10.0.0.2 x#y\n#"
    assert parse_hosts(text) == {"node1.example.org": ["10.0.0.1"], "node1": ["10.0.0.1", "fd00::1"], "x": ["10.0.0.2"]}


@given(st.text())
def test_any_hosts_file_can_be_read(text: str) -> None:
    assert all(names and addresses for names, addresses in parse_hosts(text).items() if names)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.44.55.66"])
def test_own_addresses_of_the_machine(address: str) -> None:
    assert is_own_address(address)


@pytest.mark.parametrize("address", ["198.51.100.7", "255.255.255.255.255", "localhost", "", "fe80::1%nosuch0"])
def test_addresses_that_the_machine_does_not_have(address: str) -> None:
    """A name is not an address, and no name server is asked for one."""
    assert not is_own_address(address)


@given(st.sets(st.sampled_from(["node1", "node2", "node3.example.org", "node4"])), st.booleans())
def test_only_a_single_match_is_accepted(cluster: Config, owned: Collection[str], by_hosts: bool) -> None:
    """With no match or with several, nothing is guessed."""
    addresses = {"node1": "10.0.0.1", "node2": "10.0.0.2", "node3.example.org": "fd00::3", "node4": "10.9.9.4"}
    hosts = {"node4": ["10.9.9.4"]} if by_hosts else {"four": ["10.9.9.4"]}
    here = machine("stranger", *(addresses[name] for name in owned), hosts=hosts)
    if len(owned) == 1:
        (name,) = owned
        assert own_node(cluster, here).node.name == name
    else:
        with pytest.raises(SelectionError, match="--nodename=NAME"):
            own_node(cluster, here)

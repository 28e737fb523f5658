"""--hosts=localhost and --nodename: a run on this machine as a node of the cluster, over a real local connection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests_meta.site import Run, Site

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"),
    reason="needs root, unshare and ip",
)


@pytest.fixture
def three(site: Site) -> Site:
    """Return a site with three nodes that do not exist under their names, and a file for one group of them."""
    site.nodes = {
        "node1": "batch ipaddress:10.77.0.1",
        "node2": "batch hostname:second.example.org",
        "node3": "login ipaddress:fd77::3",
    }
    site.put("mine._batch")
    return site


def on(site: Site, hostname: str, *arguments: str, addresses: Sequence[str] = (), nonlocal_bind: bool = False) -> Run:
    """Run pytest on a machine with this hostname, and only these addresses.

    The addresses must have full-length prefixes: with a network on lo, the machine would own every address of it.
    """
    script = [f"echo {hostname} >/proc/sys/kernel/hostname", "ip link set lo up"]
    script += [f"ip addr add {address} dev lo" for address in addresses]
    if nonlocal_bind:
        script += [f"echo 1 >/proc/sys/net/{family}/ip_nonlocal_bind" for family in ("ipv4", "ipv6")]
    command = ["unshare", "--uts", "--net", "sh", "-ec", "; ".join((*script, 'exec "$@"')), "sh"]
    return site.pytest(command=[*command, *site.command(*arguments)])


@needs_namespaces
@pytest.mark.parametrize(
    ("hostname", "addresses", "nonlocal_bind", "header"),
    [
        ("node2", (), False, "this machine is node2, by hostname 'node2'"),
        ("node1.example.org", (), False, "this machine is node1, by hostname 'node1'"),
        ("second.example.org", (), False, "this machine is node2, by hostname 'second.example.org'"),
        ("stranger", ("10.77.0.1/32",), False, "this machine is node1, by address '10.77.0.1'"),
        ("stranger", ("10.77.0.9/32", "10.77.0.1/32"), False, "this machine is node1, by address '10.77.0.1'"),
        ("stranger", ("fd77::3/128",), False, "this machine is node3, by address 'fd77::3'"),
        ("stranger", ("10.77.0.1/32",), True, "this machine is node1, by address '10.77.0.1'"),
        ("stranger", ("fd77::3/128",), True, "this machine is node3, by address 'fd77::3'"),
    ],
)
def test_the_node_finds_its_own_name(
    three: Site, hostname: str, addresses: Sequence[str], nonlocal_bind: bool, header: str
) -> None:
    """The run has namespaces with their own hostname and addresses, in two cases with ip_nonlocal_bind."""
    run = on(three, hostname, "--hosts=localhost", addresses=addresses, nonlocal_bind=nonlocal_bind)
    assert header in run.output
    nodes = {key[0].rpartition(".")[2] for key in run.results}
    assert len(nodes) == 1
    assert nodes.pop() in header
    assert run.status == 1


@needs_namespaces
@pytest.mark.parametrize("nonlocal_bind", [False, True])
def test_a_machine_that_is_no_node(three: Site, nonlocal_bind: bool) -> None:
    """The usage error lists the names and addresses that were compared."""
    run = on(three, "vm.example.org", "--hosts=localhost", addresses=["10.77.0.5/32"], nonlocal_bind=nonlocal_bind)
    assert run.status == 4
    assert "no node has the name or 'hostname:' 'vm.example.org' or 'vm'" in run.output
    assert (
        "no interface of this machine has the address of one (10.77.0.1, fd77::3); name the node with --nodename=NAME"
        in (run.output)
    )


@needs_namespaces
def test_a_machine_that_can_be_two_nodes(three: Site) -> None:
    """The run ends with an error instead of a guess."""
    run = on(three, "vm", "--hosts=localhost", addresses=["10.77.0.1/32", "fd77::3/128"])
    assert run.status == 4
    assert "node1 has the address '10.77.0.1'; node3 has the address 'fd77::3'" in run.output


@pytest.mark.parametrize("arguments", [("--nodename=node2",), ("--hosts=localhost", "--nodename=node2")])
def test_nodename(three: Site, arguments: Sequence[str]) -> None:
    """--nodename implies localhost, also in worker processes. The summary repeats it in its command for the repair."""
    for more in ((), ("-n2",)):
        run = three.pytest(*arguments, *more)
        assert run.status == 1, run.output
        assert "synctool: this machine is node2, by --nodename" in run.output
        assert run.word("node2", f"{three.top}/mine") == "failure"
        assert re.search("To put right what was found: .* --nodename=node2 .*--lf --fix$", run.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nodename=node1", "--hosts=node1"), "--nodename names the node that this machine is: use it alone or with"),
        (("--nodename=node1", "--hosts=batch"), "--hosts=localhost, not with --hosts=batch"),
        (("--nodename=nod1",), "--nodename: no such node 'nod1' (did you mean 'node1'?)"),
        (
            ("--hosts=localhost,node1",),
            "'localhost' is the node that this machine is, and cannot be combined with other nodes",
        ),
        (("--hosts=all!localhost",), "no such node or group 'localhost' in 'all!localhost'"),
    ],
)
def test_usage_errors(three: Site, arguments: Sequence[str], message: str) -> None:
    run = three.pytest(*arguments)
    assert run.status == 4
    assert message in run.output
    assert "Traceback" not in run.output


def test_a_node_called_localhost_keeps_its_connection(three: Site) -> None:
    """The word then is the name of that node only."""
    three.nodes["localhost"] = "login connection:chroot:///nonexistent"
    run = three.pytest("--hosts=localhost")
    assert "this machine is" not in run.output
    assert "1 node of 4" in run.output
    assert "cannot change root directory to '/nonexistent'" in run.output


def test_the_connection_of_the_configuration_is_not_used(three: Site) -> None:
    """A run on the node itself is local, whatever connection the controller uses."""
    three.nodes["node2"] = "batch connection:docker://nosuch"
    assert three.pytest("--nodename=node2").word("node2", f"{three.top}/mine") == "failure"


def test_ordinary_tests_run_on_this_machine_too(three: Site) -> None:
    """testinfra's `host` is local. A host specification of testinfra in --hosts stays as it is."""
    (three.directory / "test_site.py").write_text(
        "def test_here(host):\n    assert host.file(__file__).exists\n    assert host.backend.NAME == 'local'\n"
    )
    for arguments in (("--nodename=node1",), ("--hosts=localhost,local://", "--nodename=node1")):
        command = three.command(*arguments)
        command[3:5] = ["test_site.py"]
        run = three.pytest(command=command)
        assert run.status == 0, run.output


def test_ignored(three: Site) -> None:
    """--hosts=localhost refuses an ignored node; --nodename accepts it."""
    three.lines.append("ignore_node node2")
    three.nodes["node2"] = f"batch hostname:{os.uname().nodename}"
    run = three.pytest("--hosts=localhost")
    assert run.status == 4
    assert "this machine is node2 by its hostname" in run.output
    assert "--nodename=node2 selects it nevertheless" in run.output
    assert three.pytest("--nodename=node2").status == 1


def test_help(three: Site) -> None:
    """The help describes both options."""
    run = three.pytest("--help", configured=False)
    assert "--nodename=NAME" in run.output
    assert "--hosts=localhost" in " ".join(run.output.split())


def test_no_name_server_is_asked(three: Site) -> None:
    """A name server that does not answer would block a run, so no socket leaves the machine."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = three.directory / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace)]
    script = "from pytest_synctool import config; from pytest_synctool.config import own_node\n"
    script += "from pathlib import Path; import sys\n"
    script += "c = config.load(Path(sys.argv[1])); own_node.own_node(c, own_node.Machine.this(c.trust))"
    done = subprocess.run(
        [*command, sys.executable, "-c", script, three.configure()], capture_output=True, text=True, check=False
    )
    if "strace: " in done.stderr:
        pytest.skip("strace may not be used here")
    assert "this machine is none of the 3 nodes" in done.stderr
    calls = [line for line in trace.read_text().splitlines() if "AF_INET" in line or "nscd" in line]
    assert calls == []

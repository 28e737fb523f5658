"""`dsh` on real nodes: what it shows, its exit status, and that nothing is left behind on a node."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.terminal import Ended, run, terminal

# What a command is recognized by among the processes of a node; the pattern does not find itself.
SLEEP = "sleep 86399"
FIND = "grep -lzx '8639[9]' /proc/[0-9]*/cmdline || :"
KILL = "kill $(grep -lzx '8639[9]' /proc/[0-9]*/cmdline | cut -d/ -f3)"


@pytest.fixture(autouse=True)
def no_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor: a slow run shows no status line between the lines of nodes."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def nodes(live: Site) -> Site:
    """Three nodes that the configuration knows by their addresses alone."""
    assert live.cluster is not None
    live.nodes = {name: f"{groups} ipaddress:{live.cluster.addresses[name]}" for name, groups in live.nodes.items()}
    live.configure()
    return live


def dsh(nodes: Site, *arguments: str | bytes, data: bytes = b"", **more: str) -> Ended:
    """Run dsh."""
    return run(nodes.directory, "dsh", *arguments, data=data, more=more)


def left_behind(nodes: Site) -> dict[str, str]:
    """The nodes where the command is still under way."""
    return {name: found for name in nodes.nodes if (found := nodes.sh(name, FIND))}


class TestDocumented:
    """The lines of the documentation, as they are spelt there."""

    def test_nodes(self, nodes: Site) -> None:
        ended = run(nodes.directory, "sh", "-c", "dsh -n node1,node2,node3 date")
        assert (ended.status, ended.err) == (0, b"")
        assert [line.partition(": ")[0] for line in ended.lines()] == ["node1", "node2", "node3"]

    def test_piped(self, nodes: Site) -> None:
        """The pipe and -a show the same."""
        piped = run(nodes.directory, "sh", "-c", "dsh date +%Y | synctool-aggr")
        alone = run(nodes.directory, "sh", "-c", "dsh -a date +%Y")
        assert piped == alone
        assert (alone.status, alone.err) == (0, b"")
        first, second = alone.out.decode().splitlines()
        assert first == "node[1-3]:"
        assert second.strip().isdigit()

    def test_aggregated_date(self, nodes: Site) -> None:
        ended = run(nodes.directory, "sh", "-c", "dsh -a date")
        assert ended.status == 0
        assert ended.out.startswith(b"node")

    @pytest.mark.parametrize(
        ("options", "expected"),
        [("-g batch -X rack2", "node1"), ("-g batch,login -x node1", "node2 node3"), ("", "node1 node2 node3")],
    )
    def test_selection(self, nodes: Site, options: str, expected: str) -> None:
        ended = run(nodes.directory, "sh", "-c", f"dsh {options} hostname")
        assert ended.lines() == [f"{name}: {name}" for name in expected.split()]

    def test_options_of_pdsh_and_clush(self, nodes: Site) -> None:
        ended = dsh(nodes, "-w", "node[1-2]", "-f", "1", "-N", "hostname; hostname >&2")
        assert (ended.lines(), sorted(ended.err.split(b"\n"))) == (
            ["node1", "node2"],
            [b"", b"node1: node1", b"node2: node2"],
        )
        shown = dsh(nodes, "-n", "node1", "--unix", "-lnobody", "-oSendEnv=A B", "--options=-4 -q", "true").out.decode()
        assert " -l nobody -o 'SendEnv=A B' -4 -q " in shown
        assert dsh(nodes, "-n", "node1", "-l", "no such user", "true").status == 3
        assert dsh(nodes, "-n", "node1", "-o", "User=root", "hostname").lines() == ["node1: node1"]
        wrong = dsh(nodes, "--options", "it's", "true")
        assert (wrong.status, b"expected words for ssh like '-p 2222', not \"it's\"" in wrong.err) == (2, True)


class TestCommand:
    """What reaches the node."""

    def test_options_behind_the_command_are_its_own(self, nodes: Site) -> None:
        ended = dsh(nodes, "-n", "node1", "ls", "-a", "-n", "/etc/hostname")
        assert ended.status == 0
        assert ended.lines()[0].startswith("node1: -rw")

    def test_two_dashes_end_the_options(self, nodes: Site) -> None:
        assert dsh(nodes, "-n", "node1", "--", "echo", "--", "-x").out == b"node1: -- -x\n"

    def test_words_are_joined_as_ssh_does(self, nodes: Site) -> None:
        assert dsh(nodes, "-n", "node1", "echo", "a  b", "$HOME", ";", "echo", "'c  d'").out == (
            b"node1: a b /root\nnode1: c  d\n"
        )

    def test_hostile_commands(self, nodes: Site) -> None:
        """Quotes, newlines, `%hosts` (which means something to ClusterShell) and bytes that are no UTF-8."""
        command = b"printf '%s|' \"it's\" '$x' %h %hosts '*' \\\\ \xff\necho next # comment"
        ended = dsh(nodes, "-n", "node[1-2]", command)
        assert (ended.status, ended.err) == (0, b"")
        said = b"it's|$x|%%h|%%hosts|*|\\|\xff|next\n".replace(b"%%", b"%")
        assert sorted(ended.out.splitlines(keepends=True)) == [b"node1: " + said, b"node2: " + said]

    def test_output_is_bytes(self, nodes: Site) -> None:
        """Only a newline ends a line; the last one may be missing; standard error stays apart."""
        ended = dsh(nodes, "-n", "node1", r"printf 'a\rb\000\377\n\n\033[1mc'; printf 'no newline' >&2")
        assert ended.out == b"node1: a\rb\0\xff\nnode1: \nnode1: \x1b[1mc\n"
        assert ended.err == b"node1: no newline\n"

    def test_much_output(self, nodes: Site) -> None:
        """Ten thousand lines of each node, complete and in their order."""
        ended = dsh(nodes, "seq -f 'line %g of the output' 10000")
        assert ended.status == 0
        assert ended.out.count(b"\n") == 30000
        for name in nodes.nodes:
            prefix = f"{name}: ".encode()
            found = [line.removeprefix(prefix) for line in ended.out.splitlines() if line.startswith(prefix)]
            assert found == [b"line %d of the output" % number for number in range(1, 10001)]

    def test_busybox(self, nodes: Site) -> None:
        assert nodes.cluster is not None
        nodes.nodes = {"node5": f"batch ipaddress:{nodes.cluster.addresses['node5']}"}
        nodes.configure()
        ended = dsh(nodes, "readlink -f /bin/sh; exit 5")
        assert (ended.status, ended.lines()) == (5, ["node5: /usr/bin/busybox"])

    def test_so_many_at_once_in_the_order_of_the_configuration(self, nodes: Site) -> None:
        ended = dsh(nodes, "-p", "1", "hostname")
        assert ended.out == b"node1: node1\nnode2: node2\nnode3: node3\n"

    def test_unix_runs_nothing(self, nodes: Site) -> None:
        """The lines can be given to a shell."""
        trap = nodes.directory / "ssh"
        trap.write_text(f"#!/bin/sh\ntouch {nodes.directory}/contacted\n")
        trap.chmod(0o755)
        ended = dsh(nodes, "--unix", "-n", "node1", "echo it\\'s $PWD", PATH=f"{nodes.directory}:{os.environ['PATH']}")
        assert (ended.status, ended.err) == (0, b"")
        assert not (nodes.directory / "contacted").exists()
        shown = subprocess.run(["sh", "-c", ended.out], capture_output=True, check=True)
        assert shown.stdout == b"it's /root\n"
        verbose = dsh(nodes, "-v", "-n", "node1", "echo it\\'s $PWD")
        remark, _, lines = verbose.err.partition(b"\n")
        assert remark == f"configuration: {nodes.directory / 'synctool.conf'}".encode()
        assert (verbose.out, lines) == (b"node1: it's /root\n", ended.out + b"node1: exit status 0\n")


class TestInput:
    """Standard input goes to all."""

    def test_to_all(self, nodes: Site) -> None:
        """To those as well whose turn comes when it has long been read."""
        data = os.urandom(3_000_000)
        digest = hashlib.md5(data).hexdigest()
        for options in ([], ["-p", "1"]):
            ended = dsh(nodes, *options, "md5sum", data=data)
            assert ended.lines() == [f"{name}: {digest}  -" for name in nodes.nodes]

    def test_an_input_without_an_end(self, nodes: Site) -> None:
        ended = run(nodes.directory, "sh", "-c", "yes | dsh -p 2 head -n 100000 | sort | uniq -c | tr -s ' '")
        assert ended.lines() == [f" 100000 {name}: y" for name in nodes.nodes]

    def test_a_command_that_takes_none(self, nodes: Site) -> None:
        ended = dsh(nodes, "exec <&-; echo done", data=b"x" * 1_000_000)
        assert (ended.status, ended.lines()) == (0, [f"{name}: done" for name in nodes.nodes])

    def test_not_for_the_command(self, nodes: Site) -> None:
        """As in a loop over lines, which would lose them."""
        script = "printf 'a\\nb\\n' | while read -r line; do dsh --no-stdin -n node1 \"cat; echo $line\"; done"
        assert run(nodes.directory, "sh", "-c", script).out == b"node1: a\nnode1: b\n"

    @pytest.mark.parametrize("redirection", ["<&-", "</dev/null", "</dev/zero", "<synctool.conf"])
    def test_kinds_of_input(self, nodes: Site, redirection: str) -> None:
        ended = run(nodes.directory, "sh", "-c", f"dsh -n node1 'head -c 9 | wc -c' {redirection}")
        assert ended.lines() == [f"node1: {9 if 'zero' in redirection or 'conf' in redirection else 0}"]

    def test_a_terminal_is_not_for_the_command(self, nodes: Site) -> None:
        with terminal(nodes.directory, "dsh", "-n", "node1", "cat; echo done") as shell:
            assert shell.end() == 0
        assert shell.shown == b"node1: done\r\n"


class TestCommandsFromInput:
    """Without a command, those on standard input run one after another."""

    def test_from_a_pipe(self, nodes: Site) -> None:
        lines = b"hostname; cat; exit 4\n\n # a comment\necho $$ | tr -d 0-9; echo '\xe4 b'\r\nexit 5\nexit\nfalse"
        ended = dsh(nodes, "-n", "node[1-2]", data=lines)
        assert (ended.status, ended.lines()) == (
            5,
            [f"node{n}: {text}" for n in (1, 2) for text in ("", f"node{n}", "\udce4 b")],
        )
        assert ended.errors() == [f"node{n}: exit status {status}" for n in (1, 2) for status in (4, 5)]
        assert dsh(nodes, "-n", "node1", "-l", "no such user", data=b"true\n").status == 3
        assert dsh(nodes, "-a", data=b"echo a\nexit 1\necho b\n").out == b"node[1-3]:\n    a\nnode[1-3]:\n    b\n"
        assert len(dsh(nodes, "--unix", data=b"date\nuptime\n").lines()) == 6

    @pytest.mark.parametrize("redirection", ["<&-", "</dev/null", "<empty", "<nul", "<long"])
    def test_no_command(self, nodes: Site, redirection: str) -> None:
        """Nothing that was run is never a success."""
        (nodes.directory / "empty").write_text("\n# nothing\n")
        (nodes.directory / "nul").write_bytes(b"ec\0ho\n")
        (nodes.directory / "long").write_bytes(b"x" * 200_000)
        ended = run(nodes.directory, "sh", "-c", f"dsh {redirection}")
        assert (ended.status, ended.out) == (2, b"")
        expected = {
            "<nul": b"standard input: line 1 has a NUL byte, so it is not a command\n",
            "<long": b"standard input: line 1 has more than 131,072 bytes, so it is not a command\n",
        }
        no_command = (
            b"no command: expected one behind the options, like `dsh uptime`, or one a line on standard input\n"
        )
        assert ended.err == expected.get(redirection, no_command)

    def test_at_a_prompt(self, nodes: Site) -> None:
        """Ctrl-C ends a command and not dsh; the end of the input ends it with the worst exit status."""
        prompt = b"dsh on 2 nodes> "
        with terminal(nodes.directory, "dsh", "-n", "node[1-2]", INPUTRC="/dev/null", TERM="dumb") as shell:
            shell.until(prompt)
            shell.type(b"hostname; exit 7\n")
            for name in ("node1", "node2"):
                shell.until(f"{name}: {name}\r\n".encode())
                shell.until(f"{name}: exit status 7\r\n".encode())
            shell.until(b"7\r\n" + prompt)
            shell.type(f"echo begun; {SLEEP}\n".encode())
            for name in ("node1", "node2"):
                shell.until(f"{name}: begun\r\n".encode())
            shell.type(b"\x03")
            shell.until(b"dsh: ended: node[1-2]\r\n" + prompt)
            shell.type(b"echo the $((1 + 1))nd\n")
            for name in ("node1", "node2"):
                shell.until(f"{name}: the 2nd\r\n".encode())
            shell.until(b"the 2nd\r\n" + prompt)  # before that the terminal itself would take the key
            shell.type(b"\x04")
            assert shell.end() == 7
        assert left_behind(nodes) == {}


# Shows its words, input, place and umask; it has what quoting could spoil, and no newline at its end.
SCRIPT = r"""#!/bin/sh
printf '%s\n' "it's `echo $1`" 'a\\b !"' "${0##*/} $(umask)" # \303\244
cat
[ -z "$2" ] || exec sleep 86399
exit 3"""


def plant(nodes: Site, name: str, text: str, mode: int = 0o755) -> Path:
    """A file in scripts/."""
    path = nodes.masterdir / "scripts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


class TestScripts:
    """A command of scripts/ is found by its name and brought."""

    def test_brought(self, nodes: Site) -> None:
        nodes.nodes["node5"] = "batch"
        nodes.configure()
        plant(nodes, "hupdaemon.sh", SCRIPT)
        texts = ["it's a b", 'a\\\\b !"', "hupdaemon.sh 0022", "in", "it's c", 'a\\\\b !"', "hupdaemon.sh 0022"]
        command = ["hupdaemon.sh", "'a  b'", ";", "hupdaemon.sh", "c"]
        for options, names in ([[], ("node1", "node5")], [["--sudo"], ("node1",)]):
            ended = dsh(nodes, *options, "-n", ",".join(names), *command, data=b"in\n")
            assert ended.lines() == sorted(f"{name}: {text}" for name in names for text in texts)
            assert ended.status == 3
            assert [line for line in ended.errors() if "unable to resolve host" not in line] == [
                f"{name}: exit status 3" for name in names
            ]
        with terminal(nodes.directory, "dsh", "-n", "node[1,5]", "hupdaemon.sh", "a", "sleep") as shell:
            for name in ("node1", "node5"):
                shell.until(f"{name}: hupdaemon.sh".encode())
            shell.type(b"\x03")
            assert shell.end() == 130
        assert left_behind(nodes) == {}
        for name in ("node1", "node5"):
            assert nodes.sh(name, "ls -d /tmp/synctool-* /var/tmp/synctool-* 2>&- || :") == ""

    def test_refused(self, nodes: Site) -> None:
        """What others can write, what is no program, what does not fit; a path is never one of them."""
        path = plant(nodes, "hostname", "#!/bin/sh\necho the script")
        assert dsh(nodes, "-n", "node1", "hostname; /bin/hostname").out == b"node1: the script\nnode1: node1\n"
        for mode, text, reason in (
            (0o777, "", f"{path} is not trusted: "),
            (0o644, "", f"{path} is not executable: chmod +x it, or give the path of another hostname"),
            (0o755, "x\0", f"{path} cannot be brought by dsh: it has NUL bytes: use dcp, and dsh with its path"),
            (0o755, "x" * 200_000, f"{path} cannot be brought by dsh: "),
            (0o755, "'" * 100_000, f"{path} cannot be brought by dsh: it is too long: use dcp"),
        ):
            plant(nodes, "hostname", text, mode)
            ended = dsh(nodes, "hostname")
            assert (ended.status, ended.out) == (2, b"")
            assert ended.err.decode().startswith(reason)

    def test_on_the_nodes_already(self, nodes: Site) -> None:
        """--skip-rsync: what they have is run."""
        path = plant(nodes, "only-here", "#!/bin/sh\necho brought")
        there = f"mkdir -p {path.parent}; echo 'echo was there' >{path}; chmod 755 {path}"
        nodes.sh("node1", there)
        ended = dsh(nodes, "-n", "node[1-2]", "--skip-rsync", "only-here")
        nodes.sh("node1", f"rm -r {path.parent}")
        assert (ended.status, ended.out) == (127, b"node1: was there\n")


class TestStatus:
    """The exit status, worst first: a node not reached, a time limit, what a command has said."""

    @pytest.mark.parametrize(
        ("command", "status"),
        [("true", 0), ("[ $(hostname) != node2 ]", 1), ("exit ${HOSTNAME#node}", 3), ("exit 254", 254)],
    )
    def test_of_the_commands(self, nodes: Site, command: str, status: int) -> None:
        ended = dsh(nodes, f"HOSTNAME=$(hostname); {command}")
        assert (ended.status, ended.out) == (status, b"")
        said = [line.partition(": exit status ")[2] for line in ended.errors()]
        assert max((int(number) for number in said), default=0) == status
        assert dsh(nodes, "-q", command).err == b""

    def test_255_of_the_command_is_its_own(self, nodes: Site) -> None:
        ended = dsh(nodes, "echo said >&2; exit 255")
        assert ended.status == 255
        assert ended.errors()[:2] == [
            "node1: exit status 255, or ended by a signal or with its connection",
            "node1: said",
        ]

    def test_unreachable_is_worst(self, nodes: Site) -> None:
        """The others have done their work."""
        nodes.nodes["dead1"] = "batch ipaddress:127.0.0.1"
        nodes.configure()
        ended = dsh(
            nodes, "--timeout=1", "hostname; [ $(hostname) != node1 ] || exit 9; [ $(hostname) != node2 ] || sleep 60"
        )
        assert ended.status == 3
        assert ended.lines() == ["node1: node1", "node2: node2", "node3: node3"]
        assert ended.errors() == [
            "dead1: unreachable: Connection refused",
            "node1: exit status 9",
            "node2: not done within 1 s",
        ]

    def test_a_time_limit_is_worse_than_a_status(self, nodes: Site) -> None:
        ended = dsh(nodes, "--timeout=1", f"[ $(hostname) != node1 ] || exit 255; [ $(hostname) != node2 ] || {SLEEP}")
        assert ended.status == 124
        assert "node2: not done within 1 s" in ended.errors()
        assert left_behind(nodes) == {}

    def test_aggregated(self, nodes: Site) -> None:
        """What there is to say of nodes is grouped too, on standard error."""
        nodes.nodes |= {f"dead{number}": "batch ipaddress:127.0.0.1" for number in range(3)}
        nodes.configure()
        ended = dsh(nodes, "-a", "echo out; echo err >&2; exit 4")
        assert (ended.status, ended.out) == (3, b"node[1-3]:\n    out\n")
        assert ended.err.decode() == (
            "dead[0-2]:\n    unreachable: Connection refused\nnode[1-3]:\n    err\n    exit status 4\n"
        )


class TestTrouble:
    """Nodes that do not answer, or answer wrongly."""

    def test_down(self, nodes: Site, cluster: EmbeddedCluster) -> None:
        cluster.stop("node2")
        try:
            ended = dsh(nodes, "hostname")
        finally:
            cluster.start("node2")
        assert (ended.status, ended.lines()) == (3, ["node1: node1", "node3: node3"])
        assert ended.errors() == ["node2: unreachable: Connection refused"]

    def test_hung(self, nodes: Site, cluster: EmbeddedCluster) -> None:
        """A node that takes connections and says nothing is given up."""
        cluster.freeze("node2")
        try:
            late = dsh(nodes, "--connect-timeout=60", "--timeout=2", "hostname")
            soon = dsh(nodes, "--connect-timeout=1", "hostname")
        finally:
            cluster.thaw("node2")
        for ended in (late, soon):
            assert (ended.status, ended.lines()) == (3, ["node1: node1", "node3: node3"])
        assert late.errors() == ["node2: unreachable: no answer within 2 s"]
        assert soon.errors() == ["node2: unreachable: Connection timed out during banner exchange"]

    def test_hangs_on_the_way(self, nodes: Site, cluster: EmbeddedCluster) -> None:
        """The command has begun there: that it could not be ended is said."""
        with terminal(
            nodes.directory, "dsh", "--timeout=3", f"echo begun; [ $(hostname) != node2 ] || {SLEEP}"
        ) as shell:
            try:
                shell.until(b"node2: begun")
                cluster.freeze("node2")
                assert shell.end() == 124
            finally:
                cluster.thaw("node2")
        assert b"node2: not done within 3 s" in shell.shown
        assert b"node2: could not be stopped: no answer within 6 s" in shell.shown
        nodes.sh("node2", KILL)

    def test_connection_cut(self, nodes: Site) -> None:
        """The end of the connection is told from the end of the command."""
        cut = "read -r pid name state parent rest </proc/$$/stat; kill -9 $parent; " + SLEEP
        ended = dsh(nodes, f"[ $(hostname) != node2 ] || {{ {cut}; }}")
        assert ended.status == 3
        assert "node2: unreachable: Connection to 127." in ended.errors()[-1]
        assert ended.errors()[-1].endswith(" closed by remote host")
        nodes.sh("node2", KILL)

    def test_a_login_that_reads_gets_nothing_of_the_input(self, nodes: Site) -> None:
        """The input is sent when the command has announced itself."""
        for name, text in (("node1", "while read -r -t 1 x; do :; done"), ("node2", "timeout 1 cat >/dev/null")):
            nodes.sh(name, f"echo '{text}' >/root/.bashrc")
        try:
            ended = dsh(nodes, "-n", "node[1-2]", "cat", data=b"one\ntwo\n")
            nodes.sh("node1", "echo 'cat >/dev/null' >/root/.bashrc")
            empty = dsh(nodes, "-n", "node1", "echo ran")  # an empty input ends at once
        finally:
            nodes.sh("node1", "rm /root/.bashrc")
            nodes.sh("node2", "rm /root/.bashrc")
        assert (ended.status, ended.lines()) == (0, [f"node{n}: {x}" for n in (1, 2) for x in ("one", "two")])
        assert (empty.status, empty.lines()) == (0, ["node1: ran"])

    def test_wrong_host_key(self, nodes: Site, cluster: EmbeddedCluster) -> None:
        """Host key checks are never loosened."""
        known = nodes.directory / "known_hosts"
        known.write_text(
            f"[{cluster.addresses['node1']}]:{cluster.port} ssh-ed25519 "
            "AAAAC3NzaC1lZDI1NTE5AAAAIJm9qyV6zuJBBSlFhqs8xPpbOEQMPmfyxIGBXGbyAhmD\n"
        )
        conf = nodes.configure()
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd ssh -oUserKnownHostsFile={known}"))
        ended = dsh(nodes, "-n", "node1", "hostname")
        assert (ended.status, ended.out) == (3, b"")
        (line,) = ended.errors()
        assert line.startswith("node1: unreachable: Host key verification failed: ")

    def test_no_password_is_asked_for(self, nodes: Site) -> None:
        nodes.nodes = {"node1": "batch connection:ssh://no-such-user@node1"}
        nodes.configure()
        with terminal(nodes.directory, "dsh", "hostname") as shell:
            assert shell.end() == 3
        assert b"node1: unreachable: no-such-user@127." in shell.shown
        assert b"Permission denied" in shell.shown

    def test_no_ssh(self, nodes: Site) -> None:
        conf = nodes.configure()
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", "ssh_cmd no-such-ssh"))
        ended = dsh(nodes, "hostname")
        assert (ended.status, ended.out) == (2, b"")
        assert ended.errors() == [f"{conf}: 'ssh_cmd': there is no command 'no-such-ssh' on this machine"]


class TestInterrupted:
    """Ctrl-C and its like end the commands on the nodes."""

    def test_by_ctrl_c(self, nodes: Site) -> None:
        """And it is said which nodes were done."""
        command = f"echo begun; [ $(hostname) = node1 ] || {SLEEP}"
        with terminal(nodes.directory, "dsh", "-p", "2", command) as shell:
            shell.until(b"node2: begun")
            shell.until(b"node3: begun")
            shell.type(b"\x03")
            assert shell.end() == 130
        assert left_behind(nodes) == {}
        assert shell.shown.decode().partition("^C")[2].splitlines() == [
            "dsh: interrupted, ending the commands on the nodes (interrupt again to leave them running)",
            "dsh: done: node1",
            "dsh: ended: node[2-3]",
        ]

    def test_before_the_command_is_known_to_have_begun(self, nodes: Site) -> None:
        """Its output may be faster than the word that tells its process group."""
        slow = nodes.directory / "slow-ssh"
        slow.write_text('#!/bin/bash\nexec ssh "$@" 2> >(sleep 1; exec cat >&2)\n')
        slow.chmod(0o755)
        conf = nodes.configure()
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {slow}"))
        with terminal(nodes.directory, "dsh", f"echo begun; {SLEEP}") as shell:
            for name in nodes.nodes:
                shell.until(f"{name}: begun".encode())
            shell.type(b"\x03")
            assert shell.end() == 130
        assert left_behind(nodes) == {}
        assert shell.shown.endswith(b"\r\ndsh: ended: node[1-3]\r\n")

    def test_nodes_that_were_waiting(self, nodes: Site) -> None:
        with terminal(nodes.directory, "dsh", "-p", "1", f"echo begun; {SLEEP}") as shell:
            shell.until(b"node1: begun")
            shell.type(b"\x03")
            assert shell.end() == 130
        assert shell.shown.endswith(b"dsh: ended: node1\r\ndsh: not begun: node[2-3]\r\n")

    def test_what_was_said_is_told(self, nodes: Site) -> None:
        """With -a too."""
        mark = f"{nodes.top}-mark"
        with terminal(nodes.directory, "dsh", "-v", "-a", f"echo begun; mkdir -p {mark}; {SLEEP}") as shell:
            for name in nodes.nodes:
                nodes.sh(name, f"until [ -d {mark} ]; do sleep 0.02; done")
            shell.type(b"\x03")
            assert shell.end() == 130
        assert b"node[1-3] (3):\r\n    begun\r\n" in shell.shown
        assert left_behind(nodes) == {}

    def test_a_command_that_does_not_listen(self, nodes: Site) -> None:
        """It is killed."""
        with terminal(nodes.directory, "dsh", f"trap '' INT TERM HUP; echo begun; {SLEEP}; {SLEEP}") as shell:
            for name in nodes.nodes:
                shell.until(f"{name}: begun".encode())
            shell.type(b"\x03")
            assert shell.end() == 130
        assert b"dsh: ended: node[1-3]\r\n" in shell.shown
        assert left_behind(nodes) == {}

    def test_twice(self, nodes: Site, cluster: EmbeddedCluster) -> None:
        """The second time it ends at once, and says what is not known."""
        with terminal(nodes.directory, "dsh", "-n", "node2", f"echo begun; {SLEEP}") as shell:
            shell.until(b"node2: begun")
            cluster.freeze("node2")
            try:
                shell.type(b"\x03")
                shell.until(b"dsh: interrupted")
                shell.type(b"\x03")
                assert shell.end() == 130
            finally:
                cluster.thaw("node2")
        assert b"dsh: may still be running: node2 (it has not answered)\r\n" in shell.shown
        nodes.sh("node2", KILL)

    @pytest.mark.parametrize(("signal", "status"), [("TERM", 143), ("HUP", 129)])
    def test_by_other_signals(self, nodes: Site, signal: str, status: int) -> None:
        script = f"dsh 'echo begun; {SLEEP}' & echo $!; wait $!; echo status $?"
        with terminal(nodes.directory, "sh", "-c", script) as shell:
            for name in nodes.nodes:
                shell.until(f"{name}: begun".encode())
            pid = shell.shown.split()[0].decode()
            subprocess.run(["kill", f"-{signal}", pid], check=True)
            shell.end()
        assert f"status {status}".encode() in shell.shown
        assert left_behind(nodes) == {}

    def test_by_a_reader_that_goes_away(self, nodes: Site) -> None:
        """`dsh ... | head -1`"""
        script = f"dsh 'while echo line; do sleep 0.1; done; {SLEEP}' | head -1; echo ${{PIPESTATUS[0]}}"
        ended = run(nodes.directory, "bash", "-c", script)
        assert ended.out.splitlines()[1:] == [b"141"]
        assert ended.err == b""
        assert left_behind(nodes) == {}


def test_a_line_shows_for_whom_it_waits(nodes: Site) -> None:
    """It is on a terminal alone, and makes way for output and for the message after Ctrl-C. -v tells the end."""
    command = f"[ $(hostname) != node1 ] || exit 4; echo begun; [ $(hostname) = node2 ] || exec {SLEEP}"
    with terminal(nodes.directory, "dsh", "-v", command, TERM="xterm", CI="", BUILD_NUMBER="") as shell:
        shell.until(b"node2: exit status 0\r\n")
        shell.until(b"\rdsh: 2 of 3 nodes, 1 failed; out for 3 s: node3\x1b[K")
        shell.type(b"\x03")
        assert shell.end() == 130
    assert b"\r\x1b[Kdsh: interrupted" in shell.shown.replace(b"^C", b"")
    assert b"node1: exit status 4\r\n" in shell.shown
    assert left_behind(nodes) == {}
    assert dsh(nodes, "-q", "hostname", TERM="xterm").err == b""


def test_few_files_may_be_open(nodes: Site) -> None:
    """Then fewer nodes are gone to at once, and all of them in the end."""
    ended = run(nodes.directory, "sh", "-c", "ulimit -n 70; dsh -a hostname -s; ulimit -Sn 20; dsh -a echo done")
    assert (ended.status, ended.err) == (0, b"")
    assert ended.out.count(b":\n") == 4


def test_a_command_that_is_too_long(nodes: Site) -> None:
    ended = dsh(nodes, "-n", "node1", "echo " + "x" * 100_000, "y" * 100_000)
    assert (ended.status, ended.out) == (2, b"")
    assert b"Argument list too long" in ended.err


def test_connections_of_other_kinds(nodes: Site) -> None:
    """This machine, a chroot, a container's stand-in; and one that nobody knows is an error of its node."""
    stand_in = nodes.directory / "docker"
    stand_in.write_text('#!/bin/sh\n[ "$1 $2 $3" = "exec -i c1" ] || exit 125\nshift 3\nexec "$@"\n')
    stand_in.chmod(0o755)
    nodes.nodes = {
        "here": "a connection:local://",
        "image": "a connection:chroot:///",
        "web1": "a connection:docker://c1",
        "gone": "a connection:docker://c2",
        "pigeon": "a connection:carrier-pigeon://x",
    }
    nodes.configure()
    ended = dsh(nodes, "cat; echo $0; exit 3", data=b"input\n", PATH=f"{nodes.directory}:{os.environ['PATH']}")
    assert ended.status == 3
    assert [line for line in ended.lines() if line.endswith(": input")] == [
        "here: input",
        "image: input",
        "web1: input",
    ]
    assert ended.errors() == [
        "gone: unreachable: the connection ended without a message",
        "here: exit status 3",
        "image: exit status 3",
        "pigeon: unreachable: dsh and dcp cannot use a connection carrier-pigeon://, "
        "only ssh, docker, podman, kubectl, chroot and local",
        "web1: exit status 3",
    ]


def test_no_program_for_a_connection(nodes: Site) -> None:
    nodes.nodes = {"pod": "a connection:kubectl://p1"}
    nodes.configure()
    ended = dsh(nodes, "hostname", PATH=str(nodes.directory))
    assert (ended.status, ended.errors()) == (3, ["pod: unreachable: there is no command 'kubectl' on this machine"])


def test_local_commands_are_ended(nodes: Site) -> None:
    """With all that they have started."""
    nodes.nodes = {"here": "a connection:local://"}
    nodes.configure()
    mark = nodes.directory / "pids"
    ended = dsh(nodes, "--timeout=1", f"{SLEEP} & echo $! >{mark}; wait")
    assert (ended.status, ended.errors()) == (124, ["here: not done within 1 s"])
    state = Path(f"/proc/{mark.read_text().strip()}/stat")
    assert not state.exists() or ") Z " in state.read_text()


def test_ping(nodes: Site, cluster: EmbeddedCluster) -> None:
    """A node that is down, one whose login hangs or is not one, one that no program reaches: each with its reason."""
    nodes.nodes |= {"node5": "batch", "odd9": "batch connection:no-such-scheme://x", "gone1": "none"}
    nodes.configure()
    nodes.sh("node3", "echo 'echo noise; [ $NOISY ] || exec sleep 86399' >/root/.bashrc")
    nodes.sh("node1", "echo 'echo noise' >/root/.bashrc")
    cluster.stop("node2")
    try:
        ended = run(nodes.directory, "dsh-ping", "--timeout=5")
        quiet = run(nodes.directory, "dsh-ping", "-qa", "-n", "node[1-2]")
        well = run(nodes.directory, "dsh-ping", "-n", "node[1,5]")
        silent = run(nodes.directory, "dsh-ping", "-q", "-n", "node[1,5]")
        shown = run(nodes.directory, "dsh-ping", "--unix", "-n", "node1")
        mistaken = run(nodes.directory, "dsh-ping", "-n", "node7")
    finally:
        cluster.start("node2")
        nodes.sh("node3", KILL)
        for name in ("node1", "node3"):
            nodes.sh(name, "rm /root/.bashrc")
    assert (ended.status, ended.err) == (3, b"")
    assert ended.out.decode().splitlines() == [
        "node[1,5]: reachable",
        "odd9: unreachable: dsh and dcp cannot use a connection no-such-scheme://, only ssh, docker, podman, kubectl, "
        "chroot and local",
        "node2: unreachable: Connection refused",
        "node3: unreachable: no answer within 5 s",
    ]
    assert quiet == Ended(3, b"node2: unreachable: Connection refused\n", b"")
    assert well == Ended(0, b"node[1,5]: reachable\n", b"")
    assert silent == Ended(0, b"", b"")
    assert (shown.status, shown.out.startswith(b"ssh "), shown.out.count(b"\n")) == (0, True, 1)
    assert (mistaken.status, mistaken.out) == (2, b"")

"""Rendered and decrypted contents on real nodes: repaired, confirmed, in the mirror, and nowhere else."""

from __future__ import annotations

import codecs
import hashlib
import shlex
from pathlib import Path

import pytest

from tests_meta.gate import MakeGate, running
from tests_meta.inside import inside
from tests_meta.site import Site

ENCODED = "Pbeerpg-Ubefr-Onggrel"
SECRET = codecs.decode(ENCODED, "rot13")  # not in this file, which may lie on a node
ODD = "we ird'$(x) \u00e9"
# As ssh, this looks for the secret in all files that the run has open, deleted ones too, or has left in its TMPDIR.
# A number may have become the pipe of another ssh since, whose data grep would take away.
WATCHING = """
look() { [ ! -f /dev/fd/8 ] || ! grep -qas Correct-Horse || readlink "$1" >>LEAKS; }
for f in /proc/$PPID/fd/*; do [ ! -f "$f" ] || look "$f" 8<"$f" <&8; done
grep -ras Correct-Horse "$TMPDIR" >>LEAKS
case $* in *Correct-Horse*) echo "in a command line" >>LEAKS ;; esac
exec ssh "$@"
"""


@pytest.fixture
def three(live: Site) -> Site:
    """node1 and node2 in a group, and node5, which has BusyBox and nothing else."""
    live.nodes = {"node1": "batch", "node2": "batch", "node5": "login"}
    live.lines += ["var ntp ntp1", "var ntp._node2 ntp2", "var motd._batch 'quoted' $(touch /pwned) \\n"]
    return live


def rules(site: Site, *lines: str) -> None:
    (site.masterdir / "attributes.yaml").write_text("".join(f"- {{{line}}}\n" for line in lines))


def test_templates_are_repaired_confirmed_and_mirrored(three: Site) -> None:
    site = three
    site.put(
        "f._template._all",
        "{{ node.name }} {{ vars.ntp }}\n{% if 'batch' in node.groups %}{{ vars.motd }}\n{% endif %}",
    )
    site.put("run._template._batch", "#!/bin/sh\necho {{ cluster.nodes | join(' ') }}\n", 0o755)
    site.put(f"{ODD}._template._all", "{{ node.address }}", 0o640)
    site.put("plain._all", "{{ vars.ntp }} by a rule")
    site.script("f.post", "#!/bin/sh\ncat f >f.seen\n")
    rules(site, f"path: {site.top}/plain, template: yes", f"path: {site.top}/run, group: daemon")
    site.sh("node1", "mkdir -p @; chmod 755 @ /data; printf 'node1 old\\n' >@/f; chmod 644 @/f")
    audit = site.pytest("--hosts=node1", "--explain")
    assert "-node1 old" in audit.message("node1", f"{site.top}/f")
    assert "+node1 ntp1" in audit.message("node1", f"{site.top}/f")
    assert f"rendered from overlay{site.top}/f._template._all" in audit.message("node1", f"{site.top}/f")
    run = site.pytest("--fix")
    assert run.status == 0, run.output
    motd = "'quoted' $(touch /pwned) \\n"
    expected = {"node1": f"node1 ntp1\n{motd}\n", "node2": f"node2 ntp2\n{motd}\n", "node5": "node5 ntp1\n"}
    for node, text in expected.items():
        assert site.sh(node, "cat @/f") == site.sh(node, "cat @/f.seen") == text
        assert site.sh(node, f"cat @/{shlex.quote(ODD)}; stat -c %a @/{shlex.quote(ODD)}").endswith("640\n")
        assert site.sh(node, "ls /pwned 2>&- || :") == ""
        mirror = site.sh(node, f"cd {site.masterdir} && find . -type f")
        assert f".{site.top}/f._all" in mirror.replace("./overlay", ".")
        assert "_template" not in mirror
    assert site.sh("node1", "@/run; stat -c '%a %G' @/run") == "node1 node2 node5\n755 daemon\n"
    assert site.sh("node2", "cat @/plain") == "ntp2 by a rule"
    again = site.pytest("-n2")
    assert (again.status, again.count("failure")) == (0, 0), again.output
    # A change of a variable is drift of the nodes that it is for, and their mirrors follow.
    site.lines[-2] = "var ntp._node2 ntp3"
    changed = site.pytest()
    assert [node for node in expected if changed.word(node, f"{site.top}/f") == "failure"] == ["node2"]
    assert site.pytest("--fix", "--hosts=node2").status == 0
    with inside(site, "node2") as alone:
        alone.configure()
        run = alone.pytest("--hosts=localhost")
        assert run.status == 0, run.output


def test_errors_stop_the_run_before_a_node_is_touched(three: Site) -> None:
    three.put("f._template._all", "\n{{ vars.nope }}\n")
    three.put("g._template._batch", "{{ vars.slots }}\n")
    log = three.directory / "calls"
    wrapper = three.directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    for option in ("--fix", "-v"):
        command = three.command(option)
        conf = three.directory / "synctool.conf"
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
        run = three.pytest(command=command)
        assert run.status == 4
        overlay = f"{three.masterdir}/overlay{three.top}"
        assert f"{overlay}/f._template._all:2: variable 'nope' is not set, for node[1-2,5]" in run.output
        assert f"{overlay}/g._template._batch:1: variable 'slots' is not set, for node[1-2]" in run.output
        assert "Traceback" not in run.output
    assert not log.exists()


@pytest.mark.parametrize("how", ["rsync:no", "--skip-rsync"])
def test_a_node_without_a_mirror_gets_made_files(three: Site, how: str) -> None:
    """Not the text of the template, which it may have in a masterdir that it shares; and nothing of it stays there."""
    site = three
    nodes = {"node1": "batch", "node5": "login"}
    site.nodes = {node: f"{groups} rsync:no" if how == "rsync:no" else groups for node, groups in nodes.items()}
    site.lines = [line for line in site.lines if "node2" not in line]
    site.put("f._all", "{{ vars.ntp }}\n")
    site.put("sub/key._all", ENCODED, 0o600)
    site.put("plain._all", "plain\n")
    site.script("f.post", "#!/bin/sh\ncat f >f.seen\n")
    rules(
        site,
        f"path: {site.top}/f, template: yes, validate: grep -q ntp %s",
        f"path: {site.top}/sub/key, decrypt: '{decrypting(site)} %s'",
    )
    shared = f"{site.masterdir}/overlay{site.top}"
    for node in nodes:
        site.sh(node, f"mkdir -p @ {shared}; chmod 755 @ /data; echo '{{{{ vars.ntp }}}}' >{shared}/f._all")
        site.sh(node, f"echo plain >{shared}/plain._all; cp -p /bin/true {shared}/f.post")
    leaks = site.directory / "leaks"
    wrapper = site.directory / "ssh"
    wrapper.write_text("#!/bin/sh\n" + WATCHING.replace("LEAKS", str(leaks)))
    wrapper.chmod(0o755)
    command = site.command("--fix", *([how] if how == "--skip-rsync" else []))
    conf = site.directory / "synctool.conf"
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    (site.directory / "tmp").mkdir()
    run = site.pytest(command=command, environment={"TMPDIR": str(site.directory / "tmp")})
    assert run.status == 0, run.output
    assert leaks.read_text() == ""
    for node in nodes:
        assert site.sh(node, "cat @/f @/sub/key; stat -c %a @/sub/key") == f"ntp1\n{SECRET}600\n"
        assert site.sh(node, "cat @/plain") == "plain\n"
        look = f"grep -rl {SECRET} /var/lib /tmp {site.masterdir} 2>&-; ls /var/lib/pytest-synctool/made 2>&- || :"
        assert site.sh(node, look) == ""
    assert site.pytest().status == 0


@pytest.mark.parametrize("killed", ["controller", "both", "push"])
def test_secrets_that_a_killed_repair_has_left_go_away(live: Site, gate: MakeGate, killed: str) -> None:
    """Nobody but root can see them until the next repair, which needs none of them."""
    live.nodes = {"node1": "batch rsync:no"}
    live.put("key._all", ENCODED, 0o600)
    rules(live, f"path: {live.top}/key, decrypt: '{decrypting(live)} %s'")
    live.sh("node1", "mkdir -p @; chmod 755 @ /data")
    one = gate("node1", "tar", when="after") if killed == "push" else gate("node1", "mv")
    with running(live) as run:
        one.wait()
        run.kill()
        if killed != "controller":
            one.kill("shell")
    one.open()
    look = f"grep -rls {SECRET} /var/lib/pytest-synctool || :"
    assert live.sh("node1", look) != ""
    assert live.sh("node1", f'su -s /bin/sh -c "{look}" nobody') == ""
    live.sh("node1", f"printf {SECRET} >@/key; chmod 600 @/key")
    again = live.pytest("--fix")
    assert again.status == 0, again.output
    assert again.word("node1", f"{live.top}/key") == "passed"
    assert live.sh("node1", look) == ""


def decrypting(site: Site) -> Path:
    """A command that decrypts, and counts how often it is called."""
    program = site.directory / "decrypt"
    program.write_text(f'#!/bin/sh\necho "$1" >>{site.directory}/decrypted\nexec tr A-Za-z N-ZA-Mn-za-m <"$1"\n')
    program.chmod(0o755)
    return program


def test_decrypted_contents_are_nowhere_but_on_the_nodes(three: Site) -> None:
    site = three
    site.put("key._all", ENCODED, 0o644)
    site.put("conf._template._all", f"{{{{ abqr.anzr }}}} {ENCODED}\n", 0o644)
    site.put("other._all", "plain\n")
    rules(
        site,
        f"path: [{site.top}/key, {site.top}/conf], decrypt: '{decrypting(site)} %s'",
    )
    for node in site.nodes:
        site.sh(node, "mkdir -p @; echo other >@/key; chmod 755 @ /data; chmod 644 @/key")
    temporary, leaks = site.directory / "tmp", site.directory / "leaks"
    temporary.mkdir()
    wrapper = site.directory / "ssh"
    wrapper.write_text("#!/bin/sh\n" + WATCHING.replace("LEAKS", str(leaks)))
    wrapper.chmod(0o755)
    outputs = []
    for options, status in ((("--explain", "-vv"), 1), (("--fix", "-v"), 0), ((), 0)):
        command = site.command(*options, f"--synctool-reports={site.directory / 'reports'}")
        conf = site.directory / "synctool.conf"
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
        run = site.pytest(command=command, environment={"TMPDIR": str(temporary)})
        assert run.status == status, run.output
        assert "brought by tar" not in run.output
        outputs.append(run.output)
        assert len((site.directory / "decrypted").read_text().split()) == 2  # once for a file
        (site.directory / "decrypted").unlink()
        for path in site.directory.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path
                assert hashlib.md5(SECRET.encode()).hexdigest().encode() not in path.read_bytes(), path
    assert not leaks.exists() or leaks.read_text() == ""
    assert SECRET not in "".join(outputs)
    for node in site.nodes:
        assert site.sh(node, "cat @/key @/conf @/other") == f"{SECRET}{node} {SECRET}\nplain\n"
        assert site.sh(node, f"stat -c %a {site.masterdir} {site.masterdir}/overlay{site.top}/key._all") == "700\n600\n"
    with inside(site, "node2") as alone:
        alone.configure()
        site.sh("node2", "echo drift >@/key")
        run = alone.pytest("--hosts=localhost", "--fix")
        assert run.status == 0, run.output
        assert SECRET not in run.output
        assert site.sh("node2", "cat @/key") == SECRET


def test_a_failing_command_stops_the_run(three: Site) -> None:
    three.put("a._all", "x")
    three.put("b._all", "x")
    failing = three.directory / "failing"
    failing.write_text("#!/bin/sh\necho Correct-Horse; echo Correct-Horse >&2; exit 3\n")
    failing.chmod(0o755)
    rules(
        three,
        f"path: {three.top}/a, decrypt: '{failing} %s'",
        f"path: {three.top}/b, decrypt: '{three.directory}/nothing %s'",
    )
    before = [three.snapshot(node) for node in three.nodes]
    run = three.pytest("--fix")
    assert run.status == 4
    source = f"{three.masterdir}/overlay{three.top}"
    assert (
        f"{source}/a._all is not decrypted: '{failing}' ended with status 3 (by hand: {failing} {source}/a._all)"
        in run.output
    )
    assert f"{source}/b._all: cannot run '{three.directory}/nothing' to decrypt it: No such file" in run.output
    assert "Correct-Horse" not in run.output
    assert [three.snapshot(node) for node in three.nodes] == before

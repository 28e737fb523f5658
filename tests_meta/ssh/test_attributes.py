"""A repository as git leaves it, with the wrong owners and modes, and attributes.yaml, on real nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run as run_command


@pytest.fixture
def checkout(live: Site) -> Site:
    """Everything belongs to some user of the CI machine, and may be read by nobody else."""
    live.put("etc/sudoers._all", "root ALL=(ALL) ALL\n", 0o600)
    live.put("etc/motd._all", "hello\n", 0o600)
    live.put("etc/motd._login", "welcome\n", 0o600)
    live.put("opt/run._batch", "#!/bin/sh\n", 0o700)
    live.link("etc/link._all", "motd")
    for directory, _, files in os.walk(live.masterdir / "overlay"):
        for name in [".", *files]:
            os.chown(os.path.join(directory, name), 4321, 4321, follow_symlinks=False)
    rules = f"""
- {{path: /**, owner: root, group: root}}
- {{path: "{live.top}/**", mode: 644}}
- {{path: [{live.top}, {live.top}/etc, {live.top}/opt, {live.top}/opt/run], mode: 0755}}
- {{path: {live.top}/etc/motd, groups: login, group: daemon, mode: "0640"}}
- path: {live.top}/etc/sudoers
  mode: 0440
  sensitive: yes
  validate: grep -q '^root' %s
"""
    (live.masterdir / "attributes.yaml").write_text(rules)
    return live


def test_nodes_get_what_the_rules_say(checkout: Site) -> None:
    """Owner, group and mode by rule; afterwards an audit finds nothing."""
    assert checkout.pytest("--fix").status == 0
    look = "cd @; stat -c '%a %U %G %n' . etc etc/* opt opt/* 2>/dev/null; true"
    common = "755 root root .\n755 root root etc\n777 root root etc/link\n"
    sudoers = "440 root root etc/sudoers\n755 root root opt\n"
    assert checkout.sh("node1", look) == common + "644 root root etc/motd\n" + sudoers + "755 root root opt/run\n"
    assert checkout.sh("node3", look) == common + "640 root daemon etc/motd\n" + sudoers
    run = checkout.pytest()
    assert run.status == 0, run.output


def test_a_file_that_its_command_refuses_never_gets_there(checkout: Site) -> None:
    """The old one stays as it is, the rest is fixed, and the reason is told."""
    assert checkout.pytest("--fix").status == 0
    path = checkout.put("etc/sudoers._all", "broken\n", 0o600)
    os.chown(path, 4321, 4321)
    checkout.put("etc/motd._all", "news\n", 0o600)
    run = checkout.pytest("--fix", "--hosts=node1")
    assert run.status == 1
    assert "not fixed: refused by its validate command with exit status 1" in run.message(
        "node1", f"{checkout.top}/etc/sudoers"
    )
    assert run.word("node1", f"{checkout.top}/etc/motd") == "passed"
    assert checkout.sh("node1", "cat @/etc/sudoers @/etc/motd; ls @/etc") == (
        "root ALL=(ALL) ALL\nnews\nlink\nmotd\nmotd.saved\nsudoers\n"
    )


def test_what_is_sensitive_is_not_shown(checkout: Site) -> None:
    """Not even its digest, from which a short password can be guessed."""
    assert checkout.pytest("--fix", "--hosts=node1").status == 0
    checkout.sh("node1", "printf 'root ALL=(ALL) all\\n' >@/etc/sudoers; printf 'hellO\\n' >@/etc/motd")
    run = checkout.pytest("--hosts=node1")
    assert "MD5: expected " in run.message("node1", f"{checkout.top}/etc/motd")
    message = run.message("node1", f"{checkout.top}/etc/sudoers")
    assert "MD5: differs, not shown since attributes.yaml says 'sensitive'" in message
    assert "MD5: expected" not in message


def test_mistakes_stop_the_run(checkout: Site) -> None:
    """All at once, with their lines; nothing is looked at."""
    (checkout.masterdir / "attributes.yaml").write_text(
        "- {path: /x, mod: 0644}\n- {path: /x, groups: bacth, mode: 8}\n"
    )
    run = checkout.pytest()
    assert run.status == 4
    for words in (
        "attributes.yaml:1: unknown key 'mod' (did you mean 'mode'?)",
        "attributes.yaml:2: unknown group 'bacth' (did you mean 'batch'?)",
        "attributes.yaml:2: 'mode' expects an octal number",
    ):
        assert words in run.output


@pytest.fixture
def without_games(live: Site) -> Iterator[Site]:
    """Return a site with two nodes that have no user and no group games, whose numbers are somebody else's there."""
    live.nodes = {"node1": "batch", "node5": "batch"}
    for node in live.nodes:
        live.sh(node, "cd /etc; for f in passwd group; do cp $f $f.orig; sed -i s/^games:/players:/ $f; done")
        live.sh(node, "echo 7777:x:77:77::/:/bin/false >>/etc/passwd; echo 7777:x:77: >>/etc/group")
    yield live
    for node in live.nodes:
        live.sh(node, "cd /etc; for f in passwd group; do mv $f.orig $f; done")


@pytest.mark.parametrize("what", ["owner", "group"])
def test_an_account_that_a_node_lacks(without_games: Site, what: str) -> None:
    """Its number is somebody else there, who must not get a secret: the old file stays, and the test says why."""
    site = without_games
    site.put("secret._all", "new\n", 0o600)
    site.put("missing._all", "new\n", 0o600)
    site.put("mode._all", "new\n", 0o600)
    (site.masterdir / "attributes.yaml").write_text(f"- {{path: {site.top}/*, {what}: games}}\n")
    for node in site.nodes:
        site.sh(node, "mkdir -p @; cd @; echo old >secret; echo new >mode; chmod 640 secret mode")
    before = {node: site.snapshot(node) for node in site.nodes}
    run = site.pytest("--fix")
    assert run.status == 1
    kind = "user" if what == "owner" else "group"
    for node in site.nodes:
        for name in ("secret", "missing", "mode"):
            assert f"no {kind} games on {node}" in run.message(node, f"{site.top}/{name}")
    assert {node: site.snapshot(node) for node in site.nodes} == before


def test_a_number_is_a_number(without_games: Site) -> None:
    """Even if a node has a user of that name."""
    site = without_games
    site.put("new._all")
    site.put("there._all")
    (site.masterdir / "attributes.yaml").write_text(f"- {{path: {site.top}/*, owner: '7777', group: '7777'}}\n")
    for node in site.nodes:
        site.sh(node, "mkdir -p @; echo content >@/there; chown 5:60 @/there")
    run = site.pytest("--fix")
    assert run.status == 0, run.output
    for node in site.nodes:
        assert site.sh(node, "cd @; stat -c %u:%g new there").split() == ["7777:7777"] * 2
    assert site.pytest().status == 0


def test_a_shared_directory(live: Site) -> None:
    """Its ACL with default entries comes and is audited; a managed file in it does not inherit."""
    live.put("share/f._all", "new\n", 0o640)
    acl = "user:daemon:rwx,group::rx,default:user:daemon:rwx"
    rule = f'- {{path: {live.top}/share, mode: 2770, acl: "{acl}"}}\n'
    (live.masterdir / "attributes.yaml").write_text(rule)
    live.sh("node2", "mkdir -p @/share")
    hosts = "--hosts=node1,node2"
    assert live.pytest("--fix", hosts).status == 0
    assert live.pytest(hosts).status == 0
    for node in ("node1", "node2"):
        look = "cd @/share; stat -c %a . f; getfacl -c f; >new; getfacl -c new | grep daemon"
        assert live.sh(node, look).split() == [
            *("2770", "640", "user::rw-", "group::r--", "other::---"),
            *("user:daemon:rwx", "#effective:rw-"),
        ]
    live.sh("node1", "setfacl -x default:user:daemon @/share")
    live.sh("node2", "setfacl -m group::rwx @/share")
    run = live.pytest(hosts)
    for node in ("node1", "node2"):
        message = run.message(node, f"{live.top}/share")
        assert "ACL mismatch" in message
        assert "expected group::r-x,user:daemon:rwx,default:group::r-x,default:mask::rwx,default:other::---," in message
    assert live.pytest("--fix", hosts).status == 0
    assert live.pytest(hosts).status == 0


def test_labels_where_selinux_is_off(live: Site) -> None:
    """Nothing is compared, and a run says so, never silently."""
    live.put("f._all", "new\n")
    (live.masterdir / "attributes.yaml").write_text(f"- {{path: {live.top}/f, selinux: restore}}\n")
    warning = "SELinux is off there: attributes.yaml has 'selinux: restore', and no label is compared"
    for options in (["--fix"], []):
        run = live.pytest(*options)
        assert run.status == 0
        assert f"WARNING node[1-3]: {warning}" in run.output
    assert f"node1: {warning}" in run_command(live.directory, "synctool", "-n", "node1").out.decode()


def test_what_is_beside_owner_and_mode(live: Site) -> None:
    """ACLs are kept, expected capabilities come by --fix, a mounted file is written through: seen by real audits."""
    for name in ("acl", "server", "hosts"):
        live.put(f"etc/{name}._all", f"new {name}\n")
    rules = f"""
- {{path: {live.top}/etc/server, capabilities: "cap_net_raw,cap_net_bind_service+ep"}}
- {{path: {live.top}/etc/hosts, in_place: yes}}
"""
    attributes = live.masterdir / "attributes.yaml"
    attributes.write_text(rules)
    assert live.pytest("--fix", "--hosts=node1").status == 0
    has = "cap_net_bind_service,cap_net_raw=ep"
    assert live.sh("node1", "cd @/etc; getcap server").strip() == f"server {has}"
    assert live.pytest("--hosts=node1").status == 0
    live.sh(
        "node1",
        "cd @/etc; setfacl -m u:daemon:r acl; echo old >>acl; setcap -r server; echo old >elsewhere;"
        "touch hosts; mount --bind elsewhere hosts",
    )
    try:
        run = live.pytest("--hosts=node1")
        assert "capabilities" in run.message("node1", f"{live.top}/etc/server")
        attributes.write_text(rules.splitlines()[1])
        run = live.pytest("--fix", "--hosts=node1")
        assert "say 'in_place: yes' in attributes.yaml" in run.message("node1", f"{live.top}/etc/hosts")
        attributes.write_text(rules)
        assert live.pytest("--fix", "--hosts=node1").status == 0
        assert live.pytest("--hosts=node1").status == 0
        assert live.sh("node1", "cd @/etc; getcap server; cat elsewhere acl; getfacl -c acl | grep daemon") == (
            f"server {has}\nnew hosts\nnew acl\nuser:daemon:r--\n"
        )
    finally:
        live.sh("node1", "umount -l @/etc/hosts")

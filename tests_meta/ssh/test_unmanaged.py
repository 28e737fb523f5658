"""`synctool --unmanaged` on real nodes with a real dpkg: what nobody manages, and on which nodes."""

from __future__ import annotations

from tests_meta.site import Site
from tests_meta.terminal import run

# A conffile that every Debian has, and that no login of the tests reads.
CONFFILE = "/etc/debian_version"


def test_unmanaged(live: Site) -> None:
    live.nodes |= {"node5": "login", "dead1": "interface:127.0.0.1"}
    live.configure()
    mine = f"/etc/.{live.top.rpartition('/')[2]}"
    overlay = live.masterdir / "overlay/etc"
    overlay.mkdir(mode=0o755)
    (overlay / f"{mine[5:]}-managed._all").write_text("ours\n")
    changed = {"node1": "one", "node2": "one", "node5": "other"}
    try:
        for node, text in changed.items():
            live.sh(node, f"cp -p {CONFFILE} {mine}-managed; echo {text} >{CONFFILE}")
        live.sh("node3", f"echo x >'{mine} rogue'; chmod 600 '{mine} rogue'")
        live.sh("node2", "mkdir -p @; find /etc >@/before -exec stat -c '%n %Y %Z' {} +")
        ended = run(live.directory, "synctool", "--unmanaged")
        assert live.sh("node2", "find /etc -exec stat -c '%n %Y %Z' {} + | cmp - @/before") == ""
        plain = run(live.directory, "synctool", "--unmanaged", "/usr/share/base-files", "-n", "node1,node5")
        gone = run(live.directory, "synctool", "--unmanaged", "/nowhere", "-n", "node1,node5")
        linked = run(live.directory, "synctool", "--unmanaged", "/bin", "-n", "node1")
    finally:
        for node in changed:
            live.sh(node, f"cp -p {mine}-managed {CONFFILE}; rm {mine}-managed")
        live.sh("node3", f"rm '{mine} rogue'")
    lines = ended.out.decode().splitlines()
    assert [line for line in lines if CONFFILE in line or mine in line] == [
        f"node3: {mine} rogue belongs to no package (1 of 4 nodes)",
        f"node[1-2]: {CONFFILE} differs from its package, version 1 of 2 (2 of 4 nodes)",
        f"node5: {CONFFILE} differs from its package, version 2 of 2 (1 of 4 nodes)",
    ]
    assert any("/etc/alternatives has " in line for line in lines)
    assert not any("/etc/adduser.conf" in line for line in lines)
    assert (ended.status, ended.err) == (3, b"dead1: unreachable: Connection refused\n")
    assert plain.status == 0, plain
    assert plain.out.startswith(b"node[1,5]: all files below /usr/share/base-files are managed, or as packages ")
    assert (linked.status, linked.err) == (3, b"node1: the directory is a symbolic link there\n")
    reason = b"node[1,5]: not everything below /nowhere could be looked at\n"
    assert (gone.status, gone.out, gone.err) == (3, b"", reason)

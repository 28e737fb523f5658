"""`synctool --consensus` on real nodes: the versions of a file, who has them, and how the first two differ."""

from __future__ import annotations

from tests_meta.site import Site
from tests_meta.terminal import Ended, run


def consensus(site: Site, *arguments: str) -> Ended:
    """Run it in the directory of the site; `@` stands for the test's own top."""
    site.configure()
    words = (argument.replace("@", site.top) for argument in arguments)
    return run(site.directory, "synctool", "--consensus", *words)


def counting_ssh(site: Site, *command: str) -> tuple[int, int]:
    """Run a command. Return its exit status, and how often it has started ssh."""
    assert site.cluster is not None
    calls, wrapper = site.directory / "calls", site.directory / "counting-ssh"
    wrapper.write_text(f'#!/bin/sh\necho x >>{calls}\nexec ssh -F {site.cluster.ssh_config} "$@"\n')
    wrapper.chmod(0o755)
    conf = site.configure()
    conf.write_text(conf.read_text().replace(f"ssh_cmd ssh -F {site.cluster.ssh_config}", f"ssh_cmd {wrapper}"))
    return run(site.directory, *command).status, len(calls.read_text().split())


def test_versions(live: Site) -> None:
    """Whether the masterdir has the file does not matter; one round trip, and one more to the two that differ."""
    top = live.top
    live.nodes |= {"node4": "login", "node5": "login", "dead1": "interface:127.0.0.1"}
    live.put("hosts._batch", "ours\n")
    for node in ("node1", "node2", "node3", "node4", "node5"):
        live.sh(node, "mkdir -p @; printf 'one\\ntwo\\n' >@/hosts; chmod 644 @/hosts; ln -s hosts @/alias")
    live.sh("node3", "sed -i s/two/TWO/ @/hosts")
    live.sh("node4", "rm @/hosts @/alias; mkfifo @/alias")
    ended = consensus(live, "@/hosts", "@/alias")
    assert ended.out.decode().replace(top, "") == (
        "/hosts: 4 versions\n"
        "    node[1-2,5]: file, owner root, group root, mode 0644, 8 bytes, contents 1 (3 nodes)\n"
        "    node3: file, owner root, group root, mode 0644, 8 bytes, contents 2\n"
        "    node4: missing\n"
        "    dead1: unknown: unreachable: Connection refused\n"
        "    not as in overlay/hosts._batch: node[1-2]\n"
        "--- node1/hosts\n+++ node3/hosts\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n"
        "/alias: 3 versions\n"
        "    node[1-3,5]: symbolic link, owner root, group root, target hosts (4 nodes)\n"
        "    node4: special file, owner root, group root, mode 0644\n"
        "    dead1: unknown: unreachable: Connection refused\n"
    )
    assert (ended.status, ended.err) == (3, b"")
    ended = consensus(live, "@/hosts", "-n", "node1,node2")
    lines = "    node[1-2]: file, owner root, group root, mode 0644, 8 bytes (2 nodes)\n"
    lines += f"    not as in overlay{top}/hosts._batch: node[1-2]\n"
    assert ended == Ended(0, f"{top}/hosts: 1 version\n{lines}".encode(), b"")
    command = counting_ssh(live, "synctool", "--consensus", f"{top}/hosts", f"{top}/alias", "-x", "dead1")
    assert command == (1, 5 + 2)


def test_the_version_of_the_masterdir_is_marked(live: Site) -> None:
    """It may be another one for another node. A template is rendered, and nothing is decrypted."""
    live.put("hosts._batch", "ours\n")
    live.put("hosts._node3", "theirs\n")
    live.put("name._template._all", "{{ node.name }}\n")
    live.put("secret._all", "x")
    live.delete("gone._all")
    (live.masterdir / "attributes.yaml").write_text(f"- path: {live.top}/secret\n  decrypt: false %s\n")
    for node in live.nodes:
        live.sh(node, f"mkdir -p @; cd @; echo ours >hosts; echo {node} >name; chmod 644 *; echo x >secret")
    live.sh("node2", "echo else >@/hosts; touch @/gone")
    ended = consensus(live, "@/hosts", "@/name", "@/gone", "@/secret", "-q")
    lines = ended.out.decode().replace(live.top, "").splitlines()
    marks = [line for line in lines if line.startswith("    ")]
    words = "file, owner root, group root, mode"
    assert marks == [
        f"    node[1,3]: {words} 0644, 5 bytes, contents 1 (2 nodes), node1 as in overlay/hosts._batch",
        f"    node2: {words} 0644, 5 bytes, contents 2",
        "    not as in overlay/hosts._node3: node3",
        "    not as in overlay/hosts._batch: node2",
        *(
            f"    node{number}: {words} 0644, 6 bytes, contents {number}, as in overlay/name._template._all"
            for number in (1, 2, 3)
        ),
        "    node[1,3]: missing (2 nodes), as in delete/gone._all",
        f"    node2: {words} 0644, 0 bytes",
        "    not as in delete/gone._all: node2",
        f"    node[1-3]: {words} 0644, 2 bytes (3 nodes)",
        f"    not compared with overlay/secret._all: {live.masterdir}/overlay/secret._all is encrypted, and this run "
        "decrypts nothing",
    ]
    assert ended.status == 1


def test_secrets(live: Site) -> None:
    """By mode, by a directory above, and by a rule, also one for a path that no node has in the masterdir."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    for node, word in (("node1", "hunter2"), ("node2", "swordfish")):
        live.sh(
            node, f"mkdir -p @/closed; for f in @/rule @/mode @/closed/file; do echo {word} >$f; chmod 644 $f; done"
        )
        live.sh(node, "chmod 600 @/mode; chmod 700 @/closed")
        live.sh(node, f"ln -s {word} @/link; ln -s closed @/follow")
    live.directory_of("follow")
    rules = f"- path: [{live.top}/rule, {live.top}/link]\n  sensitive: yes\n- path: {live.top}/follow\n  follow: yes\n"
    (live.masterdir / "attributes.yaml").write_text(rules)
    paths = ["@/rule", "@/mode", "@/closed/file", "@/link", "@/follow/file"]
    ended = consensus(live, *paths)
    assert ended.status == 1, ended
    for secret in (b"hunter2", b"swordfish"):
        assert secret not in ended.out + ended.err
        assert secret in consensus(live, *paths, "--show-sensitive").out
    assert ended.out.count(b": contents are not shown, since ") == 4

"""Exclusive directories on real nodes: what is in no entry is reported, removed, kept and restored."""

from __future__ import annotations

import pytest

from tests_meta.gate import settled
from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool

KIND = "exclusive"
KEPT = "/var/lib/pytest-synctool/kept"


@pytest.fixture
def fixed(live: Site) -> Site:
    """Nodes with an exclusive directory, an exclusive tree and an ordinary directory, each with names in no entry."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("sudoers.d/ops._all")
    live.put("tree/sub/file._all")
    live.put("tree/own/file._all")
    live.put("other/file._all")
    live.script("sudoers.d.post", "#!/bin/sh\necho $PWD >>/tmp/exclusive.log\n")
    live.delete("sudoers.d/old._all")
    (live.masterdir / "attributes.yaml").write_text(
        f"""
- path: {live.top}/sudoers.d
  exclusive: yes
  allow: [README, '*.local']
- path: {live.top}/tree
  exclusive: tree
  allow: sub/*.pyc
- path: {live.top}/tree/own
  exclusive: no
"""
    )
    assert live.pytest("--fix").status == 0
    return live


ROGUE = r"""
cd @/sudoers.d && echo evil >rogue && chown 1:2 rogue && chmod 4755 rogue && ln -s /etc/passwd link && mkfifo -- -rf
touch README x.local "$(printf 'a\377b')" && echo old >ops && mkdir dir && echo old >old
cd @/tree && mkdir more && echo deep >more/inside && chmod 755 more && touch sub/a.pyc sub/b.py own/mine ../other/mine
rm -f /tmp/exclusive.log
"""


def test_removed_kept_and_restored(fixed: Site) -> None:
    """Only names in no entry go, as a whole, to where nothing finds them; --restore brings them back as they were."""
    top = fixed.top
    for node in fixed.nodes:
        fixed.sh(node, ROGUE)
    before = fixed.snapshot("node1")
    run = fixed.pytest()
    assert run.status == 1
    assert "5 names are not in the masterdir: -rf, a\\xffb, dir/, link, rogue" in run.message(
        "node1", f"{top}/sudoers.d/", KIND
    )
    assert "2 names are not in the masterdir: more/, sub/b.py" in run.message("node1", f"{top}/tree/", KIND)
    assert run.count("failure") == 8  # with ops and old
    assert fixed.snapshot("node1") == before
    run = fixed.pytest("--fix")
    assert run.status == 1, run.output
    assert "dir/ is not in the masterdir, not fixed: only 'exclusive: tree' removes directories" in run.message(
        "node1", f"{top}/sudoers.d/", KIND
    )
    assert run.word("node1", f"{top}/tree/", KIND) == "passed", run.output
    for node in fixed.nodes:
        assert fixed.sh(node, "cd @; ls -A sudoers.d tree tree/* other").split() == [
            *("other:", "file", "mine", "sudoers.d:", "README", "dir", "ops", "x.local", "tree:", "own", "sub"),
            *("tree/own:", "file", "mine", "tree/sub:", "a.pyc", "file"),
        ]
        assert fixed.sh(node, "cat /tmp/exclusive.log") == f"{top}/sudoers.d\n"
        look = f"cat sudoers.d/rogue tree/more/inside sudoers.d/ops; stat -c '%a %u' sudoers.d/rogue tree/more {KEPT}"
        kept = fixed.sh(node, f"cd {KEPT}@; {look}")
        assert kept.split() == ["evil", "deep", "old", "600", "0", "700", "0", "700", "0"]
    restored = fixed.pytest("--restore", "--fix", "--hosts=all")
    assert restored.status == 0, restored.output
    assert f"{top}/sudoers.d/ restored: " in restored.output
    for node in fixed.nodes:
        look = "cd @; stat -c '%a %u:%g %n' sudoers.d/rogue tree/more;"
        look += "cat sudoers.d/rogue sudoers.d/ops tree/more/inside; readlink sudoers.d/link"
        assert fixed.sh(node, look).split() == [
            *("4755", "1:2", "sudoers.d/rogue", "755", "0:0", "tree/more", "evil", "old", "deep", "/etc/passwd"),
        ]
    again = fixed.pytest("--fix")
    assert again.status == 1
    for node in fixed.nodes:
        fixed.sh(node, "rmdir @/sudoers.d/dir")
    settled(fixed)


def test_what_is_never_removed(fixed: Site) -> None:
    """A mount point, what has one below it, what is behind a link, and too many names stay, and are reported."""
    top = fixed.top
    fixed.sh(
        "node1",
        "cd @/tree; mkdir mounted above above/mounted; for x in mounted above/mounted; do"
        " mount -t tmpfs none $x; touch $x/mine; done",
    )
    fixed.sh("node2", "cd @; mv sudoers.d real; ln -s real sudoers.d; touch real/rogue")
    fixed.sh("node2", "cd @/tree/sub; n=0; while [ $n -lt 1500 ]; do n=$((n+1)); : >$n; done")
    run = fixed.pytest("--fix")
    assert run.status == 1
    message = run.message("node1", f"{top}/tree/", KIND)
    assert "2 names are not in the masterdir: above/, mounted/, not fixed: " in message
    assert fixed.sh("node1", "cd @/tree; ls mounted above/mounted; umount -l mounted above/mounted").split() == [
        *("above/mounted:", "mine", "mounted:", "mine"),
    ]
    assert f"{top}/sudoers.d is a symbolic link" in run.message("node2", f"{top}/sudoers.d/", KIND)
    assert "more than 1,000 names beside the entries (1,501 names in " in run.message("node2", f"{top}/tree/", KIND)
    assert fixed.sh("node2", "cd @; ls tree/sub | wc -l; ls real").split() == ["1501", "ops", "rogue"]
    assert fixed.pytest("--fix", "--hosts=node1").status == 0


def test_purge_and_the_commands(live: Site) -> None:
    """purge/ of synctool 7 with the classic commands: a dry run, the commands that do it, a repair, and back."""
    live.nodes = {"node1": "batch"}
    live.lines.append("layout 7")
    top, path = live.top, live.masterdir / "purge" / "batch" / live.top[1:] / "app"
    path.mkdir(parents=True)
    (path / "a._x").write_text("a\n")
    (live.masterdir / "overlay" / "all").mkdir()
    for each in path.relative_to(live.masterdir).parents:
        (live.masterdir / each).chmod(0o755)
    live.sh("node1", "mkdir -p @/app; chmod 755 @ @/app; touch @/app/rogue; mkdir @/app/dir")
    dry = synctool(live)
    assert f"node1: {top}/app/ 2 names are not in the masterdir: dir/, rogue" in dry.lines, dry
    plain = synctool(live, "--unix")
    assert f"node1: mv {top}/app/rogue {KEPT}{top}/app/rogue" in plain.lines, plain
    done = synctool(live, "-f")
    assert done.status == 0, done
    assert live.sh("node1", "ls @/app") == "a._x\n"
    assert synctool(live).status == 0
    one = synctool(live, "--restore", "-f", "-n", "node1", "-1", f"{top}/app")
    assert f"node1: {top}/app/rogue restored (from {KEPT}{top}/app/rogue)" in one.lines, one
    assert live.sh("node1", "ls @/app").split() == ["a._x", "dir", "rogue"]
    live.sh("node1", "rmdir @/app/dir")
    assert synctool(live, "-f", "-1", f"{top}/app").status == 0
    erased = synctool(live, "-ef", "-n", "node1")
    assert (erased.status, live.sh("node1", f"ls {KEPT}@/app")) == (0, ""), erased
    listed = synctool(live, "-r", f"{top}/app", "-r", f"{top}/app/rogue")
    assert listed.lines == [
        f"node1: purge/batch{top}/app (exclusive tree)",
        f"node1: {top}/app/rogue is not in the overlay tree (did you mean '{top}/app'?)",
        f"node1:     {top}/app/rogue must not exist, {top}/app has exclusive tree by purge/",
    ]

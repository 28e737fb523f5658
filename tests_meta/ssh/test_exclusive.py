"""Exclusive directories on real nodes: what is in no entry is reported, removed, kept and restored."""

from __future__ import annotations

import pytest

from tests_meta.gate import settled
from tests_meta.site import Site

KIND = "exclusive"
KEPT = "/var/lib/pytest-synctool/kept"


@pytest.fixture
def site(live: Site) -> Site:
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


def test_removed_kept_and_restored(site: Site) -> None:
    """Only names in no entry go, as a whole, to where nothing finds them; --restore brings them back as they were."""
    top = site.top
    for node in site.nodes:
        site.sh(node, ROGUE)
    before = site.snapshot("node1")
    run = site.pytest()
    assert run.status == 1
    assert "5 names are not in the masterdir: -rf, a\\xffb, dir/, link, rogue" in run.message(
        "node1", f"{top}/sudoers.d/", KIND
    )
    assert "2 names are not in the masterdir: more/, sub/b.py" in run.message("node1", f"{top}/tree/", KIND)
    assert run.count("failure") == 8  # with ops and old
    assert site.snapshot("node1") == before
    run = site.pytest("--fix")
    assert run.status == 1, run.output
    assert "dir/ is not in the masterdir, not fixed: only 'exclusive: tree' removes directories" in run.message(
        "node1", f"{top}/sudoers.d/", KIND
    )
    assert run.word("node1", f"{top}/tree/", KIND) == "passed", run.output
    for node in site.nodes:
        assert site.sh(node, "cd @; ls -A sudoers.d tree tree/* other").split() == [
            *("other:", "file", "mine", "sudoers.d:", "README", "dir", "ops", "x.local", "tree:", "own", "sub"),
            *("tree/own:", "file", "mine", "tree/sub:", "a.pyc", "file"),
        ]
        assert site.sh(node, "cat /tmp/exclusive.log") == f"{top}/sudoers.d\n"
        look = f"cat sudoers.d/rogue tree/more/inside sudoers.d/ops; stat -c '%a %u' sudoers.d/rogue tree/more {KEPT}"
        kept = site.sh(node, f"cd {KEPT}@; {look}")
        assert kept.split() == ["evil", "deep", "old", "600", "0", "700", "0", "700", "0"]
    restored = site.pytest("--restore", "--fix", "--hosts=all")
    assert restored.status == 0, restored.output
    assert f"{top}/sudoers.d/ restored: " in restored.output
    for node in site.nodes:
        look = "cd @; stat -c '%a %u:%g %n' sudoers.d/rogue tree/more;"
        look += "cat sudoers.d/rogue sudoers.d/ops tree/more/inside; readlink sudoers.d/link"
        assert site.sh(node, look).split() == [
            *("4755", "1:2", "sudoers.d/rogue", "755", "0:0", "tree/more", "evil", "old", "deep", "/etc/passwd"),
        ]
    again = site.pytest("--fix")
    assert again.status == 1
    for node in site.nodes:
        site.sh(node, "rmdir @/sudoers.d/dir")
    settled(site)


def test_what_is_never_removed(site: Site) -> None:
    """A mount point, what has one below it, what is behind a link, and too many names stay, and are reported."""
    top = site.top
    site.sh(
        "node1",
        "cd @/tree; mkdir mounted above above/mounted; for x in mounted above/mounted; do"
        " mount -t tmpfs none $x; touch $x/mine; done",
    )
    site.sh("node2", "cd @; mv sudoers.d real; ln -s real sudoers.d; touch real/rogue")
    site.sh("node2", "cd @/tree/sub; n=0; while [ $n -lt 1500 ]; do n=$((n+1)); : >$n; done")
    run = site.pytest("--fix")
    assert run.status == 1
    message = run.message("node1", f"{top}/tree/", KIND)
    assert "2 names are not in the masterdir: above/, mounted/, not fixed: " in message
    assert site.sh("node1", "cd @/tree; ls mounted above/mounted; umount mounted above/mounted").split() == [
        *("above/mounted:", "mine", "mounted:", "mine"),
    ]
    assert f"{top}/sudoers.d is a symbolic link" in run.message("node2", f"{top}/sudoers.d/", KIND)
    assert "more than 1,000 names beside the entries (1,501 names in " in run.message("node2", f"{top}/tree/", KIND)
    assert site.sh("node2", "cd @; ls tree/sub | wc -l; ls real").split() == ["1501", "ops", "rogue"]
    assert site.pytest("--fix", "--hosts=node1").status == 0

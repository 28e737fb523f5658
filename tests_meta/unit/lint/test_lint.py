"""The rules of lint on trees in a real file system. Each rule gets mistakes, and near misses that are correct."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.trust import EVERYBODY
from pytest_synctool.config import Config, parse
from pytest_synctool.config.node_commands import Kept
from pytest_synctool.lint import RULES, Finding, LintContext, lint
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import load
from pytest_synctool.repository.source import Destination, Source, Tree
from pytest_synctool.repository.vital_paths import lockout, vital_reason

from tests_meta.unit.helpers import config

NODES = "node node1 batch, node node2 batch, node node3 login"


def plant(master: Path, *lines: str) -> None:
    """Make files (`NAME`), directories (`NAME/`), either with `NAME MODE`, links (`NAME -> TARGET`), pipes (`NAME |`).

    A target may start with MASTER, the masterdir.
    """
    (master / "overlay").mkdir(exist_ok=True)
    for line in lines:
        name, arrow, target = line.partition(" -> ")
        name, _, mode = name.partition(" ")
        path = master / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            path.symlink_to(target.replace("MASTER", str(master)))
        elif mode == "|":
            os.mkfifo(path)
        else:
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_text(f"content of {name}\n")
            path.chmod(int(mode, 8) if mode else 0o755 if name.endswith("/") else 0o644)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("overlay/f.post", b"#!/bin/sh\r\necho\r\n", 1),
        ("overlay/f.post._all", b"#!/bin/sh -e\r", 1),
        ("delete/f.post", b"#!/bin/sh\recho\r", 1),
        ("tasks/t._all", b"#!/bin/sh\necho\n\necho\r\n", 4),
        ("scripts/s.sh", b"echo\r\n", 1),
        ("scripts/d/s.py", b"#!/usr/bin/env python3\r\nx\r\n", 1),
        ("overlay/f.post", b"\xef\xbb\xbf#!/bin/sh\n", 1),
        ("overlay/f.post", b"#!/usr/bin/env -S python3 -u\nx\r\n", None),
        ("overlay/f.post", b"#!/bin/sh\nprintf 'a\rb'\n", None),
        ("overlay/f.post", b"\x7fELF\0\r\n", None),
        ("overlay/f._all", b"#!/bin/sh\r\n", None),
        ("scripts/data.csv", b"a,b\r\n", None),
    ],
)
def test_windows_text(tmp_path: Path, name: str, content: bytes, line: int | None) -> None:
    """Programs are read. Other files may have any line ends."""
    conf = config(tmp_path, *NODES.split(", "))
    plant(conf.masterdir, name if name.endswith(".csv") else f"{name} 755", "overlay/link.post -> gone")
    (conf.masterdir / name).write_bytes(content)
    findings = findings_of(conf)["windows-text"]
    assert [(finding.subject, finding.line) for finding in findings] == ([] if line is None else [(name, line)])
    assert all(finding.message.endswith("convert it, for example with dos2unix") for finding in findings)


def findings_of(conf: Config) -> dict[str, list[Finding]]:
    """Return the findings for a configuration and its masterdir."""
    return lint(conf, load(replace(conf, trust=EVERYBODY)))


@dataclass(frozen=True)
class Case:
    """A tree and the subjects that a rule finds in it, both separated by commas. A near miss has no subjects."""

    rule: str
    tree: str = ""
    subjects: str = ""
    conf: str = NODES
    attributes: str = ""
    waivers: str = ""


EXCLUSIVE = """
- {path: /f, exclusive: yes}
- {path: [/l], exclusive: yes, allow: [x, sub/x, '*', '**']}
- {path: /d, exclusive: tree, allow: [x, sub/x, no/x, '**/y', 's*/*']}
- {path: /f, allow: y}
- {path: [/etc, /etc/*], exclusive: yes}
- {path: /etc/pam.d, although_vital: yes}
"""
USELESS = """
- {path: [/etc/g, /etc/h], groups: all, reason: none, expires: 2999-12-31}
- {path: /t, groups: all, reason: not for tasks, expires: 2999-12-31}
- {path: /etc/*, nodes: node3, reason: used, expires: 2999-12-31}
"""
USED = """
- {path: [/etc/x, /etc/f], nodes: node1, reason: used, expires: 2999-12-31}
- {path: /g, groups: [login], reason: used, expires: 2999-12-31}
"""
OF_NAMES = """
- {path: /d/rogue, groups: all, reason: it may be there, expires: 2999-12-31}
- {path: /f/x, groups: all, reason: of no exclusive directory, expires: 2999-12-31}
"""
EXPIRED = """
- {path: /etc/f, nodes: node1, reason: over, expires: 2020-02-29}
- {path: /etc/*, nodes: node1, reason: renewed, expires: 2999-12-31}
"""
UPDATES = "on_update /d /x, on_update /e /x"
MODES = """
- {path: /f, groups: login, mode: "0666"}
- {path: /g, mode: "0644"}
"""
UNUSED = """
- {path: /etc/g, mode: "0644"}
- {path: [/etc/h, /opt/*], mode: "0644"}
- {path: [/etc/h, /etc/*], mode: "0644"}
- {source: overlay/etc/f._all, owner: no-such-account}
"""
SET = """
- {path: [/etc, /usr/lib, /tmp], mode: "0700", groups: batch}
- {path: /var, mode: "0755", groups: batch}
"""
RACKS = "node node1 a, node node2 b, node node3 a b"
SPARE = f"{NODES}, group workers batch spare, group lost spare2, node node4 workers"
CASES = (
    Case("unknown-group", "overlay/f", "overlay/f"),
    Case("unknown-group", "overlay/f._, tasks/t._bacth", "overlay/f._, tasks/t._bacth"),
    Case("unknown-group", "overlay/d._x/f._all, overlay/f.post._nod1", "overlay/d._x, overlay/f.post._nod1"),
    Case("unknown-group", "overlay/f._batch, overlay/g._node1, overlay/h._none, overlay/d/, overlay/p._all |"),
    Case("unknown-group", "overlay/f.swp", conf=f"{NODES}, ignore *.swp"),
    Case("unknown-group", "overlay/f", conf=f"{NODES}, require_extension no"),
    Case("special-file", "overlay/p._all |, delete/q._all |", "delete/q._all, overlay/p._all"),
    Case("special-file", "overlay/f._all, overlay/p |, overlay/l._all -> /dev/null"),
    Case("litter", "overlay/.git/f._all, overlay/f~._all, overlay/.#g", "overlay/.#g, overlay/.git, overlay/f~._all"),
    Case("litter", "tasks/t.rej._all, delete/.#f._all, overlay/#h#", "delete/.#f._all, overlay/#h#, tasks/t.rej._all"),
    Case(
        "litter", "delete/f~._all, delete/f.swp._all, overlay/original._all, overlay/.gitconfig._all, overlay/#h._all"
    ),
    Case("litter", "overlay/.git/config._all, overlay/f.rej._all", conf=f"{NODES}, ignore .git *.rej"),
    Case(
        "two-groups",
        "overlay/i._batch._login, overlay/i.post._none._all",
        "overlay/i._batch._login, overlay/i.post._none._all",
    ),
    Case(
        "two-groups",
        "overlay/d._batch._login/f._all, delete/f._node1._all",
        "delete/f._node1._all, overlay/d._batch._login",
    ),
    Case("two-groups", "overlay/f._x._all, overlay/f._batch.d._all, overlay/d._batch/f._all, overlay/d._x/f._batch"),
    Case(
        "command-missing",
        "",
        "diff_cmd, ssh_cmd",
        f"{NODES}, ssh_cmd /no/such -p 2, diff_cmd /etc/group",
    ),
    Case("command-missing", "", conf=f"{NODES}, ssh_cmd sh -c, scp_cmd /no/such"),
    Case("empty-group", "", "lost, spare2", SPARE),
    Case("empty-group", conf=f"{SPARE}, node node5 lost"),
    Case("empty-group", conf=f"{NODES}, group w batch, ignore_group w login"),
    Case("empty-group", conf=f"{NODES}, group w x, node node4 w, ignore_group x"),
    Case("without-effect", conf=f"{NODES}, colorize no, backup_copies no"),
    Case("without-effect", "", "terse", f"{NODES}, terse no, color_info red, colorize no"),
    Case("ignored-name", "", "node9, old", f"{NODES}, ignore_node node9 batch, ignore_group login old"),
    Case("ignored-name", "overlay/f._login", conf=f"{NODES}, ignore_node node1, ignore_group login"),
    Case("case-only", "overlay/d/Motd._all, overlay/d/motd._all", "/d/motd"),
    Case("case-only", "overlay/D/f._all, overlay/d/f._all", "/d"),
    Case("case-only", "overlay/Ä._all, overlay/ä._batch, overlay/ä._login", "/ä"),
    Case("case-only", "overlay/F._batch, overlay/f._login, overlay/a/X._all, overlay/b/x._all"),
    Case("case-only", "delete/Motd._all, delete/motd._all, overlay/MOTD._all, tasks/T._all, tasks/t._all"),
    Case(
        "case-only", "", "group Batch, node Node1, node login", "node node1 batch Login, node Node1 Batch, node login"
    ),
    Case("case-only", conf="node node1 batch1, node node2 batch2"),
    Case("attributes-unused", "overlay/etc/f._all", "/etc/g, /etc/h and 1 more", attributes=UNUSED),
    Case("exclusive-unused", "overlay/f._all, overlay/d/, overlay/l._all -> d", "/f, /l", attributes=EXCLUSIVE),
    Case("exclusive-unused", "overlay/f/, overlay/d/, overlay/l/", attributes=EXCLUSIVE),
    Case(
        "in-place-unused",
        "overlay/f._all, overlay/d/",
        "/d",
        attributes="- {path: [/f], in_place: yes}\n- {path: /d, in_place: yes}",
    ),
    Case(
        "in-place-unused",
        "overlay/f._all, overlay/d/",
        attributes="- {path: /d, in_place: no}\n- {path: /*, in_place: yes}",
    ),
    Case(
        "exclusive-vital",
        "overlay/etc/ssh/, overlay/etc/cron.d/, overlay/etc/pam.d/",
        "overlay/etc, overlay/etc/ssh",
        attributes=EXCLUSIVE,
    ),
    Case("exclusive-vital", "overlay/etc._all, overlay/f._all, overlay/etcetera/pam.d/", attributes=EXCLUSIVE),
    Case("allow-unused", "overlay/d/", attributes="- {path: /d, exclusive: yes, allow: '*'}"),
    Case("allow-unused", "overlay/d/sub/g._all, overlay/l/", "/d no/x, /f y, /l sub/x", attributes=EXCLUSIVE),
    Case("waiver-unused", "overlay/etc/f._all, tasks/t._all", "/etc/g and 1 more, /t", waivers=USELESS),
    Case("waiver-unused", "overlay/etc/f._batch, delete/g._all", waivers=USED),
    Case("waiver-unused", "overlay/d/", "/f/x", attributes=EXCLUSIVE, waivers=OF_NAMES),
    Case("waiver-expired", "overlay/etc/f._all", "/etc/f", waivers=EXPIRED),
    Case("waiver-expired", "overlay/etc/f._all", waivers=USED),
    Case("attributes-unused", "delete/f._all", "/f", attributes="- {path: /f, owner: root}"),
    Case("attributes-unused", "overlay/f._none", attributes="- {path: /f, owner: root, groups: login}"),
    Case(
        "system-directory",
        "overlay/etc/ 700, overlay/usr/lib/ 2711, overlay/tmp/",
        "overlay/etc, overlay/tmp, overlay/usr/lib",
    ),
    Case("system-directory", "overlay/etc._batch/ 777, overlay/tmp/ 777", "overlay/etc._batch, overlay/tmp"),
    Case("system-directory", "overlay/var/ 700", "overlay/var", attributes=SET),
    Case(
        "system-directory",
        "overlay/etc._batch/ 700, overlay/usr._all/lib._node1/ 700, overlay/tmp/ 1777",
        attributes=SET,
    ),
    Case(
        "system-directory",
        "overlay/root/ 700, overlay/opt/app/ 700, overlay/data/ 700, overlay/usr/ 555",
    ),
    Case("system-directory", "overlay/etc/shadow._all 600, overlay/bin._all -> x, delete/usr/, overlay/home/anna/ 700"),
    Case("shadowed", "overlay/f._all, overlay/f._batch, overlay/f._login", "overlay/f._all"),
    Case("shadowed", "overlay/f._all, overlay/f._batch, delete/f._batch"),
    Case("shadowed", "overlay/f._a, overlay/f._b", conf=RACKS),
    Case("shadowed", "overlay/f._b, overlay/f._a, overlay/f._node2", "overlay/f._b", RACKS),
    Case("shadowed", "overlay/f._a, overlay/f._b, overlay/f._node2", conf=f"{RACKS}, node n4 b, ignore_node n4"),
    Case("shadowed", "overlay/f._batch, overlay/f._node1, overlay/f._node2", "overlay/f._batch"),
    Case("shadowed", "overlay/f._none, overlay/d._batch/f._login, overlay/d/f._all"),
    # Of sources that are equally important, nodes use the first in the order of names, part by part.
    Case("shadowed", "overlay/d/f._all, overlay/d._all/f._all, overlay/d._all/g._all", "overlay/d._all/f._all"),
    Case("shadowed", "overlay/d/, overlay/d._all/", "overlay/d._all"),
    Case("shadowed", "overlay/d/, overlay/d._batch/, overlay/e/f._all, overlay/e._all/g.post"),
    Case("shadowed", "overlay/d/e/f._all, overlay/d._batch, overlay/d._login", "overlay/d/e/f._all"),
    Case("shadowed", "overlay/d/f._all, overlay/d._batch"),
    Case("shadowed", "overlay/d/f._all, overlay/d/f._login, overlay/d._batch", "overlay/d/f._all"),
    Case("shadowed", "overlay/d/f._batch, overlay/d._batch -> /x", "overlay/d/f._batch"),
    Case("shadowed", "tasks/t._all, tasks/t._batch, tasks/t._login, delete/x._all, delete/x._node1", "tasks/t._all"),
    Case("overlay-and-delete", "overlay/f._all, delete/f._batch", "/f"),
    Case("overlay-and-delete", "overlay/d/f._all, delete/d._all", "/d"),
    Case("overlay-and-delete", "overlay/f._login, delete/f._batch, overlay/g._all, delete/g._none"),
    Case("overlay-and-delete", "overlay/d/f._all, overlay/d._batch, delete/d/f._batch, tasks/g._all, delete/g._all"),
    Case("on-update-and-post", "overlay/d.post, delete/e.post._batch", "/d, /e", f"{NODES}, {UPDATES}"),
    Case("on-update-and-post", "overlay/d/e.post, overlay/e.post._none, tasks/d.post", conf=f"{NODES}, {UPDATES}"),
    Case(
        "on-update-command",
        "scripts/there.sh 755, scripts/plain.sh, scripts/dir/",
        "/d dir, /f gone.sh, /g plain.sh, /h service",
        f"{NODES}, on_update /f gone.sh 'x, on_update /g plain.sh x, on_update /h service x, on_update /d dir",
    ),
    Case(
        "on-update-command",
        "scripts/s 755, scripts/l -> s, scripts/d/s 755",
        conf=f"{NODES}, on_update /f s 'x, on_update /g /no/such/command x, on_update /h l, on_update /i d/s",
    ),
    Case("trigger-without-target", "overlay/f.post, delete/f._all", "overlay/f.post"),
    Case("trigger-without-target", "delete/d.post, delete/d/f._all"),
    Case("trigger-without-target", "delete/d.post, delete/d/e/f._all", "delete/d.post"),
    Case("trigger-without-target", "delete/d.post._login, delete/d/f._batch", "delete/d.post._login"),
    Case("trigger-without-target", "tasks/t.post, tasks/t._all", "tasks/t.post"),
    Case(
        "trigger-without-target",
        "overlay/f._all, overlay/f.post, overlay/f.post._batch, overlay/f.post._login",
        "overlay/f.post",
    ),
    Case("trigger-without-target", "overlay/f._login, overlay/f.post._batch", "overlay/f.post._batch"),
    Case("trigger-without-target", "overlay/f._all, overlay/d._login/f.post._batch", "overlay/d._login/f.post._batch"),
    Case("trigger-without-target", "overlay/d/f._all, overlay/d/f.post, overlay/d._all -> x"),
    Case(
        "trigger-without-target",
        "overlay/f/g._all, overlay/f/g.post, overlay/f._batch, overlay/f._login",
        "overlay/f/g.post",
    ),
    Case("trigger-without-target", "overlay/d/f._all, overlay/d.post, overlay/d/f.post, delete/g._all, delete/g.post"),
    Case(
        "trigger-without-target",
        "overlay/f._login, overlay/f.post, overlay/f.post._none, overlay/f.post._batch",
        conf=f"{NODES}, ignore_group batch",
    ),
    Case("trigger-not-executable", "overlay/f.post, delete/g.post._all |", "delete/g.post._all, overlay/f.post"),
    Case(
        "trigger-not-executable", "overlay/f.post 755, overlay/g.post/, overlay/h.post -> f.post, overlay/i.post -> x"
    ),
    Case("task-not-executable", "tasks/t._all, tasks/d/t._batch 644", "tasks/d/t._batch, tasks/t._all"),
    Case("task-not-executable", "tasks/t._all 755, tasks/u._all 100, tasks/d/, tasks/l._all -> t._all, overlay/f._all"),
    Case(
        "dangerous-delete",
        "delete/etc/passwd._batch, delete/srv._all, delete/usr/bin._all -> x",
        "delete/etc/passwd._batch, delete/srv._all, delete/usr/bin._all",
    ),
    Case("dangerous-delete", "delete/etc/passwd._none, delete/etc/passwd.old._all, overlay/etc/passwd._all"),
    Case("world-writable", "overlay/f._all 666, overlay/d/ 777", "overlay/d, overlay/f._all"),
    Case(
        "world-writable",
        "scripts/s 757, tasks/t._all 722, overlay/g.post 777",
        "overlay/g.post, scripts/s, tasks/t._all",
    ),
    Case("world-writable", "delete/d/ 777, tasks/d/ 777, scripts/d/ 777", "delete/d, scripts/d, tasks/d"),
    Case("world-writable", "overlay/f._all 664, overlay/d/ 1777, overlay/l._all -> /x, delete/f._all 666"),
    Case("world-writable", "overlay/f._all, overlay/g._all 666", "overlay/f._all", attributes=MODES),
    Case("world-writable", "overlay/f._batch", attributes=MODES),
    Case("setuid", "overlay/f._all 4755, overlay/g._all 2755", "overlay/f._all, overlay/g._all"),
    Case("setuid", "overlay/f._none", "overlay/f._none", attributes='- {path: /f, mode: "4755"}'),
    Case("setuid", "overlay/d/ 2755, overlay/e/ 4755, overlay/f._all 1755, overlay/l._all -> f"),
    Case("setuid", "overlay/f._all 6755", attributes='- {path: /f, mode: "0755"}'),
    Case(
        "symlink-leaves-tree",
        "overlay/a/l._all -> ../../x, overlay/m._all -> b/../../c",
        "overlay/a/l._all, overlay/m._all",
    ),
    Case(
        "symlink-leaves-tree", "overlay/l._all -> MASTER/x, overlay/m._all -> MASTER", "overlay/l._all, overlay/m._all"
    ),
    Case("symlink-leaves-tree", "overlay/a/l._all -> ../x, overlay/m._all -> /a/../x, overlay/n._all -> MASTERS/x"),
    Case("symlink-leaves-tree", "scripts/s -> /bin/sh, tasks/t._all -> nowhere", "scripts/s, tasks/t._all"),
    Case(
        "symlink-leaves-tree", "overlay/f.post -> ../../x, overlay/g.post -> g.post", "overlay/f.post, overlay/g.post"
    ),
    Case("symlink-leaves-tree", "scripts -> /usr", "scripts"),
    Case(
        "symlink-leaves-tree", "delete/l._all -> ../../x, scripts/s 755, tasks/t._all -> ../scripts/s, scripts/d -> ."
    ),
    Case("symlink-leaves-tree", "scripts/s 755, overlay/d/f.post -> MASTER/scripts/s"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{'finding' if case.subjects else 'fine'}")
def test_table(case: Case, tmp_path: Path) -> None:
    conf = config(tmp_path, *case.conf.split(", "))
    plant(conf.masterdir, *filter(None, case.tree.split(", ")))
    if case.attributes:
        (conf.masterdir / "attributes.yaml").write_text(case.attributes)
    if case.waivers:
        (conf.masterdir / "waivers.yaml").write_text(case.waivers)
    findings = findings_of(conf)[case.rule]
    assert sorted(finding.subject for finding in findings) == list(filter(None, case.subjects.split(", ")))
    for finding in findings:
        assert finding.rule == case.rule
        assert finding.path.startswith(str(tmp_path))
        assert finding.message.isprintable()


INCLUDED = "include_nodes conf tool"
PRINTED = {"conf tool": b"node n1 a b interface:x\nnode n2.cluster a\nnode n3\n", "slurm other": b"n4,n5 c\n"}


@pytest.mark.parametrize(
    ("rule", "lines", "findings"),
    [
        ("included-twice", ("node n1 a b", INCLUDED), ["node n1:2"]),
        ("included-twice", ("node n1 a interface:x", INCLUDED), ["node n1:2"]),
        ("included-twice", ("node n1 b", INCLUDED), []),  # which is more important than a then
        ("included-twice", ("node n1 c", INCLUDED), []),
        ("included-twice", ("node n3 rsync:no", INCLUDED), []),
        ("included-twice", ("node n9", INCLUDED), []),
        ("included-twice", (INCLUDED, "node n1 b"), ["node n1:3"]),
        ("included-twice", (INCLUDED, "node n1 c"), []),
        ("included-twice", (INCLUDED, "node n[1,3]"), ["node n1:3"]),
        ("included-twice", (INCLUDED, "node n[1,3] a"), []),  # n3 has it from here
        ("included-twice", (INCLUDED, "include_nodes slurm other", "node n5 c", "node n3 c"), ["node n5:4"]),
        ("included-twice", (INCLUDED, "include_nodes slurm other", INCLUDED), ["conf tool:4"]),
        ("two-names", (INCLUDED, "node n2"), ["n2.cluster:2"]),
        ("two-names", ("node n1.elsewhere", INCLUDED), ["n1.elsewhere:3"]),
        ("two-names", ("node n2.elsewhere", INCLUDED), []),
        ("two-names", ("node n9", "node n9.elsewhere", INCLUDED), []),
    ],
)
def test_nodes_of_commands(tmp_path: Path, rule: str, lines: tuple[str, ...], findings: list[str]) -> None:
    """What commands print and the configuration repeats is a finding of lint, and no warning of every run."""
    conf = config(tmp_path, *lines, outputs=PRINTED)
    plant(conf.masterdir)
    assert conf.warnings == ()
    assert [f"{finding.subject}:{finding.line}" for finding in findings_of(conf)[rule]] == findings


def test_a_line_of_yaml_with_several_nodes(tmp_path: Path) -> None:
    """It is needless only if all of them are."""
    for text, findings in (("n1: [a, b], n7: [a]", []), ("n1: [a, b], n3: []", ["node n1"])):
        text = f"masterdir: {tmp_path}\nnodes: {{{text}}}\ninclude_nodes: conf tool\n"
        (tmp_path / "overlay").mkdir(exist_ok=True)
        conf = parse(text, tmp_path / "synctool.yaml", print_nodes=Kept(PRINTED))
        assert [finding.subject for finding in findings_of(conf)["included-twice"]] == findings


def test_every_rule_is_in_the_table() -> None:
    """Every rule has a mistake and a near miss. These have tests of their own."""
    templates = {"template-error", "template-constant", "variable-unused"}
    for rule in set(RULES) - {"unreadable", "windows-text", "included-twice", "two-names", *templates}:
        assert {bool(case.subjects) for case in CASES if case.rule == rule} == {True, False}, rule


def test_no_rule_is_the_beginning_of_another() -> None:
    """--deselect removes every id that begins with its value."""
    assert not [(a, b) for a in RULES for b in RULES if a != b and b.startswith(a)]


@pytest.fixture
def cluster(tmp_path: Path) -> Config:
    """Two nodes in batch, one in login, and a masterdir with an empty overlay."""
    conf = config(tmp_path, *NODES.split(", "))
    plant(conf.masterdir)
    return conf


def test_files_that_this_user_cannot_read_are_found(cluster: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are fine, and so is everything in delete/, where only names matter."""
    closed = ["overlay/f._all", "overlay/f.post", "scripts/s", "tasks/t._all"]
    plant(cluster.masterdir, *closed, "overlay/g._all", "delete/f._all", "overlay/l._all -> f", "scripts/l -> s")
    denied = {cluster.masterdir / name for name in (*closed, "delete/f._all", "overlay/l._all", "scripts/l")}
    assert findings_of(cluster)["unreadable"] == []
    monkeypatch.setattr(os, "access", lambda path, mode: path not in denied)
    assert [finding.subject for finding in findings_of(cluster)["unreadable"]] == closed


def test_findings_name_the_place_and_the_remedy(tmp_path: Path) -> None:
    """A finding names the file, a line in it, the nodes as a node set, and the rule of attributes.yaml that decided."""
    conf = config(tmp_path, *NODES.split(", "), "group w spare", "on_update /f x.sh")
    plant(
        conf.masterdir,
        "overlay/f._all",
        "overlay/f._batch",
        "overlay/d/g._all",
        "delete/d/g._batch",
        "overlay/s._spare",
    )
    plant(conf.masterdir, "overlay/f._login", "scripts/xx.sh")
    (conf.masterdir / "attributes.yaml").write_text(
        '\n- {path: /d/g, groups: batch, mode: "0666"}\n- {path: /h, mode: 0}'
    )
    shown = {
        f"{f.path.removeprefix(str(tmp_path))}:{f.line} {f.message}"
        for findings in findings_of(conf).values()
        for f in findings
    }
    assert shown == {
        "/synctool.conf:5 group 'w' has no nodes: put it on a 'node' line, or remove it",
        "/synctool.conf:5 group 'spare' has no nodes, 1 name in the masterdir for it: put it on a 'node' line, or "
        "remove it",
        "/synctool.conf:6 'on_update /f': scripts/x.sh does not exist (did you mean 'xx.sh'?): create it, or give the "
        "full path of a command on the nodes",
        "/master/attributes.yaml:3 the rule for /h matches nothing in overlay/: correct it, or remove it",
        "/master/overlay/f._all:None is used on no node, overridden by overlay/f._batch, overlay/f._login wherever it "
        "applies: remove it, or give it a group that is more important on some node",
        "/master/delete/d/g._batch:None in delete/ and in overlay/ (overlay/d/g._all), overlay/ wins on node[1-2]: "
        "remove one of them, or give them groups without common nodes",
        "/master/overlay/d/g._all:None mode 0666 by attributes.yaml:2 on node[1-2] lets every user write: chmod o-w",
    }


def test_an_ignored_node_is_a_node(tmp_path: Path) -> None:
    """The ignored node is the only one that uses the less important source, so the source is not shadowed."""
    conf = config(tmp_path, "node node1 a", "node node2 b", "ignore_node node2")
    plant(conf.masterdir, "overlay/f._all", "overlay/f._a")
    assert findings_of(conf)["shadowed"] == []


def test_subjects_are_unique_and_in_order(cluster: Config) -> None:
    """Names that look the same when printed get a number, so every finding has an id of its own."""
    overlay = os.fsencode(cluster.masterdir / "overlay")
    for name in (rb"\xff", b"\xff", b"a"):
        Path(os.fsdecode(os.path.join(overlay, name))).touch()
    findings = findings_of(cluster)["unknown-group"]
    assert [finding.subject for finding in findings] == [r"overlay/\xff", r"overlay/\xff (2)", "overlay/a"]
    assert findings_of(cluster)["unknown-group"] == findings


def test_directories_that_hold_trees_are_checked_but_not_ignored_names(tmp_path: Path) -> None:
    conf = config(tmp_path, *NODES.split(", "), "ignore *~ .git")
    plant(conf.masterdir, "overlay/f._all~ 666", "scripts/s~ 666", "scripts/.git/x 666", "scripts/s 755")
    assert findings_of(conf)["world-writable"] == []
    for path in (conf.masterdir, conf.masterdir / "overlay", conf.masterdir / "scripts"):
        path.chmod(0o777)
    assert [f.subject for f in findings_of(conf)["world-writable"]] == [".", "overlay", "scripts"]


def test_a_file_that_vanishes_meanwhile_is_no_error(cluster: Config) -> None:
    """Somebody else may change the masterdir at the same time."""
    plant(cluster.masterdir, "overlay/f._all", "overlay/f.post", "tasks/t._all", "scripts/s", "overlay/l._all -> x")
    repository = load(cluster)
    for path in sorted(cluster.masterdir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    findings = lint(cluster, repository)
    assert {rule for rule, each in findings.items() if each} == {"unreadable"}


OWN = FileState(Kind.DIRECTORY, 0o755, 0, 0, 0, "root", "root")


@pytest.mark.parametrize(
    ("path", "state", "problem"),
    [
        (b"/etc", OWN, None),
        (b"/etc", replace(OWN, uid=1000, owner="anna"), "owner anna would own /etc"),
        (b"/etc", replace(OWN, uid=1000, owner=None), "owner 1000 would own /etc"),
        (b"/usr/sbin", replace(OWN, uid=-1, owner="anna"), "owner anna would own /usr/sbin"),
        (b"/etc", replace(OWN, mode=0o775, gid=7, group="lp"), "mode 0775 would let group lp write in /etc"),
        (b"/etc", replace(OWN, mode=0o775), None),
        (b"/lib64", replace(OWN, mode=0o750), "mode 0750 would close /lib64 to all users"),
        (b"/root", replace(OWN, mode=0o700), None),
        (b"/root", replace(OWN, mode=0o707), "mode 0707 would let everybody write in /root"),
        (
            b"/etc/ssh/sshd_config",
            replace(OWN, kind=Kind.FILE, uid=7, owner="lp"),
            "owner lp would own /etc/ssh/sshd_config",
        ),
        (b"/etc/ssh/sshd_config", replace(OWN, kind=Kind.FILE, mode=0o600), None),
        (b"/etc/motd", replace(OWN, kind=Kind.FILE, uid=7, owner="lp"), None),
        (b"/data", replace(OWN, mode=0o700, uid=7), None),
        (b"/etc", replace(OWN, kind=Kind.LINK, mode=0o777, uid=7), None),
    ],
)
def test_lockout(path: bytes, state: FileState, problem: str | None) -> None:
    source = Source(Tree.OVERLAY, b"/m", b"overlay" + path, path, state)
    assert lockout(Entry(source)) == problem
    for attributes in (Attributes(owner="anna", mode=0o700), Attributes(owner="0", group="lp", mode=0o777)):
        assert lockout(Entry(source, None, attributes)) is None
    assert lockout(Entry(replace(source, tree=Tree.DELETE))) is None


@pytest.mark.parametrize(
    "path",
    [
        *("/etc", "/anything", "/usr/bin", "/usr/lib64", "/usr/sbin", "/lib", "/boot", "/etc/shadow"),
        *("/etc/ssh/sshd_config", "/bin/sh", "/usr/bin/sh", "/sbin/init"),
        *("/usr/sbin/sshd", "/lib64/ld-linux-x86-64.so.2", "/etc/pam.d/sshd"),
        *("/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/libc-2.31.so", "/boot/vmlinuz-6.1", "/boot/grub/grub.cfg"),
        *("/dev/null", "/proc/1/mem", "/var/lib", "/root/.ssh/authorized_keys", "/lib/ld-musl-x86_64.so.1"),
    ],
)  # fmt: skip
def test_vital(path: str) -> None:
    assert vital_reason(path)


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd.old", "/etc/cron.d/old-backup", "/usr/local/bin/sh", "/home/user/.bashrc", "/opt/app", "/tmp/x"),
        *("/usr/lib/libcups.so.2", "/usr/lib/python3/libc.so.d/x/y", "/boot/notes", "/dev/shm/x", "/usr/bin/telnet"),
        *("/libexec/ld-x.so", "/home/etc/shadow", "/usr/libfoo/x", "/var/log/old.log", "/bin/sh.saved"),
    ],
)  # fmt: skip
def test_not_vital(path: str) -> None:
    assert vital_reason(path) is None


_groups = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)
_extension = st.sampled_from(["", "._all", "._a", "._b", "._c", "._n0", "._n1", "._none"])
_files = st.builds(
    lambda tree, parts, last: f"{tree}/{'/'.join(name + extension for name, extension in parts)}{last}",
    st.sampled_from(["overlay", "overlay", "overlay", "delete", "tasks"]),
    st.lists(st.tuples(st.sampled_from(["x", "y"]), _extension), min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)


@given(st.lists(_groups, min_size=1, max_size=3), st.lists(_files, max_size=10))
def test_shadowed_agrees_with_the_entries_of_every_node(nodes: list[list[str]], tree: list[str]) -> None:
    """A shadowed source applies to some node and is an entry of none. Directories with contents are never shadowed."""
    with TemporaryDirectory() as name:
        everything = "group every a b c"
        conf = config(Path(name), everything, *(f"node n{i} {' '.join(groups)}" for i, groups in enumerate(nodes)))
        plant(conf.masterdir)
        for line in tree:
            try:
                plant(conf.masterdir, line)
            except OSError:  # another type of file already exists
                continue
        repository = load(replace(conf, trust=EVERYBODY))
        findings = {finding.subject for finding in lint(conf, repository)["shadowed"]}
        overlay_keys = {path for tree_, path in repository.masterdir.candidates if tree_ is Tree.OVERLAY}
        names = [c.relative for candidates in repository.masterdir.candidates.values() for c in candidates]
        expected = set()
        for key, candidates in repository.masterdir.candidates.items():
            for candidate in candidates:
                assert candidate.source is not None
                if candidate.source.state.kind is Kind.DIRECTORY and any(
                    other.startswith(candidate.relative + b"/") for other in names
                ):
                    continue
                applying = [n for n in conf.nodes.values() if candidate in repository.considered(key, n)[0]]
                used = [n for n in applying if candidate.source in [entry.source for entry in repository.entries(n)]]
                if key[0] is Tree.DELETE and key[1] in overlay_keys:
                    # Another rule covers overlay/ against delete/, so only precedence within delete/ matters.
                    used = [n for n in applying if repository.considered(key, n)[0][0] is candidate]
                if applying and not used:
                    expected.add(candidate.source.shown)
        assert findings == expected


def test_the_context_merges_nodes_that_agree(cluster: Config) -> None:
    """Nodes that the masterdir treats alike are examined once."""
    plant(cluster.masterdir, "overlay/f._batch", "overlay/g._node3")
    context = LintContext(cluster, load(replace(cluster, trust=EVERYBODY)))
    assert set(context.combinations(frozenset({"batch"}))) == {("batch", "all"), ("all",)}
    assert context.combinations(frozenset({"all"})) == (("all",),)
    assert context.nodes(frozenset({"batch"}), [("batch", "all")]) == "node[1-2]"
    assert context.nodes_with_both(Destination(Tree.OVERLAY, b"/f"), Destination(Tree.OVERLAY, b"/g")) is None

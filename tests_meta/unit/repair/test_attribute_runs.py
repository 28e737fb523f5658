"""ACL, capabilities and extended attributes of a file that another one replaces, with real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.audit.compare import compare
from pytest_synctool.audit.probe import Request, parse
from pytest_synctool.audit.probe import script as probe_script
from pytest_synctool.common import acl
from pytest_synctool.common.shell import whole
from pytest_synctool.model import (
    ABSENT,
    NO_SELINUX,
    RIGHT_LABEL,
    Absent,
    Actual,
    FileState,
    Kind,
    SELinuxLabel,
    Unknown,
)
from pytest_synctool.repair.plan import plan
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, Shell, state
from tests_meta.unit.repair.test_missing_programs import FIX, SPARE, Bare
from tests_meta.unit.repair.test_saved_runs import put_back

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

CAPABILITY: Final = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep
# user::rw- user:1:rwx group::r-- mask::rwx other::r--
ACL: Final = bytes.fromhex(
    "02000000 01000600ffffffff 0200070001000000 04000400ffffffff 10000700ffffffff 20000400ffffffff".replace(" ", "")
)
EVERYTHING: Final = {
    "security.capability": CAPABILITY,
    "system.posix_acl_access": ACL,
    "user.x": b"y",
    "trusted.z": b"",
}
NEEDED: Final = {*FIX, *SPARE, "pwd"}
FILE: Final = state(mode=0o640, uid=0, gid=0, owner="root", group="root")
# Programs that know more than owner and mode: each set is what a node may have.
PROGRAMS: Final = {
    "all": ("getfattr", "setfattr", "getcap", "setcap", "getfacl", "setfacl"),
    "attr": ("getfattr", "setfattr"),
    "acl and caps": ("getcap", "setcap", "getfacl", "setfacl"),
    "caps": ("getcap", "setcap"),
    "none": (),
}


def with_programs(shell: Shell, open_directory: Path, programs: str) -> Shell:
    """Return a shell that finds, of these programs, only those."""
    directory = open_directory / "programs"
    directory.mkdir()
    for name in NEEDED:
        path = shutil.which(name, path=shell.env["PATH"])
        (directory / name).symlink_to(path or pytest.skip(f"needs {name}"))
    for name in PROGRAMS[programs]:
        (directory / name).symlink_to(shutil.which(name) or pytest.skip(f"needs {name}"))
    return Bare(shell.name, shell.argv, {**shell.env, "PATH": str(directory)})


def make(path: Path, *, owner: int = 0, content: str = "old") -> None:
    """Make a file that has everything."""
    path.write_text(content)
    os.chown(path, owner, 0)
    path.chmod(0o644)
    for name, value in EVERYTHING.items():
        os.setxattr(path, name, value)


def kept(path: Path) -> set[str]:
    """Return the names of what a file has beside owner and mode; their values are those of make()."""
    names = {*os.listxattr(path)} & {*EVERYTHING}
    for name in names - {"system.posix_acl_access"}:
        assert os.getxattr(path, name) == EVERYTHING[name]
    return names


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells, and all programs that know more than owner and mode."""
    return DiskNode.make(with_programs(shell, open_directory, "all"), open_directory)


@pytest.mark.parametrize("programs", PROGRAMS)
def test_a_replaced_file_keeps_them(shell: Shell, open_directory: Path, programs: str) -> None:
    """What cannot be kept is said; the mode is the expected one in any case. Others stay as bare as they were."""
    node = DiskNode.make(with_programs(shell, open_directory, programs), open_directory)
    names = ("one", "b c", "bare", "new")
    for name in names[:2]:
        make(node.files / name)
    (node.files / "bare").write_text("old")
    make(node.files / "owner", owner=NOBODY, content="new")
    entries = [node.entry(name, FILE) for name in (*names, "owner")]
    assert node.fix(*entries) == [None] * 5
    assert [node.changes(one) for one in entries] == [[]] * 5
    assert kept(node.files / "bare") == kept(node.files / "new") == set()
    expected = {*EVERYTHING}
    if shell.name == "busybox":
        expected = {"attr": expected, "all": expected, "acl and caps": {*EVERYTHING} - {"user.x", "trusted.z"}}.get(
            programs, {"security.capability"} if programs == "caps" else set()
        )
    for name in names[:2]:
        assert kept(node.files / name) == expected, node.remarks
    if programs != "none":
        assert "security.capability" in kept(node.files / "owner")
    assert node.remarks == []


@pytest.mark.parametrize("programs", ["caps", "none"])
def test_a_program_that_may_lose_capabilities(shell: Shell, open_directory: Path, programs: str) -> None:
    """Without getcap and getfattr nobody knows: said of programs that are replaced or get another owner, no others."""
    node = DiskNode.make(with_programs(shell, open_directory, programs), open_directory)
    for name in ("program", "script", "data", "owner", "owner2", "in place"):
        (node.files / name).write_bytes(b"#!/bin/sh" if name == "script" else b"\x7fELF\0old")
        (node.files / name).chmod(0o644 if name == "data" else 0o755)
    for name in ("owner", "owner2"):
        (node.files / name).write_bytes(b"\x7fELF\0new")
        os.chown(node.files / name, NOBODY, 0)
    program = replace(FILE, mode=0o755)
    entries = [node.entry(name, program, b"\x7fELF\0new") for name in ("program", "script", "data", "new")]
    entries += [node.entry(name, replace(program, size=8), b"\x7fELF\0new") for name in ("owner", "owner2")]
    entries.append(replace(node.entry("in place", program), attributes=Attributes(in_place=True)))
    assert node.fix(*entries) == [None] * len(entries)
    doubtful = {"program", "owner", "owner2", "in place"} if programs == "none" else set()
    text = f"capabilities of the old {node.files}/{{}} would be lost: neither getcap nor getfattr is there to know"
    assert {*node.remarks} == {text.format(name) for name in doubtful}


def test_nobody_gets_at_a_new_version_by_what_he_gave_the_old_one(node: DiskNode) -> None:
    """An ACL of another owner, or anything of root's in a directory that others may write: said, and not kept."""
    home = node.files / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    make(node.files / "other", owner=NOBODY)
    make(home / "roots")
    make(home / "own", owner=NOBODY)
    make(home / "same", owner=NOBODY, content="new")
    os.chown(home / "same", NOBODY, 1)
    os.setxattr(home / "same", "security.capability", CAPABILITY)
    his = replace(FILE, uid=NOBODY, owner=None)
    entries = [node.entry(name, FILE) for name in ("other", "home/roots")]
    entries += [node.entry(name, his) for name in ("home/own", "home/same")]
    assert node.fix(*entries) == [None] * 4
    assert [node.changes(one) for one in entries] == [[]] * 4
    assert kept(node.files / "other") == kept(home / "roots") == set()
    assert kept(home / "own") == kept(home / "same") == {*EVERYTHING} - {"security.capability"}
    lost = dict.fromkeys(("other", "home/roots"), "ACL, capabilities, extended attributes")
    lost |= dict.fromkeys(("home/own", "home/same"), "capabilities")
    assert {*node.remarks} == {f"not kept of the old {node.files}/{name}: {what}" for name, what in lost.items()}


def test_no_old_version_has_capabilities(node: DiskNode) -> None:
    """As with setuid: a hole that an update closes must not stay open beside it. --restore gives them back."""
    for name in "ab":
        make(node.files / name)
    one = node.entry("a", replace(FILE, mode=0o674))
    two = node.entry("b", state(Kind.LINK, target=b"wanted"))
    assert node.fix(one, two) == [None, None]
    assert kept(node.files / "a") == {*EVERYTHING}
    for name in "ab":
        assert (node.files / f"{name}.saved").read_text() == "old"
        assert "security.capability" not in kept(node.files / f"{name}.saved")
    (result,) = put_back(node, one)
    assert result is not None
    assert result.failure is None
    assert (node.files / "a").read_text() == "old"
    assert "security.capability" in kept(node.files / "a")


def test_what_is_expected_never_waits_for_what_is_kept(node: DiskNode) -> None:
    """The new version has its mode, also that of a group which the mask of an ACL stands for, before it has a name."""
    make(node.files / "f")
    (node.files / "f").chmod(0o4777)
    one = node.entry("f", replace(FILE, mode=0o600))
    assert node.fix(one) == [None]
    assert node.changes(one) == []
    effective = subprocess.run(["getfacl", "-cp", node.files / "f"], capture_output=True, text=True, check=True).stdout
    assert "user:daemon:rwx" in effective
    assert "mask::---" in effective


def capable(node: DiskNode, name: str, capabilities: str = "cap_net_raw=ep") -> Entry:
    """Return an entry that expects capabilities."""
    return replace(node.entry(name, FILE), attributes=Attributes(capabilities=capabilities))


def audited(node: DiskNode, *entries: Entry) -> list[str | None]:
    """Return the capabilities that a probe sees, or the reason why it does not."""
    requests = [Request(one.destination, one.expected.size, expected=one.expected) for one in entries]
    answer = node.shell.run(whole(probe_script(requests))).stdout
    states = parse(requests, answer).values()
    return [
        each.reason if isinstance(each, Unknown) else each.capabilities if isinstance(each, FileState) else None
        for each in states
    ]


NAMES: Final = ("one", "b c", "none", "new", "mode")


def test_expected_capabilities(node: DiskNode) -> None:
    """The audit sees them in its one round trip; a repair sets them last, and takes away what is not expected."""
    make(node.files / "one")
    (node.files / "b c").write_text("old")
    for name in ("none", "mode"):
        make(node.files / name, content="new")
        (node.files / name).chmod(0o640)
    os.removexattr(node.files / "mode", "security.capability")
    home = node.files / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    for name in ("old", "same"):
        (home / name).write_text("new" if name == "same" else "old")
        (home / name).chmod(0o640)
    entries = [capable(node, name, "none" if name == "none" else "cap_net_raw=ep") for name in NAMES]
    entries += [capable(node, name) for name in ("tree/x", "home/old", "home/same")]
    tree = node.entry("tree", state(Kind.DIRECTORY, mode=0o755))
    seen = audited(node, *entries)
    assert seen == ["cap_net_raw=ep", "none", "cap_net_raw=ep", None, "none", None, "none", "none"]
    drifted: list[tuple[Entry, FileState | Absent]] = []
    for one, has in zip(entries, seen, strict=True):
        actual = node.actual(one)
        drifted.append((one, replace(actual, capabilities=has) if isinstance(actual, FileState) else actual))
    drifted = [(one, actual) for one, actual in drifted if actual is ABSENT or compare(one.expected, actual)]
    todo = plan([(tree, ABSENT), *drifted], {e.destination: e for e in (tree, *entries)}, os.fsencode(node.master))
    assert [result and result.failure for result in node.carry_out(todo)] == [None] * len(todo.actions)
    assert audited(node, *entries) == [one.expected.capabilities for one in entries]
    assert [node.actual(one) for one in entries] == [replace(one.expected, capabilities=None) for one in entries]


def test_unknown_capabilities(shell: Shell, open_directory: Path) -> None:
    """Without getcap they are unknown, never as expected, and nothing is changed for their sake."""
    node = DiskNode.make(with_programs(shell, open_directory, "attr"), open_directory)
    make(node.files / "f", content="new")
    one = capable(node, "f")
    assert audited(node, one) == ["the node has no program getcap, which attributes.yaml needs for it"]


def test_expected_acls(node: DiskNode) -> None:
    """Never more open than the mode on the way; `none` takes an ACL away; capabilities may be expected as well."""
    make(node.files / "old")
    make(node.files / "drift", content="new")
    (node.files / "drift").chmod(0o640)
    make(node.files / "none", content="new")
    (node.files / "none").chmod(0o640)
    rights = {"old": "u:daemon:rw", "drift": "user:daemon:r,group:bin:rw", "none": "none", "new": "group:daemon:r"}
    entries = []
    for name, text in rights.items():
        attributes = Attributes(acl=acl.canonical(text), capabilities="cap_net_raw=ep" if name == "new" else None)
        entries.append(replace(node.entry(name, FILE), attributes=attributes))

    repaired(node, *entries)
    assert "system.posix_acl_access" not in os.listxattr(node.files / "none")
    assert "security.capability" in os.listxattr(node.files / "new")


def seen(node: DiskNode, *entries: Entry) -> list[Actual]:
    """Return what a probe sees."""
    requests = [Request(one.destination, one.expected.size, expected=one.expected) for one in entries]
    states = parse(requests, node.shell.run(whole(probe_script(requests))).stdout)
    return [states[one.destination] for one in entries]


def repaired(node: DiskNode, *entries: Entry) -> None:
    """Let a repair put right what a probe sees; all of them have to differ before, and none afterwards."""
    drifted = [
        (one, actual)
        for one, actual in zip(entries, seen(node, *entries), strict=True)
        if not isinstance(actual, Unknown) and compare(one.expected, actual)
    ]
    assert len(drifted) == len(entries)
    todo = plan(drifted, {e.destination: e for e in entries}, os.fsencode(node.master))
    assert [result and result.failure for result in node.carry_out(todo)] == [None] * len(entries)
    assert [compare(one.expected, actual) for one, actual in zip(entries, seen(node, *entries), strict=True)
            if not isinstance(actual, Unknown)] == [[]] * len(entries)  # fmt: skip


def granting(one: Entry, text: str) -> Entry:
    """Return an entry that expects an ACL."""
    return replace(one, attributes=Attributes(acl=acl.canonical(text)))


def printed_acl(path: Path) -> list[str]:
    """Return what getfacl prints."""
    done = subprocess.run(["getfacl", "-cpE", path], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_acls_of_directories(node: DiskNode) -> None:
    """Default entries too, of new and of old directories, also above files. Nothing inherits them."""
    for name in ("old", "none", "his"):
        (node.files / name).mkdir(mode=0o750)
    os.chown(node.files / "his", NOBODY, NOBODY)
    (node.top / "state").mkdir(mode=0o755, exist_ok=True)  # where new versions are made
    for path in (node.files / "none", node.top / "state"):
        subprocess.run(["setfacl", "-m", "default:user:daemon:rwx", path], check=True)
    directory = state(Kind.DIRECTORY, mode=0o2770)
    ours = "user:daemon:rwx,group::rx,default:user:daemon:rwx,default:other::r"
    entries = [granting(node.entry(name, directory), ours) for name in ("old", "new", "tree", "tree/sub")]
    entries.append(granting(node.entry("none", directory), "none"))
    entries.append(granting(node.entry("his", replace(directory, uid=NOBODY, owner=None)), ours))
    entries += [node.entry(name, FILE) for name in ("old/f", "tree/f", "tree/sub/f", "his/f")]
    entries.append(granting(node.entry("g", FILE), "user:daemon:r,group::-"))
    repaired(node, *entries)
    default = ["default:user::rwx", "default:user:daemon:rwx", "default:group::r-x", "default:mask::rwx"]
    for name in ("old", "new", "tree", "tree/sub", "his"):
        assert printed_acl(node.files / name) == [
            *("user::rwx", "user:daemon:rwx", "group::r-x", "mask::rwx", "other::---"),
            *(*default, "default:other::r--"),
        ]
    assert printed_acl(node.files / "none") == ["user::rwx", "group::rwx", "other::---"]
    for name in ("old/f", "tree/f", "tree/sub/f", "his/f"):
        assert printed_acl(node.files / name) == ["user::rw-", "group::r--", "other::---"]
    assert "group::---" in printed_acl(node.files / "g")
    assert node.remarks == []
    subprocess.run(["setfacl", "-m", "group::rwx", node.files / "old"], check=True)
    subprocess.run(["setfacl", "-x", "default:user:daemon", node.files / "new"], check=True)
    repaired(node, *entries[:2])


class Labelling(Bare):
    """A shell of a node that looks as if it had SELinux."""

    def run(
        self, script: bytes, *, user: int | None = None, timeout: float = 30, cwd: str = "/"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a script."""
        return super().run(script.replace(b"/sys/fs/selinux/enforce", b"/"), user=user, timeout=timeout, cwd=cwd)


# A restorecon that knows by a list which paths have a wrong label.
RESTORECON: Final = r"""#!/bin/sh
dry=
while [ "$1" != -- ]; do case $1 in -n) dry=1 ;; esac; shift; done
shift
for p do
  p=$(/usr/bin/realpath -- "$p")
  /bin/grep -qxF -- "$p" LIST || continue
  if [ -n "$dry" ]; then echo "Would relabel $p from u:r:tmp_t:s0-s0:c0.c1 to u:r:etc_t:s0"
  else /bin/grep -vxF -- "$p" LIST >LIST.new; /bin/mv LIST.new LIST; fi
done
"""


def test_expected_labels(shell: Shell, open_directory: Path) -> None:
    """An audit asks what a restorecon would do, and a repair lets it do that; not where others may write."""
    shell = with_programs(shell, open_directory, "none")
    node = DiskNode.make(Labelling(shell.name, shell.argv, shell.env), open_directory)
    wrong, program = open_directory / "wrong", open_directory / "programs/restorecon"
    program.unlink(missing_ok=True)
    names = ("right", "label", "both ' ways", "d", "home/his")
    for name in (*names, "home"):
        if name in ("d", "home"):
            (node.files / name).mkdir(exist_ok=True, mode=0o755)
        elif "/" not in name:
            (node.files / name).write_text("old" if "both" in name else "new")
            (node.files / name).chmod(0o640)
    os.chown(node.files / "home", NOBODY, NOBODY)
    (node.files / "home/his").write_text("new")
    (node.files / "home/his").chmod(0o640)
    attributes = Attributes(selinux="restore")
    entries = [
        replace(node.entry(name, state(Kind.DIRECTORY, mode=0o755) if name == "d" else FILE), attributes=attributes)
        for name in names
    ]
    lacking = Unknown("the node has no program restorecon, which attributes.yaml needs for it")
    assert seen(node, *entries) == [lacking] * len(entries)
    wrong.write_text("".join(f"{node.files}/{name}\n" for name in names[1:]))
    program.write_text(RESTORECON.replace("LIST", str(wrong)))
    program.chmod(0o755)
    labels = [each.label for each in seen(node, *entries) if isinstance(each, FileState)]
    assert labels == [RIGHT_LABEL, *[SELinuxLabel("u:r:tmp_t:s0-s0:c0.c1", "u:r:etc_t:s0")] * 4]
    repaired(node, *entries[1:4])
    todo = plan([(entries[4], replace(entries[4].expected, label=labels[4]))], {}, os.fsencode(node.master))
    node.carry_out(todo)
    assert node.remarks[1:] == [f"no SELinux label is restored in {node.files}/home: others may write there"]
    bare = DiskNode(shell, node.top)  # without SELinux
    assert {each.label for each in seen(bare, *entries) if isinstance(each, FileState)} == {NO_SELINUX}
    assert compare(entries[0].expected, replace(FILE, size=3, label=NO_SELINUX))[0].what != "SELinux label"


@pytest.mark.parametrize("has_programs", [True, False])
def test_labels_of_selinux(shell: Shell, open_directory: Path, has_programs: bool) -> None:
    """The label of the old file before the rename, and for a new one that of its path after it. Stubs take notes."""
    shell = with_programs(shell, open_directory, "none")
    log = open_directory / "log"
    log.touch()
    for name in ("chcon", "restorecon"):
        stub = open_directory / "programs" / name
        stub.unlink(missing_ok=True)
        if has_programs:
            stub.write_text(f'#!/bin/sh\necho {name} "$@" >>{log}\n')
            stub.chmod(0o755)
    node = DiskNode.make(Labelling(shell.name, shell.argv, shell.env), open_directory)
    for name in "ab":
        (node.files / name).write_text("old")
    (node.files / "t").mkdir()
    (node.files / "home").mkdir()
    os.chown(node.files / "home", NOBODY, NOBODY)
    (node.files / "home/old").write_text("old")
    entries = [node.entry(name, FILE) for name in (*"abcdt", "home/old", "home/new")]
    tree = [node.entry("tree", state(Kind.DIRECTORY, mode=0o755)), node.entry("tree/x", FILE)]
    assert node.fix(*entries, *tree) == [None] * 9
    assert [node.changes(one) for one in (*entries, *tree)] == [[]] * 9
    calls = log.read_text().splitlines()
    if not has_programs:
        assert calls == []
        assert {f"not kept of the old {node.files}/{name}: SELinux label" for name in "ab"} < {*node.remarks}
        assert any("restorecon failed" in remark for remark in node.remarks)
        return
    referred = [call.split()[3:] for call in calls if call.startswith("chcon -R -h --reference=")]
    assert sorted((words[0].partition("=")[2], os.path.basename(words[2])) for words in referred) == [
        (".", "new"), (".", "old"), ("./a", "a"), ("./b", "b"),
    ]  # fmt: skip
    relabelled = {name for call in calls if call.startswith("restorecon -R --") for name in call.split()[3:]}
    assert relabelled == {"./c", "./d", "./t", "./tree"}
    assert node.remarks == []

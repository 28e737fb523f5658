"""What of a masterdir goes to a node, what is made for it, and how it is known whether it has that."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import route_to
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import connect
from pytest_synctool.model import ABSENT, FileState, Kind, Node
from pytest_synctool.repair.mirror import Mirror
from pytest_synctool.repair.mirror_contents import Extract, extract, visible
from pytest_synctool.repair.mirror_script import MARK, Basis, NodeSide
from pytest_synctool.repair.node_mirror import NodeMirror
from pytest_synctool.repository import attributes
from pytest_synctool.repository.attributes import Attributes, writer
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.helpers import ODD_NAMES, config, entry, file_names, state
from tests_meta.unit.repository.test_attributes_scan import accounts, owned, source

PATH: Final = Path("/master/attributes.yaml")


def test_a_node_sees_its_own_sources_triggers_and_tasks_and_all_scripts() -> None:
    entries = [
        entry(b"/b", state(), trigger=b"overlay/b.post"),
        entry(b"/a", state()),
        entry(b"/task", tree=Tree.TASKS),
        entry(b"/z", tree=Tree.DELETE, trigger=b"delete/z.post"),
        entry(b"/y", tree=Tree.DELETE),
    ]
    expected = [b"delete/z.post", b"overlay/a._all", b"overlay/b._all", b"overlay/b.post", b"tasks/task._all"]
    assert visible(entries) == expected
    names = (*expected[:4], b"scripts", b"scripts/x", expected[4])
    assert extract(entries, [b"scripts/x", b"scripts"]) == Extract(
        names, {b"delete/z._all": b"", b"delete/y._all": b""}
    )


def test_what_sources_cannot_show_is_said_by_exact_rules() -> None:
    """Whatever the rules were that decided it, and of nothing else."""
    plain = source(b"plain._all", owned())
    foreign = source(b"foreign._all", owned(1, 77))
    link = source(b"link._all", owned(2, kind=Kind.LINK))
    secret = source(b"st*r/secret._batch", owned(mode=0o644))
    given = Attributes(owner="alice", mode=0o600, validate="visudo -cf %s", sensitive=True)
    with accounts():
        made = extract([Entry(plain), Entry(foreign), Entry(link), Entry(secret, attributes=given)]).made
    assert made[b"attributes.yaml"].decode() == (
        "# The controller's attributes.yaml, reduced to this node. A later --fix may replace this file.\n"
        '- owner: "batch"\n  group: "77"\n  source:\n  - "overlay/foreign._all"\n'
        '- owner: "2"\n  source:\n  - "overlay/link._all"\n'
        '- owner: "alice"\n  mode: "0600"\n  validate: "visudo -cf %s"\n  sensitive: "yes"\n  source:\n'
        '  - "overlay/st[*]r/secret._batch"\n'
    )


def test_nothing_to_say_is_no_file() -> None:
    assert extract([entry(b"/a", state()), entry(b"/b", tree=Tree.TASKS)]).made == {}
    assert extract([Entry(source(b"a", owned()), attributes=Attributes(origins=("x",)))]).made == {}


given_attributes = st.builds(
    Attributes,
    owner=st.sampled_from([None, "root", "alice", "17"]),
    group=st.sampled_from([None, "wheel", "0"]),
    mode=st.sampled_from([None, 0, 0o644, 0o7777]),
    validate=st.sampled_from([None, "test -s %s"]),
    sensitive=st.booleans(),
)
utf8_names = (st.sampled_from(ODD_NAMES) | file_names | st.text(max_size=9).map(str.encode)).filter(
    lambda name: (
        name not in (b"", b".", b"..")
        and not set(name) & set(b"/\0\n")
        and name.decode("utf-8", "ignore").encode() == name
    )
)


def said_of(text: str, one: Source) -> Attributes:
    """What an attributes.yaml says of a source on any node."""
    return attributes.parse(text, PATH, ()).decide(one, ("node", "all")) or Attributes()


@given(
    st.dictionaries(
        utf8_names, st.tuples(given_attributes, st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=5
    )
)
def test_the_node_decides_as_the_master_did(found: dict[bytes, tuple[Attributes, int, int, bool]]) -> None:
    """For each of any sources; and who owns a copy is no matter any more."""
    chosen = {}
    for name, (given_, uid, gid, is_link) in found.items():
        kind = Kind.LINK if is_link else Kind.FILE
        decided = replace(given_, mode=None, validate=None) if is_link else given_
        chosen[source(name, owned(uid, gid, kind=kind))] = decided
    with accounts():
        text = writer.mirror_text(chosen.items())
        for one, decided in chosen.items():
            said = said_of(text, one)
            copied = replace(one.state, uid=4711, gid=4711, owner="other", group="other")
            root = replace(copied, uid=0, gid=0, owner="root", group="root")
            copy = replace(
                copied,
                **{k: getattr(root, k) for k in ("uid", "owner") if not one.state.uid},
                **{k: getattr(root, k) for k in ("gid", "group") if not one.state.gid},
            )
            there, here = said.applied(copy), decided.applied(one.state)
            assert (there.uid, there.gid, there.mode) == (here.uid, here.gid, here.mode)
            # A rule can give some accounts only by number.
            assert there.owner in (here.owner, None)
            assert there.group in (here.group, None)
            assert (said.validate, said.sensitive) == (decided.validate, decided.sensitive)


def test_a_name_that_is_not_utf8_has_its_rule_too() -> None:
    one = source(b"a\xff[\xfe]b", owned())
    text = writer.mirror_text([(one, Attributes(mode=0o600))])
    assert "overlay/a?[[]?]b" in text
    assert said_of(text, one).mode == 0o600


def fingerprint(top: Path, found: Extract) -> str:
    return found.fingerprint(os.fsencode(top), {})


def test_a_fingerprint_is_of_names_contents_and_modes(tmp_path: Path) -> None:
    """Also where size and time are as they were."""
    path = tmp_path / "file"
    path.write_text("one")
    times = (1_000_000_000, 1_000_000_000)
    os.utime(path, times)
    part = Extract((b"file", b"gone"), {b"x": b"1"})
    seen = [fingerprint(tmp_path, part)]
    assert fingerprint(tmp_path, part) == seen[0]
    path.write_text("two")
    os.utime(path, times)
    seen.append(fingerprint(tmp_path, part))
    path.chmod(0o600)
    seen.append(fingerprint(tmp_path, part))
    (tmp_path / "gone").symlink_to("file")
    seen.append(fingerprint(tmp_path, part))
    others: tuple[dict[bytes, bytes], ...] = ({b"x": b"2"}, {b"y": b"1"}, {b"x1": b""}, {b"x": b"1", b"y": b""}, {})
    seen += [fingerprint(tmp_path, Extract(part.names, made)) for made in others]
    seen.append(fingerprint(tmp_path, Extract((b"file",), part.made)))
    assert len(set(seen)) == len(seen)


def test_a_file_is_looked_up_once_for_all_nodes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    known: dict[bytes, bytes] = {}
    part = Extract((b"file",), {})
    first = part.fingerprint(os.fsencode(tmp_path), known)
    path.unlink()
    assert part.fingerprint(os.fsencode(tmp_path), known) == first


@pytest.fixture
def mirrored(tmp_path: Path) -> NodeMirror:
    """The mirror of a node that nothing answers for."""
    top = config(tmp_path, "node node1").masterdir
    mirror = Mirror.of(top, ["no-such-rsync"], 1)
    there = Node("node1", ("node1", "all"), "node1", connection="chroot:///proc/nonexistent")
    return NodeMirror(mirror, connect(there, SshSettings(), Processes()), EntryList([entry(b"/a", state())]))


def mark_of(mirrored: NodeMirror) -> FileState:
    """What a probe finds where the mirror is up to date."""
    _, fingerprint = mirrored.mirror.extract(mirrored.entries)
    text = f"made by pytest --fix, which removes what else is put here: {fingerprint}\n".encode()
    path = mirrored.mirror.masterdir / "up-to-date"
    path.write_bytes(text)
    expected = Source(Tree.OVERLAY, b"/", os.fsencode(path)[1:], b"/x", state(size=len(text), md5=None)).expected
    assert mirrored.mark == Request(os.fsencode(mirrored.mirror.masterdir / MARK), len(text))
    return expected


def test_a_mirror_that_is_up_to_date_or_not_there_is_left_alone(mirrored: NodeMirror) -> None:
    up_to_date = mark_of(mirrored)
    for found in (up_to_date, ABSENT, state(Kind.LINK), state(Kind.DIRECTORY)):
        assert mirrored.refresh(found) == ()


@pytest.mark.parametrize("md5", ["0" * 32, None])
def test_one_that_is_not_is_brought_once(mirrored: NodeMirror, md5: str | None) -> None:
    (note,) = mirrored.refresh(replace(mark_of(mirrored), md5=md5))
    assert note.startswith("its copy of the masterdir is not up to date: ")
    assert mirrored.refresh(replace(mark_of(mirrored), md5=md5)) == ()


def test_where_there_can_be_no_mirror_no_mark_is_looked_for(mirrored: NodeMirror) -> None:
    assert NodeMirror(replace(mirrored.mirror, problem="none"), mirrored.transport, mirrored.entries).mark is None


def test_nodes_with_the_same_entries_share_the_work(tmp_path: Path) -> None:
    mirror = Mirror.of(tmp_path, ["rsync"], 1)
    one, other = EntryList([entry(b"/a", state())]), EntryList([entry(b"/a", state())])
    assert mirror.extract(one) is mirror.extract(one)
    assert mirror.extract(one) == mirror.extract(other)


def test_the_largest_files_that_are_there_may_be_used() -> None:
    sizes = {b"small": (16 << 20) - 1, b"large": 16 << 20, b"larger": 17 << 20}
    entries = [entry(b"/" + name, state(size=size), relative=name + b"._all") for name, size in sizes.items()]
    entries.append(entry(b"/link", state(Kind.LINK, size=18 << 20)))
    assert extract(entries).bases == (
        Basis(b"/larger", b"larger._all", sizes[b"larger"]),
        Basis(b"/large", b"large._all", sizes[b"large"]),
    )


@pytest.mark.parametrize("byte", [b"x", b"'", b"\xff"])
def test_their_names_fit_in_an_argument(byte: bytes) -> None:
    names = [b"%d" % number + byte * 200 for number in range(40)]
    entries = [entry(b"/" + name, state(size=16 << 20), relative=name) for name in names]
    bases = extract(entries).bases
    assert 0 < len(bases) < len(entries)
    side = NodeSide("synctool-" + "0" * 16, b"/" + byte * 1000, "0" * 50, "rsync", 120, bases)
    route = route_to(Node("n", ("n", "all"), "n"), SshSettings())
    assert len(os.fsencode(side.line(route))) < 128 << 10


@pytest.mark.parametrize("tool", ["rsync", "cd .. && EXTRACT_UNSAFE_SYMLINKS=1 tar xpf -"])
def test_a_push_fits_in_a_command_for_dropbear(tool: str) -> None:
    """It takes 9,000 bytes, and rsync adds some for its own words."""
    side = NodeSide("synctool-" + "0" * 16, b"/" + b"x" * 100, "0" * 50, tool, 120, in_one=tool != "rsync")
    assert len(side.line(route_to(Node("n", ("n", "all"), "n"), SshSettings()))) < 8_600

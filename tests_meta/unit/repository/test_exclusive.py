"""Exclusive directories: what each may have, which is decided by the entries of a node alone."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.errors import RepositoryError, TrustError
from pytest_synctool.lint import lint
from pytest_synctool.model import Kind
from pytest_synctool.repository import attributes
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.attributes.writer import mirror_text
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.exclusive import exclusive_contents
from pytest_synctool.repository.resolution import load
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.vital_paths import check_lockouts

from tests_meta.unit.helpers import config, entry, node, state

DIRECTORY = state(kind=Kind.DIRECTORY, mode=0o755)


def directory(path: bytes, exclusive: str | None = None, *allow: str, although_vital: bool = False) -> Entry:
    """Return the entry of a directory."""
    attributes = Attributes(exclusive=exclusive, allow=allow, although_vital=although_vital)
    return Entry(entry(path, DIRECTORY).source, attributes=attributes)


def known(*entries: Entry) -> dict[bytes, dict[bytes, set[bytes]]]:
    """Return the directories and names of each exclusive directory."""
    return {
        each.destination: {path: set(names) for path, names in each.known.items()}
        for each in exclusive_contents(entries)
    }


def test_one_directory() -> None:
    """What entries have in it may be there, and what leads to them; nothing below it is looked at."""
    entries = [
        entry(b"/d/gone", tree=Tree.DELETE),
        entry(b"/d/old/deep/gone", tree=Tree.DELETE),
        directory(b"/d", "yes"),
        directory(b"/d/sub"),
        entry(b"/d/sub/file"),
        entry(b"/d/file"),
        entry(b"/dx/other"),
        entry(b"/d", tree=Tree.TASKS),
    ]
    assert known(*entries) == {b"/d/": {b"/d": {b"gone", b"old", b"sub", b"file"}}}


def test_a_tree() -> None:
    """All managed directories below it are listed, but those with a word of their own and what is below them."""
    entries = [
        directory(b"/t", "tree"),
        directory(b"/t/a"),
        entry(b"/t/a/f"),
        directory(b"/t/no", "no"),
        directory(b"/t/no/x"),
        entry(b"/t/no/x/f"),
        directory(b"/t/yes", "yes"),
        directory(b"/t/yes/x"),
        directory(b"/t/no/tree", "tree"),
        directory(b"/t/no/tree/x"),
        entry(b"/t/deleted/x", tree=Tree.DELETE),
    ]
    assert known(*entries) == {
        b"/t/": {b"/t": {b"a", b"no", b"yes", b"deleted"}, b"/t/a": {b"f"}, b"/t/deleted": {b"x"}},
        b"/t/yes/": {b"/t/yes": {b"x"}},
        b"/t/no/tree/": {b"/t/no/tree": {b"x"}, b"/t/no/tree/x": set()},
    }


def test_allowed_names() -> None:
    """A pattern is for a path below the directory, in which a star stays within one name."""
    contents = exclusive_contents([directory(b"/t", "tree", "*.local", "sub/[!a]*"), directory(b"/t/sub")])[0]
    allowed = [b"/t/x.local", b"/t/\xff.local", b"/t/sub/b", b"/t/sub", b"/elsewhere"]
    refused = [b"/t/local", b"/t/sub/ax.local", b"/t/sub/a", b"/t/.locale", b"/t/x.local\n"]
    assert [path for path in (*allowed, *refused) if contents.may_have(path)] == allowed


_names = st.sampled_from([b"a", b"b", b"a.b", b"ab"])
_paths = st.lists(_names, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))


@given(st.dictionaries(_paths, st.sampled_from(["yes", "tree", "no", None]), max_size=8), st.sets(_paths, max_size=8))
def test_no_entry_is_ever_rogue(words: dict[bytes, str | None], files: set[bytes]) -> None:
    """Whatever is exclusive: no path of an entry, and none that leads to one, must go. No path is judged twice."""
    above = {path[:end] for path in files | {*words} for end in range(1, len(path)) if path[end : end + 1] == b"/"}
    directories = [directory(path, words.get(path)) for path in sorted({*words} | above)]
    taken = {each.destination for each in directories}
    entries = [*directories, *(entry(path) for path in sorted(files - taken))]
    contents = exclusive_contents(entries)
    for each in contents:
        assert all(each.may_have(one.destination) for one in entries)
    listed = [path for each in contents for path in each.known]
    assert len(listed) == len(set(listed))
    for path in listed:
        assert sum(not each.may_have(os.path.join(path, b"zzz")) for each in contents) == 1


def test_a_vital_directory_is_named_twice() -> None:
    """A repair is refused for all nodes, with the directory and the remedy."""
    vital, meant = directory(b"/etc/ssh", "yes"), directory(b"/etc/ssh", "yes", although_vital=True)
    check_lockouts([(node(), EntryList([meant], exclusive=exclusive_contents([meant])))])
    with pytest.raises(RepositoryError) as error:
        check_lockouts([(node(), EntryList([vital], exclusive=exclusive_contents([vital])))])
    assert str(error.value) == (
        "overlay/etc/ssh._all: whatever is in no entry would be removed from /etc/ssh, without which a node may not "
        "work: add 'although_vital: yes' to a rule for this very path, if that is meant on node1\nnothing was changed"
    )


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """The example of docs/repository.md makes these directories exclusive, and lint has nothing to say."""
    text = (Path(__file__).parents[3] / "docs" / "repository.md").read_text()
    section = text.partition("## Exclusive directories\n")[2]
    example = section[section.index("    - path:") : section.index("The directory has to be")]
    conf = config(tmp_path, "node node1 batch")
    (conf.masterdir / "attributes.yaml").write_text(textwrap.dedent(example))
    for name in ("etc/cron.d", "srv/app/conf.d/cache", "srv/app/conf.d/site/x", "etc/sudoers.d"):
        (conf.masterdir / "overlay" / name).mkdir(parents=True)
    for path in conf.masterdir.rglob("*"):
        path.chmod(0o755)
    entries = load(conf).entries(conf.nodes["node1"])
    assert {each.destination: [*each.known] for each in entries.exclusive} == {
        b"/etc/cron.d/": [b"/etc/cron.d"],
        b"/etc/sudoers.d/": [b"/etc/sudoers.d"],
        b"/srv/app/conf.d/": [b"/srv/app/conf.d", b"/srv/app/conf.d/cache"],
    }
    check_lockouts([(node(), entries)])
    findings = lint(conf, load(conf))
    assert not [
        finding for rule, found in findings.items() if "exclusive" in rule or "allow" in rule for finding in found
    ]


def test_purge_of_synctool_7(tmp_path: Path) -> None:
    """The highest directories with files are exclusive trees, of which no name has an extension or is a trigger."""
    conf = config(tmp_path, "node node1 wn", "node node2", "layout 7", "ignore .keep")
    names = (
        *("purge/all/etc/app/a", "purge/all/etc/app/sub/b._wn", "purge/all/etc/app/x.post", "purge/all/etc/app/~c~"),
        *("purge/wn/etc/app/a", "purge/wn/srv/d/.keep", "purge/wn/srv/d/e/f", "purge/nobody/etc/x/y", "purge/g"),
        *("overlay/all/etc/app/from.overlay._all", "overlay/wn/srv/d/e/g._all"),
    )
    for name in names:
        path = conf.masterdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for path in conf.masterdir.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    repository = load(conf)
    entries = {each: repository.entries(conf.nodes[each]) for each in ("node1", "node2")}
    assert {one.destination: one.source.shown for one in entries["node1"] if not one.source.is_directory} == {
        b"/etc/app/a": "purge/wn/etc/app/a",
        b"/etc/app/sub/b._wn": "purge/all/etc/app/sub/b._wn",
        b"/etc/app/x.post": "purge/all/etc/app/x.post",
        b"/etc/app/~c~": "purge/all/etc/app/~c~",
        b"/etc/app/from.overlay": "overlay/all/etc/app/from.overlay._all",
        b"/srv/d/e/f": "purge/wn/srv/d/e/f",
        b"/srv/d/e/g": "overlay/wn/srv/d/e/g._all",
    }
    assert {each.destination for each in entries["node1"].exclusive} == {b"/etc/app/", b"/srv/d/e/"}
    assert {each.destination: each.known for each in entries["node2"].exclusive} == {
        b"/etc/app/": {
            b"/etc/app": {b"a", b"sub", b"x.post", b"~c~", b"from.overlay"},
            b"/etc/app/sub": {b"b._wn"},
        }
    }
    assert sorted(left.relative for left in repository.masterdir.left_out) == [b"purge/g", b"purge/nobody"]
    text = mirror_text((one.source, one.attributes) for one in entries["node1"] if one.tree is Tree.OVERLAY)
    rules = attributes.parse(text, tmp_path / "attributes.yaml", ()).rules
    assert [rule.names for rule in rules if rule.exclusive == "tree"] == [("purge/wn/etc/app", "overlay/wn/srv/d/e")]
    (conf.masterdir / "purge" / "all" / "top").touch()
    with pytest.raises(RepositoryError, match="purge/all/ has files, so that nodes could have nothing else at all"):
        load(conf)


@pytest.mark.parametrize(
    ("link", "destinations"),
    [
        ("purge/all/srv/d/x", {b"/srv/d", b"/srv/d/x"}),
        ("overlay/all/x._all", {b"/x"}),
        ("overlay/x", set()),
        ("purge/x", set()),
        ("tasks/x._all", {b"/x"}),
        ("delete/all/x._all", {b"/x"}),
    ],
)
def test_a_link_to_itself_is_a_link(tmp_path: Path, link: str, destinations: set[bytes]) -> None:
    conf = config(tmp_path, "node node1", "layout 7")
    for name in ("overlay", link):
        (conf.masterdir / name).parent.mkdir(parents=True, exist_ok=True)
    (conf.masterdir / "overlay").mkdir(exist_ok=True)
    (conf.masterdir / link).symlink_to((conf.masterdir / link).name)
    assert {each.destination for each in load(conf).entries(conf.nodes["node1"])} == destinations
    (conf.masterdir / "purge/all").mkdir(parents=True, exist_ok=True)
    (conf.masterdir / "purge/all/y").symlink_to("y")
    with pytest.raises(RepositoryError, match="purge/all/ has files, so that nodes could have nothing else at all"):
        load(conf)


@pytest.mark.parametrize("name", ["purge", "purge/all", "purge/all/srv", "purge/all/srv/d", "purge/all/srv/d/f"])
def test_nobody_else_can_write_in_purge(tmp_path: Path, name: str) -> None:
    """What others can change is refused, on the whole way to a file."""
    conf = config(tmp_path, "node node1", "layout 7")
    (conf.masterdir / "overlay").mkdir()
    (conf.masterdir / "purge/all/srv/d").mkdir(parents=True)
    (conf.masterdir / "purge/all/srv/d/f").touch()
    for path in (conf.masterdir, *conf.masterdir.rglob("*")):
        path.chmod(0o755)
    assert load(conf).entries(conf.nodes["node1"]).exclusive
    (conf.masterdir / name).chmod(0o777)
    with pytest.raises(TrustError, match=f"{name} is not trusted"):
        load(conf)

"""Two manifests compared in words, manifests from files, and revisions of git."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.trust import Trust
from pytest_synctool.errors import RepositoryError, TrustError
from pytest_synctool.repository import manifest_file
from pytest_synctool.repository.changes import effects
from pytest_synctool.repository.git_revision import Commit
from pytest_synctool.repository.manifest import EntryManifest, NodeManifest

from tests_meta.unit.helpers import IS_ROOT, NOBODY

FILE: EntryManifest = {
    "source": "overlay/f._all", "type": "file", "mode": "0644", "owner": "root", "group": "root", "size": 2, "md5": "a",
}  # fmt: skip
LINK: EntryManifest = {
    "source": "overlay/f._all", "type": "symbolic link", "owner": "root", "group": "root", "target": "/x",
}  # fmt: skip
SECRET: EntryManifest = {**FILE, "md5": "", "digest": "key:a"}
del SECRET["md5"]


def keep(text: str) -> str:
    return f"key:{text}"


def node(**parts: Any) -> NodeManifest:
    manifest = NodeManifest(
        groups=["all"], overlay={}, delete={}, tasks={}, post={}, on_update={}, scripts={}, always_run=[]
    )
    manifest.update(parts)  # type: ignore[typeddict-item]
    return manifest


def told(old: dict[str, NodeManifest], new: dict[str, NodeManifest]) -> list[str]:
    """Return the effects as the command prints them."""
    return [f"{fold(names)}: {effect.text}" for effect, names in effects(old, new, keep).nodes_of.items()]


def entry(**fields: Any) -> EntryManifest:
    """Return FILE with other fields; None removes one."""
    changed = {**FILE, **fields}
    return {key: value for key, value in changed.items() if value is not None}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (FILE, FILE, None),
        (FILE, entry(source="overlay/f._other"), None),  # nothing changes on the node
        (FILE, entry(md5="b"), "contents, of the same size"),
        (FILE, entry(md5="b", source="overlay/f._x"), "contents, of the same size, from overlay/f._x"),
        (FILE, entry(size=3, md5="b", mode="0600"), "contents, 2 -> 3 bytes, mode 0644 -> 0600"),
        (FILE, entry(owner=7, group="adm"), "owner root -> 7, group root -> adm"),
        (FILE, LINK, "type file -> symbolic link to /x root:root"),
        (LINK, {**LINK, "target": "/y"}, "link target /x -> /y"),
        (
            LINK,
            entry(**{**LINK, "target": None, "digest": "key:/y", "mode": None, "size": None, "md5": None}),
            "link target",
        ),
        (SECRET, SECRET, None),
        (SECRET, {**SECRET, "digest": "key:b"}, "contents, of the same size"),
        (FILE, {**SECRET, "sensitive": True}, "sensitive none -> yes"),  # the same contents, now by a digest
        (SECRET, {**SECRET, "digest": "other:a"}, "contents may differ, by digests of another key"),
        (FILE, entry(validate="visudo -cf %s"), "validate none -> visudo -cf %s"),
        (FILE, entry(error="cannot read x"), "is unknown: cannot read x"),
        (None, FILE, "is new: file 0644 root:root, 2 bytes, from overlay/f._all"),
        (None, entry(size=1), "is new: file 0644 root:root, 1 byte, from overlay/f._all"),
        (FILE, None, "no longer managed, stays as it is"),
    ],
)
def test_one_entry(before: EntryManifest | None, after: EntryManifest | None, text: str | None) -> None:
    old, new = (node(overlay={} if each is None else {"/f": each}) for each in (before, after))
    assert told({"n": old}, {"n": new}) == ([] if text is None else [f"n: /f {text}"])


def test_deletion() -> None:
    overlay, delete, nothing = node(overlay={"/f": FILE}), node(delete={"/f": {"source": "delete/f._all"}}), node()
    for old, new, text in (
        (overlay, delete, "/f must not exist any more (delete/f._all)"),
        (nothing, delete, "/f must not exist any more (delete/f._all)"),
        (delete, nothing, "/f may exist again"),
        (delete, overlay, "/f must exist again: file 0644 root:root, 2 bytes, from overlay/f._all"),
    ):
        assert told({"n": old}, {"n": new}) == [f"n: {text}"]
    assert told({"n": delete}, {"n": delete}) == []


def test_commands() -> None:
    """A change runs the trigger of the file and that of its directory; a change of a trigger runs nothing yet."""
    directory = entry(type="directory", size=None, md5=None)
    post = {
        "/d/f": {"source": "overlay/d/f.post", "size": 1, "md5": "a"},
        "/d": {"source": "overlay/d.post", "md5": "b"},
    }
    old = node(overlay={"/d": directory, "/d/f": FILE}, post=post, on_update={"/d": "reload"})
    new = node(overlay={"/d": directory, "/d/f": entry(mode="0600")}, post=post, on_update={"/d": "reload"})
    assert told({"n": old}, {"n": new}) == ["n: /d/f mode 0644 -> 0600; runs overlay/d/f.post, overlay/d.post, reload"]
    changed = node(**{**old, "post": {**post, "/d": {"source": "overlay/d.post", "md5": "c"}}, "on_update": {}})
    assert told({"n": old}, {"n": changed}) == [
        "n: /d has another trigger: overlay/d.post, which runs after the next change",
        "n: /d on_update reload -> none",
    ]
    assert told({"n": old}, {"n": node(**{**old, "post": {}})}) == [
        "n: /d loses the trigger overlay/d.post",
        "n: /d/f loses the trigger overlay/d/f.post",
    ]
    tasks = [node(tasks=each) for each in ({}, {"/t": FILE}, {"/t": entry(md5="b")})]
    assert told({"n": tasks[0]}, {"n": tasks[1]}) == ["n: task /t is new"]
    assert told({"n": tasks[1]}, {"n": tasks[2]}) == ["n: task /t has other contents"]
    assert told({"n": tasks[2]}, {"n": tasks[0]}) == ["n: task /t is gone"]


def test_scripts_and_commands_of_each_repair() -> None:
    old = node(scripts={"scripts/a": FILE, "scripts/b": FILE}, always_run=["one", "two"])
    new = node(scripts={"scripts/b": entry(md5="b"), "scripts/c": FILE}, always_run=["two", "three"])
    assert told({"n": old}, {"n": new}) == [
        "n: every repair no longer runs one",
        "n: every repair runs three",
        "n: scripts/a is gone",
        "n: scripts/b has other contents, for the next command that uses it",
        "n: scripts/c is new",
    ]


def test_nodes_are_folded_and_come_and_go() -> None:
    old = {f"n{number}": node(overlay={"/f": FILE}) for number in range(1, 6)}
    new = {name: node(overlay={"/f": entry(mode="0600")}) for name in ("n1", "n2", "n3")}
    new["n4"] = node(overlay={"/f": FILE}, ignored=True)
    new["n6"] = node(overlay={"/f": FILE}, groups=["x", "all"])
    result = effects(old, new, keep)
    assert told(old, new) == [
        "n4: ignored from now on, stays as it is",
        "n6: a new node, with 1 entry",
        "n5: no longer a node, stays as it is",
        "n[1-3]: /f mode 0644 -> 0600",
    ]
    assert result.unchanged == []
    ignored = node(ignored=True, overlay={"/f": FILE})
    assert told({"n": ignored}, {"n": node(ignored=True)}) == []
    assert told({"n": ignored}, {"n": node()}) == ["n: no longer ignored, with 0 entries"]
    assert told({"n": node(groups=["a", "all"])}, {"n": node()}) == ["n: groups a all -> all"]


def test_hostile_names_stay_on_one_line() -> None:
    odd = "/\x1b[31m\udcff\n::stop"
    (line,) = told({"n": node()}, {"n": node(overlay={odd: {**FILE, "source": odd, "owner": "\x07"}})})
    assert line.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["n", "groups", *node(), "ignored", *FILE, "digest"]), inner, max_size=8)
    ),
    max_leaves=20,
)


@given(value=JSON)
def test_any_json_is_a_manifest_or_an_error(value: object) -> None:
    for each in (value, {"n": value}, {"n": {**node(), "overlay": value}}, {"n": {**node(), "post": {"/f": value}}}):
        with suppress(RepositoryError):
            parsed = manifest_file.parse(json.dumps(each), "file")
            effects(parsed, {"n": node(overlay={"/f": FILE})}, keep)
            effects({"n": node(overlay={"/f": FILE})}, parsed, keep)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"n": 1}',
        "[" * 100_000,
        '{"\\ud800": {}}',
        json.dumps({"n": {**node(), "overlay": {"/f": "x"}}}),
    ],
)
def test_other_texts_are_errors(text: str) -> None:
    with pytest.raises(RepositoryError, match=r"^file is not a manifest of this version"):
        manifest_file.parse(text, "file")


def git(directory: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run(["git", "-C", str(directory), *author, *words], check=True, capture_output=True)


def test_a_submodule_is_unknown(tmp_path: Path) -> None:
    """Its contents at the revision are in another repository."""
    for name in ("other", "site"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q")
        (tmp_path / name / "file").touch()
        git(tmp_path / name, "add", ".")
        git(tmp_path / name, "commit", "-qm", "first")
    masterdir = tmp_path / "site/masterdir"
    masterdir.mkdir()
    revision = Commit.find(masterdir, "HEAD", Trust.of_caller())
    git(tmp_path / "site", "submodule", "add", "-q", str(tmp_path / "other"), "masterdir/overlay")
    git(tmp_path / "site", "commit", "-qm", "second")
    assert revision.write(tmp_path / "first", masterdir) == tmp_path / "first/masterdir"
    with pytest.raises(RepositoryError, match=r"^masterdir/overlay is a submodule of git"):
        Commit.find(masterdir, "HEAD", Trust.of_caller()).write(tmp_path / "second", masterdir)


@pytest.mark.parametrize("name", ["none", "-x", "--all", "HEAD~7", "HEAD:file", "a\0b", "\udcff", "HEAD\n"])
def test_no_revision(name: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(RepositoryError) as raised:
        Commit.find(tmp_path, name, Trust.of_caller())
    assert str(raised.value).isprintable()


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^HEAD is no file, and .* is not in a git repository$"):
        Commit.find(tmp_path, "HEAD", Trust.of_caller())


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_a_repository_of_another_account(tmp_path: Path) -> None:
    """What git runs there, such as a filter, is chosen by its owner: only for a trusted one."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-qm", "first", "--allow-empty")
    os.chown(tmp_path / ".git/config", NOBODY, NOBODY)
    with pytest.raises(TrustError):
        Commit.find(tmp_path, "HEAD", Trust.of_caller())
    os.chown(tmp_path, NOBODY, NOBODY)
    os.chown(tmp_path / ".git", NOBODY, NOBODY)
    assert Commit.find(tmp_path, "HEAD", Trust.of_caller([str(NOBODY)])).top == tmp_path

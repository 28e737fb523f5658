"""Contents of files fetched in real shells: what comes is what is there, byte by byte, and no secret comes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.audit.fetch import LIMIT, Copy, FetchRequest, parse, script, split
from pytest_synctool.common.shell import argument_size, whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, FileState, Kind, Unknown

from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, snapshot

NONCE = b"0123456789abcdef"


def ask(shell: Shell, requests: Sequence[FetchRequest], user: int | None = None) -> Mapping[bytes, Copy]:
    """What a node with this shell answers."""
    return parse(requests, NONCE, shell.run(whole(script(requests, NONCE)), user=user).stdout)


def put(path: Path, content: bytes, mode: int = 0o644) -> bytes:
    """A file, and its name as a request has it."""
    path.write_bytes(content)
    path.chmod(mode)
    return os.fsencode(path)


def like(path: bytes, content: bytes) -> FetchRequest:
    """A request by somebody who has this content."""
    return FetchRequest(path, len(content), hashlib.md5(content).hexdigest())


@given(contents=st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\n\n", b"a\n" + NONCE, b"\0"]), max_size=4))
@settings(max_examples=15)
def test_any_contents(shell: Shell, tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    top = tmp_path_factory.mktemp("contents")
    requests = [FetchRequest(put(top / str(number), content)) for number, content in enumerate(contents)]
    found = ask(shell, requests)
    assert [found[request.path].content for request in requests] == contents
    assert {copy.complaint for copy in found.values()} <= {""}


def test_odd_names(shell: Shell, tmp_path: Path) -> None:
    requests = [FetchRequest(put(tmp_path / os.fsdecode(name), name)) for name in ODD_NAMES]
    assert [copy.content for copy in ask(shell, requests).values()] == [*ODD_NAMES]


def test_what_is_the_same_is_not_sent(shell: Shell, tmp_path: Path) -> None:
    path = put(tmp_path / "file", b"same\n")
    same, other, longer = (ask(shell, [like(path, c)])[path] for c in (b"same\n", b"some\n", b"longer\n"))
    assert (same.content, other.content, longer.content) == (None, b"same\n", b"same\n")
    assert isinstance(same.state, FileState)
    assert same.state.md5 == hashlib.md5(b"same\n").hexdigest()


def test_a_digest_comes_in_the_place_of_contents(shell: Shell, tmp_path: Path) -> None:
    """Of files alone, however long they are and whoever may read them; never the contents themselves."""
    contents = {"empty": b"", "short": b"short\n", "long": b"x" * (LIMIT + 1)}
    requests = [FetchRequest(put(tmp_path / name, c, 0o600), digest=True, secrets=True) for name, c in contents.items()]
    (tmp_path / "link").symlink_to("short")
    os.mkfifo(tmp_path / "pipe")
    requests += [FetchRequest(os.fsencode(tmp_path / name), digest=True) for name in ("link", "pipe", "gone")]
    copies = [*ask(shell, requests).values()]
    digests = [copy.state.md5 if isinstance(copy.state, FileState) else copy.state for copy in copies]
    assert digests == [*(hashlib.md5(content).hexdigest() for content in contents.values()), None, None, ABSENT]
    assert not any(copy.content or copy.complaint for copy in copies)


@pytest.mark.parametrize("sent", [b"", b"0" * 31, b"0" * 33, b"0" * 32 + b"  name", b"G" * 32, b"0" * 32 + b"\n\n"])
def test_a_digest_that_is_none(shell: Shell, tmp_path: Path, sent: bytes) -> None:
    request = FetchRequest(put(tmp_path / "file", b"content"), digest=True)
    answer = shell.run(whole(script([request], NONCE))).stdout
    digest = hashlib.md5(b"content").hexdigest().encode() + b"  -\n"
    assert answer.count(digest) == 1
    copy = parse([request], NONCE, answer.replace(digest, sent))[request.path]
    assert (getattr(copy.state, "md5", ""), copy.complaint) == (None, "md5sum prints no digest")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o711, 0o4710])
def test_secrets_are_not_sent_unless_asked_for(shell: Shell, tmp_path: Path, mode: int) -> None:
    path = put(tmp_path / "file", b"hush", mode)
    assert b"hush" not in shell.run(whole(script([FetchRequest(path)], NONCE))).stdout
    assert ask(shell, [FetchRequest(path)])[path].content is None
    assert ask(shell, [FetchRequest(path, secrets=True)])[path].content == b"hush"
    assert ask(shell, [FetchRequest(path, content=False, secrets=True)])[path].content is None


def test_what_is_no_file(shell: Shell, tmp_path: Path) -> None:
    """A link is not followed, a pipe is not opened, and absent is absent."""
    put(tmp_path / "file", b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ["link", "directory", "pipe", "gone"]
    found = [*ask(shell, [FetchRequest(os.fsencode(tmp_path / name)) for name in names]).values()]
    assert [copy.content for copy in found] == [None] * 4
    assert [getattr(copy.state, "kind", copy.state) for copy in found] == [
        Kind.LINK, Kind.DIRECTORY, Kind.OTHER, ABSENT
    ]  # fmt: skip


def test_what_is_too_large(shell: Shell, tmp_path: Path) -> None:
    most, more = put(tmp_path / "most", b"x" * LIMIT), put(tmp_path / "more", b"x" * (LIMIT + 1))
    found = ask(shell, [FetchRequest(most), FetchRequest(more)])
    assert len(found[most].content or b"") == LIMIT
    assert found[more].content is None


@pytest.mark.skipif(not IS_ROOT, reason="changes the user, needs root")
def test_what_cannot_be_read(shell: Shell, open_directory: Path) -> None:
    """Whatever the shell says of it, it is told as unreadable or unknown, never as absent or empty."""
    path = put(open_directory / "closed", b"content", 0o004)
    os.chown(path, NOBODY, NOBODY)
    for request in (FetchRequest(path), like(path, b"another"), FetchRequest(path, secrets=True)):
        copy = ask(shell, [request], NOBODY)[path]
        assert isinstance(copy.state, Unknown) or copy.complaint == "Permission denied"
        assert not copy.content


def test_nothing_is_written(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    path = put(tmp_path / "top/file", b"content")
    before = snapshot(tmp_path)
    ask(shell, [like(path, b"another")])
    assert snapshot(tmp_path) == before


def test_an_answer_that_broke_off(shell: Shell, tmp_path: Path) -> None:
    """Wherever it did: less than the whole tells nothing."""
    requests = [FetchRequest(put(tmp_path / name, b"content\n")) for name in "ab"]
    answer = shell.run(whole(script(requests, NONCE))).stdout
    assert len(parse(requests, NONCE, answer)) == 2
    for length in range(len(answer)):
        with pytest.raises(RemoteError):
            parse(requests, NONCE, answer[:length])


@given(
    pieces=st.lists(
        st.sampled_from(
            [b"begin 0\n", b"begin 1\n", b"begin 1_0\n", b"begin \xd9\xa3\n", b"begin " + b"9" * 5000 + b"\n"]
        )
        | st.sampled_from([b"begin -1\n", b"end ", b"end x: y", b"done\n", b"\n", b"content", b"\0"])
        | st.binary(max_size=5),
        max_size=8,
    )
)
def test_any_answer_is_understood_or_refused(pieces: list[bytes]) -> None:
    requests = [FetchRequest(b"/a"), FetchRequest(b"/b", content=False)]
    answer = b"synctool-probe\nw:\na:/a\na:/b\nsynctool-probe-end" + b"".join(b"\n" + NONCE + b" " + p for p in pieces)
    for text in (answer, answer + b"\n" + NONCE + b" done\n"):
        try:
            found = parse(requests, NONCE, text)
        except RemoteError:
            continue
        assert list(found) == [b"/a", b"/b"]
        assert found[b"/b"].content is None


@given(
    names=st.lists(st.binary(min_size=1, max_size=300).map(lambda name: b"/" + name.replace(b"\0", b"/")), max_size=60),
    limit=st.integers(1000, 30_000),
)
@settings(max_examples=10)
def test_parts_stay_below_a_limit(names: list[bytes], limit: int) -> None:
    requests = [FetchRequest(name, 10, "0" * 32) for name in names]
    limit += argument_size(script((), NONCE))
    parts = list(split(requests, NONCE, limit))
    assert [request for part in parts for request in part] == requests
    assert all(argument_size(script(part, NONCE)) <= limit for part in parts if len(part) > 1)
    assert all(parts)
    assert list(split(requests, NONCE, None)) == [requests]

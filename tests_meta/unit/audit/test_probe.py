"""The probe in real shells, against what Python sees; whatever it cannot tell is never taken for absent."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Touched, Unknown

from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, file_names, lstat_state, snapshot, too_many_links

needs_root = pytest.mark.skipif(not IS_ROOT, reason="changes the user or the root directory, needs root")


def ask(shell: Shell, requests: Sequence[Request], user: int | None = None) -> dict[bytes, Actual]:
    """What a node with this shell answers."""
    return parse(requests, shell.run(whole(script(requests)), user=user).stdout)


def seen(requests: Iterable[Request]) -> dict[bytes, Actual]:
    """What Python sees."""
    return {request.path: lstat_state(request.path, size=request.size) for request in requests}


_contents = st.binary(max_size=3)
_things = st.one_of(
    st.tuples(st.just("file"), _contents),
    st.tuples(st.just("link"), st.binary(min_size=1, max_size=12).map(lambda t: t.replace(b"\0", b"x"))),
    st.tuples(st.sampled_from(["directory", "pipe", "nothing"]), st.just(b"")),
)


def make(path: Path, kind: str, content: bytes) -> None:
    """Put a thing of this kind at the path."""
    match kind:
        case "file":
            path.write_bytes(content)
        case "link":
            path.symlink_to(os.fsdecode(content))
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)


@given(
    things=st.dictionaries(file_names, _things, min_size=1, max_size=60),
    sizes=st.lists(st.none() | st.integers(0, 3), min_size=60, max_size=60),
    mode=st.integers(0, 0o7777),
)
@settings(max_examples=25)
def test_any_names_and_any_things(
    shell: Shell, things: dict[bytes, tuple[str, bytes]], sizes: list[int | None], mode: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        requests = []
        for number, (file_name, (kind, content)) in enumerate(things.items()):
            path = Path(name, os.fsdecode(file_name))
            make(path, kind, content)
            if kind in ("file", "directory", "pipe") and not number % 3:
                os.chown(path, 4242 if IS_ROOT else -1, -1)
                path.chmod(mode)
            requests.append(Request(os.fsencode(path), sizes[number]))
        expected = seen(requests)
        found = ask(shell, requests)
        for path_, state in expected.items():
            if isinstance(state, FileState) and b"\n" in (state.target or b""):
                target = getattr(
                    found.pop(path_), "target", None
                )  # refused by the repository, so it only has to differ
                assert target is not None
                assert b"\n" in target
            else:
                assert found.pop(path_) == state
        assert not found


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_odd_names(shell: Shell, tmp_path: Path, kind: str) -> None:
    requests = []
    for name in ODD_NAMES:
        path = tmp_path / os.fsdecode(name)
        make(path, kind, name)
        requests.append(Request(os.fsencode(path), len(name)))
    assert ask(shell, requests) == seen(requests)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """Far more than fit on one command line; three out of ten are there."""
    top = tmp_path_factory.mktemp("many")
    requests = []
    for number in range(5000):
        path = top / f"directory with a long name {number % 7}" / f"file {number}"
        path.parent.mkdir(exist_ok=True)
        if number % 100 == 0:
            path.symlink_to(str(number))
        elif number % 10 < 3:
            path.write_text(str(number))
        requests.append(Request(os.fsencode(path), len(str(number)) if number % 4 else None))
    return requests


def test_five_thousand_paths(shell: Shell, many: list[Request]) -> None:
    assert ask(shell, many) == seen(many)


def test_content_is_read_only_where_the_size_agrees(shell: Shell, tmp_path: Path) -> None:
    """Documentation: "Should the file size be the same, synctool will calculate an MD5 checksum"."""
    path = tmp_path / "f"
    path.write_bytes(b"")
    for size, digest in ((0, "d41d8cd98f00b204e9800998ecf8427e"), (1, None), (None, None)):
        (found,) = ask(shell, [Request(os.fsencode(path), size)]).values()
        assert isinstance(found, FileState)
        assert found.md5 == digest


def test_times_of_what_is_not_as_expected(shell: Shell, tmp_path: Path) -> None:
    """A path that is as expected costs no question, even beside one that is not: then its times do no harm."""
    paths = [tmp_path / name for name in ("same", "other", "link")]
    paths[0].write_text("x")
    paths[1].write_text("yy")
    paths[2].symlink_to("nowhere")
    os.utime(paths[1], (1, 1_600_000_000))
    requests = [Request(os.fsencode(path), 1) for path in paths[1:]]
    for request, state in ask(shell, requests).items():
        status = os.lstat(request)
        assert isinstance(state, FileState)
        assert state.touched == Touched(int(status.st_mtime), int(status.st_ctime))
    expected = lstat_state(os.fsencode(paths[0]), size=1)
    assert isinstance(expected, FileState)
    (state,) = ask(shell, [Request(os.fsencode(paths[0]), 1, expected=expected)]).values()
    assert isinstance(state, FileState)
    assert (state, state.touched) == (expected, None)


def test_special_files_are_not_opened(shell: Shell, tmp_path: Path) -> None:
    """A pipe nobody writes to would block the probe."""
    pipe, listener = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listener))
    requests = [Request(os.fsencode(path), 0) for path in (pipe, listener, Path("/dev/zero"))]
    assert [getattr(state, "kind", None) for state in ask(shell, requests).values()] == [Kind.OTHER] * 3


def test_nothing_is_written(shell: Shell, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"abc")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "tmp").mkdir()
    environment = {**shell.env, "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path)}
    careful = Shell(shell.name, shell.argv, environment)
    requests = [Request(os.path.join(os.fsencode(tmp_path), name), 3) for name in (*ODD_NAMES, b"link", b"gone")]
    before = snapshot(tmp_path)
    answer = careful.run(whole(script(requests)), cwd=str(tmp_path))
    assert snapshot(tmp_path) == before
    assert set(parse(requests, answer.stdout)) == {request.path for request in requests}


class TestAbsentAndUnknown:
    """Only what was looked at and is not there is absent."""

    def test_absent(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "dangling").symlink_to("nowhere")
        (tmp_path / "loop").symlink_to("./loop")
        names = ("gone", "gone/below", "file/below", "dangling/below", "loop/below", "gone/.")
        requests = [Request(os.fsencode(f"{tmp_path}/{name}"), 0) for name in names]
        assert ask(shell, requests) == dict.fromkeys([r.path for r in requests], ABSENT)
        for name in ("file", "dangling", "loop"):  # asked for as a directory
            path = os.fsencode(tmp_path / name)
            (found,) = ask(shell, [Request(path + b"/.")]).values()
            assert found == lstat_state(path)

    def test_unknown(self, shell: Shell, tmp_path: Path) -> None:
        too_many_links(tmp_path / "links")
        requests = [Request(os.fsencode(tmp_path / name), 0) for name in ("links/file", "n" * 300, "gone", "links")]
        links, long, gone, link = ask(shell, requests).values()
        assert isinstance(links, Unknown)
        assert "symbolic links" in links.reason
        assert isinstance(long, Unknown)
        assert "name too long" in long.reason.lower()
        assert gone is ABSENT
        assert isinstance(link, FileState)

    @needs_root
    def test_out_of_reach(self, shell: Shell, open_directory: Path) -> None:
        (open_directory / "locked").mkdir(mode=0o700)
        (open_directory / "locked/file").touch()
        (open_directory / "plain").write_text("abc")
        names = ["locked/file", "locked/gone", "locked", "gone", "plain", "locked/link"]
        requests = [Request(os.fsencode(open_directory / name), 3) for name in names]
        found = [*ask(shell, requests, NOBODY).values()]
        assert [found[0], found[1], found[5]] == [Unknown("Permission denied")] * 3
        assert found[3] is ABSENT
        assert found[2] == seen(requests)[requests[2].path]
        assert found[4] == seen(requests)[requests[4].path]

    @needs_root
    def test_a_file_that_cannot_be_read_never_passes(self, shell: Shell, open_directory: Path) -> None:
        for name, mode in (("secret", 0o600), ("other size", 0o600), ("open", 0o644), ("it's: secret", 0)):
            (open_directory / name).write_text("abc" if name != "other size" else "abcd")
            (open_directory / name).chmod(mode)
        names = ["secret", "other size", "open", "it's: secret", "gone"]
        requests = [Request(os.fsencode(open_directory / name), 3) for name in names]
        secret, other, open_, secret2, gone = ask(shell, requests, NOBODY).values()
        assert secret == secret2 == Unknown("Permission denied")
        assert other == seen(requests)[requests[1].path]
        assert open_ == seen(requests)[requests[2].path]
        assert gone is ABSENT

    def test_names_that_look_like_complaints(self, shell: Shell, tmp_path: Path) -> None:
        too_many_links(tmp_path / "links")
        names = ["x: No such file or directory", "links/x: No such file or directory", "links/y': Not a directory"]
        (tmp_path / names[0]).touch()
        requests = [Request(os.fsencode(tmp_path / name), 0) for name in names]
        found = [*ask(shell, requests).values()]
        assert isinstance(found[0], FileState)
        assert [type(state) for state in found[1:]] == [Unknown, Unknown]


BROKEN = {
    "stat is not there": ("stat", "echo 'sh: stat: No such file or directory' >&2; exit 127"),
    "stat lacks a library": (
        "stat",
        "echo 'stat: error while loading shared libraries: libselinux.so.1: cannot open shared object file: "
        "No such file or directory' >&2; exit 127",
    ),
    "stat says nothing": ("stat", "exit 1"),
    "stat says nothing and succeeds": ("stat", "exit 0"),
    "stat dies": ("stat", "kill -9 $$"),
    "stat knows no -c": ("stat", 'echo "stat: illegal option -- c" >&2; exit 1'),
    "stat prints something else": ("stat", "echo '16777220 8 -rw-r--r-- 1 root wheel'"),
    "stat complains twice of each": (
        "stat",
        'for p in "$@"; do echo "stat: cannot statx \'$p\': No such file or directory" >&2; '
        'echo "stat: cannot statx \'$p\': No such file or directory" >&2; done; exit 1',
    ),
}  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> list[Request]:
    """Requests for a file and a link that are there, and one for nothing."""
    (tmp_path / "file").write_text("abc")
    (tmp_path / "link").symlink_to("file")
    return [Request(os.fsencode(tmp_path / name), 3) for name in ("file", "link", "gone")]


def with_tool(shell: Shell, directory: Path, tool: str, body: str) -> Shell:
    """The shell on a node where a tool is not what it should be."""
    directory.mkdir()
    (directory / tool).write_text(f"#!/bin/sh\n{body}\n")
    (directory / tool).chmod(0o755)
    return Shell(shell.name, shell.argv, {"PATH": f"{directory}:{shell.env['PATH']}"})


@pytest.fixture(params=["dash", "bash"])
def plain_shell(request: pytest.FixtureRequest) -> Shell:
    """The shells without tools of their own: BusyBox's prefers its applets to what is in PATH."""
    return Shell(request.param, (f"/bin/{request.param}",), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_stat_tells_nothing(plain_shell: Shell, tmp_path: Path, disk: list[Request], breakage: str) -> None:
    found = ask(with_tool(plain_shell, tmp_path / "bin", *BROKEN[breakage]), disk)
    assert [type(state) for state in found.values()] == [Unknown] * 3


@pytest.mark.parametrize("body", ["exit 1", "exit 0", "echo 'sh: not found' >&2; exit 127"])
def test_a_file_without_a_digest_is_unknown(plain_shell: Shell, tmp_path: Path, disk: list[Request], body: str) -> None:
    file, link, gone = ask(with_tool(plain_shell, tmp_path / "bin", "md5sum", body), disk).values()
    assert isinstance(file, Unknown)
    assert isinstance(link, FileState)
    assert gone is ABSENT


def test_a_link_that_cannot_be_read_is_unknown(plain_shell: Shell, tmp_path: Path, disk: list[Request]) -> None:
    file, link, gone = ask(with_tool(plain_shell, tmp_path / "bin", "readlink", "exit 1"), disk).values()
    assert isinstance(file, FileState)
    assert link == Unknown("its link target cannot be read")
    assert gone is ABSENT


@needs_root
def test_a_node_without_any_tool_tells_nothing(tmp_path: Path) -> None:
    """Nothing but a shell in a root directory of its own: `stat: not found` is no word about a file."""
    listed = subprocess.run(["ldd", "/bin/dash"], capture_output=True, text=True, check=True).stdout
    for path in ["/bin/dash", *(word for word in listed.split() if word.startswith("/"))]:
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path[1:])
    (tmp_path / "file").write_text("abc")
    (tmp_path / "link").symlink_to("file")
    bare = Shell("chroot", ("/usr/sbin/chroot", str(tmp_path), "/bin/dash"), {"PATH": "/usr/bin:/bin"})
    found = ask(bare, [Request(b"/file", 3), Request(b"/link"), Request(b"/gone")])
    assert [type(state) for state in found.values()] == [Unknown] * 3
    assert all("stat: not found" in getattr(state, "reason", "") for state in found.values())


def test_mode_bits_and_owners(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    for mode in (0, 0o644, 0o4755, 0o2755, 0o1777, 0o7777):
        path.chmod(mode)
        (found,) = ask(shell, [Request(os.fsencode(path))]).values()
        assert isinstance(found, FileState)
        assert found.mode == mode == stat.S_IMODE(path.stat().st_mode)


@needs_root
def test_a_directory_with_no_mode_bit(shell: Shell, tmp_path: Path) -> None:
    """Root may search it, whatever a shell says of that."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/file").write_text("abc")
    (tmp_path / "closed").chmod(0)
    requests = [Request(os.fsencode(tmp_path / "closed" / name), 3) for name in ("file", "gone", "gone/too")]
    file, *gone = ask(shell, requests).values()
    assert isinstance(file, FileState)
    assert gone == [ABSENT, ABSENT]


class TestNamesThatOthersExchange:
    """Files and directories of others than root: contents are those of the file that was looked at."""

    @pytest.fixture
    def home(self, open_directory: Path) -> Path:
        """Return a directory of an ordinary user."""
        home = open_directory / "home"
        home.mkdir()
        if IS_ROOT:
            os.chown(home, 4242, 4242)
        return home

    def test_many_files(self, shell: Shell, home: Path) -> None:
        requests = []
        for number in range(40):
            path = home / f"{number % 3}" / os.fsdecode(ODD_NAMES[number % len(ODD_NAMES)] + b"%d" % number)
            path.parent.mkdir(exist_ok=True)
            path.write_text("abc")
            requests.append(Request(os.fsencode(path), 3))
        assert ask(shell, requests) == seen(requests)

    def test_contents_behind_a_link_are_not_read(self, shell: Shell, home: Path) -> None:
        (home / "private").mkdir()
        (home / "private/config").write_text("abc")
        (home / "private/longer").write_text("abcd")
        (home / "app").symlink_to("private")
        app = os.fsencode(home / "app")
        config, longer, deleted = ask(
            shell, [Request(app + b"/config", 3), Request(app + b"/longer", 3), Request(app + b"/config.old")]
        ).values()
        assert isinstance(config, Unknown)
        assert f"behind a link, {home}/app" in config.reason
        assert isinstance(longer, FileState)
        assert deleted is ABSENT

    def test_contents_behind_a_link_that_may_be_followed(self, shell: Shell, home: Path) -> None:
        (home / "private/sub").mkdir(parents=True)
        (home / "private/sub/config").write_text("abc")
        (home / "private/other").symlink_to("sub")
        (home / "app").symlink_to("private")
        app = os.fsencode(home / "app")
        sub, other = ask(
            shell, [Request(app + b"/sub/config", 3, app), Request(app + b"/other/config", 3, app)]
        ).values()
        assert getattr(sub, "md5", None) == "900150983cd24fb0d6963f7d28e17f72"
        assert isinstance(other, Unknown)
        assert "behind a link" in other.reason

    def test_reasons_do_not_mix(self, shell: Shell, home: Path) -> None:
        """Each path has its own reason, however many kinds of failures lie side by side."""
        (home / "file").touch()
        too_many_links(home / "links")
        (home / "dangling").symlink_to("nowhere")
        paths, kinds = [], []
        for number in range(30):
            name, kind = [
                (f"gone{number}", "absent"),
                (f"links/{number}", "symbolic links"),
                (f"file/{number}", "absent"),
                ("n" * (300 + number), "too long"),
                (f"dangling/{number}", "absent"),
                (f"gone/{number}: Permission denied", "absent"),
            ][number % 6]
            paths.append(Request(os.fsencode(home / name), 0))
            kinds.append(kind)
        for state, kind in zip(ask(shell, paths).values(), kinds, strict=True):
            assert state is ABSENT if kind == "absent" else kind in getattr(state, "reason", "").lower()

    @needs_root
    def test_what_cannot_be_reached_is_not_absent(self, shell: Shell, home: Path) -> None:
        """Two thousand paths in a closed directory, some absent ones between them: few programs, right answers."""
        (home / "closed").mkdir(mode=0o700)
        requests = []
        for number in range(600):
            place = "closed" if number % 300 else "open"
            requests.append(Request(os.fsencode(home / place / f"{number}"), 0))
        states = [*ask(shell, requests, NOBODY).values()]
        assert states[0] is ABSENT
        assert states[300] is ABSENT
        assert states.count(Unknown("Permission denied")) == 598

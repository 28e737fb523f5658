"""Tests of the decision whose files a run obeys, and of the look at them."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.common import trusted_files
from pytest_synctool.common.accounts import group_id, only_member, user_id
from pytest_synctool.common.trust import Trust
from pytest_synctool.config import load
from pytest_synctool.errors import ConfigError, TrustError
from pytest_synctool.repository import resolution

from tests_meta.unit.helpers import IS_ROOT, NOBODY

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to give files away")

ALICE, BOB = 4321, 4322
MINE = Trust(frozenset({0, ALICE}))
CONF = "masterdir master\nnode node1 batch\n"


def status(mode: int, uid: int = 0, gid: int = 12345) -> os.stat_result:
    """An lstat() result."""
    return os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


FILE, DIRECTORY, LINK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK


class TestDecision:
    @pytest.mark.parametrize(
        ("mode", "uid", "gid", "word"),
        [
            (FILE | 0o644, 0, 12345, None),
            (FILE | 0o600, ALICE, 12345, None),
            (FILE | 0o644, BOB, 12345, "belongs to uid 4322"),
            (FILE | 0o646, 0, 12345, "everybody may write"),
            (FILE | 0o664, 0, 12345, "the group 12345 may write"),
            (FILE | 0o664, 0, 0, None),
            (FILE | 0o1666, 0, 0, "everybody"),
            (DIRECTORY | 0o755, 0, 12345, None),
            (DIRECTORY | 0o777, 0, 12345, "everybody may write"),
            (DIRECTORY | 0o775, 0, 12345, "the group 12345"),
            (DIRECTORY | 0o1777, 0, 12345, None),
            (DIRECTORY | 0o1777, BOB, 12345, "belongs to"),
            (LINK | 0o777, 0, 12345, None),
            (LINK | 0o777, BOB, 12345, "belongs to"),
        ],
    )
    def test_owner_and_mode(self, mode: int, uid: int, gid: int, word: str | None) -> None:
        reason = MINE.fault(status(mode, uid, gid))
        assert reason is None if word is None else reason is not None and word in reason

    def test_an_access_control_list_ends_the_privilege_of_a_private_group(self) -> None:
        assert MINE.fault(status(FILE | 0o664, 0, 0)) is None
        assert "access control list" in (MINE.fault(status(FILE | 0o664, 0, 0), acl=True) or "")

    def test_a_named_group(self) -> None:
        assert Trust.of_caller([":12345"], {}).fault(status(FILE | 0o664)) is None
        assert Trust.of_caller([":12345"], {}).fault(status(FILE | 0o666)) is not None

    @pytest.mark.parametrize(
        ("mode", "uid", "closed"),
        [
            (DIRECTORY | 0o700, 0, True),
            (DIRECTORY | 0o700, BOB, False),
            (DIRECTORY | 0o750, 0, False),
            (DIRECTORY | 0o711, 0, False),
            (DIRECTORY | 0o702, 0, False),
            (FILE | 0o700, 0, False),
        ],
    )
    def test_closed_directories(self, mode: int, uid: int, closed: bool) -> None:
        assert MINE.is_closed(status(mode, uid)) is closed

    def test_the_way_out_is_in_the_message(self) -> None:
        reason = MINE.fault(status(FILE | 0o644, user_id("nobody") or 0)) or ""
        assert "--trust-owner=nobody or SYNCTOOL_TRUST=nobody" in reason
        assert "--trust-owner=4322 or SYNCTOOL_TRUST=4322" in (MINE.fault(status(FILE | 0o644, BOB)) or "")
        assert "SYNCTOOL_TRUST=:12345" in (MINE.fault(status(FILE | 0o664)) or "")


class TestCaller:
    def test_names(self) -> None:
        trust = Trust.of_caller(["nobody", "77"], {"SYNCTOOL_TRUST": "daemon, 78\t:root,,:79 "})
        assert {0, os.geteuid(), 77, 78, user_id("nobody"), user_id("daemon")} == trust.uids
        assert trust.gids == {0, 79}

    @pytest.mark.parametrize(
        "name", ["no-such", ":no-such", "", ":", "-1", "\u0663", "1\n", "0x0", "nobody\0", "+1", "9" * 5000]
    )
    def test_an_unknown_name(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r"^--trust-owner: there is no (account|group) "):
            Trust.of_caller([name], {})

    def test_an_unknown_name_of_the_environment(self) -> None:
        with pytest.raises(ConfigError, match=r"^\$SYNCTOOL_TRUST: there is no account 'no-such' on this machine$"):
            Trust.of_caller([], {"SYNCTOOL_TRUST": "no-such"})

    @needs_root
    def test_the_user_behind_sudo(self) -> None:
        assert Trust.of_caller([], {"SUDO_UID": "4322"}).uids == {0, 4322}
        for lie in ("4322x", "-1", "\u0663", "9" * 5000, ""):
            assert Trust.of_caller([], {"SUDO_UID": lie}).uids == {0}

    def test_private_groups(self) -> None:
        assert only_member(0) in (0, None)  # None where other accounts have it as their group
        assert only_member(ALICE) == ALICE  # the number of an account in a container that knows no names
        assert only_member(group_id("tty") or 5) is None


class TestLook:
    """The chain of directories and links, on a real disk."""

    @needs_root
    @pytest.mark.parametrize(
        ("change", "word"),
        [
            (lambda top: os.chown(top / "a/b/file", BOB, BOB), "a/b/file, on the way to "),
            (lambda top: os.chown(top / "a", BOB, 0), "/a, on the way to "),
            (lambda top: (top / "a/b").chmod(0o777), "/a/b, on the way to "),
            (lambda top: (top / "a/b/file").chmod(0o666), "a/b/file, on the way to "),
            (lambda top: os.chown(top / "link", BOB, BOB, follow_symlinks=False), "/link, on the way to "),
            (lambda top: os.chown(top / "file", BOB, BOB), "b/file, on the way to "),
        ],
    )
    def test_each_part_of_a_path_is_judged(self, tmp_path: Path, change: Callable[[Path], None], word: str) -> None:
        (tmp_path / "a/b").mkdir(parents=True)
        (tmp_path / "a/b/file").write_text("x")
        (tmp_path / "link").symlink_to("a/b")
        (tmp_path / "file").symlink_to("link/../b/./file")
        trust = Trust.of_caller([], {})
        assert trusted_files.read(tmp_path / "file", trust, 10) == b"x"
        change(tmp_path)
        with pytest.raises(TrustError) as caught:
            trusted_files.read(tmp_path / "file", trust, 10)
        assert word in str(caught.value)

    @needs_root
    @pytest.mark.parametrize("change", ["owner", "pipe", "link", "gone"])
    def test_a_file_that_is_exchanged_after_the_look_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        """The file that was opened is judged, too."""
        conf = tmp_path / "synctool.conf"
        conf.write_text("x")
        trust = Trust.of_caller([], {})
        looked_at = trusted_files.resolve(conf, trust)

        def exchange(*_: object) -> tuple[str, os.stat_result]:
            conf.unlink()
            if change == "pipe":
                os.mkfifo(conf)
            elif change == "link":
                conf.symlink_to("/etc/hostname")
            elif change == "owner":
                conf.write_text("evil")
                os.chown(conf, BOB, BOB)
            return looked_at

        monkeypatch.setattr(trusted_files, "resolve", exchange)
        with pytest.raises(OSError, match=r"it belongs to|named pipe|symbolic link|No such file"):
            trusted_files.read(conf, trust, 10)

    @needs_root
    @pytest.mark.parametrize("is_directory", [False, True])
    def test_an_access_control_list_that_lets_another_account_write(self, tmp_path: Path, is_directory: bool) -> None:
        """root may write by the group bits of the mode, but these are the mask of the list."""
        directory = tmp_path / "directory"
        directory.mkdir()
        path = directory / "file"
        path.write_text("x")
        path.chmod(0o660)
        directory.chmod(0o770)
        trust = Trust.of_caller([":root"], {})
        assert trusted_files.read(path, trust, 10) == b"x"
        closed = directory.stat()
        assert trusted_files.is_closed(directory, closed, trust)
        nobody = -1 & 0xFFFFFFFF
        entries = (
            (1, 7, nobody),
            (2, 7, BOB),
            (4, 0, nobody),
            (16, 7, nobody),
            (32, 0, nobody),
        )  # tag, permissions, id
        packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        try:
            os.setxattr(directory if is_directory else path, "system.posix_acl_access", packed)
        except OSError:
            pytest.skip("this file system has no access control lists")
        with pytest.raises(TrustError, match="its access control list may let others write"):
            trusted_files.read(path, trust, 10)
        assert trusted_files.is_closed(directory, directory.stat(), trust) is not is_directory

    def test_links_in_a_circle(self, tmp_path: Path) -> None:
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")
        with pytest.raises(OSError, match="Too many levels"):
            trusted_files.read(tmp_path / "one", Trust.of_caller([], {}), 10)

    @needs_root
    def test_a_sticky_directory_counts_for_what_trusted_owners_have_in_it(self, tmp_path: Path) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o1777)
        for name, owner in (("mine", 0), ("theirs", BOB)):
            (shared / name).write_text(name)
            os.chown(shared / name, owner, owner)
        trust = Trust.of_caller([], {})
        assert trusted_files.read(shared / "mine", trust, 10) == b"mine"
        with pytest.raises(TrustError, match="theirs is not trusted"):
            trusted_files.read(shared / "theirs", trust, 10)
        with pytest.raises(TrustError, match="make one in it"):
            trusted_files.check_directory(shared, trust)

    @pytest.mark.parametrize("name", ["fifo", "/dev/zero", "/dev/null", "/proc/self/fd", "socket"])
    def test_what_is_no_regular_file_is_refused_at_once(self, tmp_path: Path, name: str) -> None:
        os.mkfifo(tmp_path / "fifo")
        os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
        (tmp_path / "synctool.conf").symlink_to(name)
        with pytest.raises(
            ConfigError, match=r"synctool\.conf: cannot be read: (it is a .*, not a reg|Is a directory)"
        ):
            load(tmp_path / "synctool.conf")

    def test_a_file_has_a_largest_size(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"12345678901")
        with pytest.raises(ConfigError, match="more than"):
            trusted_files.read(tmp_path / "file", Trust.of_caller([], {}), 10)

    def test_a_pipe_of_ours_blocks_nobody(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT):
            with pytest.raises(OSError, match="it is a named pipe, not a regular file"):
                trusted_files.open_regular(tmp_path / "fifo", flags, Trust.of_caller([], {}))


class TestOutputs:
    """Files that the user names."""

    @needs_root
    def test_a_planted_link_is_not_followed(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("secret")
        (tmp_path / "out").symlink_to(victim)
        os.chown(tmp_path / "out", BOB, BOB, follow_symlinks=False)
        with pytest.raises(OSError, match="symbolic link of another user"):
            trusted_files.open_named(str(tmp_path / "out"), os.O_WRONLY, Trust.of_caller([], {}), 0o600)
        os.chown(tmp_path / "out", 0, 0, follow_symlinks=False)
        os.close(trusted_files.open_named(str(tmp_path / "out"), os.O_WRONLY, Trust.of_caller([], {}), 0o600))

    def test_descriptors_and_pipes_are_used(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append((tmp_path / "fifo").read_text()))
        reader.start()
        read_end, write_end = os.pipe()
        for path in (str(tmp_path / "fifo"), f"/dev/fd/{write_end}", f"/proc/self/fd/{write_end}", "/dev/null"):
            descriptor = trusted_files.open_named(path, os.O_WRONLY | os.O_CREAT, Trust.of_caller([], {}), 0o600)
            os.write(descriptor, b"x")
            os.close(descriptor)
        reader.join(10)
        assert lines == ["x"]
        assert os.read(read_end, 10) == b"xx"
        os.close(read_end)
        os.close(write_end)


class TestMasterdir:
    """Everything below a masterdir that decides what nodes get."""

    NAMES = ("overlay/etc/motd._all", "overlay/etc/motd.post", "delete/etc/x._all", "tasks/t._all", "scripts/s.sh")

    @pytest.fixture
    def conf(self, tmp_path: Path) -> Path:
        for name in (*self.NAMES, "attributes.yaml", "waivers.yaml", "scripts/deep/down"):
            path = tmp_path / "master" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        (tmp_path / "synctool.conf").write_text(CONF)
        for path in tmp_path.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return tmp_path / "synctool.conf"

    @needs_root
    @pytest.mark.parametrize(
        "name",
        [
            *(*NAMES, "attributes.yaml", "waivers.yaml", "scripts/deep/down", "scripts/deep", "overlay/etc", "overlay"),
            *("tasks", "delete/etc", "delete", "scripts", ""),
        ],
    )
    @pytest.mark.parametrize("how", ["owner", "mode"])
    def test_nothing_may_be_changed_by_others(self, conf: Path, name: str, how: str) -> None:
        path = conf.parent / "master" / name
        resolution.load(load(conf))
        if how == "owner":
            os.chown(path, NOBODY, NOBODY)
        else:
            path.chmod(0o777)
        with pytest.raises(TrustError) as caught:
            resolution.load(load(conf))
        assert f"{str(path).rstrip('/')}" in str(caught.value)
        if how == "owner":
            resolution.load(load(conf, Trust.of_caller([str(NOBODY)], {})))

    @needs_root
    def test_sources_may_have_the_owners_of_the_nodes_where_nobody_else_can_go(self, conf: Path) -> None:
        master = conf.parent / "master"
        for name in ("overlay/etc", "overlay/etc/motd._all"):
            os.chown(master / name, NOBODY, NOBODY)
            (master / name).chmod(0o777)
        with pytest.raises(TrustError, match="chmod 700 "):
            resolution.load(load(conf))
        for closed in (master, master / "overlay"):
            closed.chmod(0o700)
            resolution.load(load(conf))
            closed.chmod(0o755)
        master.chmod(0o700)
        os.link(master / "overlay/etc/motd._all", conf.parent / "elsewhere")
        with pytest.raises(TrustError, match="motd"):
            resolution.load(load(conf))

    @needs_root
    @pytest.mark.parametrize("name", NAMES[1:])
    def test_what_runs_must_be_trusted_even_there(self, conf: Path, name: str) -> None:
        (conf.parent / "master").chmod(0o700)
        os.chown(conf.parent / "master" / name, NOBODY, NOBODY)
        with pytest.raises(TrustError, match="belongs to nobody"):
            resolution.load(load(conf))

    @needs_root
    def test_many_faults_are_few_lines(self, conf: Path) -> None:
        for number in range(100):
            path = conf.parent / f"master/overlay/{number:03}._all"
            path.write_text("")
            os.chown(path, NOBODY, NOBODY)
        with pytest.raises(TrustError) as caught:
            resolution.load(load(conf))
        assert len(str(caught.value).splitlines()) == 7
        assert "and 95 more" in str(caught.value)

    @needs_root
    @pytest.mark.parametrize(
        "command", ["ssh_cmd {}", "ssh_cmd ssh -F {}", "rsync_cmd {} -x", "diff_cmd 'bin/../{}' -u"]
    )
    @pytest.mark.parametrize("name", ["program", "link", "bin/program"])
    def test_the_files_that_a_command_names_are_judged(
        self, conf: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
    ) -> None:
        monkeypatch.chdir(conf.parent)
        (conf.parent / "bin").mkdir(mode=0o755)
        for program in ("program", "bin/program"):
            (conf.parent / program).write_text("#!/bin/sh")
        (conf.parent / "link").symlink_to("program")
        conf.write_text(CONF + command.format(f"./{name}") + "\n")
        load(conf)
        guilty = conf.parent / {"link": "program", "bin/program": "bin"}.get(name, name)
        os.chown(guilty, NOBODY, NOBODY)
        with pytest.raises(ConfigError, match=rf"^{conf}:3: '[a-z]+_cmd': {guilty}.* is not trusted: it belongs to"):
            load(conf)
        load(conf, Trust.of_caller(["nobody"], {}))

    @pytest.mark.parametrize("command", ["ssh -F /dev/null", "/no/such/program", "ssh -o ControlPath=/tmp/x", "/tmp /"])
    def test_other_words_of_a_command_are_no_files(self, conf: Path, command: str) -> None:
        conf.write_text(CONF + f"ssh_cmd {command}\n")
        load(conf)

    @needs_root
    def test_an_included_file_is_judged(self, conf: Path) -> None:
        conf.write_text(CONF + "include more.conf\n")
        (conf.parent / "more.conf").write_text("")
        load(conf)
        os.chown(conf.parent / "more.conf", NOBODY, NOBODY)
        with pytest.raises(ConfigError, match=r"synctool\.conf:3: .*more\.conf is not trusted: it belongs to nobody"):
            load(conf)

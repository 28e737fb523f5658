"""What package managers say of files: the parsers take anything, and only what is documented counts."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.packages import MOST_FILES, Packages, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.errors import RemoteError

from tests_meta.unit.helpers import Shell, snapshot

NONCE = b"synctool-0123456789abcdef"
MD5 = "0" * 32


def packages(sections: Mapping[str, str | tuple[int, str]], directory: bytes = b"/etc") -> Packages:
    """What an answer with these sections means; each has a text, or an exit status and a text."""
    return parse(directory, NONCE, answer(sections))


def answer(sections: Mapping[str, str | tuple[int, str]]) -> bytes:
    text = ""
    for name, value in sections.items():
        status, output = (0, value) if isinstance(value, str) else value
        text += f"\n{NONCE.decode()} {name}\n{output}\n{NONCE.decode()} end {status}\n"
    return f"{text}\n{NONCE.decode()} done\n".encode("utf-8", "surrogateescape")


def files(*paths: str) -> str:
    return "".join(f"81a4:3 {path}\n" for path in paths)


def test_dpkg() -> None:
    """As dpkg 1.21 prints it: conffiles, those of older versions, what is owned, and diversions."""
    read = packages(
        {
            "dpkg": f"login\n /etc/login.defs {MD5}\n /etc/old {MD5} obsolete\n /etc/new newconffile\nbase-files\n\n",
            "dpkg-owned": "login, base-files:amd64: /etc/login.defs\nlogin: /etc/a: b\ndiversion by x from: /etc/d\n",
            "dpkg-links": "",
            "files": files("/etc/login.defs", "/etc/a: b", "/etc/d", "/etc/x y", "/etc/old"),
        }
    )
    assert read.digests == {b"/etc/login.defs": MD5}
    assert read.unowned == {b"/etc/x y", b"/etc/old"}
    assert read.files[b"/etc/x y"] == 3


def test_dpkg_with_a_merged_usr() -> None:
    read = packages(
        {
            "dpkg": f"x\n /lib/x.conf {MD5}\n",
            "dpkg-owned": (1, "x: /lib/libx.so\n"),
            "dpkg-links": "/lib /usr/lib\nnonsense\n/lib64 /usr/lib64\n",
            "files": files("/usr/lib/libx.so", "/usr/lib/x.conf", "/usr/lib/y"),
        },
        b"/usr",
    )
    assert read.unowned == {b"/usr/lib/y"}
    assert [*read.digests] == [b"/usr/lib/x.conf"]


def test_rpm() -> None:
    """As rpm 4.18 prints it: a changed time alone is no change, nor is a test that could not be done."""
    read = packages(
        {
            "rpm-any": "any\n",
            "rpm": "/etc/t\n/etc/t/a.conf\n/etc/t/b c.conf\n/etc/t/d.conf\n/etc/t/e\n",
            "rpm-changed": (
                1,
                "S.5....T.  c /etc/t/a.conf\n.M.......  c /etc/t/b c.conf\nmissing   c /etc/t/d.conf\n"
                "..?....T.  c /etc/t/e\nS.5....T.  c /usr/x\nUnsatisfied dependencies for t\n",
            ),
            "files": files("/etc/t/a.conf", "/etc/t/b c.conf", "/etc/t/e", "/etc/t/rogue"),
        }
    )
    assert read.changed == {b"/etc/t/a.conf", b"/etc/t/b c.conf", b"/etc/t/d.conf"}
    assert read.unowned == {b"/etc/t/rogue"}


@pytest.mark.parametrize(
    ("status", "printed", "is_complete"),
    [
        (0, "", True),
        (1, "S.5....T.  c /etc/a\n", True),
        (1, ".......T.  c /etc/a\n", True),
        (1, "", False),
        (1, "..?......  c /etc/a\n", False),
        (137, "S.5....T.  c /etc/a\n", False),
    ],
)
def test_an_rpm_that_fails_has_not_looked_at_everything(status: int, printed: str, is_complete: bool) -> None:
    """It ends with 1 if it has found something; a kernel that is out of memory kills it."""
    sections: dict[str, str | tuple[int, str]] = {
        "rpm-any": "any\n",
        "rpm": "/etc/a\n",
        "rpm-changed": (status, printed),
        "files": files("/etc/a"),
    }
    assert packages(sections).is_complete == is_complete


def test_apk() -> None:
    """As apk-audit(8) describes it: only changed and missing files count, and what it could not look at is unknown."""
    text = "U etc/motd\nA etc/added\nD etc/dir/\nd etc/\nX etc/gone\nM /etc/mode\nx etc/x y\nm etc/\nwhatever it says\n"
    owned = "/etc/motd\n/etc/gone\n/etc/mode\n/etc/x y\n/etc/fine\nany\n"
    present = files("/etc/motd", "/etc/mode", "/etc/x y", "/etc/fine", "/etc/rogue")
    read = packages({"apk": owned, "apk-changed": text, "files": present})
    assert read.unowned == {b"/etc/rogue"}
    assert read.changed == {b"/etc/motd", b"/etc/gone", b"/etc/mode", b"/etc/x y"}
    assert read.is_complete
    read = packages(
        {"apk": owned, "apk-changed": f"{text}- mode=644 uid=0\n+ mode=600 uid=0\ne etc/fine\n", "files": present}
    )
    assert (len(read.changed), read.is_complete) == (4, False)


APK = """#!/bin/sh
case $* in
  "audit --system --protected-paths /dev/null --check-permissions --recursive {top}") {newer} ;;
  "audit --system --recursive {top}") echo "X {gone}" ;;
  "audit --backup --recursive {top}") echo "U {changed}" ;;
  *) exit 1 ;;
esac
"""


@pytest.mark.parametrize("newer", [True, False])
def test_apk_in_a_shell(shell: Shell, tmp_path: Path, newer: bool) -> None:
    """Its database has the files, and apk the changes; an older one by two commands."""
    top, database = tmp_path / "top", tmp_path / "lib/apk/db/installed"
    for directory in (top / "d", database.parent, tmp_path / "programs"):
        directory.mkdir(parents=True)
    for name in ("owned", "rogue", "d/owned too", "d/rogue too"):
        (top / name).write_text("x")
    inside = str(top)[1:]
    database.write_text(
        f"C:Q1\nP:x\nV:1\nF:\nM:0:0:755\nR:.rootfile\nF:{inside}\nR:owned\na:0:0:644\nZ:Q1x\nR:changed\nR:gone\n\n"
        f"P:y\nF:{inside}/d\nR:owned too\nF:elsewhere\nR:rogue\n\n"
    )
    lines = f"echo 'X {inside}/gone'; echo 'U {inside}/changed'"
    text = APK.format(top=top, newer=lines if newer else "exit 99", gone=f"{inside}/gone", changed=f"{inside}/changed")
    (tmp_path / "programs/apk").write_text(text)
    (tmp_path / "programs/apk").chmod(0o755)
    environment = {**shell.env, "PATH": f"{tmp_path}/programs:{shell.env['PATH']}"}
    words = whole(script(os.fsencode(top), NONCE).replace(b"/lib/apk/db", os.fsencode(database.parent)))
    read = parse(os.fsencode(top), NONCE, replace(shell, env=environment).run(words).stdout)
    below = os.fsencode(top) + b"/"
    assert read.unowned == {below + name for name in (b"rogue", b"d/rogue too")}
    assert read.changed == {below + name for name in (b"gone", b"changed")}


def test_two_package_managers() -> None:
    """A machine of one may have the other one too, with or without packages."""
    of_dpkg = {"dpkg": "x\n", "dpkg-owned": "x: /etc/a\n", "files": files("/etc/a", "/etc/b", "/etc/c")}
    assert packages(of_dpkg | {"rpm-any": "", "rpm": "", "rpm-changed": ""}).unowned == {b"/etc/b", b"/etc/c"}
    assert packages(of_dpkg | {"rpm-any": "any\n", "rpm": "/etc/b\n"}).unowned == {b"/etc/c"}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"files": ""}, "there is no package manager: no dpkg, rpm or apk"),
        ({"dpkg": "", "dpkg-owned": (1, ""), "files": ""}, "no package is in the database of dpkg"),
        ({"rpm": "", "dpkg": "\n\n", "files": ""}, "no package is in the database of dpkg and rpm"),
        ({"dpkg": (2, ""), "files": ""}, "dpkg-query fails there"),
        ({"dpkg": "x\n", "dpkg-owned": (2, ""), "files": ""}, "dpkg-query fails there"),
        ({"rpm-any": "any\n", "rpm": (1, ""), "files": ""}, "rpm fails there"),
        ({"apk": (2, ""), "files": ""}, "apk fails there"),
        ({"apk": "any\n", "apk-changed": (99, ""), "files": ""}, "apk fails there"),
        ({"apk": "", "apk-changed": "", "files": ""}, "no package is in the database of apk"),
        ({"link": "", "files": ""}, "the directory is a symbolic link there"),
        ({"dpkg": "x\n"}, "more than 50,000 files"),
    ],
)
def test_nothing_known_is_not_nothing_found(sections: dict[str, str | tuple[int, str]], message: str) -> None:
    with pytest.raises(RemoteError) as raised:
        packages(sections)
    assert str(raised.value) == message


def test_an_answer_that_broke_off() -> None:
    text = answer({"dpkg": "x\n", "dpkg-owned": "x: /etc/a\n", "files": files("/etc/a")})
    for length in range(len(text) - 1):
        with pytest.raises(RemoteError):
            parse(b"/etc", NONCE, text[:length])


LINES = st.sampled_from(
    [
        *(b"", b"x", b" /etc/a " + MD5.encode(), b"x: /etc/b", b"81a4:3 /etc/c", b"81a4:99999999999999999999 /etc/c"),
        *(
            b"odd 1",
            b"U etc/c",
            b"X etc/../a",
            b"e etc/c",
            b"any",
            b"S.5....T.  c /etc/c",
            b"missing  /etc/d",
            b"/etc",
            b"/lib /usr",
            b"\xff\0",
            b": /",
        ),
        *(
            NONCE + b" " + word
            for word in (
                b"files",
                b"dpkg",
                b"end 0",
                b"end 999",
                b"end x",
                b"done",
                b"rpm",
                b"apk",
                b"apk-changed",
                b"",
            )
        ),
    ]
)


@given(st.lists(LINES | st.binary(max_size=20), max_size=30).map(b"\n".join))
def test_any_answer(text: bytes) -> None:
    with suppress(RemoteError):
        read = parse(b"/etc", NONCE, b"\n" + text + b"\n" + NONCE + b" done\n")
        assert read.unowned <= read.files.keys()
        assert all(path.startswith(b"/etc/") for path in (*read.files, *read.digests, *read.changed))


PATHS = st.binary(min_size=1, max_size=12) | st.sampled_from([b"etc/a", b"etc/b c", b"etc/d/", b"usr/e", b"/etc/f"])


@given(st.lists(st.tuples(st.sampled_from([*b"AdDeMmUXx+-Qu"]), PATHS), max_size=12), st.lists(PATHS, max_size=4))
def test_any_answer_of_apk(lines: list[tuple[int, bytes]], owned: list[bytes]) -> None:
    """What is changed comes from a line that says so, what is owned is not unowned, and an error is never nothing."""
    text = b"\n".join(b"%c %s" % line for line in lines)
    before, after = answer({"apk": "any\nOWNED", "apk-changed": "LINES", "files": files("/etc/a", "/etc/b c")}).split(
        b"LINES"
    )
    before = before.replace(b"OWNED", b"\n".join(b"/" + path for path in owned))
    read = parse(b"/etc", NONCE, before + text + after)
    said = text.split(b"\n")
    assert all(any(line[2:].lstrip(b"/") == path[1:] and line[:1] in b"UMXx" for line in said) for path in read.changed)
    assert read.unowned == {b"/etc/a", b"/etc/b c"}.difference(before.split(b"\n"), read.changed)
    assert read.is_complete != any(line.startswith(b"e ") and len(line) > 2 for line in said)


def test_a_long_line_costs_little() -> None:
    """No file has such a name."""
    line = " /etc/a" + f" {'a' * 32}" * 20_000 + " !"
    began = time.process_time()
    assert packages({"dpkg": f"x\n{line}\n", "dpkg-owned": f"x{line}\n", "files": files("/etc/b")}).digests == {}
    assert time.process_time() - began < 30


@pytest.mark.parametrize("directory", [b"etc", b"/etc/", b"/a b", b"/*", b"/a[b]", b"/$x", b"/a\nb", b"", b"/`x`"])
def test_a_directory_is_plain(directory: bytes) -> None:
    with pytest.raises(ValueError, match="plain"):
        script(directory, NONCE)


DPKG = """#!/bin/sh
case $1 in
  -W) printf 'x\\n %s/conf {md5}\\n' {top} ;;
  -S) [ "$2" = "{top}/*" ] && printf 'x: %s/owned\\ndiversion by x from: %s/diverted\\n' {top} {top} ;;
esac
"""


def test_in_a_shell(shell: Shell, tmp_path: Path) -> None:
    """Odd names do not matter, files in directories that packages do not own count, and nothing is written."""
    top, programs = tmp_path / "top", tmp_path / "programs"
    (top / "directory").mkdir(parents=True)
    programs.mkdir()
    names = [b"conf", b"owned", b"diverted", b"-x y'\"$(z)", b"directory/\xff", NONCE]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(top), name))).write_bytes(b"text")
    (top / "link").symlink_to("/nowhere")
    (top / "new\nline").mkdir()
    (top / "new\nline/below").write_text("x")
    (programs / "dpkg-query").write_text(DPKG.format(top=top, md5=hashlib.md5(b"text").hexdigest()))
    (programs / "dpkg-query").chmod(0o755)
    run = Shell(shell.name, shell.argv, {**shell.env, "PATH": f"{programs}:{shell.env['PATH']}"}).run
    directory = os.fsencode(top)
    before = snapshot(tmp_path)
    done = run(whole(script(directory, NONCE)))
    assert snapshot(tmp_path) == before
    read = parse(directory, NONCE, done.stdout)
    unowned = {b"-x y'\"$(z)", b"directory/\xff", NONCE, b"link"}
    assert read.unowned == {directory + b"/" + name for name in unowned}
    assert read.digests == {directory + b"/conf": hashlib.md5(b"text").hexdigest()}
    assert (read.is_complete, read.odd_names, read.files[directory + b"/conf"]) == (True, 1, 4)
    (programs / "dpkg-query").write_text("#!/bin/sh\n")
    with pytest.raises(RemoteError, match="no package is in the database of dpkg"):
        parse(directory, NONCE, run(whole(script(directory, NONCE))).stdout)


def test_in_other_shells_and_userlands(userland: Shell, tmp_path: Path) -> None:
    """Where find is missing, the answer is not complete."""
    (tmp_path / "new\nline").write_text("x")
    (tmp_path / "file").write_text("x")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "dpkg-query").write_text(DPKG.format(top=tmp_path, md5=MD5))
    (programs / "dpkg-query").chmod(0o755)
    environment = {**userland.env, "PATH": f"{programs}:{userland.env['PATH']}"}
    directory = os.fsencode(tmp_path)
    done = replace(userland, env=environment).run(whole(script(directory, NONCE)))
    read = parse(directory, NONCE, done.stdout)
    has_find = userland.name != "uutils"
    assert read.is_complete == has_find
    assert (directory + b"/file" in read.unowned, read.odd_names) == (has_find, int(has_find))


def test_too_many_files(tmp_path: Path) -> None:
    """They are counted, not listed without end."""
    find = tmp_path / "find"
    find.write_text(f"#!/bin/sh\nyes '81a4:3 /etc/x' | head -n {MOST_FILES + 100}\n")
    find.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh"], input=script(b"/etc", NONCE), capture_output=True, env=environment, check=False)
    with pytest.raises(RemoteError, match="more than 50,000 files"):
        parse(b"/etc", NONCE, done.stdout)

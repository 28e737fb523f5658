"""A run as root obeys no configuration and no masterdir that somebody else can change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_meta.plugin.test_bad_input import assert_refused
from tests_meta.site import Site

if os.geteuid() != 0:
    pytest.skip("needs root, to give files away", allow_module_level=True)

NOBODY = 65534
COMMANDS = (
    ("synctool",),
    ("synctool", "-f", "-n", "node1"),
    ("synctool", "--manifest"),
    ("synctool", "-r", "/etc/motd"),
    ("synctool", "-d", "/etc/motd"),
    ("synctool", "-u", "/etc/motd", "-n", "node1"),
    ("dsh", "--connect-timeout=5", "true"),
    ("dsh", "-M"),
    ("dsh", "-O", "check"),
    ("dcp", "-d", "/tmp", "/etc/hostname"),
    ("synctool-config", "-l"),
    ("synctool-config", "--check"),
    ("synctool-config", "--to-yaml"),
    ("synctool-config", "--scan-attributes"),
)


@pytest.fixture
def public(site: Site) -> Iterator[Site]:
    """A site below /tmp, where every user can go. It runs a command on the controller as its ssh."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        site.directory = Path(name)
        site.__post_init__()
        site.masterdir.chmod(0o755)
        ssh = site.directory / "ssh"
        ssh.write_text(f"#!/bin/sh\necho obeyed >>{site.directory}/proof\nexit 255\n")
        ssh.chmod(0o755)
        site.lines = [f"ssh_cmd {ssh}"]
        site.put("motd._all")
        site.configure()
        yield site


def classic(site: Site, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a classic command in the directory of a site, which has a synctool.conf."""
    program = str(Path(sys.executable).with_name(words[0]))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SYNCTOOL_")}
    return subprocess.run(
        [program, *words[1:]],
        cwd=site.directory,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def is_obeyed(site: Site) -> bool:
    """Return True if the ssh_cmd of the site has run."""
    return (site.directory / "proof").exists()


def give_away(path: Path) -> None:
    """Let a file or directory belong to nobody."""
    os.chown(path, NOBODY, NOBODY)


def test_a_configuration_of_another_user_in_the_current_directory(public: Site) -> None:
    give_away(public.directory / "synctool.conf")
    run = public.pytest("--ssh-persist=0", configured=False)
    assert_refused(run, f"{public.directory}/synctool.conf is not trusted: it belongs to nobody (uid 65534)")
    assert "--trust-owner=nobody or SYNCTOOL_TRUST=nobody" in run.output
    assert not is_obeyed(public)
    for option, environment in ((["--trust-owner=nobody"], {}), ([], {"SYNCTOOL_TRUST": "daemon,nobody"})):
        public.pytest("--ssh-persist=0", *option, configured=False, environment=environment)
        assert is_obeyed(public)
        (public.directory / "proof").unlink()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_refuse_it_too(public: Site, words: tuple[str, ...]) -> None:
    give_away(public.directory / "synctool.conf")
    done = classic(public, *words)
    assert done.returncode == 2, done
    assert "synctool.conf is not trusted: it belongs to nobody" in done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert not is_obeyed(public)
    with_option = [words[0], "--trust-owner=nobody", *words[1:]]
    assert "not trusted" not in classic(public, *with_option).stderr
    assert "not trusted" not in classic(public, *words, SYNCTOOL_TRUST="nobody").stderr


def test_the_directory_above(public: Site) -> None:
    public.directory.chmod(0o777)
    assert_refused(public.pytest(), f"{public.directory}, on the way to ", "everybody may write to it (mode 0777)")
    assert classic(public, "dsh", "true").returncode == 2
    assert not is_obeyed(public)
    public.directory.chmod(0o1777)
    assert "not trusted" not in public.pytest("--ssh-persist=0").output
    assert is_obeyed(public)


@pytest.mark.parametrize("name", ["overlay", "overlay/evil._all", "waivers.yaml", "attributes.yaml", "scripts/x"])
@pytest.mark.parametrize("option", ["--fix", "--collect-only", "--explain"])
def test_a_masterdir_of_another_user(public: Site, name: str, option: str) -> None:
    path = public.masterdir / name
    path.parent.mkdir(exist_ok=True)
    if name != "overlay":
        path.write_text("")
    give_away(path)
    assert_refused(public.pytest(option), f"{path}", "is not trusted: it belongs to nobody (uid 65534)")
    assert not is_obeyed(public)


def test_the_user_behind_sudo_is_trusted(public: Site) -> None:
    for path in (public.directory, *public.directory.rglob("*")):
        give_away(path)
    assert classic(public, "dsh", "true").returncode == 2
    assert classic(public, "dsh", "true", SUDO_UID="1").returncode == 2
    assert not is_obeyed(public)
    classic(public, "dsh", "true", SUDO_UID=str(NOBODY))
    assert is_obeyed(public)


def test_lint_reports_what_others_can_change(public: Site) -> None:
    (public.masterdir / "overlay").chmod(0o777)
    run = public.pytest("--synctool-lint")
    assert run.status == 1
    assert "lets every user change files" in run.output


@pytest.mark.parametrize("name", ["synctool.conf", "masterdir/attributes.yaml", "masterdir/waivers.yaml"])
@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "/dev/null", "/tmp"])
def test_what_is_no_regular_file_ends_the_run_at_once(public: Site, name: str, target: str) -> None:
    os.mkfifo(public.directory / "fifo")
    path = public.directory / name
    path.unlink(missing_ok=True)
    path.symlink_to("/tmp" if target == "/tmp" else target if target[0] == "/" else public.directory / target)
    run = public.pytest(configured=False)
    assert_refused(run, f"{name}: cannot be read: ")
    for words in (("synctool",), ("synctool-config", "--check")):
        done = classic(public, *words)
        assert done.returncode == 2
        assert f"{name}: cannot be read: " in done.stderr
        assert "Traceback" not in done.stderr


def test_an_ordinary_user_trusts_itself_and_root(public: Site) -> None:
    """Run as nobody: files of its own and of root are obeyed, those of a third account are not."""
    script = "import os; from pathlib import Path; from pytest_synctool.config import load\n"
    script += "load(Path('roots.conf'))\n"  # root has loaded all modules: nobody might not find them
    script += "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(*load(Path('synctool.conf')).nodes)"

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=public.directory, capture_output=True, text=True, timeout=60, check=False)

    conf = public.directory / "synctool.conf"
    shutil.copy(conf, public.directory / "roots.conf")
    for owner in (0, NOBODY):
        os.chown(conf, owner, owner)
        assert (run().stdout, run().stderr) == ("node1\n", "")
    os.chown(conf, 1, 1)
    assert "and is not root's or yours" in run().stderr

"""Tests of `.ci/system-packages`: a PATH of stubs stands for each system, and each stub records how it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / ".ci" / "system-packages"
OWN: Final = ("sh", "cat", "grep", "mktemp", "rm", "tail")  # the programs of the script itself
DEMO: Final = ("sshd", "ssh", "rsync", "unshare", "mount")
TEST: Final = (
    *("bash", "busybox", "chattr", "chromedriver", "chromium", "dash", "fish"),
    *(
        "getcap",
        "getfattr",
        "groff",
        "ip",
        "ksh93",
        "mksh",
        "python3",
        "setfacl",
        "setpriv",
        "strace",
        "sudo",
        "tcsh",
        "zsh",
    ),
)
# A package manager that knows every package but those in $UNKNOWN, and installs all of $PROGRAMS with the first call
# that it accepts. `-Sl` asks pacman for its lists.
MANAGER: Final = """\
#!/bin/sh
[ "$*" != -Sl ] || { echo "$LISTS"; exit 0; }
echo "${0##*/} $*" >>"$RECORD"
for word; do
    case " $UNKNOWN " in *" $word "*) echo "E: no package $word"; exit 1 ;; esac
done
case "$*" in update* | -Sy) exit 0 ;; esac
for program in $PROGRAMS; do
    printf '#!/bin/sh\\necho --kill-child\\n' >"${0%/*}/$program"
    chmod +x "${0%/*}/$program"
done
"""


class System:
    """A system with no program but the script's own, and a package manager if it has one."""

    def __init__(self, directory: Path, manager: str | None, *, root: bool = True) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.calls_file = directory / "calls"
        for name in OWN:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.add("chmod", f'#!/bin/sh\nexec {shutil.which("chmod")} "$@"\n')
        self.add("id", f"#!/bin/sh\necho {0 if root else 1000}\n")
        if manager is not None:
            self.add(manager, MANAGER)

    def add(self, name: str, text: str = "#!/bin/sh\necho --kill-child\n") -> None:
        """Add a program; by itself it passes for any that is needed."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def python(self, version: str, *, ensurepip: bool = False) -> None:
        """Add a Python of a version, with or without ensurepip."""
        self.add(
            "python3", f"#!/bin/sh\ncase $2 in *version*) echo {version} ;; *) exit {0 if ensurepip else 1} ;; esac\n"
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script; the variables are those of MANAGER."""
        standard = {"PROGRAMS": " ".join((*DEMO, *TEST)), "LISTS": "core acl", "UNKNOWN": ""}
        return subprocess.run(
            [str(self.bin / "sh"), SCRIPT, *arguments],
            env={
                "PATH": str(self.bin),
                "NODE_PATH": str(self.bin),
                "RECORD": str(self.calls_file),
                **standard,
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """Return the package manager's command lines."""
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


APT: Final = "apt-get install -y -qq --no-install-recommends"
DNF: Final = "dnf install -y -q --setopt=install_weak_deps=False"
APK: Final = "apk add --quiet --no-cache"
PACMAN: Final = "pacman -S --noconfirm --needed"
ZYPPER: Final = "zypper --non-interactive --quiet install --no-recommends"


# What is installed for the demonstration, and after it for the tests.
PACKAGES: Final = {
    APT: (
        "openssh-server openssh-client rsync util-linux mount",
        "bash busybox-static e2fsprogs chromium-driver chromium dash fish libcap2-bin attr groff-base iproute2 "
        "ksh93u+m mksh python3 acl strace sudo tcsh zsh",
    ),
    DNF: (
        "openssh-server openssh-clients rsync util-linux",
        "bash busybox e2fsprogs chromedriver chromium dash fish libcap attr groff-base iproute ksh mksh python3 "
        "acl strace sudo tcsh zsh",
    ),
    APK: (
        "openssh rsync util-linux",
        "bash busybox e2fsprogs-extra chromium-chromedriver chromium dash fish libcap-utils attr groff iproute2 mksh "
        "python3 acl setpriv strace sudo "
        "tcsh zsh",
    ),
    PACMAN: (
        "openssh rsync util-linux",
        "bash busybox e2fsprogs chromium dash fish libcap attr groff iproute2 ksh mksh python acl strace sudo tcsh zsh",
    ),
    ZYPPER: (
        "openssh rsync util-linux",
        "bash busybox e2fsprogs chromedriver chromium dash fish libcap-progs attr "
        "groff iproute2 ksh mksh python3 acl strace sudo tcsh zsh",
    ),
}


@pytest.mark.parametrize("target", ["demo", "test"])
@pytest.mark.parametrize("command", PACKAGES)
def test_all_that_is_missing_is_installed(tmp_path: Path, command: str, target: str) -> None:
    manager, packages = command.split()[0], PACKAGES[command][0]
    if target == "test":
        packages += " " + PACKAGES[command][1]
    system = System(tmp_path, manager)
    done = system.run(target)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"installing {packages} ...\n", "")
    refreshed = ["apt-get update -qq"] if manager == "apt-get" else []
    assert system.calls() == [*refreshed, f"{command} {packages}"]


def test_other_userlands_are_installed_on_debian(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    packages = "rust-coreutils dropbear-bin ksh93u+m mksh tinysshd toybox"
    done = system.run("others", PROGRAMS="coreutils dropbear ksh93 mksh tinysshd toybox")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"installing {packages} ...\n", "")
    assert system.calls() == ["apt-get update -qq", f"{APT} {packages}"]


def test_no_ssh_server_is_installed_that_systemd_would_start(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    done = system.run("others", PROGRAMS="dropbear tinysshd", SYSTEMD=str(tmp_path))
    assert "tinysshd" not in done.stdout
    assert not any("tinysshd" in call for call in system.calls())


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    for name in (*DEMO, *TEST):
        system.add(name)
    done = system.run("test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert system.calls() == []


def test_the_demonstration_needs_nothing_of_the_tests(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    for name in DEMO:
        system.add(name)
    assert system.run("demo").stdout == ""
    assert system.calls() == []


def test_the_unshare_of_busybox_is_not_enough(tmp_path: Path) -> None:
    system = System(tmp_path, "apk")
    for name in DEMO:
        system.add(name)
    system.add("unshare", "#!/bin/sh\necho 'Usage: unshare [OPTIONS] [PROG ARGS]'\n")
    assert system.run("demo").stdout == "installing util-linux ...\n"
    assert system.calls() == [f"{APK} util-linux"]


def test_arch_gets_lists_of_packages_only_where_it_has_none(tmp_path: Path) -> None:
    """Newer lists than the installed packages would be a partial upgrade, which Arch does not support."""
    system = System(tmp_path, "pacman")
    system.run("demo", LISTS="")
    assert system.calls() == ["pacman -Sy", f"{PACMAN} openssh rsync util-linux"]


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "apt-get install openssh-server openssh-client rsync util-linux mount"),
        ("apk", "apk add openssh rsync util-linux"),
        ("pacman", "pacman -S openssh rsync util-linux"),
        ("zypper", "zypper install openssh rsync util-linux"),
    ],
)
def test_only_root_installs_and_others_get_the_command(tmp_path: Path, manager: str, command: str) -> None:
    system = System(tmp_path, manager, root=False)
    done = system.run("demo")
    assert done.stderr == f"not installed: sshd ssh rsync unshare mount (as root: {command})\n"
    assert (done.returncode, done.stdout, system.calls()) == (0, "", [])


def test_a_system_without_a_known_package_manager_gets_the_names_of_the_programs(tmp_path: Path) -> None:
    done = System(tmp_path, None).run("demo")
    assert done.returncode == 0
    assert done.stderr.startswith("not installed: sshd ssh rsync unshare mount (no known package manager here")


def test_a_package_that_a_release_does_not_have_keeps_no_other_from_being_installed(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    for name in DEMO:
        system.add(name)
    without = " ".join(name for name in TEST if not name.startswith("chrom"))
    done = system.run("test", UNKNOWN="chromium chromium-driver", PROGRAMS=without)
    assert done.returncode == 0
    assert done.stderr.endswith("could not install: chromedriver chromium (packages: chromium-driver chromium)\n")
    assert "E: no package chromium\n" in done.stderr
    assert f"{APT} zsh" in system.calls()


def test_lists_of_packages_that_cannot_be_fetched_may_be_there_already(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    done = system.run("demo", UNKNOWN="update")
    assert (done.returncode, done.stderr) == (0, "")
    assert system.calls() == ["apt-get update -qq", f"{APT} {PACKAGES[APT][0]}"]


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_debian_has_ensurepip_in_a_package_of_each_python(tmp_path: Path, version: str) -> None:
    system = System(tmp_path, "apt-get")
    system.python(version)
    assert system.run("venv", "python3", PROGRAMS="").returncode == 1
    assert system.calls()[:2] == ["apt-get update -qq", f"{APT} python{version}-venv"]


def test_a_python_that_has_ensurepip_needs_nothing(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get")
    system.python("3.13", ensurepip=True)
    assert system.run("venv", "python3").returncode == 0
    assert system.calls() == []


def test_other_systems_have_ensurepip_in_python_itself(tmp_path: Path) -> None:
    """A Python without it is no package's, so nothing that a package manager has would help."""
    system = System(tmp_path, "dnf")
    system.python("3.13")
    done = system.run("venv", "python3")
    assert (done.returncode, system.calls()) == (1, [])
    assert done.stderr.startswith("not installed: ensurepip (no known package manager here has them")


def test_the_readme_names_what_make_fresh_begins_with() -> None:
    root = SCRIPT.parents[1]
    (first,) = (line for line in (root / ".ci" / "fresh").read_text().splitlines() if line.startswith("FIRST="))
    assert f"    apt-get install {first.removeprefix('FIRST=').strip(chr(34))} " in (root / "README.md").read_text()


def test_every_shell_script_is_one() -> None:
    for script in (SCRIPT, SCRIPT.with_name("fresh"), SCRIPT.with_name("run")):
        subprocess.run(["sh", "-n", script], check=True)
        assert os.access(script, os.X_OK)

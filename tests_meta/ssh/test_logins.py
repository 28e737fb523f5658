"""Logins that print, that change the environment, or that run no command: what every front end makes of them.

Each login is that of a node of its own, so that one run of a front end tries all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster, missing_requirements

from tests_meta.site import BY_RSYNC, Site
from tests_meta.terminal import Ended, run

NOTHING: Final = "no command runs there"
LINES: Final = ("synctool-probe", "end", "recalled", "w:", "done", "ok 0", "failed 0 x", "refused x", "synctool: done")


@dataclass(frozen=True)
class Login:
    """A login of root: shell text that prepares it on its node, and the programs that this needs.

    `runs` is False for a login that runs no command of ours. `ssh` are lines of the controller's ssh configuration.
    `banner` is a text that sshd itself sends before the login.
    """

    prepare: str = ":"
    needs: tuple[str, ...] = ()
    runs: bool = True
    ssh: str = ""
    banner: str = ""


def bashrc(text: str, then: str = ":") -> str:
    """Return shell text that makes this the first file of root's bash, and of other shells that read ENV."""
    return f"cat >/root/.bashrc <<'EOF'\n{text}\nEOF\n{then}"


def sh(program: str) -> str:
    """Return shell text that makes a program the node's /bin/sh."""
    return f"ln -sf $(command -v {program}) /bin/sh.new && mv -f /bin/sh.new /bin/sh"


def shell(program: str) -> str:
    """Return shell text that makes a program the login shell of root."""
    return f'sed -i "/^root:/s|[^:]*$|$(command -v {program})|" /etc/passwd'


EXPORTS: Final = """\
export CDPATH=/:/tmp:/root IFS=/ TMPDIR=/nonexistent LC_ALL=xx_XX LANG=xx TMOUT=1 POSIXLY_CORRECT=1 GLOBIGNORE=*
TAR_OPTIONS=--no-such RSYNC_RSH=/no RSYNC_ICONV=x,y ENV=/root/env BASH_ENV=/root/env PS4='$(echo evil >&2)'
n=1 e=2 l=3 p=4 t=5 s=6 d=7 m=8 g=9 f=x limit=0 state=/x journal=/x saved=x who=x SYNCTOOL_NODE=x
VALUE='two lines and PATH=/x PPID=3'""".replace("\n", " ")
NAMES: Final = (
    "cd",
    "echo",
    "printf",
    "stat",
    "rm",
    "mv",
    "cp",
    "read",
    "test",
    "kill",
    "umask",
    "builtin",
    "compgen",
    "sleep",
)
FUNCTIONS: Final = "\n".join(f"{name}() {{ return 7; }}; export -f {name}" for name in NAMES)
OPTIONS: Final = """\
set -euCf; set -o pipefail
shopt -s nullglob failglob xpg_echo
export SHELLOPTS BASHOPTS"""
LOGINS: Final = {
    "plain": Login(),
    "prints": Login(bashrc("echo Welcome; echo Welcome >&2")),
    "prints-open": Login(bashrc("printf Welcome; printf Welcome >&2")),
    "prints-words": Login(bashrc("\n".join(f"echo '{line}'; echo '{line}' >&2" for line in LINES))),
    "prints-much": Login(bashrc("head -c 300000 /dev/urandom; head -c 30000 /dev/urandom >&2")),
    "prints-after": Login(bashrc("trap 'echo bye; echo bye >&2' EXIT")),
    "exports": Login(bashrc(EXPORTS, "echo 'echo evil; exit 7' >/root/env")),
    "exports-bash": Login(bashrc(EXPORTS, f"echo 'echo evil; exit 7' >/root/env; {sh('bash')}")),
    "functions": Login(bashrc(FUNCTIONS, sh("bash"))),
    "options": Login(bashrc(OPTIONS, sh("bash"))),
    "umask": Login(bashrc("umask 0777")),
    "path": Login(bashrc("export PATH=/nonexistent")),
    "no-path": Login(bashrc("unset PATH")),
    "path-here": Login(bashrc("export PATH=.::sub:$PATH")),
    "preload": Login(bashrc("export LD_PRELOAD=/nonexistent.so")),
    "directory": Login(bashrc("cd /usr/share")),
    "terminal": Login(ssh="RequestTTY force"),
    "banner": Login(banner="\n".join(("Authorized users only: No space left on device", *LINES)) + "\n"),
    **{f"sh-{name}": Login(bashrc(EXPORTS, sh(name)), (name,)) for name in ("mksh", "zsh", "ksh93", "busybox")},
    **{f"login-{name}": Login(shell(name), (name,)) for name in ("mksh", "zsh", "fish", "tcsh", "dash")},
    "rbash": Login(shell("rbash"), ("rbash",), runs=False),
    "nologin": Login(shell("nologin"), ("nologin",), runs=False),
    "false": Login(shell("false"), runs=False),
    "exec-zsh": Login(bashrc("exec zsh"), ("zsh",), runs=False),
    "exit": Login(bashrc("exit 0"), runs=False),
    "forced": Login("sed -i 's/^/command=\"echo no\" /' /run/sshd/id.pub", runs=False),
}


@pytest.fixture
def logins(site: Site, tmp_path: Path) -> Iterator[dict[str, Login]]:
    """Nodes with these logins: those whose programs this machine has."""
    if missing := missing_requirements():
        pytest.skip("no embedded cluster: " + "; ".join(missing))
    present = {name: login for name, login in LOGINS.items() if all(map(shutil.which, login.needs))}
    with (
        TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sockets,  # a short name, as sockets need one
        pytest.MonkeyPatch.context() as environment,
        EmbeddedCluster(tmp_path / "cluster", list(present)) as cluster,
    ):
        environment.setenv("XDG_RUNTIME_DIR", sockets)
        for name, login in present.items():
            cluster.run(name, f"mkdir -p {site.top}/sub /root/sub\n{login.prepare}")
        blocks = {name: login.ssh for name, login in present.items() if login.ssh}
        for name in (name for name, login in present.items() if login.banner):
            blocks[name] = with_banner(cluster, name, present[name].banner)
        text = "".join(f"Host {name}\n  {lines}\n" for name, lines in blocks.items())
        cluster.ssh_config.write_text(text + cluster.ssh_config.read_text())  # the first value counts
        site.cluster, site.nodes = cluster, dict.fromkeys(present, "batch")
        yield present


def with_banner(cluster: EmbeddedCluster, name: str, text: str) -> str:
    """Start another sshd on a node, with a banner. Return the lines of the ssh configuration for it."""
    address, port = cluster.addresses[name], cluster.port + 1  # nobody else uses this address
    cluster.write(name, "/run/sshd/banner", text.encode())
    options = "-D -e -f /dev/null -h /run/sshd/host -oAuthorizedKeysFile=/run/sshd/id.pub -oUsePAM=no -oPidFile=none"
    listen = f"-oBanner=/run/sshd/banner -p {port} -oListenAddress={address}"
    start = f"setsid --fork $(command -v sshd) {options} {listen} </dev/null >/run/sshd/log 2>&1"
    cluster.run(name, f"{start}; until grep -q listening /run/sshd/log; do sleep 0.1; done")
    # ssh shows a banner only from LogLevel INFO on.
    return f"Port {port}\n  HostKeyAlias [{address}]:{cluster.port}\n  LogLevel INFO"


@dataclass
class Table:
    """The results of front ends, by login. `wrong` has a line for each that is not as it has to be."""

    site: Site
    logins: dict[str, Login]
    wrong: list[str]

    def note(self, front_end: str, login: str, expected: object, actual: object) -> None:
        """Note a result."""
        if actual != expected:
            self.wrong.append(f"{login}: {front_end}: {actual!r} instead of {expected!r}")

    def pytest(self, *arguments: str, expected: str) -> None:
        """Run pytest: a node has the expected result, or is an error and its entries are skipped."""
        ended = self.site.pytest(*arguments, timeout=300)
        name = " ".join(("pytest", *arguments))
        for login, properties in self.logins.items():
            for entry in ("file", "other"):
                result = ended.results.get((f"synctool_checks.test_overlay.{login}", f"{self.site.top}/{entry}"))
                reason = "" if result == expected else ended.messages.get(("synctool_checks.test_overlay", login), "")
                reason += ended.messages.get((f"synctool_checks.test_overlay.{login}", f"{self.site.top}/{entry}"), "")
                self.note(f"{name}{reason}", login, expected if properties.runs else "skipped", result)

    def command(self, *words: str, expected: str) -> Ended:
        """Run a command: a node has this line, or is unreachable."""
        ended = run(self.site.directory, *words, timeout=300)
        text = (ended.out + ended.err).decode(errors="replace").split("\n")
        for login, properties in self.logins.items():
            own = [line for line in text if line.startswith((f"{login}:", f"{login} "))]
            wanted = expected if properties.runs else "unreachable: "
            ok = any(wanted in line for line in own) and (properties.runs is not any("unreachable" in x for x in own))
            self.note(f"{words}: {own[-4:]}", login, wanted, wanted if ok else "")
        return ended

    def content(self, name: str, expected: str) -> None:
        """Compare a file of each node that runs commands."""
        for login, properties in self.logins.items():
            if properties.runs:
                self.note(name, login, expected, self.site.sh(login, f"cat {name} 2>&1 || :"))


def copy(table: Table) -> None:
    """Copy files by tar and by rsync, and back, all at once: each waits for a login that never answers."""
    site = table.site
    conf, rsync = site.configure(), site.directory / "rsync.conf"
    rsync.write_text(conf.read_text().replace("rsync_cmd no-such-rsync\n", ""))
    (site.directory / "from").mkdir()
    for name in ("by-tar", "by-rsync"):
        (site.directory / name).write_text(f"{name}\n")
    dcp = ("dcp", "--timeout=30", "-c")
    commands = (
        (*dcp, str(conf), "-d", site.top, "by-tar"),
        (*dcp, str(rsync), "-d", site.top, "by-rsync"),
        (*dcp, str(rsync), "--reverse", "-d", "from", f"{site.top}/file"),
    )
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda words: table.command(*words, expected=words[-1].rpartition("/")[2]), commands))
    for name in ("by-tar", "by-rsync"):
        table.content(f"@/{name}", f"{name}\n")


def test_every_front_end_with_every_login(logins: dict[str, Login], site: Site) -> None:
    """Audit, repair by rsync, the same by synctool and tar, dsh, dcp by rsync and tar: each is right or an error."""
    table = Table(site, logins, [])
    site.put("file._all", "new\n")
    site.put("other._all")
    site.script("file.post", '#!/bin/sh\n/bin/echo "$SYNCTOOL_NODE" >ran\n')
    site.lines.append(BY_RSYNC)
    site.configure()
    table.pytest(expected="failure")
    table.pytest("--fix", expected="passed")
    table.content("@/file", "new\n")
    table.pytest(expected="passed")
    site.put("file._all", "newer\n")
    site.lines[-1] = "rsync_cmd no-such-rsync"
    site.configure()
    table.command("synctool", expected=f"{site.top}/file")
    table.command("synctool", "-f", expected=f"{site.top}/file")
    table.content("@/file", "newer\n")
    table.pytest(expected="passed")
    table.command("dsh", "--timeout=30", "/bin/echo it is; exit 0", expected="it is")
    copy(table)
    for login, properties in logins.items():
        if properties.runs:
            path = site.directory / "from" / login / "file"
            table.note("dcp --reverse", login, True, path.is_file() and path.read_text() == "newer\n")
            table.note("the trigger", login, f"{login}\n", site.sh(login, "cat @/ran 2>&1 || :"))
    for login, mode in (("plain", "644\n"), ("umask", "0\n")):  # the umask of the login is that of its triggers
        table.note("the trigger's umask", login, mode, site.sh(login, "stat -c %a @/ran"))
    assert not table.wrong, "\n".join(table.wrong)

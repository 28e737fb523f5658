"""Manual pages and completion: they say what the parsers say, and man, bash and zsh can do something with them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests_meta import manual, share
from tests_meta.terminal import run, terminal

COMMANDS = share.commands()
CONF = """\
masterdir master
node node1 batch
node node2 batch
node other1 login
"""
# Fills in what bash does before it calls the function that is registered for a command, and prints what that offers.
CANDIDATES = """\
source "$1" && shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
registered=$(complete -p -- "$1") && function=${registered##*-F }
"${function% *}" && printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSHRC = """\
PS1='ready> '
fpath=("$COMPLETION" $fpath)
autoload -Uz compinit && compinit -u -D
"""


# A shell that does not do what is waited for says nothing at all.
LIMIT = ("timeout", "--foreground", "-s", "KILL", "60")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where synctool.conf and some files are, and stubs of dsh and dcp that only show how they were called."""
    for place in (tmp_path, tmp_path / "elsewhere"):
        (place / "master").mkdir(parents=True)
    (tmp_path / "synctool.conf").write_text(CONF)
    (tmp_path / "elsewhere" / "synctool.conf").write_text(CONF.replace("node2 batch", "node3 rack3"))
    for name in ("motd._all", "motd._batch", "motd.post", "a b._all", "my:name._all"):
        (tmp_path / "master" / "overlay" / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "master" / "overlay" / "etc" / name).touch()
    (tmp_path / "master" / "delete" / "etc").mkdir(parents=True)
    (tmp_path / "master" / "delete" / "etc" / "mtab._all").touch()
    (tmp_path / "stubs").mkdir()
    for name in ("dsh", "dcp", "synctool"):
        stub = tmp_path / "stubs" / name
        stub.write_text('#!/bin/sh\nprintf "called with <%s>\\n" "$*"\n')
        stub.chmod(0o755)
    return tmp_path


def test_the_files_are_what_the_parsers_say() -> None:
    made = dict(share.files())
    found = {
        str(path.relative_to(share.DOCS)): path.read_text(encoding="utf-8")
        for directory in share.DIRECTORIES
        for path in (share.DOCS / directory).iterdir()
    }
    stale = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
    assert not stale, "out of date below docs/, run `make share` and commit what it writes"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_page(command: str) -> None:
    page = share.page(command).replace("\\", "")
    options = [option for action in share.parser(command)._actions for option in action.option_strings]
    assert [option for option in options if option not in ("-h", "--help") and f"fB{option}fR" not in page] == []


@pytest.mark.parametrize("width", ["20", "200"])
def test_the_terminal_does_not_matter(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    test_the_files_are_what_the_parsers_say()


@needs("groff")
@pytest.mark.parametrize("command", COMMANDS)
def test_groff_accepts_the_page(command: str) -> None:
    """With all its warnings: a line of help that it takes for a request would be one, and missing."""
    page = share.DOCS / "man" / "man1" / f"{command}.1"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    words = " ".join(done.stdout.split())
    assert f"NAME {command} - " in words
    assert "EXIT STATUS 0 if " in words


@pytest.mark.parametrize("page", manual.PAGES, ids=lambda page: page.name)
def test_groff_accepts_the_pages_of_files(page: manual.ManualPage) -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(share.DOCS / page.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    words = " ".join(done.stdout.split())
    assert words.startswith(f"{page.name}({page.section})")
    assert "Description" in words
    assert words.count("See also") == 1


def offers(directory: Path, *words: str) -> list[str]:
    """What bash would complete the last of the words to."""
    file = share.DOCS / "completion" / "bash" / words[0]
    done = run(directory, "bash", "--norc", "-c", CANDIDATES, "bash", str(file), *words)
    assert (done.status, done.err) == (0, b"")
    return [line for line in done.lines() if line]


@needs("bash")
class TestBash:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("synctool --si", "--single"),
            ("synctool --sk", "--skip-rsync"),
            ("synctool-config --list-", "--list-destinations --list-dirs --list-groups --list-nodes"),
            ("synctool-aggr --v", "--version"),
            ("dsh --gr", "--group"),
            ("dsh -O st", "stop"),
            ("dcp --rev", "--reverse"),
            ("dsh --nonsense", ""),
            ("dsh -n node", "node1 node2"),
            ("synctool -qf --exclude o", "other1"),
            ("synctool-config -n node1,o", "node1,other1"),
            ("dcp -n node1,oth*,node", "node1,oth*,node1 node1,oth*,node2"),
            ("synctool --nodename other", "other1"),
            ("dsh -g ba", "batch"),
            ("dsh -X login,ba", "login,batch"),
            ("synctool -g rack", ""),
            ("synctool -c elsewhere/synctool.conf -g rack", "rack3"),
            ("synctool --conf = elsewhere/synctool.conf -g rack", "rack3"),  # so bash divides --conf=FILE
            ("synctool -c nowhere.conf -n n", ""),
            ("synctool -c sy", "synctool.conf"),
            ("dcp -d el", "elsewhere"),
            ("dcp -d elsewhere sync", "synctool.conf"),
            ("dsh -n node1 cat sync", "synctool.conf"),
            ("synctool -r /etc/m", "/etc/motd /etc/mtab /etc/my:name"),
            ("synctool -q -d /etc/mo", "/etc/motd"),
            ("synctool --single /no", ""),
            ("synctool -c elsewhere/synctool.conf -1 /", ""),
            ("synctool -r sync", "synctool.conf"),
            ("synctool -u x --suffix ba", "batch"),
            ("synctool-config -S num", "num_proc"),
            ("synctool-config -S ssh_", "ssh_cmd ssh_control_persist"),
            ("synctool-config -C rs", "rsync"),
            ("synctool-history /etc/mt", "/etc/mtab"),
            ("synctool-history --between 2", ""),
            ("synctool --changes sync", "synctool.conf"),
        ],
    )
    def test_offers(self, directory: Path, line: str, expected: str) -> None:
        assert offers(directory, *line.split(" ")) == expected.split()

    def test_names_with_blanks(self, directory: Path) -> None:
        assert "/etc/a b" in offers(directory, "synctool", "-r", "")

    def test_run_ids_and_revisions(self, directory: Path) -> None:
        """Those of the history beside the configuration, and of the masterdir's repository."""
        (directory / "synctool.conf").write_text("masterdir master\nnode node1 batch connection:local://\n")
        run(directory, "synctool", "-q")
        listed = json.loads(run(directory, "synctool-history", "--json").out)
        (stored,) = listed["runs"]
        assert offers(directory, "synctool-history", "") == [stored["id"]]
        assert offers(directory, "synctool-history", "--reports", "reports", "--between", stored["id"][:3]) == [
            stored["id"]
        ]
        assert offers(directory, "synctool-history", "--reports", "elsewhere", "") == []
        git = ("git", "-C", "master", "-c", "user.name=x", "-c", "user.email=x@example.org")
        for words in (("init", "-q", "-b", "trunk"), ("commit", "-q", "--allow-empty", "-m", "x"), ("tag", "v1.0")):
            assert run(directory, *git, *words).status == 0
        assert offers(directory, "synctool", "--changes", "v") == ["v1.0"]
        assert offers(directory, "synctool", "--changes", "trunk") == ["trunk"]

    def test_a_home_directory(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(directory))
        assert offers(directory, "dsh", "-c", "~/elsewhere/synctool.conf", "-n", "node3") == ["node3"]

    def test_without_a_configuration(self, directory: Path) -> None:
        """A mistake in the configuration is no text in the middle of somebody's command line."""
        (directory / "synctool.conf").write_text("nonsense\n")
        assert offers(directory, "dsh", "-n", "") == []

    def test_names_are_not_expanded(self, directory: Path) -> None:
        """Whatever tells the names: none is run."""
        teller = directory / "stubs" / "synctool-config"
        teller.write_text("#!/bin/sh\necho 'node$(touch run) (ignored)'\n")
        teller.chmod(0o755)
        file = share.DOCS / "completion" / "bash" / "dsh"
        script = f'PATH={teller.parent}:$PATH; COMP_WORDS=(dsh -n n); source "{file}"; _synctool_nodes n'
        assert run(directory, "bash", "--norc", "-c", script).lines() == ["node$(touch run)"]
        assert not (directory / "run").exists()

    def test_at_a_prompt(self, directory: Path) -> None:
        file = share.DOCS / "completion" / "bash" / "dsh"
        with terminal(
            directory, *LIMIT, "bash", "--norc", "-i", PS1="ready> ", INPUTRC="/dev/null", TERM="dumb"
        ) as shell:
            shell.until(b"ready> ")
            shell.type(f"PATH={directory}/stubs:$PATH; source '{file}'; echo sourc''ed\n".encode())
            shell.until(b"sourced")
            shell.type(b"dsh --connect-t\t5 -n node1,o\t-g ba\thostname\n")
            shell.until(b"called with <--connect-timeout 5 -n node1,other1 -g batch hostname>")
            synctool = file.with_name("synctool")
            shell.type(f"source '{synctool}'; echo sour''ced\n".encode())
            shell.until(b"\nsourced")
            shell.type(b"synctool -r /etc/a\t-d /etc/mo\t\n")
            shell.until(b"called with <-r /etc/a b -d /etc/motd>")


@needs("zsh")
class TestZsh:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_syntax(self, directory: Path, command: str) -> None:
        done = run(directory, "zsh", "-f", "-n", str(share.DOCS / "completion" / "zsh" / f"_{command}"))
        assert (done.status, done.err) == (0, b"")

    def test_at_a_prompt(self, directory: Path) -> None:
        (directory / ".zshrc").write_text(f"{ZSHRC}path=('{directory}/stubs' $path)\n")
        zsh = str(share.DOCS / "completion" / "zsh")
        with terminal(
            directory, *LIMIT, "zsh", "-d", "-i", ZDOTDIR=str(directory), COMPLETION=zsh, TERM="dumb"
        ) as shell:
            shell.until(b"ready> ")
            shell.type(b"dsh --connect-t\t5 -n node1,o\t -g ba\t -c sy\t hostn\t\n")
            shell.until(b"called with <--connect-timeout 5 -n node1,other1 -g batch -c synctool.conf hostname>")
            shell.type(b"dcp -c elsewhere/synctool.conf --gr\track\t -d el\t sync\t stu\t\n")
            shell.until(b"called with <-c elsewhere/synctool.conf --group rack3 -d elsewhere synctool.conf stubs>")
            shell.type(b"synctool -r /etc/a\t -d /etc/mo\t -1 sync\t\n")
            shell.until(b"called with <-r /etc/a b -d /etc/motd -1 synctool.conf>")

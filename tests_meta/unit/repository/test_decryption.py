"""Commands that decrypt: run once, as words, bounded, and silent about what they print."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pytest_synctool.config import Config, command_output, parse
from pytest_synctool.errors import ConfigError, RepositoryError
from pytest_synctool.model import ABSENT
from pytest_synctool.repair.mirror_contents import extract
from pytest_synctool.repository import resolution
from pytest_synctool.repository.decryption import Decryption
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.manifest import Manifests
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.secrecy import secret

SECRET = "s3cret-Horse"
ODD = "od d'$(touch pwned);\u00e9"


@dataclass
class Cluster:
    """A masterdir with encrypted files, and what its nodes get."""

    directory: Path

    def __post_init__(self) -> None:
        (self.directory / "overlay").mkdir()

    def put(self, name: str, content: str | bytes) -> None:
        (self.directory / "overlay" / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def program(self, text: str) -> Path:
        path = self.directory / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def load(self, command: str, more: str = "", allowed: list[str] | None = None) -> Repository:
        rule = f"- path: /**\n  decrypt: {command!r}\n{more}"
        (self.directory / "attributes.yaml").write_text(rule)
        self.config: Config = parse("masterdir .\nnode n1 a\nnode n2 b\n", self.directory / "synctool.conf")
        return resolution.load(self.config, Decryption(self.directory, allowed))

    def entries(self, repository: Repository, node: str = "n1") -> list[Entry]:
        return list(repository.entries(self.config.nodes[node]))

    def failure(self, command: str) -> str:
        repository = self.load(command)
        with pytest.raises(RepositoryError) as caught:
            repository.check_contents(self.config.nodes.values())
        return str(caught.value).replace(f"{self.directory}/", "")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_the_output_of_a_command_is_what_nodes_get(cluster: Cluster) -> None:
    """Every byte of it, once for a file whatever the number of nodes, and with names of all kinds."""
    program = cluster.program('echo "$@" >>calls; tr a-z n-za-m <"$2"; printf "\\000\\377\\n"')
    cluster.put(f"{ODD}._all", "frperg")
    cluster.put("b._all", "bgure")
    repository = cluster.load(f"{program} --in %s 'two words'")
    repository.check_contents(cluster.config.nodes.values())
    contents = {entry.destination: entry.source.read() for entry in cluster.entries(repository)}
    assert contents == {b"/b": b"other\0\xff\n", f"/{ODD}".encode(): b"secret\0\xff\n"}
    assert all(entry.expected.size == len(contents[entry.destination]) for entry in cluster.entries(repository, "n2"))
    assert sorted((cluster.directory / "calls").read_text().splitlines()) == [
        f"--in {cluster.directory}/overlay/b._all two words",
        f"--in {cluster.directory}/overlay/{ODD}._all two words",
    ]
    assert not (cluster.directory / "pwned").exists()


def test_nothing_runs_before_contents_are_needed(cluster: Cluster) -> None:
    cluster.put("f._all", "x")
    program = cluster.program("touch ran")
    repository = cluster.load(f"{program} %s")
    assert [entry.destination for entry in cluster.entries(repository)] == [b"/f"]
    assert not (cluster.directory / "ran").exists()
    resolution.load(cluster.config).entries(cluster.config.nodes["n1"])  # as lint and -r do: they run nothing
    with pytest.raises(RepositoryError, match=r"f\._all is encrypted, and this run decrypts nothing"):
        resolution.load(cluster.config).check_contents(cluster.config.nodes.values())


def test_contents_are_sensitive(cluster: Cluster) -> None:
    cluster.put("f._all", SECRET)
    repository = cluster.load("cat %s")
    (entry,) = cluster.entries(repository)
    assert entry.sensitive
    assert secret(entry, entry.expected, ABSENT) is not None
    manifest = Manifests(repository, lambda text: "KEY:digest").of_node(cluster.config.nodes["n1"])["overlay"]["/f"]
    assert manifest == {
        **{"source": "overlay/f._all", "type": "file", "mode": "0644", "size": len(SECRET), "digest": "KEY:digest"},
        **{"owner": entry.expected.owner, "group": entry.expected.group, "sensitive": True, "decrypt": "cat %s"},
    }


def test_the_mirror_has_them_as_secret(cluster: Cluster) -> None:
    """The mark of a mirror, which others can see on the command line, does not depend on contents."""
    cluster.put("f._all", "x")
    extracts = []
    for text in ("one", "two"):
        repository = cluster.load(f"{cluster.program(f'echo {text}')} %s")
        extracts.append(extract(cluster.entries(repository)))
    assert [each.made[b"overlay/f._all"] for each in extracts] == [b"one\n", b"two\n"]
    assert [set(each.secret) for each in extracts] == [{b"overlay/f._all"}] * 2
    assert [each.names for each in extracts] == [()] * 2
    first, second = (each.fingerprint(os.fsencode(cluster.directory), {}) for each in extracts)
    assert first == second
    rules = extracts[0].made[b"attributes.yaml"].decode()
    assert "decrypt" not in rules
    assert 'sensitive: "yes"' in rules
    cluster.put("f._all", "changed")  # by the change of the file they are known
    again = extract(cluster.entries(cluster.load(f"{cluster.directory}/program %s")))
    assert again.fingerprint(os.fsencode(cluster.directory), {}) != first


def test_a_changed_variable_changes_the_mark_of_a_secret_template(cluster: Cluster) -> None:
    cluster.put("f._template._all", "{{ vars.password }}")
    (cluster.directory / "vars").mkdir()
    marks = []
    for password in ("one", "two"):
        (cluster.directory / "vars" / "new").write_text(f"password: {password}")
        (cluster.directory / "vars" / "new").rename(cluster.directory / "vars" / "all.yaml")
        contents = extract(cluster.entries(cluster.load("cat %s")))
        assert contents.made[b"overlay/f._all"] == password.encode()
        marks.append(contents.fingerprint(os.fsencode(cluster.directory), {}))
    assert marks[0] != marks[1]


def test_decrypted_first_then_rendered(cluster: Cluster) -> None:
    cluster.put("f._template._all", "{{ abqr.anzr }} frperg\n")
    repository = cluster.load(f"{cluster.program('exec tr a-z n-za-m <$1')} %s")
    assert [cluster.entries(repository, node)[0].source.read() for node in ("n1", "n2")] == [
        b"n1 secret\n",
        b"n2 secret\n",
    ]
    (entry,) = cluster.entries(repository)
    assert (entry.how_made, entry.source.mirrored) == ("decrypted and rendered from", b"overlay/f._all")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{{{{ '{SECRET}' | int('x') + 1 }}}}", "overlay/f._template._all:1: cannot be rendered"),
        (f"{{% {SECRET} %}}", "overlay/f._template._all:1: cannot be rendered"),
        ("\n{{ vars.nope }}", "overlay/f._template._all:2: variable 'nope' is not set, for n[1-2]"),
    ],
)
def test_errors_do_not_quote_decrypted_templates(cluster: Cluster, text: str, message: str) -> None:
    cluster.put("f._template._all", text)
    error = cluster.failure("cat %s")
    assert error.startswith(message)
    assert SECRET not in error


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "ended with status 3"),
        (f"echo {SECRET}; kill -9 $$", "was killed by signal 9"),
        ("exec cat /dev/zero", "prints more than 100,000 bytes"),
        (f"echo {SECRET}; exec tail -f /dev/null", "has not ended within 0.3 s"),
        ("exec tail -f /dev/null >/dev/null", "has not ended within 0.3 s"),
    ],
)
def test_a_failing_command(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, script: str, problem: str) -> None:
    monkeypatch.setattr(command_output, "LONGEST", 0.3 if "tail" in script else 30)
    monkeypatch.setattr(command_output, "LARGEST", 100_000)
    cluster.put("f._all", "x")
    error = cluster.failure(f"{cluster.program(script)} %s")
    end = "(by hand: program overlay/f._all), for n[1-2]"
    assert error == f"overlay/f._all is not decrypted: 'program' {problem} {end}"


def test_a_command_that_does_not_exist(cluster: Cluster) -> None:
    cluster.put("f._all", "x")
    message = "overlay/f._all: cannot run 'no-such-program' to decrypt it: No such file or directory, for n[1-2]"
    assert cluster.failure("no-such-program %s") == message


def test_no_shell_and_no_input(cluster: Cluster) -> None:
    cluster.put("f._all", "text")
    repository = cluster.load("cat %s '; touch pwned' - | sh")
    with pytest.raises(RepositoryError, match="ended with status 1"):
        repository.check_contents(cluster.config.nodes.values())
    assert not (cluster.directory / "pwned").exists()
    repository = cluster.load("cat %s -")
    assert cluster.entries(repository)[0].source.read() == b"text"


def test_only_allowed_commands_run(cluster: Cluster) -> None:
    """A revision of the masterdir cannot choose what runs on the controller."""
    cluster.put("f._all", "x")
    program = cluster.program("touch ran")
    repository = cluster.load(f"{program} %s", allowed=["cat %s"])
    with pytest.raises(RepositoryError, match=r"is not decrypted: the present attributes\.yaml has no"):
        repository.check_contents(cluster.config.nodes.values())
    assert not (cluster.directory / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="files belong to others only where root gives them away")
def test_a_program_of_somebody_else_is_refused(cluster: Cluster) -> None:
    cluster.put("f._all", "x")
    program = cluster.program("cat $1")
    os.chown(program, 12345, 12345)
    for command in (program, "./program", "sh ./program"):  # it runs in the masterdir
        with pytest.raises(ConfigError, match=r"attributes\.yaml:2: 'decrypt': .*/program is not trusted"):
            cluster.load(f"{command} %s")


@pytest.fixture
def gpg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command line of gpg with a key of its own; its agent ends with the test."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    (tmp_path / "passphrase").write_text("horse")
    with TemporaryDirectory(dir="/tmp") as home:  # a short name, for the socket of the agent
        monkeypatch.setenv("GNUPGHOME", home)
        options = [
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase-file",
            str(tmp_path / "passphrase"),
        ]
        yield ["gpg", *options]
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)


def test_the_recipe_for_gpg(cluster: Cluster, gpg: list[str]) -> None:
    packed = subprocess.run([*gpg, "--symmetric"], input=SECRET.encode(), capture_output=True, check=True).stdout
    cluster.put("f._all", packed)
    repository = cluster.load(f"{shlex.join(gpg)} --decrypt %s")
    assert cluster.entries(repository)[0].source.read().decode() == SECRET
    cluster.put("f._all", packed[:-5] + b"12345")
    assert "'gpg' ended with status 2" in cluster.failure(f"{shlex.join(gpg)} --decrypt %s")


def test_the_recipe_for_openssl(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "key").write_text("horse")
    options = ["-aes-256-cbc", "-pbkdf2", "-pass", f"file:{tmp_path}/key"]
    pack = ["openssl", "enc", *options]
    cluster.put("f._all", subprocess.run(pack, input=SECRET.encode(), capture_output=True, check=True).stdout)
    repository = cluster.load(f"openssl enc -d {shlex.join(options)} -in %s")
    assert cluster.entries(repository)[0].source.read().decode() == SECRET

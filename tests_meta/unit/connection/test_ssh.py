"""The ssh command line: nothing of a configuration file is forwarded, and all that `ssh_cmd` asks for is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_synctool.connection.ssh import SshSettings, has_forwardings

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh")

ASKING = """\
Host *
  ForwardAgent yes
  ForwardX11 yes
  GSSAPIDelegateCredentials yes
  RemoteForward 40001 localhost:22
  LocalForward 40002 localhost:22
  DynamicForward 40003
  Tunnel yes
  PermitLocalCommand yes
  LocalCommand touch local-command
  RequestTTY force
"""
OFF = {
    "forwardagent": "no",
    "forwardx11": "no",
    "gssapidelegatecredentials": "no",
    "permitlocalcommand": "no",
    "tunnel": "false",
    "requesttty": "false",
}
FORWARDINGS = ("localforward", "remoteforward", "dynamicforward")


def effective(path: Path, *words: str, file_of_settings: bool = False) -> dict[str, str]:
    """Return the settings that ssh computes for a connection, with a configuration file that asks for all."""
    config = path / "config"
    config.write_text(ASKING)
    command = ("ssh", *words) if file_of_settings else ("ssh", *words, "-F", str(config))
    argv = SshSettings(command, str(config) if file_of_settings else None).argv()
    done = subprocess.run([*argv, "-G", "host"], capture_output=True, text=True, check=True)
    rows = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: value for name, _, value in rows if name in OFF or name in FORWARDINGS}


@pytest.mark.parametrize("file_of_settings", [False, True])
def test_a_configuration_file_is_not_obeyed(tmp_path: Path, file_of_settings: bool) -> None:
    assert effective(tmp_path, file_of_settings=file_of_settings) == OFF


@pytest.mark.parametrize(
    "words", ["-t", "-tt", "-v -q", "-o RequestTTY=yes", "-p 2222 -b -L", "-F /x -i -R", "-o BindAddress=-D"]
)
def test_other_options_change_nothing(tmp_path: Path, words: str) -> None:
    settings = effective(tmp_path, *shlex.split(words))
    assert settings == OFF


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("-A", "forwardagent", "yes"),
        ("-TA", "forwardagent", "yes"),
        ("-oForwardAgent=yes", "forwardagent", "yes"),
        ("-o 'ForwardAgent yes'", "forwardagent", "yes"),
        ("-o forwardagent=/run/agent", "forwardagent", "/run/agent"),
        ("-X", "forwardx11", "yes"),
        ("-Y", "forwardx11", "yes"),
        ("-K", "gssapidelegatecredentials", "yes"),
        ("-o PermitLocalCommand=yes", "permitlocalcommand", "yes"),
        ("-w any", "tunnel", "point-to-point"),
        ("-o Tunnel=ethernet", "tunnel", "ethernet"),
        ("-L 1:host:2", "localforward", "1 [host]:2"),
        ("-L1:host:2", "localforward", "1 [host]:2"),
        ("-TvL 1:host:2", "localforward", "1 [host]:2"),
        ("-oLocalForward='1 host:2'", "localforward", "1 [host]:2"),
        ("-o 'localforward 1 host:2'", "localforward", "1 [host]:2"),
        ("-o ' LocalForward=1 host:2'", "localforward", "1 [host]:2"),
        ("-R 1:host:2", "remoteforward", "1 [host]:2"),
        ("-vR1:host:2", "remoteforward", "1 [host]:2"),
        ("-o 'RemoteForward 1 host:2'", "remoteforward", "1 [host]:2"),
        ("-D 1", "dynamicforward", "1"),
        ("-4qD1", "dynamicforward", "1"),
        ("-o DynamicForward=1", "dynamicforward", "1"),
        ("-o ClearAllForwardings=no", "dynamicforward", "40003"),
    ],
)
def test_the_command_is_obeyed(tmp_path: Path, words: str, name: str, value: str) -> None:
    """ssh cannot tell the forwardings of its command line from others, so with one of them all are on."""
    command = shlex.split(words)
    config = tmp_path / "none"
    config.write_text("")
    argv = SshSettings(("ssh", *command), str(config) if "Clear" not in words else None).argv()
    if "Clear" in words:
        assert effective(tmp_path, *command)[name] == value
        return
    done = subprocess.run([*argv, "-G", "host"], capture_output=True, text=True, check=True)
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert settings[name] == value
    others = {key: off for key, off in OFF.items() if key != name}
    assert {key: settings[key] for key in others} == others


@pytest.mark.parametrize("command", ["sudo -u admin ssh -L 1:h:2", "/opt/bin/ssh -D1", "env A=-L ssh -C -R 1"])
def test_a_program_before_ssh(command: str) -> None:
    assert has_forwardings(shlex.split(command))

"""The mirror: what a node may see of the masterdir, brought to the same path on the node with rsync."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from testinfra.backend.chroot import ChrootBackend
from testinfra.backend.local import LocalBackend

from pytest_synctool.errors import TransportError
from pytest_synctool.shell import quote
from pytest_synctool.transport import HostTransport, SynctoolSshBackend

_VANISHED = 24  # rsync's status when a source went away while it ran; the probe afterwards tells what that means


def push(
    transport: HostTransport,
    masterdir: Path,
    files: Sequence[bytes],
    rsync_cmd: Sequence[str],
    deadline: float,
) -> None:
    """Bring these files, and nothing else, to the node's masterdir. Raises TransportError if they are not there."""
    if not files or isinstance(transport.host.backend, LocalBackend):
        return  # a local node reads the masterdir itself
    directory = os.fsencode(masterdir)
    argv = [*rsync_cmd, "-a", "-s", "--from0", "--files-from=-"]
    # The directories above the masterdir may be missing; rsync would make only the last one.
    remote_shell = _remote_shell(transport)
    if remote_shell is not None:
        argv.append("--rsh=" + " ".join(_rsync_word(word) for word in remote_shell))
        make = b"umask 077 && mkdir -p -- %s && rsync" % quote(directory)
        argv.append("--rsync-path=" + os.fsdecode(make))
    target = _target(transport, masterdir)
    answer = transport.processes.run([*argv, "--", f"{masterdir}/", target], b"\0".join(files) + b"\0", deadline)
    if answer.status not in (0, _VANISHED):
        lines = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        missing = any("rsync: " in line and "not found" in line for line in lines)
        if missing:
            raise TransportError("rsync is not installed on the node")
        raise TransportError(f"rsync failed with status {answer.status}: {lines[0] if lines else 'no reason given'}")


def _remote_shell(transport: HostTransport) -> list[str] | None:
    """The command that rsync starts its other end with: `COMMAND HOST rsync ...`; None for a local copy."""
    backend = transport.host.backend
    if isinstance(backend, SynctoolSshBackend):
        return transport.ssh.argv(backend.host.user, backend.host.port)
    if isinstance(backend, ChrootBackend):
        return None
    if backend.NAME in ("docker", "podman"):
        user = ["-u", backend.user] if backend.user else []
        return _through_exec([backend.NAME, "exec", "-i", *user], "")
    if backend.NAME == "kubectl":
        given = [(name, getattr(backend, name)) for name in ("kubeconfig", "context", "namespace", "container")]
        return _through_exec(["kubectl", *(f"--{n}={value}" for n, value in given if value), "exec", "-i"], "--")
    raise TransportError(f"files cannot be carried over a {backend.NAME} connection")


def _through_exec(command: Sequence[str], separator: str) -> list[str]:
    """A container's exec with the manners of ssh: the words behind the name are one line for a shell over there."""
    script = f'name=$1; shift; exec {shlex.join(command)} "$name" {separator} /bin/sh -c "$*"'
    return ["sh", "-c", script, "sh"]


def _target(transport: HostTransport, masterdir: Path) -> str:
    backend = transport.host.backend
    if isinstance(backend, ChrootBackend):
        return _inside(Path(backend.name), masterdir)
    name = backend.host.name if isinstance(backend, SynctoolSshBackend) else backend.name
    return f"[{name}]:{masterdir}/" if ":" in name else f"{name}:{masterdir}/"


def _inside(root: Path, masterdir: Path) -> str:
    """The masterdir below a chroot, made if missing. Raises TransportError if a link there leads out of it."""
    target = root / masterdir.relative_to("/")
    if not target.resolve().is_relative_to(root.resolve()):
        raise TransportError(f"{target} leads out of {root} through a symbolic link")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"{target}/"


def _rsync_word(word: str) -> str:
    """A word as rsync's --rsh understands it, which is not quite as a shell does."""
    return "'" + word.replace("'", "''") + "'" if any(c in word for c in " '\"\\") or not word else word

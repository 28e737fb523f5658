"""testinfra's ssh backend, with the ssh command of the run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable

import testinfra.host
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend

from pytest_synctool.connection.route import Route
from pytest_synctool.connection.ssh import SSH_FAILED


class SynctoolSshBackend(SshBackend):  # type: ignore[misc]  # testinfra's classes are untyped here
    """testinfra's ssh backend with an argument list instead of a shell line.

    It replaces testinfra's own backend during a run: `host` in an ordinary test then uses the same ssh as the audit.
    """

    NAME = "ssh"
    route_of: Callable[[SynctoolSshBackend], Route]

    def run_ssh(self, command: str) -> CommandResult:
        """Run one command for testinfra. Raise RuntimeError if ssh itself failed."""
        argv = type(self).route_of(self).argv(command)
        # Not a pipe: an ssh before 8.5 that keeps a shared connection in the background would hold it open.
        with tempfile.TemporaryFile() as errors:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, check=False)
            errors.seek(0)
            result = self.result(done.returncode, self.encode(command), done.stdout, errors.read())
        if done.returncode == SSH_FAILED:
            raise RuntimeError(result)
        return result


def install_ssh_backend(route_of: Callable[[SynctoolSshBackend], Route]) -> str:
    """Make testinfra use SynctoolSshBackend. Return the value for restore_ssh_backend()."""
    before: str = testinfra.backend.BACKENDS["ssh"]
    SynctoolSshBackend.route_of = staticmethod(route_of)
    testinfra.backend.BACKENDS["ssh"] = f"{__name__}.{SynctoolSshBackend.__name__}"
    return before


def restore_ssh_backend(before: str) -> None:
    """Give testinfra its own ssh backend back."""
    testinfra.backend.BACKENDS["ssh"] = before
    del SynctoolSshBackend.route_of

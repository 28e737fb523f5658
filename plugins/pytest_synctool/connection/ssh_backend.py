"""testinfra's ssh backend, with an argument list, standard input and a deadline."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable

import testinfra.host
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend

from pytest_synctool.connection.ssh import SSH_FAILED, SshSettings


class SynctoolSshBackend(SshBackend):  # type: ignore[misc]  # testinfra's classes are untyped here
    """testinfra's ssh backend with an argument list instead of a shell line, standard input and a deadline.

    It takes the place of testinfra's own while a run lasts, so that `host` in an ordinary test goes through the
    same ssh as the audit.
    """

    NAME = "ssh"
    settings_of: Callable[[SynctoolSshBackend], SshSettings]  # for testinfra's own commands

    def before_host(self, settings: SshSettings) -> list[str]:
        """The argument list up to, not including, the host name."""
        return settings.argv(self.host.user, self.host.port)

    def argv(self, command: str, settings: SshSettings) -> list[str]:
        """The complete argument list for one remote command."""
        return [*self.before_host(settings), "--", self.host.name, command]

    def run_ssh(self, command: str) -> CommandResult:
        """Run one command for testinfra. Raises RuntimeError where ssh itself failed."""
        argv = self.argv(command, type(self).settings_of(self))
        # Not a pipe for what it complains of, for the same reason as above.
        with tempfile.TemporaryFile() as complaints:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, check=False
            )
            complaints.seek(0)
            result = self.result(done.returncode, self.encode(command), done.stdout, complaints.read())
        if done.returncode == SSH_FAILED:
            raise RuntimeError(result)
        return result


def install_ssh_backend(settings_of: Callable[[SynctoolSshBackend], SshSettings]) -> str:
    """Make testinfra use this module's ssh backend; returns what to hand to restore_ssh_backend()."""
    before: str = testinfra.backend.BACKENDS["ssh"]
    SynctoolSshBackend.settings_of = staticmethod(settings_of)
    testinfra.backend.BACKENDS["ssh"] = f"{__name__}.{SynctoolSshBackend.__name__}"
    return before


def restore_ssh_backend(before: str) -> None:
    """Give testinfra its own ssh backend back."""
    testinfra.backend.BACKENDS["ssh"] = before
    del SynctoolSshBackend.settings_of

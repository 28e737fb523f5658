"""The rule about delete/: files that a node needs to start, to accept logins or to be repaired."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.lint.context import Finding, LintContext
from pytest_synctool.repository.source import Tree

_KERNEL_FILE_SYSTEMS: Final = ("/dev/*", "/proc/*", "/sys/*")
_BOOT: Final = (
    *("/boot/vmlinu[xz]*", "/boot/kernel*", "/boot/bzImage*", "/boot/initr*", "/boot/grub*", "/boot/efi*"),
    *("/boot/loader*", "/boot/extlinux*", "/lib/modules"),
)
_DIRECTORIES: Final = (
    *("/etc/pam.d", "/etc/ssh", "/etc/ssl", "/etc/security", "/etc/systemd", "/etc/init.d", "/etc/rc.d"),
    *("/etc/sudoers.d", "/etc/ld.so.conf.d", "/etc/network", "/etc/sysconfig", "/lib/systemd", "/lib/security"),
    *("/usr/local", "/usr/share", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib"),
    *("/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp", "/var/lock", "/run/lock", "/root/.ssh"),
)
_FILES: Final = (
    *("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/fstab", "/etc/crypttab", "/etc/sudoers"),
    *("/etc/inittab", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/hosts", "/etc/shells", "/etc/login.defs"),
    *("/etc/profile", "/etc/machine-id", "/etc/ld.so.conf", "/etc/ld.so.cache", "/etc/pam.conf", "/etc/pam.d/*"),
    *("/etc/ssh/sshd_config", "/etc/ssh/ssh_host_*_key", "/root/.ssh/authorized_keys", "/lib/systemd/systemd"),
)
# Programs that start a node, that accept logins, or that an audit or a repair calls on the node.
_PROGRAMS: Final = frozenset(
    (
        *("init", "systemd", "systemctl", "sh", "bash", "dash", "ash", "busybox", "coreutils", "env", "udevd"),
        *("login", "su", "sudo", "getty", "agetty", "sshd", "ssh", "rsync", "mount", "umount", "fsck"),
        *("modprobe", "insmod", "ldconfig", "ip", "ifconfig", "ls", "cat", "cp", "mv", "ln", "rm", "mkdir"),
        *("mktemp", "chmod", "chown", "install", "stat", "readlink", "md5sum", "sync", "tail", "sed"),
    )
)
_LIBRARIES: Final = (
    *("ld-*.so*", "ld.so*", "libc.so*", "libc-[0-9]*.so", "libpthread*.so*", "libdl*.so*", "libcrypt.so*"),
    *("libcrypto.so*", "libselinux.so*", "libpam*.so*", "libnss_*.so*", "libtinfo.so*"),
)


def dangerous_delete(context: LintContext) -> Iterator[Finding]:
    """Find names in delete/ that would remove files a node needs."""
    for candidate, source in context.sources(Tree.DELETE):
        reason = vital_reason(printable(source.destination))
        if reason is not None and "none" not in candidate.groups:
            message = f"would delete {printable(source.destination)}, {reason}: remove it from delete/"
            yield context.source_finding("dangerous-delete", candidate.relative, message)


def vital_reason(path: str) -> str | None:
    """Return the reason why a node needs an absolute path, or None if it does not."""
    # /usr/bin is /bin where /bin is a link to it, and equally important elsewhere.
    path = re.sub(r"^/usr(?=/(?:s?bin|lib(?:32|64|x32)?)(?:/|$))", "", path)
    if path.count("/") == 1:
        return "a top-level directory, or a link in place of one"
    if path in _DIRECTORIES:
        return "a directory that the system needs"
    if _matches(path, _KERNEL_FILE_SYSTEMS) and not path.startswith("/dev/shm/"):
        return "which the kernel provides"
    if _matches(path, _BOOT):
        return "without which the node may not start"
    directory, _, name = path.rpartition("/")
    is_library = re.match(r"/lib(32|64|x32)?(/[^/]+)?$", directory) is not None and _matches(name, _LIBRARIES)
    is_program = directory in ("/bin", "/sbin") and name in _PROGRAMS
    if is_library or is_program or _matches(path, _FILES):
        return "which a node needs to start, to accept logins or to be repaired"
    return None


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

"""Paths without which a node does not start, accept logins or get repaired, or whose loss locks its users out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cache
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind, Node
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, EntryList
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
_SYSTEM_DIRECTORIES: Final = frozenset(
    (
        *("/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/mnt", "/opt"),
        *("/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/cache", "/etc/profile.d"),
        *("/usr/include", "/usr/games", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/default"),
        *("/etc/skel", "/etc/alternatives", "/etc/bash_completion.d", "/etc/modprobe.d", "/etc/sysctl.d"),
        *(path for path in _DIRECTORIES if path != "/root/.ssh"),
    )
)
_CLOSED: Final = frozenset(("/root", "/boot", "/media", "/var/log", "/var/spool", "/etc/sudoers.d", "/etc/security"))
_OPEN_TO_ALL: Final = frozenset(("/tmp", "/var/tmp"))
_ENTER_AND_LIST: Final = 0o005
_STICKY_AND_OPEN: Final = 0o1007
_GROUP_WRITES: Final = 0o020
_OTHERS_WRITE: Final = 0o002
_MOST_LINES: Final = 10
# /usr/bin is /bin where /bin is a link to it, and equally important elsewhere.
_MERGED_USR: Final = re.compile(r"^/usr(?=/(?:s?bin|lib(?:32|64|x32)?)(?:/|$))")


def vital_reason(path: str) -> str | None:
    """Return the reason why a node needs an absolute path, or None if it does not."""
    path = _MERGED_USR.sub("", path)
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


def is_above_vital(path: str) -> bool:
    """Return True if a node needs something below an absolute path."""
    path = _MERGED_USR.sub("", path)
    below = path + "/"
    is_of_libraries = re.fullmatch(r"/lib(32|64|x32)?/[^/]+", path) is not None
    return is_of_libraries or any(each.startswith(below) for each in (*_DIRECTORIES, *_FILES, *_BOOT))


def vital_exclusive(path: str, attributes: Attributes | None) -> str | None:
    """Return what is wrong if a directory that a node needs is exclusive, and no rule says so twice, else None."""
    if attributes is None or attributes.exclusive in (None, "no") or attributes.although_vital:
        return None
    if vital_reason(path) is None:
        return None
    return (
        f"whatever is in no entry would be removed from {path}, without which a node may not work: "
        "add 'although_vital: yes' to a rule for this very path, if that is meant"
    )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _one_of(patterns).match(name) is not None


@cache
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def lockout(entry: Entry) -> str | None:
    """Return what is wrong if a system directory or file is to get the owner or the mode of a checkout, else None.

    Whoever sets the owner or the mode in attributes.yaml means it.
    """
    state, attributes = entry.with_attributes(entry.source.state), entry.attributes
    is_owned = state.uid != 0 and (attributes is None or attributes.owner is None)
    is_directory = state.kind is Kind.DIRECTORY
    # Most entries are files of root's: this is asked of all entries of all nodes.
    if entry.tree is not Tree.OVERLAY or state.kind is Kind.LINK or not (is_owned or is_directory):
        return None
    path = printable(entry.destination)
    short = _MERGED_USR.sub("", path)
    is_system = is_directory and short in _SYSTEM_DIRECTORIES
    if is_owned and (is_system or (short.count("/") > 1 and vital_reason(path) is not None)):
        return f"owner {state.owner or state.uid} would own {path}"
    if not is_system or (attributes is not None and attributes.mode is not None):
        return None
    return _mode_problem(path, short, state, is_group_meant=attributes is not None and attributes.group is not None)


def _mode_problem(path: str, short: str, state: FileState, *, is_group_meant: bool) -> str | None:
    mode = f"mode {state.mode:04o}"
    if short in _OPEN_TO_ALL:
        is_open = state.mode & _STICKY_AND_OPEN == _STICKY_AND_OPEN
        return None if is_open else f"{mode} of {path} would keep users from using it, or let them remove others' files"
    if state.mode & _OTHERS_WRITE:
        return f"{mode} would let everybody write in {path}"
    if state.mode & _GROUP_WRITES and state.gid != 0 and not is_group_meant:
        return f"{mode} would let group {state.group or state.gid} write in {path}"
    if short not in _CLOSED and state.mode & _ENTER_AND_LIST != _ENTER_AND_LIST:
        return f"{mode} would close {path} to all users"
    return None


REMEDY: Final = "set owner and mode in attributes.yaml, or correct them here"


def check_lockouts(entries_of: Iterable[tuple[Node, EntryList]]) -> None:
    """Raise RepositoryError if a repair would lock users out, or empty a directory that nodes need.

    The message has a line for each of the first sources. Nodes that share a list of entries are looked at once.
    """
    nodes: dict[str, list[str]] = {}
    by_list: dict[EntryList, list[str]] = {}
    is_lockout = False
    for node, entries in entries_of:
        if entries not in by_list:
            by_list[entries] = [f"{entry.source.shown}: {why}" for entry in entries if (why := lockout(entry))]
            is_lockout = is_lockout or bool(by_list[entries])
            by_list[entries] += [
                f"{each.source.shown}: {why}"
                for each in entries.exclusive
                if (why := vital_exclusive(printable(each.destination.rstrip(b"/")), each.attributes))
            ]
        for line in by_list[entries]:
            nodes.setdefault(line, []).append(node.name)
    if not nodes:
        return
    lines = [f"{line} on {fold(names)}" for line, names in list(nodes.items())[:_MOST_LINES]]
    if more := len(nodes) - len(lines):
        lines.append(f"and {more} more")
    raise RepositoryError("\n".join((*lines, f"nothing was changed{f': {REMEDY}' if is_lockout else ''}")))

"""Capabilities of files in the words of getcap and setcap: `cap_net_bind_service,cap_net_raw=ep`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

NO_CAPABILITIES: Final = "none"
_KERNEL: Final = """
chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
"""
_NAMES: Final = tuple(f"cap_{name}" for name in _KERNEL.split())
_LONGEST: Final = 2000
_CLAUSE: Final = re.compile(r"([a-z0-9_,]*)((?:[=+-][eip]*)+)")
_OPERATION: Final = re.compile("([=+-])([eip]*)")


def canonical(text: str) -> str | None:
    """Return capabilities in one form, `none` if there are none; or None if a text is not of capabilities."""
    text = text.lower().strip()
    if text in ("", NO_CAPABILITIES):
        return NO_CAPABILITIES
    if len(text) > _LONGEST:
        return None
    flags: dict[str, frozenset[str]] = {}
    for clause in text.split():
        match = _CLAUSE.fullmatch(clause)
        names = None if match is None else _names(match[1], bare=match[2].startswith("="))
        if match is None or names is None:
            return None
        for operator, letters in _OPERATION.findall(match[2]):
            for name in names:
                before = flags.get(name, frozenset())
                flags[name] = frozenset(letters) | before if operator == "+" else before - frozenset(letters)
                if operator == "=":
                    flags[name] = frozenset(letters)
    return _joined(flags)


def _names(text: str, *, bare: bool) -> tuple[str, ...] | None:
    """Return the capabilities that a list names; all for `all`, or for none before an equals sign."""
    if text == "all" or (not text and bare):
        return _NAMES
    names = tuple(text.split(","))
    return names if all(name in _NAMES for name in names) else None


def _joined(flags: Mapping[str, frozenset[str]]) -> str:
    by_flags: dict[str, list[str]] = {}
    for name in sorted(flags):
        if flags[name]:
            by_flags.setdefault("".join(letter for letter in "eip" if letter in flags[name]), []).append(name)
    clauses = (f"{','.join(names)}={letters}" for letters, names in sorted(by_flags.items()))
    return " ".join(clauses) or NO_CAPABILITIES


def is_settable(text: str) -> bool:
    """Return True if the kernel can hold canonical capabilities: a file has effective ones all together or none."""
    clauses = [] if text == NO_CAPABILITIES else text.split()
    return len({"e" in clause.rpartition("=")[2] for clause in clauses}) <= 1

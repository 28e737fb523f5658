"""Stand-alone: which node of the configuration this machine is, for runs on a node itself against its local copy.

The hostname tells, else the machine's own addresses. Nobody is asked for that: a name server that does not answer would
hold up a run that nobody watches.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nearest, nodes_in_words
from pytest_synctool.config.selection import Nodes, terms
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import Node

LOCALHOST: Final = "localhost"

_HOSTS: Final = Path("/etc/hosts")
_MOST_SHOWN: Final = 5
# Addresses that documents use as examples, so that next to no machine has them.
_NOBODYS: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_DISCARD: Final = 9  # a port is needed, though nothing is sent


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine can be known by: its hostname, its addresses, and the names that it gives to addresses."""

    hostname: str
    is_own: Callable[[str], bool]
    hosts: Mapping[str, Sequence[str]]

    @classmethod
    def this(cls) -> Machine:
        """The machine that this program runs on."""
        try:
            text = _HOSTS.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        return cls(socket.gethostname(), is_own_address, parse_hosts(text))


@dataclass(frozen=True, slots=True)
class Own:
    """The node that a machine is, with a local connection.

    `reason` says by what it was found, `option` is the option that selects it again.
    """

    node: Node
    reason: str
    option: str


def is_wanted(config: Nodes, expression: str | None, nodename: str | None, *, origin: str = "--hosts") -> bool:
    """Whether a selection means the node that this machine is: the word localhost, or --nodename without a selection.

    Where a node or group is called localhost, the word means that. `origin` is where the expression comes from, for
    messages. Raises SelectionError for what does not go together.
    """
    found = [] if expression is None else terms(expression)
    is_word = LOCALHOST in found and LOCALHOST not in config.nodes and LOCALHOST not in config.groups
    if is_word and len(found) > 1:
        raise SelectionError(f"{origin}: 'localhost' is the node that this machine is, and goes with no other node")
    if nodename is not None and expression is not None and not is_word:
        raise SelectionError(
            f"--nodename says which node this machine is: it goes alone or with {origin}=localhost, "
            f"not with {origin}={expression}"
        )
    return is_word or nodename is not None


def own_node(config: Nodes, machine: Machine, nodename: str | None = None, *, origin: str = "--hosts") -> Own:
    """The node of a configuration that a machine is.

    It is the one called `nodename`, if that is given; else the one whose name or `hostname:` is the machine's hostname,
    or its first label; else the one with an address of the machine. Raises SelectionError, saying what was compared,
    where that is no node or could be several, and for an ignored node that is not named.
    """
    if nodename is not None:
        if nodename not in config.nodes:
            hint = nearest(nodename, config.nodes) or f", see {config.path}"
            raise SelectionError(f"--nodename: no such node '{nodename}'{hint}")
        return _own(config.nodes[nodename], "--nodename", f"--nodename={nodename}")
    words = list(dict.fromkeys((_plain(machine.hostname), _plain(machine.hostname).partition(".")[0])))
    for word in words:
        found = {node.name: word for node in config.nodes.values() if word and word in _names(node)}
        if found:
            return _only(config, found, "hostname", origin)
    addresses = {node.name: _addresses(node, machine.hosts) for node in config.nodes.values()}
    own = {address for address in dict.fromkeys(_chained(addresses.values())) if machine.is_own(address)}
    found = {
        name: next(address for address in those if address in own)
        for name, those in addresses.items()
        if not own.isdisjoint(those)
    }
    if found:
        return _only(config, found, "address", origin)
    shown = " or ".join(f"'{word}'" for word in words)
    compared = _shown(list(dict.fromkeys(_chained(addresses.values()))))
    raise SelectionError(
        f"{origin}: this machine is none of the {nodes_in_words(len(config.nodes))} of {config.path}: no node has "
        f"the name or 'hostname:' {shown}, and {compared}; say which it is with --nodename=NAME"
    )


def _own(node: Node, reason: str, option: str) -> Own:
    return Own(replace(node, connection="local://"), reason, option)


def _only(config: Nodes, found: Mapping[str, str], what: str, origin: str) -> Own:
    """The node that was found, with what it was found by. Raises SelectionError for several, and for an ignored one."""
    if len(found) > 1:
        whose = "; ".join(f"{name} has the {what} '{word}'" for name, word in list(found.items())[:_MOST_SHOWN])
        raise SelectionError(
            f"{origin}: this machine can be any of {fold(found)} of {config.path}: {whose}; say which it is with "
            "--nodename=NAME"
        )
    ((name, word),) = found.items()
    if config.nodes[name].ignored:
        raise SelectionError(
            f"{origin}: this machine is {name} by its {what} '{word}', which {config.path} ignores; "
            f"--nodename={name} takes it all the same"
        )
    return _own(config.nodes[name], f"{what} '{word}'", f"{origin}={LOCALHOST}")


def _names(node: Node) -> set[str]:
    return {_plain(name) for name in (node.name, node.hostname) if name is not None}


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _addresses(node: Node, hosts: Mapping[str, Sequence[str]]) -> list[str]:
    """The addresses of a node, in their usual spelling, that no other machine has as well."""
    words = (node.ipaddress, node.address, node.name, node.hostname)
    numbers: dict[str, None] = {}
    for word in (word for word in words if word is not None):
        for text in (word, *hosts.get(_plain(word), ())):
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                continue
            # Versions of Python differ in whether ::ffff:127.0.0.1 is a loopback address.
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
                address = address.ipv4_mapped
            if not (address.is_loopback or address.is_unspecified or address.is_multicast):
                numbers[str(address)] = None
    return list(numbers)


def _chained(lists: Iterable[Sequence[str]]) -> list[str]:
    return [each for those in lists for each in those]


def _shown(addresses: Sequence[str]) -> str:
    """Which addresses were tried in vain."""
    if not addresses:
        return "no node has an address in it or in /etc/hosts that could be compared"
    more = f" and {len(addresses) - _MOST_SHOWN} more" if len(addresses) > _MOST_SHOWN else ""
    return f"no interface here has the address of one ({', '.join(addresses[:_MOST_SHOWN])}{more})"


def parse_hosts(text: str) -> dict[str, list[str]]:
    """The addresses of each name, in lower case, in the text of an /etc/hosts."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(_plain(name), []).append(address)
    return found


def is_own_address(address: str) -> bool:
    """Whether an interface of this machine has a numeric address; nothing is sent.

    A socket can be bound only to such an address. Where the system lets it be bound to any (net.ipv4.ip_nonlocal_bind),
    the address from which the machine would talk to this one has to be this one itself.
    """
    try:
        ((family, _, _, _, target),) = socket.getaddrinfo(
            address, _DISCARD, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        return False
    if not _can_bind(family, (target[0], 0, *target[2:])):
        return False
    return not _can_bind(family, (_NOBODYS[family], 0)) or _talks_from(family, target) == target[0]


def _can_bind(family: int, target: tuple[str | int | bytes, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(target)
    except OSError:
        return False
    return True


def _talks_from(family: int, target: tuple[str | int | bytes, ...]) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(target)
            name: str = sock.getsockname()[0]
    except OSError:
        return None
    return name

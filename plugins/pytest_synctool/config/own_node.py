"""The own node: the node of the configuration that this machine is, for a node that audits itself.

A file that `hostid:` names decides, else the hostname, else the machine's own addresses. No name server is asked,
because a silent one would block a run that nobody watches.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool.common import textfile, trusted_files
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import nearest, nodes_in_words
from pytest_synctool.config.selection import Nodes, terms
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import Node

LOCALHOST: Final = "localhost"

_HOSTS: Final = Path("/etc/hosts")
_MOST_SHOWN: Final = 5
# Addresses that are reserved for documentation, so practically no machine has them.
_DOCUMENTATION: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_DISCARD: Final = 9  # connect() needs a port, although nothing is sent


@dataclass(frozen=True, slots=True)
class Machine:
    """The properties that identify a machine: its hostname, its own addresses, and its /etc/hosts.

    `is_own` returns True for an address of the machine. `hosts` maps names to addresses. `hostid` returns the name in a
    file of the machine; it is empty if there is no such file.
    """

    hostname: str
    is_own: Callable[[str], bool]
    hosts: Mapping[str, Sequence[str]]
    hostid: Callable[[str], str] = lambda _: ""

    @classmethod
    def this(cls, trust: Trust) -> Machine:
        """Return the machine that this program runs on. `trust` says whose files can name it."""
        try:
            text = _HOSTS.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        return cls(socket.gethostname(), is_own_address, parse_hosts(text), lambda path: _hostid(Path(path), trust))


@dataclass(frozen=True, slots=True)
class OwnNode:
    """The node that a machine is, with a local connection.

    `reason` is the property that identified it, `option` the option that selects it again.
    """

    node: Node
    reason: str
    option: str


def is_wanted(config: Nodes, expression: str | None, nodename: str | None, *, origin: str = "--hosts") -> bool:
    """Return True if a selection means the own node: `localhost` does, and --nodename without a selection.

    If a node or group has the name localhost, `localhost` means that one. `origin` is the option of the expression, for
    messages. Raises SelectionError for a combination with other nodes.
    """
    words = [] if expression is None else terms(expression)
    is_word = LOCALHOST in words and LOCALHOST not in config.nodes and LOCALHOST not in config.groups
    if is_word and len(words) > 1:
        raise SelectionError(
            f"{origin}: 'localhost' is the node that this machine is, and cannot be combined with other nodes"
        )
    if nodename is not None and expression is not None and not is_word:
        raise SelectionError(
            f"--nodename names the node that this machine is: use it alone or with {origin}=localhost, "
            f"not with {origin}={expression}"
        )
    return is_word or nodename is not None


def own_node(config: Nodes, machine: Machine, nodename: str | None = None, *, origin: str = "--hosts") -> OwnNode:
    """Return the node of a configuration that a machine is.

    The first of these that matches decides: `nodename`; a node whose name or `hostname:` is in its `hostid:` file; a
    node whose name or `hostname:` is the machine's hostname or the first label of it; a node with an address of the
    machine. A node with `hostid:` is identified by that alone, since another machine has the same hostname. Raises
    SelectionError if no node or several nodes match, and for an ignored node without `nodename`.
    """
    if nodename is not None:
        if nodename not in config.nodes:
            hint = nearest(nodename, config.nodes) or f", see {config.path}"
            raise SelectionError(f"--nodename: no such node '{nodename}'{hint}")
        return _own(config.nodes[nodename], "--nodename", f"--nodename={nodename}")
    hostids = {node.name: _plain(machine.hostid(node.hostid)) for node in config.nodes.values() if node.hostid}
    matches = {name: word for name, word in hostids.items() if word and word in _names(config.nodes[name])}
    if matches:
        return _only(config, matches, "hostid", origin)
    others = [node for node in config.nodes.values() if not node.hostid]
    words = list(dict.fromkeys((_plain(machine.hostname), _plain(machine.hostname).partition(".")[0])))
    for word in words:
        matches = {node.name: word for node in others if word and word in _names(node)}
        if matches:
            return _only(config, matches, "hostname", origin)
    addresses = {node.name: _addresses(node, machine.hosts) for node in others}
    own = {address for address in dict.fromkeys(_chained(addresses.values())) if machine.is_own(address)}
    matches = {
        name: next(address for address in each if address in own)
        for name, each in addresses.items()
        if not own.isdisjoint(each)
    }
    if matches:
        return _only(config, matches, "address", origin)
    shown = " or ".join(f"'{word}'" for word in words)
    compared = _shown(list(dict.fromkeys(_chained(addresses.values()))))
    raise SelectionError(
        f"{origin}: this machine is none of the {nodes_in_words(len(config.nodes))} of {config.path}: no node has "
        f"the name or 'hostname:' {shown}, and {compared}{_hostids_in_words(config)}; name the node with "
        "--nodename=NAME"
    )


def _hostids_in_words(config: Nodes) -> str:
    """Return the part of a message that lists the `hostid:` files without a match; empty if no node has one."""
    files = _shortened(list(dict.fromkeys(node.hostid for node in config.nodes.values() if node.hostid)))
    return f", and no 'hostid:' file ({files}) is there with the name of its node" if files else ""


def _hostid(path: Path, trust: Trust) -> str:
    """Return the first word of a file, or an empty text if there is none. Raises ConfigError if it must not count."""
    if trusted_files.is_missing(path):
        return ""
    return next(iter(textfile.read(path, trust).split()), "")


def _own(node: Node, reason: str, option: str) -> OwnNode:
    return OwnNode(replace(node, connection="local://"), reason, option)


def _only(config: Nodes, matches: Mapping[str, str], kind: str, origin: str) -> OwnNode:
    """Return the only match. `matches` maps nodes to the matching words, which are of a kind such as "hostname".

    Raises SelectionError for several matches, and for an ignored node.
    """
    if len(matches) > 1:
        shown = "; ".join(f"{name} has the {kind} '{word}'" for name, word in list(matches.items())[:_MOST_SHOWN])
        raise SelectionError(
            f"{origin}: this machine can be any of {fold(matches)} of {config.path}: {shown}; name the node with "
            "--nodename=NAME"
        )
    ((name, word),) = matches.items()
    if config.nodes[name].ignored:
        raise SelectionError(
            f"{origin}: this machine is {name} by its {kind} '{word}', but {config.path} ignores {name}; "
            f"--nodename={name} selects it nevertheless"
        )
    return _own(config.nodes[name], f"{kind} '{word}'", f"{origin}={LOCALHOST}")


def _names(node: Node) -> set[str]:
    return {_plain(name) for name in (node.name, node.hostname) if name is not None}


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _addresses(node: Node, hosts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the addresses of a node, in normal form, without loopback and other addresses that every machine has."""
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
    return [address for each in lists for address in each]


def _shown(addresses: Sequence[str]) -> str:
    """Return the end of a message that lists the addresses without a match."""
    if not addresses:
        return "no node has an address in it or in /etc/hosts that could be compared"
    return f"no interface of this machine has the address of one ({_shortened(addresses)})"


def _shortened(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_SHOWN} more" if len(words) > _MOST_SHOWN else ""
    return f"{', '.join(words[:_MOST_SHOWN])}{more}"


def parse_hosts(text: str) -> dict[str, list[str]]:
    """Return the addresses of each name in the text of an /etc/hosts; names are in lower case."""
    hosts: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            hosts.setdefault(_plain(name), []).append(address)
    return hosts


def is_own_address(address: str) -> bool:
    """Return True if an interface of this machine has a numeric address. Nothing is sent.

    A socket can be bound only to such an address. Some systems bind a socket to any address, because of
    net.ipv4.ip_nonlocal_bind. On these, the machine must use the address as its source address when it talks to it.
    """
    try:
        ((family, _, _, _, target),) = socket.getaddrinfo(
            address, _DISCARD, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        return False
    if not _can_bind(family, (target[0], 0, *target[2:])):
        return False
    return not _can_bind(family, (_DOCUMENTATION[family], 0)) or _talks_from(family, target) == target[0]


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

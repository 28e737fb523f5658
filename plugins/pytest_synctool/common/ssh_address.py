"""Addresses of ssh: `web1`, `me@web1:2222`, `[fe80::1%eth0]:22`, `ssh://me@web1:2222`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

SCHEME: Final = "ssh://"
EXPECTED: Final = "expected HOST, USER@HOST:PORT, [IPV6]:PORT or ssh://USER@HOST:PORT"

_PORT: Final = re.compile(r"[0-9]{1,5}")
_ZONE: Final = re.compile(r"[A-Za-z0-9._~-]+")
# Some of these ssh refuses too, as its ProxyCommand may pass a name to a shell. The others end a host name in a URL.
_NOT_IN_HOSTS: Final = frozenset("'`\"$\\;&<>|(){}[]@/?#,%")
_MOST_PORT: Final = 65535


class AddressError(ValueError):
    """A text is no address; the message has the reason."""


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A host name or IP address, without brackets, and the user and port if the address has them."""

    host: str
    user: str = ""
    port: str = ""

    @property
    def url(self) -> str:
        """The address as a URL: `ssh://me@[fe80::1%25eth0]:22`."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{SCHEME}{user}{url_host(self.host)}{f':{self.port}' if self.port else ''}"


def url_host(host: str) -> str:
    """Return a host as a URL has it: an IPv6 address in brackets, with `%25` before its zone."""
    return f"[{host.replace('%', '%25', 1)}]" if ":" in host else host


def parse(text: str) -> SshAddress:
    """Parse an address. Raises AddressError.

    With `ssh://` it is a URL: odd characters of user and host may be written as `%NN`, and a password is ignored.
    Without it, all characters stand for themselves, as for ssh.
    """
    is_url = text.lower().startswith(SCHEME)
    user, at, place = (text[len(SCHEME) :].removesuffix("/") if is_url else text).rpartition("@")
    host, port = _host_and_port(place)
    if is_url:
        user = unquote(user.partition(":")[0])
        host = _plain_zone(host) if ":" in host else unquote(host)
    if (at and not user) or user.startswith("-") or not user.isprintable():
        raise AddressError(f"'{text}' has no valid user: {EXPECTED}")
    if ":" in host:
        _check_ipv6(host, text)
    elif not host or host.startswith("-") or not _NOT_IN_HOSTS.isdisjoint(host) or not _is_one_word(host):
        raise AddressError(f"'{text}' has no valid host: {EXPECTED}")
    if port and not (_PORT.fullmatch(port) and 1 <= int(port) <= _MOST_PORT):
        raise AddressError(f"'{text}' has no valid port: expected a number from 1 to {_MOST_PORT}")
    return SshAddress(host, user, str(int(port)) if port else "")


def _host_and_port(place: str) -> tuple[str, str]:
    """Return the host and the port, which is empty if there is none. A host with several colons is an IPv6 address."""
    if place.startswith("[") and "]" in place:
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
        return (host, port) if not rest or (port and rest != port) else ("", "")
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return (host, port) if port else ("", "")
    return place, ""


def _plain_zone(host: str) -> str:
    """Return an IPv6 address whose zone is written as in a URL, `%25eth0`, or as ssh takes it, `%eth0`."""
    address, percent, zone = host.partition("%")
    return f"{address}%{unquote(zone[2:])}" if percent and zone.startswith("25") and len(zone) > 2 else host


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(map(str.isspace, text))


def _check_ipv6(host: str, text: str) -> None:
    """Raise AddressError for an invalid IPv6 address or zone."""
    address, percent, zone = host.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError as error:
        raise AddressError(f"'{text}' has no valid IPv6 address: {EXPECTED}") from error
    if percent and not _ZONE.fullmatch(zone):
        raise AddressError(f"'{text}' has no valid zone: expected one like fe80::1%eth0")

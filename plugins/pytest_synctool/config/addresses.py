"""The values of `interface:`, `ipaddress:` and `connection:`, and the address of a node that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from pytest_synctool.common.ssh_address import SCHEME, SshAddress, parse

ADDRESSES: Final = ("interface", "ipaddress")
CONNECTION: Final = "connection"


class NodeAddress(NamedTuple):
    """The values of Node with the same names."""

    address: str
    ipaddress: str | None
    connection: str | None


def normalized(key: str, value: str) -> str:
    """Return the value of a specifier; that of a connection over ssh as a URL. Raises AddressError if it is invalid."""
    if key in ADDRESSES:
        parse(value)
    if key != CONNECTION or ("://" in value and not value.lower().startswith(SCHEME)):
        return value
    address, mark, options = value.partition("?") if "://" in value else (value, "", "")
    return f"{parse(address).url}{mark}{options}"


def node_address(name: str, specifiers: Mapping[str, str]) -> NodeAddress:
    """Return the address of a node from its specifiers. An address with a user or a port becomes a connection."""
    addresses = {key: parse(specifiers[key]) for key in ADDRESSES if key in specifiers}
    address = addresses.get("interface") or addresses.get("ipaddress") or SshAddress(name)
    url = address.url if address.user or address.port else None
    own = addresses["ipaddress"].host if "ipaddress" in addresses else None
    return NodeAddress(address.host, own, specifiers.get(CONNECTION) or url)

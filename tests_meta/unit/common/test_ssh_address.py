"""Addresses of ssh, in every form that ssh and URLs have."""

from __future__ import annotations

import string
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.ssh_address import AddressError, SshAddress, parse
from testinfra.backend import parse_hostspec
from testinfra.backend.base import BaseBackend


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("web1", "web1", "", ""),
        ("web1:2222", "web1", "", "2222"),
        ("me@web1", "web1", "me", ""),
        ("me@web1:022", "web1", "me", "22"),
        ("m.e+x_y-z$@web1", "web1", "m.e+x_y-z$", ""),
        ("CORP\\me@example.org@web1:22", "web1", "CORP\\me@example.org", "22"),
        ("a:b@web1", "web1", "a:b", ""),
        ("a%40b@web1", "web1", "a%40b", ""),
        ("a#b?c/d,e f'g@web1", "web1", "a#b?c/d,e f'g", ""),
        ("::1", "::1", "", ""),
        ("fe80::1:22", "fe80::1:22", "", ""),
        ("me@::1", "::1", "me", ""),
        ("[::1]", "::1", "", ""),
        ("[::1]:22", "::1", "", "22"),
        ("me@[fe80::1%eth0]:22", "fe80::1%eth0", "me", "22"),
        ("fe80::1%eb0.100", "fe80::1%eb0.100", "", ""),
        ("fe80::1%2", "fe80::1%2", "", ""),
        ("::ffff:10.0.0.5", "::ffff:10.0.0.5", "", ""),
        ("[web1]:22", "web1", "", "22"),
        ("ssh://web1", "web1", "", ""),
        ("SSH://web1/", "web1", "", ""),
        ("ssh://me@web1:2222", "web1", "me", "2222"),
        ("ssh://me:password@web1", "web1", "me", ""),
        ("ssh://a%40b%3ac%2F@web1", "web1", "a@b:c/", ""),
        ("ssh://a@b#?/c@web1:22", "web1", "a@b#?/c", "22"),
        ("ssh://::1", "::1", "", ""),
        ("ssh://[::1]:22", "::1", "", "22"),
        ("ssh://me@[fe80::1%25eth0]:22/", "fe80::1%eth0", "me", "22"),
        ("ssh://[fe80::1%eth0]", "fe80::1%eth0", "", ""),
        ("ssh://[fe80::1%eb0]", "fe80::1%eb0", "", ""),
        ("ssh://[fe80::1%25]", "fe80::1%25", "", ""),
        ("ssh://fe80::1%25eth0", "fe80::1%eth0", "", ""),
        ("ssh://web%2d1", "web-1", "", ""),
        ("grüße", "grüße", "", ""),
    ],
)
def test_addresses(text: str, host: str, user: str, port: str) -> None:
    address = parse(text)
    assert address == SshAddress(host, user, port)
    assert parse(address.url) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, "has no valid host: expected HOST")
            for text in ("", "me@", "[]", "a]", "[a", "[a]b", "a b", "ssh://")
        ),
        *((text, "has no valid host: expected HOST") for text in ("a:", "[a]:", ":22", "ssh:///x", "web1/x", "a,b")),
        *(
            (text, "has no valid host: expected HOST")
            for text in ("-a", "ssh://-oProxyCommand=x", "me@-a", "a;b", "$a")
        ),
        *((text, "has no valid host: expected HOST") for text in ("ssh://web%001", "ssh://web%2520", "a?sudo=true")),
        *(
            (text, "has no valid user")
            for text in ("@", "@web1", "-l@web1", "ssh://:x@web1", "a\0@web1", "ssh://%0a@web1")
        ),
        *((text, "has no valid port") for text in ("a:0", "a:65536", "a:x", "a:-1", "[::1]:x", "a:1e3", "a:٣")),
        *((text, "has no valid IPv6 address: expected") for text in ("1:2:3", "web1:22:33", "[1:2]:22", "fe80::g")),
        *(
            (text, "has no valid zone")
            for text in ("fe80::1%", "fe80::1%e;0", "[fe80::1%a b]", "ssh://[fe80::1%25%20]")
        ),
    ],
)
def test_texts_that_are_no_address(text: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert message in str(caught.value)


users = st.text(st.characters(exclude_categories=("C", "Z")), max_size=8).filter(lambda user: not user.startswith("-"))
zones = st.text(string.ascii_letters + string.digits + "._~-", min_size=1, max_size=6)
hosts = st.one_of(
    st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,20}", fullmatch=True),
    st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number))),
    zones.map(lambda zone: f"fe80::1%{zone}"),
)


@given(hosts, users, st.one_of(st.just(""), st.integers(1, 65535).map(str)))
def test_the_url_of_an_address_means_the_same_to_us_and_to_testinfra(host: str, user: str, port: str) -> None:
    address = SshAddress(host, user, port)
    assert parse(address.url) == address
    name, arguments = parse_hostspec(address.url)
    assert arguments == {"connection": "ssh"}
    assert "," not in name
    spec = BaseBackend.parse_hostspec(name)
    assert (spec.name, spec.user or "", spec.port or "") == (host, user, port)


@given(st.text())
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    for each in (text, f"ssh://{text}", f"{text}@web1", f"[{text}]:22"):
        try:
            address = parse(each)
        except AddressError:
            continue
        assert parse(address.url) == address

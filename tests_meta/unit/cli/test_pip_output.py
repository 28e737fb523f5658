"""The parser of pip's output: it compares versions as versions, and returns a failure as one line."""

from __future__ import annotations

import pytest
from pytest_synctool.cli.pip_output import NAME, comparison, failure, is_wheel, latest

OUTPUT = f"{NAME} (0.10.0)\nAvailable versions: 0.10.0, 0.9.0, 0.2.0rc1\n  INSTALLED: 0.1.0\n  LATEST:    0.10.0\n"
AT = "<pip._vendor.urllib3.connection.HTTPConnection object at 0x7>"
REFUSED = "Failed to establish a new connection: [Errno 111] Connection refused"
RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken "
    "by '{}': /simple/pytest-synctool/\nERROR: No matching distribution found for pytest-synctool\n"
)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        (OUTPUT, "0.10.0"),
        ("Available versions: 0.9.0, 0.10.0", "0.10.0"),
        ("Available versions: 0.9, not-a-version", "0.9"),
        ("Available versions: ", None),
        ("", None),
    ],
)
def test_the_latest(output: str, version: str | None) -> None:
    assert latest(output) == version


@pytest.mark.parametrize(
    ("installed", "release", "expected"),
    [
        ("0.1.0", "0.1.0", f"{NAME} 0.1.0 is installed: that is the latest release"),
        ("0.1", "0.1.0", f"{NAME} 0.1 is installed: that is the latest release"),
        ("0.9.0", "0.10.0", f"{NAME} 0.9.0 is installed, 0.10.0 is available"),
        ("0.2.0.dev1", "0.2.0", f"{NAME} 0.2.0.dev1 is installed, 0.2.0 is available"),
        (
            "0.3.dev1",
            "0.2.0",
            f"{NAME} 0.3.dev1 is installed, which is newer than the latest release, 0.2.0",
        ),
    ],
)
def test_comparison(installed: str, release: str, expected: str) -> None:
    first, *instructions = comparison(installed, release)
    assert first == expected
    assert bool(instructions) is first.endswith("is available")


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        # The output of pip 23.2 and of pip 26.3.
        (
            RETRY.format(f"NewConnectionError('{AT}: {REFUSED}')"),
            "the package index cannot be reached: Connection refused",
        ),
        (
            RETRY.format(f"NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=1): {REFUSED}\")"),
            "the package index cannot be reached: Connection refused",
        ),
        (
            RETRY.format("ConnectTimeoutError(<x>, 'Connection to 192.0.2.1 timed out. (connect timeout=5.0)')"),
            "the package index cannot be reached: Connection to 192.0.2.1 timed out.",
        ),
        (
            RETRY.format(
                "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
                "self-signed certificate (_ssl.c:1006)'))"
            ),
            "the package index cannot be reached: self-signed certificate",
        ),
        (
            "WARNING: Could not fetch URL http://[::1]/x/: 500 Server Error: no for url: http://y - skipping\n"
            "ERROR: No matching distribution found for x",
            "the package index failed: 500 Server Error: no for url: http://y",
        ),
        ("ERROR: No matching distribution found for x", f"the package index that pip uses has no release of {NAME}"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If",
            "the downloaded file does not have the digest of the package index: nothing was kept, try again later",
        ),
        (
            "/usr/bin/python3: No module named pip",
            "there is no pip for this Python: install it",
        ),
        ("WARNING: a\nERROR: b\nc", "pip failed: b"),
        ("a\nb\n", "pip failed: b"),
        ("", "pip failed without a message"),
    ],
)
def test_failures(stderr: str, expected: str) -> None:
    assert failure(stderr) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pytest_synctool-0.2.0-py3-none-any.whl"], True),
        (["pytest_synctool-0.2.0+local.1-py3-none-any.whl"], True),
        (["pytest_synctool-0.2.0.tar.gz"], False),
        (["other-0.2.0-py3-none-any.whl"], False),
        (["pytest_synctool-1.whl", "pytest_synctool-2.whl"], False),
        ([], False),
    ],
)
def test_wheels(names: list[str], expected: bool) -> None:
    assert is_wheel(names) is expected

"""`synctool --check-update` and `--download` with pip and a package index on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pytest_synctool import __version__

from tests_meta.terminal import Ended, run

LATEST = "pytest_synctool-2!1.0-py3-none-any.whl"
JSON = "application/vnd.pypi.simple.v1+json"


def wheel(version: str) -> bytes:
    """Return a wheel that pip can install."""
    info = f"pytest_synctool-{version}.dist-info"
    files = {
        "pytest_synctool/__init__.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: pytest-synctool\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for name, text in files.items()
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return stream.getvalue()


@dataclass
class Index:
    """A package index with `files`. It answers with their `digests`, in HTML or in JSON."""

    server: ThreadingHTTPServer
    files: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    as_json: bool = False
    broken: bool = False

    def add(self, *versions: str) -> None:
        """Add wheels of these versions."""
        for version in versions:
            name = f"pytest_synctool-{version}-py3-none-any.whl"
            self.files[name] = wheel(version)
            self.digests[name] = hashlib.sha256(self.files[name]).hexdigest()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return content type and content of a path; None if the index does not have it."""
        name = path.rpartition("/")[2].replace("%21", "!")
        if name in self.files:
            return "application/octet-stream", self.files[name]
        if path != "/simple/pytest-synctool/" or not self.files:
            return None
        if self.as_json:
            files = [{"filename": n, "url": f"/f/{n}", "hashes": {"sha256": d}} for n, d in self.digests.items()]
            page = {"meta": {"api-version": "1.0"}, "name": "pytest-synctool", "files": files}
            return JSON, json.dumps(page).encode()
        links = "".join(f'<a href="/f/{name}#sha256={digest}">{name}</a>' for name, digest in self.digests.items())
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    @property
    def environment(self) -> Mapping[str, str]:
        """Return environment variables that make pip use this index only."""
        nothing = {name: "" for name in os.environ if name.startswith("PIP_")}
        url = f"http://127.0.0.1:{self.server.server_port}/simple"
        return {**nothing, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url, "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture
def index() -> Iterator[Index]:
    """Yield an empty index."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = served.answer(self.path)
            if answer is None or served.broken:
                self.send_error(500 if served.broken else 404)
                return
            self.send_response(200)
            self.send_header("Content-Type", answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Index(server)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def synctool(directory: Path, index: Index, *arguments: str) -> Ended:
    """Run synctool without a configuration, which these options do not need."""
    return run(directory, "synctool", *arguments, more=index.environment)


class TestCheck:
    """Tests of --check-update."""

    @pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
    def test_a_newer_version(self, index: Index, tmp_path: Path, as_json: bool) -> None:
        index.as_json = as_json
        index.add("0.0.1", "2!1.0", "2!2.0rc1")
        assert synctool(tmp_path, index, "--check-update") == Ended(
            0,
            f"pytest-synctool {__version__} is installed, 2!1.0 is available\n"
            "to install it: pip install --upgrade pytest-synctool; to get the file: synctool --download\n".encode(),
            b"",
        )
        assert list(tmp_path.iterdir()) == []

    def test_none(self, index: Index, tmp_path: Path) -> None:
        index.add(__version__, "0.0.1")
        ended = synctool(tmp_path, index, "--check-update")
        message = f"pytest-synctool {__version__} is installed: that is the latest release\n"
        assert ended == Ended(0, message.encode(), b"")


class TestDownload:
    """Tests of --download."""

    @pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
    def test_the_latest(self, index: Index, tmp_path: Path, as_json: bool) -> None:
        """The file equals that of the index byte by byte. A second download changes nothing."""
        index.as_json = as_json
        index.add("0.0.1", "2!1.0")
        for word in ("downloaded", "exists already with the same content"):
            ended = synctool(tmp_path, index, "--download")
            assert ended.err == b""
            assert ended.out.decode().splitlines() == [
                f"{LATEST} {word}",
                f"sha256 {index.digests[LATEST]}",
                f"to install it: pip install ./{LATEST}",
            ]
            assert [path.name for path in tmp_path.iterdir()] == [LATEST]
            assert (tmp_path / LATEST).read_bytes() == index.files[LATEST]
        installed = run(
            tmp_path, "python", "-m", "pip", "install", "-q", "--no-deps", "--target=there", LATEST,
            more=index.environment,
        )  # fmt: skip
        assert installed.status == 0, installed.err
        assert (tmp_path / "there/pytest_synctool/__init__.py").read_text() == "__version__ = '2!1.0'\n"

    def test_a_directory(self, index: Index, tmp_path: Path) -> None:
        index.add("2!1.0")
        (tmp_path / "there").mkdir()
        ended = synctool(tmp_path, index, "--download=there")
        assert ended.out.startswith(f"there/{LATEST} downloaded\n".encode())
        assert [path.name for path in tmp_path.rglob("*")] == ["there", LATEST]

    @pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
    def test_a_file_with_another_digest(self, index: Index, tmp_path: Path, as_json: bool) -> None:
        """The file is removed."""
        index.as_json = as_json
        index.add("2!1.0")
        index.files[LATEST] = wheel("2!1.0").replace(b"Generator", b"generator")
        ended = synctool(tmp_path, index, "--download")
        message = (
            b"synctool: the downloaded file does not have the digest of the package index: "
            b"nothing was kept, try again later\n"
        )
        assert ended == Ended(1, b"", message)
        assert list(tmp_path.iterdir()) == []

    def test_another_file_of_the_name(self, index: Index, tmp_path: Path) -> None:
        """A file of the name that is there already is kept."""
        index.add("2!1.0")
        (tmp_path / LATEST).write_text("mine")
        ended = synctool(tmp_path, index, "--download")
        assert ended == Ended(
            1, b"", f"synctool: {LATEST} exists already with other content: nothing was changed\n".encode()
        )
        assert (tmp_path / LATEST).read_text() == "mine"
        assert [path.name for path in tmp_path.iterdir()] == [LATEST]


@pytest.mark.parametrize("option", ["--check-update", "--download"])
class TestFailures:
    """Failures have status 1 and one line of output."""

    def test_no_release(self, index: Index, tmp_path: Path, option: str) -> None:
        ended = synctool(tmp_path, index, option)
        message = b"synctool: the package index that pip uses has no release of pytest-synctool\n"
        assert ended == Ended(1, b"", message)

    def test_a_broken_index(self, index: Index, tmp_path: Path, option: str) -> None:
        index.broken = True
        ended = synctool(tmp_path, index, option, "--connect-timeout=5")
        assert (ended.status, ended.out) == (1, b"")
        assert ended.err.startswith(b"synctool: the package index ")
        assert ended.err.count(b"\n") == 1

    def test_no_network(self, index: Index, tmp_path: Path, option: str) -> None:
        index.server.shutdown()  # first: a server that still runs would accept connections
        index.server.server_close()
        ended = synctool(tmp_path, index, option)
        assert ended == Ended(1, b"", b"synctool: the package index cannot be reached: Connection refused\n")
        assert list(tmp_path.iterdir()) == []

    def test_no_pip(self, index: Index, tmp_path: Path, option: str) -> None:
        """A pip.py in the current directory does not count as pip."""
        (tmp_path / "pip.py").write_text("print('Available versions: 9')\n")
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        (hidden / "sitecustomize.py").write_text("import sys; sys.modules['pip'] = None\n")
        ended = run(tmp_path, "synctool", option, more={**index.environment, "PYTHONPATH": str(hidden)})
        assert ended.status == 1
        assert ended.err.count(b"\n") == 1
        assert b"there is no pip for this Python" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check-update", "--download"], "--download does not go with --check-update: one thing at a time"),
        (["--check-update", "-f"], "-f does not go with --check-update: one thing at a time"),
        (["--download=none"], "argument --download: expected a directory, not 'none'"),
        (["--download="], "argument --download: expected a directory, not ''"),
    ],
)
def test_mistakes(index: Index, tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = synctool(tmp_path, index, *arguments)
    assert (ended.status, ended.out) == (2, b"")
    assert ended.err.decode().splitlines()[-1] == f"synctool: error: {message}"

"""The causes of failed logins that ssh itself does not name: a gateway, or a host key that this machine does not know.

They are looked for only after a failure. No word of ssh or of a gateway decides: `ssh -G` prints the settings of a
connection, another attempt shows whether the gateway and the node answer, and ssh-keygen looks up the host key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.connection.control_sockets import config_files
from pytest_synctool.connection.exchange import Limits
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import Route
from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason
from pytest_synctool.errors import TransportError

_MORE_TIME: Final = 5.0  # seconds beside the time limit for a connection
_MOST_LINES: Final = 3
# An attempt ends before it logs in, and writes the key of the host into a file. The first value of an option counts.
_ATTEMPT: Final = (
    *("BatchMode=yes", "StrictHostKeyChecking=accept-new", "GlobalKnownHostsFile=/dev/null", "HashKnownHosts=no"),
    *("UpdateHostKeys=no", "VerifyHostKeyDNS=no", "ControlMaster=no", "ControlPath=none", "PubkeyAuthentication=no"),
    *("PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "HostbasedAuthentication=no"),
    "GSSAPIAuthentication=no",
)
_RSA: Final = "ssh-rsa"
_RSA_ALGORITHMS: Final = "rsa-sha2-512,rsa-sha2-256"
_UNCHECKED: Final = ("false", "no", "off")


@dataclass(frozen=True, slots=True)
class _HostKey:
    """A line of a file of known hosts: the type and the key in base64. `marker` is @revoked, @cert-authority, or ""."""

    marker: str
    kind: str
    key: str
    file: str = ""

    @classmethod
    def of_line(cls, line: str, file: str = "") -> _HostKey | None:
        """Return the key in a line, or None for a comment."""
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        return cls(marker, words[1], words[2], file) if len(words) > 2 and not line.startswith("#") else None

    @property
    def fingerprint(self) -> str:
        """The fingerprint, as ssh-keygen -l prints it."""
        try:
            digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        except (binascii.Error, ValueError):
            return "of an unknown form"
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class _Login:
    """A call of ssh: its words before the host, the host, and the settings that ssh has for it."""

    program: tuple[str, ...]
    host: str
    settings: dict[str, str]

    @property
    def gateways(self) -> list[str]:
        """The hosts of ProxyJump, in the order in which ssh connects to them."""
        return [] if self.settings.get("proxyjump", "none") == "none" else self.settings["proxyjump"].split(",")

    @property
    def has_proxy_command(self) -> bool:
        """True if a program of the configuration makes the connection."""
        return self.settings.get("proxycommand", "none") != "none"

    @property
    def known_as(self) -> str:
        """The name of the host in files of known hosts."""
        host, port = self.settings.get("hostname", self.host), self.settings.get("port", "22")
        return self.settings.get("hostkeyalias") or (host if port == "22" else f"[{host}]:{port}")

    def files(self, keyword: str) -> list[str]:
        """Return the files of known hosts that a setting names. ssh prints their names without quotes."""
        value = self.settings.get(keyword, "")
        return [value] if Path(value).is_file() else value.split()

    @property
    def config_words(self) -> list[str]:
        """The words that name ssh's configuration. ssh passes only these on to a gateway."""
        return [word for file in list(config_files(self.program))[-1:] for word in ("-F", file)]


@dataclass
class FailedLogins:
    """A search for the causes of failed logins of one run. Any thread may use it; each gateway is tried once."""

    processes: Processes
    connect_timeout: int
    _gateways: dict[tuple[str, ...], Future[str | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cause(self, route: Route, words: str, seconds: float) -> str | None:
        """Return the cause of a failed login over an ssh route, or None if nothing more than `words` is known.

        `words` is the last line of ssh, `seconds` the time that it took. A login that has reached its time limit is not
        tried again.
        """
        try:
            return self._cause(route.program, route.host, words, is_slow=seconds >= self.connect_timeout)
        except (TransportError, OSError, ValueError):
            return None

    def _cause(
        self, program: Sequence[str], host: str, words: str, *, is_slow: bool = False, is_gateway: bool = False
    ) -> str | None:
        """Return the cause. The gateways of a gateway are not tried by themselves: they may go round in a circle."""
        login = self._login(program, host)
        if login is None:
            return None
        for number, gateway in enumerate(() if is_gateway else login.gateways, 1):
            if (problem := self._gateway_problem(login, login.gateways[:number])) is not None:
                return f"its gateway {printable(gateway.encode())} cannot be reached: {problem}"
        through = f"{words} (through its gateway {login.gateways[-1]})" if login.gateways else None
        if is_slow:
            return through
        known = self._known(login)
        key, proxy_words = self._attempt(login, known)
        if key is not None:
            problem = self._key_problem(login, known, key)
            return f"{words}: {problem}" if problem is not None else through
        if login.gateways and proxy_words:
            return f"its gateway {login.gateways[-1]} does not reach it: {proxy_words}"
        return (
            f"its ProxyCommand does not reach it: {proxy_words}" if login.has_proxy_command and proxy_words else through
        )

    def _run(self, argv: Sequence[str]) -> tuple[int, bytes, bytes]:
        answer = self.processes.run(argv, b"", Limits(self.connect_timeout + _MORE_TIME))
        return answer.status, answer.stdout, answer.stderr

    def _login(self, program: Sequence[str], host: str) -> _Login | None:
        status, stdout, _ = self._run([program[0], "-G", *program[1:], "--", host])
        lines = stdout.decode(errors="replace").splitlines() if status == 0 else []
        settings = {key: value for key, _, value in (line.partition(" ") for line in lines)}
        return _Login(tuple(program), host, settings) if "hostname" in settings else None

    def _gateway_problem(self, login: _Login, gateways: Sequence[str]) -> str | None:
        """Return the reason why the last of these gateways cannot be reached through the others, or None."""
        name = (login.program[0], *login.config_words, *gateways)
        with self._lock:
            is_first = name not in self._gateways
            result = self._gateways.setdefault(name, Future())
        if is_first:
            try:
                result.set_result(self._try_gateway(login, gateways))
            except BaseException as error:
                result.set_exception(error)
                raise
        return result.result()

    def _try_gateway(self, login: _Login, gateways: Sequence[str]) -> str | None:
        before, last = gateways[:-1], gateways[-1]
        options = ("BatchMode=yes", f"ConnectTimeout={self.connect_timeout}")
        jump = ["-J", ",".join(before)] if before else []
        program = [login.program[0], *(w for each in options for w in ("-o", each)), *login.config_words, *jump, "-T"]
        host = last if "://" in last else f"ssh://{last}"
        try:
            status, _, stderr = self._run([*program, "--", host, "exit"])
        except TransportError as error:
            return str(error)
        if status != SSH_FAILED:
            return None
        words = failure_reason(stderr)
        return self._cause(program, host, words, is_gateway=True) or words

    def _known(self, login: _Login) -> list[_HostKey]:
        """Return the keys of the host in the files of known hosts."""
        keys = []
        for file in (*login.files("userknownhostsfile"), *login.files("globalknownhostsfile")):
            if Path(file).is_file():
                _, stdout, _ = self._run(["ssh-keygen", "-F", login.known_as, "-f", file])
                lines = stdout.decode(errors="replace").splitlines()
                keys += [key for line in lines if (key := _HostKey.of_line(line, file)) is not None]
        return keys

    def _attempt(self, login: _Login, known: Sequence[_HostKey]) -> tuple[_HostKey | None, str]:
        """Connect without logging in. Return the key of the host, if it was reached, and else the words of a proxy."""
        kinds = [_RSA_ALGORITHMS if key.kind == _RSA else key.kind for key in known if not key.marker]
        with tempfile.NamedTemporaryFile(prefix="synctool-") as file:
            options = [*_ATTEMPT, f"UserKnownHostsFile={file.name}"]
            if kinds:  # else ssh would ask for a key of another type than the known one
                options.append(f"HostKeyAlgorithms=^{','.join(dict.fromkeys(kinds))}")
            words = [word for option in options for word in ("-o", option)]
            argv = [login.program[0], *words, *login.program[1:], "-E", "/dev/null", "--", login.host, "exit"]
            _, _, stderr = self._run(argv)
            lines = Path(file.name).read_text(errors="replace").splitlines()
        key = next((key for line in lines if (key := _HostKey.of_line(line)) is not None), None)
        proxy_words = [line.strip() for line in stderr.splitlines() if line.strip()]
        return key, "; ".join(node_text(line).rstrip(".") for line in proxy_words[:_MOST_LINES])

    def _key_problem(self, login: _Login, known: Sequence[_HostKey], key: _HostKey) -> str | None:
        """Return why ssh does not accept the key of the host, and what to do; None if the key is not the cause."""
        policy = login.settings.get("stricthostkeychecking", "ask")
        own = login.files("userknownhostsfile")
        same = [each for each in known if each.key == key.key]
        if policy in _UNCHECKED or not own or any(each.marker == "@cert-authority" for each in known):
            return None
        if revoked := [each for each in same if each.marker == "@revoked"]:
            return f"its host key {key.fingerprint} is revoked in {revoked[0].file}: give the node a new one"
        if same or (not known and policy == "accept-new"):
            return None
        port = [] if login.settings.get("port", "22") == "22" else ["-p", login.settings["port"]]
        options = ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={own[0]}"]
        add = shlex.join([login.program[0], *login.config_words, *port, *options, login.host, "exit"])
        if not known:
            return f"{own[0]} has no host key of it. If {key.fingerprint} is its key, add it: {add}"
        old = next(each for each in known if not each.marker or each.marker == "@revoked")
        remove = shlex.join(["ssh-keygen", "-R", login.known_as, "-f", old.file])
        return f"its host key is not the one in {old.file}. If {key.fingerprint} is its new key: {remove}; {add}"

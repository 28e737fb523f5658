"""A place on a node where a command waits, so that a test can let something happen just there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests_meta.site import Run, Site

# Comes before the real command in a session's PATH. What it says goes to fifos, so that nobody has to look again and
# again. `half` is for cp: the new file has been begun when the gate is reached.
_WRAPPER = """\
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
gate=/run/gate.{command}
case "$PWD $*" in *{about}*) ;; *) exec {command} "$@" ;; esac
# Many at once count each for itself.
if [ $# -gt 4 ]; then
  for last; do :; done
  case {command}:$1:$last in
    mv:*) name= ;;
    cp:-P:*/) name=1 ;;
    *) last= ;;
  esac
  option=$1
  [ -z "$last" ] || shift 2
  while [ -n "$last" ] && [ $# -gt 1 ]; do
    "$0" "$option" -- "$1" "$last${{name:+${{1##*/}}}}" || exit
    shift
  done
  [ -z "$last" ] || exit 0
fi
read -r pid name state parent group session rest </proc/self/stat
echo x >>$gate/calls
if [ "$(wc -l <$gate/calls)" != {call} ]; then exec {command} "$@"; fi
for last; do source=$new new=$last; done
status=0
case {when} in half) head -c 100 -- "$source" >"$new";; after) {command} "$@"; status=$?;; esac
echo $session >$gate/session
echo now >$gate/reached
read -r go <$gate/go
{change}
[ {when} = after ] || exec {command} "$@"
exit $status
"""

# Those of a repair's own household, in its mirror and lock, are not counted.
_OF_FILES = ("cp", "ln", "mv")

# 20 s at most until nothing of a session is left.
_UNTIL_OVER = """
s=$(cat {gate}/session) n=0
while cut -d' ' -f6 /proc/[0-9]*/stat 2>&- | grep -qx "$s"; do
  n=$((n+1)); [ $n -lt 1000 ] || exit 1; sleep 0.02
done
"""


@dataclass
class Gate:
    """The `call`-th run of a command on a node, or file of mv, waits there, `before` or `after` it, or `half` way.

    `change` is shell text that is run when it may go on.
    """

    site: Site
    node: str
    command: str
    call: int = 1
    when: str = "before"
    change: str = ":"

    def __post_init__(self) -> None:
        self.directory = f"/run/gate.{self.command}"
        text = _WRAPPER.format(
            command=self.command,
            about=self.site.top if self.command in _OF_FILES else "",
            call=self.call,
            when=self.when,
            change=self.change.replace("@", self.site.top),
        )
        self.site.sh(self.node, f"mkdir {self.directory} && cd {self.directory} && mkfifo reached go")
        assert self.site.cluster is not None
        self.site.cluster.write(self.node, f"/usr/local/sbin/{self.command}", text.encode(), 0o755)

    def wait(self) -> None:
        """Wait until the command has come here."""
        self._sh("timeout 60 cat {gate}/reached")

    def open(self) -> None:
        """Let it go on, if it is still there, and take the gate away. Returns when the session is over."""
        self._sh("rm -f /usr/local/sbin/{command}; exec 3<>{gate}/go; echo go >&3;" + _UNTIL_OVER)

    def kill(self, what: str) -> None:
        """Kill with SIGKILL: the `shell` and all that it has started, the `connection`'s sshd, or the whole `node`."""
        assert self.site.cluster is not None
        if what == "shell":
            find = "grep -l '^[0-9]* ([^)]*) . [0-9]* [0-9]* '$(cat {gate}/session)' ' /proc/[0-9]*/stat"
            self._sh("kill -9 $(" + find + " | cut -d/ -f3);" + _UNTIL_OVER)
        elif what == "connection":
            self._sh("read -r pid name state parent rest </proc/$(cat {gate}/session)/stat; kill -9 $parent")
        else:
            self.site.cluster.stop(self.node)

    def remove(self) -> None:
        """End what still waits, and leave nothing behind."""
        assert self.site.cluster is not None
        self.site.cluster.thaw(self.node)
        if self.site.sh(self.node, f"ls {self.directory}/session 2>&- || :"):
            with contextlib.suppress(subprocess.CalledProcessError):  # nothing is left of it
                self.kill("shell")
        self._sh("rm -rf /usr/local/sbin/{command} {gate}")
        self.site.cluster.start(self.node)

    def _sh(self, text: str) -> None:
        self.site.sh(self.node, text.replace("{gate}", self.directory).replace("{command}", self.command))


@dataclass
class Background:
    """A run of pytest on a site that goes on while the test does something else."""

    site: Site
    process: subprocess.Popen[str] = field(init=False)
    arguments: tuple[str, ...] = ("--fix",)

    def __post_init__(self) -> None:
        self.process = self.site.start(self.site.command(*self.arguments))

    def kill(self) -> None:
        """Kill the controller as the kernel would that is out of memory."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def interrupt(self) -> None:
        """Ctrl-C in its terminal: all processes of its group get the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, timeout: float = 60) -> Run:
        """How it ended; it has `timeout` seconds for it."""
        return self.site.finish(self.process, timeout)


@contextlib.contextmanager
def running(site: Site, *arguments: str) -> Iterator[Background]:
    """A `--fix` under way. What is left of it at the end is killed."""
    run = Background(site, arguments=("--fix", *arguments))
    try:
        yield run
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.communicate()


MakeGate = Callable[..., Gate]


def settled(live: Site) -> None:
    """The next --fix ends the work, an audit finds nothing, and one more --fix changes nothing at all."""
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.pytest().status == 0
    look = "/usr/bin/find @ -printf '%P %i %C@\\n' | sort"
    before = {node: live.sh(node, look) for node in live.nodes}
    assert live.pytest("--fix").status == 0
    assert {node: live.sh(node, look) for node in live.nodes} == before
    for node in live.nodes:
        assert live.sh(node, "/usr/bin/find @ /tmp -maxdepth 2 -name '*synctool.*'") == ""

"""POSIX shell text: quoting, and the two forms in which a script is sent to a node."""

from __future__ import annotations

import re
from typing import Final

# The last member of every tar stream. Without it tar would accept a stream that ends between two files.
COMPLETE: Final = ".synctool-complete"

# guard SECONDS [watch]. The background processes hold no stream open, so nobody waits for them. The process group is
# ended only if its leader is this shell, what has started it, or the sudo in between: it could be somebody else's.
_GUARD: Final = rb"""guard() {
  old=$! group= parent=
  [ ! -r "/proc/$$/stat" ] || IFS=' ' read -r p c s parent group p <"/proc/$$/stat"
  case $group in
    '' | 0) group= ;;
    "$$" | "$PPID") ;;
    *)
      c=
      [ ! -r "/proc/$PPID/stat" ] || IFS=' ' read -r p c s parent p <"/proc/$PPID/stat"
      case $c:$parent in "(sudo):$group") ;; *) group= ;; esac ;;
  esac
  (
    trap '[ "$!" = "$old" ] || kill -KILL "$!"; exit' TERM
    sleep "$1" & wait "$!" && finish
  ) <&- >&- 2>&- &
  guards=$!
  [ -z "$2" ] || {
    exec 9<&0
    (read -r p <&9; finish) >&- 2>&- &
    guards="$guards $!"
  }
  trap 'IFS=" "; kill $guards 2>&-' EXIT
}
finish() { if [ -n "$group" ]; then kill -KILL "-$group"; else kill -KILL "$$"; fi; }
"""

# bash reads a script from a pipe by one system call for each byte. So another bash gets it from head. The first one
# must not run what it has not read itself: with `exec 9<&0` in such a text, bash 5.2 crashes.
_AT_ONCE: Final = b"""case ${BASH_VERSION-} in
  ?*)
    set +x
    unset -f command head
    [ -z "$(PATH=$PATH:/usr/bin:/bin; command -v head)" ] ||
      exec "$BASH" -c 'eval "$(PATH=$PATH:/usr/bin:/bin; exec head -c %d)"' sh "$@" ;;
esac
"""

_HEADER = re.compile(rb"^(\w+\(\) [{(]) # .*")
_SAFE = re.compile(rb"[A-Za-z0-9@%+=:,./_-]+")
_SPECIAL: Final = re.compile(rb"""([^ -~]|[!"$'\\`])(?=([0-7]?))""")
# What is not itself in a quoted argument. A single quote would grow with every program that quotes the argument again.
_NOT_PLAIN = re.compile(rb"[^\t\n -&(-\[\]-~]")
_WIDE: Final = bytes(byte for byte in range(256) if byte != 0x5C and _NOT_PLAIN.match(bytes((byte,))))


def compact(functions: bytes) -> bytes:
    """Return shell text without indentation, without lines of comment and without comments behind a function's name.

    No line of a quoted string in it may begin with a blank or with a `#`.
    """
    lines = (line.lstrip(b" ") for line in functions.split(b"\n"))
    return b"\n".join(_HEADER.sub(rb"\1", line) for line in lines if not line.startswith(b"#"))


def quote(word: bytes) -> bytes:
    """Return shell text for one word of exactly these bytes."""
    if _SAFE.fullmatch(word):
        return word
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


def words(*arguments: bytes) -> bytes:
    """Return a command line of quoted words."""
    return b" ".join(quote(argument) for argument in arguments)


def shell_line(script: bytes, *arguments: bytes) -> bytes:
    """Return a line that runs a script with these arguments, and with the words that may follow the line.

    Every login shell passes it on unchanged, also csh and fish: it has no other quotes than the two around the script,
    no backslash before another one, and no exclamation mark.
    """
    script = b'set -- %s "$@"\n' % words(*arguments) + script
    escaped = _SPECIAL.sub(_in_octal, script)
    # The printf of mksh is a program.
    start = b'unset -f printf; PATH=$PATH:/usr/bin:/bin; eval "$(printf %%b "%s")"' % escaped
    return b"/bin/sh -c '%s' sh" % start


def _in_octal(match: re.Match[bytes]) -> bytes:
    """Return a character as the shortest that `printf %b` takes: a login may bound the length of a command."""
    return (b"\\0%03o" if match[2] else b"\\0%o") % ord(match[1])


def whole(script: bytes) -> bytes:
    """Return a script that a shell runs completely or not at all.

    The shell must read the closing brace before it runs the first command. So it runs nothing if the connection breaks
    while it receives the script.
    """
    text = b"{\n" + script + b"\nexit\n}\n"
    return _AT_ONCE % len(text) + text


def guarded(script: bytes, seconds: float, *, watches_input: bool) -> bytes:
    """Return a script that ends itself and every process it has started after `seconds`.

    With `watches_input` it also ends when standard input ends: the other end of the connection is gone, or has given
    up. Descriptor 9 is taken then.
    """
    return _GUARD + b"guard %d%s\n" % (max(1, seconds), b" watch" if watches_input else b"") + script


def ascii_command(script: bytes) -> str:
    """Return the script as one ASCII command line, for connections without standard input. See argument_size()."""
    if not _NOT_PLAIN.search(script):
        return script.decode("ascii")
    return f"eval \"$(printf '%b' '{escaped(script).decode('ascii')}')\""


def escaped(text: bytes) -> bytes:
    """Return a text as `printf %b` takes it, in ASCII and without single quotes."""
    return _NOT_PLAIN.sub(lambda match: b"\\\\" if match[0] == b"\\" else b"\\0%03o" % ord(match[0]), text)


def argument_size(script: bytes) -> int:
    """Return the number of bytes that a script has in ascii_command(); those of two scripts together are their sum."""
    wide = len(script) - len(script.translate(None, _WIDE))
    return len(script) + 4 * wide + script.count(b"\\")

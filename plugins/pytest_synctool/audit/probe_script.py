"""The shell text of the probe: one script that looks at every managed path of a node.

It needs a POSIX shell and the stat, readlink and md5sum of GNU coreutils or BusyBox. It writes nothing on the node. It
does not use /dev/null, because an image without devices would get a file of that name. This module contacts nobody.

Each line of the answer begins with a letter for its meaning, except those of md5sum:

    p:PATH, s:MODE:UID:SIZE:GID:OWNER:GROUP    lstat()
    l:PATH, t:TARGET                           a symbolic link; n:PATH if its target has a newline, u:PATH if unreadable
    w:                                         stat works: it knows the root directory
    a:PATH                                     nothing is there
    e:PATH, r:REASON                           stat cannot look at it
    b:DIRECTORY                                a symbolic link above a file, or a directory that is behind one
    m:MD5:PATH                                 the digest of a file that somebody else than root can exchange
    c:COMPLAINT                                of md5sum
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.shell import quote, words
from pytest_synctool.repository.source import parents

# Bounds of one stat command: far below the limits of any system's command line.
_CHUNK_PATHS: Final = 500
_CHUNK_BYTES: Final = 60_000

_ANSWER_BYTES: Final = 256  # of a path, beside its name
_ANSWER_NAMES: Final = 5  # times that an answer has the name of a path; md5sum doubles a backslash

BEGIN: Final = b"synctool-probe"
END: Final = b"synctool-probe-end"

# Seconds. Only a FIFO keeps its reader waiting, and only if a user has just put it in the place of a file.
LONGEST_READ: Final = 10
# Bytes that md5sum reads in a second of processor time, at least.
_SLOWEST_DIGEST: Final = 10_000_000

# The script sets IFS to a newline and expands no patterns: a text of lines is a list of words.
PROLOGUE: Final = rb"""LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/bin:/bin; exec 3>&1
nl='
'
set -f; IFS=$nl open= links= none=
same() { # NUMBER: whether $e is so many lines with the same reason, which is then in $reason
  reason=${e##*: } n=0
  for line in $e; do case $line in *": $reason") n=$((n + 1)) ;; *) n=-9999999 ;; esac; done
  [ "$n" = "$1" ]
}
missing() { # PATH...: they are absent if stat says of them what it says of the empty name
  e=$(stat -c w: -- / '' "$@" 2>&1 >&3)
  if same $(($# + 1)); then printf 'a:%s\n' "$@"; return; fi
  lost=
  for p in "$@"; do
    d=${p%/*}
    while [ -n "$d" ] && [ ! -e "$d" ] && [ ! -L "$d" ]; do d=${d%/*}; done
    if [ -n "$d" ] && [ -e "$d" ] && [ ! -d "$d" ]; then printf 'a:%s\n' "$p"; else lost=$lost$p$nl; fi
  done
  [ -z "$lost" ] || sort_out $lost
}
sort_out() { # PATH...: in parts of which stat says the same
  e=$(stat -c : -- "$@" 2>&1 >&-)
  if same $#; then
    why=$reason
    [ -n "$none" ] || { e=$(stat -c w: -- / '' 2>&1 >&3); none=-; ! same 1 || none=$reason; }
    if [ "$why" = "$none" ]; then printf 'a:%s\n' "$@"; return; fi
    for p in "$@"; do printf 'e:%s\nr:%s\n' "$p" "$why"; done
  elif [ $# = 1 ]; then printf 'e:%s\nr:%s\n' "$1" "${e##*"$nl"}"
  else
    n=1 half=
    while [ "$n" -le $(($# / 2)) ]; do half="$half \"\${$n}\"" n=$((n + 1)); done
    (eval "sort_out $half")
    shift $(($# / 2))
    sort_out "$@"
  fi
}
above() { # DIRECTORY...: notes links, and directories in which others than root can exchange names
  for line in $(stat -c '%f:%u:%n' -- "$@" 2>&-); do
    d=${line#*:}
    d=${d#*:}
    case $line in
      a*) links=$links$d$nl; printf 'b:%s\n' "$d" ;;
      4?[02468ace][014589cd]:0:* | 4[2367abef]??:0:*) ;;
      *) below "$d" $open || open=$open$d$nl ;;
    esac
  done
}
below() { # PATH DIRECTORY...: whether it is below one of them
  b=$1
  shift
  for o in "$@"; do case $b in "$o"/*) return 0 ;; esac; done
  return 1
}
other() { # $p has $size bytes, and somebody else than root can exchange it
  below "$p" $links || slow=$slow$size$nl/$nl.${p%/*}$nl${p##*/}$nl total=$((total + size))
}
link() { # PATH
  t=$(readlink -n -- "$1" && printf x) || { printf 'u:%s\n' "$1"; return; }
  case $t in *"$nl"*) printf 'n:%s\n' "$1" ;; *) printf 'l:%s\nt:%s\n' "$1" "${t%x}" ;; esac
}
look() { # SIZES PATH...: SIZES has one for each path, or "-" where no contents are to be read
  sizes=$1 gone= fast= slow= total=0
  shift
  out=$(stat -c "p:%n${nl}s:%f:%u:%s:%g:%U:%G" -- "$@" 2>&-)
  [ -n "$out" ] || out=$(stat -c w: -- / 2>&1)
  [ -z "$out" ] || printf '%s\n' "$out"
  for line in $out; do
    case $line in
      p:*)
        p=${line#p:}
        while [ $# -gt 0 ] && [ "$1" != "$p" ]; do gone=$gone$1$nl sizes=${sizes#* }; shift; done
        [ $# -gt 0 ] || break
        size=${sizes%% *} sizes=${sizes#* }
        shift ;;
      s:a*) link "$p" ;;
      s:8?[02468ace][014589cd]:0:"$size":*) if below "$p" $open $links; then other; else fast=$fast$p$nl; fi ;;
      s:8???:*:"$size":*) other ;;
    esac
  done
  for p in "$@"; do gone=$gone$p$nl; done
  lost=
  for p in $gone; do [ -e "$p" ] || [ -L "$p" ] || lost=$lost$p$nl; done
  [ -z "$lost" ] || missing $lost
  if [ -n "$fast" ]; then
    e=$(md5sum -- $fast 2>&1 >&3)
    for line in $e; do printf 'c:%s\n' "$line"; done
  fi
  [ -z "$slow" ] || exchangeable "$total" $slow
}
clock() { # SECONDS: ends this subshell, $me, then
  old=$!
  (
    trap '[ "$!" = "$old" ] || kill -KILL "$!"; exit' TERM
    sleep "$1" & wait "$!" && kill -KILL "$me"
  ) <&- >&- 2>&- 3>&- &
  clock=$!
}
enter() { # TOP DIRECTORY: goes there; of what leads there only TOP may be a link
  cd -P -- "$1" && where && top=${at%/} && cd -P -- "$2" && where && [ "${at%/}" = "$top${2#.}" ]
}
where() { # sets $at to the working directory; dash and BusyBox ask the kernel, others compute PWD from names
  at=$PWD
  [ -z "$BASH_VERSION$KSH_VERSION$YASH_VERSION$ZSH_VERSION" ] || at=$(env pwd -P)
}
exchangeable() { # TOTAL (SIZE TOP DIRECTORY NAME)...: digests of files that somebody else than root can exchange
  (
    # Names are not to be trusted: a file is opened, then looked at, and only then read.
    [ -e /proc/self/stat ] || { echo "c:md5sum: it has no /proc, so nobody can tell what is read"; exit; }
    IFS=' ' read -r me p </proc/self/stat || exit
    seconds=$(($1 / SLOWEST + LONGEST))
    shift
    # A FIFO that has taken the place of a file keeps the shell waiting.
    clock "$seconds"
    here= n=3
    while [ $# -gt 0 ]; do
      if [ "$2$nl$3" != "$here" ] || [ "$n" = 8 ]; then
        digests
        here=$2$nl$3
        enter "$2" "$3" 2>&- || { here=; printf 'b:%s\n' "${2%/}${3#.}"; }
      fi
      if [ -n "$here" ] && [ -f "./$4" ] && [ ! -L "./$4" ]; then
        if [ -r "./$4" ]; then
          if eval "command exec $((n + 1))<\"./\$4\""; then
            n=$((n + 1))
            eval "size$n=\$1 name$n=\$4 path$n=\${2%/}\${3#.}/\$4"
          fi
        else echo "c:md5sum: Permission denied"; fi
      fi
      shift 4
    done
    digests
    kill "$clock"
  )
}
digests() { # of the files that are open as 4 to $n
  set --
  i=3 files=
  while [ "$i" -lt "$n" ]; do i=$((i + 1)); eval "set -- \"\$@\" \"./\$name$i\""; files=$files/proc/self/fd/$i$nl; done
  [ $# = 0 ] || {
    is=$(stat -L -c %f:%s:%d:%i -- $files) named=$(stat -c %f:%s:%d:%i -- "$@") i=3 files=
    [ "$is" = "$named" ] && for line in $is; do
      i=$((i + 1))
      eval "size=\$size$i"
      case $line in 8???:"$size":*) files=$files/proc/self/fd/$i$nl ;; esac
    done
    # A file that grows for ever must not be read for ever.
    [ -z "$files" ] || for line in $(ulimit -t "$seconds"; md5sum -- $files 2>&1); do
      i=${line##*/}
      case $line in
        *"  /proc/self/fd/"?) eval "printf 'm:%s:%s\n' \"\${line%% *}\" \"\$path$i\"" ;;
        *) printf 'c:%s\n' "$line" ;;
      esac
    done
  }
  while [ "$n" -gt 3 ]; do eval "exec $n<&-"; n=$((n - 1)); done
}
""".replace(b"SLOWEST", b"%d" % _SLOWEST_DIGEST).replace(b"LONGEST", b"%d" % LONGEST_READ)


@dataclass(frozen=True, slots=True)
class Request:
    """A path to probe. Its contents are read only if it is a regular file of `size` bytes; never if that is None.

    They are not read behind a symbolic link, unless it is `through` that leads there: the lowest directory above the
    path that may be a link; b"" for none.
    """

    path: bytes
    size: int | None = None
    through: bytes = b""

    @property
    def place(self) -> tuple[bytes, bytes, bytes]:
        """The directory that may be a link, the way from there to the path's directory, and the name."""
        top = self.through or b"/"
        directory, name = os.path.split(self.path)
        return top, b"." + directory.removeprefix(self.through), name

    @property
    def guarded(self) -> list[bytes]:
        """The directories that must not be links if the contents are to be read."""
        return [] if self.size is None or self.through else parents(self.path)


def script(requests: Sequence[Request]) -> bytes:
    """Return the shell text that answers for these paths."""
    lines = [PROLOGUE, b"echo " + BEGIN]
    guarded: set[bytes] = set()
    for chunk in _chunks(requests):
        directories = {directory for request in chunk for directory in request.guarded} - guarded
        if directories:
            guarded |= directories
            lines.append(words(b"above", *sorted(directories, key=lambda path: path.split(b"/"))))
        here = [b"-" if r.size is None or r.through else b"%d" % r.size for r in chunk]
        sizes = b" ".join(here) if any(size != b"-" for size in here) else b""
        lines.append(words(b"look", sizes, *(r.path for r in chunk)))
        behind = [r for r in chunk if r.size is not None and r.through]
        if behind:
            places = (word for r in behind for word in (b"%d" % (r.size or 0), *r.place))
            lines.append(words(b"exchangeable", b"%d" % sum(r.size or 0 for r in behind), *places))
    lines.append(b"echo " + END)
    return b"\n".join(lines)


def _chunks(requests: Iterable[Request]) -> Iterator[list[Request]]:
    chunk: list[Request] = []
    size = 0
    for request in requests:
        if chunk and (len(chunk) == _CHUNK_PATHS or size + len(request.path) > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += len(request.path) + 1
    if chunk:
        yield chunk


def split(requests: Sequence[Request], limit: int | None) -> Iterator[Sequence[Request]]:
    """Split requests into parts whose scripts stay below `limit` bytes.

    Some connections pass a script as an argument.
    """
    if limit is None:
        yield requests
        return
    budget = limit - len(PROLOGUE) - 200
    part: list[Request] = []
    guarded: set[bytes] = set()
    size = 0
    for request in requests:
        new = {*request.guarded} - guarded
        cost = 2 * len(quote(request.path)) + 60 + sum(len(quote(directory)) + 1 for directory in new)
        if part and size + cost > budget:
            yield part
            part, guarded, size = [], set(), 0
            new = {*request.guarded}
        part.append(request)
        guarded |= new
        size += cost
    if part:
        yield part


def largest_answer(requests: Sequence[Request]) -> int:
    """Return the number of bytes that an honest answer has at most, but for a megabyte of link targets and messages."""
    return sum(_ANSWER_BYTES + _ANSWER_NAMES * len(request.path) for request in requests)

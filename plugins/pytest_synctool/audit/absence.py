"""Shell functions that tell whether nothing is at a path, as far as anybody can tell.

Nothing is there if the shell finds nothing, and the directory can be searched and lists no such name. If a listed name
cannot be looked at, or the directory cannot be listed any more, that is a dead mount or a broken disk.
"""

from __future__ import annotations

from typing import Final

# They want the pattern characters off (set -f) and a newline in $nl. $many is the number of paths to ask about: of
# many, each directory is listed once.
ABSENCE: Final = rb"""
many=1 none= bad= unlisted= listed=$nl broken=$nl
is_there() { [ -L "$1" ] || [ -e "$1" ]; } # a link is there wherever it leads, and if that does not answer
absent() { # whether nothing is at $p; sets $none to a path below which nothing is, or $bad if all below is unknown
  bad= hops=0 q=$p link= passed=$nl
  [ ${#p} -lt 4096 ] || return 1
  while :; do
    top=$q d=${q%/*}
    while [ -n "$d" ] && [ ! -L "$d" ] && [ ! -e "$d" ]; do top=$d d=${d%/*}; done
    [ ! -e "${d:-/}" ] || break
    # A link that leads nowhere, back to itself, or to what cannot be looked at. The kernel follows 40 of them.
    hops=$((hops + 1)) link=${link:-$d}
    t=$(cd -P -- "${d%/*}/" 2>&- && printf '%s/%sx' "${PWD%/}" "${d##*/}") || return 1
    d=${t%x}
    case $passed in *"$nl$d$nl"*) none=$link; return 0 ;; esac
    passed=$passed$d$nl
    [ "$hops" -le 40 ] && t=$(readlink -n -- "$d" 2>&- && printf x) || return 1
    t=${t%x}
    case $t in *"$nl"*) return 1 ;; /*) q=$t ;; *) q=${d%/*}/$t ;; esac
    # There are more links than the kernel follows, or it was exchanged meanwhile.
    [ ! -e "$q" ] || return 1
    [ ! -L "$q" ] || q=$q/.
  done
  [ -d "${d:-/}" ] || return 0
  # BusyBox takes the word of the mode also for root, who may search any directory.
  if [ ! -x "${d:-/}" ] && ! (cd -- "${d:-/}" 2>&-); then bad=${d:-/}; return 1; fi
  t=${top##*/}
  [ ${#t} -le 255 ] && lists || return 1
  case $broken in *"$nl$top$nl"*) bad=$top; return 1 ;; esac
  none=${link:-$top}
}
lists() { # whether $d answers; adds to $broken the names, $top at least, that it lists and cannot be looked at
  case $listed in *"$nl$d/$nl"*) return 0 ;; esac
  set +f
  if [ "$many" -gt 8 ]; then set -- "$d"/* "$d"/.*; else set -- "$top"* "$d"/.*; fi
  set -f
  any=
  for x; do
    if [ -L "$x" ] || [ -e "$x" ]; then any=1
    else case $x in "$d/*" | "$d/.*" | "$top*") ;; *) broken=$broken$x$nl ;; esac; fi
  done
  # It has nothing in it, or does not answer. One that cannot be read can still be searched.
  [ -n "$any" ] || [ ! -r "${d:-/}" ] || x=$(ls -a -- "${d:-/}" 2>&1) || { ! lacks ls || unlisted=1; return 1; }
  [ "$many" -le 8 ] || listed=$listed$d/$nl
}
lacks() { # PROGRAM: whether the node has none; sets $words
  words="the node has no program $1"
  [ -z "$(command -v "$1")" ]
}
"""

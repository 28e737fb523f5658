"""Shell functions of the stage: where a repair works, who else may write there, and where new versions can be made.

docs/architecture.md says why that is safe from local users.
"""

from __future__ import annotations

from typing import Final

STAGE: Final = rb"""
survey() { # of this directory set $dev, $own if nobody else may write in it, and $near: the nearest directory, this one
  # or one above it on the same file system, in which nobody else may rename, nor in any above it
  [ -z "$wrong" ] || return 1
  [ -z "$dev" ] || return 0
  p=${PWD%/}
  set -- . "${p:-/}"
  while [ -n "$p" ]; do p=${p%/*}; set -- "$@" "${p:-/}"; done
  n=$#
  wrong=$(stat -c %d:%i:%u:%a -- "$@" 2>&1) || return
  IFS=:$nl; set -f; set -- $wrong; set +f; unset IFS
  wrong="its directory was moved meanwhile"
  [ $# = $((4 * n)) ] && [ "$1:$2" = "$5:$6" ] || return
  wrong= dev=$1 near= own=1 p=${PWD%/}
  case $4 in *[2367] | *[2367]?) own= ;; esac # sticky or not
  shift 4
  while [ $# -gt 0 ]; do
    case $3:$4 in "$me":[1357]??? | 0:[1357]???) x=1 ;; *[2367] | *[2367]?) x= ;; "$me":* | 0:*) x=1 ;; *) x= ;; esac
    if [ -z "$x" ]; then near= own=; elif [ -z "$near" ] && [ "$1" = "$dev" ]; then near=${p:-/}; fi
    shift 4
    p=${p%/*}
  done
  # bash computes PWD from names, which somebody may have exchanged meanwhile: only a program asks the kernel.
  [ -z "$own" ] || return 0
  l=$(env pwd -P 2>&-) || { wrong=$(env pwd -P 2>&1); return 1; }
  [ "$l" = "$PWD" ] || { wrong="its directory was moved meanwhile"; return 1; }
}
ours() { # DIRECTORY REASON: refuse unless nobody else may write in it
  wrong= dev=
  cd -P -- "$1" 2>&- && survey || refuse "$2: $1 cannot be examined"
  [ -n "$own" ] || refuse "$2: others than root may write in $PWD or above it"
}
stage() { # set $t to a private directory from which a rename leads here, where nobody else can rename; else $e
  [ -z "$t" ] || return 0
  survey || { e=$wrong; return 1; }
  for d in "./.synctool.$host."*.staged; do # of a repair that was killed
    p=${d%.*} p=${p##*.}
    [ ! -f "$d" ] || kill -0 "$p" 2>&- || rm -f -- "$d"
  done
  n=0
  while [ "$n" -lt "$stages" ]; do
    n=$((n + 1))
    eval "x=\$dev$n t=\$stage$n"
    [ "$x" != "$dev" ] || ! reaches || return 0
  done
  t=
  if [ "$dev" = "$home" ] && [ "$stages" = 0 ]; then add "$state/stage" && reaches && return; t=; fi
  [ -n "$near" ] || { e="others may write in $PWD, and nowhere above it on its file system is root alone"; return 1; }
  add "$near" && reaches && return
  [ "$near" = "$PWD" ] || e="others may write in $PWD, and no rename leads there from $near: ${e##*"$nl"}"
  t=
  return 1
}
add() { # DIRECTORY: a stage in it
  case $1 in
    "$state"/*) e=$({ { [ -d "$1" ] || mkdir -p -- "$1"; } && mktemp -d "$1/$host.$self.XXXXXX"; } 2>&1) || return ;;
    *) e=$(mktemp -d "${1%/}/.synctool.$host.$self.XXXXXX" 2>&1) && printf '%s\n' "$e" >>"$journal/private" || return ;;
  esac
  t=$e
  look_for
  case $(traits "$t") in # what is made in it must not inherit that of the directory
    *system.*) e=$(setfacl -b -k -- "$t" 2>&1) || { discard "$t"; e="its default ACL stays: $e"; return 1; } ;;
  esac
  stages=$((stages + 1))
  eval "stage$stages=\$t dev$stages=\$dev"
}
mount_of() { # DIRECTORY: set $m to the place where its file system is mounted
  m=/
  IFS=$nl; set -f
  for x in $mounts; do case $1/ in "${x%/}"/*) [ "${#x}" -le "${#m}" ] || m=$x ;; esac; done
  set +f; unset IFS
}
reaches() { # whether a rename leads from the stage to here: else mv would copy, step by step
  if [ -n "$own" ] && [ -n "$mounts" ]; then
    mount_of "$t"
    p=$m
    mount_of "$PWD"
    [ "$m" != "$p" ] || return 0
  fi
  p=.synctool.$host.$$.staged
  [ -e "$t/$p" ] || : >"$t/$p"
  # Into this directory, as all that follows: a name that is a link to a directory would be followed.
  e=$(ln -- "$t/$p" ./ 2>&1) || return
  rm -f -- "./$p"
}
own() { # OWNER GROUP PATH...: by name, or by number as +7777; never by the number that a name has elsewhere
  [ -n "$1$2" ] || return 0
  u=$1 g=$2
  shift 2
  chown $r -h -- "$u:$g" "$@" 2>&- && return
  [ "$u" != root ] || u=0 # that is root's number everywhere
  [ "$g" != root ] || g=0
  known user "$u" && known group "$g" || return
  l=$(chown $r -h -- "${u#+}:${g#+}" "$@" 2>&1) && return # not every chown knows the sign
  f=%U:%G
  case $u in +* | 0) f=%u:${f#*:} ;; esac
  case $g in +* | 0) f=${f%:*}:%g ;; esac
  # A file system without owners, or on another machine, may refuse even what is so already.
  if [ -z "$r" ]; then refused "$l" "$f" "${u#+}:${g#+}" "$@"; else printf '%s\n' "$l" >&2; false; fi
}
change_mode() { # MODE PATH...
  l=$(chmod -- "$@" 2>&1) && return
  f=$(printf %o "0$1")
  shift
  refused "$l" %a "$f" "$@"
}
refused() { # WORDS FORMAT WANTED PATH...: succeeds if all are as wanted already; else prints why not
  is=$1 f=$2 g=$3
  shift 3
  for p do
    u=$(stat -c "$f" -- "$p" 2>&1) && [ "$u" = "$g" ] && continue
    fixed_by "$p"
    [ -n "$hint" ] || hint=$(stat -c 'there it is %U:%G %a: attributes.yaml can accept that' -- "$p")
    [ "$me" != 0 ] || is="${is##*"$nl"} ($hint)"
    printf '%s\n' "$is" >&2
    return 1
  done
}
explain() { # NAME [replaced]: adds to $e what is special about ./NAME, for people
  fixed_by "./$1"
  case $nl$mounts in
    *"$nl${PWD%/}/$1$nl"*) hint="something is mounted on it: mount its directory instead, or accept it by a waiver"
      [ -z "$2" ] || [ ! -f "./$1" ] ||
        hint="something is mounted on it: say 'in_place: yes' in attributes.yaml, or mount its directory" ;;
  esac
  [ -z "$hint" ] || e="${e##*"$nl"} ($hint)"
}
fixed_by() { # PATH: set $hint if not even root can change it
  hint=
  for f in "$1" "${1%/*}"; do
    l=$(lsattr -d -- "$f" 2>&-) || continue
    case ${l%% *} in *i*) hint="immutable: chattr -i" ;; *a*) hint="append-only: chattr -a" ;; *) continue ;; esac
    [ "$f" = "$1" ] || hint="its directory is $hint"
    return
  done
}
known() { # user|group NAME: unless that cannot be found out
  case $2 in +* | 0) return ;; esac
  l=$(find . -prune "-$1" "$2" 2>&1) || ! l=$(find . -prune 2>&1) || { echo "no $1 $2 on $SYNCTOOL_NODE" >&2; false; }
}
own_below() { # as own, for all that is in $base
  r=-R
  own "$@" "$base"
  set -- "$?"
  r=
  return "$1"
}
attributes() { # OWNER:GROUP:MODE[:CAPABILITIES[:ACL]]
  case $1 in *:*:*:*:*) granted=${1#*:*:*:*:} ;; *) granted= ;; esac
  IFS=:; set -f; set -- $1; set +f; unset IFS
  owner=$1 group=$2 mode=$3 expects=$4
}
"""

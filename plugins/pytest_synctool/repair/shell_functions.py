"""Shell functions for the script of a repair: POSIX shell, GNU coreutils or BusyBox.

A script starts with these functions, sets `state`, `journal`, `who` and `limit`, and then calls `begin`.
"""

from __future__ import annotations

from typing import Final

PROLOGUE: Final = rb"""LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
nl='
'
wrong= locked= t= dev= base= notar= stages=0 groups=0
# When the other end of the connection goes away, the repair goes on: nothing is left in the middle.
trap : PIPE HUP
trap 'exit 1' INT TERM
trap 'clean; note_time; unlock' EXIT
me=$(id -u) host=$(uname -n)
clean() { # the stages go away, but for one in which an old version waits for tidy() of the next repair
  while [ "$stages" -gt 0 ]; do
    eval "t=\$stage$stages"
    set -- "$t"/*.to
    [ -e "$1" ] || rm -rf -- "$t"
    stages=$((stages - 1))
  done
  t=
}
refuse() { # REASON: nothing has been changed
  printf 'refused %s\n' "$1"
  exit 0
}
born() { # PID: when that process began, counted from the start of the machine; nothing where it is not known
  [ -r "/proc/$1/stat" ] && read -r l <"/proc/$1/stat" || return 0
  l=${l##*) }
  set -- $l
  shift 19 && echo "$1"
}
held() { # PID BORN: whether the process that took the lock is still there, and not another one with its number
  if [ "$2" = - ]; then kill -0 "$1" 2>&-; else [ "$(born "$1")" = "$2" ]; fi
}
lock() {
  for l in "$state"/lock.*; do # of a repair that was killed while it took the lock
    p=${l##*/lock.} p=${p%.stale}
    [ ! -f "$l" ] || kill -0 "$p" 2>&- || rm -f -- "$l"
  done
  mine=$state/lock.$$ b=$(born $$) tries=5
  e=$( (printf '%s\n' "$$ ${b:--} $who" >"$mine") 2>&1) || refuse "no lock can be made there: ${e##*"$nl"}"
  # A link is made with what it says, or not at all: nobody sees a lock that does not tell whose it is.
  until ln -- "$mine" "$state/lock" 2>&-; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { rm -f -- "$mine"; refuse "its lock $state/lock cannot be taken"; }
    [ -r "$state/lock" ] && read -r pid b other <"$state/lock" || continue
    if held "$pid" "$b"; then rm -f -- "$mine"; refuse "another --fix is under way there: $other"; fi
    # Left behind. Only one can move it away, and whoever has moved a newer one puts it back.
    mv -- "$state/lock" "$mine.stale" 2>&- || continue
    read -r p b l <"$mine.stale"
    [ "$p $l" = "$pid $other" ] || ln -- "$mine.stale" "$state/lock"
    rm -f -- "$mine.stale"
  done
  rm -f -- "$mine"
  locked=1
}
remember() { # from here on, the old versions that are kept are those of this run
  f=$journal/kept
  if [ -e "$f" ] && IFS= read -r l <"$f" && [ "$l" = "$who" ]; then return; fi
  e=$( (printf '%s\n' "$who" >"$f") 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
}
unlock() { # a journal in which nothing is owed goes away
  [ -z "$locked" ] || { rm -f -- "$journal/private"; rmdir -- "$journal/owed" "$journal" 2>&-; rm -f -- "$state/lock"; }
  locked=
}
begin() { # what is changed from here on is known to the next run, whatever happens
  umask 066 # others may look whether something is owed, but see no names
  e=$(mkdir -p -- "$state" 2>&1) || refuse "no journal can be kept there: ${e##*"$nl"}"
  ours "$state" "no journal can be kept there"
  home=$dev mounts=
  if [ -r /proc/self/mountinfo ]; then
    while read -r a a a a m a; do mounts=$mounts$m$nl; done </proc/self/mountinfo
  fi
  [ -z "$masterdir" ] || [ ! -d "$masterdir" ] || ours "$masterdir" "its copy of the masterdir cannot be trusted"
  lock
  e=$(mkdir -p -- "$journal/owed" 2>&1) || refuse "no journal can be kept there: ${e##*"$nl"}"
  [ -z "$log" ] || e=$( (umask 037; : >>"$log") 2>&1) || unlogged "$e"
  [ -S /dev/log ] && l=$(command -v logger) || syslog=
  umask 077
}
owe() { # NUMBER NAME PATH: a command that has to run after a change, noted before the change
  [ ! -e "$journal/owed/$2" ] || return 0
  e=$( (printf '%s\n' "$3" >"$journal/owed/$2") 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
  eval "n$1=1"
}
paid() { rm -f -- "$journal/owed/$1"; }
within() { # DIRECTORY [LINK]: where all is done that follows; of what leads there only LINK may be a link
  note_time
  wrong= t= dev= there=$1
  if [ -n "$2" ] && cd -P -- "$2" 2>&-; then there=${PWD%/}${1#"$2"}; fi
  if cd -P -- "$1" 2>&-; then
    # From here on names are relative: whoever puts a link in the way meanwhile is not followed.
    [ "$PWD" = "${there:-/}" ] || wrong="$1 leads to $PWD: 'follow: yes' in attributes.yaml would allow the link"
  elif wrong=$(stat -- "$1/." 2>&1 >&-); then wrong="stat: $1: cannot be entered"; fi
  return 0
}
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
  [ -n "$own" ] || [ "$(env pwd -P)" = "$PWD" ] || { wrong="its directory was moved meanwhile"; return 1; }
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
  t=
  return 1
}
add() { # DIRECTORY: a stage in it
  case $1 in
    "$state"/*) e=$(mkdir -p -- "$1" 2>&1) || return; t=$1/$host.$$.XXXXXX ;;
    *) t=${1%/}/.synctool.$host.$$.XXXXXX ;;
  esac
  e=$(mktemp -d "$t" 2>&1) || return
  t=$e stages=$((stages + 1))
  eval "stage$stages=\$t dev$stages=\$dev"
  printf '%s\n' "$t" >>"$journal/private"
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
own() { # by name, each by number where the node does not know the name
  [ -n "$1$2$3$4" ] || return 0
  u=$1 g=$2 i=$3 j=$4
  shift 4
  chown -h -- "$u:$g" "$@" 2>&- && return
  chown -h -- "$u" "$@" 2>&- || chown -h -- "$i" "$@" || return
  chown -h -- ":$g" "$@" 2>&- || chown -h -- ":$j" "$@"
}
attributes() { # OWNER:GROUP:UID:GID:MODE: set $1 to $5 of own and chmod
  IFS=:; set -f; set -- $1; set +f; unset IFS
  owner=$1 group=$2 uid=$3 gid=$4 mode=$5
}
make() { # KIND SOURCE ATTRIBUTES NEW: one new version; nobody else gets at the stage
  attributes "$3"
  case $1 in
    file | checked*) cp -- "$2" "$4" ;;
    link) ln -s -- "$2" "$4" && own "$owner" "$group" "$uid" "$gid" "$4"; return ;;
    directory) mkdir -- "$4" ;;
    same) again "$2" "$4" ;;
  esac && own "$owner" "$group" "$uid" "$gid" "$4" && chmod -- "$mode" "$4" || return
  case $1 in checked*) "$1" "$4" ;; esac
}
again() { # SIZE:MD5 NEW: a copy of the file that is here, if that is what the audit saw
  n=${2##*/}
  mkdir -- "$side.here" && ln -- "./$n" "$side.here/" || return
  [ -f "$side.here/$n" ] && [ ! -L "$side.here/$n" ] && head -c $((${1%:*} + 1)) -- "$side.here/$n" >"$2" || {
    echo "it is no file any more" >&2
    return 1
  }
  x=$(md5sum <"$2")
  [ "${x%% *}" = "${1#*:}" ] || { echo "it was changed meanwhile" >&2; return 1; }
}
put_all() { # DIRECTORY RECORDS: one of the directories whose new versions all() makes together, in $base
  if [ -z "$wrong" ] && stage; then
    [ -n "$base" ] || together
    if [ "$base" = "$t/together" ]; then
      new=$base$1 side=$t/$((groups += 1))
      shift
      place "$@"
      return
    fi
  fi
  shift
  put "$@"
}
together() { # the stage of the first directory is that of all; those on other file systems are done one by one
  base=$t/together
  rm -rf -- "$base"
  e=$({ mkdir -- "$base" && all; } 2>&1) || base=-
}
fill() { # SOURCE...: copies in $base, each below the path that it has on the node
  e=
  if [ -z "$notar" ] && [ $# -gt 3 ]; then
    printf '%s\0' "$@" >"$base.list"
    x='s,^overlay/,,;s,\._[^./]*$,,'
    { tar -C "$masterdir" --null --no-recursion -T "$base.list" --transform="$x" -S -cf - || : >"$base.failed"; } 2>&- |
      tar -C "$base" --no-same-owner --no-same-permissions -m -xf - 2>&- || : >"$base.failed"
    [ ! -e "$base.failed" ] || { rm -f -- "$base.failed"; e=1; }
  fi
  while [ $# -gt 0 ]; do # what tar does not know or was not there for
    x=${1#overlay}
    x=$base${x%._*}
    { [ -z "$e" ] && [ -f "$x" ]; } || cp -- "$masterdir/$1" "$x" || return
    shift
  done
}
put() { # (NUMBER KIND OLD SOURCE ATTRIBUTES NAME)...: make a new version in the stage, and rename it here
  while [ $# -gt 0 ]; do
    if stage; then
      new=$t/$((groups += 1)) side=$new
      if e=$({ mkdir -- "$new" && make "$2" "$4" "$5" "$new/$6" && flush "$2" "$new/$6"; } 2>&1); then
        case $3 in swap | leave) swap "$1" "$3" "$5" "$6" ;; *) place "$1" "$2" "$3" "$4" "$5" "$6" ;; esac
      else failed "$1" "$e"; fi
      [ -e "$side.to" ] || rm -rf -- "$new" "$new".* # the next one may need the room
    else failed "$1" "$e"; fi
    shift 6
  done
}
flush() { # KIND NEW
  case $1 in link | directory) ;; *) sync -- "$2" 2>&- || sync ;; esac
}
old_of() { # NAME: of its old version set $s to the path, $b to the name and $to to the directory, for a rename
  case $saved in
    /*) s=${saved%/}${PWD%/}/$1 b=$1 to=${saved%/}${PWD%/}/ ;;
    *) s=${PWD%/}/$1.saved b=$1.saved to=./ ;;
  esac
}
place() { # RECORDS whose new versions are in $new
  n=$# some=
  while [ "$n" -gt 0 ]; do
    if [ "$3" = missing ] && { [ -e "./$6" ] || [ -L "./$6" ]; }; then ok "$1"
    elif [ "$3" != keep ] || pin "$1" "$6" "$5"; then set -- "$@" "$1" "$2" "$3" "$4" "$5" "$6"
    else failed "$1" "$e"; fi
    shift 6
    n=$((n - 6))
  done
  if [ -n "$some" ]; then
    kept "$@" 2>&-
    n=$#
    while [ "$n" -gt 0 ]; do
      old_of "$6"
      x=$side.old/$b
      if { [ -e "$x" ] || [ -L "$x" ]; } && ! e=$(mv -f -- "$x" "$to" 2>&1); then
        unkeep "$1" "$6"
        failed "$1" "$e"
      else set -- "$@" "$1" "$2" "$3" "$4" "$5" "$6"; fi
      shift 6
      n=$((n - 6))
    done
  fi
  [ $# -le 6 ] || renamed "$@" 2>&-
  while [ $# -gt 0 ]; do # one that is still in the stage is tried once more, for the reason
    e= x=$new/$6
    if { [ ! -e "$x" ] && [ ! -L "$x" ]; } || e=$(mv -f -- "$x" ./ 2>&1); then ok "$1"
    else unkeep "$1" "$6"; failed "$1" "$e"; fi
    shift 6
  done
}
renamed() { # RECORDS: the new versions
  n=$#
  while [ "$n" -gt 0 ]; do
    set -- "$@" "$new/$6"
    shift 6
    n=$((n - 6))
  done
  mv -f -- "$@" ./
}
kept() { # RECORDS: the old versions, as far as there are any
  n=$#
  while [ "$n" -gt 0 ]; do
    old_of "$6"
    x=$side.old/$b
    { [ ! -e "$x" ] && [ ! -L "$x" ]; } || set -- "$@" "$x"
    shift 6
    n=$((n - 6))
  done
  mv -f -- "$@" "$to"
}
room() { # for $s below $saved, where nobody else may write; in a subshell
  { [ -d "$saved" ] || mkdir -p -- "$saved"; } && cd -P -- "$saved" && dev= && survey || return
  if [ -n "$own" ]; then [ -d "${s%/*}" ] || mkdir -p -- "${s%/*}"; return; fi
  echo "old versions cannot be kept in $PWD: others than root may write in it or above it" >&2
  return 1
}
pin() { # NUMBER NAME ATTRIBUTES: link what is about to be replaced into the stage, under the name by which it is kept
  k=$1
  shift
  [ -e "./$1" ] || [ -L "./$1" ] || return 0
  if [ -d "./$1" ] && [ ! -L "./$1" ]; then e="it has become a directory"; return 1; fi
  [ "$saved" != - ] || return 0
  old_of "$1"
  if [ -d "$to$b" ] && [ ! -L "$to$b" ]; then e="$s is a directory, in the way"; return 1; fi
  x=$side.old/$b
  e=$({ [ -d "$side.old" ] || mkdir -- "$side.old" "$side.before"; } 2>&1) || return
  if ! e=$(ln -- "./$1" "$x" 2>&1); then
    # A file system without links: a copy is made of what only we can exchange.
    { [ -n "$own" ] && e=$(cp -pP -- "./$1" "$x" 2>&1); } || return
  fi
  narrow "$x" "$2" || return
  case $saved in
    /*) e=$(room 2>&1) || return ;;
    *) if [ -e "./$1.saved" ] || [ -L "./$1.saved" ]; then e=$(ln -- "./$1.saved" "$side.before/" 2>&1) || return; fi ;;
  esac
  e=$(printf '%s\n' "${PWD%/}/$1" "$s" "$was" 2>&1 >>"$journal/kept") || return
  some=1
  eval "k$k=1"
}
unkeep() { # NUMBER NAME: it was not replaced
  eval "x=\$k$1"
  [ -n "$x" ] || return 0
  printf '%s\n' "${PWD%/}/$2" - - >>"$journal/kept"
  x=$2.saved
  case $saved in /*) return ;; esac
  if [ -e "$side.old/$x" ] || [ -L "$side.old/$x" ]; then :
  elif [ -e "$side.before/$x" ] || [ -L "$side.before/$x" ]; then mv -f -- "$side.before/$x" ./ 2>&-
  else rm -f -- "./$x" 2>&-; fi
}
narrow() { # OLD ATTRIBUTES: an old version is not more open than what replaces it: if need be, a copy is kept instead
  was=-
  [ ! -L "$1" ] || return 0
  attributes "$2"
  e=$(stat -c %a:%u:%g:%U:%G:%d:%i:%s:%Y -- "$1" 2>&1) || return
  IFS=:; set -f; set -- "$1" $e; set +f; unset IFS
  was=$3:$4:$2 m=$((0${mode:-777} & 0777)) x=$3:$4
  [ ! -d "$1" ] || m=$((m | (m & 0444) >> 2))
  m=$((0$2 & m))
  # Of another owner than the new one it becomes root's; so it does with a special bit, which comes back by --restore.
  [ "$5:$6" = "$owner:$group" ] || [ "$x" = "$uid:$gid" ] || x=0:0
  [ $((0$2 & 07000)) = 0 ] || x=0:0
  if [ "$x" = "$3:$4" ] && [ "$m" = $((0$2)) ]; then was=$was:$7:$8:$9; return; fi
  m=$(printf %05o "$m")
  if [ -d "$1" ]; then
    e=$({ chown -- "$x" "$1" && chmod -- "$m" "$1"; } 2>&1) || return
  else
    c=-P
    [ -f "$1" ] || c=-R # a pipe is made, not read
    e=$({ cp "$c" -- "$1" "$1.synctool" && chown -- "$x" "$1.synctool" && chmod -- "$m" "$1.synctool" &&
      mv -f -- "$1.synctool" "$1"; } 2>&1) || return
  fi
  e=$(stat -c %d:%i:%s -- "$1" 2>&1) && was=$was:$e
}
swap() { # NUMBER OLD ATTRIBUTES NAME: what a rename cannot replace is moved away
  old_of "$4"
  if [ "$2" = leave ] && [ -d "./$4" ]; then
    failed "$1" "it leads to a directory: say 'follow: yes' or 'no' in attributes.yaml"
    return
  fi
  if [ ! -e "./$4" ] && [ ! -L "./$4" ]; then :
  elif [ "$saved" = - ] && { [ ! -d "./$4" ] || [ -L "./$4" ]; }; then s=
  elif [ -e "$to$b" ] || [ -L "$to$b" ]; then failed "$1" "$s is in the way"; return; fi
  if e=$(exchange "$4" "$3" 2>&1); then ok "$1"; else failed "$1" "$e"; fi
}
exchange() { # NAME ATTRIBUTES, with $s, the place of the old version, or nothing; $side.to is there until it has a place
  mkdir -- "$side.old" "$side.kept" || return
  case $saved in /*) [ -z "$s" ] || (room) || return ;; esac
  printf '%s\n' "$PWD" "$1" "${s:+$b}" >"$side.to"
  if [ ! -e "./$1" ] && [ ! -L "./$1" ]; then mv -f -- "$new/$1" ./; x=$?
  elif ! mv -- "./$1" "$side.old/"; then x=1
  elif ! mv -f -- "$new/$1" ./; then mv -f -- "$side.old/$1" ./ || return; x=1
  elif [ -z "$s" ] || laid_aside "$1" "$2"; then x=0
  else mv -- "./$1" "$new/" && mv -- "$side.old/$1" ./ || return; x=1; fi
  rm -f -- "$side.to"
  return "$x"
}
laid_aside() { # NAME ATTRIBUTES: the old version gets its place, or is in $side.old as it was
  k=$side.kept/$b
  mv -- "$side.old/$1" "$k" || return
  if ! narrow "$k" "$2"; then echo "$e" >&2
  elif printf '%s\n' "${PWD%/}/$1" "$s" "$was" >>"$journal/kept" && mv -- "$k" "$to"; then return; fi
  printf '%s\n' "${PWD%/}/$1" - - >>"$journal/kept"
  case $saved in /*) rm -rf -- "$to$b" ;; esac # a part of a copy
  [ "$was" = - ] || as_was "$was" "$k"
  mv -- "$k" "$side.old/$1"
  return 1
}
set_all() { # RECORDS, with what sets all their owners and modes in all(): together where that is safe
  if [ -z "$wrong" ] && survey && [ -n "$own" ] && all 2>&-; then
    while [ $# -gt 0 ]; do ok "$1"; shift 6; done
  else set_each "$@"; fi
}
set_each() { # (NUMBER KIND WHAT SOURCE ATTRIBUTES NAME)...: set owner or mode, by WHAT: o, m or om
  while [ $# -gt 0 ]; do
    if ! survey; then failed "$1" "$wrong"
    elif [ "$2" = directory ]; then
      if e=$(set_directory "$3" "$5" "$6" 2>&1); then ok "$1"; else failed "$1" "$e"; fi
    elif [ -n "$own" ]; then
      attributes "$5"
      if e=$({ real "$2" "$6" && differing "$3" "./$6"; } 2>&1); then ok "$1"; else failed "$1" "$e"; fi
    elif [ "$2" = link ]; then put "$1" link nothing "$4" "$5" "$6"
    else put "$1" same nothing "$4" "$5" "$6"; fi
    shift 6
  done
}
real() { # KIND NAME: chmod follows a link, and what it leads to is nobody's business
  [ "$1" = link ] || [ ! -L "./$2" ] || { echo "it has become a link" >&2; return 1; }
}
differing() { # WHAT NAME...: no needless chown, which takes capabilities away; and then the mode, since it clears bits
  x=$1
  shift
  case $x in *o*) own "$owner" "$group" "$uid" "$gid" "$@" || return ;; esac
  [ -z "$mode" ] || chmod -- "$mode" "$@"
}
set_directory() { # WHAT ATTRIBUTES NAME
  attributes "$2"
  x=${PWD%/}/$3
  cd -P -- "./$3" || return
  case $3 in
    */.) ;;
    *)
      if [ "$PWD" != "$x" ] || { [ -z "$own" ] && [ "$(env pwd -P)" != "$x" ]; }; then
        echo "it has become a link" >&2
        return 1
      fi ;;
  esac
  differing "$1" .
}
remove() { # (NUMBER NAME)...
  while [ $# -gt 0 ]; do
    if [ -n "$wrong" ]; then failed "$1" "$wrong"
    elif e=$(rm -f -- "./$2" 2>&1); then ok "$1"
    else failed "$1" "$e"; fi
    shift 2
  done
}
back() { # NUMBER SAVED RECORD NAME: an old version comes back as it was; until then it stays where it was kept
  stage || { failed "$1" "$e"; return; }
  new=$t/$((groups += 1)) side=$new
  if e=$(bring_back "$2" "$3" "$4" 2>&1); then ok "$1"; else failed "$1" "$e"; fi
  rm -rf -- "$new" "$new".*
}
bring_back() { # SAVED UID:GID:MODE:DEVICE:INODE:SIZE NAME
  mkdir -- "$new" "$side.old" "$side.kept" || return
  case $1 in "${PWD%/}/"*) x=./${1#"${PWD%/}/"} ;; *) x=$1 ;; esac
  b=$side.old/${1##*/} k=$new/$3
  if [ -d "$x" ] && [ ! -L "$x" ]; then mv -- "$x" "$side.old/" && mv -- "$b" "$k" || return; x=
  else ln -- "$x" "$k" || { case $x in /*) cp -pP -- "$x" "$k" ;; *) false ;; esac; } || return; fi
  if kept_as "$2" "$k" && cleared "$3" && mv -f -- "$k" ./; then [ -z "$x" ] || rm -f -- "$x"; return; fi
  if [ -e "$side.kept/$3" ] || [ -L "$side.kept/$3" ]; then mv -f -- "$side.kept/$3" ./; fi
  if [ -z "$x" ]; then mv -- "$k" "$b" && mv -- "$b" ./
  elif [ ! -L "$k" ]; then chown -- 0:0 "$k"; chmod -- 0600 "$k"; fi
  return 1
}
kept_as() { # RECORD PATH: it is what was kept there; give it the owner and mode that it had then
  [ ! -L "$2" ] && [ "$1" != - ] || return 0
  is=%d:%i:%s was=${1#*:*:*:}
  [ ! -d "$2" ] || is=%d:%i was=${was%:*}
  case $1:$saved in
    *:*:*:*:*:/*) ;; # where nobody else may write
    *:*:*:*:*)
      if [ "$was" != "$(stat -c "$is" -- "$2")" ]; then
        echo "what is kept there was changed or replaced since" >&2
        return 1
      fi ;;
  esac
  as_was "$1" "$2"
}
as_was() { # RECORD PATH
  IFS=:; set -f; set -- "$2" $1; set +f; unset IFS
  chown -h -- "$2:$3" "$1" && chmod -- "0000$4" "$1"
}
cleared() { # NAME: what is there must not be in the way of a rename
  if [ -d "./$1" ] && [ ! -L "./$1" ]; then rmdir -- "./$1"
  elif [ -d "$k" ] && { [ -e "./$1" ] || [ -L "./$1" ]; }; then mv -- "./$1" "$side.kept/"; fi
}
accept() { # COMMAND FILE [silent]: whether the command, in which $f is the file, accepts it
  f=$2
  v=$( { if [ -c /dev/null ]; then exec </dev/null; else exec <&-; fi; cd / && eval "$1"; } 2>&1) && return
  s=$? v=": ${v##*"$nl"}"
  [ -z "$3" ] || v=' (what it says is not shown: sensitive)'
  printf 'refused by its validate command with exit status %s%s\n' "$s" "$v" >&2
  return 1
}
ok() { eval "d$1=1"; echo "ok $1"; say "$1"; }
failed() { printf 'failed %s %s\n' "$1" "${2##*"$nl"}"; say "$1" ": FAILED ${2##*"$nl"}"; }
say() { # NUMBER [RESULT]: to the log of this node
  [ -n "$log$syslog" ] || return 0
  eval "l=\$l$1"
  [ -n "$l" ] || return 0
  l="$SYNCTOOL_NODE: $l$2"
  [ -z "$syslog" ] || said="$said$l$nl"
  [ -n "$log" ] || return 0
  printf '%s %s\n' "$now" "$l" >>"$log" || unlogged "$(: 2>&1 >>"$log")"
}
unlogged() { # REASON: the changes are what matters, so they are made all the same
  log=
  echo "remark its log is not complete: ${1##*"$nl"}"
}
now= said=
note_time() { # for what is said from here on
  [ -z "$said" ] || printf '%s' "$said" | logger -t synctool 2>&-
  said=
  [ -z "$log" ] || { now=$(date +%Y-%m-%dT%H:%M:%S%z) && now=${now%??}:${now#"${now%??}"}; }
}
limited() { # COMMAND...: bounded in time where the node can do that
  if (timeout -k 5 5 true) 2>&-; then exec timeout -k 5 "$limit" "$@"; else exec "$@"; fi
}
trigger() { # NUMBER NAME, with the command in act(), here; output into a file: a daemon may hold on to a pipe
  [ -z "$wrong" ] || { failed "$1" "$wrong"; return; }
  o=$(mktemp "${TMPDIR:-/tmp}/synctool.XXXXXX") || { failed "$1" "no room for its output"; return; }
  # The file loses its name at once, so that nothing stays behind, however this ends.
  exec 4>"$o" 5<"$o"
  rm -f -- "$o"
  (if [ -c /dev/null ]; then act </dev/null; else act <&-; fi) >&4 2>&1 4>&- 5<&-
  s=$?
  note_time
  tail -c 4000 <&5 | sed 's/^/output /'
  echo
  exec 4>&- 5<&-
  case $s in
    0) paid "$2"; ok "$1" ;;
    124) failed "$1" "it did not end within $limit s" ;;
    143) failed "$1" "it was terminated (it has $limit s)" ;; # by BusyBox's timeout, or by somebody else
    *) failed "$1" "exit status $s" ;;
  esac
}
script() { # NUMBER NAME SCRIPT
  p=$3
  act() { limited /bin/sh -c 'exec "$0"' "$p"; }
  if [ -x "$3" ]; then trigger "$1" "$2"; else failed "$1" "it is not an executable file"; fi
}
on_update() { # NUMBER NAME TEXT
  p=$3
  act() { PATH=$SYNCTOOL_MASTERDIR/scripts:$PATH; limited /bin/sh -c "$p"; }
  trigger "$1" "$2"
}
tidy() { # what repairs that were killed have left on this node; what they had moved away comes back
  for d in "$state/stage/$host."*.??????; do tidied "$d"; done
  [ -r "$journal/private" ] || return 0
  still=
  while IFS= read -r d; do
    case $d in */.synctool."$host".*.??????) tidied "$d" ;; esac
    [ ! -d "$d" ] || still=1
  done <"$journal/private"
  [ -n "$still" ] || rm -f -- "$journal/private"
}
tidied() { # STAGE
  p=${1%.*} p=${p##*.}
  [ -d "$1" ] && ! kill -0 "$p" 2>&- || return 0
  for f in "$1"/*.to; do
    [ ! -f "$f" ] || recover "$f" "${f%.to}.old" || return 0
  done
  rm -rf -- "$1"
}
recover() { # FILE DIRECTORY: what a type change had moved there goes back, or to where it is kept if its place is taken
  { IFS= read -r x && IFS= read -r n && IFS= read -r s; } <"$1"
  k=${2%.old}.kept/$s
  if [ -e "$2/$n" ] || [ -L "$2/$n" ]; then o=$2/$n
  elif [ -n "$s" ] && { [ -e "$k" ] || [ -L "$k" ]; }; then o=$k
  else return 0; fi
  within "$x"
  [ -z "$wrong" ] || return
  if [ ! -e "./$n" ] && [ ! -L "./$n" ]; then
    [ "$o" = "$2/$n" ] || mv -- "$o" "$2/$n" && mv -- "$2/$n" ./
  elif [ -z "$s" ]; then :
  else
    [ ! -e "./$s" ] && [ ! -L "./$s" ] && { [ "$o" = "$k" ] || mv -- "$o" "$k"; } && mv -- "$k" ./
  fi
}
"""

RECALL: Final = rb"""recall() { # JOURNAL: which old versions the last repair has kept, and are still there
  f=$1/kept
  if [ -e "$f" ] && [ ! -r "$f" ]; then echo "refused $f cannot be read"; return; fi
  echo recalled
  [ ! -e "$f" ] || {
    IFS= read -r who
    while IFS= read -r p && IFS= read -r s && IFS= read -r r; do
      # A later line counts: `-` takes back an earlier one.
      if [ "$s" = - ] || [ -e "$s" ] || [ -L "$s" ]; then printf '%s\n%s\n%s\n' "$p" "$s" "$r"; fi
    done
  } <"$f"
  echo end
}"""

"""Shell functions for the script of a repair: POSIX shell, GNU coreutils or BusyBox.

A script starts with PROLOGUE, sets `state`, `journal`, `who` and `limit`, and then calls `begin`. This module has the
frame: lock, journal, log, and the remains of killed repairs.
"""

from __future__ import annotations

from typing import Final

from pytest_synctool.common.prologue import LOGIN
from pytest_synctool.common.shell import compact
from pytest_synctool.repair.attribute_functions import ATTRIBUTES
from pytest_synctool.repair.change_functions import CHANGES
from pytest_synctool.repair.in_place_functions import IN_PLACE
from pytest_synctool.repair.kept_report import KEPT_REPORT
from pytest_synctool.repair.stage_functions import STAGE
from pytest_synctool.repair.trigger_functions import TRIGGERS

_FRAME: Final = rb"""LC_ALL=C; export LC_ALL
octal=0
[ $((010)) = 8 ] || octal=8# # 010 is ten for mksh, and for a ksh93 that is not called sh
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
nl='
'
wrong= locked= beating= unplaced= through= t= dev= base= r= roomy= parted= self=$$ stages=0 groups=0
# When the other end of the connection goes away, the repair goes on: nothing is left in the middle.
trap : PIPE HUP
trap 'exit 1' INT TERM
trap 'quiet; clean; note_time; unlock' EXIT
me= host= # a shell reads itself what the kernel tells: to start a program takes longer
[ ! -r /proc/self/status ] ||
  while read -r l x p f; do case $l in Uid:) me=$p; break ;; esac; done </proc/self/status
[ ! -r /proc/sys/kernel/hostname ] || read -r host </proc/sys/kernel/hostname
me=${me:-$(id -u)} host=${host:-$(uname -n)}
clean() { # the stages go away, but for one in which an old version waits for tidy() of the next repair
  while [ "$stages" -gt 0 ]; do
    eval "t=\$stage$stages"
    set -- "$t"/*.to
    [ -e "$1" ] || discard "$t"
    stages=$((stages - 1))
  done
  t=
}
discard() { # STAGE: it goes away, and $journal/private says so
  rm -rf -- "$1" || return
  case $1 in "$state"/*) ;; *) printf '%s\n' "-$1" >>"$journal/private" ;; esac
}
is_there() { [ -L "$1" ] || [ -e "$1" ]; }
refuse() { # REASON: nothing has been changed
  [ "$me" = 0 ] || set -- "$1 (the login is not root: see --sudo)"
  printf 'refused %s\n' "$1"
  exit 0
}
born() { # PID: when that process began, counted from the start of the machine; nothing where it is not known
  [ -r "/proc/$1/stat" ] && read -r l <"/proc/$1/stat" || return 0
  l=${l##*')'} # quoted for ksh93
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
  [ ! -s "$f" ] || e=$(put_away "$f" "$journal/earlier" 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
  e=$( (printf '%s\n' "$who" >"$f") 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
}
put_away() { # KEPT EARLIER: the records of earlier runs stay, the oldest ones as long as there are not too many
  if [ -e "$2" ] && x=$(wc -c <"$2") && [ "$x" -gt 2000000 ]; then mv -f -- "$2" "$2.older" || return; fi
  { cat -- "$1" && echo; } >>"$2"
}
unlock() { # a journal in which nothing is owed goes away
  [ -n "$locked" ] || return 0
  forget_stages
  rmdir -- "$journal/owed" "$journal" 2>&-
  rm -f -- "$state/lock"
  locked=
}
needed="cat chmod chown cp env head id ln md5sum mkdir mktemp mv rm rmdir sed sleep stat sync tail uname"
lacking() { # PROGRAM...: set $e to those that are not there
  e=
  l=$(for p do command -v "$p" || echo "-$p"; done)
  IFS=$nl; set -f
  for p in $l; do case $p in -*) e="$e ${p#-}" ;; esac; done
  set +f; unset IFS
}
open_state() { # the node's own state directory, in which nobody else may write
  lacking $needed
  [ -z "$e" ] || { me=0; refuse "programs that --fix needs are missing there:$e"; } # also without id
  umask 066 # others may look whether something is owed, but see no names
  [ -d "$state" ] || e=$(mkdir -p -- "$state" 2>&1) || refuse "no journal can be kept there: ${e##*"$nl"}"
  ours "$state" "no journal can be kept there"
}
begin() { # what is changed from here on is known to the next run, whatever happens
  open_state
  home=$dev
  find_mounts
  [ ! -e /sys/fs/selinux/enforce ] || labels=1
  [ -z "$masterdir" ] || [ ! -d "$masterdir" ] || ours "$masterdir" "its copy of the masterdir cannot be trusted"
  lock
  e=$(mkdir -p -- "$journal/owed" 2>&1) || refuse "no journal can be kept there: ${e##*"$nl"}"
  [ -z "$log" ] || if l=$(log_place 2>&1); then log=$l; else unlogged "$l"; fi
  [ -S /dev/log ] && l=$(command -v logger) || syslog=
  umask 077
}
log_place() { # prints the path of the log of this node, which is made; only root may exchange it, or write in it
  cd -P -- "${log%/*}/" 2>&- || { echo "the directory of $log cannot be entered"; return 1; }
  wrong= dev=
  survey || { echo "$wrong"; return 1; }
  [ -n "$own" ] || { echo "others than root may write in $PWD or above it"; return 1; }
  l=./${log##*/}
  if is_there "$l"; then
    [ ! -L "$l" ] && [ -f "$l" ] || { echo "$log is no regular file"; return 1; }
    case $(stat -c %u:%a -- "$l") in
      0:*[2367] | 0:*[2367]? | [!0]*) echo "others than root may write $log"; return 1 ;;
    esac
  fi
  (umask 037; : >>"$l") && printf '%s\n' "${PWD%/}/${log##*/}"
}
find_mounts() {
  mounts=
  if [ -r /proc/self/mountinfo ]; then
    while read -r a a a a m a; do
      # A space is \040 there.
      case $m in *\\*) m=$(printf %b "$(printf '%s\n' "$m" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") ;; esac
      mounts=$mounts$m$nl
    done </proc/self/mountinfo
  fi
}
owe() { # NUMBER NAME PATH: a command that has to run after a change, noted before the change
  [ ! -e "$journal/owed/$2" ] || return 0
  e=$( (printf '%s\n' "$3" >"$journal/owed/$2") 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
  eval "n$1=1"
}
paid() { rm -f -- "$journal/owed/$1"; }
within() { # DIRECTORY [LINK]: where all is done that follows; of what leads there only LINK may be a link
  here
  note_time
  wrong= t= dev= there=$1 at=${1%/} saved=$place
  if [ -n "$2" ] && cd -P -- "$2" 2>&-; then there=${PWD%/}${1#"$2"}; fi
  if cd -P -- "$1" 2>&-; then
    # From here on names are relative: whoever puts a link in the way meanwhile is not followed.
    [ "$PWD" = "${there:-/}" ] || wrong="$1 leads to $PWD: 'follow: yes' in attributes.yaml would allow the link"
  elif wrong=$(stat -- "$1/." 2>&1 >&-); then wrong="stat: $1: cannot be entered"; fi
  return 0
}
within_aside() { within "$@"; saved=$aside; } # where an old version has no place beside the new one
accept() { # COMMAND FILE [silent]: whether the command, in which $f is the file, accepts it
  echo runs >&6
  x=$1 p=$2
  act() { cd / && limited /bin/sh -c 'f=$1; eval "$2"' sh "$p" "$x"; }
  bounded
  [ "$s" != 0 ] || return 0
  outcome
  case $e in exit*) e="with $e" ;; *) e="since $e" ;; esac
  if [ -n "$3" ]; then hint "$p"; else v=$nl$v v=${v##*"${nl}output "}; fi
  case $v in '' | "$nl") v= ;; ' ('*) ;; *) v=": $v" ;; esac
  printf 'refused by its validate command %s%s\n' "$e" "$v" >&2
  return 1
}
hint() { # FILE: of $v, what was said of a secret file, keep the place in it and words that are not in it
  l=${v#*"$1"} c=$(wc -c <"$1")
  if [ "$l" = "$v" ] || [ "${c:-9000000}" -gt 1000000 ]; then v=' (what it says is not shown: sensitive)'; return; fi
  c=$(tr A-Z a-z <"$1") v= b=0
  l=$(printf %s "${l%%"$nl"*}" | tr A-Z a-z | tr -c 'a-z0-9_' ' ')
  set -f
  for x in $l; do
    b=$((b + 1))
    case $b-$x in
      [12]-*[!0-9]*) ;;
      [12]-*) v="$v $x"; continue ;; # a number right behind the name
      1[3-9]-* | *-?????????????????????*) continue ;;
    esac
    case $c in *"$x"*) ;; *) v="$v $x" ;; esac
  done
  set +f
  case $v in
    '') v=' (what it says is not shown: sensitive)' ;;
    *) v=" (sensitive, so that only this is shown: line$v)" ;;
  esac
}
part() { # TEXT VARIABLE...: in a shell of its own; of what it sets, only whether these variables are set comes back
  case ${KSH_VERSION-} in Version*) eval "$1"; return ;; esac # ksh93 would start none
  to_syslog
  {
    x=$(
      exec 5>&1 >&8 8>&-
      trap : PIPE HUP
      trap 'exit 1' INT TERM
      trap 'clean; to_syslog' EXIT
      stages=0 parted=1
      [ ! -r /proc/self/stat ] || read -r self rest </proc/self/stat
      eval "$1" 5>&-
      shift
      for v do eval "x=\$$v"; [ -z "$x" ] || echo "$v=1" >&5; done
    ) || exit
  } 8>&1
  eval "$x"
}
here() { # a part ends with the shell that holds the lock
  [ -z "$parted" ] || kill -0 $$ 2>&- || exit
}
all_ok() { # NUMBER...
  printf 'ok %s\n' "$@"
  printf 'ok %s\n' "$@" >&6
}
ok() { eval "d$1=1"; noted ok "$1"; say "$1"; }
failed() { noted failed "$1" "${2##*"$nl"}"; say "$1" ": FAILED ${2##*"$nl"}"; }
say() { # NUMBER [RESULT]: to the log of this node
  [ -n "$log$syslog" ] || return 0
  eval "l=\$l$1"
  [ -z "$l" ] || say_all "$l$2"
}
say_all() { # LINE...
  for l do
    l="$SYNCTOOL_NODE: $l"
    [ -z "$syslog" ] || said="$said$l$nl"
    [ ${#said} -lt 16000 ] || to_syslog # a longer text takes longer for each line
    [ -z "$log" ] || printf '%s %s\n' "$now" "$l" >>"$log" || unlogged "$(: 2>&1 >>"$log")"
  done
}
to_syslog() {
  [ -z "$said" ] || printf '%s' "$said" | logger -t synctool 2>&-
  said=
}
unlogged() { # REASON: the changes are what matters, so they are made all the same
  log=
  echo "remark its log is not complete: ${1##*"$nl"}"
}
now= said=
note_time() { # for what is said from here on
  to_syslog
  [ -z "$log" ] || { now=$(date +%Y-%m-%dT%H:%M:%S%z) && now=${now%??}:${now#"${now%??}"}; }
}
tidy() { # what repairs that were killed have left on this node; what they had moved away comes back
  for d in "$state/stage/$host."*.??????; do tidied "$d"; done
  for f in "$state"/script.*; do # of which not all pieces came
    [ ! -f "$f" ] || find "$f" -prune -mmin +60 -exec rm -f -- {} \; 2>&-
  done
  [ -r "$journal/private" ] || return 0
  while IFS= read -r d; do
    case $d in -*) ;; */.synctool."$host".*.??????) tidied "$d" ;; esac
  done <"$journal/private"
  forget_stages
}
forget_stages() { # elsewhere than below $state, that have gone away. Others may be on a file system that is not mounted
  [ -r "$journal/private" ] || return 0
  gone=$nl left=
  while IFS= read -r d; do case $d in -*) gone=$gone${d#-}$nl ;; esac; done <"$journal/private"
  while IFS= read -r d; do
    case $d in -*) ;; *) case $gone in *"$nl$d$nl"*) ;; *) left=$left$d$nl ;; esac ;; esac
  done <"$journal/private"
  if [ -z "$left" ]; then rm -f -- "$journal/private"
  elif [ -n "$locked" ] && [ "$gone" != "$nl" ]; then
    printf %s "$left" >"$journal/private.new" && mv -f -- "$journal/private.new" "$journal/private"
  fi
}
tidied() { # STAGE
  p=${1%.*} p=${p##*.}
  is_private "$1" && ! kill -0 "$p" 2>&- || return 0
  for f in "$1"/*.to; do
    [ ! -f "$f" ] || recover "$f" "${f%.to}.old" || return 0
  done
  discard "$1"
}
is_private() { # STAGE: a directory of ours in which nobody else may write. In a sticky one others may make that name
  case $(stat -c %f:%u -- "$1" 2>&-) in 4?[02468ace][014589cd]:"$me") ;; *) return 1 ;; esac
}
recover() { # FILE DIRECTORY: what a type change had moved there goes back, or to where it is kept if its place is taken
  { IFS= read -r x && IFS= read -r n && IFS= read -r s; } <"$1"
  k=${2%.old}.kept/$s
  if is_there "$2/$n"; then o=$2/$n
  elif [ -n "$s" ] && is_there "$k"; then o=$k
  else return 0; fi
  within "$x"
  (survey) || return
  if ! is_there "./$n"; then
    [ "$o" = "$2/$n" ] || mv -- "$o" "$2/$n" && mv -- "$2/$n" ./
  elif [ -z "$s" ]; then :
  else
    ! is_there "./$s" && { [ "$o" = "$k" ] || mv -- "$o" "$k"; } && mv -- "$k" ./
  fi
}
"""
READABLE_PROLOGUE: Final = LOGIN + _FRAME + KEPT_REPORT + STAGE + TRIGGERS + ATTRIBUTES + CHANGES + IN_PLACE
PROLOGUE: Final = compact(READABLE_PROLOGUE)

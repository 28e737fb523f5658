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
t= wrong= locked=
# When the other end of the connection goes away, the repair goes on: nothing is left in the middle.
trap : PIPE HUP
trap 'exit 1' INT TERM
trap 'clean; note_time; unlock' EXIT
clean() { [ -z "$t" ] || rm -rf -- "$t"; t=; }
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
  f=$journal/saved
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
  clean
  note_time
  wrong= there=$1
  if [ -n "$2" ] && cd -P -- "$2" 2>&-; then there=${PWD%/}${1#"$2"}; fi
  if cd -P -- "$1" 2>&-; then
    # From here on names are relative: whoever puts a link in the way meanwhile is not followed.
    [ "$PWD" = "${there:-/}" ] || wrong="$1 leads to $PWD: 'follow: yes' in attributes.yaml would allow the link"
  elif wrong=$(stat -- "$1/." 2>&1 >&-); then wrong="stat: $1: cannot be entered"; fi
}
fresh() { # a private directory here, where things are made complete before a rename puts them in place
  [ -z "$t" ] || return 0
  [ -z "$wrong" ] || { e=$wrong; return 1; }
  sweep
  e=$(mktemp -d "./.synctool.$host.$$.XXXXXX" 2>&1) || return
  t=$e
  printf '%s\n' "${PWD%/}/${t#./}" >>"$journal/private"
}
host=$(uname -n)
sweep() { # take away what a repair on this node that was killed has left here
  for d in "./.synctool.$host."*.??????; do
    p=${d%.*} p=${p##*.}
    [ ! -d "$d" ] || kill -0 "$p" 2>&- || rm -rf -- "$d"
  done
}
own() { # by name, each by number where the node does not know the name
  chown -h -- "$1:$2" "$5" && return
  chown -h -- "$1" "$5" || chown -h -- "$3" "$5" || return
  chown -h -- ":$2" "$5" || chown -h -- ":$4" "$5"
}
real() { # chmod follows a link, and what it leads to is nobody's business
  [ ! -L "$1" ] || { echo "it has become a link" >&2; return 1; }
}
copy() { # SOURCE OWNER GROUP UID GID MODE NEW; install knows no numbers for names that the node does not have
  install -o "$2" -g "$3" -m "$6" -- "$1" "$7" && return
  cp -- "$1" "$7" && own "$2" "$3" "$4" "$5" "$7" && real "$7" && chmod -- "$6" "$7"
}
folder() { # OWNER GROUP UID GID MODE NEW
  install -d -o "$1" -g "$2" -m "$5" -- "$6" && return
  { [ -d "$6" ] || mkdir -- "$6"; } && own "$1" "$2" "$3" "$4" "$6" && real "$6" && chmod -- "$5" "$6"
}
old_of() { # NAME: sets $s to where its old version is kept
  case $saved in /*) s=${saved%/}${PWD%/}/$1 ;; *) s=${PWD%/}/$1.saved ;; esac
}
room() { # for $s
  [ -d "${s%/*}" ] || mkdir -p -- "${s%/*}"
}
note() { # NAME: its old version is in $s
  printf '%s\n%s\n' "${PWD%/}/$1" "$s" >>"$journal/saved"
}
keep() { # a file or link about to be replaced stays as NAME.saved
  [ -e "$1" ] || [ -L "$1" ] || return 0
  if [ -d "$1" ] && [ ! -L "$1" ]; then echo "it has become a directory" >&2; return 1; fi
  [ "$saved" != - ] || return 0
  old_of "$1"
  if [ -d "$s" ]; then printf '%s is a directory, in the way\n' "$s" >&2; return 1; fi
  room && { ln -f -- "$1" "$s" || { rm -f -- "$s" && cp -pP -- "$1" "$s"; }; } && note "$1"
}
aside() { # NAME: what a rename cannot replace is moved to NAME.saved; sets $old to where it is then, or $e
  [ -e "$1" ] || [ -L "$1" ] || return 0
  old_of "$1"
  if [ "$saved" = - ] && { [ ! -d "$1" ] || [ -L "$1" ]; }; then
    s=$t/.old
  elif [ -e "$s" ] || [ -L "$s" ]; then e="$s is in the way"; return 1
  else e=$( (room && note "$1") 2>&1) || return; fi
  e=$(mv -- "$1" "$s" 2>&1) && old=$s
}
back() { # SAVED NAME: an old version comes back; until then it stays where it was kept
  if [ -d "$2" ] && [ ! -L "$2" ]; then rmdir -- "$2" && mv -- "$1" "$2"
  elif [ -d "$1" ] && [ ! -L "$1" ]; then rm -f -- "$2" && mv -- "$1" "$2"
  else { ln -- "$1" "$t/$2" || cp -pP -- "$1" "$t/$2"; } && mv -f -- "$t/$2" ./ && rm -f -- "$1"; fi
}
leave() { # a link that leads to a directory is left to people, anything else is moved aside
  [ ! -d "$1" ] || { e="it leads to a directory: say 'follow: yes' or 'no' in attributes.yaml"; return 1; }
  aside "$1"
}
accept() { # COMMAND FILE [silent]: whether the command, in which $f is the file, accepts it
  f=$PWD/${2#./}
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
step() { # NUMBER [fresh], with the action in act()
  if [ -n "$wrong" ]; then e=$wrong; elif { [ -z "$2" ] || fresh; } && e=$(act 2>&1); then ok "$1"; return; fi
  failed "$1" "$e"
}
prepare() { # (NUMBER SAVE SYNC NAME)...: make them, in the private directory
  n=$#
  while [ "$n" -gt 0 ]; do
    "make$1" "$t/$4" || return
    [ "$3" = - ] || set -- "$@" "$t/$4"
    shift 4
    n=$((n - 4))
  done
  [ $# = 0 ] || sync -- "$@" || sync
}
replace() { # the same: put them in place, each by a rename
  n=$#
  while [ "$n" -gt 0 ]; do
    [ "$2" = nothing ] || keep "$4" || return
    set -- "$@" "$t/$4"
    shift 4
    n=$((n - 4))
  done
  mv -f -- "$@" ./
}
alone() { # NUMBER SAVE SYNC NAME: what could not be done with the others
  # One that has got to its place must not be taken for the old one.
  [ -z "$made" ] || [ -e "$t/$4" ] || [ -L "$t/$4" ] || return 0
  rm -rf -- "$t/$4"
  e=$( { prepare "$@" && replace "$@"; } 2>&1) && return
  rm -rf -- "$t/$4" # the next one may need the room
  return 1
}
swap() { # NUMBER SAVE SYNC NAME, with what makes it in makeNUMBER(): what is there is moved away first
  old=
  if fresh && e=$(prepare "$@" 2>&1) && "$2" "$4" && e=$(mv -f -- "$t/$4" ./ 2>&1); then ok "$1"; return; fi
  [ -z "$old" ] || mv -- "$old" "$4" # nothing came in its place
  failed "$1" "$e"
}
put() { # (NUMBER SAVE SYNC NAME)..., with what makes each in makeNUMBER(): all together, or else one by one
  made= all=
  if fresh; then
    if e=$(prepare "$@" 2>&1); then
      made=1
      e=$(replace "$@" 2>&1) && all=1
    else clean; fi
  fi
  while [ $# -gt 0 ]; do
    if [ -n "$all" ] || { fresh && alone "$1" "$2" "$3" "$4"; }; then ok "$1"; else failed "$1" "$e"; fi
    shift 4
  done
}
limited() { # COMMAND...: bounded in time where the node can do that
  if (timeout -k 5 5 true) 2>&-; then exec timeout -k 5 "$limit" "$@"; else exec "$@"; fi
}
trigger() { # NUMBER DIRECTORY NAME, with the command in act(); output into a file: a daemon may hold on to a pipe
  o=$(mktemp "${TMPDIR:-/tmp}/synctool.XXXXXX") || { failed "$1" "no room for its output"; return; }
  # The file loses its name at once, so that nothing stays behind, however this ends.
  exec 4>"$o" 5<"$o"
  rm -f -- "$o"
  (cd -- "$2" && if [ -c /dev/null ]; then act </dev/null; else act <&-; fi) >&4 2>&1 4>&- 5<&-
  s=$?
  note_time
  tail -c 4000 <&5 | sed 's/^/output /'
  echo
  exec 4>&- 5<&-
  case $s in
    0) paid "$3"; ok "$1" ;;
    124) failed "$1" "it did not end within $limit s" ;;
    143) failed "$1" "it was terminated (it has $limit s)" ;; # by BusyBox's timeout, or by somebody else
    *) failed "$1" "exit status $s" ;;
  esac
}
script() { # NUMBER DIRECTORY NAME SCRIPT
  p=$4
  act() { limited /bin/sh -c 'exec "$0"' "$p"; }
  if [ -x "$4" ]; then trigger "$1" "$2" "$3"; else failed "$1" "it is not an executable file"; fi
}
on_update() { # NUMBER DIRECTORY NAME TEXT
  p=$4
  act() { PATH=$SYNCTOOL_MASTERDIR/scripts:$PATH; limited /bin/sh -c "$p"; }
  trigger "$1" "$2" "$3"
}
"""

TIDY: Final = rb"""tidy() { # JOURNAL: take away the private directories of repairs on this node that were killed
  [ -r "$1/private" ] || return 0
  host=$(uname -n) still=
  while IFS= read -r d; do
    p=${d%.*} p=${p##*.}
    case $d in */.synctool."$host".*.??????) if kill -0 "$p" 2>&-; then still=1; else rm -rf -- "$d"; fi ;; esac
  done <"$1/private"
  [ -n "$still" ] || rm -f -- "$1/private"
}"""
RECALL: Final = rb"""recall() { # JOURNAL: which old versions the last repair has kept, and are still there
  f=$1/saved
  if [ -e "$f" ] && [ ! -r "$f" ]; then echo "refused $f cannot be read"; return; fi
  echo recalled
  [ ! -e "$f" ] || {
    IFS= read -r who
    while IFS= read -r p && IFS= read -r s; do
      { [ ! -e "$s" ] && [ ! -L "$s" ]; } || printf '%s\n%s\n' "$p" "$s"
    done
  } <"$f"
  echo end
}"""

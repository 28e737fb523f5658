"""The shell functions with which a probe looks at paths. No program's words decide anything: see probe_script.

- A line that stat prints belongs to a path by its position: it counts only if stat has printed as many lines as it got
  paths. Else those that the shell finds are asked for again, half by half, until one that is odd is alone.
- Nothing is there if the shell finds nothing, as audit/absence.py says.
"""

from __future__ import annotations

from typing import Final

LOOK: Final = rb"""
numbers=%f:%u:%s:%g
as=$numbers:%U:%G works= called=
stamps=%d:%i:%s:%Y:%Z:%y:%z stamp= seen=
count() { n=$#; }
refer() { # NUMBER...: sets $refs to the words for their paths, for eval
  refs=
  for k; do refs="$refs \"\$p$k\""; done
}
halve() { # FUNCTION NUMBER...: calls it with each half
  f=$1 h=$(($# / 2)) part=
  shift
  for k; do
    [ "$h" -gt 0 ] || break
    part=$part$k$nl h=$((h - 1))
  done
  shift $((($# + 1) / 2))
  set -- "$f" "$@"
  "$f" $part
  "$@"
}
look() { # TICKS FIRST KIND DIRECTORIES EXPECTED DIRECTORY... PATH...: EXPECTED has a line for each path
  # FIRST is the number of the first directory; that of the path if KIND is alone.
  first=$2 kind=$3 guards=$4 expected=$5 open= links= seen= names=
  shift 5
  if [ "$kind" = gone ]; then
    number "$first" "$@"
    apart $ks
    return
  fi
  case $kind in files | links) ! together "$@" || return 0 ;; esac
  above "$@"
  shift "$guards"
  [ "$kind" = alone ] || first=$((first + guards))
  number "$first" "$@"
  k=$first
  for e in $expected; do eval "e$k=\$e\$names"; k=$((k + 1)); done
  apart $ks
  [ -z "$seen" ] || [ -n "$slow" ] || witness
}
together() { # as the last words of look(): succeeds if all is there
  form=$as
  case ${expected%%"$nl"*} in
    *:*:*:*:*) ;;
    *) form=$numbers names=:root:root; [ -n "$called" ] || return ;;
  esac
  out=$(stat -c "$form" -- "$@" 2>&-) odd= same= k=$((first + guards))
  compare $out || return
  printf 'i:%s\n' "$first"
  [ "$guards" = 0 ] || { start "$@"; shift "$guards"; }
  first=$((first + guards))
  if [ -n "$odd" ]; then
    number "$first" "$@"
    [ -z "$same" ] || at_once $same || retry $same
    open= links=
    apart $odd
    return
  fi
  printf 'x:%s\n' $#
  if [ "$kind" = files ]; then digests "$first" "$@" || { number "$first" "$@"; retry $ks; }
  elif ! targets "$first" "$@"; then number "$first" "$@"; for k in $ks; do link "$k"; done; fi
  return 0
}
compare() { # LINE...: of $guards directories in which only root can exchange names, then as expected, but for $odd
  [ $# -gt "$guards" ] || return 1
  i=$guards
  while [ "$i" -gt 0 ]; do
    case $1 in 4?[02468ace][014589cd]:0:* | 4[2367abef]??:0:*) ;; *) return 1 ;; esac
    shift
    i=$((i - 1))
  done
  [ "$*" != "$expected" ] || return 0
  count $expected
  [ "$kind:$n" = "files:$#" ] && set_apart "$@"
}
set_apart() { # LINE...: sets $odd to the numbers, from $k on, of files that are not as expected, $same to others
  run=0 next=
  for e in $expected; do
    if [ "$1" = "$e" ]; then usual "$k"
    else
      odd=$odd$k$nl
      eval "e$k=\$e\$names"
    fi
    shift
    k=$((k + 1))
  done
  ran
}
usual() { # NUMBER: of a file that is as expected
  same=$same$1$nl
  [ "$1" = "$next" ] || { ran; begun=$1 run=0; }
  run=$((run + 1)) next=$(($1 + 1))
}
ran() { [ "$run" = 0 ] || printf 'i:%s\nx:%s\n' "$begun" "$run"; } # a run of them
start() { # PATH...: prints the lines of the first $guards, with names
  i=$guards
  for line in $out; do
    [ "$i" -gt 0 ] || break
    case $names${line##*:} in
      :root:root0) line=$line$names ;;
      :*) line=$(stat -c "$as" -- "$1" 2>&-) || line=r: ;;
    esac
    printf '%s\n' "$line"
    shift
    i=$((i - 1))
  done
}
rooted() { [ "$(stat -c %u:%U:%g:%G -- / 2>&-)" = 0:root:0:root ]; } # whether that is what 0 is called
number() { # FIRST PATH...: sets $ks to the numbers of the paths, and $p0, $p1... to the paths
  k=$1 ks=
  shift
  for p in "$@"; do eval "p$k=\$p"; ks=$ks$k$nl k=$((k + 1)); done
}
above() { # DIRECTORY... PATH...: notes links among $guards directories, and those in which others can exchange names
  i=$guards k=$first here= gone= symlinks=
  for p; do
    [ "$i" -gt 0 ] || break
    eval "p$k=\$p"
    if [ -L "$p" ] || [ -e "$p" ]; then here=$here$k$nl; else gone=$gone$k$nl; fi
    i=$((i - 1)) k=$((k + 1))
  done
  if [ -n "$here" ]; then
    if working; then directories $here; else unanswered $here; fi
  fi
  [ "$kind" != alone ] || return 0
  for k in $symlinks; do link "$k"; done
  [ -z "$gone" ] || missing $gone
}
directories() { # NUMBER...
  refer "$@"
  eval "out=\$(stat -c \"\$as\" -- $refs 2>&-)"
  count $out
  if [ "$n" = $# ]; then
    for line in $out; do
      [ "$kind" = alone ] || printf 'i:%s\n%s\n' "$1" "$line"
      eval "p=\$p$1"
      case $line in
        a*) links=$links$p$nl symlinks=$symlinks$1$nl; printf 'b:%s\n' "$p" ;;
        4?[02468ace][014589cd]:0:* | 4[2367abef]??:0:*) ;;
        *) below "$p" $open || open=$open$p$nl ;;
      esac
      shift
    done
  elif [ $# = 1 ]; then
    eval "p=\$p$1"
    open=$open$p$nl
    [ "$kind" = alone ] || reason "$1"
  else halve directories "$@"; fi
}
apart() { # NUMBER...: finds out which are there
  gone= here= fast= slow= total=0 symlinks=
  for k; do
    eval "p=\$p$k"
    if [ -L "$p" ] || [ -e "$p" ]; then here=$here$k$nl; else gone=$gone$k$nl; fi
  done
  [ -z "$gone" ] || missing $gone
  if [ -z "$here" ]; then :
  elif working; then states $here
  else unanswered $here; fi
  for k in $symlinks; do link "$k"; done
  [ -z "$fast" ] || at_once $fast || retry $fast
  [ -z "$slow" ] || exchangeable "$total" $slow
}
working() { # whether stat is
  [ -z "$works" ] || return 0
  words=$(stat -c w: -- / 2>&1)
  case $nl$words$nl in *"${nl}w:$nl"*) works=1 ;; *) words=${words##*"$nl"}; return 1 ;; esac
}
unanswered() { for k; do printf 'i:%s\nw:%s\n' "$k" "$words"; done; }
states() { # NUMBER...
  refer "$@"
  eval "out=\$(stat -c \"\$as:%Y:%Z\" -- $refs 2>&-)"
  count $out
  if [ "$n" = $# ]; then
    same= run=0 next= x=
    [ "$kind" != files ] || [ -n "$open$links" ] || x=1
    for line in $out; do
      eval "e=\${e$1-}"
      case $x$line in 1"$e":*) usual "$1" ;; *) state "$1" "$line" ;; esac
      shift
    done
    ran
    fast=$fast$same
  elif [ $# = 1 ]; then
    eval "p=\$p$1"
    reason "$1"
  else halve states "$@"; fi
}
state() { # NUMBER LINE
  printf 'i:%s\n%s\n' "$1" "$2"
  eval "p=\$p$1 size=\${e$1-}"
  size=${size#*:*:} size=${size%%:*}
  case $kind$2 in large8*:*:"$size":*) ! spared "$1" || return 0 ;; esac
  case $2 in
    a*) symlinks=$symlinks$1$nl ;;
    8?[02468ace][014589cd]:0:"$size":*) if below "$p" $open $links; then other "$1"; else fast=$fast$1$nl; fi ;;
    8???:*:"$size":*) other "$1" ;;
  esac
}
spared() { # NUMBER: whether $p is what $stamp says of it; else sets $seen to what it is, before anybody reads it
  seen=$(stat -c "$stamps" -- "$p" 2>&-)
  if [ -n "$stamp" ] && [ "$seen" = "$stamp" ] && ! below "$p" $links; then
    seen=
    printf 'q:%s\n' "$1"
    return
  fi
  now=$(date +%s 2>&-) seen_as=$1
  return 1
}
witness() { # tells what the file is, if it is still that after it was read
  eval "p=\$p$seen_as"
  is=$(stat -c "$stamps" -- "$p" 2>&-)
  [ "$is" != "$seen" ] || printf 'v:%s:%s:%s\n' "$seen_as" "$now" "$seen"
}
reason() { # NUMBER: why $p cannot be looked at, for people
  words=$(stat -c "$as" -- "$p" 2>&1) && words=
  words=${words##*"$nl"}
  [ -z "$unlisted" ] || lacks ls || :
  printf 'i:%s\nr:%s\n' "$1" "$words"
}
missing() { # NUMBER...: the shell finds nothing there
  if ! working; then unanswered "$@"; return; fi
  many=$# answers= late=
  for k; do
    eval "p=\$p$k"
    if [ -n "$bad" ] && below "$p/" "${bad%/}"; then printf 'i:%s\nr:%s\n' "$k" "$words"
    elif { [ -n "$none" ] && below "$p" "$none"; } || absent; then
      case $p in
        */.) # no directory, and nothing that leads to one
          if is_there "${p%/.}"; then
            eval "p$k=\${p%/.}" late=$late$k$nl
            continue
          fi ;;
      esac
      answers=${answers}i:$k${nl}a:$nl
    else reason "$k"; fi
  done
  printf %s "$answers"
  [ -z "$late" ] || states $late
}
below() { # PATH DIRECTORY...: whether it is below one of them
  b=$1
  shift
  for o; do case $b in "$o"/*) return 0 ;; esac; done
  return 1
}
other() { # NUMBER: of $p, which has $size bytes, and somebody else than root can exchange it
  below "$p" $links || slow=$slow$1$nl$size$nl/$nl.${p%/*}$nl${p##*/}$nl total=$((total + size))
}
targets() { # FIRST PATH...: of links
  k=$1
  shift
  t=$(readlink -- "$@" 2>&-) || return
  count $t
  [ "$n" = $# ] && printf 'i:%s\n' "$k" && printf 't:%s\n' $t
}
link() { # NUMBER
  eval "p=\$p$1"
  printf 'i:%s\n' "$1"
  t=$(readlink -n -- "$p" 2>&- && printf x) || {
    lacks readlink || words=
    printf 'u:%s\n' "$words"
    return
  }
  case $t in *"$nl"*) echo n: ;; *) printf 't:%s\n' "${t%x}" ;; esac
}
digests() { # FIRST PATH...
  printf 'i:%s\n' "$1"
  shift
  words=$(md5sum -- "$@" 2>&1 >&3) && echo o:
}
retry() { # NUMBER...: digests, whichever can be read
  readable= closed=
  for k; do eval "if [ -r \"\$p$k\" ]; then readable=\${readable}$k\$nl; else closed=$k; fi"; done
  if [ -n "$closed" ]; then
    eval "words=\$(md5sum -- \"\$p$closed\" 2>&1 >&-)"
    printf 'c:%s\n' "${words##*"$nl"}"
  fi
  [ -n "$readable" ] || return 0
  if words=$(echo | md5sum 2>&1); then read_all $readable
  else
    lacks md5sum || words=${words##*"$nl"}
    printf 'c:%s\n' "$words"
  fi
}
at_once() { # NUMBER...: digests, if all can be read
  IFS=' '; ks=$*; IFS=$nl
  refer "$@"
  eval "digests \"\$ks\" $refs"
}
read_all() { # NUMBER...
  if at_once "$@"; then :
  elif [ $# = 1 ]; then printf 'c:%s\n' "${words##*"$nl"}"
  else halve read_all "$@"; fi
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
exchangeable() { # TOTAL (NUMBER SIZE TOP DIRECTORY NAME)...: digests of files that somebody else can exchange
  (
    # Names are not to be trusted: a file is opened, then looked at, and only then read.
    [ -e /proc/self/stat ] || { echo "c:md5sum: it has no /proc, so nobody can tell what is read"; exit; }
    IFS=' ' read -r me p </proc/self/stat || exit
    seconds=$(($1 / SLOWEST + LONGEST))
    shift
    where 2>&- || { lacks env || words="env pwd -P does not work there"; printf 'c:%s\n' "$words"; exit; }
    ! lacks md5sum || { printf 'c:%s\n' "$words"; exit; }
    # A FIFO that has taken the place of a file keeps the shell waiting.
    clock "$seconds"
    here= n=3
    while [ $# -gt 0 ]; do
      if [ "$3$nl$4" != "$here" ] || [ "$n" = 8 ]; then
        opened
        here=$3$nl$4
        enter "$3" "$4" 2>&- || { here=; printf 'b:%s\n' "${3%/}${4#.}"; }
      fi
      if [ -n "$here" ] && [ ! -L "./$5" ] && [ -f "./$5" ]; then
        if [ -r "./$5" ]; then
          if eval "command exec $((n + 1))<\"./\$5\""; then
            n=$((n + 1))
            eval "size$n=\$2 name$n=\$5 number$n=\$1"
          fi
        else echo "c:md5sum: Permission denied"; fi
      fi
      shift 5
    done
    opened
    kill "$clock"
  )
}
opened() { # digests of the files that are open as 4 to $n
  set --
  i=3 files= keep= # ksh passes no descriptor on that is not named
  while [ "$i" -lt "$n" ]; do
    i=$((i + 1))
    keep="$keep $i<&$i"
    eval "set -- \"\$@\" \"./\$name$i\""
    files=$files/proc/self/fd/$i$nl
  done
  [ $# = 0 ] || {
    eval "is=\$(stat -L -c %f:%s:%d:%i -- \$files $keep)"
    named=$(stat -c %f:%s:%d:%i -- "$@") i=3 files=
    [ "$is" = "$named" ] && for line in $is; do
      i=$((i + 1))
      eval "size=\$size$i"
      case $line in 8???:"$size":*) files=$files/proc/self/fd/$i$nl ;; esac
    done
    # A file that grows for ever must not be read for ever.
    [ -z "$files" ] || for line in $(ulimit -t "$seconds"; eval "md5sum -- \$files 2>&1 $keep"); do
      i=${line##*/}
      case $line in
        *"  /proc/self/fd/"?) eval "printf 'i:%s\nm:%s\n' \"\$number$i\" \"\${line%% *}\"" ;;
        *) printf 'c:%s\n' "$line" ;;
      esac
    done
    # The name may lead to another file by now, but what was read is still open.
    [ -z "$seen" ] || [ -z "$files" ] || is=$(eval "stat -L -c \"\$stamps\" -- \$files $keep 2>&-")
    [ -z "$seen" ] || [ "$is" != "$seen" ] || printf 'v:%s:%s:%s\n' "$seen_as" "$now" "$seen"
  }
  while [ "$n" -gt 3 ]; do eval "exec $n<&-"; n=$((n - 1)); done
}
"""

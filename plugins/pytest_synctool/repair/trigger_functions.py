"""Shell functions that run commands of the site on a node: triggers, tasks, and commands that accept a file.

A command needs no room for its output: a pipe takes it, and the node keeps the end of it in memory. What a command
leaves behind may go on printing for ever: a process in the background reads that and drops it.
"""

from __future__ import annotations

from typing import Final

# 100,000 bytes after the last line are more than a pipe and the buffer of `fold` hold: so `fold` passes that line on
# though something that was left behind keeps the pipe open. `fold` bounds the lines that `sed` has to hold.
TRIGGERS: Final = rb"""
timed= # whether the node can bound a command in time: no, yes, or by the timeout of toybox, which at random gives the
# exit status 127 to what has ended well: there a shell tells the status itself
look_for_timeout() {
  [ -z "$timed" ] || return 0
  timed=no
  [ "$(timeout -k 5 5 echo yes 2>&-)" != yes ] || timed=yes
  case $timed:$(readlink -f -- "$(command -v timeout)") in yes:*/toybox) timed=toybox ;; esac
}
limited() { # COMMAND...: as the login would run it, and bounded in time where the node can do that
  as_login
  case $timed in
    no) exec "$@" 7>&- ;;
    yes) exec timeout -k 5 "$limit" "$@" 7>&- ;;
    *) exec timeout -k 5 "$limit" /bin/sh -c '"$@" 7>&-; echo "status $?" >&7' sh "$@" ;;
  esac
}
# It takes what comes from 3, and drops what comes after the last line. It is a process without this shell's open files.
gather='exec 2>&- 6>&- 7>&-
cd /
if [ -n "$(command -v fold)" ]; then fold -b -w 4000 <&3; else cat <&3; fi
exec tail -c 1 <&3 >&-'
bounded() { # run act() without input; set $s to its exit status, or `-` if that was not seen, and $v to the end of its
  # output, each line after the word `output`: so none is taken for the status
  look_for_timeout
  last="/^synctool-ended-$$\$/q"
  v=$({
    {
      (if [ -c /dev/null ]; then act </dev/null; else act <&-; fi) 2>&1 6>&-
      printf 'ended %s\n' "$?" >&7
      printf '\n%s\n%100000s\n' "synctool-ended-$$" ""
    } | if [ -c /dev/null ]; then { /bin/sh -c "$gather" & } 3<&0; else sed "$last"; fi | # no background without it
      sed "$last" | tail -c 4100 | sed 's/^/output /'
  } 7>&1)$nl
  s=-
  case $v in "status "*) s=${v%%"$nl"*} v=${v#*"$nl"} s=${s#* } ;; esac
  case $timed:$s:$v in
    toybox:-:"ended 127$nl"*) s=124 v=${v#*"$nl"} ;;
    *:-:"ended "*) s=${v%%"$nl"*} v=${v#*"$nl"} s=${s#* } ;;
    *:*:"ended "*) v=${v#*"$nl"} ;;
    *) s=- ;;
  esac
  v=${v%"output synctool-ended-$$$nl"}
  v=${v%"output $nl"}
  v=${v%"$nl"}
}
outcome() { # set $e to what $s means
  case $s in
    -) e="it could not be started, or its end was not seen" ;;
    124) e="it did not end within $limit s" ;;
    126) e="exit status 126: a program could not be run" ;;
    127) e="exit status 127: a program was not found" ;;
    143) e="it was terminated (it has $limit s)" ;; # by BusyBox's timeout, or by somebody else
    *) e="exit status $s" ;;
  esac
}
trigger() { # NUMBER NAME, with the command in act(), here
  [ -z "$wrong" ] || { failed "$1" "$wrong"; return; }
  echo "runs $1" >&6
  bounded
  note_time
  [ -z "$v" ] || printf '%s\n' "$v"
  if [ "$s" = 0 ]; then paid "$2"; ok "$1"; else outcome; failed "$1" "$e$(windows_line)"; fi
}
windows_line() { # the end of a message, if a line of the script $f that has failed ends as on Windows
  [ -f "$f" ] || return 0
  l=$(head -c 4 2>&- <"$f")
  case $l in ?ELF*) return ;; esac
  l=$(sed -n "/$cr\$/{=;q;}" 2>&- <"$f")
  [ -z "$l" ] || echo "; its line $l ends with a carriage return, $windows"
}
cr=$(printf '\r')
windows="as Windows writes it: convert it, for example with dos2unix"
script() { # NUMBER NAME SCRIPT
  survey
  p=$3 f=$3
  act() { limited ${i:+"$i"} ${a:+"$a"} "$p"; }
  if interpreter "$p"; then trigger "$1" "$2"; else failed "$1" "${wrong:-$e}"; fi
}
on_update() { # NUMBER NAME TEXT
  survey
  PATH=$SYNCTOOL_MASTERDIR/scripts:$PATH
  p=$3 f=
  act() { limited /bin/sh -c "$p"; }
  if by_interpreter; then trigger "$1" "$2"; else failed "$1" "${wrong:-scripts/$w: $e}"; fi
  PATH=${PATH#"$SYNCTOOL_MASTERDIR/scripts:"}
}
by_interpreter() { # if the text $p begins with the name of a file in scripts/, that file is run as interpreter() says
  w=${p%%[!0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.+-]*}
  case ${p#"$w"} in '' | ["; $nl"]*) ;; *) return 0 ;; esac
  f=$SYNCTOOL_MASTERDIR/scripts/$w
  [ -n "$w" ] && [ -f "$f" ] || return 0
  case $(command -v -- "$w") in '' | "$f") ;; *) return 0 ;; esac
  interpreter "$f" || return
  case $i:$a:$f in :* | *"'"*) return 0 ;; esac
  p="'$i' ${a:+"'$a' "}'$f'${p#"$w"}"
}
interpreter() { # FILE: set $i to the program that runs it, if any, and $a to its argument, as the kernel does; or fail
  # with $e. So a file is run also where none may be started (noexec), or while somebody has it open for writing.
  i= a= e="it is not there"
  [ -e "$1" ] || return
  e="it is not an executable file"
  [ -f "$1" ] || return
  case $(stat -L -c %a -- "$1" 2>&-) in *[1357] | *[1357]? | *[1357]??) ;; *) [ -x "$1" ] || return ;; esac
  l=$(head -c 4096 2>&- <"$1"; echo .) l=${l%.} x=$(printf '\t ')
  case $l in
    '#!'*)
      l=${l%%"$nl"*} l=${l#??}
      while :; do case $l in ["$x"]*) l=${l#?} ;; *["$x"]) l=${l%?} ;; *) break ;; esac; done
      i=${l%%["$x"]*}
      a=${l#"$i"}
      while :; do case $a in ["$x"]*) a=${a#?} ;; *) break ;; esac; done
      i=${i:-/bin/sh} ;;
    ?ELF*) ;;
    *) [ "${#l}" != $(($(head -c 4096 <"$1" | wc -c))) ] || i=/bin/sh ;; # else it has bytes that no text has
  esac
  case $i$a in *"$cr") e="its first line ends with a carriage return, $windows"; return 1 ;; esac
  case $i in
    '') e="its file system lets no program run (noexec)"; [ -x "$1" ] || return; return 0 ;;
    */*) ;;
    *) i=./$i ;;
  esac
  e="its interpreter is missing or cannot be run: $i"
  [ -f "$i" ] && [ -x "$i" ]
}
"""

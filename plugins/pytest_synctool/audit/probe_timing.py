"""The shell functions that give each part of a probe a time of its own, so that a hung mount costs only what is on it.

A timer sends a signal to the script every few seconds. A chunk that has not ended after so many ticks is ended, with
all that it has started. Its paths are then looked at one by one, after the directories above them. What has not
answered is named, and nothing below it is looked at any more.

A chunk that has to read much may take longer than the controller waits for a word. As long as it reads, the controller
gets empty lines.

A shell without /dev/null starts nothing in the background, so nothing has a time of its own there.
"""

from __future__ import annotations

from typing import Final

from pytest_synctool.common.family import FAMILY

TIMING: Final = (
    FAMILY.encode()
    + rb"""
timer() { # SECONDS between two ticks
  tick=$1 timer= hung= fine= stuck=
  [ -c /dev/null ] && [ -r /dev/null ] || return 0
  trap 'ticked=1 ticks=$((ticks + 1))' USR1
  old=$!
  (
    trap '[ "$!" = "$old" ] || kill -KILL "$!"; exit' TERM
    while sleep "$tick" & wait "$!"; do kill -USR1 "$$" || exit; done
  ) <&- >&- 2>&- 3>&- &
  timer=$!
}
end_timer() { [ -z "$timer" ] || { kill "$timer"; trap '' USR1; }; }
timed() { # TICKS COMMAND...: runs it in a subshell; fails if it was ended before its end
  most=$1 ticks=0 counted=
  shift
  if [ -z "$timer" ]; then "$@"; return 0; fi
  ("$@"; exit 0) &
  job=$!
  while ticked=; wait "$job"; status=$?; [ -n "$ticked" ] && [ "$status" != 0 ]; do
    [ "$ticks" -lt "$most" ] || { end_job; return 1; }
    [ "$ticks" -lt SHORT ] || progress
  done 4>&2 2>&-
  [ "$status" = 0 ]
}
progress() { # a long job that reads is not silent: standard error tells, since a word on the other could tear a line
  set +f
  activity "$job"
  set -f; IFS=$nl
  case $counted in "" | "$io") ;; *) echo >&4 ;; esac
  counted=$io
}
end_job() {
  set +f
  family "$job"
  IFS=' '; kill -KILL $kin
  set -f; IFS=$nl
} 2>&-
accounts() { # sets $called if owner and group 0 are called root: stat looks up a name for each path, which is slow
  if [ -n "$timer" ]; then ! timed TICKS eval 'rooted || exit' || called=1; else ! rooted || called=1; fi
}
part() { # TICKS FIRST KIND DIRECTORIES EXPECTED DIRECTORY... PATH...
  timed "$1" look "$@" || careful "$@"
}
careful() { # as part(): looks at each path alone
  k=$2 d=$4 expected=$5
  shift 5
  while [ "$d" -gt 0 ]; do
    alone "$k" - "$1"
    shift
    d=$((d - 1)) k=$((k + 1))
  done
  for size in $expected; do
    size=${size#*:*:}
    alone "$k" "${size%%:*}" "$1"
    shift
    k=$((k + 1))
  done
}
alone() { # NUMBER SIZE PATH: looks at the directories above it first
  for above in $hung; do
    case $3/ in "$above"/*) silent "$1" "$above"; return ;; esac
  done
  rest=${3#/} above= p=$3 number=$1 size=$2
  set --
  while :; do
    case $rest in */*) ;; *) break ;; esac
    above=$above/${rest%%/*} rest=${rest#*/}
    set -- "$@" "$above"
    case $nl$fine in *"$nl$above$nl"*) continue ;; esac
    if ! timed TICKS answers "$above"; then
      hung=$hung$above$nl
      silent "$number" "$above"
      return
    fi
    fine=$fine$above$nl
  done
  n=TICKS
  [ "$size" = - ] || n=$((n + size / (SLOWEST * tick)))
  timed "$n" look - "$number" alone $# "-:-:$size:-" "$@" "$p" && return
  # If it is the second one in its directory, the others are not tried.
  [ "$above" != "$stuck" ] || hung=$hung$above$nl
  stuck=$above
  silent "$number" "$p"
}
answers() { [ -e "$1" ]; }
silent() { printf 'i:%s\nh:%s:%s\n' "$1" $((TICKS * tick)) "$2"; }
"""
)

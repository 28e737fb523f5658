"""Shell functions that move what is in no entry out of exclusive directories. Only a script that does so has them."""

from __future__ import annotations

from typing import Final

from pytest_synctool.common.shell import compact

READABLE_REMOVALS: Final = rb"""
move_away() { # (NUMBER KIND NAME)...: what is in no entry goes to where old versions are kept
  while [ $# -gt 0 ]; do
    here
    if stage; then
      new=$t/$((groups += 1)) side=$new
      if e=$(moved_away "$2" "$3" 2>&1); then ok "$1"; else explain "$3"; failed "$1" "$e"; fi
      [ -e "$side.to" ] || rm -rf -- "$new".*
    else failed "$1" "$e"; fi
    shift 3
  done
}
moved_away() { # directory|other NAME; $side.to is there until it is kept
  ! is_gone "$2" || return 0
  case $2 in *"$nl"*) echo "no record holds a name with a newline: remove it by hand"; return 1 ;; esac
  may_go "$1" "./$2" || return
  old_of "$2"
  if [ "$saved" = - ]; then
    [ "$1" = other ] || { echo "a directory is removed only where it can be kept: not with --no-saved"; return 1; }
    s=
  else
    (room) || return
    if is_there "$to$b" && { [ "$1" = directory ] || [ -d "$to$b" ]; }; then echo "$s is in the way"; return 1; fi
  fi
  mkdir -- "$side.old" "$side.kept" && printf '%s\n' "$PWD" "$2" "${s:+$b}" >"$side.to" || return
  mv -- "./$2" "$side.old/" || { rm -f -- "$side.to"; return 1; }
  if may_go "$1" "$side.old/$2" && goes "$2"; then rm -f -- "$side.to"; return; fi
  mv -- "$side.old/$2" ./ && rm -f -- "$side.to"
  return 1
}
goes() { # NAME
  if [ -z "$s" ]; then rm -f -- "$side.old/$1"; else laid_aside "$1" root:root:00600; fi
}
may_go() { # directory|other PATH: whether it is what the audit saw, and nothing is mounted below; certain in the stage
  [ ! -L "$2" ] && [ -d "$2" ] || return 0
  [ "$1" = directory ] || { echo "it has become a directory"; return 1; }
  find_mounts
  l=$(cd -P -- "$2" && pwd -P) && [ -n "$mounts" ] || { echo "nobody can tell what is mounted below it"; return 1; }
  case $nl$mounts in *"$nl$l/"*) echo "something is mounted below it"; return 1 ;; esac
}
"""
REMOVALS: Final = compact(READABLE_REMOVALS)

"""Shell functions that write a file through, where attributes.yaml says `in_place: yes`.

A rename cannot replace what something is mounted on. The new version is complete in the stage before the file is
touched, and a copy of the old one is there to come back; but a reader can see the file half written.
"""

from __future__ import annotations

from typing import Final

IN_PLACE: Final = rb"""
over_all() { # (NUMBER KIND OLD SOURCE ATTRIBUTES NAME)...
  while [ $# -gt 0 ]; do
    here
    if stage; then
      new=$t/$((groups += 1)) side=$new
      if e=$({ mkdir -- "$new" && make "$2" "$4" "$5" "$new/$6"; } 2>&1); then over "$1" "$5" "$6"
      else failed "$1" "$e"; fi
      rm -rf -- "$new" "$new".*
    else failed "$1" "$e"; fi
    shift 6
  done
}
over() { # NUMBER ATTRIBUTES NAME
  e= some=
  if [ -z "$own" ]; then e="not written in place: others than root may write in $PWD or above it"
  elif [ -L "./$3" ] || [ ! -f "./$3" ]; then e="not written in place: it is no file any more"
  elif unsure "$3"; foreign_acl "$2" "$3"; then e="not written in place: its ACL is another owner's"
  elif ! cp -- "./$3" "$side.back" 2>&-; then e=$(cp -- "./$3" "$side.back" 2>&1)
  elif ! { through=1; pin "$1" "$3" "$2"; }; then :
  elif [ -n "$some" ] && old_of "$3" && ! e=$(mv -f -- "$side.old/$b" "$to" 2>&1); then unkeep "$1" "$3"; fi
  through=
  if [ -n "$e" ]; then failed "$1" "$e"; return; fi
  e=$({ written "$2" "$3" 4<>"./$3"; } 2>&1)
  case $? in
    0) ok "$1"; return ;;
    1) unkeep "$1" "$3" ;; # the file is as it was
    *) e="${e##*"$nl"}, and the old contents could not be brought back" ;;
  esac
  fixed_by "./$3"
  failed "$1" "${e##*"$nl"}${hint:+ ($hint)}"
}
foreign_acl() { # ATTRIBUTES NAME: a chown would leave what another owner has granted
  attributes "$1"
  case $carry in *system.*) ;; *) return 1 ;; esac
  case $(traits "./$2") in *system.*) ;; *) return 1 ;; esac
  x=$(stat -c %u:%U -- "./$2")
  case $owner:$x in *:0:* | "${x#*:}":* | "+${x%%:*}":*) return 1 ;; esac
}
written() { # ATTRIBUTES NAME: descriptor 4 is what was opened by that name; fails with 1 if the file is as it was
  attributes "$1"
  x=$(stat -L -c %f:%d:%i:%u:%g:%a -- /proc/self/fd/0 <&4) || return 1
  case $x in 8???:*) ;; *) x= ;; esac
  if [ -z "$x" ] || [ "$x" != "$(stat -c %f:%d:%i:%u:%g:%a -- "./$2")" ]; then
    echo "it was exchanged meanwhile" >&2
    return 1
  fi
  case $carry in *security.*) capabilities_of "./$2" ;; *) c= ;; esac
  IFS=:; set -- "$2" $x; unset IFS
  # Until the contents are complete nobody has more rights than before, nor than afterwards.
  x=$(printf %05o $(($octal$7 & $octal$mode & ${octal}0777)))
  if change_mode "$x" "./$1" && own "$owner" "$group" "./$1" && cat -- "$new/$1" >/proc/self/fd/4 &&
    change_mode "$mode" "./$1" && set_capabilities "./$1" &&
    expected_more "./$1"; then
    sync -- "./$1" 2>&- || sync
    return 0
  fi
  change_mode "$x" "./$1"
  cat -- "$side.back" >/proc/self/fd/4 && own "+$5" "+$6" "./$1" && change_mode "0000$7" "./$1" &&
    set_capabilities "./$1" && return 1
  return 2
}
"""

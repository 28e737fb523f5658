"""Shell functions of the changes: new versions are made in the stage and renamed into place, old ones kept or restored.

A record of a change has six words: NUMBER KIND OLD SOURCE ATTRIBUTES NAME. The variables `new` and `side` name the
places in the stage for the new versions of some records and for everything else about them.
"""

from __future__ import annotations

from typing import Final

CHANGES: Final = rb"""
make() { # KIND SOURCE ATTRIBUTES NEW: one new version; nobody else gets at the stage
  attributes "$3"
  case $1 in
    file | checked*) copy_of "$2" "$4" ;;
    link) ln -s -- "$2" "$4" && own "$owner" "$group" "$4"; return ;;
    directory) mkdir -- "$4" ;;
    same) again "$2" "$4" ;;
  esac && own "$owner" "$group" "$4" && change_mode "$mode" "$4" || return
  expected_more "$4" || return
  case $1 in checked*) "$1" "$4" ;; esac
}
copy_of() { # SOURCE NEW: where the file system can, both share their blocks; not every cp knows or tries that
  is_file "$1" || return
  cp --reflink=auto -- "$1" "$2" 2>&- || cp -- "$1" "$2"
}
is_file() { # SOURCE: also after somebody has changed the masterdir under way: cp would follow a link, or wait at a pipe
  [ ! -L "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; } || { echo "the source is no regular file any more" >&2; return 1; }
}
again() { # SIZE:MD5 NEW: a copy of the file that is here, if that is what the audit saw
  n=${2##*/}
  mkdir -- "$side.here" && ln -- "./$n" "$side.here/" || return
  [ ! -L "$side.here/$n" ] && [ -f "$side.here/$n" ] && head -c $((${1%:*} + 1)) -- "$side.here/$n" >"$2" || {
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
      from=$base
      return
    fi
  fi
  shift
  put "$@"
  from=
}
with_all() { # NUMBER...: of the new directories that have come from $base, and so with all below them, set $wNUMBER
  [ -z "$from" ] || for n do eval "w$n=\$d$n"; done
}
together() { # the stage of the first directory is that of all; those on other file systems are done one by one
  base=$t/together
  ! is_there "$base" || rm -rf -- "$base"
  { e=$({ mkdir -- "$base" && all; } 2>&1) || base=-; } 3>&1
}
fill() { # SOURCE...: copies in $base, each below the path that it has on the node
  for s do is_file "$masterdir/$s" || return; done
  if [ $# -gt 3 ] && packed "$@"; then set --; fi
  for s do
    x=${s#overlay}
    cp -- "$masterdir/$s" "$base${x%._*}" || return
  done
  echo >&3
}
packed() { # SOURCE...: whether tar could do that. Modes stay as they are: most are right
  printf '%s\0' "$@" >"$base.list" || return
  x='s,^overlay/,,;s,\._[^./]*$,,' o='--null --no-recursion --hard-dereference'
  x=$({
    { tar -C "$masterdir" $o -T "$base.list" --transform="$x" -S -cf -; echo $? >&4; } 2>&- |
      (umask 0; tar -C "$base" --no-same-owner --no-same-permissions -m -xf - 2>&-)
    echo $?
  } 4>&1)
  [ "$x" = "0${nl}0" ] || return
  x=${1#overlay}
  [ -f "$base${x%._*}" ] # a tar that does not know how to change names may not say so
}
put() { # (NUMBER KIND OLD SOURCE ATTRIBUTES NAME)...: make a new version in the stage, and rename it here
  while [ $# -gt 0 ]; do
    here
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
    *) kept_name "$1"; s=${PWD%/}/$b to=./ ;;
  esac
}
kept_name() { b=$1.saved; } # of a name that has room for that
place() { # RECORDS whose new versions are in $new
  [ $# -le 18 ] || [ "$saved" = - ] || [ -n "$through" ] || { pin_all "$@"; narrow_all "$@"; }
  n=$# some=
  while [ "$n" -gt 0 ]; do
    if [ "$3" = missing ] && is_there "./$6"; then ok "$1"
    elif ! inherited "$2" "$3" "$5" "$6"; then failed "$1" "$e"
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
      if is_there "$x" && ! e=$(mv -f -- "$x" "$to" 2>&1); then
        unkeep "$1" "$6"
        failed "$1" "$e"
      else set -- "$@" "$1" "$2" "$3" "$4" "$5" "$6"; fi
      shift 6
      n=$((n - 6))
    done
  fi
  if [ -n "$labels" ]; then
    referred "$@"
    renamed "$@" 2>&-
    relabelled "$@"
  elif [ $# -gt 6 ]; then renamed "$@" 2>&-; fi
  while [ $# -gt 0 ]; do # one that is still in the stage is tried once more, for the reason
    e= x=$new/$6
    # BusyBox looks at what it replaces, and cannot where a link leads to itself, or to a name that is too long.
    [ ! -L "./$6" ] || [ -e "./$6" ] || ! is_there "$x" || rm -f -- "./$6"
    if ! is_there "$x" || e=$(mv -f -- "$x" ./ 2>&1); then ok "$1"
    else unkeep "$1" "$6"; explain "$6" replaced; failed "$1" "$e"; fi
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
    ! is_there "$x" || set -- "$@" "$x"
    shift 6
    n=$((n - 6))
  done
  mv -f -- "$@" "$to"
}
room() { # for $s below $saved, where nobody else may write; in a subshell
  { [ -d "$saved" ] || mkdir -p -- "$saved"; } && cd -P -- "$saved" && dev= && survey || return
  if [ -n "$own" ]; then
    d=${s%/*} l=$PWD
    while [ ! -L "$d" ] && [ ! -d "$d" ]; do d=${d%/*}; done
    l=${l%/}${d#"${saved%/}"}
    cd -P -- "$d" && dev= && survey || return
    [ "$PWD" = "${l:-/}" ] || { echo "old versions cannot be kept in $d: it leads to $PWD" >&2; return 1; }
    [ -z "$own" ] || { [ -d "${s%/*}" ] || mkdir -p -- "${s%/*}"; return; }
  fi
  echo "old versions cannot be kept in $PWD: others than root may write in it or above it" >&2
  return 1
}
pin_all() { # RECORDS: by few programs what pin() does by some for each; it does what this does not, and looks at all
  e=$(mkdir -- "$side.old" "$side.before" 2>&1) || return 0
  numbers= suffix=.saved n=$#
  case $saved in /*) suffix= ;; esac
  while [ "$n" -gt 0 ]; do
    if [ "$3" = keep ] && is_there "./$6"; then
      old_of "$6"
      [ "$b" != "$6$suffix" ] || { numbers="$numbers $1"; set -- "$@" "./$6"; }
    fi
    shift 6
    n=$((n - 6))
  done
  [ $# != 0 ] || return 0
  ln -- "$@" "$side.old/" 2>&-
  if [ -n "$suffix" ]; then
    # ln can change many names at once: it makes room for others.
    (cd -P -- "$new" && VERSION_CONTROL=simple ln -f -b -S "$suffix" -- "$@" "$side.old/"
      cd -P -- "$side.old" && rm -f -- "$@") 2>&-
    before_all "$@"
  fi
  x=$numbers numbers=
  for k in $x; do
    x=$side.old/${1#./}$suffix
    if [ ! -L "$x" ] && [ -e "$x" ]; then numbers="$numbers $k"; set -- "$@" "$x"; fi
    shift
  done
  [ $# != 0 ] && l=$(stat -c %a:%u:%g:%U:%G:%d:%i:%s -- "$@" 2>&-) || return 0
  IFS=$nl; set -f; set -- $l; set +f; unset IFS
  for k in $numbers; do eval "v$k=\$1"; shift; done
}
before_all() { # ./NAME...: the old versions that are there from earlier repairs
  n=$#
  while [ "$n" -gt 0 ]; do
    ! is_there "$1.saved" || set -- "$@" "$1.saved"
    shift
    n=$((n - 1))
  done
  [ $# = 0 ] || ln -- "$@" "$side.before/" 2>&-
}
pin() { # NUMBER NAME ATTRIBUTES: link what is about to be replaced into the stage, under the name by which it is kept
  here
  k=$1
  shift
  if ! is_there "./$1"; then
    old_of "$1"
    ! is_there "$side.old/$b" || rm -f -- "$side.old/$b" # nobody has looked at what pin_all() has linked
    return
  fi
  if [ ! -L "./$1" ] && [ -d "./$1" ]; then e="it has become a directory"; return 1; fi
  [ "$saved" != - ] || return 0
  old_of "$1"
  if [ ! -L "$to$b" ] && [ -d "$to$b" ]; then e="$s is a directory, in the way"; return 1; fi
  x=$side.old/$b
  [ -d "$side.old" ] || e=$(mkdir -- "$side.old" "$side.before" 2>&1) || return
  if ! is_there "$x" && { [ -n "$through" ] || ! e=$(ln -- "./$1" "$x" 2>&1); }; then
    # A file system without links: a copy is made of what only we can exchange.
    { [ -n "$own" ] && e=$(duplicate "./$1" "$x" 2>&1); } || return
  fi
  eval "l=\$v$k was=\$o$k"
  [ -n "$was" ] || narrow "$x" "$2" "$l" || return
  case $saved in
    /*)
      [ "$roomy" = "${s%/*}" ] || e=$(room 2>&1) || return
      roomy=${s%/*} ;;
    *) if is_there "./$b" && ! is_there "$side.before/$b"; then e=$(ln -- "./$b" "$side.before/" 2>&1) || return; fi ;;
  esac
  if ! { printf '%s\n' "$at/$1" "$s" "$was" >>"$journal/kept"; } 2>&-; then
    e=$( (: >>"$journal/kept") 2>&1)
    e=${e:-"$journal/kept cannot be written"}
    return 1
  fi
  some=1
  eval "k$k=1"
}
unkeep() { # NUMBER NAME: it was not replaced
  eval "x=\$k$1"
  [ -n "$x" ] || return 0
  printf '%s\n' "$at/$2" - - >>"$journal/kept"
  case $saved in /*) return ;; esac
  kept_name "$2"
  if is_there "$side.old/$b"; then :
  elif is_there "$side.before/$b"; then mv -f -- "$side.before/$b" ./ 2>&-
  else rm -f -- "./$b" 2>&-; fi
}
narrow() { # OLD ATTRIBUTES [STATUS]: an old version is not more open than what replaces it; else a copy is kept
  if [ -L "$1" ]; then
    e=$(stat -c %u:%g:%a:%d:%i:%s -- "$1" 2>&1) && was=$e
    return
  fi
  e=$3 d=
  [ -n "$e" ] || e=$(stat -c %a:%u:%g:%U:%G:%d:%i:%s -- "$1" 2>&1) || return
  [ ! -d "$1" ] || d=1
  if is_narrow "$2" "$e" "$d" && { [ -z "$carry" ] || ! grants "$1"; }; then was=$was:$identity; return; fi
  m=$(printf %05o "$m")
  if [ -d "$1" ]; then
    e=$({ own "+${x%:*}" "+${x#*:}" "$1" && change_mode "$m" "$1"; } 2>&1) || return
  else
    c=-P
    [ -f "$1" ] || c=-R # a pipe is made, not read
    y=${1%/*}.copy
    e=$({ cp "$c" -- "$1" "$y" && own "+${x%:*}" "+${x#*:}" "$y" && change_mode "$m" "$y" && mv -f -- "$y" "$1"
    } 2>&1) || return
  fi
  e=$(stat -c %d:%i:%s -- "$1" 2>&1) && was=$was:$e
}
is_narrow() { # ATTRIBUTES STATUS [DIRECTORY]: whether an old version may stay as it is. Set $was to its owner and mode,
  # $identity to its device, inode and size, and $x and $m to the owner and mode that it may have
  attributes "$1"
  d=$3
  IFS=:; set -f; set -- $2; set +f; unset IFS
  was=$2:$3:$1 identity=$6:$7:$8 m=$(($octal${mode:-777} & ${octal}777)) x=$2:$3
  [ -z "$d" ] || m=$((m | (m & ${octal}444) >> 2))
  m=$(($octal$1 & m))
  # Of another owner than the new one it becomes root's; so it does with a special bit, which comes back by --restore.
  case $owner in "$4" | "+$2") ;; *) x=0:0 ;; esac
  case $group in "$5" | "+$3") ;; *) x=0:0 ;; esac
  [ $(($octal$1 & ${octal}7000)) = 0 ] || x=0:0
  [ "$x:$m" = "$2:$3:$(($octal$1))" ]
}
narrow_all() { # RECORDS: by few programs what narrow() does by some for each file that pin_all() has looked at
  [ -z "$carry" ] || return 0
  kinds= n=$#
  while [ "$n" -gt 0 ]; do
    eval "l=\$v$1"
    old_of "$6"
    if [ -n "$l" ] && [ -f "$side.old/$b" ] && ! is_narrow "$5" "$l"; then
      case " $kinds " in
        *" $x:$m "*) ;;
        *) [ ${#kinds} -gt 150 ] || kinds="$kinds $x:$m" ;; # of many kinds each has few files
      esac
      set -- "$@" "$1" "$x:$m" "$was" "$side.old/$b"
    fi
    shift 6
    n=$((n - 6))
  done
  for kind in $kinds; do narrow_alike "$kind" "$@" 2>&-; rm -rf -- "$side.copies"; done
}
narrow_alike() { # OWNER:GROUP:MODE (NUMBER KIND WAS PATH)...: copies with this owner and mode take the place of these
  x=${1%:*} m=${1##*:} kind=$1 numbers=
  shift
  m=$(printf %05o "$m") n=$#
  while [ "$n" -gt 0 ]; do
    if [ "$2" = "$kind" ]; then numbers="$numbers $1"; eval "f$1=\$3"; set -- "$@" "$4"; fi
    shift 4
    n=$((n - 4))
  done
  mkdir -- "$side.copies" && cp -P -- "$@" "$side.copies/" || return
  n=$#
  while [ "$n" -gt 0 ]; do
    set -- "$@" "$side.copies/${1##*/}"
    shift
    n=$((n - 1))
  done
  own "+${x%:*}" "+${x#*:}" "$@" && change_mode "$m" "$@" && l=$(stat -c %d:%i:%s -- "$@") &&
    mv -f -- "$@" "$side.old/" || return
  IFS=$nl; set -f; set -- $l; set +f; unset IFS
  for k in $numbers; do eval "o$k=\$f$k:\$1"; shift; done
}
swap() { # NUMBER OLD ATTRIBUTES NAME: what a rename cannot replace is moved away
  old_of "$4"
  if [ "$2" = leave ] && stays "$4"; then failed "$1" "$e"; return; fi
  if ! is_there "./$4"; then :
  elif [ "$saved" = - ] && { [ -L "./$4" ] || [ ! -d "./$4" ]; }; then s=
  elif is_there "$to$b"; then failed "$1" "$s is in the way"; return; fi
  if e=$(exchange "$4" "$3" 2>&1); then
    [ -z "$labels" ] || [ -z "$own" ] || relabel "./$4"
    ok "$1"
  else explain "$4" replaced; failed "$1" "$e"; fi
}
exchange() { # NAME ATTRIBUTES, with $s, the place of the old version or nothing; $side.to is there until it is kept
  mkdir -- "$side.old" "$side.kept" || return
  case $saved in /*) [ -z "$s" ] || (room) || return ;; esac
  printf '%s\n' "$PWD" "$1" "${s:+$b}" >"$side.to"
  if ! is_there "./$1"; then mv -f -- "$new/$1" ./; x=$?
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
  elif printf '%s\n' "$at/$1" "$s" "$was" >>"$journal/kept" && mv -- "$k" "$to"; then return; fi
  printf '%s\n' "$at/$1" - - >>"$journal/kept"
  case $saved in /*) rm -rf -- "$to$b" ;; esac # a part of a copy
  [ -L "$k" ] || as_was "$was" "$k"
  mv -- "$k" "$side.old/$1"
  return 1
}
set_all() { # RECORDS, with what sets all their owners and modes in all(): together where that is safe
  if [ -z "$wrong$carry" ] && survey && [ -n "$own" ] && unsure_of "$@" && all 2>&-; then
    while [ $# -gt 0 ]; do ok "$1"; shift 6; done
  else set_each "$@"; fi
}
unsure_of() { # RECORDS
  [ -z "$getfattr$getcap" ] || return 0
  while [ $# -gt 0 ]; do
    case $2:$3 in file:*o*) unsure "$6" ;; esac
    shift 6
  done
}
set_each() { # (NUMBER KIND WHAT SOURCE ATTRIBUTES NAME)...: set owner or mode, by WHAT: o, m or om
  while [ $# -gt 0 ]; do
    here
    if ! survey; then failed "$1" "$wrong"
    elif [ "$2" = directory ]; then
      if e=$(set_directory "$3" "$5" "$6" 2>&1); then ok "$1"; else failed "$1" "$e"; fi
    elif [ -n "$own" ]; then
      attributes "$5"
      unsure_of "$1" "$2" "$3" "$4" "$5" "$6"
      if e=$({ real "$2" "$6" && change "$2" "$3" "$6"; } 2>&1); then ok "$1"; else failed "$1" "$e"; fi
    elif [ "$2" = link ]; then put "$1" link nothing "$4" "$5" "$6"
    else put "$1" same nothing "$4" "$5" "$6"; fi
    shift 6
  done
}
change() { # KIND WHAT NAME: of what is no directory, in a directory where nobody else may write
  if [ "$1" = file ]; then differing_but_capable "$2" "$3"; else differing "$2" "./$3"; fi
}
real() { # KIND NAME: chmod follows a link, and what it leads to is nobody's business
  [ "$1" = link ] || [ ! -L "./$2" ] || { echo "it has become a link" >&2; return 1; }
}
differing() { # WHAT NAME...: no needless chown, which takes capabilities away; and then the mode, since it clears bits
  x=$1
  shift
  case $x in *o*) own "$owner" "$group" "$@" || return ;; esac
  [ -z "$mode" ] || change_mode "$mode" "$@"
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
  differing "$1" . && expected_more .
}
remove() { # (NUMBER NAME)...
  while [ $# -gt 0 ]; do
    here
    if ! survey; then failed "$1" "$wrong"
    elif e=$(rm -f -- "./$2" 2>&1); then ok "$1"
    else explain "$2"; failed "$1" "$e"; fi
    shift 2
  done
}
erase() { # (NUMBER IDENTITY PATH NAME)...: NAME, an old version of PATH, goes away if it is what was kept there
  while [ $# -gt 0 ]; do
    here
    if ! survey; then failed "$1" "$wrong"
    elif e=$({ is_kept "$2" "$4" && rm -f -- "./$4"; } 2>&1); then
      # Another file that gets its name and its number is not what was kept.
      printf '%s\n' "$3" "${PWD%/}/$4" - >>"$journal/kept"
      ok "$1"
    else explain "$4"; failed "$1" "$e"; fi
    shift 4
  done
}
is_kept() { # IDENTITY NAME
  is_there "./$2" || return 0
  case $1 in *:*) is=%d:%i:%s ;; *) is=%s; survey && [ -n "$own" ] || is= ;; esac
  [ -n "$is" ] && [ "$(stat -c "$is" -- "./$2")" = "$1" ] && { [ -L "./$2" ] || [ ! -d "./$2" ]; } || {
    echo "it is not what was kept there"
    return 1
  } >&2
}
back() { # NUMBER SAVED RECORD NAME: an old version comes back as it was; until then it stays where it was kept
  stage || { failed "$1" "$e"; return; }
  new=$t/$((groups += 1)) side=$new
  if e=$(bring_back "$2" "$3" "$4" 2>&1); then ok "$1"; else failed "$1" "$e"; fi
  rm -rf -- "$new" "$new".*
}
bring_back() { # SAVED UID:GID:MODE:DEVICE:INODE:SIZE NAME
  case $1 in "$aside"/*) saved=$aside ;; esac
  mkdir -- "$new" "$side.old" "$side.kept" || return
  case $1 in "${PWD%/}/"*) x=./${1#"${PWD%/}/"} ;; *) x=$1 ;; esac
  b=$side.old/${1##*/} k=$new/$3
  y=$k safe= known=
  case $x in /*) ! (wrong= dev=; cd -P -- "${x%/*}/" 2>&- && survey && [ -n "$own" ]) || safe=1 ;; esac
  if [ ! -L "$x" ] && [ -d "$x" ]; then mv -- "$x" "$side.old/" && mv -- "$b" "$k" || return; x=
  elif ! ln -- "$x" "$k"; then
    case $x in /*) ;; *) [ -n "$own" ] || return ;; esac
    y=$x
    duplicate "$x" "$k" || return
  fi
  if kept_as "$2" "$k" && capable_again "./$3" "$k" && cleared "$3" && mv -f -- "$k" ./; then
    [ -z "$x" ] || rm -f -- "$x"
    return
  fi
  if is_there "$side.kept/$3"; then mv -f -- "$side.kept/$3" ./; fi
  if [ -z "$x" ]; then mv -- "$k" "$b" && mv -- "$b" ./
  elif [ -n "$known" ] && [ ! -L "$k" ]; then chown -- 0:0 "$k"; chmod -- 0600 "$k"; fi
  return 1
}
kept_as() { # RECORD PATH: $y, which may be that, is what was kept there; give it the owner and mode that it had then
  # With $safe it came from where nobody else may write. $known tells that it is no file of others.
  [ ! -L "$2" ] && [ "$1" != - ] || return 0
  is=%d:%i:%s was=${1#*:*:*:}
  [ ! -d "$2" ] || is=%d:%i was=${was%:*}
  case $1 in
    *:*:*:*:*)
      if [ -z "$safe" ] && [ "$was" != "$(stat -c "$is" -- "$y")" ]; then
        echo "what is kept there was changed or replaced since" >&2
        return 1
      fi ;;
  esac
  known=1
  as_was "$1" "$2"
}
capable_again() { # PRESENT OLD: narrow() took the capabilities of the old version away
  look_for
  [ -n "$own" ] && [ ! -L "$1" ] && [ -f "$1" ] && [ ! -L "$2" ] && [ -f "$2" ] || return 0
  capabilities_of "$1"
  set_capabilities "$2"
}
as_was() { # RECORD PATH
  IFS=:; set -f; set -- "$2" $1; set +f; unset IFS
  own "+$2" "+$3" "$1" && change_mode "0000$4" "$1"
}
duplicate() { # OLD NEW: a copy with the same owner and mode, where no link can be made and nobody else may write
  cp -pP -- "$1" "$2" 2>&- && return
  f=$(stat -c %u:%g:%a -- "$1") && cp -P -- "$1" "$2" || return
  [ -L "$2" ] || as_was "$f" "$2"
}
cleared() { # NAME: what is there must not be in the way of a rename
  if [ ! -L "./$1" ] && [ -d "./$1" ]; then rmdir -- "./$1"
  elif [ -d "$k" ] && is_there "./$1"; then mv -- "./$1" "$side.kept/"; fi
}
"""

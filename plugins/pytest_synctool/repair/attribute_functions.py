"""Shell functions that keep what a file has beside owner and mode when another one replaces it.

That is its ACL, its capabilities and its extended attributes. `getfattr` knows all of them; `getcap`, `getfacl` and
`ls` know a part each. `cp` of GNU coreutils can copy them; otherwise `setfattr`, `setcap` and `setfacl` do.
"""

from __future__ import annotations

from typing import Final

ATTRIBUTES: Final = rb"""
labels= carry= looked= getfattr= getcap= getfacl=
more='^(user\.|trusted\.|system\.posix_acl_(access|default)$|security\.capability$)'
look_for() { # the programs that know more than owner and mode
  [ -z "$looked" ] || return 0
  looked=1 getfattr=$(command -v getfattr) getcap=$(command -v getcap) getfacl=$(command -v getfacl)
}
carrying() { # FILE...: set $carry if any of these, which are about to change, has more than owner and mode
  look_for
  carry=$(traits "$@")
}
unsure() { # NAME, which is about to change: a warning if it is a program, whose capabilities nothing here knows
  look_for
  [ -z "$getfattr$getcap" ] && [ -n "$own" ] && [ ! -L "./$1" ] && [ -f "./$1" ] && [ -x "./$1" ] || return 0
  case $(head -c 4 -- "./$1" 2>&-) in # those of scripts have no effect
    ?ELF) echo "remark capabilities of the old $at/$1 would be lost: neither getcap nor getfattr is there to know" ;;
  esac
}
traits() { # FILE...: print a word for each kind of what they have
  if [ -n "$getfattr" ]; then
    getfattr -h --absolute-names -m "$more" -- "$@" 2>&- | sed '/^# file: /d; /^$/d'
    return
  fi
  [ -z "$getcap" ] || [ -z "$(getcap -- "$@" 2>&-)" ] || echo security.capability
  if [ -n "$getfacl" ]; then [ -z "$(getfacl -cps -- "$@" 2>&-)" ] || echo system.posix_acl_access
  else case $nl$(ls -ld -- "$@" 2>&-) in *"$nl"??????????+*) echo system.posix_acl_access ;; esac; fi
}
inherited() { # KIND OLD ATTRIBUTES NAME: the new version gets what the old one has; in $new it is complete but for that
  case $1:$2 in
    same:*) o=$side.here/$4 ;;
    file:keep | checked*:keep)
      o=./$4
      unsure "$4"
      [ -n "$carry" ] && [ ! -L "$o" ] && [ -f "$o" ] || return 0
      if [ -z "$own" ]; then
        o=$side.was/$4
        [ -d "$side.was" ] || mkdir -- "$side.was" 2>&-
        ln -- "./$4" "$o" 2>&- || { lost "$4" "$carry"; return 0; }
        [ ! -L "$o" ] && [ -f "$o" ] || return 0
      fi ;;
    *) return 0 ;;
  esac
  look_for
  has=$(traits "$o")
  [ -n "$has" ] || return 0
  attributes "$3"
  # Whoever owned the old version, or may exchange it, must not get more of the new one than the repository says.
  x=$(stat -c %u:%U -- "$o" 2>&-) u=${x%%:*}
  case $owner in "${x#*:}" | "+$u") x=same ;; *) x= ;; esac
  case $own:$u:$x in 1:0: | 1:*:same) ;; :0:*) false ;; :*:same) ;; *) false ;; esac || { lost "$4" "$has"; return 0; }
  copy_more "$o" "$new/$4" 2>&-
  e=
  # A chown takes capabilities away; who may write in the directory may have brought them.
  [ -n "$own" ] || e=$(own "$owner" "$group" "$new/$4" 2>&1) || return
  e=$(change_mode "$mode" "$new/$4" 2>&1) || return
  c=$nl$(traits "$new/$4")$nl x=
  set -f
  for l in $has; do case $c in *"$nl$l$nl"*) ;; *) x="$x $l" ;; esac; done
  set +f
  [ -z "$x" ] || lost "$4" "$x"
  e=$(expected_more "$new/$4" 2>&1)
}
copy_more() { # FROM TO: also the mode, where that is done by one program
  cp --attributes-only --preserve=mode,xattr -- "$1" "$2" && return
  if [ -n "$getfattr" ]; then
    getfattr -h --absolute-names -d -e hex -m "$more" -- "$1" | while IFS= read -r l; do
      case $l in [a-z]*=0x*) setfattr -n "${l%=0x*}" -v "0x${l##*=0x}" -- "$2" ;; esac
    done
    return
  fi
  [ -z "$getfacl" ] || getfacl -cp -- "$1" | setfacl --set-file=- -- "$2"
  capabilities_of "$1"
  set_capabilities "$2"
}
referred() { # RECORDS: on a node with SELinux, each new version gets the label of the file that it replaces
  while [ $# -gt 0 ]; do
    x=
    # Where others may write, somebody may have chosen what is there: all is labelled like the directory.
    if [ -z "$own" ]; then x=.; elif [ ! -L "./$6" ] && [ -f "./$6" ] && [ "$2" != link ]; then x=./$6; fi
    if [ -z "$x" ] || ! is_there "$new/$6"; then :
    elif chcon -R -h --reference="$x" -- "$new/$6" 2>&-; then eval "r$1=1"
    else
      lost "$6" selinux
      eval "r$1=1"
    fi
    shift 6
  done
}
relabelled() { # RECORDS that have got their names: those without a reference get the label of their path
  n=$#
  while [ "$n" -gt 0 ]; do
    eval "l=\$r$1"
    if [ -z "$l" ] && is_there "./$6" && ! is_there "$new/$6"; then set -- "$@" "./$6"; fi
    shift 6
    n=$((n - 6))
  done
  relabel "$@"
}
relabel() { # PATH...
  [ $# = 0 ] || restorecon -R -- "$@" 2>&- ||
    echo "remark new files in $at have no SELinux label of their own: restorecon failed"
}
restored() { # (NUMBER NAME)...: those that were done get the label that the policy has for their path
  [ -n "$labels" ] || return 0
  while [ $# -gt 0 ]; do
    eval "x=\$d$1"
    if [ -z "$x" ]; then :
    elif ! survey || [ -z "$own" ]; then echo "remark no SELinux label is restored in $at: others may write there"
    elif ! e=$(restorecon -- "./$2" 2>&1); then echo "remark no SELinux label for $at/$2: ${e##*"$nl"}"; fi
    shift 2
  done
}
lost() { # NAME KINDS: said to people
  l=
  case $2 in *system.*) l="$l, ACL" ;; esac
  case $2 in *security.*) l="$l, capabilities" ;; esac
  case $2 in selinux) l=", SELinux label" ;; esac
  case $2 in *user.* | *trusted.*) l="$l, extended attributes" ;; esac
  echo "remark not kept of the old $at/$1: ${l#, }"
}
expected_more() { # PATH that is complete but for what is expected: the ACL $granted and the capabilities $expects
  case $granted in
    '') ;;
    *,mask::* | *,default:*) setfacl -k --set "$granted" -- "$1" || return ;;
    *)
      look_for
      case $(traits "$1") in *system.*) setfacl -k --set "$granted" -- "$1" || return ;; esac ;;
  esac
  case $expects in
    '') ;;
    none) look_for; ! capable "$1" || setcap -r "$1" ;;
    *) setcap "$expects" "$1" ;;
  esac
}
grants() { # FILE, an old version: whether it has capabilities, or an ACL where attributes.yaml expects one
  case $(traits "$1"):$granted in *security.capability*) ;; *system.*:?*) ;; *) false ;; esac
}
capable() { case $(traits "$1") in *security.capability*) ;; *) false ;; esac; } # FILE
differing_but_capable() { # WHAT NAME: as differing, of a file; a chown would take its capabilities away
  case $1:$carry in *o*:*security.capability*) capabilities_of "./$2" ;; *) c= ;; esac
  differing "$1" "./$2" && set_capabilities "./$2" && expected_more "./$2"
}
capabilities_of() { # FILE: set $c to them as set_capabilities takes them
  c=
  if [ -n "$getcap" ]; then
    c=$(getcap -- "$1") c=${c#"$1"}
    c=${c# =} # of old versions
  elif capable "$1"; then
    c=$(getfattr -h --absolute-names -e hex -n security.capability -- "$1" | sed -n 's/^security\.capability=//p')
  fi
  c=${c# }
}
set_capabilities() { # FILE
  case $c in
    '') ;;
    0x*) setfattr -n security.capability -v "$c" -- "$1" ;;
    *) setcap "$c" "$1" ;;
  esac
}
"""

"""The prologue of every shell script that runs on a node: what a login has set does not reach the script.

A login brings along a umask and the environment of sshd, of sudo and of the login shell's files. Where bash is /bin/sh,
it brings options and functions too. The prologue keeps HOME, the working directory and the absolute directories of
PATH. It prints nothing. Commands of the site, such as triggers, get the rest back: see LOGIN.
"""

from __future__ import annotations

import os
from typing import Final

# `login_names` gets the names of the variables that are taken away, `login_value_NAME` their values. A word in a value
# that looks like `NAME=` does no harm. Names that stay are read-only in some shell, or setting them has other effects.
PROLOGUE: Final = rb"""unset -v IFS login_umask login_names login_functions login_word login_name login_path
case ${BASH_VERSION-} in
  ?*)
    set +aefkmnuvxCHPT
    set +o pipefail
    unset -f builtin
    builtin unset -f declare compgen shopt
    login_functions=$(declare -fx)
    builtin unset -f $(compgen -A function)
    shopt -u dotglob extglob failglob lastpipe nocaseglob nocasematch nullglob xpg_echo ;;
  *) login_functions= ;;
esac
set -f
login_umask= login_names=
for login_word in $(umask; export -p); do
  case $login_umask in '') login_umask=$login_word; continue ;; esac
  login_name=${login_word%%=*}
  case $login_name in
    "" | "$login_word" | login_* | [0123456789]*) ;;
    *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]*) ;;
    HOME | PATH | PWD | OLDPWD | IFS | OPTIND | LINENO | RANDOM | SECONDS | SHLVL | _) ;;
    PPID | UID | EUID | GID | EGID | USERNAME | PGRP | USER_ID | ARGC | HISTCMD | TTYIDLE) ;;
    SHELLOPTS | BASHOPTS | BASHPID | BASH_VERSINFO | KSH* | ZSH_*) ;;
    *)
      login_names="$login_names $login_name"
      eval "login_value_$login_name=\$$login_name"
      unset -v "$login_name" ;;
  esac
done
login_path=${PATH-} PATH= IFS=:
for login_word in $login_path; do
  case $login_word in /*) PATH=$PATH$login_word: ;; esac
done
unset -v IFS
set +f
PATH=$PATH/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 077
"""

# In a subshell: a command of the site gets the login's environment and umask. A script that somebody runs by hand, as a
# rehearsal prints it, has no prologue and no login to go back to.
LOGIN: Final = rb"""as_login() {
  [ -n "$login_umask" ] || return 0
  unset -v LC_ALL
  for login_name in $login_names; do
    case $login_name in SYNCTOOL_*) ;; *) eval "$login_name=\$login_value_$login_name; export $login_name" ;; esac
  done
  if [ -n "$login_functions" ] && (eval "$login_functions") 2>&-; then eval "$login_functions"; fi
  umask "$login_umask"
}
"""


def new_token() -> str:
    """Return a new word with which a script announces itself. Nothing that a login prints contains it."""
    return f"synctool-{os.urandom(8).hex()}"


def first_line(token: str) -> bytes:
    """Return the first line of a script for `/bin/sh -s TOKEN`. Another shell, which a login has started, stops there.

    Also csh does, which would run a script line by line.
    """
    return b'unset -f test; test "$1" = %s || exit 3\n' % token.encode()


def beginning(token: str) -> bytes:
    """Return the first lines of a script: the prologue, and a command that prints the text of begins()."""
    return b"%secho; echo %s\n" % (PROLOGUE, token.encode())


def begins(token: str) -> bytes:
    """Return the text that stands before the output of a script. The login may have printed a line without an end."""
    return b"\n%s\n" % token.encode()

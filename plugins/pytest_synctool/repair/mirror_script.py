"""The node's side of a push to its mirror: the shell text that runs there, around rsync or tar. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.family import FAMILY
from pytest_synctool.common.prologue import PROLOGUE
from pytest_synctool.common.shell import COMPLETE, compact, shell_line, words
from pytest_synctool.connection.route import Route
from pytest_synctool.repair.mirror_reuse import PART
from pytest_synctool.repository import attributes, waivers

MARK: Final = ".synctool-mirror"
SAYS: Final = "made by pytest --fix, which removes what else is put here"
MADE: Final = ".synctool-made."  # directory of the made files during a push; FINGERPRINT.NUMBER follows

_ALL_OUT: Final = "exec 2>&1; "  # what is said on standard error can get lost on the way
_LONGEST_BEAT: Final = 5  # seconds
_BLOCK: Final = 512  # bytes
_PROLOGUE: Final = compact(PROLOGUE)  # dropbear takes a command of 9,000 bytes

# The node's side of a push: MASTERDIR FINGERPRINT.NUMBER COMMAND BASES NEW [WORD...] carries out COMMAND WORD... in the
# new tree, puts that in place and tells on standard error how it went, in lines that begin with TOKEN. With NEW it does
# so only in a new tree.
# - What came of a push that was cut off is kept in .synctool-part, unless it has filled the file system. The next push
#   links what is right of it, and rsync goes on with a file that has come in part. Only a new tree is made that way: in
#   a masterdir without the mark, which gets files but loses none, a part of a file would take its place.
# - attributes.yaml and waivers.yaml take their places before the sources do: none of these is ever there with the mode
#   of a checkout.
# - What tar was told to link is never replaced meanwhile by a part of it that another push leaves (cp without -f).
# - A push that hung may go on when the next one has begun: it touches only the tree that it has made.
# - A tree that is a mount point cannot be renamed, and what is mounted deeper is looked for: rm would go through it.
# - Nothing is done below a directory in which others than root may rename: its user could put another one there.
# - uutils copies DIRECTORY/. to a wrong place: what is in it is copied name by name.
# - mkdir makes all but the last directory as anybody would; that one is root's.
# - rsync sends what differs from a file that is there. Where the mirror has no version of a large file, that is a copy
#   of the file on the node: no link, since rsync links what is right. It is read where only root can exchange names,
#   and only so far: its owner can give it any size. The copies leave room for as much again.
# - mksh computes PWD from names, which somebody may have exchanged meanwhile.
# - While a program here reads or writes, empty lines tell the controller so: rsync is silent while it reads.
_SCRIPT: Final = " ".join(
    """
tell() { echo "TOKEN: $*" >&2; }; echo >&2; tell begun; echo; echo TOKEN; u=$(id -u);
m=$1; g=MADE$2; f=${2%.*}; c=$3; k=$4; new=$5; shift 5; umask 077;
fail() { [ "$u" = 0 ] || set -- "$* (the login is not root: see --sudo)"; tell "failed $*"; exit 1; };
for p in $(for p in chmod cp head id ls mkdir mv rm rmdir sh stat; do command -v $p || echo "//no:$p"; done); do
case $p in //no:*) u=0; fail "it has no program ${p#*:}" ;; esac; done;
try() { e=$("$@" 2>&1) || fail "$e"; };
above() { [ -d "${m%/*}/" ] || (umask 022; mkdir -p -- "${m%/*}/"); };
owned() { r=$(pwd -P); r=${r%/}; set --; while set -- "$@" "${r:-/}"; [ -n "$r" ]; do r=${r%/*}; done; p=$1;
l=$(stat -c %d:%i:%u:%a -- . "$@") || { l=; return 1; };
x=; for s in $l; do case $x in "") x=${s%:*:*}; continue ;; above) ;; "${s%:*:*}") x=above ;; *) return 1 ;; esac;
p=$1; shift; case ${s#*:*:} in "$u":[1357]???|0:[1357]???) ;; *[2367]|*[2367]?) return 1 ;;
"$u":*|0:*) ;; *) return 1 ;; esac; done; };
ours() { owned || { [ -n "$l" ] || fail "$p cannot be examined";
fail "others than root may write in $p, above the copy of the masterdir"; }; };
merge() { cd "$1" && for f in ./* ./.[!.]*; do [ ! -e "$f" ] || cp -R "$f" .. || return; done; };
gather() { [ -d .synctool-new ] || return 0; rm -rf ".synctool-new/$g";
if [ -d PART ]; then cp $o .synctool-new/. PART/ 2>&-; rm -rf .synctool-new;
else mv .synctool-new PART; fi; };
is_ours() { [ "$(stat -c %d:%i .synctool-new 2>&-)" = "$i" ]; };
keep() { [ -z "$why" ] && is_ours || return 0;
if rmdir .synctool-new 2>&-; then :;
elif head -c 4000000 /dev/zero >.synctool-new/.room 2>&-; then rm -f .synctool-new/.room; gather;
else rm -rf .synctool-new PART; fi; rm -rf .synctool-old; };
copy() { cp --reflink=auto -- "$1" "$2" 2>&- || cp -- "$1" "$2" 2>&- || rm -f -- "$2"; };
basis() { if [ -e "./$2" ] || [ -e "PART/$2" ]; then return; fi; o=$(pwd -P);
set -- "$@" $(stat -f -c "%a %S" . 2>&-); [ $# = 5 ] && [ "$5" -ge BLOCK ] || return;
[ "$4" -ge $((($3 + taken) / ($5 / BLOCK))) ] || return; taken=$((taken + $3));
(ulimit -f "$3" && cd -P -- "${1%/*}/" 2>&- && owned && [ ! -L "./${1##*/}" ] && [ -f "./${1##*/}" ] &&
mkdir -p -- "$o/PART/${2%/*}" && copy "./${1##*/}" "$o/PART/$2") 2>&-; };
bases() { IFS=$(printf '\\nx'); IFS=${IFS%x}; set -f; set -- $k; set +f; unset IFS; taken=0;
while [ $# -gt 2 ]; do basis "$1" "$2" "$3"; shift 3; done; };
FAMILY
beats() { trap 'kill "$!"; exit' TERM; j=; read -r q l </proc/self/stat;
while sleep BEAT <&- >&- 2>&- 4>&- & wait "$!"; do kill -0 $$ || exit;
activity $$ "$q"; case $j in ""|"$io") ;; *) echo >&4 ;; esac; j=$io; done; };
beating() { b=; [ ! -r /proc/self/io ] || { beats <&- >&- 4>&2 2>&- & b=$!; }; };
quiet() { [ -z "$b" ] || { kill "$b"; wait "$b"; } 2>&-; };
a=$m; while [ ! -d "$a" ]; do a=${a%/*}; [ -n "$a" ] || a=/; done;
try cd -P -- "$a"; cd -P -- "$a"; ours;
try above; try mkdir -p -- "$m"; try cd -P -- "$m"; cd -P -- "$m"; ours; try ls -A;
why=; if [ -L MARK ] || [ ! -f MARK ]; then
for f in $e; do case $f in .synctool*) ;; *) why=foreign ;; esac; done;
[ -n "$why" ] || try sh -c "echo SAYS >MARK";
fi;
w=$(pwd -P); if [ -r /proc/self/mounts ]; then
while read -r a b r; do case $b in "$w"/*) why=mounted ;; esac; done </proc/self/mounts;
fi;
d=.; if [ -z "$why" ]; then
d=.synctool-new; o=-Rl; [ $# = 0 ] || o=-Rlf; try chmod 700 .; try gather;
try rm -rf .synctool-old; try mkdir .synctool-new .synctool-old;
i=$(stat -c %d:%i .synctool-new);
beating;
if [ $# != 0 ]; then bases; x=$1; shift; set -- --link-dest=.. "$@";
[ ! -d PART ] || set -- --link-dest=../PART "$@"; set -- "$x" --partial "$@"; fi;
else tell $why; [ $# != 0 ] && [ -z "$new" ] || exit 1; beating;
fi;
(cd $d && eval "$c \\"\\$@\\""); s=$?; quiet;
case $s in 0|24) ;; *)
[ $s != 127 ] || tell missing;
case $#:$s in 0:*) ;; *:[124]) tell "unfit $(eval "$c --version" 2>&1 | head -n 1)" ;; esac;
rm -rf "$g"; keep; exit $s ;;
esac;
if [ -z "$why" ]; then
[ $# != 0 ] || [ -e .synctool-new/COMPLETE ] || { keep; fail the stream broke off; };
is_ours || fail another push has taken its place;
try mkdir -p .synctool-new/overlay; [ ! -d ".synctool-new/$g" ] || try merge ".synctool-new/$g";
for t in ATTRIBUTES WAIVERS; do
if [ -f .synctool-new/$t ]; then try mv -f .synctool-new/$t .; elif [ -e $t ] || [ -L $t ]; then try rm -f $t; fi;
done;
for t in overlay delete purge tasks scripts; do
if [ -e $t ] || [ -L $t ]; then try mv -f $t .synctool-old/; fi;
if [ -e .synctool-new/$t ] || [ -L .synctool-new/$t ]; then try mv -f .synctool-new/$t .; fi;
done;
try sh -c "echo SAYS: $f >.synctool-new/MARK"; try mv -f .synctool-new/MARK .;
try rm -rf .synctool-new .synctool-old PART;
else rm -rf "$g";
fi;
tell done; exit $s
""".replace("FAMILY", FAMILY)
    .replace("MARK", MARK)
    .replace("SAYS", SAYS)
    .replace("MADE", MADE)
    .replace("PART", PART.decode())
    .replace("COMPLETE", COMPLETE)
    .replace("BLOCK", str(_BLOCK))
    .replace("ATTRIBUTES", attributes.FILE_NAME)
    .replace("WAIVERS", waivers.FILE_NAME)
    .split()
)


@dataclass(frozen=True, slots=True)
class Basis:
    """A file on the node that may have most of the contents of a large file, whose name below the masterdir follows.

    `size` is that of the large file, in bytes. Of a file on the node that is more than twice as large nothing is used.
    """

    path: bytes
    name: bytes
    size: int

    @property
    def words(self) -> tuple[bytes, bytes, bytes]:
        """The words for the script. The limit is in blocks of 512 bytes, as shells count them."""
        return self.path, self.name, b"%d" % (2 * self.size // _BLOCK)


@dataclass(frozen=True, slots=True)
class NodeSide:
    """The node's side of a push. Its script begins each of its lines with `token`.

    `directory` is the mirror, `number` the number of the directory of made files, `command` the shell text that takes
    the files. `bases` are for rsync. With `only_new` nothing is done to a directory that has other files. The script
    prints something within `silence` seconds as long as something moves. If it is `in_one`, what it says on standard
    error goes to standard output.
    """

    token: str
    directory: bytes
    number: str
    command: str
    silence: float
    bases: Sequence[Basis] = ()
    only_new: bool = False
    in_one: bool = False

    def line(self, route: Route) -> str:
        """Return the line for the login shell of the node."""
        beat = max(1, min(_LONGEST_BEAT, int(self.silence / 6)))
        text = _SCRIPT.replace("TOKEN", self.token).replace("BEAT", str(beat))
        script = _PROLOGUE + ((_ALL_OUT if self.in_one else "") + text).encode()
        bases = b"\n".join(word for basis in self.bases for word in basis.words)
        new = b"new" if self.only_new else b""
        line = shell_line(script, self.directory, self.number.encode(), self.command.encode(), bases, new)
        return os.fsdecode(words(*map(os.fsencode, route.node_sudo)) + b" " + line).lstrip()

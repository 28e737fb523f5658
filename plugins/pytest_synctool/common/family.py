"""The shell functions that find what a process has started, and what all of them have read and written.

They want the expansion of patterns to be on, and leave a blank in IFS. What they cannot read is left out: the caller
closes standard error.
"""

from __future__ import annotations

from typing import Final

# family PID [BESIDE]: sets $kin to the numbers of the process and of all that it has started, but not to BESIDE, which
# asks. A child may have a lower number than its parent, so one look at all is not enough.
# activity PID [BESIDE]: sets $io to what the kernel has counted of them.
FAMILY: Final = """
family() { kin=" $1 " before=; while [ "$kin" != "$before" ]; do before=$kin;
for stat in /proc/[0-9]*/stat; do IFS= read -r line <"$stat" || continue;
pid=${line%% *} line=${line##*")"}; line=${line#???};
case $kin in *" $pid "*) ;; *" ${line%% *} "*) [ "$pid" = "$2" ] || kin="$kin$pid " ;; esac; done; done; };
activity() { family "$@"; io=; IFS=" "; for pid in $kin; do
while IFS= read -r line; do io=$io$line; done <"/proc/$pid/io"; done; };
"""

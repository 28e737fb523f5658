import os
import shutil
import subprocess

import pytest
from pytest_synctool.common.family import FAMILY

# In a world of its own, where the next process number can be chosen: each process has a lower one than its parent.
_WORLD = """
exec 2>/dev/null
next() { echo "$1" >/proc/sys/kernel/ns_last_pid; }
next 900
(
  next 700
  (
    next 500
    (next 300; sleep 60 & wait) &
    wait
  ) &
  until [ -e /proc/301 ]; do :; done # nobody else may take the next number
  next 100; sleep 60 & wait
) &
until [ -e /proc/101 ] && [ -e /proc/301 ] && [ -e /proc/501 ]; do :; done
FAMILY
family "$!"
echo "$kin"
family "$!" 501
echo "$kin"
activity "$!"
case $io in *rchar*rchar*rchar*rchar*rchar*) echo counted ;; esac
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_process_that_has_a_lower_number_than_its_parent_is_found(shell: str) -> None:
    world = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", shell, "-c"]
    done = subprocess.run([*world, _WORLD.replace("FAMILY", FAMILY)], capture_output=True, timeout=60, check=True)
    whole, partial, counted = done.stdout.decode().splitlines()
    assert set(whole.split()) == {"901", "701", "501", "301", "101"}
    assert set(partial.split()) == {"901", "701", "101"}
    assert counted == "counted"

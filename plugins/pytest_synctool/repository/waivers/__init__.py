"""waivers.yaml: drift that is accepted until a day, by destination and nodes or groups, with a reason.

    - path: /etc/ntp.conf           # or a list; patterns as in attributes.yaml
      nodes: node[3-5]              # or a list; or `groups`; with both, nodes in either of them
      reason: waits for the new time server, ticket 4711
      expires: 2026-12-31           # the last day on which it holds

If several waivers cover an entry of a node, the first one in the file that has not expired is used. A waiver accepts
only drift: neither errors nor owed commands.
"""

from __future__ import annotations

from pytest_synctool.repository.waivers.reader import load, parse
from pytest_synctool.repository.waivers.rules import FILE_NAME, NO_WAIVERS, NOTHING_WAIVED, InForce, Waiver, Waivers

__all__ = ["FILE_NAME", "NOTHING_WAIVED", "NO_WAIVERS", "InForce", "Waiver", "Waivers", "load", "parse"]

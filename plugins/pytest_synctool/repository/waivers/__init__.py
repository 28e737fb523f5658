"""waivers.yaml: drift that is accepted for a while, by destination, nodes or groups, with a reason and a last day.

    - path: /etc/ntp.conf           # or a list; patterns as in attributes.yaml
      nodes: node[3-5]              # or a list; or `groups`, or both: any of them
      reason: waits for the new time server, ticket 4711
      expires: 2026-12-31           # the last day on which it holds

Of waivers that cover an entry of a node the first one in the file counts that has not expired. Nothing but drift is
waived: neither errors, nor commands that have to run.
"""

from __future__ import annotations

from pytest_synctool.repository.waivers.reader import load, parse
from pytest_synctool.repository.waivers.rules import FILE_NAME, NO_WAIVERS, NOTHING_WAIVED, InForce, Waiver, Waivers

__all__ = ["FILE_NAME", "NOTHING_WAIVED", "NO_WAIVERS", "InForce", "Waiver", "Waivers", "load", "parse"]

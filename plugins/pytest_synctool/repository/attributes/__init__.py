"""attributes.yaml: owner, group, mode, `sensitive` and `validate` by destination and group.

Git stores neither owners nor modes, so a masterdir in git needs them in a file: a list of rules.

    - path: /etc/sudoers            # or a list; destinations on the node
      groups: [batch, node3]        # the rule is for nodes in any of these; without it, for all nodes
      owner: root
      group: root
      mode: "0440"
      validate: visudo -cf %s       # for files; the path of a temporary copy replaces %s
      sensitive: yes                # contents are never shown
    - source: overlay/etc/fstab._node5   # instead of `path`: below the masterdir, if sources of one path differ
      mode: "0600"

A name with `*`, `?` or `[` in it is a pattern: `*`, `?`, `[abc]`, `[a-z]` and `[!abc]` stay within one component, `**`
as a whole component is any number of components, or none: `/etc/**` is /etc and all below it. A backslash escapes
nothing. In a literal name, these characters are written as `[*]`, `[?]` and `[[]`, so the name is a pattern too.

Each attribute is decided by itself. Of the rules that match the entry, are for the node and have the attribute, the
winner is the one with

1. the more exact name: an exact `source`, then an exact `path`, then any pattern. In a list, the most exact name that
   matches is used;
2. the group that is more important for the node. A rule without groups is one for `all`, the least important group. Of
   several groups, the most important one that the node is in is used;
3. the later place in the file.

Rules are for entries of overlay/. Attributes without a meaning for a type are ignored: the mode of a symbolic link, and
`validate` for anything but a file.
"""

from __future__ import annotations

from pytest_synctool.repository.attributes.reader import load, parse
from pytest_synctool.repository.attributes.rules import FILE_NAME, NO_RULES, AttributeRules, Attributes, Rule

__all__ = ["FILE_NAME", "NO_RULES", "AttributeRules", "Attributes", "Rule", "load", "parse"]

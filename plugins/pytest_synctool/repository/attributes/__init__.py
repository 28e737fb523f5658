"""attributes.yaml: owner, group, mode, `sensitive` and `validate` by destination and group.

Git keeps neither owners nor modes, so a masterdir that is kept in git says them in a file: a list of rules.

    - path: /etc/sudoers            # or a list; destinations on the node
      groups: [batch, node3]        # the rule holds for nodes in any of these; without it, for all nodes
      owner: root
      group: root
      mode: "0440"
      validate: visudo -cf %s       # for files; a temporary copy's path takes the place of %s
      sensitive: yes                # contents are never shown
    - source: overlay/etc/fstab._node5   # instead of `path`: below the masterdir, where sources of one path differ
      mode: "0600"

A name with `*`, `?` or `[` in it is a pattern: `*`, `?`, `[abc]`, `[a-z]` and `[!abc]` stay within one component, `**`
as a whole component is any number of components, also none: `/etc/**` is /etc and all below it. There is no escape by
backslash; a name that holds such a character is written as `[*]`, `[?]` or `[[]`, and so is a pattern.

Each attribute is decided by itself. Of the rules that match the entry, hold for the node and give the attribute, the
winner is the one with

1. the more exact name: an exact `source`, then an exact `path`, then any pattern. In a list, the name that matched
   counts;
2. the group that is more important for the node. A rule without groups counts as one for `all`, the least important;
   a rule with several counts with the most important one that the node is in;
3. the later place in the file.

Rules are for what is in overlay/. What means nothing for a type is not decided: the mode of a link, `validate` for what
is not a file.
"""

from __future__ import annotations

from pytest_synctool.repository.attributes.reader import load, parse
from pytest_synctool.repository.attributes.rules import FILE_NAME, NO_RULES, AttributeRules, Attributes, Rule
from pytest_synctool.repository.attributes.writer import mirror_text, scan

__all__ = ["FILE_NAME", "NO_RULES", "AttributeRules", "Attributes", "Rule", "load", "mirror_text", "parse", "scan"]

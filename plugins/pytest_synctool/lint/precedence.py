"""Rules about what counts on which node: names that never do, and names that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_synctool.common.wording import printable
from pytest_synctool.lint.context import Finding, Subject, some
from pytest_synctool.repository.masterdir import Candidate, Key
from pytest_synctool.repository.source import Tree


def shadowed(subject: Subject) -> Iterator[Finding]:
    """Sources that apply to some node, but count on none."""
    with_contents = _directories_with_contents(subject)
    for key, candidates in subject.repository.found.candidates.items():
        applied, used = set(), set()
        blockers: dict[bytes, dict[str, None]] = {}
        winners: dict[bytes, dict[str, None]] = {}
        for groups in subject.projections(subject.groups_of(key)):
            standing = subject.standing(key, groups)
            if standing.used is not None:
                used.add(standing.used.relative)
            for candidate in standing.applying:
                applied.add(candidate.relative)
                if standing.blocker is not None:
                    blockers.setdefault(candidate.relative, {})[printable(standing.blocker.relative)] = None
                elif candidate is not standing.used and standing.used is not None:
                    winners.setdefault(candidate.relative, {})[printable(standing.used.relative)] = None
        for candidate in candidates:
            name = candidate.relative
            # What lies in a directory counts for itself, whichever directory gives owner and mode.
            if name in applied - used - with_contents:
                reasons = []
                if name in winners:
                    reasons.append(f"overridden by {some(list(winners[name]))}")
                if name in blockers:
                    reasons.append(f"below {some(list(blockers[name]))}, which is not a directory")
                yield subject.at_source(
                    "shadowed",
                    name,
                    f"counts on no node, {' or '.join(reasons)} wherever it applies: remove it, or give it a group "
                    "that is more important on some node",
                )


def _directories_with_contents(subject: Subject) -> set[bytes]:
    found = subject.repository.found
    names = [c.relative for each in (found.candidates, found.triggers) for row in each.values() for c in row]
    return {name[: name.rindex(b"/")] for name in names}


def trigger_without_target(subject: Subject) -> Iterator[Finding]:
    """Triggers that nothing can ever fire."""
    for key, triggers in subject.repository.found.triggers.items():
        tree, destination = key
        if tree is Tree.TASKS:
            for trigger in triggers:
                message = "tasks have no triggers: rename it if it is a task, or remove it"
                yield subject.at_source("trigger-without-target", trigger.relative, message)
            continue
        if not subject.repository.found.candidates.get(key):
            where = f"nothing in {tree.value}/ stands for {printable(destination)}"
            if tree is Tree.DELETE:
                where += " (directories in delete/ are no entries)"
            for trigger in triggers:
                message = f"nothing fires it, {where}: rename it, or remove it"
                yield subject.at_source("trigger-without-target", trigger.relative, message)
            continue
        standings = [subject.standing(key, groups) for groups in subject.projections(subject.groups_of(key))]
        fired = {each.trigger.relative for each in standings if each.trigger and each.used}
        for trigger in triggers:
            if trigger.relative not in fired and not _parked(subject, trigger):
                message = (
                    f"fires on no node: where {printable(destination)} is in use, another trigger counts or this one "
                    "does not apply: correct its group, or remove it"
                )
                yield subject.at_source("trigger-without-target", trigger.relative, message)


def _parked(subject: Subject, candidate: Candidate) -> bool:
    """Whether a name is kept for no node on purpose, or for groups without nodes, which have a rule of their own."""
    config = subject.config
    return any(
        group is not None and group not in config.nodes and not config.groups.get(group) for group in candidate.groups
    )


def overlay_and_delete(subject: Subject) -> Iterator[Finding]:
    """Destinations that a node must have and must not have."""
    found = subject.repository.found.candidates
    for key, candidates in found.items():
        other = (Tree.OVERLAY, key[1])
        if key[0] is not Tree.DELETE or other not in found:
            continue
        if (nodes := subject.together(key, other)) is not None:
            message = (
                f"in delete/ and in overlay/ ({printable(found[other][0].relative)}), overlay/ counts on {nodes}: "
                "remove one of them, or give them groups without common nodes"
            )
            yield subject.at_source("overlay-and-delete", candidates[0].relative, message, subject=key[1])


def on_update_and_post(subject: Subject) -> Iterator[Finding]:
    """Paths for whose change two commands are given."""
    found = subject.repository.found.triggers
    for rule in subject.config.on_update:
        triggers = [*found.get((Tree.OVERLAY, rule.path), ()), *found.get((Tree.DELETE, rule.path), ())]
        if shown := [printable(trigger.relative) for trigger in triggers if not _parked(subject, trigger)]:
            message = (
                f"'on_update {printable(rule.path)}' is for the same change as {some(shown)}, both would run: "
                "remove the line, or the trigger"
            )
            yield subject.at("on-update-and-post", printable(rule.path), message, rule.place)


def case_only_destinations(subject: Subject) -> Iterator[Finding]:
    """Destinations in one directory of a node whose names differ in nothing but case."""
    alike: dict[tuple[bytes, str], list[Key]] = {}
    for key in sorted(subject.repository.found.candidates, key=lambda key: key[1]):
        # To delete one spelling where another is wanted is what delete/ is for.
        if key[0] is Tree.OVERLAY:
            directory, _, name = key[1].rpartition(b"/")
            alike.setdefault((directory, name.decode("utf-8", "surrogateescape").casefold()), []).append(key)
    for keys in alike.values():
        for number, key in enumerate(keys):
            for earlier in keys[:number]:
                if (nodes := subject.together(earlier, key)) is not None:
                    source = subject.repository.found.candidates[key][0]
                    message = (
                        f"{printable(key[1])} differs only in case from {printable(earlier[1])} on {nodes}: "
                        "rename or remove one of them"
                    )
                    yield subject.at_source("case-only", source.relative, message, subject=key[1])
                    break

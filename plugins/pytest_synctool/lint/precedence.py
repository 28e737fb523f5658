"""Rules about which names nodes use: names that no node uses, and names that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_synctool.common.wording import printable
from pytest_synctool.lint.context import Finding, LintContext, some
from pytest_synctool.repository.candidates import Candidate
from pytest_synctool.repository.source import Destination, Tree


def shadowed(context: LintContext) -> Iterator[Finding]:
    """Find sources that apply to some node but that no node uses."""
    with_contents = _directories_with_contents(context)
    for key, candidates in context.repository.masterdir.candidates.items():
        applied, used = set(), set()
        blockers: dict[bytes, dict[str, None]] = {}
        winners: dict[bytes, dict[str, None]] = {}
        for groups in context.combinations(context.groups_of(key)):
            resolved = context.resolve(key, groups)
            if resolved.used is not None:
                used.add(resolved.used.relative)
            for candidate in resolved.applying:
                applied.add(candidate.relative)
                if resolved.blocker is not None:
                    blockers.setdefault(candidate.relative, {})[printable(resolved.blocker.relative)] = None
                elif candidate is not resolved.used and resolved.used is not None:
                    winners.setdefault(candidate.relative, {})[printable(resolved.used.relative)] = None
        for candidate in candidates:
            name = candidate.relative
            # The contents of a directory are used even if another directory gives owner and mode.
            if name in applied - used - with_contents:
                reasons = []
                if name in winners:
                    reasons.append(f"overridden by {some(list(winners[name]))}")
                if name in blockers:
                    reasons.append(f"below {some(list(blockers[name]))}, which is not a directory")
                yield context.source_finding(
                    "shadowed",
                    name,
                    f"is used on no node, {' or '.join(reasons)} wherever it applies: remove it, or give it a group "
                    "that is more important on some node",
                )


def _directories_with_contents(context: LintContext) -> set[bytes]:
    names = context.repository.masterdir
    relatives = [c.relative for each in (names.candidates, names.triggers) for row in each.values() for c in row]
    return {relative[: relative.rindex(b"/")] for relative in relatives}


def trigger_without_target(context: LintContext) -> Iterator[Finding]:
    """Find triggers that no change can ever run."""
    for key, triggers in context.repository.masterdir.triggers.items():
        tree, destination = key
        if tree is Tree.TASKS:
            for trigger in triggers:
                message = "tasks have no triggers: rename it if it is a task, or remove it"
                yield context.source_finding("trigger-without-target", trigger.relative, message)
            continue
        targets = [*([key] if context.repository.masterdir.candidates.get(key) else []), *_deleted_in(context, key)]
        if not targets:
            shown = printable(destination)
            lacks = f"neither {shown} nor anything directly in it" if tree is Tree.DELETE else f"no source for {shown}"
            for trigger in triggers:
                message = f"never runs, because {tree.value}/ has {lacks}: rename it, or remove it"
                yield context.source_finding("trigger-without-target", trigger.relative, message)
            continue
        groups = context.groups_of(key, *targets)
        runnable = {
            resolved.relative
            for each in context.combinations(groups)
            if any(context.resolve(target, each).used for target in targets)
            and (resolved := context.resolve(key, each).trigger) is not None
        }
        for trigger in triggers:
            if trigger.relative not in runnable and not _is_for_no_node(context, trigger):
                message = (
                    f"runs on no node: where {printable(destination)} is used, another trigger runs or this one "
                    "does not apply: correct its group, or remove it"
                )
                yield context.source_finding("trigger-without-target", trigger.relative, message)


def _deleted_in(context: LintContext, key: Destination) -> list[Destination]:
    """Return what delete/ has directly in a directory of delete/: its trigger runs after these were deleted."""
    if key.tree is not Tree.DELETE:
        return []
    below = key.path + b"/"
    names = (each for each in context.repository.masterdir.candidates if each.tree is Tree.DELETE)
    return [each for each in names if each.path.startswith(below) and b"/" not in each.path[len(below) :]]


def _is_for_no_node(context: LintContext, candidate: Candidate) -> bool:
    """Return True if a name is for the group `none` or for a group without nodes, which another rule reports."""
    config = context.config
    return any(
        group is not None and group not in config.nodes and not config.groups.get(group) for group in candidate.groups
    )


def overlay_and_delete(context: LintContext) -> Iterator[Finding]:
    """Find destinations that some node must have and must not have."""
    candidates_of = context.repository.masterdir.candidates
    for key, candidates in candidates_of.items():
        other = Destination(Tree.OVERLAY, key.path)
        if key.tree is not Tree.DELETE or other not in candidates_of:
            continue
        if (nodes := context.nodes_with_both(key, other)) is not None:
            source = printable(candidates_of[other][0].relative)
            message = (
                f"in delete/ and in overlay/ ({source}), overlay/ wins on {nodes}: "
                "remove one of them, or give them groups without common nodes"
            )
            yield context.source_finding("overlay-and-delete", candidates[0].relative, message, subject=key.path)


def on_update_and_post(context: LintContext) -> Iterator[Finding]:
    """Find paths for which both an `on_update` line and a trigger exist."""
    triggers_of = context.repository.masterdir.triggers
    for rule in context.config.on_update:
        destinations = (Destination(tree, rule.path) for tree in (Tree.OVERLAY, Tree.DELETE))
        triggers = [trigger for destination in destinations for trigger in triggers_of.get(destination, ())]
        if shown := [printable(trigger.relative) for trigger in triggers if not _is_for_no_node(context, trigger)]:
            message = (
                f"'on_update {printable(rule.path)}' is for the same change as {some(shown)}, both would run: "
                "remove the line, or the trigger"
            )
            yield context.finding("on-update-and-post", printable(rule.path), message, rule.place)


def case_only_destinations(context: LintContext) -> Iterator[Finding]:
    """Find destinations in one directory of a node whose names differ only in case."""
    alike: dict[tuple[bytes, str], list[Destination]] = {}
    for key in sorted(context.repository.masterdir.candidates, key=lambda key: key.path):
        # delete/ may well remove one spelling where overlay/ has another.
        if key.tree is Tree.OVERLAY:
            directory, _, name = key.path.rpartition(b"/")
            alike.setdefault((directory, name.decode("utf-8", "surrogateescape").casefold()), []).append(key)
    for keys in alike.values():
        for number, key in enumerate(keys):
            for earlier in keys[:number]:
                if (nodes := context.nodes_with_both(earlier, key)) is not None:
                    source = context.repository.masterdir.candidates[key][0]
                    message = (
                        f"{printable(key.path)} differs only in case from {printable(earlier.path)} on {nodes}: "
                        "rename or remove one of them"
                    )
                    yield context.source_finding("case-only", source.relative, message, subject=key.path)
                    break

"""Tells whose a branch is: nobody's, ours, or somebody else's.

Rules of this module:
  1. A branch is ours when everything it has and the base has not is our edit: every commit carries
     our trailers, no other file differs, and the files hold what the edit makes of the fork.
     Trailers alone prove nothing: whoever amends our commit keeps them.
  2. A merge of the base made by somebody else (a forge's button "update branch") adds nothing of
     theirs, and does not make the branch theirs, as long as rule 1 holds for what the files hold.
  3. What is not clear is somebody else's.
"""

from dataclasses import dataclass
from enum import Enum

from rotation.model.plugin import Change
from rotation.participants.git.edits import Edits, Pins, UneditableError
from rotation.participants.git.host import Comparison, Host
from rotation.participants.git.wording import plan_of


class Owner(Enum):
    """Whose a branch is."""

    #: It does not exist.
    NOBODY = "nobody"
    #: It has nothing that the base has not.
    EMPTY = "empty"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Branch:
    """A branch as it was found."""

    owner: Owner
    head: str | None = None
    fork: str | None = None
    #: Digest of the edit on it, when it is ours.
    plan: str = ""
    #: Why it is foreign.
    reason: str = ""


def inspect(
    host: Host, name: str, base_head: str, pins: Pins, change: Change, rotation_id: str
) -> Branch:
    """Look at a branch."""
    head = host.head(name)
    if head is None:
        return Branch(Owner.NOBODY)
    comparison = host.compare(base_head, head)
    if comparison.fork is not None and not comparison.commits:
        return Branch(Owner.EMPTY, head, comparison.fork)
    plans = _plans(comparison, rotation_id)
    if isinstance(plans, str):
        return Branch(Owner.FOREIGN, head, comparison.fork, reason=plans)
    if not _holds_the_edit(host, head, comparison, pins, change):
        reason = "it holds other changes than ours"
        return Branch(Owner.FOREIGN, head, comparison.fork, reason=reason)
    return Branch(Owner.OURS, head, comparison.fork, plan=plans[-1])


def _plans(comparison: Comparison, rotation_id: str) -> list[str] | str:
    """Return the plans of our commits, or why not all commits are ours."""
    if comparison.fork is None:
        return "it shares no history with the base"
    plans = []
    for commit in comparison.commits:
        plan = plan_of(commit.message, rotation_id)
        if plan is not None:
            plans.append(plan)
        elif len(commit.parents) < 2:  # noqa: PLR2004 - a merge has two
            return f"commit {commit.oid[:12]} is not ours"
    return plans or "none of its commits is ours"


def _holds_the_edit(
    host: Host, head: str, comparison: Comparison, pins: Pins, change: Change
) -> bool:
    assert comparison.fork is not None  # noqa: S101 - `_plans` has looked
    try:
        # A file that somebody else has changed at the fork was left out by a revert.
        expected: Edits = pins.edits(comparison.fork, change, lenient=True)
    except UneditableError:
        return False
    return comparison.paths == frozenset(expected.after) and all(
        host.read(head, path) == content for path, content in expected.after.items()
    )

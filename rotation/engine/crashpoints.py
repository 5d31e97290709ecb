"""Named places between effects, which a worker reports when it reaches them.

In production nobody listens.  Whoever tests recovery hands in a `Reach` that interrupts the worker.
Rules of this module:
  1. A point stands before or after an effect, never inside one.
"""

from collections.abc import Callable
from enum import Enum


class CrashPoint(Enum):
    """Where a worker can be interrupted."""

    CLAIMED = "claimed"
    MINTED = "minted"
    VERIFIED = "verified"
    ADDING = "adding"
    ADDED = "added"
    PUBLISHED = "published"
    VOTED = "voted"
    HANDED = "handed"
    WATCHED = "watched"
    WITHDRAWN = "withdrawn"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    DISABLED = "disabled"
    OBSERVED = "observed"
    RESTORED = "restored"
    REVOKED = "revoked"
    DESTROYED = "destroyed"
    REVERTED = "reverted"
    ABORTED = "aborted"
    COMMITTED = "committed"


Reach = Callable[[CrashPoint], None]


def never(_: CrashPoint) -> None:
    """Do nothing."""

"""Named places where a worker can be made to die, stop or stall, so that recovery can be tested.

In production no point is armed and `reach` returns at once.
Rules of this module:
  1. A point stands before or after an effect, never inside one.
  2. Each point fires once: the marker file is made first, so the restarted process goes on.
"""

import signal
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path


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

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def never(_: CrashPoint) -> None:
    """Interrupt nothing."""


def armed(spec: str, marker: Path) -> Reach:
    """Return a `Reach` that interrupts this process once.

    Args:
        spec: ``POINT:kill`` or ``POINT:stop``.
        marker: File that says it has happened.

    Raises:
        ValueError: ``spec`` names no point or no action.
    """
    name, _, action = spec.partition(":")
    point, number = CrashPoint(name), _SIGNALS.get(action)
    if number is None:
        raise ValueError(f"{action!r} is no action; use kill or stop")

    def reach(reached: CrashPoint) -> None:
        if reached is not point:
            return
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return
        # To this very thread: sent to the process, another thread may take the signal, and this one
        # would run past the point before all of them are stopped.
        signal.pthread_kill(threading.get_ident(), number)

    return reach

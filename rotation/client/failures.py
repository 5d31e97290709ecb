"""What went wrong lately with credentials, and when to try again.

Rules of this module:
  1. Pauses double with each failure in a row, up to `LONGEST_PAUSE`.
  2. A failure is reported with the time it began, until it is over.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from rotation.model.consumer import Failure, Held, Trouble

#: Seconds.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_MOST_DOUBLINGS: Final = 10
#: Part by which a pause varies, so that a fleet does not read in step.
_JITTER: Final = 0.1


class Failures:
    """The failures of one rotating pool; its user holds a lock.

    Args:
        monotonic: Seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        #: The credential that could not be used last, and why.
        self.failure: Failure | None = None
        self._monotonic = monotonic
        self._streak = 0
        self._not_before = 0.0

    def note(self, held: Held, trouble: Trouble) -> None:
        """A credential could not be used."""
        since = datetime.now(UTC)
        if self.failure is not None and self.failure.held == held:
            since = self.failure.since or since
        self.failure = Failure(held, trouble, since)
        self.wait_longer()

    def wait_longer(self) -> None:
        """Let more time pass before the next try."""
        pause = min(FIRST_PAUSE * 2 ** min(self._streak, _MOST_DOUBLINGS), LONGEST_PAUSE)
        self._streak += 1
        self._not_before = self._monotonic() + pause

    def are_over(self) -> None:
        """All is well."""
        self.failure = None
        self._streak = 0
        self._not_before = 0.0

    def concern(self, held: Held) -> bool:
        """Whether it is this credential that could not be used last."""
        return self.failure is not None and self.failure.held == held

    def may_try(self) -> bool:
        """Whether enough time has passed."""
        return self._monotonic() >= self._not_before

    def pause(self, usual: float) -> float:
        """Return how many seconds to wait when nobody asks."""
        pause = usual
        if self._streak:
            pause = min(usual, max(FIRST_PAUSE, self._not_before - self._monotonic()))
        return pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret

"""The time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; never waits."""

    def now(self) -> datetime:
        """Return the time now, with the UTC zone."""

"""Knowing who sent a delivery."""

from typing import Protocol


class Callers(Protocol):
    """Checks what a delivery says of its sender, before anything of it is read."""

    def check(self, authorization: str) -> str:
        """Return what somebody should know about how callers are checked; empty: nothing.

        Args:
            authorization: The header of that name; empty: there is none.

        Raises:
            CallerError: Not from our push: nothing of the delivery may be acted on.
            TemporaryError: It cannot be judged now: the delivery should come again.
        """

"""Decide how many pushes of one subscription run at once: the service's slow start.

1. The window doubles with a success and halves with a failure, between 1 and `LARGEST_WINDOW`.
2. A push that is running when the window shrinks goes on; none starts until there is room.
"""

from typing import Final

LARGEST_WINDOW: Final = 256


class Window:
    """How many pushes of one subscription may run at once.

    Args:
        size: How many may run before the first answer.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._running = 0

    @property
    def free(self) -> int:
        """How many more may start now."""
        return max(0, self._size - self._running)

    def start(self) -> None:
        """Count a push that starts."""
        self._running += 1

    def finish(self, *, accepted: bool) -> None:
        """Count the end of a push, and learn from it."""
        self._running -= 1
        size = self._size * 2 if accepted else self._size // 2
        self._size = max(1, min(size, LARGEST_WINDOW))

"""What happens by itself and when: rotations, expiries, scheduled destructions.

It keeps moments; it does nothing when they come.

1. A moment that a later write moved or removed is dropped when it comes up.
2. A moment never gets lost: every write plans the moments of the record it stored.
"""

import heapq
from collections.abc import Callable
from datetime import datetime

from rotation.emulator.secretmanager.names import SecretKey


class Agenda:
    """The next moment of each secret, earliest first."""

    def __init__(self, moment_of: Callable[[SecretKey], datetime | None]) -> None:
        self._moment_of = moment_of
        self._heap: list[tuple[datetime, SecretKey]] = []

    def plan(self, key: SecretKey) -> None:
        """Take in the present moment of a secret that was written."""
        moment = self._moment_of(key)
        if moment is not None:
            heapq.heappush(self._heap, (moment, key))

    def earliest(self) -> datetime | None:
        """Return the next moment at which something is due."""
        while self._heap:
            moment, key = self._heap[0]
            if self._moment_of(key) == moment:
                return moment
            heapq.heappop(self._heap)
        return None

    def due(self, now: datetime) -> list[SecretKey]:
        """Return the secrets that are due, each once; their moments stay until they move."""
        keys: dict[SecretKey, None] = {}
        while self._heap and self._heap[0][0] <= now:
            moment, key = heapq.heappop(self._heap)
            if self._moment_of(key) == moment:
                keys[key] = None
        for key in keys:
            self.plan(key)
        return list(keys)

"""Decides how long one call to Google may take and how often it is sent; knows no service.

1. A call has one overall deadline.  Every attempt and every wait fits into what is left of it.
2. The first wait is a tenth of a second, each further one twice as long, drawn between half and
   the whole of that: workers that failed together do not return together.
3. No wait is longer than two seconds, so that a short outage costs little more than its length.
"""

import random
import time
from collections.abc import Callable
from typing import Final

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
#: An attempt that gets no answer leaves time for another one.
_ATTEMPT_SHARE: Final = 0.5


class Patience:
    """The time one call has left."""

    def __init__(self, seconds: float, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds
        self._next_wait = _FIRST_WAIT
        self._sleep = sleep

    @property
    def attempt(self) -> float:
        """Seconds the next attempt may take."""
        left = self._ends - time.monotonic()
        return max(min(left, self._seconds * _ATTEMPT_SHARE), 0.001)

    def extend(self, seconds: float) -> None:
        """Leave out time that was not spent on this call: it waited for its turn."""
        self._ends += seconds

    def wait(self) -> bool:
        """Wait before the next attempt; False, at once, when no time is left for one."""
        # Spreading load needs no unpredictable numbers.
        seconds = self._next_wait * random.uniform(0.5, 1.0)  # noqa: S311
        if time.monotonic() + seconds >= self._ends:
            return False
        self._next_wait = min(self._next_wait * 2, _LONGEST_WAIT)
        self._sleep(seconds)
        return True

"""Keeps the calls of one process within a quota of Secret Manager; knows no method of it.

A quota is counted by the minute and project, however many processes call.  They share no memory:
each paces itself, and learns from refusals how much the others take.

Rules of this module:
  1. One process alone never exceeds the quota: a burst of what `SHARE` leaves over may pass at
     once, further calls at `SHARE` of the quota, in the order they came.
  2. Over quota means not done: the call is made again.  First after a second, since the shortest
     quota is counted by the second and for one secret; or after what the service asks for.  It
     used nothing of the quota, so its turn goes to whoever waits.
  3. A call refused twice has met the quota of the minute: others are calling, too.  The pace of
     the whole process halves, and grows back within half a minute.
  4. A quota of a minute frees itself within a minute.  A call that is still refused after
     `PATIENCE` is given up.

https://cloud.google.com/secret-manager/quotas
"""

import math
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.rpc.error_details_pb2 import RetryInfo

from rotation.google.patience import Patience
from rotation.google.refusals import code_of

#: How much of the quota one process uses in the long run.
SHARE: Final = 0.97
#: Seconds after which a call that is refused all the time is given up.
PATIENCE: Final = 90.0
#: Seconds before the first repeat of a call.
FIRST_WAIT: Final = 1.0
_MINUTE: Final = 60.0
_LONGEST_WAIT: Final = 4.0
#: Seconds in which the pace grows from nothing to the full one.
_RECOVERY: Final = 30.0
#: The pace never falls below this part of the full one: somebody has to look.
_LEAST: Final = 1 / 8
_Answer = TypeVar("_Answer")


class Quota:
    """One quota of a project, as far as one process can keep it.  Safe to use from threads."""

    def __init__(
        self,
        per_minute: float = 0,
        *,
        patience: float = PATIENCE,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set up.

        Args:
            per_minute: Calls the service allows the project in a minute; 0 does not pace.
            patience: Seconds until a call that is refused all the time is given up.
            now: Monotonic seconds.
            sleep: Waits.
        """
        self._full = per_minute * SHARE / _MINUTE
        #: Calls that may pass at once, behind the first.
        self._burst = max(per_minute * (1 - SHARE) - 1, 0)
        self._patience = patience
        self._now, self._sleep = now, sleep
        self._lock = threading.Lock()
        self._pace = self._full
        self._paced_at = now()
        #: When the next call has its turn; in the past as far as calls were saved up.
        self._turn = -math.inf

    def spend(self, call: Callable[[], _Answer], patience: Patience) -> _Answer:
        """Make a call when it is its turn, again while it is over quota.

        Args:
            call: Made once for each turn.
            patience: The time the call has; waiting for the quota does not use it up.

        Raises:
            GoogleAPICallError: As the call raised it; RESOURCE_EXHAUSTED when given up.
        """
        ends, wait = self._now() + self._patience, FIRST_WAIT
        while True:
            self._pause(self._reserve(), patience)
            try:
                return call()
            except GoogleAPICallError as error:
                if code_of(error) is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                # Spreading load needs no unpredictable numbers.
                pause = named_wait(error) or wait * random.uniform(1.0, 1.25)  # noqa: S311
                if self._now() + pause >= ends:
                    raise
            if wait > FIRST_WAIT:
                self._slow_down()
            else:
                self._give_back()
            self._pause(pause, patience)
            wait = min(wait * 2, _LONGEST_WAIT)

    def is_behind(self) -> bool:
        """Whether a call made now would have to wait for its turn."""
        return bool(self._full) and self._turn > self._now()

    def _reserve(self) -> float:
        """Take the next turn; return the seconds until then."""
        if not self._full:
            return 0.0
        with self._lock:
            now = self._now()
            self._speed_up(now)
            self._turn = max(self._turn, now - self._burst / self._pace)
            wait = self._turn - now
            self._turn += 1 / self._pace
            return max(wait, 0.0)

    def _give_back(self) -> None:
        """Let the next call have a turn that came to nothing."""
        if self._full:
            with self._lock:
                self._turn -= 1 / self._pace

    def _speed_up(self, now: float) -> None:
        grown = self._full * (now - self._paced_at) / _RECOVERY
        self._pace, self._paced_at = min(self._pace + grown, self._full), now

    def _slow_down(self) -> None:
        with self._lock:
            now = self._now()
            self._speed_up(now)
            self._pace = max(self._pace / 2, self._full * _LEAST)
            # What was saved up belongs to the others now.
            self._turn = max(self._turn, now)

    def _pause(self, seconds: float, patience: Patience) -> None:
        if seconds:
            self._sleep(seconds)
            patience.extend(seconds)


def named_wait(error: GoogleAPICallError) -> float | None:
    """Return the seconds the service asks to wait, where it does."""
    for detail in error.details or ():
        if isinstance(detail, RetryInfo):
            return float(detail.retry_delay.ToTimedelta().total_seconds())
    return None

"""Fire rotations that are due, expire what expires, and publish the sweep, on a movable clock.

It plays two parts of Google Cloud: Secret Manager's own schedule and Cloud Scheduler.  What
"due" means is the calendar's decision; this only looks at the clock often enough.

1. A moved clock is noticed within `LOOK_EVERY` of real time.
2. Sweeps keep their rhythm: the next one is due a whole number of periods after the start, and
   periods that a moved clock jumped over are skipped, as Cloud Scheduler does.
3. A failure of one job is logged once by its kind, without its text, and tried again: a rotation
   at the next look, a sweep at its next period.
4. It keeps nothing of its own, so it can be stopped and started at any time.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from rotation.emulator.clock import Clock

LOOK_EVERY: Final = 0.1

SWEEP_ATTRIBUTES: Final[Mapping[str, str]] = {"eventType": "ROTATION_SWEEP"}

#: Publishes one message: topic, attributes, data.
Publish = Callable[[str, Mapping[str, str], bytes | None], None]

_log = logging.getLogger(__name__)


class Calendar(Protocol):
    """Whoever knows what is due; the embedded Secret Manager."""

    def next_due(self) -> datetime | None:
        """Return when the next rotation or expiry is due, None when nothing is scheduled."""

    def fire_due(self, now: datetime) -> object:
        """Fire every rotation that is due; a repeat fires nothing again."""

    def expire_due(self, now: datetime) -> object:
        """Delete what has expired and destroy what was to be destroyed; repeatable."""


class Sweep:
    """The regular wake-up for everything: one message every ``every`` of clock time."""

    def __init__(self, publish: Publish, topic: str, every: timedelta) -> None:
        if every <= timedelta(0):
            message = "the sweep needs a period longer than zero"
            raise ValueError(message)
        self._publish = publish
        self._topic = topic
        self._every = every
        self._next: datetime | None = None

    def run(self, now: datetime) -> None:
        """Publish when a period has passed; the first call starts the rhythm."""
        if self._next is None:
            self._next = now + self._every
        if now < self._next:
            return
        passed = (now - self._next) // self._every
        self._next += self._every * (passed + 1)
        self._publish(self._topic, SWEEP_ATTRIBUTES, None)


class RotationScheduler:
    """Runs a calendar and a sweep on the event loop while it is started."""

    def __init__(self, clock: Clock, calendar: Calendar, sweep: Sweep | None = None) -> None:
        self._clock = clock
        self._calendar = calendar
        self._sweep = sweep
        self._task: asyncio.Task[None] | None = None
        #: What failed last time and how: each failure is reported once, not ten times a second.
        self._failing: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Start looking at the clock; does nothing when already started."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="rotation-scheduler")

    async def stop(self) -> None:
        """Stop and wait until nothing runs any more; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def look(self) -> None:
        """Do what is due now."""
        now = self._clock.now()
        due = self._calendar.next_due()
        if due is not None and due <= now:
            self._attempt("rotations", self._calendar.fire_due, now)
            self._attempt("expiries", self._calendar.expire_due, now)
        if self._sweep is not None:
            self._attempt("sweep", self._sweep.run, now)

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY)

    def _attempt(self, job: str, run: Callable[[datetime], object], now: datetime) -> None:
        try:
            run(now)
        except Exception as error:  # noqa: BLE001 - one bad job must not end all of them
            kind = type(error).__name__
            if self._failing.get(job) != kind:
                _log.error("scheduled %s fail with %s", job, kind)
            self._failing[job] = kind
        else:
            self._failing.pop(job, None)

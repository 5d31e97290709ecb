"""The worker: wakes one secret, or, for a sweep, publishes a wake-up for each that needs one.

Rules of this module:
  1. First attempt, retry and recovery are one path; the message says only which secret.
  2. A lost race is read again and decided again, a bounded number of times.
  3. A sweep wakes no more than can be served before the next one: a backlog would only grow.
  4. A sweep says again what is still wrong: blocked, overdue, too old; and, once an hour, paused.
"""

from datetime import datetime, timedelta

from rotation.engine import codec, events
from rotation.engine.hold import PAUSE, TRIES, SupersededError
from rotation.engine.parts import Parts
from rotation.engine.tick import Tick
from rotation.machine import pausing, sweep
from rotation.machine.wakeups import encode_wake_up
from rotation.model.errors import EtagMismatchError, StateError, TemporaryError
from rotation.model.rotation import State
from rotation.model.secret import Secret
from rotation.model.wakeup import WakeUp

#: Wake-ups published in one call.
BATCH = 500


class Worker:
    """Moves rotations forward."""

    def __init__(
        self, parts: Parts, every: timedelta, check_every: timedelta, most: int | None = None
    ) -> None:
        """Set up.

        Args:
            parts: What it works with.
            every: Time between two sweeps.
            check_every: Time between two checks of one secret for drift.
            most: How many secrets one sweep wakes; None: all that are owed it.
        """
        self._parts = parts
        self._every = every
        self._check_every = check_every
        self._most = most

    def tick(self, wake_up: WakeUp) -> None:
        """Do what the secret owes now; returns when nothing is, or a later wake-up will.

        Raises:
            TemporaryError: Deliver the message again, later.
            PermanentError: Nothing can be stored on the secret: it is gone, or not ours to read.
        """
        if wake_up.secret is None:
            return self.sweep()
        tools = self._parts.tools
        started = tools.clock.now()
        for attempt in range(TRIES):
            tick = Tick(self._parts, wake_up, tools.store.get(wake_up.secret), started)
            try:
                return tick.step()
            except EtagMismatchError:
                tick.note("DEBUG", "lost a race; reading again")
            except SupersededError as lost:
                tick.note("NOTICE", f"another worker has taken over: {lost}")
                tick.clean_up_orphan()
            tools.pause(PAUSE * 2**attempt)
        raise TemporaryError(f"{wake_up.secret} is being written to all the time")

    def sweep(self) -> None:
        """Wake every rotation that is due, overdue, interrupted, or whose wait is over."""
        now = self._parts.tools.clock.now()
        owed: list[sweep.Woken] = []
        seen = blocked = paused = 0
        for secret in self._parts.tools.store.list():
            if not codec.is_managed(secret):
                continue
            seen += 1
            blocked += self._report_blocked(secret, now)
            paused += codec.PAUSED in secret.labels
            reason = self._reason(secret, now)
            if reason is not None:
                owed.append((secret.name, reason))
        woken = sweep.chosen(owed, self._most, now, self._every)
        for start in range(0, len(woken), BATCH):
            batch = woken[start : start + BATCH]
            self._parts.publisher.publish([encode_wake_up(*each) for each in batch])
        left = len(owed) - len(woken)
        later = f", {left} left to the next sweep: the quota" if left else ""
        self._parts.journal.note(
            "WARNING" if blocked else "INFO",
            f"sweep: {seen} secrets with a policy, {len(woken)} woken{later}, {blocked} blocked"
            f"{f', {paused} paused' if paused else ''}",
            secrets=seen,
            woken=len(woken),
            left=left,
            blocked=blocked,
            paused=paused,
        )

    def _report_blocked(self, secret: Secret, now: datetime) -> bool:
        if codec.BLOCKED not in secret.labels:
            return False
        block = codec.read_block(secret)
        reason = secret.labels[codec.BLOCKED]
        why, since = (block.message, block.since) if block else (reason, None)
        self._tell(secret, events.still_blocked(reason, why, since, now))
        return True

    def _tell(self, secret: Secret, line: events.Line) -> None:
        severity, message, fields = line
        self._parts.journal.note(severity, message, secret=str(secret.name), **fields)

    def _report(self, secret: Secret, state: State, now: datetime) -> None:
        """Say what is still wrong."""
        since = sweep.overdue_since(secret, state, now)
        if since is not None and now >= since + sweep.OVERDUE_AFTER:
            because = "blocked" if state.block else "paused" if state.paused else "not-started"
            self._tell(secret, events.overdue(because, since, now))
        born, oldest = sweep.born(secret, state), sweep.oldest(secret)
        if born is not None and oldest is not None and now > born + oldest:
            self._tell(secret, events.too_old(born, int(oldest.total_seconds()), now))
        if state.paused and state.pause and sweep.turn_to_tell(secret, now, self._every):
            self._tell(secret, events.word(state.pause, pausing.told(state), now))

    def _reason(self, secret: Secret, now: datetime) -> str | None:
        try:
            state = codec.decode(secret)
        except StateError:
            return None if codec.BLOCKED in secret.labels else "unreadable"
        self._report(secret, state, now)
        return sweep.wake_reason(secret, state, now, self._every, self._check_every)

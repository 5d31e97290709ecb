"""The worker: wakes one secret, or, for a sweep, publishes a wake-up for each that needs one.

Rules of this module:
  1. First attempt, retry and recovery are one path; the message says only which secret.
  2. A lost race is read again and decided again, a bounded number of times.
  3. A sweep wakes no more than can be served before the next one: a backlog would only grow.
  4. Nothing outside is waited for beyond the time budget of the delivery.
  5. A sweep says again what is still wrong: blocked, overdue, too old; and, once an hour, paused.
     Of each it names the first `NAMED` secrets, and says in its summary how many there are.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from rotation.engine import codec, events
from rotation.engine.events import Event
from rotation.engine.hold import PAUSE, TRIES, SupersededError
from rotation.engine.parts import Parts
from rotation.engine.tick import Tick
from rotation.kit import deadline
from rotation.machine import pausing, sweep
from rotation.machine.wakeups import encode_wake_up
from rotation.model.errors import EtagMismatchError, StateError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.rotation import State
from rotation.model.secret import Secret
from rotation.model.wakeup import WakeUp
from rotation.policies.demands import longest_age
from rotation.ports.journal import Journal

#: Wake-ups published in one call.
BATCH = 500

#: Secrets of which one sweep says the same thing, a line for each.
NAMED = 100


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
        self._longest_age = longest_age(parts.plugins.kinds.asking.targets)

    def tick(self, wake_up: WakeUp) -> None:
        """Do what the secret owes now; returns when nothing is, or a later wake-up will.

        Raises:
            TemporaryError: Deliver the message again, later.
            PermanentError: Nothing can be stored on the secret: it is gone, or not ours to read.
        """
        if wake_up.secret is None:
            self.sweep()
            return
        with deadline.delivery(self._parts.limits.budget.total_seconds()):
            self._tick(wake_up, wake_up.secret)

    def _tick(self, wake_up: WakeUp, secret: SecretName) -> None:
        tools = self._parts.tools
        started = tools.clock.now()
        for attempt in range(TRIES):
            tick = Tick(self._parts, wake_up, tools.store.get(secret), started)
            try:
                return tick.step()
            except EtagMismatchError:
                tick.note("DEBUG", "lost a race; reading again")
            except SupersededError as lost:
                tick.note("NOTICE", f"another worker has taken over: {lost}")
                tick.clean_up_orphan()
            tools.pause(PAUSE * 2**attempt)
        raise TemporaryError(f"{secret} is being written to all the time")

    def sweep(self) -> None:
        """Wake every rotation that is due, overdue, interrupted, or whose wait is over."""
        now = self._parts.tools.clock.now()
        owed: list[sweep.Woken] = []
        reports = _Reports(self._parts.journal)
        managed = paused = 0
        for secret in self._parts.tools.store.list():
            if not codec.is_managed(secret):
                continue
            managed += 1
            paused += codec.PAUSED in secret.labels
            reason = self._reason(secret, now, reports)
            if reason is not None:
                owed.append((secret.name, reason))
        woken = sweep.chosen(owed, self._most, now, self._every)
        for start in range(0, len(woken), BATCH):
            batch = woken[start : start + BATCH]
            self._parts.publisher.publish([encode_wake_up(*wake_up) for wake_up in batch])
        reports.summarize(managed, len(woken), len(owed) - len(woken), paused)

    def _reason(self, secret: Secret, now: datetime, reports: "_Reports") -> str | None:
        """Return why a secret should be woken, after reporting what is wrong with it."""
        is_blocked = codec.BLOCKED in secret.labels
        if is_blocked:
            reports.add(Event.BLOCKED, secret, lambda: _blocked(secret, now))
        try:
            state = codec.decode(secret)
        except StateError:
            return None if is_blocked else "unreadable"
        overdue = sweep.overdue_since(secret, state, now)
        max_age = self._longest_age(secret.annotations.get(codec.POLICY, ""))
        self._report(secret, state, (overdue, max_age), now, reports)
        return sweep.wake_reason(
            secret, state, overdue, now, self._every, self._check_every, max_age
        )

    def _report(
        self,
        secret: Secret,
        state: State,
        known: tuple[datetime | None, timedelta | None],
        now: datetime,
        reports: "_Reports",
    ) -> None:
        """Say what is still wrong, knowing since when it is overdue and how old it may become."""
        since, max_age = known
        if since is not None and now >= since + sweep.OVERDUE_AFTER:
            because = "blocked" if state.block else "paused" if state.paused else "not-started"
            reports.add(Event.OVERDUE, secret, lambda: events.overdue(because, since, now))
        born, oldest = sweep.born(secret, state), sweep.oldest(secret, max_age)
        if born is not None and oldest is not None and now > born + oldest:
            limit = int(oldest.total_seconds())
            reports.add(Event.TOO_OLD, secret, lambda: events.too_old(born, limit, now))
        pause = state.pause if state.paused else None
        if pause and sweep.turn_to_tell(secret, now, self._every):
            message = pausing.message(state)
            reports.add(Event.PAUSED, secret, lambda: events.pause(pause, message, now))


class _Reports:
    """What one sweep says: the first lines of each event, and how many there would be."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._counts: Counter[Event] = Counter()

    def add(self, event: Event, secret: Secret, line: Callable[[], events.Line]) -> None:
        """Write the line of a secret, unless there were enough like it."""
        self._counts[event] += 1
        if self._counts[event] <= NAMED:
            severity, message, fields = line()
            self._journal.note(severity, message, secret=str(secret.name), **fields)

    def summarize(self, managed: int, woken: int, left: int, paused: int) -> None:
        """Write the sweep's own line, which counts what the others do not name."""
        counts = {
            "blocked": self._counts[Event.BLOCKED],
            "overdue": self._counts[Event.OVERDUE],
            "too_old": self._counts[Event.TOO_OLD],
            "paused": paused,
        }
        found = [
            f"{n} {key}".replace("_", " ") for key, n in counts.items() if n or key == "blocked"
        ]
        later = f", {left} left to the next sweep: the quota" if left else ""
        unnamed = any(count > NAMED for count in self._counts.values())
        more = f"; lines name {NAMED} of a kind, `rotation status` shows all" if unnamed else ""
        self._journal.note(
            "WARNING" if counts["blocked"] or unnamed else "INFO",
            f"sweep: {managed} secrets with a policy, {woken} woken{later}, "
            f"{', '.join(found)}{more}",
            secrets=managed,
            woken=woken,
            left=left,
            **counts,
        )


def _blocked(secret: Secret, now: datetime) -> events.Line:
    reason, block = secret.labels[codec.BLOCKED], codec.read_block(secret)
    why, since = (block.message, block.since) if block else (reason, None)
    return events.still_blocked(reason, why, since, now)

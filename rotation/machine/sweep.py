"""Decide which secrets the sweep wakes, and why.

Rules of this module:
  1. Only what a list shows is looked at: the sweep makes no call for a single secret.
  2. A blocked secret is reported, never woken; neither is one that a pause holds.
  3. What the quota cannot carry until the next sweep is left to it: it finds the same again.  Who
     is left changes from sweep to sweep, so that secrets that fail do not keep others waiting.
  4. Checks for drift are spread over time by a hash of the name: nothing is stored for them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zlib import crc32

from rotation.machine import due, pausing
from rotation.machine.decide import CHECK
from rotation.machine.due import MAX_AGE
from rotation.model.names import SecretName
from rotation.model.phase import Phase
from rotation.model.rotation import State
from rotation.model.secret import Secret

OVERDUE = "overdue"

#: How long after a firing its rotation should have begun; sweeps have woken it by then.
OVERDUE_AFTER = timedelta(minutes=15)

#: How many periods of its schedule a credential may be old.
_PERIODS = 1.5

#: How long after its age asked a credential should have been replaced.
_AGED_AFTER = timedelta(days=1)

#: How often a pause is reported.
_TELL_EVERY = timedelta(hours=1)

#: Rotations in flight go before those that have not begun, and these before checks.
_LATER = {OVERDUE: 1, MAX_AGE: 1, CHECK: 2}

#: A secret to wake, and why.
Woken = tuple[SecretName, str]


def chosen(
    owed: Sequence[Woken], most: int | None, now: datetime, every: timedelta
) -> Sequence[Woken]:
    """Return which of the secrets owed a wake-up get it from this sweep.

    Args:
        owed: All that have a reason.
        most: How many the quota can carry until the next sweep; None: any number.
        now: Time of the sweep.
        every: Time between two sweeps.
    """
    if most is None or len(owed) <= most:
        return owed
    turn = int(now.timestamp() // every.total_seconds())

    def rank(woken: Woken) -> tuple[int, int]:
        name, reason = woken
        return _LATER.get(reason, 0), crc32(f"{turn} {name}".encode())

    return sorted(owed, key=rank)[:most]


def wake_reason(
    secret: Secret,
    state: State,
    overdue: datetime | None,
    now: datetime,
    every: timedelta,
    check_every: timedelta,
    max_age: timedelta | None = None,
) -> str | None:
    """Return why this secret should be woken; None when it should not.

    Args:
        secret: As listed; possibly stale, which costs a wake-up that finds nothing.
        state: Its decoded state.
        overdue: What `overdue_since` says of it.
        now: Time of the sweep.
        every: Time between two sweeps.
        check_every: Each settled secret is checked for drift once in this time; 0 never.
        max_age: Longest time from one rotation to the next that its targets allow; None: any.
    """
    if state.block is not None:
        return None
    if state.phase is not Phase.SETTLED:
        return _in_flight(state, now)
    if not state.paused and (overdue or _kept(state)):
        return OVERDUE
    if not state.paused and due.too_old(secret, state.receipt, max_age, now):
        return MAX_AGE
    return CHECK if _turn_to_check(secret, now, every, check_every) else None


def overdue_since(secret: Secret, state: State, now: datetime) -> datetime | None:
    """Return the scheduled time that a rotation should have begun at by now; None: all is well."""
    return due.missed(secret, state.receipt, now) if state.phase is Phase.SETTLED else None


def born(secret: Secret, state: State) -> datetime | None:
    """Return when the credential in force was published; at the latest, where that is known."""
    record, receipt = state.record, state.receipt
    if record is not None and record.rolled_out_at is not None and not record.reverted:
        return record.published_at
    if receipt is None:
        return secret.create_time
    return receipt.in_force_since


def oldest(secret: Secret, max_age: timedelta | None = None) -> timedelta | None:
    """Return how old a credential may become; None: neither schedule nor target says."""
    period = secret.schedule.period if secret.schedule else None
    limits = [period * _PERIODS if period else None, max_age + _AGED_AFTER if max_age else None]
    return min(filter(None, limits), default=None)


def turn_to_tell(secret: Secret, now: datetime, every: timedelta) -> bool:
    """Whether it is this sweep's turn to say that a secret is paused; nothing is stored for it."""
    return _turn_to_check(secret, now, every, _TELL_EVERY)


def _kept(state: State) -> bool:
    return state.pause is not None and state.pause.again is not None


def _in_flight(state: State, now: datetime) -> str | None:
    if state.lease_until is not None and state.lease_until > now:
        return None
    if state.wake_at is not None and pausing.holds(state) and state.phase is not Phase.OBSERVING:
        return None
    if state.wake_at is not None:  # also behind the lease of a check that was interrupted
        return "wait over" if state.wake_at <= now else None
    return "interrupted" if state.lease_until is None else "lease over"


def _turn_to_check(secret: Secret, now: datetime, every: timedelta, check_every: timedelta) -> bool:
    if not check_every:
        return False
    turns = max(int(check_every / every), 1)
    turn = int(now.timestamp() // every.total_seconds()) % turns
    return crc32(str(secret.name).encode()) % turns == turn

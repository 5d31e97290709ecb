"""Decide whether a settled secret should rotate now, and say why.

An ordered chain of small checks; the first that has something to say gives the reason.
Rules of this module:
  1. A check sees stored state and the time a message was published, nothing else a message says.
  2. A message published before the last rotation settled is served by that rotation; so however
     often it is delivered, one firing rotates at most once.
  3. The schedule itself is evidence: a lost message is found by looking at it.
  4. Age counts without any schedule.  After a rotation that did not replace the credential a day
     passes before its age asks again: who goes back does not want to be rolled forward at once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from rotation.model.rotation import Receipt, State
from rotation.model.secret import Secret
from rotation.model.wakeup import WakeUp, WakeUpKind

#: How long after a scheduled time the message may still be on its way.
GRACE = timedelta(minutes=5)

#: The reason of a rotation that age asks for.
MAX_AGE = "max-age"

#: How long age waits after a rotation that did not replace the credential.
_AGAIN_AFTER = timedelta(days=1)


class Facts(Struct, frozen=True):
    """What the checks look at."""

    state: State
    secret: Secret
    now: datetime
    wake_up: WakeUp
    #: Longest time from one rotation to the next; None: any.
    max_age: timedelta | None = None


class Due(Struct, frozen=True):
    """A rotation should start."""

    reason: str
    #: When the need arose.
    since: datetime


def schedule_fired(facts: Facts) -> Due | None:
    """Secret Manager says so, in a message that no rotation has served yet."""
    wake_up, receipt = facts.wake_up, facts.state.receipt
    if wake_up.kind is not WakeUpKind.ROTATE:
        return None
    if receipt is not None and wake_up.at <= receipt.settled_at:
        return None
    return Due("schedule", wake_up.at)


def schedule_missed(facts: Facts) -> Due | None:
    """The schedule says a firing should have been served by now, and none was."""
    fired = missed(facts.secret, facts.state.receipt, facts.now)
    return Due("overdue", fired) if fired else None


def grown_old(facts: Facts) -> Due | None:
    """The credential in force is older than the targets of the policy allow."""
    since = too_old(facts.secret, facts.state.receipt, facts.max_age, facts.now)
    return Due(MAX_AGE, since) if since else None


#: The whole rule, in order.
CHECKS: tuple[Callable[[Facts], Due | None], ...] = (schedule_fired, schedule_missed, grown_old)


def due(facts: Facts) -> Due | None:
    """Return why a rotation should start now; None when it should not."""
    return next((found for check in CHECKS if (found := check(facts))), None)


def missed(secret: Secret, receipt: Receipt | None, now: datetime) -> datetime | None:
    """Return when the schedule fired whose message must be lost by now; None: all is well."""
    fired = last_firing(secret, receipt, now)
    return fired if fired is not None and now >= fired + GRACE else None


def too_old(
    secret: Secret, receipt: Receipt | None, max_age: timedelta | None, now: datetime
) -> datetime | None:
    """Return when the credential in force became too old; None: it is not, or may be of any age.

    Args:
        secret: Whose credential.
        receipt: Of the last rotation; None: never rotated, so the credential is taken to be as old
            as the secret.
        max_age: Longest time from one rotation to the next; None: any.
        now: Time of the look.
    """
    if max_age is None:
        return None
    if receipt is None:
        return _reached(secret.create_time + max_age, now)
    if receipt.outcome == "rotated":
        return _reached((receipt.in_force_since or receipt.settled_at) + max_age, now)
    since = (receipt.in_force_since or secret.create_time) + max_age
    return _reached(max(since, receipt.settled_at + _AGAIN_AFTER), now)


def _reached(moment: datetime, now: datetime) -> datetime | None:
    return moment if moment <= now else None


def last_firing(secret: Secret, receipt: Receipt | None, now: datetime) -> datetime | None:
    """Return when the schedule last fired, or should have, without being served; else None.

    As it fires, Secret Manager moves the next time on by whole periods.  A next time that has
    moved otherwise was moved by a person: then it is when they want the next rotation.
    """
    schedule = secret.schedule
    if schedule is None:
        return None
    if schedule.next_time <= now:
        return schedule.next_time
    if schedule.period is None:
        return None
    if receipt is None:  # never rotated: only a firing in the life of the secret counts
        fired = schedule.next_time - schedule.period
        return fired if fired > secret.create_time else None
    expected = receipt.scheduled
    if expected is None or expected > now:
        return None
    return None if (schedule.next_time - expected) % schedule.period else expected

"""Decide which phase follows an event; never act on the outside world.

Theory of operation: a phase is stored, then its effects are carried out, then the event they end
in is looked up here and the phase that follows is stored.  A crash anywhere in between loses
nothing: the next tick reads the same phase and owes the same effects again.

Rules of this module:
  1. Every change of ``State.phase`` is a row of ``TRANSITIONS``; the drawing in the README is
     made from it.
  2. No I/O, clock or randomness: ``now`` arrives as an argument.
  3. Nothing irreversible is owed before ``REVOKING``, and only what ``REVOKING`` did is final.
  4. A state that waits holds no lease.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from rotation.machine import pausing, receipts
from rotation.model.errors import IllegalTransitionError
from rotation.model.phase import Event, Mode, Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Block, Receipt, Record, RotationFacts, State
from rotation.model.version import VERSION
from rotation.model.wakeup import Ask, Request

TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.SETTLED, Event.STARTED): Phase.PREPARING,
    (Phase.PREPARING, Event.PUBLISHED): Phase.SOAKING,
    (Phase.PREPARING, Event.PUBLISHED_IN_EMERGENCY): Phase.REVOKING,
    (Phase.PREPARING, Event.PUBLISHED_FIRST): Phase.SETTLED,
    (Phase.PREPARING, Event.ADDED): Phase.VOTING,
    (Phase.PREPARING, Event.REFUSED): Phase.ABORTING,
    (Phase.VOTING, Event.PREPARED): Phase.ROLLING_OUT,
    (Phase.VOTING, Event.REFUSED): Phase.ABORTING,
    (Phase.ROLLING_OUT, Event.STAGE_PROVEN): Phase.ROLLING_OUT,
    (Phase.ROLLING_OUT, Event.ROLLED_OUT): Phase.SOAKING,
    (Phase.ROLLING_OUT, Event.ROLLED_OUT_IN_EMERGENCY): Phase.REVOKING,
    (Phase.ROLLING_OUT, Event.ROLLED_OUT_FIRST): Phase.SETTLED,
    (Phase.ROLLING_OUT, Event.REVERT_ASKED): Phase.REVERTING,
    (Phase.SOAKING, Event.SOAKED): Phase.SUSPENDING,
    (Phase.SOAKING, Event.REVERT_ASKED): Phase.REVERTING,
    (Phase.SOAKING, Event.EMERGENCY): Phase.REVOKING,
    (Phase.SUSPENDING, Event.SUSPENDED): Phase.OBSERVING,
    (Phase.SUSPENDING, Event.REVERT_ASKED): Phase.REVERTING,
    (Phase.SUSPENDING, Event.EMERGENCY): Phase.REVOKING,
    (Phase.OBSERVING, Event.WATCHED): Phase.REVOKING,
    (Phase.OBSERVING, Event.STRAGGLER_SEEN): Phase.RESTORING,
    (Phase.OBSERVING, Event.PAUSED): Phase.RESTORING,
    (Phase.OBSERVING, Event.REVERT_ASKED): Phase.REVERTING,
    (Phase.OBSERVING, Event.EMERGENCY): Phase.REVOKING,
    (Phase.RESTORING, Event.RESTORED): Phase.SOAKING,
    (Phase.RESTORING, Event.REVERT_ASKED): Phase.REVERTING,
    (Phase.RESTORING, Event.EMERGENCY): Phase.REVOKING,
    (Phase.REVOKING, Event.REVOKED): Phase.DESTROYING,
    (Phase.DESTROYING, Event.DESTROYED): Phase.SETTLED,
    (Phase.REVERTING, Event.REVERTED): Phase.ABORTING,
    (Phase.REVERTING, Event.POINTED_BACK): Phase.WITHDRAWING,
    (Phase.REVERTING, Event.NO_WAY_BACK): Phase.REVOKING,
    (Phase.WITHDRAWING, Event.WITHDRAWN): Phase.ABORTING,
    (Phase.ABORTING, Event.ABORTED): Phase.SETTLED,
}

#: Events after which consumers are handed *next*.
HANDED = frozenset(
    {
        Event.PUBLISHED,
        Event.PUBLISHED_IN_EMERGENCY,
        Event.PUBLISHED_FIRST,
        Event.PREPARED,
        Event.STAGE_PROVEN,
    }
)

#: Events after which they are handed *previous* again.
TAKEN_BACK = frozenset({Event.REVERTED, Event.POINTED_BACK})

#: Events after which all consumers have *next*.
_ROLLED_OUT = frozenset(
    {
        Event.PUBLISHED,
        Event.PUBLISHED_IN_EMERGENCY,
        Event.PUBLISHED_FIRST,
        Event.ROLLED_OUT,
        Event.ROLLED_OUT_IN_EMERGENCY,
        Event.ROLLED_OUT_FIRST,
    }
)

#: Events after which participants are asked for something new.
_ASKED_ANEW = frozenset({Event.ADDED, Event.PREPARED, Event.STAGE_PROVEN, Event.POINTED_BACK})

#: Phases that owe nothing outside the secret: once their wait is over they are passed through.
_PASSED_THROUGH: Mapping[Phase, Event] = {Phase.SOAKING: Event.SOAKED}

#: Phases that may begin with a wait.
_WAITS = frozenset({Phase.SOAKING, Phase.OBSERVING, Phase.DESTROYING})

#: What is established of an event that a pause holds back: it will be looked at again.
_NOT_ESTABLISHED = frozenset({"stage", "unready", "handed_at", "watch_until"})

#: How many times consumers, or a suspended credential, are looked at in the time of one wait.
LOOKS = 4


class Claim(Struct, frozen=True):
    """The right to act: who holds it, from when, until when."""

    now: datetime
    until: datetime
    message_id: str


def can_follow(phase: Phase, event: Event) -> bool:
    """Whether ``event`` has a row for ``phase``."""
    return (phase, event) in TRANSITIONS


def start(state: State, claim: Claim, request: Request, secret: str) -> State:
    """Return the claimed state of a rotation that begins now.

    The id is sortable and, as the token only grows, unique for the secret.
    """
    token = state.token + 1
    tag = blake2b(secret.encode(), digest_size=2).hexdigest()
    record = Record(
        id=f"{claim.now:%Y%m%dt%H%M%S}-{tag}-{token}",
        mode=Mode.EMERGENCY if request.mode is Ask.EMERGENCY else Mode.ROUTINE,
        # A request that came while the last rotation was being settled is served by this one.
        started_at=max(claim.now, request.at),
        message_id=claim.message_id,
        base=state.last,
        previous=state.current,
        previous_copies=state.receipt.copies if state.receipt else (),
        reason=request.reason,
        requested_by=request.requested_by,
        request_id=request.id,
        requested_at=request.at,
        secret=secret,
    )
    phase = _next_phase(state.phase, Event.STARTED)
    pause = replace(state.pause, again=None) if state.pause else None  # it serves what was kept
    begun = replace(state, phase=phase, record=record, block=None, wake_at=None, pause=pause)
    return replace(begun, token=token, lease_until=claim.until)


def start_again(ended: State, again: Request | None, claim: Claim, secret: str) -> State:
    """Return the state in which a rotation that was asked for meanwhile begins at once.

    What blocks a routine rotation does not hold up an emergency.
    """
    if ended.phase is not Phase.SETTLED or again is None:
        return ended
    if ended.block is not None and again.mode is not Ask.EMERGENCY:
        return ended
    if ended.paused and again.mode is Ask.ROUTINE:
        return pausing.keep(ended, again) or ended
    return start(ended, claim, again, secret)


def claim(state: State, by: Claim) -> State:
    """Return the state under a new lease and a higher token.

    A phase that waited and owes nothing outside is passed through.
    """
    phase, record = state.phase, state.record
    watched = record is not None and record.watch_until is not None
    if phase in _PASSED_THROUGH and not watched:
        phase = _next_phase(phase, _PASSED_THROUGH[phase])
    if record is not None:
        record = replace(record, message_id=by.message_id)
    claimed = replace(state, phase=phase, record=record, wake_at=None)
    return replace(claimed, token=state.token + 1, lease_until=by.until)


def advance(
    state: State,
    event: Event,
    now: datetime,
    policy: Policy,
    *,
    delayed: bool,
    **facts: Any,  # noqa: ANN401
) -> State:
    """Return the state that follows ``event``.

    Args:
        state: As read under the ETag the result will be written with.
        event: What the effects of ``state.phase`` ended in.
        now: Time of the event.
        policy: For the length of the wait that begins.
        delayed: Secret Manager itself delays destruction (``version_destroy_ttl``).
        facts: Fields of `Record` that the effects established.

    Raises:
        IllegalTransitionError: No row for this pair.
    """
    phase = _next_phase(state.phase, event)
    if pausing.holds_back(state, event):
        return _hold_back(state, event, now, facts)
    record = _established(state.in_flight, event, now, facts)
    if phase is Phase.SETTLED:
        return _settle(state, record, event, now)
    wait = _wait_on_entry(phase, record, policy, delayed=delayed)
    if phase is Phase.SOAKING:
        record = replace(record, watch_until=now + wait if wait and policy.gated else None)
    moved = replace(state, phase=phase, record=record, wake_at=None)
    if wait:
        return rest(moved, now + (wait / LOOKS if record.watch_until else wait))
    if phase in _WAITS and pausing.holds(moved):
        return rest(moved, now)
    through = _PASSED_THROUGH.get(phase)
    return advance(moved, through, now, policy, delayed=delayed) if through else moved


def _hold_back(state: State, event: Event, now: datetime, facts: Mapping[str, Any]) -> State:
    """Return the state that stays where it is, and looks again once the pause is over."""
    # Votes are cast anew; what was handed out is not asked for again.
    again = {*_NOT_ESTABLISHED, "acked"} if event is Event.PREPARED else _NOT_ESTABLISHED
    known = {name: value for name, value in facts.items() if name not in again}
    return rest(
        replace(state, record=replace(state.in_flight, **known)), now, pausing.message(state)
    )


def _established(record: Record, event: Event, now: datetime, facts: Mapping[str, Any]) -> Record:
    """Return the record with what an event establishes."""
    record = replace(record, note="", failures=0, **facts)
    if event in _ASKED_ANEW:
        record = replace(record, asked_at=now)
    if event in _ROLLED_OUT:
        record = replace(record, rolled_out_at=now, first_moved_at=record.first_moved_at or now)
    if event in {Event.STRAGGLER_SEEN, Event.PAUSED}:
        record = replace(record, skip_waits=False)
    return record


def rest(state: State, until: datetime | None, note: str | None = None) -> State:
    """Return the state without a lease, waiting until ``until`` (None: for the next wake-up)."""
    record = state.record
    if record and note is not None:
        record = replace(record, note=note)
    return replace(state, lease_until=None, wake_at=until, record=record)


def look_interval(policy: Policy) -> timedelta:
    """How long to wait between two looks at who uses a credential."""
    return max(policy.retire.observe / LOOKS, timedelta(seconds=1))


def _wait_on_entry(phase: Phase, record: Record, policy: Policy, *, delayed: bool) -> timedelta:
    match phase:
        case Phase.SOAKING:
            return policy.soak
        case Phase.OBSERVING if policy.retire.observe and not record.skip_waits:
            return look_interval(policy)
        case Phase.DESTROYING if record.again is None and not delayed:
            return policy.retire.destroy_after
        case _:
            return timedelta()


def _settle(state: State, record: Record, event: Event, now: datetime) -> State:
    kept = event is not Event.ABORTED
    current = record.next if kept else record.previous
    last = state.receipt
    receipt = Receipt(
        **{name: getattr(record, name) for name in RotationFacts.__struct_fields__},
        **_emergencies(record, last, kept=kept),
        outcome="rotated" if kept else ("reverted" if record.next else "aborted"),
        settled_at=now,
        current=current,
        last=max(state.last, record.highest, record.next or 0),
        copies=record.copies if kept else (*record.previous_copies, *record.copies),
        previous=record.previous if kept else record.next,
        why=record.reverted,
        sequence=last.sequence + 1 if last else 1,
        before=receipts.digest(last) if last else "",
        message_id=record.message_id,
        token=state.token,
        software=VERSION,
        in_force_since=record.published_at if kept else _in_force_since(last, current),
    )
    alarm = Block(reason="reverted", message=record.reverted, since=now)
    return State(
        phase=Phase.SETTLED,
        token=state.token,
        block=alarm if record.alarm else state.block,
        receipt=receipt,
        history=receipts.history(last, state.history),
        pause=state.pause,
        current=current,
        aliases=state.aliases,
    )


def _emergencies(record: Record, last: Receipt | None, *, kept: bool) -> Mapping[str, Any]:
    """Return what a receipt says of emergencies: which were served, and when this one was asked."""
    asked = record.requested_at if record.mode is Mode.EMERGENCY else None
    overtaken = record.again.at if record.again and record.again.mode is Ask.EMERGENCY else None
    return {
        "emergencies_until": asked or (last.emergencies_until if last else None),
        "emergency_id": record.request_id
        if asked and kept
        else (last.emergency_id if last else ""),
        "emergency_at": asked or overtaken,
    }


def _in_force_since(last: Receipt | None, current: int | None) -> datetime | None:
    return last.in_force_since if last and last.current == current else None


def _next_phase(phase: Phase, event: Event) -> Phase:
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.value} cannot follow {phase.value}") from None

"""Decide what one tick owes a secret: nothing, a wait, a write, or a phase's effects.

Rules of this module:
  1. Level-triggered: what is owed follows from the stored state.  A message can only add a
     request; whether it was served is read from the state too.
  2. Every decision that leads to effects carries the state to store first, under a new token.
  3. A held lease is respected, except by a person's emergency or revert: the fence, not the
     lease, is what makes that safe.
  4. A blocked secret waits for a person.  Only a request that repairs or an emergency moves it;
     a block for a policy is over as soon as the policy is neither faulty nor not allowed.
  5. A paused secret starts no routine rotation and goes on from no wait; what is asked of it
     meanwhile is kept (`rotation.machine.pausing`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from rotation.machine import due, pausing, transitions
from rotation.machine.transitions import Claim
from rotation.model.errors import POLICY_REASONS
from rotation.model.phase import Event, Mode, Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Record, State
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind, claimed

#: How many requests a rotation notes that it serves beside its own.
KEPT_REQUESTS = 8

#: ``reason`` of a wake-up by which the sweep asks to look for drift.
CHECK = "check"

#: Phases that look for orphans of their own accord, and have no credential in force to check yet.
_CLEAN_UP_THEMSELVES = frozenset(
    {Phase.PREPARING, Phase.REVERTING, Phase.WITHDRAWING, Phase.ABORTING}
)

#: Phases that an emergency hurries through: what has begun is finished at once, then it starts.
_URGENT = frozenset({Phase.VOTING, Phase.ROLLING_OUT, Phase.DESTROYING})

#: Phases in which nothing but time keeps the previous credential from being retired.
RETIRES = frozenset({Phase.SOAKING, Phase.SUSPENDING, Phase.OBSERVING})

#: Phases in which no consumer was handed *next*.
_NOT_HANDED = frozenset({Phase.PREPARING, Phase.VOTING})


class Done(Struct, frozen=True):
    """Nothing is owed now."""

    why: str
    #: When something will be.
    until: datetime | None = None


class Busy(Struct, frozen=True):
    """Another worker holds the lease."""

    until: datetime


class Store(Struct, frozen=True):
    """Store the state; nothing else is owed now."""

    state: State
    why: str


class Act(Struct, frozen=True):
    """Store the state, then carry out what its phase owes."""

    state: State


class Inspect(Struct, frozen=True):
    """Look whether the credential in force still works, and for versions that should not be."""


Decision = Done | Busy | Store | Act | Inspect


class Situation(Struct, frozen=True):
    """Everything a decision may look at."""

    state: State
    secret: Secret
    policy: Policy
    wake_up: WakeUp
    #: The lease this tick would take.
    claim: Claim

    @property
    def now(self) -> datetime:
        """Time of the decision."""
        return self.claim.now


def decide(situation: Situation) -> Decision:
    """Return what this tick owes."""
    state = situation.state
    if state.block is None or state.block.reason not in POLICY_REASONS:
        return _decide(situation)
    free = replace(situation, state=replace(state, block=None))
    decision = _decide(free)
    if isinstance(decision, Done):
        return Store(free.state, f"the policy can be read again; {decision.why}")
    return decision


def _decide(s: Situation) -> Decision:
    request = s.wake_up.request
    return _REQUESTS[request.mode](s, request) if request else _proceed(s)


def _proceed(s: Situation) -> Decision:
    """Go on from the stored state, whatever woke us."""
    state = s.state
    if state.block:
        return Done(f"blocked: {state.block.message}")
    if state.lease_until and state.lease_until > s.now:
        return Busy(state.lease_until)
    if s.wake_up.reason == CHECK and state.phase not in _CLEAN_UP_THEMSELVES:
        return Inspect()
    if state.phase is Phase.SETTLED:
        return _rest_or_start(s)
    if state.wake_at and pausing.holds(state):
        return _held(s)
    if state.wake_at and state.wake_at > s.now:
        return Done(f"{state.phase.value} until {state.wake_at:%Y-%m-%d %H:%M:%SZ}", state.wake_at)
    return Act(transitions.claim(state, s.claim))


def _rest_or_start(s: Situation) -> Decision:
    found = due.due(due.Facts(s.state, s.secret, s.now, s.wake_up, s.policy.max_age))
    if s.state.paused:
        fired = found and s.wake_up.kind is WakeUpKind.ROTATE  # else the schedule remembers
        return (
            _keep(s, _due_request(s, found)) if found and fired else Done(pausing.message(s.state))
        )
    if s.state.pause and s.state.pause.again:
        return _start(s, s.state.pause.again)
    if found is None:
        return Done("settled: no rotation is due")
    return _start(s, _due_request(s, found))


def _due_request(s: Situation, found: due.Due) -> Request:
    return Request(Ask.ROUTINE, at=found.since, id=s.wake_up.message_id, reason=found.reason)


def _held(s: Situation) -> Decision:
    """Stay at the present wait; a login that was stopped for good measure is given back."""
    if s.state.phase is Phase.OBSERVING:
        return Act(_move(s, Event.PAUSED))
    return Done(f"{s.state.phase.value}, {pausing.message(s.state)}", s.state.wake_at)


def _keep(s: Situation, request: Request) -> Decision:
    """Keep a request until the pause is over."""
    kept = pausing.keep(s.state, request)
    why = f"{pausing.message(s.state)}; request {request.id} is kept until it is resumed"
    return Store(kept, why) if kept else Done(why)


def _start(s: Situation, request: Request) -> Act:
    return Act(transitions.start(s.state, s.claim, request, str(s.secret.name)))


def _routine(s: Situation, request: Request) -> Decision:
    state, record, receipt = s.state, s.state.record, s.state.receipt
    if record is None:
        if receipt and (receipt.request_id == request.id or request.at <= receipt.started_at):
            return Done(f"request {request.id} was served by rotation {receipt.id}")
        if state.block:
            return _proceed(s)
        return _keep(s, request) if state.paused else _start(s, request)
    if request.at <= _meant_since(record) or record.again:
        return _served(s, request)
    known = request.id in {record.request_id, *record.serves}
    return _proceed(s) if known else _remember(s, request)


def _emergency(s: Situation, request: Request) -> Decision:
    block = s.state.block
    if not _emergency_is_served(s.state, request):
        return _overtake(replace(s, state=_taken_up(s.state)), request)
    if s.state.record and block and request.at > block.since:
        s = replace(s, state=_taken_up(s.state))  # asked again by somebody who has looked
    return _served(s, request)


def _overtake(s: Situation, request: Request) -> Decision:
    """Start an emergency, or make what is in flight one."""
    state, record = s.state, s.state.record
    if record is None:
        return _start(s, request)
    if state.phase is Phase.PREPARING:
        kept = (record.again.id,) if record.again else ()  # its credential is still to come
        asked = replace(
            record,
            mode=Mode.EMERGENCY,
            requested_at=request.at,
            request_id=request.id,
            again=None,
            serves=(*record.serves, record.request_id, *kept)[-KEPT_REQUESTS:],
            reason=request.reason,
            requested_by=request.requested_by,
        )
        return Act(transitions.claim(replace(state, record=asked), s.claim))
    if transitions.can_follow(state.phase, Event.EMERGENCY):
        return Act(_move(s, Event.EMERGENCY, again=request))
    if state.phase in _URGENT:
        urgent = replace(state, record=replace(record, again=request))
        return Act(transitions.claim(urgent, s.claim))
    return _remember(s, request)


def _emergency_is_served(state: State, request: Request) -> bool:
    record, receipt = state.record, state.receipt
    if receipt and receipt.emergencies_until and request.at <= receipt.emergencies_until:
        return True
    if receipt and receipt.emergency_id == request.id:
        return True  # published twice, as a publisher does that got no answer
    if record is None:
        return False
    if record.mode is Mode.EMERGENCY and request.id in {record.request_id, *record.serves}:
        return True
    if record.again and record.again.mode is Ask.EMERGENCY:
        return True
    if record.mode is not Mode.EMERGENCY:
        return False
    return record.published_at is None or request.at <= record.published_at


def _revert(s: Situation, request: Request) -> Decision:
    state = s.state
    event = Event.REFUSED if state.phase in _NOT_HANDED else Event.REVERT_ASKED
    if not transitions.can_follow(state.phase, event) or _is_older(request, state.in_flight):
        return _proceed(s) if state.record else Done("settled: there is nothing to go back from")
    who = claimed(request.requested_by) if request.requested_by else "somebody"
    why = f"asked by {who}" + (f": {request.reason}" if request.reason else "")
    s = replace(s, state=_taken_up(state))
    # Who goes back does not want to be rolled forward at once; an emergency still counts.
    again = state.in_flight.again
    kept = again if again and again.mode is Ask.EMERGENCY else None
    return Act(_move(s, event, reverted=why, again=kept))


def _retire(s: Situation, request: Request) -> Decision:
    """Stop waiting for time to pass; what was never skipped is the look who is there."""
    state, record = s.state, s.state.record
    if record is None:
        return Done("settled: there is nothing to retire")
    if request.id in record.serves or request.at < (record.rolled_out_at or record.started_at):
        return _proceed(s)
    if state.phase not in RETIRES:
        return Done(f"{state.phase.value}: {why_not_retired(state.phase)}")
    if pausing.holds(state):
        return Done(f"{pausing.message(state)}: nothing is retired before it is resumed")
    skipping = replace(
        record,
        skip_waits=True,
        watch_until=min(record.watch_until, s.now) if record.watch_until else None,
        serves=(*record.serves, request.id)[-KEPT_REQUESTS:],
    )
    asked = replace(state, record=skipping, wake_at=None)
    decision = _proceed(replace(s, state=asked))
    if not isinstance(decision, Busy):
        return decision
    return Store(replace(asked, wake_at=state.wake_at), "a worker is at it; it will not wait")


def why_not_retired(phase: Phase) -> str:
    """Say why the previous credential cannot be retired in this phase."""
    if phase is Phase.RESTORING:
        return "somebody still uses the previous credential, and is given it back"
    if phase in {Phase.REVOKING, Phase.DESTROYING}:
        return "the previous credential is retired already"
    if phase in _NOT_HANDED or phase is Phase.ROLLING_OUT:
        return "consumers are not all handed the next version yet; ask again while it soaks"
    return "the rotation goes back, and the previous credential stays"


def _is_older(request: Request, record: Record) -> bool:
    """Whether a request was published before a rotation began, or before it became an emergency.

    A revert delivered late, or once more, was asked of the rotation that its sender saw.
    """
    return request.at < _meant_since(record)


def _meant_since(record: Record) -> datetime:
    """Return when a rotation became what it is: it began, or an emergency overtook it."""
    if record.mode is Mode.EMERGENCY and record.requested_at is not None:
        return max(record.started_at, record.requested_at)
    return record.started_at


def _unblock(s: Situation, _: Request) -> Decision:
    if s.state.block is None:
        return _proceed(s)
    free = _taken_up(s.state)
    decision = _proceed(replace(s, state=free))
    return decision if isinstance(decision, Act) else Store(free, "unblocked")


def _taken_up(state: State) -> State:
    """Return the state as a person who has looked wants it gone on from: without its block.

    While nobody was handed *next*, what this rotation keeps is whatever consumers are pointed to:
    a person may have pointed them to another version, because ours could not be read.
    """
    free, record = replace(state, block=None), state.record
    kept = state.phase in {*_NOT_HANDED, Phase.ABORTING}
    if record is None or not kept or state.current is None:
        return free
    return replace(free, record=replace(record, previous=state.current))


def _remember(s: Situation, request: Request) -> Decision:
    """Keep a request for after this rotation, and go on with what is owed now."""
    kept = replace(s.state, record=replace(s.state.in_flight, again=request))
    decision = _proceed(replace(s, state=kept))
    if isinstance(decision, Act):
        return decision
    return Store(kept, f"request {request.id} waits until this rotation has settled")


def _served(s: Situation, request: Request) -> Decision:
    """Go on; a rotation in flight serves the request.

    Reads may be old, and the message will be acknowledged.  So where nothing else is written, the
    request is noted: the ETag proves that this rotation is in flight still, and a repeat of the
    request needs no write.
    """
    record, decision = s.state.record, _proceed(s)
    if record is None or isinstance(decision, Act | Store):
        return decision
    if request.id in {record.request_id, record.again.id if record.again else "", *record.serves}:
        return decision
    noted = replace(record, serves=(*record.serves, request.id)[-KEPT_REQUESTS:])
    why = f"request {request.id} is served by rotation {record.id}"
    return Store(replace(s.state, record=noted), why)


def _move(s: Situation, event: Event, **facts: object) -> State:
    moved = transitions.advance(s.state, event, s.now, s.policy, delayed=False, **facts)
    return transitions.claim(moved, s.claim)


_REQUESTS: Mapping[Ask, Callable[[Situation, Request], Decision]] = {
    Ask.ROUTINE: _routine,
    Ask.EMERGENCY: _emergency,
    Ask.REVERT: _revert,
    Ask.UNBLOCK: _unblock,
    Ask.RETIRE: _retire,
    # What they say was stored before anything is decided.
    Ask.PAUSE: lambda s, _: _proceed(s),
    Ask.RESUME: lambda s, _: _proceed(s),
}

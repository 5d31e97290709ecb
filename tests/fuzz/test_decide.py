"""For any state, wake-up, policy and time a decision is made, and it keeps its promises."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rotation.engine import codec
from rotation.machine import sweep, transitions
from rotation.machine.decide import CHECK, Act, Busy, Done, Inspect, Situation, Store, decide
from rotation.machine.transitions import TRANSITIONS, Claim
from rotation.model.errors import POLICY_REASONS, IllegalTransitionError, StateError
from rotation.model.phase import Event, Mode, Phase
from rotation.model.policy import PluginChoice, Policy, Retire
from rotation.model.rotation import State
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind

from .profiles import examples
from .states import NAME, NOW, fractions, moments, requests, secrets, states
from .texts import sound_text

_waits = st.sampled_from([0, 1, 60, 3600, 86_400, 36_500 * 86_400]).map(
    lambda seconds: timedelta(seconds=seconds)
)
policies = st.builds(
    Policy,
    issuer=st.just(PluginChoice("memory", None)),
    rollout=st.just(()),
    soak=_waits,
    retire=st.builds(Retire, _waits, _waits),
)
#: A message is not from the future: `rotation.machine.envelopes` sees to it.
_past = fractions.map(lambda moment: min(moment, NOW))
wake_ups = st.builds(
    WakeUp,
    kind=st.sampled_from([WakeUpKind.ROTATE, WakeUpKind.WAKE]),
    secret=st.just(NAME),
    message_id=sound_text,
    at=_past,
    reason=st.sampled_from(["", CHECK, "overdue"]),
) | st.builds(
    lambda request, at, message_id: WakeUp(
        WakeUpKind.REQUEST, NAME, message_id, at, replace(request, at=at)
    ),
    requests,
    _past,
    sound_text,
)
claims = st.builds(
    lambda lease, message_id: Claim(NOW, NOW + timedelta(seconds=lease), message_id),
    st.integers(1, 3600),
    sound_text,
)
situations = st.builds(
    lambda state, secret, *rest: Situation(
        replace(state, aliases=dict(secret.aliases)), secret, *rest
    ),
    states,
    secrets,
    policies,
    wake_ups,
    claims,
)


def check_written(before: State, after: State) -> None:
    """Hold a state that is to be stored to what every write keeps."""
    assert after.token >= before.token
    assert after.aliases == before.aliases
    assert after.receipt == before.receipt
    assert after.current == before.current
    assert (after.record is None) == (after.phase is Phase.SETTLED)
    if before.record and after.record:
        assert after.record.id == before.record.id
        assert after.record.next == before.record.next
        assert after.record.base == before.record.base


@examples(200)
@given(situations)
def test_any_situation_is_decided(situation: Situation) -> None:
    state, now = situation.state, situation.now
    decision = decide(situation)
    match decision:
        case Done(why, until):
            assert why
            assert until is None or until > now
        case Busy(until):
            assert until > now
        case Store(stored, why):
            assert why
            assert stored != state
            check_written(state, stored)
            assert stored.token == state.token
            assert stored.phase is state.phase
        case Act(claimed):
            check_written(state, claimed)
            assert claimed.token > state.token
            assert claimed.lease_until == situation.claim.until
            assert claimed.wake_at is None
            assert claimed.block is None
            assert claimed.phase is not Phase.SETTLED
            assert claimed.in_flight.message_id == situation.claim.message_id
            moves = {to for (phase, _), to in TRANSITIONS.items() if phase is state.phase}
            assert claimed.phase in {state.phase, *moves}
        case Inspect():
            assert state.block is None or state.block.reason in POLICY_REASONS


@examples(100)
@given(situations)
def test_what_is_decided_can_be_stored_and_decided_on_again(situation: Situation) -> None:
    decision = decide(situation)
    if not isinstance(decision, Act | Store):
        return
    try:
        maps = codec.encode(decision.state, situation.secret)
    except StateError as error:
        assert error.reason == "no-room"
        return
    secret = replace(
        situation.secret, labels=maps.labels, annotations=maps.annotations, aliases=maps.aliases
    )
    read = codec.decode(secret, pointed=situation.state.current)
    assert read == replace(decision.state, current=read.current)
    # A repeat of the same message finds it served, or held; it never starts a second rotation.
    again = decide(replace(situation, state=read, secret=secret))
    assert isinstance(again, Done | Busy | Act | Store | Inspect)
    if isinstance(again, Act) and read.record:
        assert again.state.in_flight.id == read.record.id
    overdue = sweep.overdue_since(secret, read, situation.now)
    sweep.wake_reason(secret, read, overdue, situation.now, timedelta(minutes=5), timedelta(days=1))


@examples(100)
@given(situations)
def test_a_held_lease_is_broken_by_a_person_only(situation: Situation) -> None:
    state = situation.state
    lease = situation.now + timedelta(seconds=1)
    held = replace(situation, state=replace(state, lease_until=lease, block=None))
    request = held.wake_up.request
    if isinstance(decide(held), Act):
        assert request
        starts = held.state.record is None
        assert starts or request.mode in {Ask.EMERGENCY, Ask.REVERT}


@examples(100)
@given(situations)
def test_a_blocked_secret_is_moved_by_a_person_only(situation: Situation) -> None:
    block = situation.state.block
    if block is None or block.reason in POLICY_REASONS:
        return
    decision = decide(situation)
    if isinstance(decision, Act | Inspect):
        request = situation.wake_up.request
        assert request
        assert request.mode in {Ask.EMERGENCY, Ask.REVERT, Ask.UNBLOCK}


def _with_event(state: State) -> st.SearchStrategy[tuple[State, Event]]:
    rows = [event for phase, event in TRANSITIONS if phase is state.phase]
    return st.tuples(st.just(state), st.sampled_from(rows) | st.sampled_from(Event))


@examples(100)
@given(
    states.filter(lambda state: state.record is not None).flatmap(_with_event),
    policies,
    moments,
    st.booleans(),
)
def test_every_event_has_a_row_or_is_refused(
    happened: tuple[State, Event], policy: Policy, now: Any, delayed: bool
) -> None:
    state, event = happened
    now = min(now, NOW)
    try:
        moved = transitions.advance(state, event, now, policy, delayed=delayed)
    except IllegalTransitionError:
        assert not transitions.can_follow(state.phase, event)
        return
    assert transitions.can_follow(state.phase, event)
    assert moved.token == state.token
    assert moved.aliases == state.aliases
    assert moved.wake_at is None or moved.wake_at > now
    if moved.wake_at:
        assert moved.lease_until is None
    if moved.phase is Phase.SETTLED:
        assert moved.record is None
        assert moved.receipt
        assert moved.receipt.last >= state.last


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.SETTLED])
@examples(15)
@given(situations.filter(lambda one: one.state.record is not None), requests)
def test_an_emergency_asked_now_is_never_lost(
    phase: Phase, situation: Situation, request: Request
) -> None:
    """Whatever a routine rotation is at, held or blocked: the emergency is stored."""
    record = replace(situation.state.in_flight, mode=Mode.ROUTINE, again=None)
    state = replace(situation.state, phase=phase, record=record, receipt=None)
    asked = replace(request, mode=Ask.EMERGENCY, at=NOW)
    wake_up = WakeUp(WakeUpKind.REQUEST, NAME, "7", NOW, asked)
    decision = decide(replace(situation, state=state, wake_up=wake_up))
    assert isinstance(decision, Act | Store)
    kept = decision.state.in_flight
    assert kept.mode is Mode.EMERGENCY or kept.again == asked

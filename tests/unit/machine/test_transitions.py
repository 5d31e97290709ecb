import dataclasses
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from rotation.machine import transitions
from rotation.machine.transitions import HANDED, TRANSITIONS, Claim
from rotation.model.errors import IllegalTransitionError
from rotation.model.phase import Event, Mode, Phase
from rotation.model.policy import PluginChoice, Policy, Retire
from rotation.model.rotation import State
from rotation.model.wakeup import Ask, Request

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICY = Policy(PluginChoice("memory", None), ())
CLAIM = Claim(NOW, NOW + timedelta(seconds=600), "m1")
REQUEST = Request(Ask.ROUTINE, NOW, "r1")


def begun(**settled: object) -> State:
    return transitions.start(State(current=3, **settled), CLAIM, REQUEST, "projects/p/secrets/s")


def reach(event: Event, state: State | None = None, **facts: object) -> State:
    return transitions.advance(state or begun(), event, NOW, POLICY, delayed=False, **facts)


def test_start_records_what_was_in_force_and_takes_the_lease() -> None:
    state = begun()
    record = state.in_flight
    assert (record.previous, record.base, state.token) == (3, 3, 1)
    assert state.lease_until == CLAIM.until


def test_ids_sort_by_time_and_fit_a_label() -> None:
    later = Claim(NOW + timedelta(seconds=1), CLAIM.until, "m2")
    first = begun().in_flight.id
    second = transitions.start(State(), later, REQUEST, "projects/p/secrets/s").in_flight.id
    assert first < second
    assert first == first.lower()
    assert len(first) <= 63


def test_a_wait_holds_no_lease() -> None:
    state = reach(Event.PUBLISHED, next=4)
    assert state.phase is Phase.SOAKING
    assert state.lease_until is None
    assert state.wake_at == NOW + POLICY.soak


def test_no_soak_is_passed_through() -> None:
    policy = dataclasses.replace(POLICY, soak=timedelta())
    state = transitions.advance(begun(), Event.PUBLISHED, NOW, policy, delayed=False, next=4)
    assert state.phase is Phase.SUSPENDING
    assert state.lease_until == CLAIM.until


def test_claim_of_a_soak_that_is_over_goes_on_to_suspending() -> None:
    state = transitions.claim(reach(Event.PUBLISHED, next=4), CLAIM)
    assert state.phase is Phase.SUSPENDING
    assert state.token == 2


def test_emergency_has_no_soak() -> None:
    assert reach(Event.PUBLISHED_IN_EMERGENCY, next=4).phase is Phase.REVOKING


def test_settling_keeps_the_token_and_writes_the_receipt() -> None:
    state = reach(Event.PUBLISHED_FIRST, next=1, handle="a")
    assert state.phase is Phase.SETTLED
    assert (state.token, state.current, state.record) == (1, 1, None)
    assert state.receipt
    assert (state.receipt.outcome, state.receipt.current, state.receipt.handle) == (
        "rotated",
        1,
        "a",
    )


def test_aborting_before_and_after_publication_differ_in_the_receipt() -> None:
    aborted = reach(Event.ABORTED, reach(Event.REFUSED))
    assert aborted.receipt
    assert (aborted.receipt.outcome, aborted.current) == ("aborted", 3)
    soaking = reach(Event.PUBLISHED, next=4)
    reverted = reach(Event.ABORTED, reach(Event.REVERTED, reach(Event.REVERT_ASKED, soaking)))
    assert reverted.receipt
    assert (reverted.receipt.outcome, reverted.current) == ("reverted", 3)


def test_going_back_alone_leaves_a_block() -> None:
    soaking = reach(Event.PUBLISHED, next=4)
    back = reach(Event.REVERT_ASKED, soaking, reverted="refused", alarm=True)
    settled = reach(Event.ABORTED, reach(Event.REVERTED, back))
    assert settled.block
    assert settled.block.reason == "reverted"


def test_destruction_is_not_waited_for_where_secret_manager_delays_it() -> None:
    revoking = reach(Event.PUBLISHED_IN_EMERGENCY, next=4)
    waiting = transitions.advance(revoking, Event.REVOKED, NOW, POLICY, delayed=False)
    at_once = transitions.advance(revoking, Event.REVOKED, NOW, POLICY, delayed=True)
    assert waiting.wake_at == NOW + POLICY.retire.destroy_after
    assert at_once.wake_at is None


def test_event_without_a_row_is_refused() -> None:
    with pytest.raises(IllegalTransitionError, match="previous revoked cannot follow preparing"):
        reach(Event.REVOKED)


def test_every_phase_is_reached_and_every_phase_can_settle() -> None:
    visited, queue = {Phase.SETTLED}, deque([Phase.SETTLED])
    while queue:
        phase = queue.popleft()
        for (before, _), after in TRANSITIONS.items():
            if before is phase and after not in visited:
                visited.add(after)
                queue.append(after)
    assert visited == set(Phase)
    settling, grew = {Phase.SETTLED}, True
    while grew:
        more = {before for (before, _), after in TRANSITIONS.items() if after in settling}
        grew = not more <= settling
        settling |= more
    assert settling == set(Phase)


def test_after_revoking_there_is_no_way_back() -> None:
    for phase in (Phase.REVOKING, Phase.DESTROYING):
        assert not transitions.can_follow(phase, Event.REVERT_ASKED)


def test_nothing_is_published_outside_preparing() -> None:
    handing = {before for before, event in TRANSITIONS if event in HANDED}
    assert handing == {Phase.PREPARING, Phase.VOTING, Phase.ROLLING_OUT}


def test_looks_are_spread_over_the_time_of_observation() -> None:
    policy = dataclasses.replace(POLICY, retire=Retire(observe=timedelta(hours=4)))
    assert transitions.look_interval(policy) == timedelta(hours=1)


def test_copies_of_the_credential_in_force_follow_it_into_retirement() -> None:
    settled = reach(Event.PUBLISHED_FIRST, next=1, copies=(2, 3), highest=3)
    assert settled.receipt
    assert settled.receipt.copies == (2, 3)
    again = transitions.start(settled, CLAIM, REQUEST, "s").in_flight
    assert (again.previous, again.previous_copies, again.base) == (1, (2, 3), 3)


def test_emergency_leaves_its_mark_in_every_later_receipt() -> None:
    asked = replace(REQUEST, mode=Ask.EMERGENCY)
    state = transitions.start(State(current=3), CLAIM, asked, "s")
    assert state.in_flight.mode is Mode.EMERGENCY
    revoked = reach(Event.REVOKED, reach(Event.PUBLISHED_IN_EMERGENCY, state, next=4))
    settled = reach(Event.DESTROYED, revoked)
    assert settled.receipt
    assert settled.receipt.emergencies_until == NOW
    routine = transitions.start(settled, CLAIM, REQUEST, "s")
    later = reach(Event.ABORTED, reach(Event.REFUSED, routine))
    assert later.receipt
    assert later.receipt.emergencies_until == NOW

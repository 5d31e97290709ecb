from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from rotation.machine.due import Facts, due, last_firing
from rotation.machine.sweep import oldest, overdue_since, wake_reason
from rotation.model.names import SecretName
from rotation.model.phase import Mode, Phase
from rotation.model.rotation import Block, Pause, Receipt, Record, State
from rotation.model.secret import Schedule, Secret
from rotation.model.wakeup import WakeUp, WakeUpKind

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = SecretName("123", "app")
DAY = timedelta(days=1)
EVERY = timedelta(minutes=5)


def secret(next_time: datetime | None = None, period: timedelta | None = 30 * DAY) -> Secret:
    schedule = Schedule(next_time, period) if next_time else None
    return Secret(NAME, "etag", NOW - 100 * DAY, schedule=schedule)


def settled(at: datetime, scheduled: datetime | None = None) -> State:
    receipt = Receipt(
        id="r",
        outcome="rotated",
        mode=Mode.ROUTINE,
        started_at=at - EVERY,
        settled_at=at,
        current=1,
        last=1,
        scheduled=scheduled,
    )
    return State(receipt=receipt)


def message(kind: WakeUpKind = WakeUpKind.ROTATE, at: datetime = NOW) -> WakeUp:
    return WakeUp(kind, NAME, "m1", at)


def test_firing_newer_than_the_last_rotation_is_due() -> None:
    found = due(Facts(settled(NOW - DAY), secret(), NOW, message()))
    assert found
    assert found.reason == "schedule"


def test_firing_older_than_the_last_rotation_is_not() -> None:
    assert due(Facts(settled(NOW + EVERY), secret(), NOW, message())) is None


def test_missed_firing_is_found_by_the_schedule_alone() -> None:
    state, late = settled(NOW - 40 * DAY, scheduled=NOW - DAY), secret(NOW + 29 * DAY)
    found = due(Facts(state, late, NOW, message(WakeUpKind.WAKE)))
    assert found
    assert (found.reason, found.since) == ("overdue", NOW - DAY)


def test_message_on_its_way_is_given_time() -> None:
    fired = NOW - timedelta(minutes=1)
    state, fresh = settled(NOW - 30 * DAY, scheduled=fired), secret(fired + 30 * DAY)
    assert due(Facts(state, fresh, NOW, message(WakeUpKind.WAKE))) is None


def test_schedule_that_was_postponed_has_not_fired() -> None:
    state, later = settled(NOW - 19 * DAY, scheduled=NOW - DAY), secret(NOW + 26 * DAY)
    assert due(Facts(state, later, NOW, message(WakeUpKind.WAKE))) is None


def test_firing_that_was_served_is_not_missed() -> None:
    state, moved = settled(NOW, scheduled=NOW + 29 * DAY), secret(NOW + 29 * DAY)
    assert due(Facts(state, moved, NOW + DAY, message(WakeUpKind.WAKE))) is None


@pytest.mark.parametrize(
    ("next_time", "period", "expected"),
    [
        (NOW + DAY, 30 * DAY, NOW - 29 * DAY),
        (NOW + DAY, 200 * DAY, None),
        (NOW + DAY, None, None),
        (NOW - DAY, None, NOW - DAY),
        (NOW - DAY, 30 * DAY, NOW - DAY),
    ],
    ids=["fired", "older than the secret", "once, later", "once, past", "not fired yet"],
)
def test_last_firing_of_a_secret_that_never_rotated(
    next_time: datetime, period: timedelta | None, expected: datetime | None
) -> None:
    assert last_firing(secret(next_time, period), None, NOW) == expected


def reason(state: State, **when: datetime) -> str | None:
    one, now = secret(), when.get("now", NOW)
    return wake_reason(one, state, overdue_since(one, state, now), now, EVERY, timedelta())


def in_flight(**times: datetime) -> State:
    record = Record(id="r", mode=Mode.ROUTINE, started_at=NOW, message_id="m", base=1)
    return State(Phase.SOAKING, 1, times.get("lease_until"), times.get("wake_at"), record=record)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (in_flight(wake_at=NOW + EVERY), None),
        (in_flight(wake_at=NOW - EVERY), "wait over"),
        (in_flight(lease_until=NOW + EVERY), None),
        (in_flight(lease_until=NOW - EVERY), "lease over"),
        (in_flight(lease_until=NOW - EVERY, wake_at=NOW + EVERY), None),
        (in_flight(), "interrupted"),
        (settled(NOW), None),
    ],
    ids=["waiting", "waited", "held", "lease over", "check interrupted", "interrupted", "settled"],
)
def test_sweep_wakes_what_is_owed_something(state: State, expected: str | None) -> None:
    assert reason(state) == expected


def test_sweep_never_wakes_a_blocked_secret() -> None:
    assert reason(State(block=Block("rights", "GRANT missing", NOW))) is None


def test_every_secret_is_checked_exactly_once_in_the_time_between_checks() -> None:
    turns = range(12)
    for number in range(40):
        name = SecretName("123", f"app-{number}")
        one = Secret(name, "etag", NOW)
        reasons = [
            wake_reason(one, settled(NOW), None, NOW + turn * EVERY, EVERY, 12 * EVERY)
            for turn in turns
        ]
        assert reasons.count("check") == 1


# age


def rotated(published: datetime, outcome: str = "rotated") -> State:
    receipt = replace(settled(published + DAY).receipt, in_force_since=published, outcome=outcome)
    return State(receipt=receipt)


@pytest.mark.parametrize(
    ("state", "max_age", "since"),
    [
        (rotated(NOW - 90 * DAY), 90 * DAY, NOW),
        (rotated(NOW - 89 * DAY), 90 * DAY, None),
        (rotated(NOW - 900 * DAY), None, None),
        (State(), 90 * DAY, NOW - 10 * DAY),
        (State(), 101 * DAY, None),
        (rotated(NOW - 90 * DAY, "reverted"), 90 * DAY, NOW),
    ],
    ids=["too old", "young", "any age", "never rotated", "young secret", "went back long ago"],
)
def test_credential_that_is_too_old_is_due_without_a_schedule(
    state: State, max_age: timedelta | None, since: datetime | None
) -> None:
    found = due(Facts(state, secret(), NOW, message(WakeUpKind.WAKE), max_age))
    assert (found.reason, found.since) == ("max-age", since) if since and found else found is None
    assert bool(found) is bool(since)
    woken = wake_reason(secret(), state, None, NOW, EVERY, timedelta(), max_age)
    assert woken == ("max-age" if since else None)


def test_who_goes_back_is_not_rolled_forward_at_once() -> None:
    receipt = replace(rotated(NOW - 99 * DAY, "reverted").receipt, settled_at=NOW - DAY / 2)
    wake_up = message(WakeUpKind.WAKE)
    assert due(Facts(State(receipt=receipt), secret(), NOW, wake_up, 90 * DAY)) is None
    later = NOW + DAY / 2
    found = due(Facts(State(receipt=receipt), secret(), later, wake_up, 90 * DAY))
    assert found
    assert found.since == later


def test_schedule_gives_the_reason_where_both_ask() -> None:
    found = due(Facts(rotated(NOW - 99 * DAY), secret(), NOW, message(), 90 * DAY))
    assert found
    assert found.reason == "schedule"


def test_age_wakes_nobody_who_is_paused_blocked_or_in_flight() -> None:
    old = rotated(NOW - 99 * DAY)
    paused = replace(old, pause=Pause(paused=True, at=NOW))
    blocked = replace(old, block=Block("rights", "GRANT missing", NOW))
    flying = replace(in_flight(wake_at=NOW + EVERY), receipt=old.receipt)
    for state in (paused, blocked, flying):
        found = wake_reason(secret(), state, None, NOW, EVERY, timedelta(), 90 * DAY)
        assert found is None


@pytest.mark.parametrize(
    ("period", "max_age", "expected"),
    [
        (30 * DAY, None, 45 * DAY),
        (30 * DAY, 90 * DAY, 45 * DAY),
        (120 * DAY, 90 * DAY, 91 * DAY),
        (None, 90 * DAY, 91 * DAY),
        (None, None, None),
    ],
)
def test_the_shorter_word_says_what_is_too_old(
    period: timedelta | None, max_age: timedelta | None, expected: timedelta | None
) -> None:
    assert oldest(secret(NOW + DAY, period), max_age) == expected

from datetime import UTC, datetime, timedelta

import pytest

from rotation.machine.due import Facts, due, last_firing
from rotation.machine.sweep import overdue_since, wake_reason
from rotation.model.names import SecretName
from rotation.model.phase import Mode, Phase
from rotation.model.rotation import Block, Receipt, Record, State
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

"""Which secrets a sweep wakes when the quota cannot carry all of them."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from rotation.machine.decide import CHECK
from rotation.machine.sweep import OVERDUE, chosen
from rotation.model.names import SecretName

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVERY = timedelta(minutes=5)


def owed(reason: str, count: int) -> list[tuple[SecretName, str]]:
    return [(SecretName("123", f"{reason.replace(' ', '-')}-{n}"), reason) for n in range(count)]


def test_all_are_woken_where_they_fit() -> None:
    few = owed(OVERDUE, 5)
    assert chosen(few, 5, NOW, EVERY) == few
    assert chosen(few, None, NOW, EVERY) == few


def test_rotations_in_flight_go_first_and_checks_last() -> None:
    all_of_them = [
        *owed(CHECK, 5),
        *owed(OVERDUE, 5),
        *owed("wait over", 3),
        *owed("lease over", 2),
    ]
    reasons = Counter(reason for _, reason in chosen(all_of_them, 8, NOW, EVERY))
    assert reasons == {"wait over": 3, "lease over": 2, OVERDUE: 3}


def test_nobody_waits_for_ever_behind_secrets_that_fail() -> None:
    failing = owed(OVERDUE, 40)
    woken = Counter(
        name for turn in range(60) for name, _ in chosen(failing, 10, NOW + turn * EVERY, EVERY)
    )
    assert set(woken) == {name for name, _ in failing}
    assert max(woken.values()) < 60

"""How long one call waits, and when it stops."""

import itertools

import pytest

from rotation.google import patience as module
from rotation.google.patience import Patience


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(module, "time", time)
    return time


def test_waits_double_from_a_tenth_of_a_second_to_two_seconds(time: Time) -> None:
    patience = Patience(60.0, sleep=time.sleep)
    for _ in range(7):
        assert patience.wait()
    full = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert all(most / 2 <= wait <= most for wait, most in zip(time.waits, full, strict=True))


def test_waits_of_two_callers_differ(time: Time) -> None:
    for _ in range(5):
        assert Patience(10.0, sleep=time.sleep).wait()
    assert len(set(time.waits)) > 1


def test_no_wait_passes_the_deadline(time: Time) -> None:
    patience = Patience(10.0, sleep=time.sleep)
    count = next(number for number in itertools.count() if not patience.wait())
    assert 6 <= count <= 15
    assert 107.0 < time.now < 110.0


def test_an_attempt_leaves_time_for_another_and_ends_with_the_call(time: Time) -> None:
    patience = Patience(10.0, sleep=time.sleep)
    assert patience.attempt == pytest.approx(5.0)
    time.now += 8.0
    assert patience.attempt == pytest.approx(2.0)
    time.now += 8.0
    assert 0 < patience.attempt < 0.01

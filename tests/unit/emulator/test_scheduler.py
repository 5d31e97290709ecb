import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from rotation.emulator.clock import MovableClock
from rotation.emulator.scheduler import RotationScheduler, Sweep

TOPIC = "projects/demo/topics/rotation"
HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeCalendar:
    """Fires once per due moment, and tells the event loop."""

    def __init__(self, *due: datetime) -> None:
        self.due = sorted(due)
        self.fired: list[datetime] = []
        self.expired = asyncio.Event()
        self.error: Exception | None = None
        self.tried = 0

    def next_due(self) -> datetime | None:
        return self.due[0] if self.due else None

    def fire_due(self, now: datetime) -> object:
        self.tried += 1
        if self.error is not None:
            raise self.error
        self.fired += [moment for moment in self.due if moment <= now]
        self.due = [moment for moment in self.due if moment > now]
        return None

    def expire_due(self, _now: datetime) -> object:
        self.expired.set()
        return None


class FixedClock:
    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment


class Topic:
    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, str], bytes | None]] = []
        self.error: Exception | None = None

    def publish(self, topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        if self.error is not None:
            raise self.error
        self.messages.append((topic, dict(attributes), data))


def test_moved_clock_fires_what_became_due() -> None:
    async def run() -> None:
        clock = MovableClock()
        calendar = FakeCalendar(clock.now() + HOUR)
        async with RotationScheduler(clock, calendar):
            await asyncio.sleep(0)
            assert calendar.tried == 0
            clock.advance(2 * HOUR)
            await asyncio.wait_for(calendar.expired.wait(), 30)
        assert len(calendar.fired) == 1

    asyncio.run(run())


def test_nothing_runs_after_stop_and_start_goes_on() -> None:
    async def run() -> None:
        clock = MovableClock()
        calendar = FakeCalendar(clock.now())
        scheduler = RotationScheduler(clock, calendar)
        await scheduler.stop()
        scheduler.start()
        scheduler.start()
        await asyncio.wait_for(calendar.expired.wait(), 30)
        await scheduler.stop()
        await scheduler.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        calendar.expired.clear()
        calendar.due = [clock.now()]
        scheduler.start()
        await asyncio.wait_for(calendar.expired.wait(), 30)
        await scheduler.stop()
        assert len(calendar.fired) == 2

    asyncio.run(run())


def test_sweep_is_published_once_every_period() -> None:
    clock, topic = FixedClock(), Topic()
    scheduler = RotationScheduler(clock, FakeCalendar(), Sweep(topic.publish, TOPIC, HOUR))
    counts = []
    for minutes in (0, 59, 60, 61, 119, 120):
        clock.moment = START + timedelta(minutes=minutes)
        scheduler.look()
        counts.append(len(topic.messages))
    assert counts == [0, 0, 1, 1, 1, 2]
    assert topic.messages[0] == (TOPIC, {"eventType": "ROTATION_SWEEP"}, None)


def test_periods_jumped_over_are_skipped_and_the_rhythm_stays() -> None:
    clock, topic = FixedClock(), Topic()
    scheduler = RotationScheduler(clock, FakeCalendar(), Sweep(topic.publish, TOPIC, HOUR))
    counts = []
    for minutes in (0, 630, 659, 660):
        clock.moment = START + timedelta(minutes=minutes)
        scheduler.look()
        counts.append(len(topic.messages))
    assert counts == [0, 1, 1, 2]


def test_refused_sweep_is_tried_again_at_the_next_period() -> None:
    clock, topic = FixedClock(), Topic()
    scheduler = RotationScheduler(clock, FakeCalendar(), Sweep(topic.publish, TOPIC, HOUR))
    scheduler.look()
    topic.error = RuntimeError()
    clock.moment += HOUR
    scheduler.look()
    topic.error = None
    scheduler.look()
    assert topic.messages == []
    clock.moment += HOUR
    scheduler.look()
    assert len(topic.messages) == 1


def test_failing_calendar_is_tried_again_and_said_once_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, calendar = FixedClock(), FakeCalendar(START)
    calendar.error = ValueError("hunter2")
    scheduler = RotationScheduler(clock, calendar)
    with caplog.at_level(logging.ERROR):
        scheduler.look()
        scheduler.look()
    assert calendar.tried == 2
    assert calendar.expired.is_set()
    assert [record.getMessage() for record in caplog.records] == [
        "scheduled rotations fail with ValueError"
    ]
    calendar.error = None
    scheduler.look()
    assert calendar.fired == [START]


def test_sweep_without_a_period_is_refused() -> None:
    with pytest.raises(ValueError, match="period"):
        Sweep(Topic().publish, TOPIC, timedelta(0))

"""Which failures the drill takes for on purpose, and who is late."""

import pytest

from rotation.local.demo.consumers import Member, Tally
from rotation.local.demo.wire import Binding, Failure
from tests.drill.findings import DIRECT, Emergency, Findings, Story, percentile

#: Version 7 leaked: asked at 10, pooler replaced from 12 to 13, deployed at 14, all back at 20.
EMERGENCY = Emergency(
    leaked=7, asked=10, cleared_from=12, cleared_until=13, deployed=14, recovered=20
)


def member(binding: Binding = "current", pooler: str = "") -> Member:
    return Member("consumer-01", binding, pooler)


def failure(at: float, version: int = 7, streak: int = 1, since: float = 5) -> Failure:
    return Failure(at, since, "query: AdminShutdown", "ended", version, streak)


@pytest.mark.parametrize(
    ("failed", "pooler", "on_purpose"),
    [
        (failure(11), "", True),
        (failure(9), "", False),
        (failure(21), "", False),
        (failure(11, version=8), "", False),
        (failure(12.5, version=8, since=12), "", False),
        (failure(12.5, version=8, since=12), "p:1", True),
        (failure(15, version=8, since=12.9), "p:1", True),
        (failure(11.5, version=8, since=11), "p:1", False),
        (failure(15, version=8, since=13.5), "p:1", False),
    ],
)
def test_on_purpose_fails_who_holds_what_leaked_or_was_cleared(
    failed: Failure, pooler: str, *, on_purpose: bool
) -> None:
    assert EMERGENCY.is_on_purpose(member(pooler=pooler), failed) is on_purpose


@pytest.mark.parametrize(
    ("who", "failed", "late"),
    [
        (member(), failure(11), False),
        (member(), failure(11, streak=2), True),
        (member(pooler="p:1"), failure(12.5, streak=2), False),
        (member(pooler="p:1"), failure(15, streak=2, since=14), True),
        (member("pinned"), failure(13, streak=5, since=12), False),
        (member("pinned"), failure(15, streak=1, since=14.5), True),
    ],
)
def test_late_is_whose_first_retry_failed(who: Member, failed: Failure, *, late: bool) -> None:
    assert EMERGENCY.is_late(who, failed) is late


def test_one_failure_late_consumer_leak_or_fault_spoils_the_verdict() -> None:
    def fresh() -> Findings:
        return Findings(work={DIRECT: Tally(queries=1)})

    assert fresh().held
    assert not Findings().held, "nobody did anything"
    for on_purpose, late in ((False, False), (True, True)):
        spoilt = fresh()
        spoilt.stories.append(Story(member(), failure(1), "rotation 1", on_purpose, late))
        assert not spoilt.held
    for spoil in ("leaks", "faults"):
        spoilt = fresh()
        getattr(spoilt, spoil).append("something")
        assert not spoilt.held


def test_percentiles_are_of_the_nearest_rank() -> None:
    numbers = [float(number) for number in range(1, 51)]
    assert [percentile(numbers, share) for share in (0.5, 0.99, 1.0)] == [25, 50, 50]
    assert percentile([3.0], 0.5) == 3

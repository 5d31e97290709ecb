"""The judge: what a consumer may see, and what it may never see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.crash import rules
from tests.crash.consumers import Incident, Trouble
from tests.crash.history import Stored
from tests.crash.rules import Asked, Verdict
from tests.crash.stage import SOAK

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST = Stored(
    at=0,
    clock=NOON,
    current=1,
    in_force="one",
    token=1,
    phase="settled",
    rotation_id="",
    request_id="",
    started_at=None,
    reverted="",
    urgent=False,
    blocked="",
    receipt="",
    outcome="",
    was_emergency=False,
    versions=("one",),
)
#: The second version is added at 10, and comes into force at 11.
ADDED = replace(FIRST, at=10, versions=("one", "two"), rotation_id="r2", request_id="q2", token=2)
MOVED = replace(ADDED, at=11, current=2, in_force="two", phase="soaking")
LATER = NOON + SOAK


def _incident(version: int, at: float, consumer: str = "current", **more: Any) -> Incident:
    fields: dict[str, Any] = {
        "consumer": consumer,
        "trouble": Trouble.REFUSED,
        "version": version,
        "credential": {1: "one", 2: "two", 3: "orphan"}.get(version, ""),
        "read": at - 0.1,
        "began": at - 0.1,
        "ended": at,
        "clock": NOON,
    }
    return Incident(**(fields | more))


def _judged(incident: Incident, *stored: Stored, asked: tuple[str, ...] = ()) -> Verdict:
    asks = [Asked(kind, NOON, "one") for kind in asked]
    return rules.judge_incidents([incident], list(stored), asks)


def test_refusal_of_the_credential_in_force_is_a_violation() -> None:
    assert _judged(_incident(1, 5), FIRST, ADDED, MOVED).violations
    assert _judged(_incident(2, 20), FIRST, ADDED, MOVED).violations


def test_latest_may_be_an_orphan_that_is_gone_before_the_next_write() -> None:
    unreadable = _incident(0, 10.5, consumer="latest", trouble=Trouble.UNREADABLE)
    two_more = replace(ADDED, at=11, versions=("one", "orphan", "two"))
    in_force = replace(two_more, at=12, current=3, in_force="two")
    assert _judged(unreadable, FIRST, two_more, in_force).orphans == 1
    assert _judged(unreadable, FIRST, ADDED, MOVED).violations


def test_refusal_of_the_credential_in_force_is_a_violation_in_an_emergency_too() -> None:
    urgent = replace(MOVED, at=12, urgent=True)
    assert _judged(_incident(2, 20), FIRST, MOVED, urgent, asked=("emergency",)).violations


def test_previous_credential_works_until_its_soak_is_over() -> None:
    assert _judged(_incident(1, 20, "pinned"), FIRST, ADDED, MOVED).violations
    verdict = _judged(_incident(1, 20, "pinned", clock=LATER), FIRST, ADDED, MOVED)
    assert (verdict.violations, verdict.on_purpose) == ([], 1)


@pytest.mark.parametrize(
    ("ask", "mark"), [("emergency", {"urgent": True}), ("revert", {"reverted": "asked by sre"})]
)
def test_previous_credential_may_end_at_once_where_that_was_asked_for(
    ask: str, mark: dict[str, Any]
) -> None:
    marked = replace(MOVED, at=15, **mark)
    verdict = _judged(_incident(1, 20), FIRST, ADDED, MOVED, marked, asked=(ask,))
    assert (verdict.violations, verdict.on_purpose) == ([], 1)
    assert _judged(_incident(1, 14), FIRST, ADDED, MOVED, marked, asked=(ask,)).violations
    assert _judged(_incident(1, 20), FIRST, ADDED, MOVED, marked).violations


def test_version_that_is_read_before_it_works_is_a_violation() -> None:
    verdict = _judged(_incident(2, 10.5, "latest"), FIRST, ADDED, MOVED)
    assert verdict.violations == ["latest: login refused, version 2: it came into force later"]


def test_only_readers_of_latest_may_meet_an_orphan() -> None:
    orphaned = replace(MOVED, at=12, versions=("one", "two", "orphan"))
    verdict = _judged(_incident(3, 13, "latest"), FIRST, ADDED, MOVED, orphaned)
    assert (verdict.violations, verdict.orphans) == ([], 1)
    unread = _incident(0, 13, "latest", trouble=Trouble.UNREADABLE)
    assert _judged(unread, FIRST, ADDED, MOVED, orphaned).orphans == 1
    assert _judged(_incident(3, 13, "pinned"), FIRST, ADDED, MOVED, orphaned).violations


@pytest.mark.parametrize("consumer", ["current", "latest"])
def test_what_an_alias_names_can_be_read(consumer: str) -> None:
    unread = _incident(0, 20, consumer, trouble=Trouble.UNREADABLE)
    assert _judged(unread, FIRST, ADDED, MOVED).violations


def test_pinned_version_can_be_read_until_its_soak_is_over() -> None:
    unread = _incident(1, 20, "pinned", trouble=Trouble.UNREADABLE, credential="")
    assert _judged(unread, FIRST, ADDED, MOVED).violations
    assert not _judged(replace(unread, clock=LATER), FIRST, ADDED, MOVED).violations


def test_login_as_somebody_else_is_a_violation() -> None:
    assert _judged(_incident(1, 20, trouble=Trouble.STRANGER), FIRST).violations


def _wrong(*stored: Stored, reverted_at: datetime | None = None) -> list[str]:
    asked = [Asked("revert", reverted_at, "one")] if reverted_at else []
    return list(rules.judge_history(list(stored), asked))


def test_ordinary_history_is_right() -> None:
    assert _wrong(FIRST, ADDED, MOVED, replace(FIRST, token=2)) == []


def test_token_never_decreases() -> None:
    assert _wrong(ADDED, FIRST)


def test_request_is_served_once_unless_it_was_sent_back() -> None:
    again = replace(MOVED, rotation_id="r3", token=3, started_at=NOON)
    assert _wrong(FIRST, ADDED, again)
    back = replace(ADDED, reverted="asked by sre", started_at=NOON)
    assert not _wrong(FIRST, back, again, reverted_at=NOON)


def test_rotation_goes_back_only_for_a_revert_asked_for_after_it_began() -> None:
    back = replace(MOVED, reverted="asked by sre", started_at=NOON)
    assert _wrong(FIRST, back)
    assert _wrong(FIRST, back, reverted_at=NOON - timedelta(minutes=1))
    assert not _wrong(FIRST, back, reverted_at=NOON + timedelta(minutes=1))


def test_block_is_a_violation_unless_a_revert_explains_it() -> None:
    assert _wrong(FIRST, replace(FIRST, blocked="drift"), reverted_at=NOON)
    busy = replace(FIRST, blocked="slot-in-use")
    assert _wrong(FIRST, busy)
    assert not _wrong(FIRST, busy, reverted_at=NOON)

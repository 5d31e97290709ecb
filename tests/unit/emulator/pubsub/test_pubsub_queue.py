from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotation.emulator.pubsub.filters import compile_filter
from rotation.emulator.pubsub.message import Message
from rotation.emulator.pubsub.queue import Queue
from rotation.emulator.pubsub.rules import Rules
from rotation.emulator.status import StatusError

RULES = Rules(
    ack_deadline=10,
    minimum_backoff=2,
    maximum_backoff=10,
    retention=3600,
    accepts=compile_filter(""),
    dead_letter_topic="",
    max_attempts=0,
)


class Notebook:
    """Keeps what a queue says; its dead-letter topic can be missing."""

    def __init__(self, *, has_dead_letter_topic: bool = True) -> None:
        self.kept: dict[int, int] = {}
        self.buried: list[tuple[str, int]] = []
        self._has_dead_letter_topic = has_dead_letter_topic

    def keep(self, _subscription: str, number: int, _message: Message, attempts: int) -> None:
        self.kept[number] = attempts

    def forget(self, _subscription: str, number: int) -> None:
        del self.kept[number]

    def hand_over(self, _subscription: str, message: Message, attempts: int) -> bool:
        if self._has_dead_letter_topic:
            self.buried.append((message.message_id, attempts))
        return self._has_dead_letter_topic


def message(number: int) -> Message:
    return Message(str(number), datetime(2026, 1, 1, tzinfo=UTC), {"k": "v"})


def filled(count: int, rules: Rules = RULES, notebook: Notebook | None = None) -> Queue:
    queue = Queue("s", rules, notebook or Notebook())
    for number in range(count):
        queue.add(message(number), now=0)
    return queue


def ids(queue: Queue, now: float, limit: int = 100) -> list[str]:
    return [delivery.message.message_id for delivery in queue.lease(now, limit)]


def test_messages_come_in_order_and_no_more_than_asked_for() -> None:
    queue = filled(5)
    assert ids(queue, now=0, limit=2) == ["0", "1"]
    assert ids(queue, now=0) == ["2", "3", "4"]
    assert ids(queue, now=0) == []


def test_backoff_doubles_from_its_minimum_to_its_maximum() -> None:
    queue = filled(1)
    now, waits = 0.0, []
    for _ in range(5):
        (delivery,) = queue.lease(now, 1)
        queue.refuse(delivery.ack_id, now)
        due = queue.next_delivery()
        assert due is not None
        assert queue.lease(due - 0.001, 1) == []
        waits.append(due - now)
        now = due
    assert waits == [2, 4, 8, 10, 10]


def test_without_a_retry_policy_a_tenth_of_a_second_passes() -> None:
    rules = replace(RULES, minimum_backoff=0, maximum_backoff=0)
    assert [rules.backoff(attempts) for attempts in (1, 5, 1000)] == [0.1, 0.1, 0.1]


def test_missed_deadline_is_a_failed_attempt() -> None:
    queue = filled(1)
    queue.lease(0, 1)
    assert queue.next_expiry() == 10
    assert ids(queue, now=10) == []
    assert ids(queue, now=12) == ["0"]


def test_extended_delivery_expires_at_its_new_deadline() -> None:
    queue = filled(1)
    (delivery,) = queue.lease(0, 1)
    queue.extend(delivery.ack_id, 60, now=5)
    queue.expire(64)
    assert queue.is_running(delivery.ack_id)
    queue.expire(65)
    assert not queue.is_running(delivery.ack_id)


def test_late_acknowledgement_of_an_earlier_attempt_changes_nothing() -> None:
    queue = filled(1)
    (first,) = queue.lease(0, 1)
    (second,) = queue.lease(20, 1) or queue.lease(22, 1)
    queue.acknowledge(first.ack_id)
    assert len(queue) == 1
    queue.acknowledge(second.ack_id)
    queue.acknowledge(second.ack_id)
    assert len(queue) == 0


def test_acknowledgement_after_the_deadline_counts_until_the_next_attempt() -> None:
    queue = filled(1)
    (delivery,) = queue.lease(0, 1)
    queue.expire(11)
    queue.acknowledge(delivery.ack_id)
    assert ids(queue, now=100) == []


@pytest.mark.parametrize("ack_id", ["", "s", "s#1", "s#x#1", "other#1#1", "s#1#1#1"])
def test_ack_id_of_somebody_else_is_refused(ack_id: str) -> None:
    with pytest.raises(StatusError):
        filled(1).acknowledge(ack_id)


def exhaust(queue: Queue, attempts: int) -> float:
    now = 0.0
    for _ in range(attempts):
        now += 100
        (delivery,) = queue.lease(now, 1)
        queue.refuse(delivery.ack_id, now)
    return now


def test_exhausted_message_goes_to_the_dead_letter_topic_once() -> None:
    notebook = Notebook()
    queue = filled(1, replace(RULES, dead_letter_topic="t", max_attempts=5), notebook)
    exhaust(queue, 4)
    assert notebook.buried == []
    now = queue.next_delivery() or 0
    (delivery,) = queue.lease(now, 1)
    queue.expire(now + 10)
    assert notebook.buried == [("0", 5)]
    queue.refuse(delivery.ack_id, now + 11)
    assert (len(queue), notebook.buried, notebook.kept) == (0, [("0", 5)], {})


def test_without_its_dead_letter_topic_a_message_stays() -> None:
    rules = replace(RULES, dead_letter_topic="t", max_attempts=5)
    queue = filled(1, rules, Notebook(has_dead_letter_topic=False))
    now = exhaust(queue, 7)
    assert ids(queue, now=now + 100) == ["0"]


def test_message_older_than_the_retention_is_gone() -> None:
    notebook = Notebook()
    queue = filled(1, RULES, notebook)
    assert ids(queue, now=3601) == []
    assert notebook.kept == {}


def test_keeper_knows_every_message_and_its_attempts() -> None:
    notebook = Notebook()
    queue = filled(3, RULES, notebook)
    first, _second = queue.lease(0, 2)
    queue.acknowledge(first.ack_id)
    assert notebook.kept == {2: 1, 3: 0}


def test_ack_id_from_before_a_new_creation_means_nothing() -> None:
    (stale,) = filled(1).lease(0, 1)
    queue = Queue("s", RULES, Notebook(), start=100)
    queue.add(message(7), now=0)
    queue.lease(0, 1)
    queue.acknowledge(stale.ack_id)
    assert len(queue) == 1

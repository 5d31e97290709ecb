"""Decide what one subscription delivers next, and what happens to what was delivered.

It never waits and never talks: ``now`` (seconds of real, monotonic time) arrives as an argument.

1. A message is waiting or leased.  A lease ends by acknowledgement, refusal or its deadline.
2. A refusal and a missed deadline are the same failed attempt: wait as long as the rules say,
   then deliver again.  With a dead-letter topic, the last allowed attempt hands the message over.
3. An acknowledgement counts only for the latest attempt; an earlier one is accepted and ignored,
   so the message may come again (at least once).
4. Nothing is delivered once it is older than the retention, counted in real time.
"""

import heapq
from dataclasses import dataclass
from typing import Protocol

from rotation.emulator.pubsub.message import Delivery, Message
from rotation.emulator.pubsub.rules import Rules
from rotation.emulator.status import invalid


class Keeper(Protocol):
    """Keeps what must outlive a queue."""

    def keep(self, subscription: str, number: int, message: Message, attempts: int) -> None:
        """Remember a message and how often it was delivered."""

    def forget(self, subscription: str, number: int) -> None:
        """Forget a message that owes nothing any more."""

    def hand_over(self, subscription: str, message: Message, attempts: int) -> bool:
        """Take an exhausted message to its dead-letter topic; False when that is not there."""


@dataclass
class _Entry:
    message: Message
    arrived: float
    attempts: int
    leased: bool
    #: When it may be delivered, or when its lease ends.
    due: float


class Queue:
    """The undelivered messages of one subscription.

    Args:
        name: Full name of the subscription.
        rules: What it obeys; may be replaced at any time.
        keeper: What remembers.
        start: Messages are numbered from the next number on.  A subscription that is created
            again starts higher, so an ack id of its past life means nothing.
    """

    def __init__(self, name: str, rules: Rules, keeper: Keeper, start: int = 0) -> None:
        self.name = name
        self.rules = rules
        self._keeper = keeper
        self._entries: dict[int, _Entry] = {}
        self._last = start
        # Heaps of (due, number); a pair whose entry has moved on is skipped when it surfaces.
        self._waiting: list[tuple[float, int]] = []
        self._leased: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def outstanding(self) -> int:
        """How many messages are leased now."""
        return sum(entry.leased for entry in self._entries.values())

    def add(self, message: Message, now: float) -> None:
        """Take in a message that is due at once."""
        self.restore(self._last + 1, message, 0, now)
        self._keeper.keep(self.name, self._last, message, 0)

    def restore(self, number: int, message: Message, attempts: int, now: float) -> None:
        """Take in a message kept by a `Keeper`; its lease, if it had one, is over."""
        self._last = max(self._last, number)
        self._entries[number] = _Entry(message, now, attempts, leased=False, due=now)
        heapq.heappush(self._waiting, (now, number))

    def lease(self, now: float, limit: int) -> list[Delivery]:
        """Start up to ``limit`` deliveries of what is due, oldest first."""
        self.expire(now)
        deliveries: list[Delivery] = []
        while len(deliveries) < limit:
            number = self._pop(self._waiting, now, leased=False)
            if number is None:
                break
            entry = self._entries[number]
            if now - entry.arrived > self.rules.retention:
                self._remove(number)
            else:
                deliveries.append(self._start(number, entry, now))
        return deliveries

    def acknowledge(self, ack_id: str) -> None:
        """End the delivery for good; INVALID_ARGUMENT when the id was never given out here."""
        number, entry = self._find(ack_id)
        if entry is not None:
            self._remove(number)

    def refuse(self, ack_id: str, now: float) -> None:
        """End the delivery as failed."""
        number, entry = self._find(ack_id)
        if entry is not None and entry.leased:
            self._fail(number, entry, now)

    def extend(self, ack_id: str, seconds: float, now: float) -> None:
        """Move the deadline of a running delivery to ``seconds`` from now."""
        number, entry = self._find(ack_id)
        if entry is not None and entry.leased:
            entry.due = now + seconds
            heapq.heappush(self._leased, (entry.due, number))

    def is_running(self, ack_id: str) -> bool:
        """Return whether this delivery is neither acknowledged nor failed."""
        entry = self._find(ack_id)[1]
        return entry is not None and entry.leased

    def expire(self, now: float) -> None:
        """Fail every delivery whose deadline has passed."""
        while (number := self._pop(self._leased, now, leased=True)) is not None:
            self._fail(number, self._entries[number], now)

    def next_delivery(self) -> float | None:
        """When the next waiting message is due."""
        return self._peek(self._waiting, leased=False)

    def next_expiry(self) -> float | None:
        """When the next lease ends."""
        return self._peek(self._leased, leased=True)

    def _start(self, number: int, entry: _Entry, now: float) -> Delivery:
        entry.attempts += 1
        entry.leased = True
        entry.due = now + self.rules.ack_deadline
        heapq.heappush(self._leased, (entry.due, number))
        self._keeper.keep(self.name, number, entry.message, entry.attempts)
        return Delivery(f"{self.name}#{number}#{entry.attempts}", entry.message, entry.attempts)

    def _fail(self, number: int, entry: _Entry, now: float) -> None:
        exhausted = self.rules.dead_letter_topic and entry.attempts >= self.rules.max_attempts
        if exhausted and self._keeper.hand_over(self.name, entry.message, entry.attempts):
            self._remove(number)
            return
        entry.leased = False
        entry.due = now + self.rules.backoff(entry.attempts)
        heapq.heappush(self._waiting, (entry.due, number))

    def _remove(self, number: int) -> None:
        del self._entries[number]
        self._keeper.forget(self.name, number)

    def _find(self, ack_id: str) -> tuple[int, _Entry | None]:
        """Return the entry, or None for it when the id is not of its latest attempt."""
        name, _, rest = ack_id.partition("#")
        number, _, attempt = rest.partition("#")
        if name != self.name or not (number.isdecimal() and attempt.isdecimal()):
            raise invalid(f"Invalid ack id (ack_id={ack_id}).")
        entry = self._entries.get(int(number))
        is_latest = entry is not None and entry.attempts == int(attempt)
        return int(number), entry if is_latest else None

    def _pop(self, heap: list[tuple[float, int]], now: float, *, leased: bool) -> int | None:
        due = self._peek(heap, leased=leased)
        if due is None or due > now:
            return None
        return heapq.heappop(heap)[1]

    def _peek(self, heap: list[tuple[float, int]], *, leased: bool) -> float | None:
        while heap:
            due, number = heap[0]
            entry = self._entries.get(number)
            if entry is not None and entry.leased == leased and entry.due == due:
                return due
            heapq.heappop(heap)
        return None

"""Events that could not be published yet.

1. An event that a topic refuses is kept and tried again, for seven days.
2. Events of one secret reach one topic in the order of the changes.
3. A rotation that falls due while the last one's event is still kept is skipped, so whoever fires
   rotations asks first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rotation.emulator.secretmanager.events import Event, Publish
from rotation.emulator.status import StatusError

_PATIENCE: Final = timedelta(days=7)
_PAUSE: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Undelivered:
    """One event for one topic."""

    topic: str
    attributes: Mapping[str, str]
    data: bytes | None = field(repr=False)
    since: datetime


class Outbox:
    """Sends events, and keeps the ones that were refused."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._kept: list[Undelivered] = []
        self._retry_at: datetime | None = None

    @property
    def kept(self) -> tuple[Undelivered, ...]:
        """What is still to be sent, oldest first."""
        return tuple(self._kept)

    @property
    def retry_at(self) -> datetime | None:
        """When `retry` is due next."""
        return self._retry_at if self._kept else None

    def restore(self, kept: list[Undelivered], now: datetime) -> None:
        """Take over what an earlier process kept; it is due at once."""
        self._kept, self._retry_at = kept, now

    def send(self, event: Event, topics: list[str]) -> bool:
        """Send an event to every topic; tell whether the kept ones changed."""
        attributes, data = event.attributes(), event.data()
        before = len(self._kept)
        for topic in topics:
            item = Undelivered(topic, attributes, data, since=event.moment)
            if self._waits(item) or not self._sent(item):
                self._kept.append(item)
        if before == 0:
            self._retry_at = event.moment + _PAUSE
        return len(self._kept) != before

    def retry(self, now: datetime) -> bool:
        """Send what was kept, when it is time; tell whether the kept ones changed."""
        if self.retry_at is None or self.retry_at > now:
            return False
        self._retry_at = now + _PAUSE
        waiting = [item for item in self._kept if item.since + _PATIENCE > now]
        before, self._kept = len(self._kept), []
        for item in waiting:
            if self._waits(item) or not self._sent(item):
                self._kept.append(item)
        return len(self._kept) != before

    def holds_rotation_of(self, secret_id: str) -> bool:
        """Return whether the last rotation of a secret is still to be sent to some topic."""
        return any(
            item.attributes["eventType"] == "SECRET_ROTATE"
            and item.attributes["secretId"] == secret_id
            for item in self._kept
        )

    def _waits(self, item: Undelivered) -> bool:
        return any(
            kept.topic == item.topic and kept.attributes["secretId"] == item.attributes["secretId"]
            for kept in self._kept
        )

    def _sent(self, item: Undelivered) -> bool:
        try:
            self._publish(item.topic, item.attributes, item.data)
        except StatusError:
            return False
        return True

"""The state of the embedded Secret Manager: finding, reading, writing, publishing.

What a request may do is decided in `secrets`, `versions`, `policies` and `schedule`; here is what
all of them share.

1. Plain synchronous code, called from one event loop only: one call is one atomic step.
2. Every accepted write gets a moment of its own, strictly after all earlier ones; the ETag, the
   event's timestamp and the stored times come from it.
3. A write is kept (and durable, with a file) before its event is published.
4. Topics are tried before a write that names them is accepted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final

from rotation.emulator.clock import MovableClock
from rotation.emulator.iam import Iam
from rotation.emulator.secretmanager.agenda import Agenda
from rotation.emulator.secretmanager.database import Database
from rotation.emulator.secretmanager.etags import moment_of_etag
from rotation.emulator.secretmanager.events import TOPIC_CONFIGURED, Event, Publish
from rotation.emulator.secretmanager.history import FRESH, History, Part, View
from rotation.emulator.secretmanager.names import Parent, Projects, SecretKey
from rotation.emulator.secretmanager.outbox import Outbox
from rotation.emulator.secretmanager.records import SecretRecord
from rotation.emulator.secretmanager.topics import is_topic, malformed, topic_refused
from rotation.emulator.status import StatusError, not_found

#: The project that exists when nobody says otherwise.
DEMO_PROJECTS: Final[Mapping[str, int]] = {"demo-project": 123456789012}

_MICROSECOND: Final = timedelta(microseconds=1)
#: What a reader of the secret itself, or of the list of its versions, looks at.
SECRET_PART: Final[Part] = attrgetter("message")
VERSIONS_PART: Final[Part] = attrgetter("versions")


def whole(record: SecretRecord) -> object:
    """The part a reader of everything looks at."""
    return record


def discard(_topic: str, _attributes: Mapping[str, str], _data: bytes | None) -> None:
    """Publish nothing: every topic exists and nobody listens."""


@dataclass
class Store:
    """All secrets of all projects.

    Args:
        clock: Tells the time; tests move it.
        publish: Sends one event to one topic.  A `StatusError` with NOT_FOUND or PERMISSION_DENIED
            refuses the write that configures the topic; any refusal of a later event is retried.
        projects: The projects that exist: number by id.
        path: A SQLite file to keep everything in; None keeps it in memory.
        iam: Policies of projects, and what callers used; None makes one for this store.
    """

    clock: MovableClock = field(default_factory=MovableClock)
    publish: Publish = discard
    projects: Mapping[str, int] = field(default_factory=lambda: DEMO_PROJECTS)
    path: Path | None = None
    iam: Iam | None = None

    def __post_init__(self) -> None:
        self.permissions = self.iam or Iam(self.projects)
        self.names = Projects(self.projects)
        self.records: dict[SecretKey, SecretRecord] = {}
        self.outbox = Outbox(self._publish)
        self._history = History()
        self.rotations = Agenda(self._moment(SecretRecord.rotation_time))
        self.endings = Agenda(self._moment(SecretRecord.next_ending))
        self._watchers: list[Callable[[], None]] = []
        self._database = Database(self.path) if self.path else None
        self._last = self.clock.now()
        if self._database:
            self._load(self._database)

    def _moment(
        self, of: Callable[[SecretRecord], datetime | None]
    ) -> Callable[[SecretKey], datetime | None]:
        def moment(key: SecretKey) -> datetime | None:
            record = self.records.get(key)
            return of(record) if record else None

        return moment

    def _publish(self, topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        """Look ``publish`` up when needed: the stack sets it once its Pub/Sub is there."""
        self.publish(topic, attributes, data)

    def _load(self, database: Database) -> None:
        for record in database.records():
            self.records[record.key] = record
            self._plan(record.key)
            etags = (record.message.etag, *(v.message.etag for v in record.versions))
            self._last = max(self._last, *map(moment_of_etag, etags))
        self.outbox.restore(database.undelivered(), self.clock.now())

    def close(self) -> None:
        """Close the file.  May be called twice."""
        if self._database:
            self._database.close()

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called whenever what is due next, or the time, may have moved."""
        self._watchers.append(changed)

    def notify(self) -> None:
        """Tell the watchers that the time was moved."""
        for changed in self._watchers:
            changed()

    # Reading.

    def find(self, key: SecretKey) -> SecretRecord:
        """Return a secret as it is now.

        Raises:
            StatusError: NOT_FOUND.
        """
        return _existing(self.records.get(key), key)

    def read(self, key: SecretKey, view: View, part: Part = whole) -> SecretRecord:
        """Return a secret as a reader with this view sees it.

        Raises:
            StatusError: NOT_FOUND.
        """
        return _existing(self._visible(key, view, part), key)

    def scan(self, parent: Parent, view: View) -> Iterable[SecretRecord]:
        """List the secrets of a collection as a reader with this view sees them, unordered."""
        keys = self.records.keys() if view is FRESH else {*self.records, *self._history.keys()}
        below = [key for key in keys if key.parent == parent]
        found = (self._visible(key, view, SECRET_PART) for key in below)
        return [record for record in found if record]

    def _visible(self, key: SecretKey, view: View, part: Part) -> SecretRecord | None:
        present = self.records.get(key)
        if view is FRESH:
            return present
        return self._history.state(key, present, view, self.clock.now(), part)

    # Writing.

    def moment(self) -> datetime:
        """Return the moment of a write: now, and after every earlier one."""
        self._last = max(self.clock.now(), self._last + _MICROSECOND)
        return self._last

    def write(self, record: SecretRecord, event: Event | None) -> None:
        """Keep a new state of a secret, then publish what happened."""
        before = self.records.get(record.key)
        if self._database:
            self._database.save(record, before)
        self._history.remember(record.key, before, self._last)
        self.records[record.key] = record
        self._plan(record.key)
        if event:
            self._announce(event, record)

    def remove(self, record: SecretRecord, event: Event) -> None:
        """Forget a secret, then publish what happened."""
        if self._database:
            self._database.delete(record.key)
        self._history.remember(record.key, record, self._last)
        del self.records[record.key]
        self._announce(event, record)

    def _plan(self, key: SecretKey) -> None:
        self.rotations.plan(key)
        self.endings.plan(key)

    def _announce(self, event: Event, record: SecretRecord) -> None:
        if self.outbox.send(event, [topic.name for topic in record.message.topics]):
            self.save_undelivered()
        self.notify()

    def save_undelivered(self) -> None:
        """Make durable what is still to be sent."""
        if self._database:
            self._database.save_undelivered(self.outbox.kept)

    def configure_topics(self, key: SecretKey, topics: Iterable[str]) -> None:
        """Prove that each topic can be published to, by publishing.

        Raises:
            StatusError: A topic is missing, malformed, or may not be published to.
        """
        for topic in topics:
            if not is_topic(topic):
                raise malformed(topic)
            try:
                self.publish(topic, TOPIC_CONFIGURED, None)
            except StatusError as error:
                raise topic_refused(error, topic, key.parent.project) from error


def _existing(record: SecretRecord | None, key: SecretKey) -> SecretRecord:
    if record is None:
        raise not_found(f"Secret [{key}] not found.")
    return record

"""What Secret Manager does by itself: fire rotations, expire secrets, destroy versions.

It acts when called with a time; it never waits.

1. A rotation with a period advances by whole periods from the *scheduled* time, to the first one
   still ahead; without a period the schedule is removed.
2. Either way the secret's ETag moves.
3. While the message of the last rotation is still being sent, one that falls due is skipped: the
   schedule moves, no message is sent.
4. An expired secret is deleted with its last ETag; a version whose delay is over is destroyed.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from rotation.emulator.secretmanager.etags import etag_at
from rotation.emulator.secretmanager.events import Event
from rotation.emulator.secretmanager.messages import (
    DESTROYED,
    Message,
    copy_of,
    later,
    nanoseconds,
    timestamp,
)
from rotation.emulator.secretmanager.names import SecretKey
from rotation.emulator.secretmanager.records import SecretRecord, VersionRecord
from rotation.emulator.secretmanager.store import Store

_EXPIRATION: Final = "EXPIRATION"


class Schedule:
    """What is due in a store; all of it on the store's event loop.

    A scheduler sleeps until `next_due`, calls `expire_due` and `fire_due` with the clock's time,
    and starts over; `Store.watch` wakes it early, because a write may have brought the next moment
    forward and the clock can be moved.  Calling too often or too late does no harm: what is due
    stays due, and nothing happens twice.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def next_due(self) -> datetime | None:
        """Return when something is next due; None when nothing is planned."""
        store = self._store
        moments = (store.rotations.earliest(), store.endings.earliest(), store.outbox.retry_at)
        return min((moment for moment in moments if moment), default=None)

    def fire_due(self, now: datetime) -> list[str]:
        """Fire every rotation due by ``now``; also send again what could not be published.

        Returns:
            The names of the secrets a SECRET_ROTATE was sent (or kept to be sent again) for.
        """
        store = self._store
        if store.outbox.retry(now):
            store.save_undelivered()
        return [str(key) for key in store.rotations.due(now) if _fire(store, key, now)]

    def expire_due(self, now: datetime) -> list[str]:
        """Delete what has expired, destroy what is due by ``now``; return the names."""
        names: list[str] = []
        for key in self._store.endings.due(now):
            names += _end(self._store, self._store.find(key), now)
        return names


def _fire(store: Store, key: SecretKey, now: datetime) -> bool:
    record = store.find(key)
    skipped = store.outbox.holds_rotation_of(str(key))
    secret, moment = copy_of(record.message), store.moment()
    _advance(secret, now)
    secret.etag = etag_at(moment)
    event = None if skipped else Event("SECRET_ROTATE", key, moment, secret)
    store.write(replace(record, message=secret), event)
    return not skipped


def _advance(secret: Message, now: datetime) -> None:
    rotation = secret.rotation
    if not rotation.HasField("rotation_period"):
        secret.ClearField("rotation")
        return
    period = nanoseconds(rotation.rotation_period)
    late = nanoseconds(timestamp(now)) - nanoseconds(rotation.next_rotation_time)
    periods = max(0, late) // period + 1
    rotation.next_rotation_time.CopyFrom(later(rotation.next_rotation_time, periods * period))


def _end(store: Store, record: SecretRecord, now: datetime) -> list[str]:
    expiry = record.expire_time()
    if expiry and expiry <= now:
        event = Event("SECRET_DELETE", record.key, store.moment(), record.message, _EXPIRATION)
        store.remove(record, event)
        return [str(record.key)]
    due = [number for number, moment in record.destructions() if moment <= now]
    for number in due:
        destroy(store, store.find(record.key), number)
    return [record.key.version(number) for number in due]


def destroy(store: Store, record: SecretRecord, number: int) -> Message:
    """Destroy a version now: its payload is erased for ever."""
    moment = store.moment()
    version = copy_of(record.versions[number - 1].message)
    version.state = DESTROYED
    version.ClearField("scheduled_destroy_time")
    version.destroy_time.CopyFrom(timestamp(moment))
    version.etag = etag_at(moment)
    event = Event("SECRET_VERSION_DESTROY", record.key, moment, version)
    store.write(record.with_version(number, VersionRecord(version, b"")), event)
    return version

"""The calls on versions: add, access, get, list, enable, disable, destroy.

1. Adding takes no ETag and leaves the secret's ETag alone.
2. ``latest`` is the newest version whatever its state; nothing falls back to an older one.
3. Adding and then accessing by number is consistent; reads by ``latest`` or alias may be stale.
4. Aliases and ``latest`` are for reading: a change of state needs a number.
5. Order of checks on a change of state: not found, then the ETag, then the state.
"""

from collections.abc import Callable

import google_crc32c

from rotation.emulator.secretmanager.etags import check_etag, etag_at
from rotation.emulator.secretmanager.events import Event
from rotation.emulator.secretmanager.filters import parse_filter
from rotation.emulator.secretmanager.history import View
from rotation.emulator.secretmanager.messages import (
    DESTROYED,
    DISABLED,
    ENABLED,
    AccessSecretVersionResponse,
    ListSecretVersionsResponse,
    Message,
    SecretPayload,
    SecretVersion,
    copy_of,
    later,
    nanoseconds,
    timestamp,
)
from rotation.emulator.secretmanager.paging import page_of
from rotation.emulator.secretmanager.records import SecretRecord, VersionRecord
from rotation.emulator.secretmanager.schedule import destroy
from rotation.emulator.secretmanager.store import VERSIONS_PART, Store, whole
from rotation.emulator.status import failed_precondition, invalid, not_found

_LARGEST_PAYLOAD = 65536


def add_secret_version(store: Store, request: Message, _view: View) -> Message:
    """Add an enabled version with the next number."""
    record = store.find(store.names.secret(request.parent))
    _check_payload(request.payload)
    number, moment = len(record.versions) + 1, store.moment()
    version = SecretVersion(
        name=record.key.version(number),
        create_time=timestamp(moment),
        state=ENABLED,
        etag=etag_at(moment),
        client_specified_payload_checksum=request.payload.HasField("data_crc32c"),
    )
    _set_replication_status(version, record.message)
    event = Event("SECRET_VERSION_ADD", record.key, moment, version)
    stored = VersionRecord(version, bytes(request.payload.data))
    store.write(record.with_version(number, stored), event)
    return version


def _check_payload(payload: Message) -> None:
    if not payload.data:
        raise invalid("SecretPayload.data must not be empty.")
    if len(payload.data) > _LARGEST_PAYLOAD:
        raise invalid(f"Secret payload data length must be at most [{_LARGEST_PAYLOAD}] bytes.")
    if payload.HasField("data_crc32c") and payload.data_crc32c != google_crc32c.value(payload.data):
        raise invalid("Provided SecretPayload.data crc32c does not match calculated crc32c.")


def _set_replication_status(version: Message, secret: Message) -> None:
    """A version says where it is kept, as its secret does; regional ones say nothing."""
    kind = secret.replication.WhichOneof("replication")
    if kind == "automatic":
        version.replication_status.automatic.SetInParent()
    elif kind == "user_managed":
        for replica in secret.replication.user_managed.replicas:
            version.replication_status.user_managed.replicas.add(location=replica.location)


def access_secret_version(store: Store, request: Message, view: View) -> Message:
    """Read a payload."""
    key, spelled = store.names.version(request.name)
    record = store.read(key, view, whole)
    version = _named(record, spelled)
    if version.message.state != ENABLED:
        state = SecretVersion.State.Name(version.message.state)
        raise failed_precondition(f"Secret Version [{version.message.name}] is in {state} state.")
    checksum = google_crc32c.value(version.payload)
    payload = SecretPayload(data=version.payload, data_crc32c=checksum)
    return AccessSecretVersionResponse(name=version.message.name, payload=payload)


def get_secret_version(store: Store, request: Message, view: View) -> Message:
    """Read what is known of a version, without its payload."""
    key, spelled = store.names.version(request.name)
    return _named(store.read(key, view, whole), spelled).message


def _named(record: SecretRecord, spelled: str) -> VersionRecord:
    """Resolve a number, ``latest`` or an alias."""
    if spelled == "latest":
        number = len(record.versions)
    elif spelled.isdecimal():
        number = int(spelled)
        spelled = str(number)
    elif spelled in record.message.version_aliases:
        number = record.message.version_aliases[spelled]
    else:
        raise not_found(f"Secret [{record.key}] has no alias [{spelled}]")
    version = record.version(number)
    if version is None:
        raise not_found(f"Secret Version [{record.key.version(spelled)}] not found.")
    return version


def list_secret_versions(store: Store, request: Message, view: View) -> Message:
    """List the versions of a secret, newest first."""
    passes = parse_filter(request.filter)
    record = store.read(store.names.secret(request.parent), view, VERSIONS_PART)
    versions = [v.message for v in reversed(record.versions) if passes(v.message)]
    page, token = page_of(versions, _position, request.page_size, request.page_token)
    total = 0 if request.filter else len(versions)
    return ListSecretVersionsResponse(versions=page, next_page_token=token, total_size=total)


def _position(version: Message) -> list[int | str]:
    return [int(version.name.rpartition("/")[2])]


def enable_secret_version(store: Store, request: Message, _view: View) -> Message:
    """Enable a version; cancels a scheduled destruction."""
    return _set_state(store, request, ENABLED, "SECRET_VERSION_ENABLE")


def disable_secret_version(store: Store, request: Message, _view: View) -> Message:
    """Disable a version; cancels a scheduled destruction."""
    return _set_state(store, request, DISABLED, "SECRET_VERSION_DISABLE")


def _set_state(store: Store, request: Message, state: int, event_type: str) -> Message:
    def change(version: Message) -> None:
        version.state = state
        version.ClearField("scheduled_destroy_time")

    record, number = _to_change(store, request)
    return _changed(store, record, number, change, event_type)


def destroy_secret_version(store: Store, request: Message, _view: View) -> Message:
    """Destroy a version, or schedule it where the secret has a delay."""
    record, number = _to_change(store, request)
    if not record.message.HasField("version_destroy_ttl"):
        return destroy(store, record, number)
    if record.versions[number - 1].message.HasField("scheduled_destroy_time"):
        raise failed_precondition("SecretVersion is already scheduled for DESTRUCTION.")
    delay = nanoseconds(record.message.version_destroy_ttl)

    def change(version: Message) -> None:
        version.state = DISABLED
        version.scheduled_destroy_time.CopyFrom(later(timestamp(store.clock.now()), delay))

    return _changed(store, record, number, change, "SECRET_VERSION_DESTROY_SCHEDULED")


def _to_change(store: Store, request: Message) -> tuple[SecretRecord, int]:
    """Find the version whose state a request may change."""
    key, spelled = store.names.version(request.name)
    if not spelled.isdecimal():
        raise invalid(
            f"The provided Secret Version ID [{key.version(spelled)}] does not match the expected "
            "format [projects/*/secrets/*/versions*]"
        )
    record = store.find(key)
    version = _named(record, spelled)
    check_etag(version.message, request.etag)
    if version.message.state == DESTROYED:
        raise failed_precondition("SecretVersion.state is already DESTROYED")
    return record, int(spelled)


def _changed(
    store: Store,
    record: SecretRecord,
    number: int,
    change: Callable[[Message], None],
    event_type: str,
) -> Message:
    stored, moment = record.versions[number - 1], store.moment()
    version = copy_of(stored.message)
    change(version)
    version.etag = etag_at(moment)
    event = Event(event_type, record.key, moment, version)
    store.write(record.with_version(number, VersionRecord(version, stored.payload)), event)
    return version

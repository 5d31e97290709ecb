"""The calls on secrets: create, get, update, delete, list.

1. Order of checks: not found, then the ETag, then publishing to the topics where they are named,
   then everything else.
2. A refused call changes nothing; TOPIC_CONFIGURED may have been published all the same.
3. Every accepted update moves the ETag, even one that changes nothing.
"""

from dataclasses import replace

from rotation.emulator.secretmanager.etags import check_etag, etag_at
from rotation.emulator.secretmanager.events import Event
from rotation.emulator.secretmanager.filters import parse_filter
from rotation.emulator.secretmanager.history import View
from rotation.emulator.secretmanager.masks import apply_mask, copy_new, normal_paths
from rotation.emulator.secretmanager.messages import (
    Empty,
    ListSecretsResponse,
    Message,
    copy_of,
    nanoseconds,
    timestamp,
)
from rotation.emulator.secretmanager.names import BAD_ARGUMENT, SecretKey, is_secret_id
from rotation.emulator.secretmanager.paging import page_of
from rotation.emulator.secretmanager.records import SecretRecord
from rotation.emulator.secretmanager.rules import check_secret
from rotation.emulator.secretmanager.store import SECRET_PART, Store
from rotation.emulator.status import already_exists, invalid


def create_secret(store: Store, request: Message, _view: View) -> Message:
    """Create a secret without versions."""
    key = _new_key(store, request)
    _check_replication(key, request.secret)
    if key in store.records:
        raise already_exists(f"Secret [{key}] already exists.")
    store.configure_topics(key, [topic.name for topic in request.secret.topics])
    secret = copy_new(request.secret, store.clock.now())
    check_secret(secret, versions=0)
    moment = store.moment()
    secret.name, secret.etag = str(key), etag_at(moment)
    secret.create_time.CopyFrom(timestamp(moment))
    store.write(SecretRecord(key, secret), Event("SECRET_CREATE", key, moment, secret))
    return secret


def _new_key(store: Store, request: Message) -> SecretKey:
    parent = store.names.parent(request.parent)
    if not request.secret_id:
        raise invalid("Secret ID must be provided.")
    if not is_secret_id(request.secret_id):
        raise invalid(BAD_ARGUMENT)
    return SecretKey(parent, request.secret_id)


def _check_replication(key: SecretKey, secret: Message) -> None:
    given = secret.replication.WhichOneof("replication") is not None
    if key.parent.location and secret.HasField("replication"):
        raise invalid("Secret.replication should not be provided.")
    if not key.parent.location and not given:
        raise invalid("Secret.replication must be provided.")


def get_secret(store: Store, request: Message, view: View) -> Message:
    """Read a secret."""
    return store.read(store.names.secret(request.name), view, SECRET_PART).message


def update_secret(store: Store, request: Message, _view: View) -> Message:
    """Change the fields the mask names, under the ETag if one was sent."""
    record = store.find(store.names.secret(request.secret.name))
    check_etag(record.message, request.secret.etag)
    if not request.HasField("update_mask"):
        raise invalid("Field [update_mask] is required.")
    paths = normal_paths(request.update_mask.paths)
    if "topics" in paths:
        store.configure_topics(record.key, [topic.name for topic in request.secret.topics])
    secret = copy_of(record.message)
    apply_mask(secret, request.secret, paths, store.clock.now())
    check_secret(secret, len(record.versions))
    moment = store.moment()
    secret.etag = etag_at(moment)
    event = Event("SECRET_UPDATE", record.key, moment, secret)
    store.write(replace(record, message=secret), event)
    return secret


def delete_secret(store: Store, request: Message, _view: View) -> Message:
    """Delete a secret with its versions, under the ETag if one was sent."""
    record = store.find(store.names.secret(request.name))
    check_etag(record.message, request.etag)
    event = Event("SECRET_DELETE", record.key, store.moment(), record.message, "REQUESTED")
    store.remove(record, event)
    return Empty()


def list_secrets(store: Store, request: Message, view: View) -> Message:
    """List the secrets of a project or location, newest first."""
    passes = parse_filter(request.filter)
    records = store.scan(store.names.parent(request.parent), view)
    secrets = sorted(
        (record.message for record in records if passes(record.message)),
        key=_position,
        reverse=True,
    )
    page, token = page_of(secrets, _position, request.page_size, request.page_token)
    total = 0 if request.filter else len(secrets)
    return ListSecretsResponse(secrets=page, next_page_token=token, total_size=total)


def _position(secret: Message) -> list[int | str]:
    return [nanoseconds(secret.create_time), secret.name]

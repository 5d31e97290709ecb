"""Apply an update to a secret, field by field.

It knows which fields an update may name; whether the result may be stored is for `rules`.

1. A field is copied whole: a map replaces the map, a field missing in the request clears the
   stored one.  What the mask does not name stays, whatever the request holds.
2. Output-only fields, ``tags`` and ``etag`` are ignored; immutable ones are refused.
3. ``*``, map keys and unknown paths are refused.
4. Paths are spelled in snake_case or lowerCamelCase.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from rotation.emulator.secretmanager.messages import Message, Secret, later, nanoseconds, timestamp
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.secretmanager.rules import check_times, check_ttl
from rotation.emulator.status import invalid

_IGNORED: Final = frozenset({"name", "create_time", "tags", "etag"})
_IMMUTABLE: Final = frozenset({"secret_type", "policy_member"})
_MAPS_AND_LISTS: Final = ("labels", "annotations", "version_aliases", "topics")
_MESSAGES: Final = ("version_destroy_ttl", "customer_managed_encryption")
_EXPIRATION: Final = frozenset({"expire_time", "ttl"})
_CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")


def normal_paths(paths: Iterable[str]) -> list[str]:
    """Spell the paths of a mask in snake_case."""
    return [_CAPITAL.sub(lambda match: f"_{match[1].lower()}", path) for path in paths]


def apply_mask(target: Message, sent: Message, paths: Iterable[str], now: datetime) -> None:
    """Change ``target`` as the mask says; refuse what may not be changed."""
    for path in paths:
        _apply(target, sent, path, now)
    if target.HasField("rotation") and not target.rotation.ListFields():
        target.ClearField("rotation")


def copy_new(sent: Message, now: datetime) -> Message:
    """Return what a new secret keeps of the one sent."""
    target = Secret()
    for path in (*_MAPS_AND_LISTS, *_MESSAGES, "rotation", "expire_time"):
        _apply(target, sent, path, now)
    _copy_message(target, sent, "replication")
    target.secret_type = sent.secret_type
    if target.HasField("rotation") and not target.rotation.ListFields():
        target.ClearField("rotation")
    return target


def _apply(target: Message, sent: Message, path: str, now: datetime) -> None:
    if path in _IGNORED:
        return
    if path in _IMMUTABLE:
        raise invalid(f"Field '{path}' is immutable and cannot be updated.")
    if path.partition(".")[0] == "replication":
        _check_same_replication(target, sent)
    elif path in _MAPS_AND_LISTS:
        target.ClearField(path)
        getattr(target, path).MergeFrom(getattr(sent, path))
    elif path in _MESSAGES:
        _copy_message(target, sent, path)
    elif path in _EXPIRATION:
        _copy_expiration(target, sent, now)
    elif path in _ROTATION_PATHS:
        _ROTATION_PATHS[path](target, sent, now)
    else:
        raise invalid(BAD_ARGUMENT)


def _copy_message(target: Message, sent: Message, field: str) -> None:
    if sent.HasField(field):
        getattr(target, field).CopyFrom(getattr(sent, field))
    else:
        target.ClearField(field)


def _copy_expiration(target: Message, sent: Message, now: datetime) -> None:
    """Store a time to live as the time it ends, as the service does."""
    if sent.HasField("ttl"):
        check_ttl(sent.ttl)
        target.expire_time.CopyFrom(later(timestamp(now), nanoseconds(sent.ttl)))
        return
    _copy_message(target, sent, "expire_time")
    check_times(target, ("expire_time",), now)


def _copy_rotation(target: Message, sent: Message, now: datetime) -> None:
    _copy_next_time(target, sent, now)
    _copy_period(target, sent, now)


def _copy_next_time(target: Message, sent: Message, now: datetime) -> None:
    _copy_message(target.rotation, sent.rotation, "next_rotation_time")
    check_times(target, ("next_rotation_time",), now)


def _copy_period(target: Message, sent: Message, _now: datetime) -> None:
    _copy_message(target.rotation, sent.rotation, "rotation_period")


_ROTATION_PATHS: Final[Mapping[str, Callable[[Message, Message, datetime], None]]] = {
    "rotation": _copy_rotation,
    "rotation.next_rotation_time": _copy_next_time,
    "rotation.rotation_period": _copy_period,
}


def _check_same_replication(target: Message, sent: Message) -> None:
    if not target.HasField("replication"):
        raise invalid(
            'Field mask paths starting with "replication" are not supported in updates of '
            "regional secret."
        )
    if sent.replication == target.replication:
        return
    kind = target.replication.WhichOneof("replication")
    existing = "automatic" if kind == "automatic" else "user managed"
    raise invalid(
        f"Existing secret has {existing} replication, but requested secret does not. Updating "
        "secret replication is not supported."
    )

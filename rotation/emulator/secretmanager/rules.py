"""Whether a secret may be stored as it would look after a write.

It judges whole secrets; it changes nothing.

1. Sizes, counts and what belongs together are judged on the whole resulting secret.
2. Bounds that depend on the time are judged only where the time itself was sent, so that a label
   can be set on a secret whose next rotation is overdue.
3. A rotation needs a topic; a period needs a time.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rotation.emulator.secretmanager.messages import Message, nanoseconds, timestamp
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.secretmanager.texts import check_aliases, check_annotations, check_labels
from rotation.emulator.status import failed_precondition, invalid

_SECOND: Final = 1_000_000_000
_HOUR: Final = 3600 * _SECOND
_FAR: Final = 876_000 * _HOUR
_MAX_TOPICS: Final = 10


def check_secret(secret: Message, versions: int) -> None:
    """Refuse a secret that breaks a rule whatever the time is."""
    check_labels(secret.labels)
    check_annotations(secret.annotations)
    check_aliases(secret.version_aliases, versions)
    _check_topics([topic.name for topic in secret.topics])
    if secret.HasField("version_destroy_ttl"):
        _check_destruction_delay(nanoseconds(secret.version_destroy_ttl))
    if secret.HasField("rotation"):
        _check_rotation(secret)


def check_times(secret: Message, sent: Iterable[str], now: datetime) -> None:
    """Refuse times out of bounds, of the fields that were sent."""
    if "expire_time" in sent and secret.HasField("expire_time"):
        _check_ahead("Expiration time", secret.expire_time, now, (60 * _SECOND, "1m"))
    if "next_rotation_time" in sent and secret.rotation.HasField("next_rotation_time"):
        next_time = secret.rotation.next_rotation_time
        _check_ahead("Next rotation time", next_time, now, (300 * _SECOND, "5m"))


def check_ttl(ttl: Message) -> None:
    """Refuse a time to live out of bounds, before a time is computed from it."""
    _check_distance("Expiration time", nanoseconds(ttl), (60 * _SECOND, "1m"))


def _check_ahead(what: str, stamp: Message, now: datetime, least: tuple[int, str]) -> None:
    _check_distance(what, nanoseconds(stamp) - nanoseconds(timestamp(now)), least)


def _check_distance(what: str, distance: int, least: tuple[int, str]) -> None:
    minimum, spelled = least
    if distance < minimum:
        raise invalid(f"{what} must be at least [{spelled}] in the future.")
    if distance > _FAR:
        raise invalid(f"{what} cannot be more than [876000h] from now.")


def _check_destruction_delay(delay: int) -> None:
    if delay < 24 * _HOUR:
        raise invalid("Version destroy TTL must be at least [24h].")
    if delay > 24_000 * _HOUR:
        raise invalid("Version destroy TTL cannot be more than [24000h].")


def _check_topics(names: list[str]) -> None:
    if len(names) > _MAX_TOPICS:
        raise invalid(f"No more than {_MAX_TOPICS} topics can be configured on a secret.")
    if len(set(names)) < len(names):
        raise invalid("Topics must have distinct names.")


def _check_rotation(secret: Message) -> None:
    rotation = secret.rotation
    if rotation.HasField("rotation_period"):
        _check_period(nanoseconds(rotation.rotation_period))
        if not rotation.HasField("next_rotation_time"):
            raise failed_precondition(
                "Next rotation time must be set while the rotation period is set."
            )
    if not secret.topics:
        raise invalid("There must be at least one topic configured when a Rotation policy is set.")


def _check_period(period: int) -> None:
    if period < _HOUR:
        raise invalid("Rotation period cannot be shorter than [1h].")
    if period > _FAR:
        raise invalid("Rotation period cannot be longer than [876000h].")
    if period % _SECOND:
        raise invalid(BAD_ARGUMENT)

"""Translates Secret Manager's messages into the records of the model; calls nobody.

1. Works on the underlying protobuf messages: wrapping ten thousand of them in the client's own
   classes is most of the cost of a list.
2. A field that an older client library does not know reads as absent.
3. Times are aware, in UTC, to the microsecond.
4. A sweep translates ten thousand secrets: maps and times are read in the cheapest way there is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud.secretmanager_v1 import types

from rotation.model.errors import PermanentError
from rotation.model.names import SecretName
from rotation.model.secret import Schedule, Secret, VersionState

_VERSION_STATES: Final[Mapping[int, VersionState]] = {
    types.SecretVersion.State.ENABLED: VersionState.ENABLED,
    types.SecretVersion.State.DISABLED: VersionState.DISABLED,
    types.SecretVersion.State.DESTROYED: VersionState.DESTROYED,
}
#: ``ManagedRotationStatus.State.ACTIVE``, by number: older libraries lack the enum.
_ACTIVE: Final = 1


def secret_of(message: Any) -> Secret:  # noqa: ANN401 - generated messages have no static type
    """Translate one Secret message."""
    ttl = message.version_destroy_ttl if message.HasField("version_destroy_ttl") else None
    return Secret(
        name=SecretName.parse(message.name),
        etag=message.etag,
        create_time=_time_of(message.create_time),
        labels=_dict_of(message.labels),
        annotations=_dict_of(message.annotations),
        aliases=_dict_of(message.version_aliases),
        topics=tuple([topic.name for topic in message.topics]),
        schedule=_schedule_of(message),
        version_destroy_ttl=ttl.ToTimedelta() if ttl is not None else None,
        expires_at=_time_of(message.expire_time) if message.HasField("expire_time") else None,
        managed_rotation=_is_managed(message),
    )


def number_of(version_name: str) -> int:
    """Return the number at the end of a version's name, as answers spell it.

    Raises:
        PermanentError: The name ends in no number.
    """
    tail = version_name.rpartition("/")[2]
    if not tail.isdecimal():
        raise PermanentError(f"{version_name!r} does not end in a version number")
    return int(tail)


def state_of(version: types.SecretVersion) -> VersionState:
    """Translate a version's state.

    Raises:
        PermanentError: A state this release does not know.
    """
    state = _VERSION_STATES.get(version.state)
    if state is None:
        raise PermanentError(f"{version.name} is in a state this release does not know")
    return state


def _schedule_of(message: Any) -> Schedule | None:  # noqa: ANN401
    rotation = message.rotation
    if not rotation.HasField("next_rotation_time"):
        return None
    period = rotation.rotation_period if rotation.HasField("rotation_period") else None
    return Schedule(
        next_time=_time_of(rotation.next_rotation_time),
        period=_length_of(period) if period is not None else None,
    )


def _time_of(stamp: Any) -> datetime:  # noqa: ANN401
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)


def _length_of(duration: Any) -> timedelta:  # noqa: ANN401
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def _dict_of(map_field: Any) -> dict[str, Any]:  # noqa: ANN401
    return {key: map_field[key] for key in map_field}


def _is_managed(message: Any) -> bool:  # noqa: ANN401
    status = getattr(message.rotation, "managed_rotation_status", None)
    return status is not None and status.state == _ACTIVE

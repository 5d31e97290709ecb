"""Translates Secret Manager's messages into the records of the model; calls nobody.

1. Works on the underlying protobuf messages: wrapping ten thousand of them in the client's own
   classes is most of the cost of a list.
2. A field that an older client library does not know reads as absent.
3. Times are aware, in UTC.
"""

from collections.abc import Mapping
from datetime import UTC
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
        create_time=message.create_time.ToDatetime(UTC),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        aliases=dict(message.version_aliases),
        topics=tuple(topic.name for topic in message.topics),
        schedule=_schedule_of(message),
        version_destroy_ttl=ttl.ToTimedelta() if ttl is not None else None,
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
    if not message.HasField("rotation") or not message.rotation.HasField("next_rotation_time"):
        return None
    rotation = message.rotation
    period = rotation.rotation_period if rotation.HasField("rotation_period") else None
    return Schedule(
        next_time=rotation.next_rotation_time.ToDatetime(UTC),
        period=period.ToTimedelta() if period is not None else None,
    )


def _is_managed(message: Any) -> bool:  # noqa: ANN401
    status = getattr(message.rotation, "managed_rotation_status", None)
    return status is not None and status.state == _ACTIVE

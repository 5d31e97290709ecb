"""A secret and its versions as Secret Manager shows them.

These records hold what was read under one ETag; they decide nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

from msgspec import Struct, field

from rotation.model.names import SecretName
from rotation.model.payload import Payload


class VersionState(Enum):
    """Google's own states of a version."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROYED = "destroyed"


class Schedule(Struct, frozen=True):
    """A rotation schedule: when it fires next, and the period after that."""

    next_time: datetime
    #: None: a single firing; Secret Manager removes the schedule afterwards.
    period: timedelta | None = None


class Secret(Struct, frozen=True):
    """One secret under one ETag."""

    #: With the project number, as answered.
    name: SecretName
    #: Quotes included, opaque.
    etag: str
    create_time: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    schedule: Schedule | None = None
    #: Delayed destruction: destroying only disables until this much later.
    version_destroy_ttl: timedelta | None = None
    #: When Secret Manager deletes the secret with all its versions; None: never.
    expires_at: datetime | None = None
    #: True while Google's own managed rotation is active; we then keep out.
    managed_rotation: bool = False


class VersionStatus(Struct, frozen=True):
    """One version without its payload, under an ETag of its own."""

    number: int
    state: VersionState
    etag: str


class SecretVersion(Struct, frozen=True):
    """One version and its payload."""

    number: int
    payload: Payload

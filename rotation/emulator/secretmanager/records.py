"""What is stored of one secret.

1. Records and the messages in them are never changed in place: each write makes a new record, so
   that a refused write changes nothing and a stale read can be served from an earlier record.
2. A payload lives beside its version's message, never in it, and never in a ``repr``.
3. Versions are numbered from 1 without a gap; destroyed ones stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from rotation.emulator.secretmanager.messages import Message, moment_of
from rotation.emulator.secretmanager.names import SecretKey


@dataclass(frozen=True)
class VersionRecord:
    """One version and its payload (empty once destroyed)."""

    message: Message = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class SecretRecord:
    """One secret with everything below it."""

    key: SecretKey
    message: Message = field(repr=False)
    versions: tuple[VersionRecord, ...] = field(default=(), repr=False)
    policy: Message | None = field(default=None, repr=False)

    def version(self, number: int) -> VersionRecord | None:
        """Return a version by its number."""
        return self.versions[number - 1] if 0 < number <= len(self.versions) else None

    def with_version(self, number: int, version: VersionRecord) -> "SecretRecord":
        """Return the record with one version replaced, or added at the end."""
        before, after = self.versions[: number - 1], self.versions[number:]
        return replace(self, versions=(*before, version, *after))

    def rotation_time(self) -> datetime | None:
        """When the rotation schedule is due."""
        if not self.message.rotation.HasField("next_rotation_time"):
            return None
        return moment_of(self.message.rotation.next_rotation_time)

    def expire_time(self) -> datetime | None:
        """When the secret deletes itself."""
        if not self.message.HasField("expire_time"):
            return None
        return moment_of(self.message.expire_time)

    def destructions(self) -> Iterator[tuple[int, datetime]]:
        """List the versions whose destruction is scheduled, with the time of it."""
        for number, version in enumerate(self.versions, start=1):
            if version.message.HasField("scheduled_destroy_time"):
                yield number, moment_of(version.message.scheduled_destroy_time)

    def next_ending(self) -> datetime | None:
        """When the secret or one of its versions next ceases to exist by itself."""
        expiry = self.expire_time()
        moments = [moment for _, moment in self.destructions()]
        return min([*moments, *([expiry] if expiry else [])], default=None)

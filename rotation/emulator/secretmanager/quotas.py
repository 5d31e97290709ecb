"""The quotas, off unless switched on.

1. A quota counts accepted attempts in a sliding window: a refused call uses none.
2. The real service allows a project 600 writes, 600 reads and 90,000 accesses a minute, and one
   secret 2 calls a second of UpdateSecret and AddSecretVersion.

https://cloud.google.com/secret-manager/quotas
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

import grpc
import msgspec

from rotation.emulator.secretmanager.rpcs import Kind, Rpc
from rotation.emulator.status import StatusError

_Count = Annotated[int, msgspec.Meta(ge=0)]
_PER_SECRET: Final = frozenset({"UpdateSecret", "AddSecretVersion"})
_WORDS: Final = {Kind.WRITE: "Write", Kind.READ: "Read", Kind.ACCESS: "Access"}
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many calls are allowed; None: any number."""

    writes_per_minute: _Count | None = None
    writes_per_second_and_secret: _Count | None = None
    reads_per_minute: _Count | None = None
    accesses_per_minute: _Count | None = None

    def per_minute(self, kind: Kind) -> int | None:
        """Return how many calls of one kind a project may make in a minute."""
        return {
            Kind.WRITE: self.writes_per_minute,
            Kind.READ: self.reads_per_minute,
            Kind.ACCESS: self.accesses_per_minute,
        }[kind]


#: What the real service allows.
REAL: Final = Limits(
    writes_per_minute=600,
    writes_per_second_and_secret=2,
    reads_per_minute=600,
    accesses_per_minute=90_000,
)


@dataclass(frozen=True)
class _Quota:
    """One limit that applies to a call."""

    subject: str
    limit: int
    window: timedelta
    words: str


class Quotas:
    """Counts calls and refuses those beyond the limits.

    Resources are named with the project's number: one name per secret.
    """

    def __init__(self) -> None:
        self.limits = Limits()
        self._used: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def check(self, rpc: Rpc, resource: str, now: datetime) -> None:
        """Count a call.

        Raises:
            StatusError: RESOURCE_EXHAUSTED; the call was not counted.
        """
        if self.limits == Limits():
            return
        quotas = self._quotas(rpc, resource)
        for quota in quotas:
            self._forget(quota, now)
            if len(self._used[quota.subject]) >= quota.limit:
                raise exhausted(quota.words, resource)
        for quota in quotas:
            self._used[quota.subject].append(now)

    def _quotas(self, rpc: Rpc, resource: str) -> list[_Quota]:
        quotas = []
        per_minute = self.limits.per_minute(rpc.kind)
        if per_minute is not None:
            words = f"{_WORDS[rpc.kind]} requests per minute"
            subject = f"{_project(resource)} {rpc.kind.value}"
            quotas.append(_Quota(subject, per_minute, _MINUTE, words))
        per_secret = self.limits.writes_per_second_and_secret
        if per_secret is not None and rpc.name in _PER_SECRET:
            words = "Write requests per second per secret"
            quotas.append(_Quota(resource, per_secret, _SECOND, words))
        return quotas

    def _forget(self, quota: _Quota, now: datetime) -> None:
        used = self._used[quota.subject]
        while used and used[0] <= now - quota.window:
            used.popleft()


def exhausted(limit: str, resource: str) -> StatusError:
    """Return the refusal of a call that is over quota."""
    metric = limit.partition(" per ")[0]
    return StatusError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service "
        f"'secretmanager.googleapis.com' for consumer 'project_number:{_project(resource)}'.",
    )


def _project(resource: str) -> str:
    return "".join(resource.split("/")[1:2])

"""What a consumer says about the credentials it uses: the contract ``rotation.consumer/1``.

`rotation.client` writes it, the gate ``consumers`` reads it; deploy/docs/consumers.md describes it
for everybody else.

Rules of this module:
  1. A report never holds a secret value: names, numbers and times.
  2. What went wrong is one of a few reasons: free text of a driver may quote what it was given.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

#: Value of ``contract`` in a report.
CONTRACT = "rotation.consumer/1"


class Trouble(Enum):
    """Why a consumer could not use a credential."""

    #: The server answered, and refused the login.
    REFUSED = "refused"
    #: The login works, and what the consumer needs does not: a right is missing, a query fails.
    FAILED = "failed"
    #: Nobody answered: says nothing about the credential.
    UNREACHABLE = "unreachable"

    @property
    def condemns(self) -> bool:
        """Whether it is the credential that is at fault."""
        return self is not Trouble.UNREACHABLE


@dataclass(frozen=True)
class Held:
    """A credential, by the version's number, or by the rotation that made it, or both."""

    version: int | None = None
    rotation_id: str = ""


@dataclass(frozen=True)
class Failure:
    """A credential that was tried and could not be used; the one in use stayed."""

    held: Held
    trouble: Trouble
    since: datetime | None = None


@dataclass(frozen=True)
class Usage:
    """How one secret is used: which credential new connections are opened with."""

    held: Held
    #: When that began.
    since: datetime | None = None
    failure: Failure | None = None

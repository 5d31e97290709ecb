"""What the drill and its consumer processes say to each other: JSON lines over pipes.

No message holds a credential: a consumer reads it from Secret Manager, as any consumer does.
"""

from typing import Final, Literal

import msgspec

#: A consumer that follows whatever this names; a pinned one holds a version number.
Binding = Literal["current", "latest", "pinned"]

#: Seconds between two reads of the credential.
READ_EVERY: Final = 1.0


class Start(msgspec.Struct, frozen=True):
    """The first message to a consumer."""

    name: str
    #: ``host:port`` of Secret Manager.
    endpoint: str
    #: Full name of the secret.
    secret: str
    #: What is read: ``current``, ``latest``, or a version number.
    version: str


class Order(msgspec.Struct, frozen=True):
    """Any later message; each is answered by one `Report`."""

    #: Version number to be bound to from now on, as a deployment would say; None: as before.
    pin: int | None = None


class Report(msgspec.Struct):
    """What a consumer has done since it started."""

    #: Number of the version every one of its sessions logged in with; 0: it has no session.
    version: int = 0
    queries: int = 0
    failed_queries: int = 0
    logins: int = 0
    failed_logins: int = 0
    failed_reads: int = 0
    #: Most failures in a row before something worked again.
    longest_streak: int = 0
    #: What failed, by kind, never by text.
    failures: dict[str, int] = msgspec.field(default_factory=dict)

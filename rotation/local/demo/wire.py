"""What the demo and its consumer processes say to each other: JSON lines over pipes.

A process is sent one `Roster`, then any number of `Order`s; it answers each with one list of
`Report`s, in the roster's order.
No message holds a credential: a consumer reads it from Secret Manager, as any consumer does.
"""

from typing import Final, Literal

import msgspec

#: A consumer that follows whatever this names; a pinned one holds a version number.
Binding = Literal["current", "latest", "pinned"]

#: What PostgreSQL and PgBouncer say to a credential that is dead.
REFUSALS: Final = ("authentication failed", "not permitted to log in", "no such user")

#: The most failures that are listed one by one between two reports; more are only counted.
MOST_FAILURES: Final = 200


class Pace(msgspec.Struct, frozen=True):
    """How busy a consumer is; every number is in seconds."""

    #: Between two queries; many consumers share a small machine.
    think: float = 0.02
    #: Between two reads of the credential.
    read_every: float = 1.0
    #: Between two fresh logins.
    log_in_every: float = 0.5


class Start(msgspec.Struct, frozen=True):
    """What one consumer has to know."""

    name: str
    #: ``host:port`` of Secret Manager.
    endpoint: str
    #: Full name of the secret.
    secret: str
    #: What is read: ``current``, ``latest``, or a version number.
    version: str
    #: ``host:port`` of a pooler to log in through; empty: where the payload says.
    pooler: str = ""
    pace: Pace = Pace()


class Roster(msgspec.Struct, frozen=True):
    """The first message: the consumers that share the process."""

    starts: tuple[Start, ...]


class Order(msgspec.Struct, frozen=True):
    """Any later message."""

    #: Version numbers to be bound to from now on, by consumer, as a deployment would say.
    pins: dict[str, int] = {}


class Failure(msgspec.Struct, frozen=True):
    """One thing that failed."""

    #: On the monotonic clock, which all processes of a machine share.
    at: float
    #: When the session was opened that failed, or the attempt began.
    since: float
    #: ``query``, ``login`` or ``read``, and how it failed.
    kind: str
    #: What the server or the service answered; neither repeats a credential.
    text: str
    #: Version of the credential that was used; 0: none yet.
    version: int
    #: How many failures in a row this is.
    streak: int


class Report(msgspec.Struct):
    """What a consumer has done since it started."""

    #: Number of the version every one of its sessions logged in with; 0: it has no session.
    version: int = 0
    queries: int = 0
    failed_queries: int = 0
    logins: int = 0
    failed_logins: int = 0
    reads: int = 0
    failed_reads: int = 0
    #: Most failures in a row before something worked again.
    longest_streak: int = 0
    #: What failed, by kind, never by text.
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    #: What failed since the last report.
    recent: list[Failure] = msgspec.field(default_factory=list)

"""What carries wake-ups on Google Cloud, as it was read: subscription, function, sweep, rights.

These records hold what was read; they decide nothing.

1. What could not be looked at is an `Unseen` in its place, never an empty value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at, and why."""

    #: For people: "the subscriptions of projects/acme/topics/rotation".
    what: str
    #: One sentence without a full stop.
    reason: str
    #: What makes it visible.
    remedy: str = ""
    #: It does not exist; everything else is a matter of rights or reach.
    is_missing: bool = False


@dataclass(frozen=True)
class Binding:
    """One line of an IAM policy."""

    role: str
    members: frozenset[str]
    is_conditional: bool = False


#: A policy, as far as it matters here.
Bindings = tuple[Binding, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Subscription:
    """A subscription of Pub/Sub.  Times in seconds."""

    name: str
    topic: str
    #: Where it pushes to; empty: it is pulled from.
    endpoint: str = ""
    #: Service account whose OpenID token a push carries; empty: none.
    push_account: str = ""
    #: Audience of that token; empty: the endpoint.
    audience: str = ""
    filter: str = ""
    ack_deadline: int = 10
    #: None: refused deliveries come again at once.
    shortest_backoff: float | None = None
    dead_letter_topic: str = ""
    attempts: int = 0
    #: Days without use after which it is removed; None: never.
    expires_after: float | None = None
    is_unwrapped: bool = False


@dataclass(frozen=True)
class Mount:
    """A secret that a Cloud Run service takes in."""

    #: As written: an id, or a full name.
    secret: str
    version: str
    #: As gcloud's ``--update-secrets`` names it: a variable, or a path.
    place: str = ""


@dataclass(frozen=True)
class Service:
    """A service of Cloud Run."""

    #: Full name: ``projects/P/locations/R/services/S``.
    name: str
    url: str = ""
    urls: tuple[str, ...] = ()
    #: Seconds.
    timeout: float = 300
    concurrency: int = 80
    most_instances: int | None = None
    account: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    #: Why its newest revision does not serve; empty when it does.
    trouble: str = ""


@dataclass(frozen=True)
class Job:
    """A job of Cloud Scheduler."""

    name: str
    schedule: str
    is_enabled: bool
    topic: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    last_attempt: datetime | None = None
    #: Message of the last attempt's status; empty when it went well.
    failure: str = ""

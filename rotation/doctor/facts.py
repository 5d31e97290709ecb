"""What was read before anything is judged, as frozen records.

1. What could not be read is an `Unseen` in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from rotation.engine.snapshot import Snapshot
from rotation.model.deployment import Bindings, Job, Service, Subscription, Unseen
from rotation.model.errors import BadPluginError
from rotation.model.plugin import Finding as Checked
from rotation.model.secret import Secret, VersionState
from rotation.policies.explaining import TargetUse


@dataclass(frozen=True)
class FileUse:
    """A use of the secret in somebody's files."""

    place: str
    #: How it is used there, for people.
    says: str
    #: What mends it; empty when nothing does.
    fix: str


@dataclass(frozen=True)
class Rights:
    """What the function's account lacks on one resource."""

    resource: str
    lacking: tuple[str, ...] | Unseen


@dataclass(frozen=True)
class Reply:
    """What a participant or a gate says now."""

    kind: Literal["participant", "gate"]
    name: str
    #: Why it could not do its part; empty when nothing is in the way.
    obstacle: str = ""
    #: It could not be asked, or could not see.
    is_blind: bool = False


@dataclass(frozen=True)
class SecretFacts:
    """One secret and what its rotation needs."""

    snapshot: Snapshot
    #: The project as people write it.
    project: str = ""
    #: State of each version that matters, by number.
    versions: Mapping[int, VersionState | Unseen] = field(default_factory=dict)
    #: Topic that wakes the function; empty: not configured.
    our_topic: str = ""
    #: Each topic of the secret: nothing, or why it could not be looked at.
    topics: Mapping[str, Unseen | None] = field(default_factory=dict)
    #: May Secret Manager publish to it?  By topic.
    publishes: Mapping[str, bool | Unseen] = field(default_factory=dict)
    #: Address of Secret Manager's service agent.
    agent: str = ""
    #: Address of the function's account; empty: not known.
    account: str = ""
    rights: tuple[Rights, ...] = ()
    issuer: tuple[Checked, ...] = ()
    #: Why the issuer could not be asked.
    issuer_unseen: Unseen | None = None
    replies: tuple[Reply, ...] | Unseen = ()
    uses: tuple[FileUse, ...] = ()
    #: Cloud Run services that take this secret's latest version, and where.
    on_latest: tuple[tuple[str, str], ...] = ()

    @property
    def secret(self) -> Secret:
        """The secret as read."""
        return self.snapshot.secret


@dataclass(frozen=True)
class Installation:
    """What all secrets share."""

    now: datetime
    project: str
    topic: str
    region: str
    #: Number of the project; empty: not known.
    number: str = ""
    #: Who may do what in the project.
    policy: Bindings | Unseen = ()
    topic_fault: Unseen | None = None
    #: The topic of emergencies and what reads it; empty: not known.
    emergency_topic: str = ""
    emergency_fault: Unseen | None = None
    emergency_subscriptions: tuple[Subscription | Unseen, ...] | Unseen = ()
    subscriptions: tuple[Subscription | Unseen, ...] | Unseen = ()
    #: Subscriptions of each dead-letter topic.
    dead_letters: Mapping[str, tuple[Subscription | Unseen, ...] | Unseen] = field(
        default_factory=dict
    )
    #: May Pub/Sub's agent publish to the dead-letter topic, by topic.
    dead_publish: Mapping[str, bool | Unseen] = field(default_factory=dict)
    #: May it consume from the subscription, by subscription.
    dead_consume: Mapping[str, bool | Unseen] = field(default_factory=dict)
    service_name: str = ""
    service: Service | Unseen | None = None
    #: Every service of the region.
    services: tuple[Service, ...] | Unseen = ()
    #: Members that stand for everybody and may invoke the service.
    open_to: tuple[str, ...] = ()
    #: May the push account invoke the service, by account.
    invokes: Mapping[str, bool | Unseen] = field(default_factory=dict)
    publishes: tuple[str, ...] | Unseen = ()
    lists: bool | Unseen = True
    job_name: str = ""
    job: Job | Unseen | None = None
    #: Seconds that Google's clock is ahead of ours; None: not known.
    ahead: float | None = None
    #: Version of this command.
    version: str = ""
    #: What is wrong with plugins that are there, whether a policy names them or not.
    plugins: tuple[BadPluginError, ...] = ()
    #: Whether a targets document says what may be touched.
    has_targets: bool = True
    #: What uses the targets of the document.
    targets: tuple[TargetUse, ...] = ()
    #: When the schedules of all managed secrets fire next.
    firings: tuple[datetime, ...] = ()
    writes_per_minute: float = 600
    sweep_seconds: float = 300

    @property
    def of_emergencies(self) -> "Installation":
        """The same, as it is for the topic of emergencies."""
        return replace(
            self,
            topic=self.emergency_topic,
            topic_fault=self.emergency_fault,
            subscriptions=self.emergency_subscriptions,
        )

"""How an embedded stack is set up; plain data.

The times keep the order that holds on Google Cloud: budget < ack deadline <= lease.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotation.local.stack.targets import Allowing, nothing


@dataclass(frozen=True)
class StackOptions:
    """What to start, and how."""

    #: Folder to keep everything in; None: a private one that is removed at the end.
    data_dir: Path | None = None
    project: str = "demo-project"
    project_number: int = 123456789012
    #: Topic and push subscription of the function, by id.
    topic: str = "rotation"
    #: How long a delivery may take; also when it comes again.
    ack_deadline: timedelta = timedelta(seconds=60)
    budget: timedelta = timedelta(seconds=45)
    lease: timedelta = timedelta(seconds=60)
    #: Shortest and longest wait before a refused delivery comes again.
    backoff: tuple[timedelta, timedelta] = (timedelta(seconds=1), timedelta(seconds=10))
    #: Time between two sweeps, on the stack's clock.
    sweep_every: timedelta = timedelta(minutes=5)
    #: Time between two checks of one secret for drift.
    check_every: timedelta = timedelta(days=1)
    #: Processes of the function.
    workers: int = 1
    #: Deliveries one process handles at once.
    threads: int = 8
    #: Deliveries in flight before the first answer; the real service starts with one.
    first_window: int = 1
    #: Offer TLS on PostgreSQL; needs server programs built with it.
    tls: bool = False
    #: Folder of PostgreSQL's programs; None: the first one found.
    bindir: Path | None = None
    postgres_settings: dict[str, str] = field(default_factory=dict)
    #: What the function may touch from its start on; the folder's document goes before it.
    targets: Allowing = nothing
    #: Further environment of the function, for example a crash point.
    function_environment: dict[str, str] = field(default_factory=dict)

    @property
    def secret_manager_agent(self) -> str:
        """Service account that Secret Manager publishes as."""
        return f"service-{self.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"

    @property
    def pubsub_agent(self) -> str:
        """Service account that Pub/Sub moves dead letters as."""
        return f"service-{self.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"

    @property
    def function_account(self) -> str:
        """Service account of the function."""
        return f"rotation@{self.project}.iam.gserviceaccount.com"

    @property
    def push_account(self) -> str:
        """Service account whose token pushes carry."""
        return f"rotation-push@{self.project}.iam.gserviceaccount.com"

    @property
    def topic_name(self) -> str:
        """Full name of the rotation topic."""
        return f"projects/{self.project}/topics/{self.topic}"

    @property
    def emergency_topic_name(self) -> str:
        """Full name of the topic for what is privileged."""
        return f"{self.topic_name}-emergency"

    @property
    def emergency_subscription_name(self) -> str:
        """Full name of the push subscription of that topic."""
        return f"projects/{self.project}/subscriptions/{self.topic}-emergency-function"

    @property
    def push_audience(self) -> str:
        """Audience of the tokens that pushes carry; it stays when the function's port changes."""
        return f"https://rotation-{self.project_number}.embedded.invalid"

    @property
    def dead_letter_topic(self) -> str:
        """Full name of the topic for deliveries that were given up."""
        return f"{self.topic_name}-dead"

    @property
    def dead_letter_subscription(self) -> str:
        """Full name of the subscription that keeps what was given up."""
        return f"{self.subscription_name.rpartition('/')[0]}/{self.topic}-dead"

    @property
    def subscription_name(self) -> str:
        """Full name of the function's push subscription."""
        return f"projects/{self.project}/subscriptions/{self.topic}-function"

"""The parts of the stack that live on one event loop: Secret Manager, Pub/Sub, scheduler.

It wires them together; each one's behaviour is its own package's.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import types

from rotation.local.clock import MovableClock
from rotation.local.iam import Iam
from rotation.local.pubsub.broker import Broker
from rotation.local.pubsub.forward import ForwardingPublisher
from rotation.local.pubsub.journal import SqliteJournal
from rotation.local.pubsub.server import PubSubServer, rest_app
from rotation.local.scheduler import RotationScheduler, Sweep
from rotation.local.secretmanager.events import Publish
from rotation.local.secretmanager.server import SecretManagerServer
from rotation.local.secretmanager.store import Store
from rotation.local.stack.options import StackOptions
from rotation.local.status import StatusError
from rotation.local.web import serve_app

#: What the subscription lets through: Google's firing and our own wake-ups.
FILTER = 'attributes.eventType = "SECRET_ROTATE" OR hasPrefix(attributes.eventType, "ROTATION_")'

#: Deliveries before a message is given up.
MAX_ATTEMPTS = 100


@dataclass(frozen=True)
class Services:
    """The running services and their addresses."""

    clock: MovableClock
    store: Store
    broker: Broker
    #: ``host:port`` for gRPC clients.
    secret_manager_grpc: str
    #: Base URL for gcloud and other REST clients, without a trailing slash.
    secret_manager_rest: str
    #: The same secrets by a second door with counters and failures of its own, so that what the
    #: function calls can be told from what consumers call.
    consumer_grpc: str
    consumer_rest: str
    pubsub_grpc: str
    pubsub_rest: str

    def subscribe(self, options: StackOptions, endpoint: str) -> None:
        """Create topic, dead-letter topic and push subscription, or point them to ``endpoint``."""
        known = {topic.name for topic in self.broker.topics_in(f"projects/{options.project}")}
        for topic in {options.topic_name, options.dead_letter_topic} - known:
            self.broker.create_topic(types.Topic(name=topic))
        push = types.PushConfig(push_endpoint=endpoint)
        try:
            self.broker.set_push_config(options.subscription_name, push)
        except StatusError:
            self.broker.create_subscription(push_subscription(options, push))


@asynccontextmanager
async def services(options: StackOptions, folder: Path, emulator: str) -> AsyncIterator[Services]:
    """Run the services while entered.

    Args:
        options: How.
        folder: Keeps the clock's offset, and with a data directory the state.
        emulator: ``host:port`` of another Pub/Sub to publish events to; empty: the embedded one.
    """
    keep = options.data_dir is not None
    clock = MovableClock(folder / "clock")
    journal = SqliteJournal(folder / "pubsub.sqlite") if keep else None
    projects = {options.project: options.project_number}
    iam = Iam(projects, folder / "iam.json" if keep else None)
    broker = Broker(clock, journal=journal, iam=iam)
    async with AsyncExitStack() as stack:
        stack.callback(broker.close)
        publish = broker.publish
        if emulator:
            publish = stack.enter_context(ForwardingPublisher(emulator)).publish
        store = Store(
            clock=clock,
            publish=_as_agent(iam, options, publish),
            projects=projects,
            iam=iam,
            path=folder / "secretmanager.sqlite" if keep else None,
        )
        stack.callback(store.close)
        secrets = await stack.enter_async_context(SecretManagerServer(store))
        consumers = await stack.enter_async_context(SecretManagerServer(store))
        pubsub = await stack.enter_async_context(
            PubSubServer(broker, first_window=options.first_window)
        )
        pubsub_rest = await stack.enter_async_context(serve_app(rest_app(broker)))
        sweep = Sweep(publish, options.topic_name, options.sweep_every)
        await stack.enter_async_context(RotationScheduler(clock, store, sweep))
        yield Services(
            clock=clock,
            store=store,
            broker=broker,
            secret_manager_grpc=secrets.grpc_address,
            secret_manager_rest=secrets.rest_url,
            consumer_grpc=consumers.grpc_address,
            consumer_rest=consumers.rest_url,
            pubsub_grpc=emulator or pubsub.grpc_address,
            pubsub_rest=pubsub_rest,
        )


def _as_agent(iam: Iam, options: StackOptions, publish: Publish) -> Publish:
    """Return ``publish`` with the rights of the service agent that Secret Manager publishes as."""

    def publish_as_agent(topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        refusal = StatusError(
            grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action."
        )
        agent = options.secret_manager_agent
        iam.permit(agent, "pubsub.topics.publish", topic, lambda: iam.policy(topic), refusal)
        publish(topic, attributes, data)

    return publish_as_agent


def push_subscription(options: StackOptions, push: types.PushConfig) -> types.Subscription:
    """Return the subscription that wakes the function."""
    shortest, longest = options.backoff
    return types.Subscription(
        name=options.subscription_name,
        topic=options.topic_name,
        push_config=push,
        ack_deadline_seconds=int(options.ack_deadline.total_seconds()),
        filter=FILTER,
        retry_policy=types.RetryPolicy(
            minimum_backoff=_duration(shortest), maximum_backoff=_duration(longest)
        ),
        dead_letter_policy=types.DeadLetterPolicy(
            dead_letter_topic=options.dead_letter_topic, max_delivery_attempts=MAX_ATTEMPTS
        ),
    )


def _duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration

"""The parts of the stack that live on one event loop: Secret Manager, Pub/Sub, scheduler.

It wires them together; each one's behaviour is its own package's.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import grpc
from google.iam.v1 import policy_pb2
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import types

from rotation.emulator.clock import MovableClock
from rotation.emulator.cloud_run import EmbeddedDeployment, deployment_app, function_timeout
from rotation.emulator.iam import Iam
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.forward import ForwardingPublisher
from rotation.emulator.pubsub.journal import SqliteJournal
from rotation.emulator.pubsub.server import PubSubServer, rest_app
from rotation.emulator.scheduler import SWEEP_ATTRIBUTES, RotationScheduler, Sweep
from rotation.emulator.secretmanager.events import Publish
from rotation.emulator.secretmanager.schedule import Schedule
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError
from rotation.emulator.web import serve_app
from rotation.local.stack.options import StackOptions

#: What the subscription lets through: Google's firing and our own wake-ups.
FILTER = 'attributes.eventType = "SECRET_ROTATE" OR hasPrefix(attributes.eventType, "ROTATION_")'

#: Deliveries before a message is given up.
MAX_ATTEMPTS = 100


#: What the custom roles of an installation grant, by id.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "rotationFunction": (
        *(f"secretmanager.secrets.{verb}" for verb in ("get", "update")),
        *(
            f"secretmanager.versions.{verb}"
            for verb in ("access", "add", "destroy", "disable", "enable", "get")
        ),
    ),
    "rotationReader": ("secretmanager.versions.access",),
    "rotationPublisher": ("pubsub.topics.publish",),
    "rotationSweep": ("secretmanager.secrets.list",),
}


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
    #: function calls can be kept apart from what consumers call.
    consumer_grpc: str
    consumer_rest: str
    pubsub_grpc: str
    pubsub_rest: str
    #: What Cloud Run and Cloud Scheduler would show, and where they show it.
    deployment: EmbeddedDeployment
    deployment_rest: str

    def subscribe(self, options: StackOptions, endpoint: str) -> None:
        """Create topics and push subscriptions, or point those that are there to ``endpoint``."""
        known = {topic.name for topic in self.broker.topics_in(f"projects/{options.project}")}
        for topic in {*carrying(options).values(), options.dead_letter_topic} - known:
            self.broker.create_topic(types.Topic(name=topic))
        push = push_config(options, endpoint)
        for name in carrying(options):
            try:
                self.broker.set_push_config(name, push)
            except StatusError:
                self.broker.create_subscription(push_subscription(options, push, name))
        with contextlib.suppress(StatusError):  # it is there already
            self.broker.create_subscription(
                types.Subscription(
                    name=options.dead_letter_subscription, topic=options.dead_letter_topic
                )
            )

    def grant(self, options: StackOptions) -> None:
        """Give the service agents and the function their rights on topics and subscription."""
        role = f"projects/{options.project}/roles"
        for role_id, permissions in ROLES.items():
            self.broker.iam.roles.setdefault(
                f"{role}/{role_id}", {"includedPermissions": list(permissions)}
            )
        publisher, subscriber = "roles/pubsub.publisher", "roles/pubsub.subscriber"
        agent, function = options.pubsub_agent, options.function_account
        granted = {
            options.topic_name: (
                (publisher, options.secret_manager_agent),
                (f"{role}/rotationPublisher", function),
            ),
            options.dead_letter_topic: ((publisher, agent),),
            **dict.fromkeys(carrying(options), ((subscriber, agent),)),
            f"projects/{options.project}": ((f"{role}/rotationSweep", function),),
        }
        for resource, bindings in granted.items():
            if not self.broker.iam.policy(resource).bindings:
                self.broker.iam.set_policy(resource, _policy(bindings))

    def deploy(self, options: StackOptions, url: str, environment: Mapping[str, str]) -> None:
        """Show function and sweep as they are started."""
        timeout = function_timeout(
            options.budget.total_seconds(), options.ack_deadline.total_seconds()
        )
        self.deployment.deploy(url, options.function_account, environment, timeout)
        minutes = max(1, round(options.sweep_every.total_seconds() / 60))
        self.deployment.schedule(options.topic_name, f"*/{minutes} * * * *", SWEEP_ATTRIBUTES)
        self.deployment.allow(f"serviceAccount:{options.push_account}", "roles/run.invoker")


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
        deployment = EmbeddedDeployment(
            options.project,
            lambda: publish(options.topic_name, SWEEP_ATTRIBUTES, None),
            clock.now,
            iam,
        )
        shown = await stack.enter_async_context(serve_app(deployment_app(deployment)))

        def publish_sweep(topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
            if deployment.is_sweeping:
                publish(topic, attributes, data)
                deployment.swept()

        sweep = Sweep(publish_sweep, options.topic_name, options.sweep_every)
        await stack.enter_async_context(RotationScheduler(clock, Schedule(store), sweep))
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
            deployment=deployment,
            deployment_rest=shown,
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


def carrying(options: StackOptions) -> dict[str, str]:
    """Return the topic of each push subscription of the function, by the subscription's name."""
    return {
        options.subscription_name: options.topic_name,
        options.emergency_subscription_name: options.emergency_topic_name,
    }


def push_config(options: StackOptions, endpoint: str) -> types.PushConfig:
    """Return how the function is pushed to, and with which token."""
    token = types.PushConfig.OidcToken(
        service_account_email=options.push_account, audience=options.push_audience
    )
    return types.PushConfig(push_endpoint=endpoint, oidc_token=token)


def _policy(bindings: tuple[tuple[str, str], ...]) -> policy_pb2.Policy:
    return policy_pb2.Policy(
        bindings=[
            policy_pb2.Binding(role=role, members=[f"serviceAccount:{account}"])
            for role, account in bindings
        ]
    )


def push_subscription(
    options: StackOptions, push: types.PushConfig, name: str
) -> types.Subscription:
    """Return one of the subscriptions that wake the function."""
    shortest, longest = options.backoff
    return types.Subscription(
        name=name,
        topic=carrying(options)[name],
        push_config=push,
        ack_deadline_seconds=int(options.ack_deadline.total_seconds()),
        filter=FILTER,
        expiration_policy=types.ExpirationPolicy(),
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

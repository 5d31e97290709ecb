"""Topics and the push subscriptions in a Pub/Sub that is not ours, such as Google's emulator.

1. What exists already is used; the subscriptions are pointed at this function.
2. Pushes from there carry no token: such an emulator signs nothing.
3. Nothing is ever deleted there: it may serve others.
"""

import contextlib
from collections.abc import Iterator

import grpc
from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PushConfig

from rotation.local.stack.options import StackOptions
from rotation.local.stack.services import carrying, push_subscription
from rotation.model.errors import TemporaryError

#: Seconds one call may take.
_PATIENCE = 10.0


class EmulatorError(TemporaryError):
    """The other Pub/Sub does not answer, or refuses."""

    reason = "emulator-unreachable"


def create_topics(address: str, options: StackOptions) -> None:
    """Create the topics of wake-ups and emergencies, and the one for dead letters.

    Raises:
        EmulatorError: It does not answer, or refuses.
    """
    with _calling(address) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        for topic in (*carrying(options).values(), options.dead_letter_topic):
            with contextlib.suppress(AlreadyExists):
                publisher.create_topic(name=topic, timeout=_PATIENCE, retry=None)


def subscribe(address: str, options: StackOptions, endpoint: str) -> None:
    """Create the push subscriptions, or point those that exist to ``endpoint``.

    Raises:
        EmulatorError: It does not answer, or refuses.
    """
    push = PushConfig(push_endpoint=endpoint)
    with _calling(address) as channel:
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        for name in carrying(options):
            wanted = push_subscription(options, push, name)
            try:
                subscriber.create_subscription(request=wanted, timeout=_PATIENCE, retry=None)
            except AlreadyExists:
                subscriber.modify_push_config(
                    subscription=name, push_config=push, timeout=_PATIENCE, retry=None
                )


@contextlib.contextmanager
def _calling(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        try:
            yield channel
        except GoogleAPICallError as error:
            raise EmulatorError(
                f"the Pub/Sub at {address} (PUBSUB_EMULATOR_HOST): {error.message}",
                remedy="start that emulator, or unset PUBSUB_EMULATOR_HOST to use our own Pub/Sub",
            ) from None

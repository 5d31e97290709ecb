"""The calls of Publisher and Subscriber, once, for gRPC and REST alike.

It translates between Google's request types and the broker; it never speaks a protocol.

1. A handler takes the request and returns the response, or raises `StatusError`.
2. Handlers are coroutines because a pull waits; nothing else does.
3. Who may call is not asked here, see `access`.
"""

import asyncio
import contextlib
from typing import Any, Final

from google.iam.v1 import iam_policy_pb2
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.catalogue import page_of
from rotation.emulator.pubsub.message import Delivery, Message
from rotation.emulator.status import invalid

#: A message of IAM, whose classes the library does not type.
Policy = Any

#: How long a pull waits for a first message before it answers with none.
PULL_WAIT: Final = 20.0
_LARGEST_PULL: Final = 1000


class PubSubApi:
    """The handlers, over one broker."""

    def __init__(self, broker: Broker, *, pull_wait: float = PULL_WAIT) -> None:
        self.broker = broker
        self._pull_wait = pull_wait

    async def create_topic(self, request: types.Topic) -> types.Topic:
        """Create a topic."""
        return self.broker.create_topic(request)

    async def get_topic(self, request: types.GetTopicRequest) -> types.Topic:
        """Return a topic."""
        return self.broker.topic(request.topic)

    async def update_topic(self, request: types.UpdateTopicRequest) -> types.Topic:
        """Change a topic."""
        return self.broker.update_topic(request.topic, request.update_mask.paths)

    async def list_topics(self, request: types.ListTopicsRequest) -> types.ListTopicsResponse:
        """Return a page of a project's topics."""
        topics = self.broker.topics_in(request.project)
        page, token = page_of(topics, request.page_size, request.page_token)
        return types.ListTopicsResponse(topics=page, next_page_token=token)

    async def list_topic_subscriptions(
        self, request: types.ListTopicSubscriptionsRequest
    ) -> types.ListTopicSubscriptionsResponse:
        """Return a page of the names of a topic's subscriptions."""
        found = self.broker.subscriptions_of(request.topic)
        page, token = page_of(found, request.page_size, request.page_token)
        return types.ListTopicSubscriptionsResponse(
            subscriptions=[one.name for one in page], next_page_token=token
        )

    async def delete_topic(self, request: types.DeleteTopicRequest) -> Empty:
        """Delete a topic."""
        self.broker.delete_topic(request.topic)
        return Empty()

    async def publish(self, request: types.PublishRequest) -> types.PublishResponse:
        """Publish messages."""
        ids = self.broker.publish_batch(request.topic, list(request.messages))
        return types.PublishResponse(message_ids=ids)

    async def create_subscription(self, request: types.Subscription) -> types.Subscription:
        """Create a subscription."""
        return self.broker.create_subscription(request)

    async def get_subscription(self, request: types.GetSubscriptionRequest) -> types.Subscription:
        """Return a subscription."""
        return self.broker.subscription(request.subscription)

    async def update_subscription(
        self, request: types.UpdateSubscriptionRequest
    ) -> types.Subscription:
        """Change a subscription."""
        return self.broker.update_subscription(request.subscription, request.update_mask.paths)

    async def list_subscriptions(
        self, request: types.ListSubscriptionsRequest
    ) -> types.ListSubscriptionsResponse:
        """Return a page of a project's subscriptions."""
        found = self.broker.subscriptions_in(request.project)
        page, token = page_of(found, request.page_size, request.page_token)
        return types.ListSubscriptionsResponse(subscriptions=page, next_page_token=token)

    async def delete_subscription(self, request: types.DeleteSubscriptionRequest) -> Empty:
        """Delete a subscription."""
        self.broker.delete_subscription(request.subscription)
        return Empty()

    async def modify_push_config(self, request: types.ModifyPushConfigRequest) -> Empty:
        """Change between push and pull, or the endpoint."""
        self.broker.set_push_config(request.subscription, request.push_config)
        return Empty()

    async def pull(self, request: types.PullRequest) -> types.PullResponse:
        """Return up to ``max_messages``; wait a bounded time for the first."""
        if request.max_messages <= 0:
            raise invalid("No max_messages specified.")
        limit = min(request.max_messages, _LARGEST_PULL)
        deliveries = self.broker.lease(request.subscription, limit)
        if not deliveries and not request.return_immediately:
            deliveries = await self._wait_for(request.subscription, limit)
        return types.PullResponse(
            received_messages=[self.received(request.subscription, one) for one in deliveries]
        )

    async def acknowledge(self, request: types.AcknowledgeRequest) -> Empty:
        """End deliveries for good."""
        self.broker.acknowledge(request.subscription, request.ack_ids)
        return Empty()

    async def modify_ack_deadline(self, request: types.ModifyAckDeadlineRequest) -> Empty:
        """Give deliveries more time, or refuse them with zero."""
        self.broker.modify_deadline(
            request.subscription, request.ack_ids, request.ack_deadline_seconds
        )
        return Empty()

    async def get_iam_policy(self, request: iam_policy_pb2.GetIamPolicyRequest) -> Policy:
        """Return the policy of a topic or subscription."""
        self._existing(request.resource)
        return self.broker.iam.policy(request.resource)

    async def set_iam_policy(self, request: iam_policy_pb2.SetIamPolicyRequest) -> Policy:
        """Replace the policy of a topic or subscription."""
        self._existing(request.resource)
        return self.broker.iam.set_policy(request.resource, request.policy)

    async def test_iam_permissions(
        self, request: iam_policy_pb2.TestIamPermissionsRequest
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """Return every permission asked for; `access` removes what the caller does not have."""
        self._existing(request.resource)
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=request.permissions)

    def _existing(self, resource: str) -> None:
        if "/topics/" in resource:
            self.broker.topic(resource)
        else:
            self.broker.subscription(resource)

    def received(self, subscription: str, delivery: Delivery) -> types.ReceivedMessage:
        """Return a delivery as subscribers see it."""
        counted = "dead_letter_policy" in self.broker.subscription(subscription)
        return types.ReceivedMessage(
            ack_id=delivery.ack_id,
            message=_shown(delivery.message),
            delivery_attempt=delivery.attempt if counted else 0,
        )

    async def _wait_for(self, subscription: str, limit: int) -> list[Delivery]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pull_wait):
                return await next_deliveries(self.broker, subscription, limit)
        return []


async def next_deliveries(broker: Broker, subscription: str, limit: int) -> list[Delivery]:
    """Wait until something is due for a pull subscription, and start its delivery."""
    changed = asyncio.Event()
    unwatch = broker.watch(changed.set)
    try:
        while not (deliveries := broker.lease(subscription, limit)):
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(broker.wait_for_next(subscription)):
                    await changed.wait()
    finally:
        unwatch()
    return deliveries


def _shown(message: Message) -> types.PubsubMessage:
    return types.PubsubMessage(
        data=message.data,
        attributes=dict(message.attributes),
        message_id=message.message_id,
        publish_time=message.publish_time,
        ordering_key=message.ordering_key,
    )

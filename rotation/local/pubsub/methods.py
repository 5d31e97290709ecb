"""The table of calls: for each its gRPC name and types, its handler and its REST route.

It holds no logic; `grpc_api` and `rest_api` are both built from `METHODS`.

1. REST paths are Google's (https://cloud.google.com/pubsub/docs/reference/rest); the resource
   name in the path goes into the request field ``bound``.
2. A call that is not here is UNIMPLEMENTED: snapshots, seek, detach, schemas, IAM.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from rotation.local.pubsub.api import PubSubApi as Api

PUBLISHER: Final = "google.pubsub.v1.Publisher"
SUBSCRIBER: Final = "google.pubsub.v1.Subscriber"

_PROJECT: Final = "projects/{project}"
_TOPIC: Final = f"{_PROJECT}/topics/{{topic}}"
_SUBSCRIPTION: Final = f"{_PROJECT}/subscriptions/{{subscription}}"


class Method(NamedTuple):
    """One call."""

    service: str
    name: str
    request: Any
    response: Any
    handle: Callable[[Api, Any], Awaitable[Any]]
    verb: str
    #: The resource name in the path, without ``/v1/``.
    resource: str
    #: Field of the request that takes the resource name; dots go into nested messages.
    bound: str
    #: What follows the resource in the path.
    suffix: str = ""


METHODS: Final = (
    Method(
        PUBLISHER,
        "CreateTopic",
        types.Topic,
        types.Topic,
        Api.create_topic,
        "PUT",
        _TOPIC,
        "name",
    ),
    Method(
        PUBLISHER,
        "GetTopic",
        types.GetTopicRequest,
        types.Topic,
        Api.get_topic,
        "GET",
        _TOPIC,
        "topic",
    ),
    Method(
        PUBLISHER,
        "UpdateTopic",
        types.UpdateTopicRequest,
        types.Topic,
        Api.update_topic,
        "PATCH",
        _TOPIC,
        "topic.name",
    ),
    Method(
        PUBLISHER,
        "DeleteTopic",
        types.DeleteTopicRequest,
        Empty,
        Api.delete_topic,
        "DELETE",
        _TOPIC,
        "topic",
    ),
    Method(
        PUBLISHER,
        "ListTopics",
        types.ListTopicsRequest,
        types.ListTopicsResponse,
        Api.list_topics,
        "GET",
        _PROJECT,
        "project",
        "/topics",
    ),
    Method(
        PUBLISHER,
        "ListTopicSubscriptions",
        types.ListTopicSubscriptionsRequest,
        types.ListTopicSubscriptionsResponse,
        Api.list_topic_subscriptions,
        "GET",
        _TOPIC,
        "topic",
        "/subscriptions",
    ),
    Method(
        PUBLISHER,
        "Publish",
        types.PublishRequest,
        types.PublishResponse,
        Api.publish,
        "POST",
        _TOPIC,
        "topic",
        ":publish",
    ),
    Method(
        SUBSCRIBER,
        "CreateSubscription",
        types.Subscription,
        types.Subscription,
        Api.create_subscription,
        "PUT",
        _SUBSCRIPTION,
        "name",
    ),
    Method(
        SUBSCRIBER,
        "GetSubscription",
        types.GetSubscriptionRequest,
        types.Subscription,
        Api.get_subscription,
        "GET",
        _SUBSCRIPTION,
        "subscription",
    ),
    Method(
        SUBSCRIBER,
        "UpdateSubscription",
        types.UpdateSubscriptionRequest,
        types.Subscription,
        Api.update_subscription,
        "PATCH",
        _SUBSCRIPTION,
        "subscription.name",
    ),
    Method(
        SUBSCRIBER,
        "DeleteSubscription",
        types.DeleteSubscriptionRequest,
        Empty,
        Api.delete_subscription,
        "DELETE",
        _SUBSCRIPTION,
        "subscription",
    ),
    Method(
        SUBSCRIBER,
        "ListSubscriptions",
        types.ListSubscriptionsRequest,
        types.ListSubscriptionsResponse,
        Api.list_subscriptions,
        "GET",
        _PROJECT,
        "project",
        "/subscriptions",
    ),
    Method(
        SUBSCRIBER,
        "ModifyPushConfig",
        types.ModifyPushConfigRequest,
        Empty,
        Api.modify_push_config,
        "POST",
        _SUBSCRIPTION,
        "subscription",
        ":modifyPushConfig",
    ),
    Method(
        SUBSCRIBER,
        "Pull",
        types.PullRequest,
        types.PullResponse,
        Api.pull,
        "POST",
        _SUBSCRIPTION,
        "subscription",
        ":pull",
    ),
    Method(
        SUBSCRIBER,
        "Acknowledge",
        types.AcknowledgeRequest,
        Empty,
        Api.acknowledge,
        "POST",
        _SUBSCRIPTION,
        "subscription",
        ":acknowledge",
    ),
    Method(
        SUBSCRIBER,
        "ModifyAckDeadline",
        types.ModifyAckDeadlineRequest,
        Empty,
        Api.modify_ack_deadline,
        "POST",
        _SUBSCRIPTION,
        "subscription",
        ":modifyAckDeadline",
    ),
)

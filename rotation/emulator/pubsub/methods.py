"""The table of calls: for each its gRPC name and types, its handler and its REST route.

It holds no logic; `grpc_api` and `rest_api` are both built from `METHODS`.

1. REST paths are Google's (https://cloud.google.com/pubsub/docs/reference/rest); the resource
   name in the path goes into the request field ``bound``.
2. A call that is not here is UNIMPLEMENTED: snapshots, seek, detach, schemas.
3. IAM's calls are one each over gRPC, and one for each kind of resource over REST.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from google.iam.v1 import iam_policy_pb2 as iam
from google.iam.v1.policy_pb2 import Policy
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from rotation.emulator.pubsub.api import PubSubApi as Api

PUBLISHER: Final = "google.pubsub.v1.Publisher"
SUBSCRIBER: Final = "google.pubsub.v1.Subscriber"
IAM: Final = "google.iam.v1.IAMPolicy"

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
    #: Without the leading ``pubsub.``; empty for calls everybody may make.  For IAM's calls what
    #: follows the kind of the resource.
    permission: str = ""

    def resource_of(self, request: Any) -> str:  # noqa: ANN401 - one of Google's messages
        """Return the name of the resource in a request."""
        for step in self.bound.split("."):
            request = getattr(request, step)
        return str(request)


METHODS: Final = (
    Method(PUBLISHER, "CreateTopic", types.Topic, types.Topic, Api.create_topic,
           "PUT", _TOPIC, "name", permission="topics.create"),
    Method(PUBLISHER, "GetTopic", types.GetTopicRequest, types.Topic, Api.get_topic,
           "GET", _TOPIC, "topic", permission="topics.get"),
    Method(PUBLISHER, "UpdateTopic", types.UpdateTopicRequest, types.Topic, Api.update_topic,
           "PATCH", _TOPIC, "topic.name", permission="topics.update"),
    Method(PUBLISHER, "DeleteTopic", types.DeleteTopicRequest, Empty, Api.delete_topic,
           "DELETE", _TOPIC, "topic", permission="topics.delete"),
    Method(PUBLISHER, "ListTopics", types.ListTopicsRequest,
           types.ListTopicsResponse, Api.list_topics,
           "GET", _PROJECT, "project", "/topics", permission="topics.list"),
    Method(PUBLISHER, "ListTopicSubscriptions", types.ListTopicSubscriptionsRequest,
           types.ListTopicSubscriptionsResponse, Api.list_topic_subscriptions,
           "GET", _TOPIC, "topic", "/subscriptions", permission="topics.get"),
    Method(PUBLISHER, "Publish", types.PublishRequest, types.PublishResponse, Api.publish,
           "POST", _TOPIC, "topic", ":publish", permission="topics.publish"),
    Method(SUBSCRIBER, "CreateSubscription", types.Subscription,
           types.Subscription, Api.create_subscription,
           "PUT", _SUBSCRIPTION, "name", permission="subscriptions.create"),
    Method(SUBSCRIBER, "GetSubscription", types.GetSubscriptionRequest,
           types.Subscription, Api.get_subscription,
           "GET", _SUBSCRIPTION, "subscription", permission="subscriptions.get"),
    Method(SUBSCRIBER, "UpdateSubscription", types.UpdateSubscriptionRequest,
           types.Subscription, Api.update_subscription,
           "PATCH", _SUBSCRIPTION, "subscription.name", permission="subscriptions.update"),
    Method(SUBSCRIBER, "DeleteSubscription", types.DeleteSubscriptionRequest,
           Empty, Api.delete_subscription,
           "DELETE", _SUBSCRIPTION, "subscription", permission="subscriptions.delete"),
    Method(SUBSCRIBER, "ListSubscriptions", types.ListSubscriptionsRequest,
           types.ListSubscriptionsResponse, Api.list_subscriptions,
           "GET", _PROJECT, "project", "/subscriptions", permission="subscriptions.list"),
    Method(SUBSCRIBER, "ModifyPushConfig", types.ModifyPushConfigRequest,
           Empty, Api.modify_push_config,
           "POST", _SUBSCRIPTION, "subscription", ":modifyPushConfig",
           permission="subscriptions.update"),
    Method(SUBSCRIBER, "Pull", types.PullRequest, types.PullResponse, Api.pull,
           "POST", _SUBSCRIPTION, "subscription", ":pull", permission="subscriptions.consume"),
    Method(SUBSCRIBER, "Acknowledge", types.AcknowledgeRequest, Empty, Api.acknowledge,
           "POST", _SUBSCRIPTION, "subscription", ":acknowledge",
           permission="subscriptions.consume"),
    Method(SUBSCRIBER, "ModifyAckDeadline", types.ModifyAckDeadlineRequest,
           Empty, Api.modify_ack_deadline,
           "POST", _SUBSCRIPTION, "subscription", ":modifyAckDeadline",
           permission="subscriptions.consume"),
    *(
        Method(IAM, name, request, response, handle, verb, resource, "resource", suffix, permission)
        for name, request, response, handle, verb, suffix, permission in (
            ("GetIamPolicy", iam.GetIamPolicyRequest, Policy, Api.get_iam_policy, "GET",
             ":getIamPolicy", "getIamPolicy"),
            ("SetIamPolicy", iam.SetIamPolicyRequest, Policy, Api.set_iam_policy, "POST",
             ":setIamPolicy", "setIamPolicy"),
            ("TestIamPermissions", iam.TestIamPermissionsRequest, iam.TestIamPermissionsResponse,
             Api.test_iam_permissions, "POST", ":testIamPermissions", ""),
        )
        for resource in (_TOPIC, _SUBSCRIPTION)
    ),
)  # fmt: skip

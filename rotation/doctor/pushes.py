"""Reads who may push, call and give up: the facts about subscriptions and the function's service.

1. Nothing is judged, nothing changed; what cannot be seen is an `Unseen` in its place.
2. What a policy grants is believed; that something is missing is reported where it belongs.
"""

from typing import Any

from rotation.google.deployment import Deployment
from rotation.model.deployment import Bindings, Service, Subscription, Unseen


def may(
    deployment: Deployment,
    member: str,
    permission: str,
    own: Bindings | Unseen,
    project: Bindings | Unseen,
) -> bool | Unseen:
    """Judge by the policies of a resource and of its project; what grants is believed."""
    answers = [
        answer if isinstance(answer, Unseen) else deployment.grants(answer, member, permission)
        for answer in (own, project)
    ]
    if True in answers or (isinstance(own, Unseen) and own.is_missing):
        return True  # that it is missing is reported where it belongs
    return next((answer for answer in answers if isinstance(answer, Unseen)), False)


def dead_letters(
    deployment: Deployment,
    agent: str,
    subscriptions: tuple[Subscription | Unseen, ...] | Unseen,
    project: Bindings | Unseen,
) -> dict[str, Any]:
    """Return the facts about dead letters, by their name in `Installation`."""
    fed = [
        subscription for subscription in _visible(subscriptions) if subscription.dead_letter_topic
    ]
    topics = {subscription.dead_letter_topic for subscription in fed}

    def its(permission: str, own: Bindings | Unseen) -> bool | Unseen:
        return may(deployment, agent, permission, own, project)

    return {
        "dead_letters": {topic: deployment.subscriptions(topic) for topic in topics},
        "dead_publish": {
            topic: its("pubsub.topics.publish", deployment.topic_policy(topic)) for topic in topics
        },
        "dead_consume": {
            subscription.name: its(
                "pubsub.subscriptions.consume", deployment.subscription_policy(subscription.name)
            )
            for subscription in fed
        },
    }


def invokes(
    deployment: Deployment,
    service: Service | Unseen,
    subscriptions: tuple[Subscription | Unseen, ...] | Unseen,
    project: Bindings | Unseen,
) -> dict[str, bool | Unseen]:
    """Return whether the account of each push may call the service."""
    if not isinstance(service, Service):
        return {}
    accounts = {
        subscription.push_account
        for subscription in _visible(subscriptions)
        if subscription.push_account
    }
    own = deployment.service_policy(service.name) if accounts else ()
    return {
        account: may(deployment, f"serviceAccount:{account}", "run.routes.invoke", own, project)
        for account in sorted(accounts)
    }


def open_to(deployment: Deployment, service: Service | Unseen) -> tuple[str, ...]:
    """Return who stands for everybody among the members that may do something with the service."""
    own = deployment.service_policy(service.name) if isinstance(service, Service) else ()
    bindings = () if isinstance(own, Unseen) else own
    members = {member for binding in bindings for member in binding.members}
    return tuple(sorted(members & {"allUsers", "allAuthenticatedUsers"}))


def both(
    one: tuple[Subscription | Unseen, ...] | Unseen,
    other: tuple[Subscription | Unseen, ...] | Unseen,
) -> tuple[Subscription | Unseen, ...]:
    """Return the subscriptions of two topics; what could not be seen is reported with each."""
    return tuple(
        subscription
        for subscriptions in (one, other)
        if not isinstance(subscriptions, Unseen)
        for subscription in subscriptions
    )


def _visible(
    subscriptions: tuple[Subscription | Unseen, ...] | Unseen,
) -> tuple[Subscription, ...]:
    if isinstance(subscriptions, Unseen):
        return ()
    return tuple(
        subscription
        for subscription in subscriptions
        if isinstance(subscription, Subscription) and subscription.endpoint
    )


def region_of(subscriptions: tuple[Subscription | Unseen, ...] | Unseen) -> str:
    """Cloud Run's own addresses tell the region: ``SERVICE-NUMBER.REGION.run.app``."""
    for subscription in _visible(subscriptions):
        host = subscription.endpoint.partition("://")[2].partition("/")[0]
        if host.endswith(".run.app") and host.count(".") == 3:  # noqa: PLR2004
            return host.split(".")[1]
    return ""

"""Checks of the subscription that wakes the function, and of its dead letters.  Pure.

1. A subscription that is pulled, and whose filter shuts our wake-ups out, is somebody else's.
2. A filter cannot be changed: the remedy is another subscription.
"""

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from rotation.doctor.facts import Installation
from rotation.doctor.findings import (
    INSTALLATION,
    Finding,
    Fix,
    Severity,
    gcloud,
    project_of,
    short,
    unseen,
)
from rotation.model.deployment import Service, Subscription, Unseen

Check = Callable[[Installation], Iterator[Finding]]

#: What must come through, and what must not.
FILTER: Final = (
    'attributes.eventType = "SECRET_ROTATE" OR hasPrefix(attributes.eventType, "ROTATION_")'
)
_AUDIENCE: Final = "ROTATION_PUSH_AUDIENCE"
_ACCOUNT: Final = "ROTATION_PUSH_ACCOUNT"
_FEWEST_ATTEMPTS: Final = 10
_BUDGET: Final = 480.0


def pushing(facts: Installation) -> tuple[Subscription, ...]:
    """Return the subscriptions that push somewhere."""
    if isinstance(facts.subscriptions, Unseen):
        return ()
    visible = [
        subscription
        for subscription in facts.subscriptions
        if isinstance(subscription, Subscription)
    ]
    return tuple(subscription for subscription in visible if subscription.endpoint)


def exists(facts: Installation) -> Iterator[Finding]:
    """Whether exactly one subscription pushes."""
    if isinstance(facts.subscriptions, Unseen):
        if not facts.subscriptions.is_missing:  # a missing topic is reported elsewhere
            yield unseen(INSTALLATION, facts.subscriptions)
        return
    for subscription in facts.subscriptions:
        if isinstance(subscription, Unseen):
            yield unseen(INSTALLATION, subscription)
    found = pushing(facts)
    if not found and facts.topic:
        message = f"no subscription of {facts.topic} pushes to the function"
        yield _bad("subscription", message, _create(facts, f"{short(facts.topic)}-function"))
    for extra in found[1:]:
        remedy = gcloud("pubsub", "subscriptions", "delete", extra.name)
        first, second = short(found[0].name), short(extra.name)
        yield _warn(
            "subscription-twice", f"{first} and {second} both deliver every wake-up", remedy
        )


def kind(facts: Installation) -> Iterator[Finding]:
    """Whether it is ours, and not one that Eventarc made."""
    for subscription in pushing(facts):
        if short(subscription.name).startswith("eventarc-"):
            message = f"{short(subscription.name)} was made by an Eventarc trigger"
            again = _create(facts, f"{short(facts.topic)}-function")
            yield _warn("subscription-eventarc", message, again)
        if subscription.is_unwrapped:
            remedy = _modify(
                subscription,
                f"--push-endpoint={subscription.endpoint}",
                "--clear-push-no-wrapper-config",
            )
            yield _bad(
                "subscription-unwrapped",
                f"{short(subscription.name)} pushes without the wrapper",
                remedy,
            )


def target(facts: Installation) -> Iterator[Finding]:
    """Whether it pushes to the function, and proves who it is."""
    service = facts.service
    for subscription in pushing(facts):
        if isinstance(service, Service) and not _is_at(subscription.endpoint, service):
            remedy = _modify(subscription, f"--push-endpoint={service.url}")
            name, endpoint = short(subscription.name), subscription.endpoint
            message = f"{name} pushes to {endpoint}, the function is at {service.url}"
            yield _bad("subscription-endpoint", message, remedy)
        if not subscription.push_account:
            account = f"rotation-push@{facts.project}.iam.gserviceaccount.com"
            remedy = _modify(
                subscription,
                f"--push-endpoint={subscription.endpoint}",
                f"--push-auth-service-account={account}",
                *_for(service),
            )
            message = f"pushes of {short(subscription.name)} carry no token"
            yield _bad("subscription-token", message, remedy)
        elif isinstance(service, Service) and not _is_for(subscription, service):
            remedy = _modify(
                subscription,
                f"--push-endpoint={subscription.endpoint}",
                f"--push-auth-service-account={subscription.push_account}",
                f"--push-auth-token-audience={_audience(service)}",
            )
            audience = subscription.audience or subscription.endpoint
            message = f"its token is for {audience}, not for the function"
            yield _bad("subscription-audience", message, remedy)
        elif isinstance(service, Service) and subscription.push_account != service.environment.get(
            _ACCOUNT, subscription.push_account
        ):
            believed = service.environment[_ACCOUNT]
            remedy = _modify(
                subscription,
                f"--push-endpoint={subscription.endpoint}",
                f"--push-auth-service-account={believed}",
                f"--push-auth-token-audience={_audience(service)}",
            )
            message = (
                f"pushes of {short(subscription.name)} are signed for {subscription.push_account},"
                f" and the function believes {believed}"
            )
            yield _bad("subscription-account", message, remedy)


def _audience(service: Service) -> str:
    """Return the audience the function expects; one that says none has its URL for it."""
    return service.environment.get(_AUDIENCE) or service.url


def _is_for(subscription: Subscription, service: Service) -> bool:
    """Whether the token of pushes is for the function, and it takes such a one."""
    if expected := service.environment.get(_AUDIENCE):
        return (subscription.audience or subscription.endpoint) == expected
    return not subscription.audience or _is_at(subscription.audience, service)


def _for(service: Service | Unseen | None) -> tuple[str, ...]:
    """Return the option that makes tokens be for the function, where it says what it expects."""
    expected = service.environment.get(_AUDIENCE) if isinstance(service, Service) else ""
    return (f"--push-auth-token-audience={expected}",) if expected else ()


def passes(facts: Installation) -> Iterator[Finding]:
    """Whether the filter lets through what wakes the function, and nothing else."""
    for subscription in pushing(facts):
        again = _create(facts, f"{short(subscription.name)}-2")
        if not subscription.filter:
            name = short(subscription.name)
            message = f"{name} has no filter: each write of a rotation wakes the function"
            yield _warn("subscription-filter", message, again)
        elif "SECRET_ROTATE" not in subscription.filter or "ROTATION_" not in subscription.filter:
            name = short(subscription.name)
            message = f"the filter of {name} holds wake-ups back: {subscription.filter}"
            yield _bad("subscription-filter", message, again)


def deadline(facts: Installation) -> Iterator[Finding]:
    """Whether a delivery may take as long as the function works."""
    for subscription in pushing(facts):
        needed = _budget(facts)
        if needed is not None and subscription.ack_deadline <= needed:
            seconds = min(600, int(needed * 1.25))
            fix = Fix("ack-deadline", subscription.name, {"seconds": seconds})
            remedy = gcloud(
                *("pubsub", "subscriptions", "update", subscription.name),
                f"--ack-deadline={seconds}",
            )
            deadline = subscription.ack_deadline
            message = f"its ack deadline of {deadline} s ends before the work of {needed:g} s"
            yield _bad(
                "subscription-ack-deadline", f"{short(subscription.name)}: {message}", remedy, fix
            )


def retries(facts: Installation) -> Iterator[Finding]:
    """Whether refused deliveries come again in good order, and it never expires."""
    for subscription in pushing(facts):
        if subscription.shortest_backoff is None:
            fix = Fix("backoff", subscription.name, {"shortest": 10, "longest": 600})
            remedy = gcloud(
                *("pubsub", "subscriptions", "update", subscription.name),
                *("--min-retry-delay=10s", "--max-retry-delay=600s"),
            )
            message = (
                f"{short(subscription.name)} has no retry policy: refused deliveries come at once"
            )
            yield _warn("subscription-retry", message, remedy, fix)
        if subscription.expires_after is not None:
            fix = Fix("keep", subscription.name)
            remedy = gcloud(
                *(
                    "pubsub",
                    "subscriptions",
                    "update",
                    subscription.name,
                    "--expiration-period=never",
                )
            )
            name, days = short(subscription.name), subscription.expires_after
            message = f"{name} is removed after {days:g} days without use"
            yield _warn("subscription-expires", message, remedy, fix)


def dead_letters(facts: Installation) -> Iterator[Finding]:
    """Whether what cannot be delivered is kept, and somebody can read it."""
    agent = f"service-{facts.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    for subscription in pushing(facts):
        topic = subscription.dead_letter_topic
        update = ("pubsub", "subscriptions", "update", subscription.name)
        dead = topic or f"projects/{facts.project}/topics/rotation-dead"
        attempts = ("--max-delivery-attempts=20", f"--dead-letter-topic={dead}")
        if not topic or topic.startswith("_deleted"):
            message = f"{short(subscription.name)} has no dead-letter topic"
            yield _bad("dead-letter", message, gcloud(*update, *attempts))
            continue
        if subscription.attempts < _FEWEST_ATTEMPTS:
            message = f"{short(subscription.name)} gives up after {subscription.attempts} attempts"
            yield _warn("dead-letter-attempts", message, gcloud(*update, *attempts))
        yield from _readers(facts, topic)
        member = f"--member=serviceAccount:{agent}"
        publish, consume = (
            facts.dead_publish.get(topic, True),
            facts.dead_consume.get(subscription.name, True),
        )
        if isinstance(publish, Unseen):
            yield unseen(INSTALLATION, publish)
        elif not publish:
            remedy = gcloud(
                *("pubsub", "topics", "add-iam-policy-binding", topic, member),
                "--role=roles/pubsub.publisher",
            )
            yield _bad("dead-letter-publish", f"{agent} may not publish to {short(topic)}", remedy)
        if isinstance(consume, Unseen):
            yield unseen(INSTALLATION, consume)
        elif not consume:
            remedy = gcloud(
                *("pubsub", "subscriptions", "add-iam-policy-binding", subscription.name, member),
                "--role=roles/pubsub.subscriber",
            )
            yield _bad(
                "dead-letter-consume", f"{agent} may not consume {short(subscription.name)}", remedy
            )


def _readers(facts: Installation, topic: str) -> Iterator[Finding]:
    readers = facts.dead_letters.get(topic, ())
    if isinstance(readers, Unseen) and readers.is_missing:
        remedy = gcloud("pubsub", "topics", "create", topic)
        yield _bad("dead-letter", f"the dead-letter topic {topic} does not exist", remedy)
    elif isinstance(readers, Unseen):
        yield unseen(INSTALLATION, readers)
    elif not readers:
        name = f"projects/{project_of(topic)}/subscriptions/{short(topic)}"
        remedy = gcloud(
            *("pubsub", "subscriptions", "create", name, f"--topic={topic}"),
            *("--expiration-period=never", "--message-retention-duration=31d"),
        )
        yield _warn("dead-letter-reader", f"nobody subscribes to {short(topic)}", remedy)


CHECKS: Final[tuple[Check, ...]] = (
    exists, kind, target, passes, deadline, retries, dead_letters,
)  # fmt: skip


def _budget(facts: Installation) -> float | None:
    """Return how long the function may work; None: it could not be read."""
    service = facts.service
    if not isinstance(service, Service):
        return None
    try:
        return float(service.environment.get("ROTATION_BUDGET_SECONDS") or _BUDGET)
    except ValueError:
        return _BUDGET


def _is_at(address: str, service: Service) -> bool:
    hosts = {urlsplit(url).netloc for url in (service.url, *service.urls) if url}
    return urlsplit(address).netloc in hosts


def _create(facts: Installation, name: str) -> str:
    url = facts.service.url if isinstance(facts.service, Service) else "FUNCTION_URL"
    return gcloud(
        *("pubsub", "subscriptions", "create", f"projects/{facts.project}/subscriptions/{name}"),
        *(f"--topic={facts.topic}", f"--push-endpoint={url}"),
        f"--push-auth-service-account=rotation-push@{facts.project}.iam.gserviceaccount.com",
        *_for(facts.service),
        *(f"--message-filter={FILTER}", "--ack-deadline=600", "--expiration-period=never"),
        *("--min-retry-delay=10s", "--max-retry-delay=600s", "--max-delivery-attempts=20"),
        f"--dead-letter-topic=projects/{facts.project}/topics/rotation-dead",
    )


def _modify(subscription: Subscription, *options: str) -> str:
    return gcloud("pubsub", "subscriptions", "modify-push-config", subscription.name, *options)


def _bad(check: str, message: str, remedy: str, fix: Fix | None = None) -> Finding:
    return Finding(check, Severity.ERROR, INSTALLATION, message, remedy, fix)


def _warn(check: str, message: str, remedy: str, fix: Fix | None = None) -> Finding:
    return Finding(check, Severity.WARNING, INSTALLATION, message, remedy, fix)

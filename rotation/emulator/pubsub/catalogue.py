"""Which topics and subscriptions there are, and which changes to them are allowed.

It never holds messages.

1. Refusals carry the service's own codes and messages; a message quotes the short id.
2. A deleted topic leaves its subscriptions behind, on ``_deleted-topic_``.
3. A subscription's topic, filter and ordering are fixed at creation.
4. Lists are sorted by name; the page token is the last name of the page before.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from google.pubsub_v1 import types

from rotation.emulator.pubsub.names import (
    DELETED_TOPIC,
    check_project,
    check_subscription,
    check_topic,
    short_id,
)
from rotation.emulator.pubsub.rules import check_push_config, completed
from rotation.emulator.status import StatusError, already_exists, invalid, not_found

_LARGEST_PAGE: Final = 1000
_CHANGEABLE: Final = {
    "Subscription": {
        "push_config",
        "ack_deadline_seconds",
        "retain_acked_messages",
        "message_retention_duration",
        "labels",
        "expiration_policy",
        "dead_letter_policy",
        "retry_policy",
        "enable_exactly_once_delivery",
    },
    "Topic": {"labels", "message_retention_duration", "message_storage_policy"},
}


class _Named(Protocol):
    name: str


_Resource = TypeVar("_Resource", types.Topic, types.Subscription)
_AnyNamed = TypeVar("_AnyNamed", bound=_Named)


class Catalogue:
    """All topics and subscriptions, of any project."""

    def __init__(self) -> None:
        self.topics: dict[str, types.Topic] = {}
        self.subscriptions: dict[str, types.Subscription] = {}

    def create_topic(self, topic: types.Topic) -> types.Topic:
        """Add a topic."""
        if check_topic(topic.name) in self.topics:
            raise _exists(topic.name)
        self.topics[topic.name] = types.Topic(topic)
        return topic

    def topic(self, name: str) -> types.Topic:
        """Return a topic."""
        try:
            return self.topics[check_topic(name)]
        except KeyError:
            raise _missing(name) from None

    def update_topic(self, asked: types.Topic, paths: Sequence[str]) -> types.Topic:
        """Replace the named fields of a topic."""
        self.topics[asked.name] = changed = _merged(self.topic(asked.name), asked, paths)
        return changed

    def delete_topic(self, name: str) -> list[types.Subscription]:
        """Remove a topic; return the subscriptions this orphaned."""
        self.topic(name)
        del self.topics[name]
        orphans = self.subscriptions_of(name)
        for subscription in orphans:
            subscription.topic = DELETED_TOPIC
        return orphans

    def topics_in(self, project: str) -> list[types.Topic]:
        """Return the topics of ``projects/P``."""
        return _within(self.topics.values(), project)

    def create_subscription(self, asked: types.Subscription) -> types.Subscription:
        """Add a subscription, with the service's defaults filled in."""
        check_subscription(asked.name)
        self.topic(asked.topic)
        if asked.name in self.subscriptions:
            raise _exists(asked.name)
        self.subscriptions[asked.name] = subscription = self._checked(asked)
        return subscription

    def subscription(self, name: str) -> types.Subscription:
        """Return a subscription."""
        try:
            return self.subscriptions[check_subscription(name)]
        except KeyError:
            raise _missing(name) from None

    def update_subscription(
        self, asked: types.Subscription, paths: Sequence[str]
    ) -> types.Subscription:
        """Replace the named fields of a subscription; nothing changes when one is refused."""
        changed = self._checked(_merged(self.subscription(asked.name), asked, paths))
        self.subscriptions[asked.name] = changed
        return changed

    def set_push_config(self, name: str, config: types.PushConfig) -> types.Subscription:
        """Make a subscription push to an endpoint, or pull when the endpoint is empty."""
        subscription = self.subscription(name)
        check_push_config(config)
        subscription.push_config = config
        return subscription

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription."""
        self.subscription(name)
        del self.subscriptions[name]

    def subscriptions_in(self, project: str) -> list[types.Subscription]:
        """Return the subscriptions of ``projects/P``."""
        return _within(self.subscriptions.values(), project)

    def subscriptions_of(self, topic: str) -> list[types.Subscription]:
        """Return the subscriptions of a topic."""
        return [one for one in self.subscriptions.values() if one.topic == topic]

    def _checked(self, asked: types.Subscription) -> types.Subscription:
        subscription = completed(asked)
        if "dead_letter_policy" in subscription:
            self.topic(subscription.dead_letter_policy.dead_letter_topic)
        return subscription


def page_of(items: Iterable[_AnyNamed], size: int, token: str) -> tuple[list[_AnyNamed], str]:
    """Return one page of named things and the token of the next page, empty on the last."""
    if size < 0:
        raise invalid("page_size must not be negative.")
    size = min(size or _LARGEST_PAGE, _LARGEST_PAGE)
    rest = sorted((item for item in items if item.name > token), key=lambda item: item.name)
    page = rest[:size]
    return page, page[-1].name if len(rest) > size else ""


def _within(resources: Iterable[_Resource], project: str) -> list[_Resource]:
    prefix = check_project(project) + "/"
    return [resource for resource in resources if resource.name.startswith(prefix)]


def _merged(stored: _Resource, asked: _Resource, paths: Sequence[str]) -> _Resource:
    kind = type(stored).__name__
    if not paths:
        raise invalid(
            f"The update_mask in the Update{kind}Request must be set, and must contain a "
            "non-empty paths list."
        )
    changed = type(stored)(stored)
    for path in paths:
        if path not in _CHANGEABLE[kind]:
            known = path in type(stored).meta.fields
            problem = (
                f"the {path} field in the {kind} is not mutable."
                if known
                else f"{path} is not a known {kind} field."
            )
            raise invalid(f"Invalid update_mask provided in the Update{kind}Request: {problem}")
        # A field that the request leaves out is cleared.
        setattr(changed, path, getattr(asked, path) if path in asked else None)
    return changed


def _missing(name: str) -> StatusError:
    return not_found(f"Resource not found (resource={short_id(name)}).")


def _exists(name: str) -> StatusError:
    return already_exists(f"Resource already exists in the project (resource={short_id(name)}).")

"""Take in messages, give each to the subscriptions it matches, and carry out deliveries' ends.

Synchronous, and used from one event loop only; `dispatcher` pushes, `api` answers calls.

1. A message that a subscription's filter refuses counts as acknowledged there.
2. Publish times come from the injected clock; everything that waits, waits in real time.
3. Message ids start from the time in microseconds, so a restart does not repeat them.
4. A message carries data or an attribute, or it is refused.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from google.pubsub_v1 import types

from rotation.emulator.clock import Clock
from rotation.emulator.iam import Iam
from rotation.emulator.pubsub.catalogue import Catalogue
from rotation.emulator.pubsub.failures import Failures
from rotation.emulator.pubsub.journal import Journal, Kept, NoJournal
from rotation.emulator.pubsub.message import Delivery, Message, rfc3339
from rotation.emulator.pubsub.names import project_of, short_id
from rotation.emulator.pubsub.queue import Queue
from rotation.emulator.pubsub.rules import check_modified_deadline, rules_of
from rotation.emulator.signing import TokenSigner
from rotation.emulator.status import invalid

_MOST_ATTRIBUTES: Final = 100
_LONGEST_KEY: Final = 256
_LONGEST_VALUE: Final = 1024
_LARGEST_DATA: Final = 10_000_000


class Broker:
    """The embedded Pub/Sub's state and its rules.

    Restores what ``journal`` holds.  `close` it when done.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        journal: Journal | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        iam: Iam | None = None,
    ) -> None:
        #: Policies of topics and subscriptions, and who used what.
        self.iam = iam or Iam()
        self.failures = Failures()
        #: Signs the tokens of pushes.
        self.signer = TokenSigner()
        self._clock = clock
        self._now = monotonic
        self._journal = journal or NoJournal()
        self._catalogue = Catalogue()
        self._queues: dict[str, Queue] = {}
        self._watchers: set[Callable[[], None]] = set()
        self._last_id = 0
        self._restore()

    def close(self) -> None:
        """Close the journal; may be called twice."""
        self._journal.close()

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every change; the returned function ends that."""
        self._watchers.add(callback)
        return lambda: self._watchers.discard(callback)

    def changed(self) -> None:
        """Tell the watchers; for whoever changed the failure modes."""
        for callback in tuple(self._watchers):
            callback()

    # Topics

    def create_topic(self, topic: types.Topic) -> types.Topic:
        """Add a topic."""
        created = self._catalogue.create_topic(topic)
        self._journal.save_topic(created)
        return created

    def topic(self, name: str) -> types.Topic:
        """Return a topic."""
        return self._catalogue.topic(name)

    def topics_in(self, project: str) -> list[types.Topic]:
        """Return the topics of ``projects/P``."""
        return self._catalogue.topics_in(project)

    def update_topic(self, topic: types.Topic, paths: Sequence[str]) -> types.Topic:
        """Replace the named fields of a topic."""
        changed = self._catalogue.update_topic(topic, paths)
        self._journal.save_topic(changed)
        return changed

    def delete_topic(self, name: str) -> None:
        """Remove a topic; its subscriptions keep what they have."""
        for orphan in self._catalogue.delete_topic(name):
            self._journal.save_subscription(orphan)
        self._journal.drop_topic(name)
        self.iam.forget(name)

    # Subscriptions

    def create_subscription(self, asked: types.Subscription) -> types.Subscription:
        """Add a subscription; it gets the messages published from now on."""
        subscription = self._catalogue.create_subscription(asked)
        self._add_queue(subscription)
        return self._saved(subscription)

    def subscription(self, name: str) -> types.Subscription:
        """Return a subscription."""
        return self._catalogue.subscription(name)

    def subscriptions_in(self, project: str) -> list[types.Subscription]:
        """Return the subscriptions of ``projects/P``."""
        return self._catalogue.subscriptions_in(project)

    def subscriptions_of(self, topic: str) -> list[types.Subscription]:
        """Return the subscriptions of a topic."""
        self._catalogue.topic(topic)
        return self._catalogue.subscriptions_of(topic)

    def update_subscription(
        self, asked: types.Subscription, paths: Sequence[str]
    ) -> types.Subscription:
        """Replace the named fields of a subscription."""
        subscription = self._catalogue.update_subscription(asked, paths)
        self._queues[subscription.name].rules = rules_of(subscription)
        return self._saved(subscription)

    def set_push_config(self, name: str, config: types.PushConfig) -> None:
        """Make a subscription push to an endpoint, or pull when the endpoint is empty."""
        self._saved(self._catalogue.set_push_config(name, config))

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription and its messages; deliveries under way end unheard."""
        self._catalogue.delete_subscription(name)
        del self._queues[name]
        self._journal.drop_subscription(name)
        self.iam.forget(name)
        self.changed()

    def queues(self) -> list[tuple[types.Subscription, Queue]]:
        """Return every subscription with its queue."""
        subscriptions = self._catalogue.subscriptions
        return [(subscriptions[name], queue) for name, queue in self._queues.items()]

    # Messages

    def publish(self, topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        """Publish one message.

        Raises:
            StatusError: NOT_FOUND when the topic is missing, or whatever a failure mode says.
        """
        self.publish_message(topic, attributes, data or b"")

    def publish_message(
        self, topic: str, attributes: Mapping[str, str], data: bytes, ordering_key: str = ""
    ) -> str:
        """Publish one message and return its id."""
        self.check_publish(topic)
        check_message(attributes, data)
        return self._fan_out(topic, attributes, data, ordering_key)

    def check_publish(self, topic: str) -> None:
        """Refuse a publish call to a missing topic, or as a failure mode says; counts as one."""
        self._catalogue.topic(topic)
        self.failures.check_publish(topic)

    def publish_batch(self, topic: str, messages: Sequence[types.PubsubMessage]) -> list[str]:
        """Publish all messages, or none when one is not valid; return their ids."""
        self.check_publish(topic)
        if not messages:
            raise invalid("The publish request must contain at least one message.")
        for message in messages:
            check_message(message.attributes, message.data)
        return [
            self._fan_out(topic, dict(one.attributes), one.data, one.ordering_key)
            for one in messages
        ]

    # Deliveries

    def lease(self, subscription: str, limit: int) -> list[Delivery]:
        """Start up to ``limit`` deliveries; none while a failure mode holds them."""
        self._catalogue.subscription(subscription)
        if self.failures.holds(subscription):
            return []
        return self._queues[subscription].lease(self._now(), limit)

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """End deliveries for good; repeats and late ones are accepted."""
        queue = self._queue_for(subscription, ack_ids)
        for ack_id in ack_ids:
            if not self.failures.loses_ack(subscription):
                queue.acknowledge(ack_id)
        self.changed()

    def modify_deadline(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Move deadlines to ``seconds`` from now; zero refuses the deliveries."""
        check_modified_deadline(seconds)
        queue = self._queue_for(subscription, ack_ids)
        for ack_id in ack_ids:
            if seconds:
                queue.extend(ack_id, seconds, self._now())
            else:
                queue.refuse(ack_id, self._now())
        self.changed()

    def pushed(self, subscription: str, delivery: Delivery, *, accepted: bool) -> None:
        """Record the answer to a push; nothing when the subscription is gone."""
        queue = self._queues.get(subscription)
        if queue is None:
            return
        if accepted and not self.failures.loses_ack(subscription):
            queue.acknowledge(delivery.ack_id)
        else:
            queue.refuse(delivery.ack_id, self._now())
        self.changed()

    def running(self, subscription: str, ack_ids: Iterable[str]) -> set[str]:
        """Return those of the deliveries that are neither acknowledged nor failed."""
        self._catalogue.subscription(subscription)
        queue = self._queues[subscription]
        queue.expire(self._now())
        return {ack_id for ack_id in ack_ids if queue.is_running(ack_id)}

    def wait_for_next(self, subscription: str) -> float | None:
        """Return the seconds until something may be due; None when only a change can help."""
        queue = self._queues[subscription]
        held = self.failures.holds(subscription)
        moments = [queue.next_expiry(), None if held else queue.next_delivery()]
        soonest = min((moment for moment in moments if moment is not None), default=None)
        return None if soonest is None else max(0.0, soonest - self._now())

    def backlog(self) -> dict[str, dict[str, int]]:
        """Return per subscription how much is undelivered, and how much of it is under way."""
        return {
            name: {"undelivered": len(queue), "outstanding": queue.outstanding}
            for name, queue in self._queues.items()
        }

    def now(self) -> float:
        """Return the real time that leases and retries are measured by, in seconds."""
        return self._now()

    # Keeper

    def keep(self, subscription: str, number: int, message: Message, attempts: int) -> None:
        """Remember a message and how often it was delivered."""
        self._journal.save_message(Kept(subscription, number, message, attempts))

    def forget(self, subscription: str, number: int) -> None:
        """Forget a message that owes nothing any more."""
        self._journal.drop_message(subscription, number)

    def hand_over(self, subscription: str, message: Message, attempts: int) -> bool:
        """Publish an exhausted message to its dead-letter topic; False when that is gone."""
        topic = self._queues[subscription].rules.dead_letter_topic
        if topic not in self._catalogue.topics:
            return False
        source = "CloudPubSubDeadLetterSource"
        attributes = {
            **message.attributes,
            f"{source}DeliveryCount": str(attempts),
            f"{source}Subscription": short_id(subscription),
            f"{source}SubscriptionProject": project_of(subscription),
            f"{source}TopicPublishTime": rfc3339(message.publish_time),
        }
        self._fan_out(topic, attributes, message.data, message.ordering_key)
        return True

    def _fan_out(
        self, topic: str, attributes: Mapping[str, str], data: bytes, ordering_key: str
    ) -> str:
        published = self._clock.now()
        message = Message(
            message_id=str(self._next_id(published)),
            publish_time=_to_millisecond(published),
            attributes=dict(attributes),
            data=data,
            ordering_key=ordering_key,
        )
        for subscription in self._catalogue.subscriptions_of(topic):
            queue = self._queues[subscription.name]
            if queue.rules.accepts(message.attributes):
                for _ in range(self.failures.copies_for(subscription.name)):
                    queue.add(message, self._now())
        self.changed()
        return message.message_id

    def _next_id(self, now: datetime) -> int:
        self._last_id = max(self._last_id + 1, int(now.timestamp() * 1_000_000))
        return self._last_id

    def _queue_for(self, subscription: str, ack_ids: Sequence[str]) -> Queue:
        self._catalogue.subscription(subscription)
        if not ack_ids:
            raise invalid("No ack ids specified.")
        return self._queues[subscription]

    def _saved(self, subscription: types.Subscription) -> types.Subscription:
        self._journal.save_subscription(subscription)
        self.changed()
        return subscription

    def _restore(self) -> None:
        for topic in self._journal.topics():
            self._catalogue.topics[topic.name] = topic
        for subscription in self._journal.subscriptions():
            self._catalogue.subscriptions[subscription.name] = subscription
            self._add_queue(subscription)
        for kept in self._journal.messages():
            queue = self._queues[kept.subscription]
            queue.restore(kept.number, kept.message, kept.attempts, self._now())

    def _add_queue(self, subscription: types.Subscription) -> None:
        start = self._next_id(self._clock.now())
        queue = Queue(subscription.name, rules_of(subscription), self, start)
        self._queues[subscription.name] = queue


def check_message(attributes: Mapping[str, str], data: bytes) -> None:
    """Refuse a message the service would refuse, with INVALID_ARGUMENT."""
    if not data and not attributes:
        raise invalid(
            "One or more messages in the publish request is empty. Each message must contain "
            "either non-empty data, or at least one attribute."
        )
    if len(data) > _LARGEST_DATA:
        raise invalid(f"The message's data is too large: at most {_LARGEST_DATA} bytes.")
    if len(attributes) > _MOST_ATTRIBUTES:
        raise invalid(f"The message has too many attributes: at most {_MOST_ATTRIBUTES}.")
    for key, value in attributes.items():
        if not key or len(key.encode()) > _LONGEST_KEY or key.startswith("goog"):
            raise invalid(f"The attribute key is not valid: {key[:_LONGEST_KEY]}")
        if len(value.encode()) > _LONGEST_VALUE:
            raise invalid(f"The value of attribute {key} is too long.")


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

"""What Pub/Sub promises, asked of ours and of Google's emulator.

Where ours follows the real service and the emulator does not, the row says so.
"""

import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
    OutOfRange,
)
from pubsub_support import Endpoint, PubSub

MISSING_TOPIC = "projects/demo-1/topics/nobody"
MISSING_SUBSCRIPTION = "projects/demo-1/subscriptions/nobody"


def test_topic_is_created_read_listed_and_deleted(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    assert pubsub.publisher.get_topic(topic=topic).name == topic
    listed = [one.name for one in pubsub.publisher.list_topics(project="projects/demo-1")]
    assert topic in listed
    pubsub.publisher.delete_topic(topic=topic)
    with pytest.raises(NotFound):
        pubsub.publisher.get_topic(topic=topic)


def test_subscription_is_created_read_listed_and_deleted(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic)
    stored = pubsub.subscriber.get_subscription(subscription=name)
    assert (stored.topic, stored.ack_deadline_seconds) == (topic, 10)
    assert stored.message_retention_duration.total_seconds() == 7 * 86400
    listed = pubsub.subscriber.list_subscriptions(project="projects/demo-1")
    assert name in [one.name for one in listed]
    assert list(pubsub.publisher.list_topic_subscriptions(topic=topic)) == [name]
    pubsub.subscriber.delete_subscription(subscription=name)
    with pytest.raises(NotFound):
        pubsub.subscriber.get_subscription(subscription=name)


def test_lists_come_in_pages(pubsub: PubSub) -> None:
    project = "projects/demo-pages"
    names = [f"{project}/topics/topic-{letter}" for letter in "abc"]
    for name in names:
        pubsub.publisher.create_topic(name=name)
    pager = pubsub.publisher.list_topics(request={"project": project, "page_size": 2})
    pages = [[topic.name for topic in page.topics] for page in pager.pages]
    assert [len(page) for page in pages] == [2, 1]
    assert sorted(name for page in pages for name in page) == names


def test_second_creation_is_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    with pytest.raises(AlreadyExists):
        pubsub.publisher.create_topic(name=topic)
    name = pubsub.subscribe(topic)
    with pytest.raises(AlreadyExists):
        pubsub.subscriber.create_subscription(name=name, topic=topic)


def test_missing_resources_are_not_found(pubsub: PubSub) -> None:
    calls = [
        lambda: pubsub.publisher.get_topic(topic=MISSING_TOPIC),
        lambda: pubsub.publisher.delete_topic(topic=MISSING_TOPIC),
        lambda: pubsub.publish(MISSING_TOPIC, b"x"),
        lambda: pubsub.subscribe(MISSING_TOPIC),
        lambda: pubsub.subscriber.get_subscription(subscription=MISSING_SUBSCRIPTION),
        lambda: pubsub.subscriber.delete_subscription(subscription=MISSING_SUBSCRIPTION),
        lambda: pubsub.pull_now(MISSING_SUBSCRIPTION),
    ]
    for call in calls:
        with pytest.raises(NotFound) as refusal:
            call()
        if pubsub.is_ours:  # the emulator has words of its own
            assert refusal.value.message == "Resource not found (resource=nobody)."


@pytest.mark.parametrize(
    "name",
    [
        "projects/p/topics/t",
        "projects/demo-1/topics/go",
        "projects/demo-1/topics/1abc",
        "projects/demo-1/topics/google-thing",
        "projects/demo-1/subscriptions/thing",
        "thing",
    ],
)
def test_bad_names_are_refused(pubsub: PubSub, name: str) -> None:
    with pytest.raises(InvalidArgument):
        pubsub.publisher.create_topic(name=name)


def test_published_message_is_pulled_and_acknowledged(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscribe(topic)
    number = pubsub.publish(topic, b"hello", eventType="SECRET_ROTATE")
    (received,) = pubsub.pull(subscription)
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"eventType": "SECRET_ROTATE"}
    assert received.message.message_id == number
    assert received.message.publish_time is not None
    pubsub.subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
    pubsub.subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
    assert pubsub.pull_now(subscription) == []


def test_refused_delivery_comes_again(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscribe(topic)
    number = pubsub.publish(topic, b"again")
    (first,) = pubsub.pull(subscription)
    pubsub.subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
    )
    (second,) = pubsub.pull(subscription)
    assert second.message.message_id == number
    assert second.ack_id != first.ack_id


def test_unknown_ack_id_is_refused(pubsub: PubSub) -> None:
    subscription = pubsub.subscribe(pubsub.topic())
    with pytest.raises(InvalidArgument):
        pubsub.subscriber.acknowledge(subscription=subscription, ack_ids=["made-up"])
    with pytest.raises(InvalidArgument):
        pubsub.subscriber.acknowledge(subscription=subscription, ack_ids=[])


def test_modified_ack_deadline_is_at_most_600_seconds(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic)
    pubsub.publish(topic, b"x")
    (received,) = pubsub.pull(name)

    def modify(seconds: int) -> None:
        pubsub.subscriber.modify_ack_deadline(
            subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=seconds
        )

    modify(600)
    if not pubsub.is_ours:
        modify(601)  # the emulator lets it pass
        return
    for seconds in (-1, 601):
        with pytest.raises(InvalidArgument):
            modify(seconds)


def test_every_subscription_gets_its_own_copy(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscriptions = [pubsub.subscribe(topic) for _ in range(2)]
    number = pubsub.publish(topic, b"x")
    for subscription in subscriptions:
        (received,) = pubsub.pull(subscription)
        assert received.message.message_id == number


def test_empty_message_is_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    with pytest.raises(InvalidArgument):
        pubsub.publish(topic)


def test_message_of_attributes_alone_has_no_data(pubsub: PubSub, endpoint: Endpoint) -> None:
    topic, path = pubsub.topic(), endpoint.path()
    pubsub.push(topic, endpoint.url(path))
    pubsub.publish(topic, eventType="TOPIC_CONFIGURED")
    message = endpoint.next(path).message
    assert message["attributes"] == {"eventType": "TOPIC_CONFIGURED"}
    # The emulator sends an empty string; the service leaves the key out.
    assert message.get("data") == (None if pubsub.is_ours else "")


def test_push_body_has_both_spellings_of_id_and_time(pubsub: PubSub, endpoint: Endpoint) -> None:
    topic, path = pubsub.topic(), endpoint.path()
    subscription = pubsub.push(topic, endpoint.url(path))
    number = pubsub.publish(topic, b"{}", secretId="projects/1/secrets/app")
    received = endpoint.next(path)
    message = received.message
    assert set(received.body) == {"message", "subscription"}
    assert received.body["subscription"] == subscription
    assert message["messageId"] == message["message_id"] == number
    assert message["publishTime"] == message["publish_time"]
    assert message["publishTime"].endswith("Z")
    assert message["data"] == "e30="
    assert message["attributes"] == {"secretId": "projects/1/secrets/app"}
    assert received.headers["content-type"].startswith("application/json")
    assert not [name for name in received.headers if name.startswith("ce-")]


def test_push_that_failed_comes_again(pubsub: PubSub, endpoint: Endpoint) -> None:
    answers = iter([500, 429, 204])
    topic, path = pubsub.topic(), endpoint.path(lambda _: next(answers))
    subscription = pubsub.push(topic, endpoint.url(path))
    pubsub.publish(topic, b"x")
    ids = {endpoint.next(path).message["messageId"] for _ in range(3)}
    assert len(ids) == 1
    pubsub.subscriber.delete_subscription(subscription=subscription)


def test_dead_letter_takes_a_message_after_its_last_attempt(
    pubsub: PubSub, endpoint: Endpoint
) -> None:
    topic, dead = pubsub.topic(), pubsub.topic()
    grave = pubsub.subscribe(dead)
    path = endpoint.path(lambda _: 500)
    subscription = pubsub.push(
        topic,
        endpoint.url(path),
        dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5},
    )
    pubsub.publish(topic, b"lost", eventType="SECRET_ROTATE")
    (buried,) = pubsub.pull(grave)
    attempts = [endpoint.next(path).body.get("deliveryAttempt") for _ in range(5)]
    assert endpoint.count(path) == 0
    # The emulator sends none.
    assert attempts == ([1, 2, 3, 4, 5] if pubsub.is_ours else [None] * 5)
    attributes = dict(buried.message.attributes)
    published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert published[:2] == "20"
    assert attributes == {
        "eventType": "SECRET_ROTATE",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": subscription.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": "demo-1",
    }
    assert buried.message.data == b"lost"


@pytest.mark.parametrize("attempts", [5, 100])
def test_dead_letter_policy_takes_5_to_100_attempts(pubsub: PubSub, attempts: int) -> None:
    policy = {"dead_letter_topic": pubsub.topic(), "max_delivery_attempts": attempts}
    name = pubsub.subscribe(pubsub.topic(), dead_letter_policy=policy)
    stored = pubsub.subscriber.get_subscription(subscription=name)
    assert stored.dead_letter_policy.max_delivery_attempts == attempts


@pytest.mark.parametrize("attempts", [4, 101])
def test_dead_letter_policy_refuses_other_numbers_of_attempts(
    pubsub: PubSub, attempts: int
) -> None:
    policy = {"dead_letter_topic": pubsub.topic(), "max_delivery_attempts": attempts}
    with pytest.raises(OutOfRange):
        pubsub.subscribe(pubsub.topic(), dead_letter_policy=policy)


def test_dead_letter_topic_must_exist(pubsub: PubSub) -> None:
    with pytest.raises(NotFound):
        pubsub.subscribe(pubsub.topic(), dead_letter_policy={"dead_letter_topic": MISSING_TOPIC})


@pytest.mark.parametrize("seconds", [9, 601])
def test_ack_deadline_is_10_to_600_seconds(pubsub: PubSub, seconds: int) -> None:
    topic = pubsub.topic()
    if seconds < 10 and not pubsub.is_ours:
        pubsub.subscribe(topic, ack_deadline_seconds=seconds)  # the emulator lets it pass
        return
    with pytest.raises(InvalidArgument):
        pubsub.subscribe(topic, ack_deadline_seconds=seconds)


@pytest.mark.parametrize(
    "policy",
    [
        {"minimum_backoff": {"seconds": 601}},
        {"minimum_backoff": {"seconds": 50}, "maximum_backoff": {"seconds": 20}},
    ],
)
def test_impossible_retry_policy_is_refused(
    pubsub: PubSub, policy: dict[str, dict[str, int]]
) -> None:
    with pytest.raises(InvalidArgument):
        pubsub.subscribe(pubsub.topic(), retry_policy=policy)


def test_retry_policy_defaults_to_10_and_600_seconds(pubsub: PubSub) -> None:
    name = pubsub.subscribe(pubsub.topic(), retry_policy={})
    policy = pubsub.subscriber.get_subscription(subscription=name).retry_policy
    assert policy.minimum_backoff.total_seconds() == 10
    assert policy.maximum_backoff.total_seconds() == 600


def test_filter_lets_only_matching_messages_through(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscribe(topic, filter='attributes.eventType = "SECRET_ROTATE"')
    pubsub.publish(topic, b"1", eventType="SECRET_UPDATE")
    pubsub.publish(topic, b"2", eventType="SECRET_ROTATE")
    pubsub.publish(topic, b"3")
    pubsub.publish(topic, b"4", eventType="SECRET_ROTATE")
    # The emulator stores a filter and ignores it.
    expected = {b"2", b"4"} if pubsub.is_ours else {b"1", b"2", b"3", b"4"}
    received = pubsub.pull(subscription, len(expected))
    assert {one.message.data for one in received} == expected
    assert pubsub.pull_now(subscription) == []


@pytest.mark.parametrize("text", ["attributes.k = v", "hello", f'attributes.k = "{"v" * 256}"'])
def test_bad_filter_is_refused(pubsub: PubSub, text: str) -> None:
    request = {"name": pubsub.new_name(), "topic": pubsub.topic(), "filter": text}
    if not pubsub.is_ours:
        pubsub.subscriber.create_subscription(request=request)  # the emulator stores anything
        return
    with pytest.raises(InvalidArgument):
        pubsub.subscriber.create_subscription(request=request)
    with pytest.raises(NotFound):
        pubsub.subscriber.get_subscription(subscription=request["name"])


def test_filter_and_topic_are_fixed_at_creation(pubsub: PubSub) -> None:
    name = pubsub.subscribe(pubsub.topic(), filter="attributes:k")
    for path in ("filter", "topic", "no_such_field"):
        with pytest.raises(InvalidArgument):
            pubsub.subscriber.update_subscription(
                subscription={"name": name, "filter": "attributes:other"},
                update_mask={"paths": [path]},
            )


def test_ack_deadline_is_updated_and_the_rest_stays(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic, labels={"team": "db"})
    changed = pubsub.subscriber.update_subscription(
        subscription={"name": name, "ack_deadline_seconds": 20},
        update_mask={"paths": ["ack_deadline_seconds"]},
    )
    assert (changed.ack_deadline_seconds, changed.topic) == (20, topic)
    assert dict(changed.labels) == {"team": "db"}


def test_update_without_a_mask_is_refused(pubsub: PubSub) -> None:
    name = pubsub.subscribe(pubsub.topic())
    with pytest.raises(InvalidArgument):
        pubsub.subscriber.update_subscription(subscription={"name": name}, update_mask={})


def test_subscription_outlives_its_topic(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic)
    pubsub.publish(topic, b"kept")
    pubsub.publisher.delete_topic(topic=topic)
    assert pubsub.subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"
    assert pubsub.pull(name)[0].message.data == b"kept"


def test_pull_becomes_push_and_what_waits_is_pushed(pubsub: PubSub, endpoint: Endpoint) -> None:
    topic, path = pubsub.topic(), endpoint.path()
    name = pubsub.subscribe(topic)
    number = pubsub.publish(topic, b"x")
    pubsub.subscriber.modify_push_config(
        subscription=name, push_config={"push_endpoint": endpoint.url(path)}
    )
    assert endpoint.next(path).message["messageId"] == number


def test_endpoint_that_is_no_url_is_refused(pubsub: PubSub) -> None:
    with pytest.raises(InvalidArgument):
        pubsub.push(pubsub.topic(), "nowhere")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ack_deadline_seconds": 601},
        {"dead_letter_policy": {"dead_letter_topic": MISSING_TOPIC}},
    ],
)
def test_refused_creation_leaves_nothing_behind(pubsub: PubSub, wrong: dict[str, object]) -> None:
    name = pubsub.new_name()
    with pytest.raises(GoogleAPICallError):
        pubsub.subscriber.create_subscription(
            request={"name": name, "topic": pubsub.topic(), **wrong}
        )
    with pytest.raises(NotFound):
        pubsub.subscriber.get_subscription(subscription=name)

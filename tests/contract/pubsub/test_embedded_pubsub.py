"""What the embedded Pub/Sub adds to the contract: failure modes, Eventarc, persistence, REST."""

import itertools
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from google.api_core.exceptions import NotFound, PermissionDenied, ServiceUnavailable
from google.cloud import pubsub_v1
from google.pubsub_v1.types import StreamingPullRequest
from pubsub_support import PATIENCE, Endpoint, PubSub, Received, ours

from rotation.emulator.pubsub.forward import ForwardingPublisher
from rotation.emulator.status import StatusError


@pytest.fixture
def mine(our_pubsub: PubSub) -> Iterator[PubSub]:
    yield our_pubsub
    httpx.delete(f"{our_pubsub.rest_url}embedded/v1/pubsub/failures").raise_for_status()


def set_failures(pubsub: PubSub, **modes: object) -> httpx.Response:
    return httpx.patch(f"{pubsub.rest_url}embedded/v1/pubsub/failures", json=modes)


def test_eventarc_delivery_carries_the_event_in_headers(mine: PubSub, endpoint: Endpoint) -> None:
    topic, path = mine.topic(), endpoint.path()
    config = {
        "push_endpoint": endpoint.url(path),
        "attributes": {"embedded-delivery": "eventarc"},
    }
    name = mine.subscribe(topic, push_config=config)
    number = mine.publish(topic, eventType="TOPIC_CONFIGURED")
    received = endpoint.next(path)
    message = received.message
    assert {key: value for key, value in received.headers.items() if key.startswith("ce-")} == {
        "ce-id": number,
        "ce-source": f"//pubsub.googleapis.com/{topic}",
        "ce-specversion": "1.0",
        "ce-time": message["publishTime"],
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    }
    assert received.body["subscription"] == name
    assert "data" not in message


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_successful_answer_acknowledges(mine: PubSub, endpoint: Endpoint, status: int) -> None:
    topic, path = mine.topic(), endpoint.path(lambda _: status)
    name = mine.push(topic, endpoint.url(path))
    mine.publish(topic, b"x")
    mine.wait_until_delivered(name)
    endpoint.next(path)
    assert endpoint.count(path) == 0


@pytest.mark.parametrize("status", [203, 206, 302, 400, 404, 500])
def test_any_other_answer_brings_the_message_again(
    mine: PubSub, endpoint: Endpoint, status: int
) -> None:
    answers = iter([status, 200])
    topic, path = mine.topic(), endpoint.path(lambda _: next(answers))
    name = mine.push(topic, endpoint.url(path))
    number = mine.publish(topic, b"x")
    assert [endpoint.next(path).message["messageId"] for _ in range(2)] == [number, number]
    mine.wait_until_delivered(name)


def test_unreachable_endpoint_gets_the_message_once_it_is_there(mine: PubSub) -> None:
    late = Endpoint()
    path = late.path()
    url = late.url(path)
    late.close()
    topic = mine.topic()
    name = mine.push(topic, url)
    number = mine.publish(topic, b"x")
    there = Endpoint()
    try:
        path = there.path()
        mine.subscriber.modify_push_config(
            subscription=name, push_config={"push_endpoint": there.url(path)}
        )
        assert there.next(path).message["messageId"] == number
    finally:
        there.close()


def test_backoff_doubles_up_to_its_maximum(mine: PubSub, endpoint: Endpoint) -> None:
    topic, path = mine.topic(), endpoint.path(lambda _: 503)
    policy = {
        "minimum_backoff": timedelta(seconds=0.25),
        "maximum_backoff": timedelta(seconds=1),
    }
    name = mine.push(topic, endpoint.url(path), retry_policy=policy)
    mine.publish(topic, b"x")
    moments = [endpoint.next(path).at for _ in range(6)]
    mine.subscriber.delete_subscription(subscription=name)
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # A busy machine can only make a wait longer, never shorter than asked for.
    assert all(wait >= least for wait, least in zip(waits, (0.25, 0.5, 1, 1, 1), strict=True))


def test_twenty_deliveries_run_at_once(endpoint: Endpoint) -> None:
    everybody = threading.Barrier(20)

    def meet(_received: Received) -> int:
        everybody.wait(PATIENCE)
        return 200

    with ours(first_window=20) as pubsub:
        topic, path = pubsub.topic(), endpoint.path(meet)
        name = pubsub.push(topic, endpoint.url(path))
        for number in range(20):
            pubsub.publish(topic, b"x", n=str(number))
        numbers = {endpoint.next(path).message["attributes"]["n"] for _ in range(20)}
        assert len(numbers) == 20
        pubsub.wait_until_delivered(name)
    assert not everybody.broken


def test_slow_start_sends_one_push_until_the_first_success(
    mine: PubSub, endpoint: Endpoint
) -> None:
    release = threading.Event()
    running = itertools.count(1)
    at_once: list[int] = []

    def hold(_received: Received) -> int:
        at_once.append(next(running))
        release.wait(PATIENCE)
        return 200

    topic, path = mine.topic(), endpoint.path(hold)
    name = mine.push(topic, endpoint.url(path))
    for _ in range(3):
        mine.publish(topic, b"x")
    endpoint.next(path)
    backlog = mine.on_loop(lambda broker: broker.backlog()[name])
    assert backlog == {"undelivered": 3, "outstanding": 1}
    release.set()
    mine.wait_until_delivered(name)
    assert len(at_once) == 3


def test_each_message_is_delivered_twice_on_request(mine: PubSub, endpoint: Endpoint) -> None:
    topic, path = mine.topic(), endpoint.path()
    name = mine.push(topic, endpoint.url(path))
    assert set_failures(mine, duplicate={name: 2}).status_code == 200
    number = mine.publish(topic, b"x")
    received = [endpoint.next(path).message["messageId"] for _ in range(2)]
    assert received == [number, number]
    mine.wait_until_delivered(name)
    assert endpoint.count(path) == 0


def test_lost_answer_to_a_push_brings_the_message_again(mine: PubSub, endpoint: Endpoint) -> None:
    topic, path = mine.topic(), endpoint.path()
    name = mine.push(topic, endpoint.url(path))
    set_failures(mine, loseAcks={name: 1})
    number = mine.publish(topic, b"x")
    assert [endpoint.next(path).message["messageId"] for _ in range(2)] == [number, number]
    mine.wait_until_delivered(name)
    assert endpoint.count(path) == 0


def test_held_messages_arrive_after_the_release(mine: PubSub, endpoint: Endpoint) -> None:
    topic, path = mine.topic(), endpoint.path()
    name = mine.push(topic, endpoint.url(path))
    pulled = mine.subscribe(topic)
    set_failures(mine, hold=[name, pulled])
    number = mine.publish(topic, b"x")
    assert mine.pull_now(pulled) == []
    assert mine.on_loop(lambda broker: broker.backlog()[name])["outstanding"] == 0
    set_failures(mine, hold=[])
    assert endpoint.next(path).message["messageId"] == number
    assert mine.pull(pulled)[0].message.message_id == number


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("NOT_FOUND", NotFound),
        ("PERMISSION_DENIED", PermissionDenied),
        ("UNAVAILABLE", ServiceUnavailable),
    ],
)
def test_publish_is_refused_on_request_as_often_as_asked(
    mine: PubSub, code: str, error: type[Exception]
) -> None:
    topic = mine.topic()
    mine.on_loop(lambda broker: broker.failures.refuse_publish(code, topic, times=1))
    message = {"data": b"x"}
    with pytest.raises(error):
        mine.publisher.publish(topic=topic, messages=[message], retry=None)
    mine.publisher.publish(topic=topic, messages=[message], retry=None)


def test_refusals_reach_the_secret_store_as_status_errors(mine: PubSub) -> None:
    topic = mine.topic()

    def code_of(topic: str) -> grpc.StatusCode:
        with pytest.raises(StatusError) as refusal:
            mine.on_loop(lambda broker: broker.publish(topic, {"eventType": "X"}, None))
        return refusal.value.code

    assert code_of("projects/demo-1/topics/nobody") is grpc.StatusCode.NOT_FOUND
    mine.on_loop(lambda broker: broker.failures.refuse_publish("PERMISSION_DENIED", topic))
    assert code_of(topic) is grpc.StatusCode.PERMISSION_DENIED


def test_unknown_failure_mode_is_refused(mine: PubSub) -> None:
    assert set_failures(mine, explode=True).status_code == 400
    assert set_failures(mine, duplicate={"*": 0}).status_code == 400
    assert set_failures(mine, refusePublish={"*": {"code": "TEAPOT"}}).status_code == 400
    assert set_failures(mine, refusePublish=[1]).status_code == 400


def test_publish_time_follows_the_moved_clock_but_redelivery_does_not(endpoint: Endpoint) -> None:
    with ours() as pubsub:
        topic, path = pubsub.topic(), endpoint.path(lambda _: 500)
        name = pubsub.push(
            topic, endpoint.url(path), retry_policy={"minimum_backoff": {"seconds": 600}}
        )
        pubsub.publish(topic, b"x")
        endpoint.next(path)
        pubsub.clock.advance(timedelta(days=2))
        pubsub.wait_until(lambda broker: broker.backlog()[name]["outstanding"] == 0)
        assert pubsub.on_loop(lambda broker: broker.wait_for_next(name)) > 500
        pubsub.publish(topic, b"y")
        published = datetime.fromisoformat(endpoint.next(path).message["publishTime"])
        assert published > datetime.now(UTC) + timedelta(days=1)
        pubsub.wait_until(lambda broker: broker.backlog()[name]["outstanding"] == 0)
        assert endpoint.count(path) == 0


def test_restart_keeps_topics_subscriptions_and_undelivered_messages(tmp_path: Path) -> None:
    file = tmp_path / "pubsub.sqlite"
    with ours(file) as pubsub:
        topic, dead = pubsub.topic(), pubsub.topic()
        name = pubsub.subscribe(
            topic, filter="attributes:k", dead_letter_policy={"dead_letter_topic": dead}
        )
        done = pubsub.publish(topic, b"done", k="1")
        waiting = pubsub.publish(topic, b"waiting", k="2")
        received = pubsub.pull(name, 2)
        first = next(one for one in received if one.message.message_id == done)
        pubsub.subscriber.acknowledge(subscription=name, ack_ids=[first.ack_id])
    with ours(file) as pubsub:
        assert pubsub.publisher.get_topic(topic=topic).name == topic
        (again,) = pubsub.pull(name)
        assert (again.message.message_id, again.message.data) == (waiting, b"waiting")
        assert dict(again.message.attributes) == {"k": "2"}
        assert again.delivery_attempt == 2
        pubsub.publish(topic, b"refused by the filter")
        pubsub.publish(topic, b"after", k="3")
        assert pubsub.pull(name)[0].message.data == b"after"


def test_deleted_resources_stay_deleted_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "pubsub.sqlite"
    with ours(file) as pubsub:
        topic = pubsub.topic()
        name = pubsub.subscribe(topic)
        pubsub.publish(topic, b"x")
        pubsub.subscriber.delete_subscription(subscription=name)
        pubsub.publisher.delete_topic(topic=topic)
    with ours(file) as pubsub, pytest.raises(NotFound):
        pubsub.publisher.get_topic(topic=topic)


def test_topic_labels_are_replaced_as_a_whole(mine: PubSub) -> None:
    topic = mine.topic()
    for labels in ({"team": "db", "tier": "1"}, {"team": "web"}):
        mine.publisher.update_topic(
            topic={"name": topic, "labels": labels}, update_mask={"paths": ["labels"]}
        )
    assert dict(mine.publisher.get_topic(topic=topic).labels) == {"team": "web"}


def test_subscriber_of_the_client_library_receives_and_acknowledges(mine: PubSub) -> None:
    topic = mine.topic()
    name = mine.subscribe(topic)
    got: list[bytes] = []
    everything = threading.Event()

    def take(message: pubsub_v1.subscriber.message.Message) -> None:
        got.append(message.data)
        message.ack()
        if len(got) == 5:
            everything.set()

    subscriber = pubsub_v1.SubscriberClient(
        transport=type(mine.subscriber.transport)(channel=mine.channel)
    )
    future = subscriber.subscribe(name, callback=take)
    for number in range(5):
        mine.publish(topic, b"%d" % number)
    assert everything.wait(PATIENCE)
    mine.wait_until_delivered(name)
    future.cancel()
    future.result(PATIENCE)
    assert sorted(got) == [b"0", b"1", b"2", b"3", b"4"]


def test_stream_obeys_its_limit_its_deadline_and_its_acknowledgements(mine: PubSub) -> None:
    topic = mine.topic()
    name = mine.subscribe(topic)
    requests: queue.SimpleQueue[StreamingPullRequest | None] = queue.SimpleQueue()
    first_request = StreamingPullRequest(
        subscription=name, stream_ack_deadline_seconds=60, max_outstanding_messages=1
    )
    requests.put(first_request)
    stream = mine.subscriber.streaming_pull(requests=iter(requests.get, None))
    numbers = [mine.publish(topic, b"x")]
    (first,) = next(iter(stream)).received_messages
    assert mine.on_loop(lambda broker: broker.wait_for_next(name)) > 30
    numbers.append(mine.publish(topic, b"y"))
    backlog = mine.on_loop(lambda broker: broker.backlog()[name])
    assert backlog == {"undelivered": 2, "outstanding": 1}
    requests.put(StreamingPullRequest(ack_ids=[first.ack_id]))
    (second,) = next(iter(stream)).received_messages
    assert [first.message.message_id, second.message.message_id] == numbers
    requests.put(
        StreamingPullRequest(modify_deadline_ack_ids=[second.ack_id], modify_deadline_seconds=[0])
    )
    (again,) = next(iter(stream)).received_messages
    assert again.message.message_id == numbers[1]
    requests.put(StreamingPullRequest(ack_ids=[again.ack_id]))
    mine.wait_until_delivered(name)
    stream.cancel()
    requests.put(None)


def test_missed_deadline_of_the_last_attempt_is_a_dead_letter_though_nobody_pulls(
    mine: PubSub,
) -> None:
    topic, dead = mine.topic(), mine.topic()
    grave = mine.subscribe(dead)
    name = mine.subscribe(topic, dead_letter_policy={"dead_letter_topic": dead})
    mine.publish(topic, b"x")
    for seconds in (0, 0, 0, 0, 1):
        (received,) = mine.pull(name)
        mine.subscriber.modify_ack_deadline(
            subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=seconds
        )
    assert received.delivery_attempt == 5
    assert mine.pull(grave)[0].message.data == b"x"


def test_forwarding_publisher_publishes_and_reports_refusals(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic)
    with ForwardingPublisher(pubsub.address) as publisher:
        publisher.publish(topic, {"eventType": "TOPIC_CONFIGURED"}, None)
        with pytest.raises(StatusError) as refusal:
            publisher.publish("projects/demo-1/topics/nobody", {"k": "v"}, b"x")
    assert refusal.value.code is grpc.StatusCode.NOT_FOUND
    assert dict(pubsub.pull(name)[0].message.attributes) == {"eventType": "TOPIC_CONFIGURED"}


def test_rest_answers_as_google_does(pubsub: PubSub) -> None:
    with httpx.Client(base_url=pubsub.rest_url) as rest:
        topic = "v1/projects/demo-1/topics/over-rest"
        assert rest.put(topic, json={}).json() == {"name": topic[3:]}
        assert rest.put(topic, json={}).json()["error"]["status"] == "ALREADY_EXISTS"
        missing = rest.get("v1/projects/demo-1/topics/nobody")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, 404)
        name = "v1/projects/demo-1/subscriptions/over-rest"
        rest.put(name, json={"topic": topic[3:], "ackDeadlineSeconds": 30}).raise_for_status()
        sent = rest.post(f"{topic}:publish", json={"messages": [{"attributes": {"k": "v"}}]})
        (number,) = sent.json()["messageIds"]
        (received,) = rest.post(f"{name}:pull", json={"maxMessages": 1}).json()["receivedMessages"]
        assert received["message"]["messageId"] == number
        taken = rest.post(f"{name}:acknowledge", json={"ackIds": [received["ackId"]]})
        assert (taken.status_code, taken.json()) == (200, {})
        change = {"subscription": {"ackDeadlineSeconds": 60}, "updateMask": "ackDeadlineSeconds"}
        assert rest.patch(name, json=change).json()["ackDeadlineSeconds"] == 60
        assert rest.post(f"{topic}:publish", json={"nonsense": 1}).status_code == 400
        for word in ("one", "two"):
            rest.put(f"v1/projects/rest-pages/topics/{word}").raise_for_status()
        first = rest.get("v1/projects/rest-pages/topics", params={"pageSize": 1}).json()
        rest_of_it = {"pageToken": first["nextPageToken"]}
        last = rest.get("v1/projects/rest-pages/topics", params=rest_of_it).json()
        names = [one["name"].rpartition("/")[2] for one in first["topics"] + last["topics"]]
        assert (sorted(names), "nextPageToken" in last) == (["one", "two"], False)
        assert rest.delete(name).json() == {}
        assert rest.delete(topic).json() == {}

import threading

import pytest
from pubsub_support import PATIENCE, Endpoint, PubSub, Received


@pytest.mark.slow
def test_handler_slower_than_the_ack_deadline_is_called_again_while_it_runs(
    pubsub: PubSub, endpoint: Endpoint
) -> None:
    finished = threading.Event()

    def wait(_received: Received) -> int:
        finished.wait(PATIENCE)
        return 200

    topic, path = pubsub.topic(), endpoint.path(wait)
    name = pubsub.push(topic, endpoint.url(path), ack_deadline_seconds=10)
    try:
        pubsub.publish(topic, b"x")
        first, second = endpoint.next(path), endpoint.next(path)
        assert not finished.is_set()
        assert first.message["messageId"] == second.message["messageId"]
        assert second.at - first.at > 5
    finally:
        pubsub.subscriber.delete_subscription(subscription=name)
        finished.set()


@pytest.mark.slow
def test_pulled_message_comes_again_after_its_deadline_but_not_before(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    name = pubsub.subscribe(topic, ack_deadline_seconds=10)
    number = pubsub.publish(topic, b"x")
    (first,) = pubsub.pull(name)
    assert pubsub.pull_now(name) == []
    (second,) = pubsub.pull(name)
    assert (second.message.message_id, second.ack_id == first.ack_id) == (number, False)

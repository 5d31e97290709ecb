"""What is published, and what each answer of Pub/Sub becomes."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from google.pubsub_v1 import types

from rotation.google.publisher import PubSubPublisher
from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    TemporaryError,
)

TOPIC = "projects/demo/topics/rotation"
CODE = grpc.StatusCode


class ScriptedTopic:
    def __init__(self) -> None:
        self.answers: list[grpc.StatusCode] = []
        self.requests: list[types.PublishRequest] = []
        self._threads = ThreadPoolExecutor(4)
        self._server = grpc.server(self._threads)
        handler = grpc.unary_unary_rpc_method_handler(
            self._publish, types.PublishRequest.deserialize, types.PublishResponse.serialize
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "google.pubsub.v1.Publisher", {"Publish": handler}
                ),
            )
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()
        self._threads.shutdown()

    def _publish(
        self, request: types.PublishRequest, context: grpc.ServicerContext
    ) -> types.PublishResponse:
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer is not CODE.OK:
                context.abort(answer, "words of the service")
        ids = [str(number) for number, _ in enumerate(request.messages)]
        return types.PublishResponse(message_ids=ids)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedTopic]:
    scripted = ScriptedTopic()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", scripted.endpoint)
    yield scripted
    scripted.stop()


@pytest.fixture
def publisher(topic: ScriptedTopic) -> Iterator[PubSubPublisher]:
    publisher = PubSubPublisher(TOPIC)
    yield publisher
    publisher.close()


def test_each_wake_up_is_one_message_of_attributes_only(
    topic: ScriptedTopic, publisher: PubSubPublisher
) -> None:
    wake_ups = [{"eventType": "ROTATION_WAKE", "secretId": f"s{n}"} for n in range(250)]
    publisher.publish(wake_ups)
    messages = [message for request in topic.requests for message in request.messages]
    sent = [dict(message.attributes) for message in messages]
    assert sorted(sent, key=str) == sorted(wake_ups, key=str)
    assert {message.data for message in messages} == {b""}
    assert {request.topic for request in topic.requests} == {TOPIC}


def test_nothing_to_publish_needs_no_client(publisher: PubSubPublisher) -> None:
    publisher.publish([])
    assert publisher._client is None


def test_a_paced_publisher_sends_every_message(topic: ScriptedTopic) -> None:
    publisher = PubSubPublisher(TOPIC, per_second=100)
    publisher.publish([{"n": str(number)} for number in range(5)])
    publisher.close()
    assert sum(len(request.messages) for request in topic.requests) == 5


def test_pacing_waits_between_messages(
    topic: ScriptedTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    clock = SimpleNamespace(sleep=waits.append, monotonic=lambda: 7.0)
    monkeypatch.setattr("rotation.google.publisher.time", clock)
    publisher = PubSubPublisher(TOPIC, per_second=4)
    publisher.publish([{"n": str(number)} for number in range(3)])
    publisher.close()
    assert waits == [0.0, 0.25, 0.5]


def test_a_passing_failure_is_sent_again(topic: ScriptedTopic, publisher: PubSubPublisher) -> None:
    topic.answers = [CODE.UNAVAILABLE, CODE.OK]
    publisher.publish([{"a": "b"}])
    assert len(topic.requests) == 2


@pytest.mark.parametrize(
    ("code", "error", "remedy"),
    [
        (CODE.NOT_FOUND, NotFoundError, "gcloud pubsub topics create rotation"),
        (CODE.PERMISSION_DENIED, AccessDeniedError, "roles/pubsub.publisher"),
        (CODE.INVALID_ARGUMENT, PermanentError, "words of the service"),
    ],
)
def test_a_refusal_is_permanent_and_sent_once(
    topic: ScriptedTopic,
    publisher: PubSubPublisher,
    code: grpc.StatusCode,
    error: type[Exception],
    remedy: str,
) -> None:
    topic.answers = [code]
    with pytest.raises(error, match=remedy):
        publisher.publish([{"a": "b"}])
    assert len(topic.requests) == 1


@pytest.mark.parametrize(
    "code", [CODE.UNAVAILABLE, CODE.RESOURCE_EXHAUSTED, CODE.INTERNAL, CODE.UNAUTHENTICATED]
)
def test_a_failure_that_lasts_is_temporary(topic: ScriptedTopic, code: grpc.StatusCode) -> None:
    topic.answers = [code]
    publisher = PubSubPublisher(TOPIC, timeout=0.8)
    with pytest.raises(TemporaryError, match=TOPIC):
        publisher.publish([{"a": "b"}])
    publisher.close()
    assert topic.requests


def test_an_attribute_that_is_no_text_is_refused(publisher: PubSubPublisher) -> None:
    with pytest.raises(PermanentError):
        publisher.publish([{"n": 5}])  # type: ignore[dict-item]


def test_a_process_that_publishes_nothing_never_loads_the_client() -> None:
    code = (
        "import sys; from rotation.google.publisher import PubSubPublisher;"
        "PubSubPublisher('projects/p/topics/t').publish([]);"
        "sys.exit(bool({'grpc', 'google.cloud.pubsub_v1', 'google.auth'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_topic_names_the_setting() -> None:
    with pytest.raises(PermanentError, match="set ROTATION_TOPIC"):
        PubSubPublisher("").publish([{"a": "b"}])

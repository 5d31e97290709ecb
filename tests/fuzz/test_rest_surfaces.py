"""Whatever a client sends to the embedded services over REST: Google's answer or Google's refusal.

The requests are drawn by schemathesis from a description that is made of the tables of calls.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import schemathesis
from google.pubsub_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.clock import MovableClock
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.server import rest_app
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError
from rotation.emulator.web import serve_app

from . import openapi
from .profiles import examples
from .texts import HOSTILE, any_text
from .wire import check_error

TOPIC = "projects/demo-project/topics/rotation"
WORKER = "projects/demo-project/subscriptions/worker"


@asynccontextmanager
async def running_pubsub() -> AsyncIterator[tuple[Broker, str]]:
    broker = Broker(MovableClock())
    async with serve_app(rest_app(broker)) as url:
        yield broker, url


@pytest.fixture(scope="module")
def secret_manager() -> Iterator[Background[SecretManagerServer]]:
    with serve_in_background(lambda: SecretManagerServer(Store())) as background:
        yield background


@pytest.fixture(scope="module")
def pubsub() -> Iterator[Background[tuple[Broker, str]]]:
    with serve_in_background(running_pubsub) as background:
        yield background


@pytest.fixture(scope="module")
def secrets_http(secret_manager: Background[SecretManagerServer]) -> Iterator[httpx.Client]:
    url = secret_manager.served.rest_url
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def pubsub_http(pubsub: Background[tuple[Broker, str]]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pubsub.served[1], trust_env=False, timeout=60) as http:
        yield http


def furnish(http: httpx.Client) -> None:
    """Make what the description says exists; a call before may have removed it."""
    parents = ["/v1/projects/demo-project", "/v1/projects/demo-project/locations/europe-west1"]
    for parent in parents:
        body: dict[str, Any] = {} if "locations" in parent else {"replication": {"automatic": {}}}
        made = http.post(f"{parent}/secrets?secretId=app", json=body)
        if made.is_success:
            http.post(f"{parent}/secrets/app:addVersion", json={"payload": {"data": "bmV3"}})


def furnish_pubsub(background: Background[tuple[Broker, str]]) -> None:
    def make(served: tuple[Broker, str]) -> None:
        broker = served[0]
        with contextlib.suppress(StatusError):
            broker.create_topic(types.Topic(name=TOPIC))
        with contextlib.suppress(StatusError):
            broker.create_subscription(types.Subscription(name=WORKER, topic=TOPIC))

    background.call(make)


def operations(document: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(document)
    return [
        pytest.param(found.ok(), id=found.ok().definition.raw["operationId"].replace("/v1/", ""))
        for found in schema.get_all_operations()
    ]


def check(http: httpx.Client, case: Any) -> None:
    """Send a drawn request; it is answered with an object, or refused as Google refuses."""
    request = case.as_transport_kwargs(base_url=str(http.base_url))
    kwargs = {key: request[key] for key in ("method", "url", "params", "json") if key in request}
    response = http.request(**kwargs, headers={"content-type": "application/json"})
    check_answer(response)


def check_answer(response: httpx.Response) -> None:
    if response.is_error:
        check_error(response)
    else:
        assert isinstance(response.json(), dict)


@pytest.mark.parametrize("operation", operations(openapi.secret_manager()))
@examples(8)
@given(st.data())
def test_secret_manager_answers_as_google_does(
    secrets_http: httpx.Client, operation: Any, data: st.DataObject
) -> None:
    furnish(secrets_http)
    check(secrets_http, data.draw(operation.as_strategy()))


@pytest.mark.parametrize("operation", operations(openapi.pubsub()))
@examples(8)
@given(st.data())
def test_pubsub_answers_as_google_does(
    pubsub: Background[tuple[Broker, str]],
    pubsub_http: httpx.Client,
    operation: Any,
    data: st.DataObject,
) -> None:
    furnish_pubsub(pubsub)
    check(pubsub_http, data.draw(operation.as_strategy()))


_PATHS = st.sampled_from(
    [
        "/v1/projects/demo-project/secrets?secretId=new",
        "/v1/projects/demo-project/secrets/app",
        "/v1/projects/demo-project/secrets/app?updateMask=labels",
        "/v1/projects/demo-project/secrets/app:addVersion",
        "/v1/projects/demo-project/secrets/app/versions/1:disable",
        "/v1/projects/demo-project/secrets/app/versions/1:access",
        "/v1/projects/demo-project/topics/rotation",
        "/v1/projects/demo-project/topics/rotation:publish",
        "/v1/projects/demo-project/subscriptions/worker",
        "/v1/projects/demo-project/subscriptions/worker:modifyPushConfig",
        "/v1/projects/demo-project/subscriptions/worker:acknowledge",
    ]
)
_bodies = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(HOSTILE).map(lambda text: text.encode(errors="surrogatepass")),
    st.builds(
        lambda key, text: b'{"%s": %s}' % (key.encode(), text.encode(errors="surrogatepass")),
        st.sampled_from(["labels", "payload", "messages", "topic", "subscription", "etag", "x"]),
        st.sampled_from(HOSTILE) | any_text.map(json.dumps),
    ),
)


@examples(150)
@given(st.sampled_from(["POST", "PATCH", "PUT"]), _PATHS, _bodies)
def test_any_bytes_are_answered_or_refused(
    secrets_http: httpx.Client,
    pubsub: Background[tuple[Broker, str]],
    pubsub_http: httpx.Client,
    method: str,
    path: str,
    body: bytes,
) -> None:
    furnish(secrets_http)
    furnish_pubsub(pubsub)
    check_answer(secrets_http.request(method, path, content=body))
    answer = pubsub_http.request(method, path, content=body)
    if answer.status_code not in {404, 405}:  # no such call: the web framework's own words
        check_answer(answer)

"""The real function over HTTP: what can never be understood is acknowledged, and costs no call.

``main.py`` runs in the functions framework; the Secret Manager it would ask counts every call.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import rotation
from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.secretmanager.controls import Controls
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store
from rotation.local.stack.function import FunctionProcess
from rotation.machine.envelopes import open_envelope
from rotation.machine.wakeups import decode_wake_up
from rotation.model.errors import BadWakeUpError
from tests.support.push import checked_by_cloud_run

from .messages import NOT_OURS, PUSH, SECRET, STRUCTURED, deliveries, push_of
from .profiles import examples
from .states import NOW
from .texts import HOSTILE, sound_text

AUDIENCE, ACCOUNT = "https://rotation.example", "rotation-push@demo-project.example"
MAIN = Path(rotation.__file__).parent.parent / "main.py"


@pytest.fixture(scope="module")
def services() -> Iterator[Background[SecretManagerServer]]:
    with serve_in_background(lambda: SecretManagerServer(Store())) as background:
        yield background


@pytest.fixture(scope="module")
def controls(services: Background[SecretManagerServer]) -> Iterator[Controls]:
    with Controls(services.served.rest_url) as controls:
        yield controls


@pytest.fixture(scope="module")
def function(
    services: Background[SecretManagerServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FunctionProcess]:
    log = tmp_path_factory.mktemp("function") / "log"
    environment = {
        "ROTATION_PROJECT": "demo-project",
        "SECRET_MANAGER_ENDPOINT": services.served.grpc_address,
        "ROTATION_PUSH_AUDIENCE": AUDIENCE,
        "ROTATION_PUSH_ACCOUNT": ACCOUNT,
        "ROTATION_PUSH_SIGNATURE": "removed-by-cloud-run",
    }
    process = FunctionProcess(environment, log, source=MAIN)
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def http(function: FunctionProcess) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {checked_by_cloud_run(AUDIENCE, ACCOUNT)}"}
    with httpx.Client(
        base_url=function.url, trust_env=False, timeout=60, headers=headers
    ) as client:
        yield client


def is_ours(content_type: str, body: bytes) -> bool:
    """Whether a delivery is a wake-up; that this is decided rightly is tested beside."""
    try:
        envelope = open_envelope(content_type, body, NOW)
        wake_up = decode_wake_up(envelope.attributes, envelope.message_id, envelope.published_at)
    except BadWakeUpError:
        return False
    return wake_up is not None


_headers = st.dictionaries(
    st.sampled_from(
        ["ce-id", "ce-type", "ce-source", "ce-specversion", "ce-time", "accept", "traceparent",
         "x-cloud-trace-context", "user-agent", "x-forwarded-for"]
    ),
    st.sampled_from(
        ["", "1.0", "google.cloud.pubsub.topic.v1.messagePublished", "\xff", "a" * 500]
    ),
    max_size=4,
).map(lambda headers: {key: value.encode("latin-1") for key, value in headers.items()})  # fmt: skip


@examples(120)
@given(deliveries, _headers, st.sampled_from(["", "a", "a/b?c=d", "?q=%ff"]))
@example((PUSH, push_of({"publishTime": "0001-01-01T00:00:00+23:59"})), {}, "")
@example((STRUCTURED, b'{"data": null}'), {"ce-type": b""}, "")
def test_any_delivery_is_acknowledged_and_costs_a_call_only_when_it_is_ours(
    http: httpx.Client,
    controls: Controls,
    delivery: tuple[str, bytes],
    headers: dict[str, bytes],
    path: str,
) -> None:
    content_type, body = delivery
    controls.reset_calls()
    answer = http.post(path, content=body, headers={**headers, "content-type": content_type})
    assert (answer.status_code, answer.content) == (204, b"")
    calls = sum(controls.calls().values())
    assert calls == 0 or is_ours(content_type, body)


@pytest.mark.parametrize("event_type", NOT_OURS)
def test_events_of_our_own_writes_cost_no_call(
    http: httpx.Client, controls: Controls, event_type: str
) -> None:
    controls.reset_calls()
    body = push_of({"attributes": {"eventType": event_type, "secretId": SECRET}})
    assert http.post("", content=body).status_code == 204
    assert controls.calls() == {}


def test_a_wake_up_does_cost_a_call(http: httpx.Client, controls: Controls) -> None:
    controls.reset_calls()
    body = push_of({"attributes": {"eventType": "SECRET_ROTATE", "secretId": SECRET}})
    assert http.post("", content=body).status_code == 204
    assert controls.calls() == {"GetSecret": 1}


def test_no_hostile_text_is_delivered_again(http: httpx.Client, controls: Controls) -> None:
    controls.reset_calls()
    for text in HOSTILE:
        body = text.encode(errors="surrogatepass")
        for sent in (body, b'{"message": {"attributes": {"eventType": %s}}}' % body):
            for content_type in (PUSH, STRUCTURED):
                answer = http.post("", content=sent, headers={"content-type": content_type})
                assert answer.status_code == 204
    assert controls.calls() == {}


@examples(30)
@given(st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]), sound_text)
def test_no_method_ends_in_an_error_of_ours(
    http: httpx.Client, controls: Controls, method: str, query: str
) -> None:
    controls.reset_calls()
    assert http.request(method, "", params={"q": query}).status_code < 500
    assert controls.calls() == {}


def test_the_log_says_nothing_of_a_traceback(http: httpx.Client, function: FunctionProcess) -> None:
    """Runs last in this file: what was sent above left no exception behind."""
    assert http.post("", content=b"{").status_code == 204
    log = Path(function.log).read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "the body is not JSON" in log

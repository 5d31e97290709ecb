"""Every shape a delivery can have, over HTTP, at the running function."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import rotation
from tests.support.stack.scene import Scene
from tests.support.stack.target import Target

ROOT = Path(rotation.__file__).parent.parent


def _push(target: Target, data: bytes | None = None) -> dict[str, Any]:
    """A request body as Pub/Sub sends it."""
    stamp = target.scene.stack.services.clock.now().isoformat().replace("+00:00", "Z")
    message = {
        "attributes": {"eventType": "SECRET_ROTATE", "secretId": target.name},
        "messageId": "2070443601311540",
        "message_id": "2070443601311540",
        "publishTime": stamp,
        "publish_time": stamp,
    }
    if data is not None:
        message["data"] = base64.b64encode(data).decode()
    return {"message": message, "subscription": "projects/demo-project/subscriptions/rotation"}


EVENT = {
    "id": "2070443601311540",
    "source": "//pubsub.googleapis.com/projects/demo-project/topics/rotation",
    "specversion": "1.0",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
}


@pytest.mark.parametrize(
    "data",
    [None, b"", b"\xff\x00", b"not JSON", b'["no object"]', b'{"name": "x"}'],
    ids=["no data", "empty", "bytes", "not JSON", "not an object", "an object"],
)
def test_raw_push_is_accepted_whatever_its_data(target: Target, data: bytes | None) -> None:
    assert target.scene.post(json.dumps(_push(target, data)).encode()) == 204
    target.await_phase("soaking", 2)


def test_binary_cloudevent_is_accepted(target: Target) -> None:
    headers = {f"ce-{key}": value for key, value in EVENT.items()}
    assert target.scene.post(json.dumps(_push(target)).encode(), **headers) == 204
    target.await_phase("soaking", 2)


def test_structured_cloudevent_is_accepted(target: Target) -> None:
    body = json.dumps({**EVENT, "datacontenttype": "application/json", "data": _push(target)})
    content_type = "application/cloudevents+json; charset=utf-8"
    assert target.scene.post(body.encode(), content_type) == 204
    target.await_phase("soaking", 2)


def test_message_without_publish_time_is_accepted(target: Target) -> None:
    body = _push(target)
    del body["message"]["publishTime"], body["message"]["publish_time"]
    assert target.scene.post(json.dumps(body).encode()) == 204
    target.await_phase("soaking", 2)


GARBAGE = {
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe\x00",
    "a number": b"1",
    "null": b"null",
    "a list": b"[]",
    "no message": b"{}",
    "message is text": b'{"message": "x"}',
    "attributes are a list": b'{"message": {"attributes": [1]}}',
    "attributes are text": b'{"message": {"attributes": "x"}}',
    "values are no text": b'{"message": {"attributes": {"eventType": 1, "secretId": {"a": []}}}}',
    "nested": b"[" * 100_000,
    "no secret": b'{"message": {"attributes": {"eventType": "SECRET_ROTATE"}}}',
    "a name of nonsense": (
        b'{"message": {"attributes": {"eventType": "SECRET_ROTATE", "secretId": "../../x"}}}'
    ),
    "a mode of nonsense": (
        b'{"message": {"attributes": {"eventType": "ROTATION_REQUEST", "mode": "now",'
        b' "secretId": "projects/demo-project/secrets/app"}}}'
    ),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_acknowledged_without_a_call(scene: Scene, body: bytes) -> None:
    before = sorted(scene.stack.function.children())
    scene.reset()
    assert scene.post(body) == 204
    assert scene.post(body, "application/cloudevents+json") == 204
    assert scene.calls() == {}
    assert sorted(scene.stack.function.children()) == before


def test_get_is_answered_and_changes_nothing(scene: Scene) -> None:
    scene.reset()
    answer = httpx.get(scene.stack.function.url, trust_env=False)
    assert answer.status_code < 500
    assert scene.calls() == {}


def test_garbage_names_its_fault_in_the_log(scene: Scene) -> None:
    scene.post(b'{"message": {"attributes": {"eventType": "SECRET_ROTATE", "secretId": "odd"}}}')
    (line,) = scene.log("secretId='odd'")[-1:]
    assert line["severity"] == "ERROR"
    assert "secretId=projects/PROJECT/secrets/SECRET" in line["message"]


def test_message_about_a_secret_that_is_gone_is_acknowledged_and_logged(scene: Scene) -> None:
    gone = "projects/demo-project/secrets/long-gone"
    assert scene.deliver(eventType="SECRET_ROTATE", secretId=gone) == 204
    (line,) = scene.log("long-gone")[-1:]
    assert line["severity"] == "ERROR"
    assert "NOT_FOUND" in line["message"]


PROBE = """
import json, os, pathlib, sys
from functions_framework import create_app
deliver, published = [json.loads(line) for line in sys.stdin]
client = create_app("rotate", "rotation/local/served/main.py", "http").test_client()
sender = {"authorization": f"Bearer {sys.argv[1]}"}
loaded = lambda: "google.cloud.pubsub_v1" in sys.modules
before = loaded()
first = client.post("/", json=deliver, headers=sender).status_code
between = loaded()
clock = pathlib.Path(os.environ["ROTATION_CLOCK_FILE"])
clock.write_text(str(float(clock.read_text()) + 7200))
second = client.post("/", json=published, headers=sender).status_code
print(json.dumps([before, first, between, second, loaded()]), file=sys.stderr)
"""


def test_pubsub_client_is_imported_only_when_something_is_published(target: Target) -> None:
    sweep = {"message": {"attributes": {"eventType": "ROTATION_SWEEP"}, "messageId": "1"}}
    environment = {"PATH": "/usr/bin:/bin", **target.scene.stack.function_environment()}
    rotated = subprocess.run(
        [sys.executable, "-c", PROBE, target.scene.stack.push_token()],
        input="\n".join(json.dumps(body) for body in (_push(target), sweep)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**environment, "ROTATION_CLOCK_FILE": _own_clock(target)},
    )
    assert rotated.returncode == 0, rotated.stderr
    outcomes = json.loads(rotated.stderr.strip().splitlines()[-1])
    assert outcomes == [False, 204, False, 204, True]


def _own_clock(target: Target) -> str:
    """A clock for that process alone: it moves it, so that the sweep has somebody to wake."""
    path = target.scene.stack.folder / "own-clock"
    offset = target.scene.stack.services.clock.offset.total_seconds()
    path.write_text(f"{offset}\n")
    return str(path)

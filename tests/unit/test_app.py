import json
from datetime import UTC, datetime

import pytest

from rotation.app import ACKNOWLEDGED, AGAIN, Application
from rotation.config import Settings
from rotation.google.push_tokens import AnyCaller
from rotation.model.errors import PermanentError, TemporaryError
from rotation.model.wakeup import WakeUp, WakeUpKind

from .engine.world import Clock, Lines

SECRET = "projects/123456789012/secrets/app"


class Recorder:
    """Stands where the worker does, and says what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.woken: list[WakeUp] = []
        self.error = error

    def tick(self, wake_up: WakeUp) -> None:
        self.woken.append(wake_up)
        if self.error:
            raise self.error


def application(worker: Recorder, **settings: object) -> tuple[Application, Lines]:
    lines = Lines()
    chosen = Settings(**{"project": "acme", **settings})
    return Application(chosen, worker, Clock(), lines, AnyCaller()), lines


def delivery(**attributes: str) -> bytes:
    message = {
        "attributes": attributes,
        "messageId": "m1",
        "publishTime": "2026-11-22T11:59:59.5Z",
    }
    return json.dumps({"message": message, "subscription": "s"}).encode()


def test_a_wake_up_reaches_the_worker() -> None:
    worker = Recorder()
    app, _ = application(worker)
    body = delivery(eventType="SECRET_ROTATE", secretId=SECRET)
    assert app.handle("application/json", body) == ACKNOWLEDGED
    (wake_up,) = worker.woken
    assert wake_up.kind is WakeUpKind.ROTATE
    assert wake_up.at == datetime(2026, 11, 22, 11, 59, 59, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        delivery(eventType="SECRET_UPDATE", secretId=SECRET),
        delivery(eventType="TOPIC_CONFIGURED"),
        delivery(),
        delivery(eventType="SECRET_ROTATE", secretId="nonsense"),
        delivery(eventType="ROTATION_REQUEST", secretId=SECRET, mode="fast"),
        b"",
        b"not json",
        b"[]",
        b'{"message": "text"}',
        b'{"message": {"attributes": ["a"]}}',
        b"[" * 100_000,
    ],
)
def test_what_a_repeat_cannot_mend_is_acknowledged(body: bytes) -> None:
    worker = Recorder()
    app, _ = application(worker)
    assert app.handle("application/json", body) == ACKNOWLEDGED
    assert worker.woken == []


def test_another_projects_secret_is_acknowledged_without_a_call() -> None:
    worker = Recorder()
    app, lines = application(worker, projects=frozenset({"acme", "99"}))
    body = delivery(eventType="SECRET_ROTATE", secretId=SECRET)
    assert app.handle("", body) == ACKNOWLEDGED
    assert worker.woken == []
    assert "ROTATION_PROJECTS" in lines


def test_a_sweep_without_a_project_says_what_is_missing() -> None:
    worker = Recorder()
    app, lines = application(worker, project="")
    assert app.handle("", delivery(eventType="ROTATION_SWEEP")) == ACKNOWLEDGED
    assert worker.woken == []
    assert "ROTATION_PROJECT" in lines


def test_a_temporary_error_asks_for_another_delivery() -> None:
    app, lines = application(Recorder(TemporaryError("database down")))
    body = delivery(eventType="SECRET_ROTATE", secretId=SECRET)
    assert app.handle("", body) == AGAIN
    assert "database down" in lines


def test_a_permanent_error_is_logged_and_acknowledged() -> None:
    app, lines = application(Recorder(PermanentError("gone", remedy="create it")))
    body = delivery(eventType="SECRET_ROTATE", secretId=SECRET)
    assert app.handle("", body) == ACKNOWLEDGED
    assert ("ERROR", "acknowledged: gone; create it") in lines.lines


def test_what_nobody_foresaw_is_raised() -> None:
    app, _ = application(Recorder(ZeroDivisionError("surprise")))
    body = delivery(eventType="SECRET_ROTATE", secretId=SECRET)
    with pytest.raises(ZeroDivisionError):
        app.handle("", body)

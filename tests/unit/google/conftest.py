"""A scripted Secret Manager for each test, and the adapter pointed at it."""

from collections.abc import Iterator

import pytest

from rotation.google import quota
from rotation.google.secret_manager import SecretManager
from tests.unit.google.scripted_service import ScriptedService


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    scripted = ScriptedService()
    yield scripted
    scripted.stop()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "FIRST_WAIT", 0.05)


@pytest.fixture
def store(service: ScriptedService, short_waits: None) -> Iterator[SecretManager]:
    store = SecretManager("demo", endpoint=service.endpoint)
    yield store
    store.close()


@pytest.fixture
def impatient(service: ScriptedService, short_waits: None) -> Iterator[SecretManager]:
    """Gives up soon, for calls that shall never succeed."""
    store = SecretManager("demo", endpoint=service.endpoint, timeout=0.8, quota_patience=0.8)
    yield store
    store.close()

"""A scripted Secret Manager for each test, and the adapter pointed at it."""

from collections.abc import Iterator

import pytest

from rotation.google.secret_manager import SecretManager
from tests.unit.google.scripted_service import ScriptedService


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    scripted = ScriptedService()
    yield scripted
    scripted.stop()


@pytest.fixture
def store(service: ScriptedService) -> Iterator[SecretManager]:
    store = SecretManager("demo", endpoint=service.endpoint)
    yield store
    store.close()


@pytest.fixture
def impatient(service: ScriptedService) -> Iterator[SecretManager]:
    """Gives up soon, for calls that shall never succeed."""
    store = SecretManager("demo", endpoint=service.endpoint, timeout=0.8)
    yield store
    store.close()

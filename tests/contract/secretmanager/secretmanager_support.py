from collections.abc import Mapping
from datetime import timedelta

import grpc
from secretmanager_calls import Json

from rotation.emulator.background import Background
from rotation.emulator.clock import MovableClock
from rotation.emulator.secretmanager.controls import Controls
from rotation.emulator.secretmanager.quotas import Quotas
from rotation.emulator.secretmanager.schedule import Schedule
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError

Message = tuple[str, dict[str, str], bytes | None]


class Broker:
    """Collects what is published; refuses topics called missing or forbidden."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refusals: dict[str, grpc.StatusCode] = {
            "missing": grpc.StatusCode.NOT_FOUND,
            "forbidden": grpc.StatusCode.PERMISSION_DENIED,
        }

    def publish(self, topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        refusal = self.refusals.get(topic.rpartition("/")[2])
        if refusal:
            raise StatusError(refusal, "refused")
        self.messages.append((topic, dict(attributes), data))

    @property
    def event_types(self) -> tuple[str, ...]:
        return tuple(attributes["eventType"] for _, attributes, _ in self.messages)


class World:
    """One fresh store behind the shared server, and everything to look at it from outside."""

    def __init__(self, background: Background[SecretManagerServer], controls: Controls) -> None:
        self.background = background
        self.controls = controls
        self.broker = Broker()
        self.clock = MovableClock()
        self.store = Store(clock=self.clock, publish=self.broker.publish)
        background.call(self._move_in)

    def _move_in(self, server: SecretManagerServer) -> None:
        server.dispatcher.store = self.store
        server.dispatcher.schedule = Schedule(self.store)
        server.dispatcher.failures.clear()
        server.dispatcher.release()
        server.dispatcher.calls.clear()
        server.dispatcher.quotas = Quotas()

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


def dotted(value: Json, path: str) -> Json:
    """Look a path such as ``secrets.0.name`` up; None when something on it is missing."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if value else None
    return value

"""One embedded stack, Google's own client on it, and the secrets that tests rotate there.

1. What is looked at is read from the store itself, so that no failure mode changes it and no call
   of the function's is miscounted.  Consumers (`prober`) and makers use Google's client.
2. Time is moved, never slept through; what happens elsewhere is polled for, with a bound.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)
from google.pubsub_v1 import types

from rotation.local.stack import Stack, StackOptions
from rotation.local.stack.services import carrying
from rotation.local.stack.targets import Allowed
from tests.support.stack.evidence import Evidence
from tests.support.stack.targets import databases

#: Seconds until a condition that should come true is given up.
PATIENCE = 60.0

PROJECT = "demo-project"
PROJECT_NUMBER = 123456789012
POSTGRES = {
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_min_error_statement": "info",
}

#: Of every database: what is slow fails.
TIMEOUTS = {"connect_timeout": 2, "lock_timeout": 2}

Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer], what: str, seconds: float = PATIENCE) -> Answer:
    """Return the first true answer; fail, with what was waited for, when none comes."""
    ends = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return answer


def options(**changes: Any) -> StackOptions:
    """Short real times where only real time counts; everything else is on the movable clock."""
    settings: dict[str, Any] = {
        "ack_deadline": timedelta(seconds=10),
        "budget": timedelta(seconds=8),
        "lease": timedelta(seconds=60),
        "backoff": (timedelta(milliseconds=100), timedelta(milliseconds=400)),
        "check_every": timedelta(0),
        # Tests sweep by hand, so that a sweep never falls between two counts.
        "sweep_every": timedelta(days=3650),
        "threads": 24,
        "first_window": 24,
        "postgres_settings": POSTGRES,
        "targets": databases(**TIMEOUTS),
        **changes,
    }
    return StackOptions(**settings)


class Scene:
    """A running stack and the way to everything on it."""

    def __init__(
        self, stack: Stack, client: SecretManagerServiceClient, evidence: Evidence
    ) -> None:
        self.stack = stack
        self.client = client
        self.evidence = evidence
        self.controls = stack.controls
        self._names = itertools.count(1)
        self._markers = itertools.count(1)
        #: What the function may touch from its start on, by name.
        self.targets: Allowed = json.loads(stack.targets.path.read_text())["targets"]
        self._observe()

    def _observe(self) -> None:
        store = self.stack.services.store
        write = store.write

        def observed(record: Any, event: Any) -> None:
            self.evidence.add_record(record)
            write(record, event)

        store.write = observed  # type: ignore[method-assign]
        options = self.stack.options
        self._audits = [
            types.Subscription(name=f"projects/{PROJECT}/subscriptions/{name}", topic=topic)
            for name, topic in (
                ("audit", options.topic_name),
                ("audit-emergency", options.emergency_topic_name),
            )
        ]
        for wanted in self._audits:
            self.call(partial(_create_subscription, wanted))

    def call(self, function: Callable[[Any], Answer]) -> Answer:
        """Run something where the services run."""
        return self.stack._running.call(function)

    def collect(self) -> None:
        """Hand over what was written so far."""
        self.evidence.add_processes()
        self.evidence.add_file("function log", self.stack.function.log)
        self.evidence.add_file("postgres log", self.stack.postgres.log_path)
        for message in self.published():
            self.evidence.add_text("events", f"{dict(message.attributes)} {message.data!r}")

    def published(self) -> list[Any]:
        """Return every message published since the last call."""

        def take(running: Any) -> list[Any]:
            messages = []
            for audit in self._audits:
                deliveries = running.broker.lease(audit.name, 100_000)
                if deliveries:
                    running.broker.acknowledge(
                        audit.name, [delivery.ack_id for delivery in deliveries]
                    )
                messages += [delivery.message for delivery in deliveries]
            return messages

        return self.call(take)

    def log(self, about: str = "") -> list[dict[str, Any]]:
        """Return the function's lines so far that mention ``about``."""
        text = self.stack.function.log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if about in line and line.startswith("{")]
        return [json.loads(line) for line in lines]

    def idle(self) -> bool:
        return self.stack.backlog() == 0

    def await_idle(self, seconds: float = PATIENCE) -> None:
        wait_until(self.idle, "all deliveries are answered", seconds)

    def resting(self) -> bool:
        """Whether no delivery is on its way, though refused ones may wait to come again."""

        def look(running: Any) -> bool:
            backlog = running.broker.backlog()
            for _, queue in running.broker.queues():
                if queue.name not in carrying(self.stack.options):
                    continue
                due = queue.next_delivery()
                if backlog[queue.name]["outstanding"] or (
                    due is not None and due <= running.broker.now()
                ):
                    return False
            return True

        return self.call(look)

    def await_resting(self) -> None:
        wait_until(self.resting, "no delivery is on its way")

    def sweep(self) -> None:
        self.stack.publish(eventType="ROTATION_SWEEP")

    def advance(self, **step: float) -> None:
        self.stack.advance(timedelta(**step))

    @property
    def now(self) -> float:
        return self.stack.services.clock.now().timestamp()

    def calls(self) -> dict[str, int]:
        """Return how often each method was called since `reset`, once nothing is on its way."""
        self.await_idle()
        return self.controls.calls()

    def reset(self) -> None:
        self.await_idle()
        self.controls.reset_calls()

    def deliver(
        self, message_id: str = "by-hand", at: datetime | None = None, **attributes: str
    ) -> int:
        """Post one message to the function directly, as Pub/Sub would; return the HTTP status."""
        stamp = (at or self.stack.services.clock.now()).isoformat().replace("+00:00", "Z")
        message = {"attributes": attributes, "messageId": message_id, "publishTime": stamp}
        topic = self.stack.topic_of(attributes)
        (name,) = (name for name, fed in carrying(self.stack.options).items() if fed == topic)
        return self.post(json.dumps({"message": message, "subscription": name}).encode())

    def post(self, body: bytes, content_type: str = "application/json", **headers: str) -> int:
        token = {"authorization": f"Bearer {self.stack.push_token()}"}
        sent = {"content-type": content_type, "connection": "close", **token, **headers}
        answer = httpx.post(
            self.stack.function.url, content=body, headers=sent, trust_env=False, timeout=30
        )
        return answer.status_code

    def allow(self, targets: Allowed) -> None:
        """Let the function touch more, or something else."""
        if self.stack.targets.put(targets):
            self.restart()

    def restart(self, **environment: str) -> None:
        """Start the function anew, with more environment."""
        self.await_idle()
        self.stack.function.stop()
        self.stack.function.start(**environment)

    @contextmanager
    def interrupted_at(self, point: str, action: str = "kill") -> Iterator[Path]:
        """Run the function so that it is interrupted once at a crash point; yields the marker.

        With the marker there, the process is like any other: it need not be started again.
        """
        marker = self.stack.folder / f"fired-{next(self._markers)}"
        self.restart(
            ROTATION_CRASH_AT=f"{point}:{action}",
            ROTATION_CRASH_MARKER=str(marker),
        )
        try:
            yield marker
        finally:
            marker.touch()

    def name(self) -> str:
        """Return a name for one more secret."""
        return f"app{next(self._names)}"


def _create_subscription(wanted: types.Subscription, running: Any) -> None:
    running.broker.create_subscription(wanted)


@contextmanager
def opened(chosen: StackOptions, evidence: Evidence) -> Iterator[Scene]:
    """Run a stack while entered; what it wrote stays in the evidence."""
    with Stack(chosen) as stack, _client(stack) as client:
        scene = Scene(stack, client, evidence)
        try:
            yield scene
        finally:
            scene.collect()


@contextmanager
def _client(stack: Stack) -> Iterator[SecretManagerServiceClient]:
    with grpc.insecure_channel(stack.services.secret_manager_grpc) as channel:
        transport = SecretManagerServiceGrpcTransport(channel=channel)
        yield SecretManagerServiceClient(transport=transport)


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Call ``count`` times from as many threads, all let go together; return the answers."""
    barrier = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def run(index: int) -> None:
        barrier.wait()
        answers[index] = call(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers

"""The embedded Secret Manager and Pub/Sub in a process of their own.

``python -m tests.bench.server FOLDER`` serves, and answers one JSON line for each JSON line it
reads; it ends with its input.

1. It is a process of its own so that the client's CPU is the client's, and the other way round.
2. Every call of Secret Manager is recorded with the times it arrived and was answered.
3. What is stored is reported from the store itself, so that looking costs no call.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from google.cloud.secretmanager_v1 import types as secrets_types
from google.pubsub_v1 import types as pubsub_types

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.iam import OWNER
from rotation.emulator.pubsub.rest_api import CERTIFICATES
from rotation.emulator.secretmanager import secrets, versions
from rotation.emulator.secretmanager.dispatcher import Dispatcher
from rotation.emulator.secretmanager.history import FRESH
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.rpcs import Rpc
from rotation.local.stack.options import StackOptions
from rotation.local.stack.services import Services, services
from rotation.machine.requests import PRIVILEGED

Command = dict[str, Any]


class Call(NamedTuple):
    """One call as it arrived."""

    name: str
    arrived: float
    answered: float
    refused: bool


CALLS: list[Call] = []
#: As on Google Cloud: the acknowledgement deadline of 600 seconds, the slow start of one delivery.
OPTIONS = StackOptions(
    ack_deadline=timedelta(seconds=600),
    budget=timedelta(seconds=480),
    lease=timedelta(seconds=600),
    backoff=(timedelta(seconds=10), timedelta(seconds=600)),
    sweep_every=timedelta(days=3650),
)
TOPIC = pubsub_types.Topic(name=OPTIONS.topic_name)
AUDIT = f"projects/{OPTIONS.project}/subscriptions/audit"


class RecordingDispatcher(Dispatcher):
    """Keeps when each call arrived and when it was answered."""

    async def call(self, rpc: Rpc, request: Message, caller: str = OWNER) -> Message:
        arrived, refused = time.monotonic(), True
        try:
            answer = await super().call(rpc, request, caller)
            refused = False
        finally:
            CALLS.append(Call(rpc.name, arrived, time.monotonic(), refused))
        return answer


class Server:
    """One method for each command."""

    def __init__(self, background: Background[Services]) -> None:
        self._background = background
        background.call(lambda running: running.broker.create_topic(TOPIC))

    def answer(self, command: Command) -> Any:
        method: Callable[..., Any] = getattr(self, command.pop("do"))
        return method(**command)

    def addresses(self) -> Any:
        running = self._background.served
        return {
            "grpc": running.secret_manager_grpc,
            "rest": running.secret_manager_rest,
            "consumer_grpc": running.consumer_grpc,
            "pubsub": running.pubsub_grpc,
            "certificates": f"{running.pubsub_rest}{CERTIFICATES}",
        }

    def token(self) -> Any:
        account, audience = OPTIONS.push_account, OPTIONS.push_audience
        return self._background.call(lambda running: running.broker.signer.token(account, audience))

    def calls(self) -> Any:
        """Return the calls since the last look."""

        def take(_: Services) -> list[Call]:
            taken, CALLS[:] = list(CALLS), []
            return taken

        return self._background.call(take)

    def create(self, made: list[Command]) -> None:
        """Create secrets, each with annotations and perhaps a payload."""
        self._background.call(lambda running: [_create(running, **wanted) for wanted in made])

    def delete(self, ids: list[str]) -> None:
        project = f"projects/{OPTIONS.project}"
        request = secrets_types.DeleteSecretRequest.pb()

        def forget(running: Services) -> None:
            for secret_id in ids:
                asked = request(name=f"{project}/secrets/{secret_id}")
                secrets.delete_secret(running.store, asked, FRESH)

        self._background.call(forget)

    def subscribe(self, endpoint: str) -> None:
        self._background.call(lambda running: running.subscribe(OPTIONS, endpoint))

    def publish(self, messages: list[dict[str, str]]) -> None:
        def send(running: Services) -> None:
            for attributes in messages:
                privileged = attributes.get("mode") in {ask.value for ask in PRIVILEGED}
                topic = OPTIONS.emergency_topic_name if privileged else OPTIONS.topic_name
                running.broker.publish(topic, attributes, None)

        self._background.call(send)

    def audit(self) -> None:
        """Keep a copy of all that is published from now on."""
        wanted = pubsub_types.Subscription(name=AUDIT, topic=OPTIONS.topic_name)
        self._background.call(lambda running: running.broker.create_subscription(wanted))

    def published(self) -> Any:
        """Return the attributes of what was published since the last look."""

        def take(running: Services) -> list[dict[str, str]]:
            deliveries = running.broker.lease(AUDIT, 100_000)
            if deliveries:
                running.broker.acknowledge(AUDIT, [delivery.ack_id for delivery in deliveries])
            return [dict(delivery.message.attributes) for delivery in deliveries]

        return self._background.call(take)

    def backlog(self) -> Any:
        waiting = self._background.call(lambda running: running.broker.backlog())
        return {name.rpartition("/")[2]: counts["undelivered"] for name, counts in waiting.items()}

    def stored(self) -> Any:
        """Return what is stored of each secret, without payloads."""

        def look(running: Services) -> dict[str, Any]:
            return {
                key.secret_id: {
                    "versions": [one.message.state for one in record.versions],
                    "aliases": dict(record.message.version_aliases),
                    "labels": dict(record.message.labels),
                }
                for key, record in running.store.records.items()
            }

        return self._background.call(look)

    def payloads(self, number: int) -> Any:
        """Return one version's payload of each secret that has it."""

        def look(running: Services) -> dict[str, Any]:
            records = running.store.records.items()
            found = {key.secret_id: record.version(number) for key, record in records}
            readable = {name: version.payload for name, version in found.items() if version}
            return {name: json.loads(data) for name, data in readable.items() if data}

        return self._background.call(look)


def _create(running: Services, **made: Any) -> None:
    project = next(iter(running.store.projects))
    request = secrets_types.CreateSecretRequest.pb()(
        parent=f"projects/{project}", secret_id=made["secret_id"]
    )
    request.secret.replication.automatic.SetInParent()
    request.secret.annotations.update(made.get("annotations", {}))
    request.secret.labels.update(made.get("labels", {}))
    if "next_rotation" in made:
        request.secret.topics.add(name=OPTIONS.topic_name)
        request.secret.rotation.rotation_period.FromSeconds(int(made["next_rotation"]))
        moment = running.clock.now().timestamp() + made["next_rotation"]
        request.secret.rotation.next_rotation_time.FromSeconds(int(moment))
    secret = secrets.create_secret(running.store, request, FRESH)
    if "payload" in made:
        added = secrets_types.AddSecretVersionRequest.pb()(parent=secret.name)
        added.payload.data = json.dumps(made["payload"]).encode()
        versions.add_secret_version(running.store, added, FRESH)


def main() -> None:
    """Serve until standard input ends."""
    sys.modules["rotation.emulator.secretmanager.server"].Dispatcher = RecordingDispatcher  # type: ignore[attr-defined]
    with serve_in_background(
        lambda: services(OPTIONS, Path(sys.argv[1]), emulator="")
    ) as background:
        server = Server(background)
        for line in sys.stdin:
            print(json.dumps(server.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

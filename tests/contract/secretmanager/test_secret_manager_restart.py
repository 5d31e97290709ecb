import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import secretmanager_v1 as sm
from google.cloud.secretmanager_v1.services.secret_manager_service import transports
from secretmanager_support import Broker

from rotation.emulator.background import serve_in_background
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store

PARENT = "projects/demo-project"
NAME = "projects/123456789012/secrets/app"
TOPIC = f"{PARENT}/topics/rotation"
SERVE = """
import pathlib, sys
from rotation.emulator.background import serve_in_background
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store

store = Store(path=pathlib.Path(sys.argv[1]))
with serve_in_background(lambda: SecretManagerServer(store)) as background:
    print(background.served.grpc_address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    with grpc.insecure_channel(address) as channel:
        transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
        yield sm.SecretManagerServiceClient(transport=transport)


@contextmanager
def served(path: Path, broker: Broker) -> Iterator[Any]:
    store = Store(path=path, publish=broker.publish)
    try:
        with (
            serve_in_background(lambda: SecretManagerServer(store)) as background,
            client_of(background.served.grpc_address) as client,
        ):
            background.call(lambda server: server.dispatcher.schedule.fire_due(store.clock.now()))
            yield client
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.sqlite"


def create(client: Any, **secret: Any) -> Any:
    secret = {"replication": {"automatic": {}}, **secret}
    return client.create_secret(parent=PARENT, secret_id="app", secret=secret)


def everything(client: Any) -> list[object]:
    return [
        *client.list_secrets(parent=PARENT),
        *client.list_secret_versions(parent=NAME),
        client.get_iam_policy(request={"resource": NAME}).etag,
    ]


def test_restart_loses_nothing(path: Path) -> None:
    with served(path, Broker()) as client:
        create(client, labels={"a": "1"}, topics=[{"name": TOPIC}])
        for payload in (b"one", b"two", b"three"):
            client.add_secret_version(parent=NAME, payload={"data": payload})
        client.destroy_secret_version(name=f"{NAME}/versions/1")
        client.set_iam_policy(request={"resource": NAME, "policy": {}})
        before = everything(client)
    with served(path, Broker()) as client:
        assert everything(client) == before
        answer = client.access_secret_version(name=f"{NAME}/versions/2")
        assert answer.payload.data == b"two"
        added = client.add_secret_version(parent=NAME, payload={"data": b"four"})
        assert added.name == f"{NAME}/versions/4"


def test_deleted_secrets_stay_deleted(path: Path) -> None:
    with served(path, Broker()) as client:
        create(client)
        client.add_secret_version(parent=NAME, payload={"data": b"one"})
        client.delete_secret(name=NAME)
    with served(path, Broker()) as client:
        assert list(client.list_secrets(parent=PARENT)) == []
        create(client)
        assert list(client.list_secret_versions(parent=NAME)) == []


def test_events_that_could_not_be_sent_are_sent_after_a_restart(path: Path) -> None:
    broker = Broker()
    with served(path, broker) as client:
        create(client, topics=[{"name": TOPIC}])
        broker.refusals["rotation"] = grpc.StatusCode.UNAVAILABLE
        client.add_secret_version(parent=NAME, payload={"data": b"one"})
    later = Broker()
    with served(path, later):
        assert later.event_types == ("SECRET_VERSION_ADD",)


def test_every_answered_write_survives_a_killed_process(path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        with client_of(process.stdout.readline().strip()) as client:
            create(client)
            for number in range(10):
                client.add_secret_version(parent=NAME, payload={"data": b"%d" % number})
            secret = client.update_secret(
                secret={"name": NAME, "version_aliases": {"current": 9}},
                update_mask="versionAliases",
            )
            process.kill()
    with served(path, Broker()) as client:
        assert client.get_secret(name=NAME) == secret
        answer = client.access_secret_version(name=f"{NAME}/versions/current")
        assert answer.payload.data == b"8"


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    with served(path, Broker()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

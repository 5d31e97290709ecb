"""Whoever may write one secret's annotations gains that secret, and nothing else.

Somebody with exactly that right writes policies that lead the function to a place of theirs, with
somebody else's key.  Real sockets listen there, and real IAM stands between.
"""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rotation.cli.main import main
from rotation.google.secret_manager import SecretManager
from rotation.model.errors import AccessDeniedError
from rotation.model.names import SecretName
from tests.acceptance.granting import ROLES, Granting, account
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import PROJECT, Scene, opened, options
from tests.support.stack.target import Target

FUNCTION, AUTHOR = account("rotation"), account("policy-author")
ENGINE_ROLES = ("rotationFunction", "rotationReader", "rotationSweep", "rotationPublisher")
AUTHOR_ROLE = "policyAuthor"
#: What a database says that wants a password in clear.
CLEAR_TEXT = b"R" + struct.pack("!ii", 8, 3)


class Listener:
    """A place of the attacker's: counts connections, asks for a password, keeps what it is sent."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        try:
            first = connection.recv(65536)
            self.received += first
            if first.startswith(b"GET"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                return
            connection.sendall(CLEAR_TEXT)
            self.received += connection.recv(65536)
        except OSError:
            return


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def enforced(evidence: Evidence) -> Iterator[Scene]:
    identity = {"ROTATION_EMBEDDED_IDENTITY": FUNCTION}
    with opened(options(function_environment=identity), evidence) as running:
        granting = Granting(running)
        for role_id in ENGINE_ROLES:
            granting.create(role_id, ROLES[role_id])
        granting.create(AUTHOR_ROLE, ["secretmanager.secrets.get", "secretmanager.secrets.update"])
        granting.bind(FUNCTION, "rotationSweep", f"projects/{PROJECT}")
        granting.bind(FUNCTION, "rotationPublisher", running.stack.topic)
        granting.bind(
            running.stack.options.secret_manager_agent, "roles/pubsub.publisher",
            running.stack.topic,
        )  # fmt: skip
        running.controls.enforce_iam()
        yield running


@pytest.fixture
def served(enforced: Scene) -> Iterator[Callable[[], Target]]:
    """Make secrets that the function rotates, as it rotates those of other teams."""
    made: list[Target] = []
    granting = Granting(enforced)

    def make() -> Target:
        target = Target(enforced)
        granting.bind(FUNCTION, "rotationFunction", target.name)
        granting.bind(FUNCTION, "rotationReader", target.admin)
        made.append(target)
        return target.start()

    yield make
    for target in made:
        target.delete()
    enforced.await_resting()


class Author:
    """Somebody who may write the annotations of one secret."""

    def __init__(self, target: Target) -> None:
        self.target = target
        Granting(target.scene).bind(AUTHOR, AUTHOR_ROLE, target.name)
        endpoint = target.scene.stack.services.secret_manager_grpc
        self.store = SecretManager(PROJECT, endpoint=endpoint, identity=AUTHOR)

    def write(self, **policy: Any) -> None:
        secret = self.store.get(SecretName.parse(self.target.name))
        text = json.dumps({**self.target.policy, **policy})
        self.store.update(
            secret,
            labels={**secret.labels, "db": "orders", "team": "dba"},
            annotations={**secret.annotations, "rotation.policy": text},
            aliases=secret.aliases,
        )


@pytest.fixture
def author(served: Callable[[], Target]) -> Iterator[Author]:
    made = Author(served())
    yield made
    made.store.close()


Policy = Callable[[Target, Target, int], dict[str, Any]]


def _host(own: Target, other: Target, port: int) -> dict[str, Any]:
    """Name a host of one's own, and the other database's administrator."""
    server = {"host": "127.0.0.1", "port": port, "database": "orders", "tls": "disable"}
    return {"issuer": {**_inline(own), **server, "admin": other.admin}}


def _host_beside_the_target(own: Target, other: Target, port: int) -> dict[str, Any]:
    server = {"host": "127.0.0.1", "port": port, "tls": "disable", "admin": other.admin}
    return {"issuer": {**own.issuer(), **server}}


def _others_target(own: Target, other: Target, _port: int) -> dict[str, Any]:
    return {"issuer": {**own.issuer(), "target": other.id}}


def _others_roles(own: Target, other: Target, _port: int) -> dict[str, Any]:
    return {"issuer": {**own.issuer(), "slots": list(other.slots), "owner": other.owner}}


def _header(own: Target, other: Target, port: int) -> dict[str, Any]:
    """Have a gate send the other administrator's login to a place of one's own."""
    header = {"name": "X-Api-Key", "secret": other.admin}
    gate = {"kind": "http", "url": f"http://127.0.0.1:{port}/", "header": header}
    alias = {"kind": "alias"}
    return {"rollout": [{"stage": "all", "participants": [alias], "gates": [gate], "soak": "1m"}]}


def _repository(own: Target, other: Target, port: int) -> dict[str, Any]:
    """Have a repository of one's own opened with the other administrator's login for a token."""
    auth = {"token": f"{other.admin}/versions/latest"}
    url = f"http://127.0.0.1:{port}/deploy.git"
    pin = {"kind": "git", "host": "git", "url": url, "path": "a.json", "auth": auth}
    return {"rollout": [{"stage": "all", "participants": [pin]}]}


def _inline(own: Target) -> dict[str, Any]:
    return {key: value for key, value in own.issuer().items() if key != "target"}


POLICIES: tuple[Policy, ...] = (
    _host, _host_beside_the_target, _others_target, _others_roles, _header, _repository
)  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__.strip("_"))
def test_whoever_writes_one_policy_reaches_nothing_else(
    author: Author,
    served: Callable[[], Target],
    listener: Listener,
    policy: Policy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, other = author.target, served()
    scene = own.scene
    with pytest.raises(AccessDeniedError):
        author.store.access(SecretName.parse(other.admin), "latest")
    author.write(**policy(own, other, listener.port))
    scene.controls.reset_used_permissions()
    own.ask("routine")
    own.await_blocked("not-allowed")
    for name, text in scene.stack.environment().items():
        monkeypatch.setenv(name, text)
    assert main(["plan", own.id]) == 1
    scene.await_idle()
    assert (listener.connections, listener.received) == (0, b"")
    assert other.admin not in Granting(scene).used(FUNCTION)
    assert "targets" in own.block["message"]
    assert own.works(own.payload(1))
    assert other.works(other.payload(1))

"""A database whose credential rotates, its secret in an embedded Secret Manager."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from rotation.client import SecretManagerSource
from rotation.local.postgres import PostgresServer
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import Observation
from tests.support.postgresql.kit import Site, make_site
from tests.support.secret_manager import NUMBER, Embedded, embedded_secret_manager

#: Longest that anything is waited for.
PATIENCE = 60.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"this never came true: {what}")
        time.sleep(0.02)


@dataclass
class World:
    """One secret, one database with two slots, and the steps of a rotation one by one."""

    site: Site
    embedded: Embedded
    secret: SecretName
    versions: dict[int, Payload] = field(default_factory=dict)
    current: int = 0
    _token: int = 0

    @property
    def number_name(self) -> str:
        return f"projects/{NUMBER}/secrets/{self.secret.secret_id}"

    def source(self, version: int | str = "current") -> SecretManagerSource:
        return SecretManagerSource(str(self.secret), version, endpoint=self.embedded.endpoint)

    def token(self) -> int:
        self._token += 1
        return self._token

    def slot(self, version: int) -> str:
        return str(self.versions[version].fields()["username"])

    def add(self) -> int:
        """Mint on the idle slot, and add the version; nobody is handed it."""
        first, second = self.site.slots
        slot = second if self.current and self.slot(self.current) == first else first
        payload = self.site.mint(slot, self.token())
        number = self.embedded.store.add_version(self.secret, payload)
        number = getattr(number, "number", number)
        self.versions[number] = payload
        return number

    def hand_over(self, version: int) -> None:
        """Move the alias, as the rollout does."""
        secret = self.embedded.store.get(self.secret)
        aliases = {**secret.aliases, "current": version}
        self.embedded.store.update(secret, labels={}, annotations={}, aliases=aliases)
        self.current = version

    def rotate(self) -> int:
        version = self.add()
        self.hand_over(version)
        return version

    def suspend(self, version: int) -> None:
        self.site.issuer().suspend(self.slot(version), self.token())

    def restore(self, version: int) -> None:
        self.site.issuer().restore(self.slot(version), self.token())

    def revoke(self, version: int) -> int:
        return self.site.issuer().revoke(self.slot(version), self.token())

    def observe(self, version: int, witness: int) -> Observation:
        return self.site.issuer().observe(self.slot(version), self.versions[witness])

    def passwords_in(self, *texts: object) -> list[str]:
        text = json.dumps([str(text) + repr(text) for text in texts])
        return [password for password in self.site.passwords if password in text]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    with embedded_secret_manager() as embedded:
        yield embedded


@pytest.fixture
def world(server: PostgresServer, embedded: Embedded) -> Iterator[World]:
    site = make_site(server, "orders")
    world = World(site, embedded, embedded.create(site.database))
    world.rotate()
    yield world
    site.close()

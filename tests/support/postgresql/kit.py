"""A database that can be rotated, on each real server of this machine."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from rotation.issuers.postgresql import PostgreSQL, PostgreSQLSettings
from rotation.local.postgres import (
    PostgresServer,
    create_rotatable_database,
    find_bindirs,
)
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.minting import minting

#: Every server of this machine; beside the preferred one they run with the slow tests.
SERVERS = [
    pytest.param(
        binaries,
        id=f"postgres-{binaries.version}",
        marks=[pytest.mark.slow, pytest.mark.exhaustive] if place else [],
    )
    for place, binaries in enumerate(find_bindirs())
]
ADMIN = "projects/acme/secrets/rotator"
_numbers = count(1)


@dataclass
class Site:
    """One database with owner, slots and rotator of its own."""

    server: PostgresServer
    owner: str
    slots: tuple[str, str]
    database: str
    rotator: str
    admin: dict[str, Any]
    #: Every password any candidate of this site had.
    passwords: set[str] = field(default_factory=set)
    reads: list[str] = field(default_factory=list)
    _issuers: list[PostgreSQL] = field(default_factory=list)

    @property
    def tls(self) -> dict[str, str]:
        if not self.server.tls:
            return {"tls": "disable"}
        return {"tls": "verify-full", "tls_root_cert": str(self.server.ca_path)}

    def settings(self, **changes: Any) -> PostgreSQLSettings:
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.database,
            "slots": self.slots,
            "owner": self.owner,
            "admin": ADMIN,
            "lock_timeout": 2,
            **self.tls,
        }
        return PostgreSQLSettings(**(fields | changes))

    def issuer(self, **changes: Any) -> PostgreSQL:
        """A new issuer, closed when the test ends."""
        return self.issuer_of("", **changes)

    def issuer_of(self, secret: str, **changes: Any) -> PostgreSQL:
        """A new issuer that knows which secret it serves."""
        environment = IssuerEnvironment(self.read, lambda: "", secret)
        issuer = PostgreSQL(self.settings(**changes), environment)
        self._issuers.append(issuer)
        return issuer

    def read(self, name: str) -> Payload:
        self.reads.append(name)
        return Payload.of(self.admin)

    def candidate(self, slot: str, current: Payload | None = None) -> Payload:
        payload = PostgreSQL(self.settings(), IssuerEnvironment(self.read, lambda: "")).propose(
            slot, f"r{next(_numbers)}", current
        )
        self.passwords.add(payload.fields()["password"])
        return payload

    def mint(self, slot: str, token: int, version: int = 1, **changes: Any) -> Payload:
        """Give a slot a credential with an issuer of its own."""
        payload = self.candidate(slot)
        self.issuer(**changes).mint(minting(slot, payload, token, version))
        return payload

    def log_in(self, payload: Payload, **options: Any) -> psycopg.Connection:
        """Log in as the consumer does."""
        fields = payload.fields()
        return self.server.connect(
            self.database, user=fields["username"], password=fields["password"], **options
        )

    def works(self, payload: Payload) -> bool:
        try:
            self.log_in(payload).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def session(self, payload: Payload, **options: Any) -> Iterator[psycopg.Connection]:
        with closing(self.log_in(payload, **options)) as connection:
            yield connection

    def run(self, statement: str, *names: str, values: list[Any] | None = None) -> list[Any]:
        """Run a statement as the superuser, ``names`` in place of ``{}``."""
        with closing(self.server.connect(self.database)) as connection:
            composed = sql.SQL(statement).format(*map(sql.Identifier, names))
            cursor = connection.execute(composed, values)
            return cursor.fetchall() if cursor.description else []

    def comment(self, role: str) -> str | None:
        return self.run(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s",
            values=[role],
        )[0][0]

    def close(self) -> None:
        for issuer in self._issuers:
            issuer.close()


def make_site(server: PostgresServer, prefix: str = "app") -> Site:
    number = next(_numbers)
    base = f"{prefix}{number}"
    slots, owner = (f"{base}_a", f"{base}_b"), f"{base}_owner"
    rotator = f"rotator{number}"
    admin = create_rotatable_database(server, base, owner, slots, rotator)
    site = Site(server, owner, slots, base, rotator, admin)
    site.passwords.add(admin["password"])
    return site


def leaked(log: Path, passwords: set[str]) -> int:
    """How many of the passwords the server wrote down."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return sum(password in text for password in passwords)


SiteMaker = Callable[..., Site]

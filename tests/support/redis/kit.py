"""An ACL user that can be rotated, on each real server of this machine."""

import secrets
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from rotation.issuers.redis.issuer import Redis
from rotation.issuers.redis.settings import RedisSettings
from rotation.local.redis import ROTATOR_RULES, RedisServer, packaged_binary
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.minting import minting

#: Debian has one binary for the server and for tools, and the tools in a package of their own.
INSTALLED = shutil.which("redis-server") or shutil.which("redis-check-rdb")
BINARIES = [
    pytest.param(packaged_binary(), id="valkey"),
    pytest.param(
        Path(INSTALLED or "redis-server"),
        id="redis",
        marks=pytest.mark.skipif(not INSTALLED, reason="redis-server is not installed"),
    ),
]
ADMIN = "projects/acme/secrets/redis-rotator"
RULES = "~* &* +@all -@admin -@dangerous"
_numbers = count(1)


def hash_of(payload: Payload | str) -> str:
    text = payload if isinstance(payload, str) else str(payload.fields()["password"])
    return sha256(text.encode()).hexdigest()


@dataclass
class Site:
    """One user on one server or several, and a rotator."""

    servers: tuple[RedisServer, ...]
    user: str
    admin: dict[str, str]
    #: Every password any candidate of this site had.
    passwords: set[str] = field(default_factory=set)

    @property
    def server(self) -> RedisServer:
        return self.servers[0]

    @property
    def record(self) -> str:
        return f"rotation:{self.user}"

    def settings(self, **changes: Any) -> RedisSettings:
        fields: dict[str, Any] = {
            "nodes": tuple(server.address for server in self.servers),
            "user": self.user,
            "admin": ADMIN,
            "tls": "disable",
        }
        return RedisSettings(**(fields | changes))

    def issuer(self, **changes: Any) -> Redis:
        environment = IssuerEnvironment(lambda _name: Payload.of(self.admin), lambda: "")
        return Redis(self.settings(**changes), environment)

    def mint(self, token: int, current: Payload | None = None, **changes: Any) -> Payload:
        """Mint as one rotation does; return the payload."""
        issuer = self.issuer(**changes)
        handle = issuer.next_handle(current, f"r{token}")
        candidate = issuer.propose(handle, f"r{token}", current)
        self.passwords.add(str(candidate.fields()["password"]))
        request = minting(handle, candidate, token, token, current)
        return issuer.mint(request).payload

    def log_in(self, payload: Payload, server: RedisServer | None = None) -> redis.Redis:
        fields = payload.fields()
        return (server or self.server).log_in(fields["username"], fields["password"])

    def works(self, payload: Payload, server: RedisServer | None = None) -> bool:
        try:
            with self.log_in(payload, server) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return False

    def by_hand(self, *words: str, server: RedisServer | None = None) -> Any:
        """Do as an administrator does."""
        with (server or self.server).log_in() as admin:
            return admin.execute_command(*words)

    def hashes(self, user: str = "", server: RedisServer | None = None) -> set[str]:
        """Hashes of a user that are passwords, without our marks."""
        found = self.by_hand("ACL GETUSER", user or self.user, server=server)["passwords"]
        return {digest for digest in found if not digest.startswith(b"rotation".hex())}

    def memory(self, server: RedisServer | None = None) -> str:
        """What the server remembers, as an administrator reads it."""
        found = self.by_hand("ACL GETUSER", self.record, server=server)
        return str(found["keys"]) if found else ""


def make_site(*servers: RedisServer, save: bool = True) -> Site:
    """Make a user that nobody else uses, with a password that nobody knows."""
    user = f"app-{next(_numbers)}"
    rotator = f"rotator-{user}"
    admin = {"username": rotator, "password": secrets.token_urlsafe(24)}
    for server in servers:
        with server.log_in() as root:
            password = f"#{hash_of(admin['password'])}"
            root.execute_command("ACL", "SETUSER", rotator, "on", password, *ROTATOR_RULES.split())
            root.execute_command("ACL", "SETUSER", user, "on", *RULES.split())
            if save:
                root.execute_command("ACL", "SAVE")
    return Site(servers, user, admin)

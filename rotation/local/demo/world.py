"""The place the demo happens in: the stack, one database, one secret, and ways to look at them.

It arranges and looks; it never judges.

Rules of this module:
  1. It looks through the consumers' door of Secret Manager, so that the function's own calls can
     be counted.
  2. Every payload is read as soon as it exists, and kept in memory only: what is searched for at
     the end must be known although its version is destroyed by then.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import psycopg

from rotation.local.demo.narrator import DemoError
from rotation.local.postgres.server import PostgresServer
from rotation.local.redis import RedisServer
from rotation.local.stack import Stack, StackOptions
from rotation.local.stack.targets import Allowed, postgresql_target
from rotation.model.names import SecretName

DATABASE: Final = "orders"
OWNER: Final = "orders_owner"
SLOTS: Final = ("orders_a", "orders_b")
#: ACL user of the demo of Redis.
REDIS_USER: Final = "cache"
PERIOD: Final = timedelta(days=30)
SOAK: Final = timedelta(hours=1)
OBSERVE: Final = timedelta(hours=1)
DESTROY_AFTER: Final = timedelta(hours=12)
#: The shortest that Pub/Sub allows.
ACK_DEADLINE: Final = timedelta(seconds=10)
LEASE: Final = timedelta(seconds=10)

#: Sweeps come every five minutes from the start on; the firing shall be counted without one.
_BESIDE_THE_SWEEP: Final = timedelta(minutes=2)
#: What the deployment calls the systems that may be touched.
_DATABASE_TARGET: Final = "orders-db"
_REDIS_TARGET: Final = "cache"
_ROTATOR: Final = "orders-rotator"
_AUDIT: Final = "orders-audit"
_LOOK_EVERY: Final = 0.05


def stack_options() -> StackOptions:
    """Return the stack of the demo: short lease, every statement logged."""
    return StackOptions(
        ack_deadline=ACK_DEADLINE,
        lease=LEASE,
        budget=timedelta(seconds=8),
        backoff=(timedelta(seconds=1), timedelta(seconds=2)),
        postgres_settings={"log_statement": "all", "log_connections": "on"},
        targets=_targets,
    )


def _targets(postgres: PostgresServer, project: str) -> Allowed:
    database = postgresql_target(
        postgres,
        DATABASE,
        owner=OWNER,
        roles=SLOTS,
        admin=str(SecretName(project, _ROTATOR)),
        secrets=[str(SecretName(project, DATABASE))],
    )
    return {_DATABASE_TARGET: database}


@dataclass
class World:
    """Everything the scenes look at and act on."""

    stack: Stack
    http: httpx.Client
    #: Full name of the rotated secret.
    secret: str
    #: Payloads by version number.
    payloads: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)
    #: Passwords that are not a version's: the rotator's and the superuser's.
    further: dict[str, str] = field(default_factory=dict, repr=False)

    def now(self) -> datetime:
        """Return the time on the stack's clock."""
        return self.stack.services.clock.now()

    def versions(self) -> dict[int, str]:
        """Return the state of every version, and keep the payloads of new ones."""
        answer = self._get(f"{self.secret}/versions", pageSize=100)
        states = {
            number_of(version): str(version["state"]) for version in answer.get("versions", [])
        }
        for number, state in states.items():
            if state == "ENABLED" and number not in self.payloads:
                data = self._get(f"{self.secret}/versions/{number}:access")["payload"]["data"]
                self.payloads[number] = json.loads(base64.b64decode(data))
        return dict(sorted(states.items()))

    def described(self) -> dict[str, Any]:
        """Return the secret as it is stored now."""
        return self._get(self.secret)

    def evidence(self) -> str:
        """Return what the last receipt has for evidence."""
        receipt = json.loads(self.described()["annotations"].get("rotation.receipt", "{}"))
        return "; ".join(receipt.get("evidence", ()))

    def current(self) -> int:
        """Return the number that the alias ``current`` names."""
        return int(self.described().get("versionAliases", {}).get("current", 0))

    def next_firing(self) -> datetime:
        """Return when the schedule fires next."""
        return datetime.fromisoformat(self.described()["rotation"]["nextRotationTime"])

    def slots(self) -> list[dict[str, Any]]:
        """Return what PostgreSQL says about the slots."""
        query = """
            SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid'),
                   (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname)
              FROM pg_roles WHERE rolname = ANY (%s) ORDER BY rolname"""
        with self.stack.postgres.connect(DATABASE) as connection:
            rows = connection.execute(query, [list(SLOTS)]).fetchall()
        keys = ("slot", "login", "comment", "sessions")
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def log_in(self, version: int, pooler: str = "") -> psycopg.Connection[tuple[Any, ...]]:
        """Log in with a version's credential, as its consumers would; perhaps through a pooler."""
        payload = self.payloads[version]
        host, _, port = pooler.rpartition(":")
        return psycopg.connect(
            host=host or payload["host"],
            port=port or payload["port"],
            dbname=payload["dbname"],
            user=payload["username"],
            password=payload["password"],
            application_name="demo",
            autocommit=True,
            connect_timeout=5,
        )

    def request(self, **attributes: str) -> dict[str, str]:
        """Return the attributes of a message by which a person asks for a rotation."""
        return {"eventType": "ROTATION_REQUEST", "secretId": self.secret, **attributes}

    def publish_together(self, *messages: Mapping[str, str]) -> None:
        """Publish several messages in one call."""
        url = f"{self.stack.services.pubsub_rest}/v1/{self.stack.topic}:publish"
        body = {"messages": [{"attributes": dict(message)} for message in messages]}
        self.http.post(url, json=body).raise_for_status()

    def events(self) -> list[str]:
        """Return every message the topics have carried so far, attributes and data."""
        return [text for name in _audits(self.stack) for text in self._events(name)]

    def _events(self, audit: str) -> list[str]:
        url = f"{self.stack.services.pubsub_rest}/v1/{audit}:pull"
        texts: list[str] = []
        while True:
            answer = self.http.post(url, json={"maxMessages": 1000, "returnImmediately": True})
            answer.raise_for_status()
            messages = [
                received["message"] for received in answer.json().get("receivedMessages", [])
            ]
            if not messages:
                return texts
            for message in messages:
                data = base64.b64decode(message.get("data", "")).decode(errors="replace")
                texts.append(json.dumps(message.get("attributes", {})) + data)

    def _get(self, path: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401
        url = f"{self.stack.services.consumer_rest}/v1/{path}"
        answer = self.http.get(url, params=query)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body


def make_world(
    stack: Stack, http: httpx.Client, policy_key: str, period: timedelta = PERIOD
) -> World:
    """Create the database, its rows, and the two secrets; the schedule fires every ``period``."""
    admin = stack.create_database(DATABASE, OWNER, SLOTS)
    _fill(stack)
    _record_events(stack, http)
    stack.create_secret(_ROTATOR, {}, admin)
    first = stack.services.clock.now() + period - _BESIDE_THE_SWEEP
    body = {
        "topics": [{"name": stack.topic}],
        "rotation": {
            "nextRotationTime": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "rotationPeriod": f"{period.total_seconds():.0f}s",
        },
        "annotations": {policy_key: json.dumps(_policy())},
    }
    further = {
        "the rotator's": admin["password"],
        "the superuser's": stack.postgres.superuser_password(),
    }
    return World(stack, http, stack.create_secret(DATABASE, body), further=further)


def make_value_world(stack: Stack, http: httpx.Client, policy_key: str) -> World:
    """Create one secret whose key nobody outside knows."""
    _record_events(stack, http)
    policy = {"issuer": {"kind": "value"}, **_waits()}
    body = {
        "topics": [{"name": stack.topic}],
        "annotations": {policy_key: json.dumps(policy)},
    }
    return World(stack, http, stack.create_secret("signing-key", body))


def make_redis_world(
    stack: Stack, http: httpx.Client, policy_key: str, server: RedisServer
) -> World:
    """Create an ACL user without a password, a rotator, and their two secrets."""
    _record_events(stack, http)
    server.create_user(REDIS_USER, "~* &* +@all -@admin -@dangerous")
    admin = server.create_rotator()
    rotator = stack.create_secret("cache-rotator", {}, admin)
    target = {
        "kind": "redis",
        "nodes": [server.address],
        "users": [REDIS_USER],
        "admin": rotator,
        "tls": "disable",
        "secrets": [str(SecretName(stack.options.project, "cache"))],
    }
    stack.allow({_REDIS_TARGET: target})
    issuer = {"kind": "redis", "target": _REDIS_TARGET, "user": REDIS_USER}
    body = {
        "topics": [{"name": stack.topic}],
        "annotations": {policy_key: json.dumps({"issuer": issuer, **_waits()})},
    }
    further = {
        "the rotator's": admin["password"],
        "the administrator's": server.admin_password,
    }
    return World(stack, http, stack.create_secret("cache", body), further=further)


def number_of(version: Mapping[str, Any]) -> int:
    """Return the number in a version's name."""
    return int(str(version["name"]).rpartition("/")[2])


def await_that(what: str, condition: Callable[[], bool], seconds: float = 30.0) -> float:
    """Return after how many seconds the condition held.

    Raises:
        DemoError: It did not in time.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise DemoError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(_LOOK_EVERY)
    return time.monotonic() - began


def _policy() -> dict[str, Any]:
    return {
        "issuer": {
            "kind": "postgresql",
            "target": _DATABASE_TARGET,
            "slots": list(SLOTS),
            "owner": OWNER,
            "probes": ["SELECT 1 FROM orders LIMIT 1"],
        },
        **_waits(),
    }


def _waits() -> dict[str, Any]:
    return {
        "soak": _hours(SOAK),
        "retire": {"observe": _hours(OBSERVE), "destroy_after": _hours(DESTROY_AFTER)},
    }


def _hours(length: timedelta) -> str:
    return f"{length // timedelta(hours=1)}h"


def _fill(stack: Stack) -> None:
    with stack.postgres.connect(DATABASE) as connection:
        connection.execute("SET ROLE orders_owner")
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL)")
        connection.execute("INSERT INTO orders SELECT n, n * 1.5 FROM generate_series(1, 500) n")


def _record_events(stack: Stack, http: httpx.Client) -> None:
    for name, topic in _audits(stack).items():
        url = f"{stack.services.pubsub_rest}/v1/{name}"
        http.put(url, json={"topic": topic, "ackDeadlineSeconds": 600}).raise_for_status()


def _audits(stack: Stack) -> dict[str, str]:
    """Return the topic of each subscription that keeps what was published."""
    audit = f"projects/{stack.options.project}/subscriptions/{_AUDIT}"
    return {audit: stack.topic, f"{audit}-emergency": stack.options.emergency_topic_name}

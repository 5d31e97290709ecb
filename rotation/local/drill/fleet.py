"""The fleet of an exercise: secrets with a credential in force, on a stack of its own.

All share one database, owner and rotator; each has two slots of its own.  The stack's targets
document allows that database, for those secrets.
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx
import psycopg
from psycopg import sql

from rotation.local.postgres.rotatable import slot_statements
from rotation.local.stack import Stack
from rotation.local.stack.targets import postgresql_target
from rotation.model.names import SecretName

ROTATOR: Final = "exercise-rotator"
_TARGET: Final = "exercise-db"
_DATABASE, _OWNER = "exercise", "exercise_owner"
_PERIOD: Final = timedelta(days=30)
_WAITS: Final = {"soak": "10m", "retire": {"observe": "4m", "destroy_after": "10m"}}


@dataclass(frozen=True)
class Wanted:
    """One secret to make."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fleet:
    """The secrets, and ways to look at them."""

    stack: Stack
    http: httpx.Client
    policy_key: str
    #: Payloads of the first versions, by id; never shown.
    leaked: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def make(self, wanted: Sequence[Wanted]) -> None:
        """Create database, slots, and secrets with a first version in force."""
        slots = ("exercise_a", "exercise_b")
        admin = self.stack.create_database(_DATABASE, _OWNER, slots)
        self.stack.create_secret(ROTATOR, {}, admin)
        self._allow([wish.id for wish in wanted])
        first = self.stack.services.clock.now() + timedelta(days=1)
        made = []
        with self.stack.postgres.connect() as connection, connection.transaction():
            for number, wish in enumerate(wanted):
                login = {**admin, "username": f"x{number}_a", "password": secrets.token_urlsafe(24)}
                self._create_slots(connection, number, login["password"])
                self.leaked[wish.id] = login
                policy = self._policy(number)
                body = {
                    "labels": dict(wish.labels),
                    "topics": [{"name": self.stack.topic}],
                    "rotation": {
                        "nextRotationTime": f"{first:%Y-%m-%dT%H:%M:%SZ}",
                        "rotationPeriod": f"{_PERIOD.total_seconds():.0f}s",
                    },
                    "annotations": {self.policy_key: json.dumps(policy)},
                }
                made.append((wish.id, body, login))
        self.stack.create_secrets(made)
        self.stack.let_function("rotationReader", [ROTATOR])
        self.stack.let_function("rotationFunction", [wish.id for wish in wanted])

    def described(self, secret_id: str) -> dict[str, Any]:
        """Return one secret as it is stored."""
        return self._get(f"secrets/{secret_id}")

    def current(self, secret_id: str) -> dict[str, Any]:
        """Return the payload in force."""
        alias = self.described(secret_id).get("versionAliases", {}).get("current", "latest")
        answer = self._get(f"secrets/{secret_id}/versions/{alias}:access")
        return dict(json.loads(base64.b64decode(answer["payload"]["data"])))

    def set_annotation(self, secret_id: str, key: str, text: str) -> None:
        """Replace one annotation; the others stay."""
        base = f"{self._base}/secrets/{secret_id}"
        annotations = {**self.described(secret_id).get("annotations", {}), key: text}
        answer = self.http.patch(
            base, params={"updateMask": "annotations"}, json={"annotations": annotations}
        )
        answer.raise_for_status()

    def log_in(self, payload: Mapping[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
        """Log in with a payload, as somebody who has it would."""
        return psycopg.connect(
            host=payload["host"],
            port=payload["port"],
            dbname=payload["dbname"],
            user=payload["username"],
            password=payload["password"],
            application_name="somebody-else",
            require_auth="scram-sha-256",
            autocommit=True,
            connect_timeout=5,
        )

    def can_log_in(self, payload: Mapping[str, Any]) -> bool:
        """Whether a payload's credential works."""
        try:
            self.log_in(payload).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _base(self) -> str:
        rest = self.stack.services.consumer_rest
        return f"{rest}/v1/projects/{self.stack.options.project}"

    def _get(self, path: str) -> dict[str, Any]:
        answer = self.http.get(f"{self._base}/{path}")
        answer.raise_for_status()
        return dict(answer.json())

    def _create_slots(
        self, connection: psycopg.Connection[Any], number: int, password: str
    ) -> None:
        verifier = connection.pgconn.encrypt_password(
            password.encode(), f"x{number}_a".encode(), b"scram-sha-256"
        )
        names = {
            "first": sql.Identifier(f"x{number}_a"),
            "second": sql.Identifier(f"x{number}_b"),
            "owner": sql.Identifier(_OWNER),
            "rotator": sql.Identifier("rotator"),
            "verifier": sql.Literal(verifier.decode()),
        }
        statements = slot_statements(self.stack.postgres.binaries.major)
        for statement in (*statements, "ALTER ROLE {first} PASSWORD {verifier}"):
            connection.execute(sql.SQL(statement).format(**names))

    def _allow(self, ids: Sequence[str]) -> None:
        project = self.stack.options.project
        target = postgresql_target(
            self.stack.postgres,
            _DATABASE,
            owner=_OWNER,
            roles=["x*_a", "x*_b"],
            admin=str(SecretName(project, ROTATOR)),
            secrets=[str(SecretName(project, secret_id)) for secret_id in ids],
        )
        self.stack.allow({_TARGET: target})

    def _policy(self, number: int) -> Mapping[str, Any]:
        issuer = {
            "kind": "postgresql",
            "target": _TARGET,
            "slots": [f"x{number}_a", f"x{number}_b"],
            "owner": _OWNER,
        }
        return {"issuer": issuer, **_WAITS}

"""The sample of ``rotation up --sample``: databases and secrets to try rotations on.

1. What exists already is left as it is, so that a kept folder can be started again.
2. Times are short enough to watch, and ``rotation clock advance`` makes them shorter.
3. Many secrets share one database, owner and rotator: each has two slots of its own, and each has
   a first version in force, so that there is a credential to leak.
4. The stack's targets document allows just that.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from rotation.kit.credentials.verifier import scram_verifier
from rotation.local.postgres.rotatable import slot_statements
from rotation.local.postgres.server import PostgresServer
from rotation.local.stack import Stack
from rotation.local.stack.targets import Allowed, postgresql_target
from rotation.model.errors import PermanentError
from rotation.model.names import SecretName
from rotation.model.password import Password

SECRET: Final = "orders"  # noqa: S105 - its name
ROTATOR: Final = "orders-rotator"
_TARGET: Final = "orders-db"
_DATABASE: Final = "orders"
_OWNER: Final = "orders_owner"
_SLOTS: Final = ("orders_a", "orders_b")
_LABELS: Final = {"db": "orders"}
#: Few: nobody attacks a sample, and many are made at once.
_ITERATIONS: Final = 4096
_PERIOD: Final = timedelta(days=30)
_WAITS: Final = {"soak": "10m", "retire": {"observe": "4m", "destroy_after": "10m"}}


def create_sample(stack: Stack, existing: frozenset[str]) -> None:
    """Create what is not there yet.

    Args:
        stack: Running.
        existing: Ids of the secrets it has.

    Raises:
        PermanentError: The database is there without its secrets.
    """
    if SECRET in existing:
        return
    try:
        admin = stack.create_database(_DATABASE, _OWNER, _SLOTS)
    except psycopg.Error:
        raise PermanentError(
            f"the database {_DATABASE} is there without the secret {SECRET}",
            remedy="start with another --data-dir",
            reason="sample-half-made",
        ) from None
    stack.create_secret(ROTATOR, {}, admin)
    stack.allow(sample_targets(stack.postgres, stack.options.project, [SECRET]))
    first = stack.services.clock.now() + timedelta(hours=1)
    stack.create_secret(SECRET, _scheduled(stack, first, _policy()))
    stack.let_function("rotationReader", [ROTATOR])
    stack.let_function("rotationFunction", [SECRET])


def _scheduled(stack: Stack, first: datetime, policy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "topics": [{"name": stack.topic}],
        "rotation": {
            "nextRotationTime": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "rotationPeriod": f"{_PERIOD.total_seconds():.0f}s",
        },
        "annotations": {"rotation.policy": json.dumps(policy)},
    }


def create_samples(stack: Stack, existing: frozenset[str], count: int) -> None:
    """Create ``orders-01`` and so on, as many as are asked for, with the label ``db=orders``.

    Raises:
        PermanentError: The database is there without its secrets.
    """
    ids = ids_of(count)
    if ROTATOR not in existing:
        create_many(stack, ids)
    elif not existing.issuperset(ids):
        raise PermanentError(
            "the sample in this folder has other secrets",
            remedy="start with another --data-dir",
            reason="sample-half-made",
        )


def ids_of(count: int) -> list[str]:
    """Return the ids of so many secrets."""
    width = max(len(str(count)), 2)
    return [f"{SECRET}-{number:0{width}}" for number in range(1, count + 1)]


def sample_targets(postgres: PostgresServer, project: str, ids: Sequence[str]) -> Allowed:
    """Return what the sample's function may touch: one database, for these secrets."""
    # Ids that differ in a number alone are one line.
    alike = sorted({re.sub(r"\d", "?", secret_id) for secret_id in ids})
    return {
        _TARGET: postgresql_target(
            postgres,
            _DATABASE,
            owner=_OWNER,
            roles=[slot for pattern in alike for slot in _slots(pattern)],
            admin=str(SecretName(project, ROTATOR)),
            secrets=[f"projects/{project}/secrets/{pattern}" for pattern in alike],
        )
    }


def create_many(stack: Stack, ids: Sequence[str]) -> None:
    """Create a database, and secrets with a first version in force."""
    admin = stack.create_database(_DATABASE, _OWNER, _SLOTS)
    stack.create_secret(ROTATOR, {}, admin)
    stack.allow(sample_targets(stack.postgres, stack.options.project, ids))
    passwords = _create_slots(stack, ids)
    first = stack.services.clock.now() + timedelta(days=1)
    made = []
    for secret_id in ids:
        policy = _policy(_slots(secret_id))
        body = {**_scheduled(stack, first, policy), "labels": _LABELS}
        login = {
            **admin,
            "username": _slots(secret_id)[0],
            "password": passwords[secret_id].reveal(),
        }
        made.append((secret_id, body, login))
    stack.create_secrets(made)
    stack.let_function("rotationReader", [ROTATOR])
    stack.let_function("rotationFunction", ids)


def _create_slots(stack: Stack, ids: Sequence[str]) -> dict[str, Password]:
    """Create two slots for each secret; the first one can log in."""
    passwords = {secret_id: Password(secrets.token_urlsafe(24)) for secret_id in ids}
    statements = slot_statements(stack.postgres.binaries.major)
    statements.append("ALTER ROLE {first} PASSWORD {verifier}")
    with stack.postgres.connect() as connection, connection.transaction():
        for secret_id, password in passwords.items():
            first, second = _slots(secret_id)
            names = {
                "first": sql.Identifier(first),
                "second": sql.Identifier(second),
                "owner": sql.Identifier(_OWNER),
                "rotator": sql.Identifier("rotator"),
                "verifier": sql.Literal(scram_verifier(password, _ITERATIONS)),
            }
            for statement in statements:
                connection.execute(sql.SQL(statement).format(**names))
    return passwords


def _slots(secret_id: str) -> tuple[str, str]:
    base = secret_id.replace("-", "_")
    return f"{base}_a", f"{base}_b"


def _policy(slots: tuple[str, str] = _SLOTS) -> Mapping[str, Any]:
    issuer = {"kind": "postgresql", "target": _TARGET, "slots": slots, "owner": _OWNER}
    return {"issuer": issuer, **_WAITS}

"""The sample of ``rotation up --sample``: a database and a secret to try rotations on.

1. What exists already is left as it is, so that a kept folder can be started again.
2. Times are short enough to watch, and ``rotation clock advance`` makes them shorter.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import psycopg

from rotation.local.stack import Stack
from rotation.model.errors import PermanentError

SECRET: Final = "orders"  # noqa: S105 - its name
ROTATOR: Final = "orders-rotator"
_DATABASE: Final = "orders"
_OWNER: Final = "orders_owner"
_SLOTS: Final = ("orders_a", "orders_b")
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
    first = stack.services.clock.now() + timedelta(hours=1)
    body = {
        "topics": [{"name": stack.topic}],
        "rotation": {
            "nextRotationTime": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "rotationPeriod": f"{_PERIOD.total_seconds():.0f}s",
        },
        "annotations": {"rotation.policy": json.dumps(_policy(stack))},
    }
    stack.create_secret(SECRET, body)
    stack.let_function(ROTATOR, "rotationReader")
    stack.let_function(SECRET, "rotationFunction")


def _policy(stack: Stack) -> Mapping[str, Any]:
    tls = {"tls": "disable"}
    if stack.options.tls:
        tls = {"tls": "verify-full", "tls_root_cert": str(stack.postgres.ca_path)}
    issuer = {
        "kind": "postgresql",
        "host": stack.postgres.host,
        "port": stack.postgres.port,
        "database": _DATABASE,
        "slots": _SLOTS,
        "owner": _OWNER,
        "admin": f"projects/{stack.options.project}/secrets/{ROTATOR}",
        **tls,
    }
    return {"issuer": issuer, **_WAITS}

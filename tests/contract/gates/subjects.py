"""Each gate in a situation that is well, and what a stranger can do to it.

`WELL` of a subject is the positive control of the suite: a gate that always waits would keep every
other promise.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rotation.model.names import SecretName
from rotation.model.plugin import Change, Observation
from rotation.model.rollout import Watch
from rotation.ports.gate import Gate, GateEnvironment
from tests.contract.found import subjects_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET = SecretName("acme", "orders")
NUMBER = "123456789012"
CHANGE = Change(previous=6, next=7)
ROTATION_ID = "r20260504-120000-abc"
TOKENS = {
    "secret": "hunter2-from-the-secret",
    "access": "ya29.access-token",
    "identity": "eyJ.identity-token",
}
HEADER = {"name": "X-Api-Key", "secret": "projects/acme/secrets/probe-key"}


def environment(**changes: Any) -> GateEnvironment:
    fields: dict[str, Any] = {
        "read_secret": lambda _name: TOKENS["secret"].encode() + b"\n",
        "access_token": lambda: TOKENS["access"],
        "identity_token": lambda _audience: TOKENS["identity"],
        "project_number": {"acme": NUMBER}.get,
    }
    return GateEnvironment(**(fields | changes))


def unseen() -> Observation:
    return Observation(
        (), is_conclusive=False, nodes=("db:5432",), unobservable_reason="db:5432 is dark"
    )


def watch(**changes: Any) -> Watch:
    fields: dict[str, Any] = {
        "secret": SECRET,
        "rotation_id": ROTATION_ID,
        "stage": "canary",
        "change": CHANGE,
        "since": NOW - timedelta(minutes=5),
        "now": NOW,
        "previous_use": unseen,
        "next_use": unseen,
    }
    return Watch(**(fields | changes))


@dataclass(frozen=True)
class Speaker:
    """A gate that speaks HTTP: how to make it for a URL, and what it wants to hear."""

    make: Callable[..., Gate]
    well: bytes
    hurt: bytes
    settings: Mapping[str, Any] = field(default_factory=dict)

    def gate(self, url: str, env: GateEnvironment | None = None, **more: Any) -> Gate:
        return self.make(url, env or environment(), **{**self.settings, **more})


def samples(*values: str, at: datetime = NOW) -> bytes:
    series = [{"metric": {"n": str(n)}, "value": [at.timestamp(), v]} for n, v in enumerate(values)]
    data = {"resultType": "vector", "result": series}
    return json.dumps({"status": "success", "data": data}).encode()


def report(*entries: dict[str, Any], at: datetime = NOW, name: str = str(SECRET)) -> bytes:
    return json.dumps(
        {
            "contract": "rotation.consumer/1",
            "reported_at": at.isoformat(),
            "secrets": {name: entries[0] if len(entries) == 1 else list(entries)},
        }
    ).encode()


#: The gates that speak HTTP; the others have a subject, too, and tests of their own.
SUBJECTS = {name: module.SUBJECT for name, module in subjects_of("gates").items()}
SPEAKERS: Mapping[str, Speaker] = {name: subject for name, subject in SUBJECTS.items() if subject}

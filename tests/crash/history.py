"""What was stored on the watched secret, write by write, and which credential was in force when.

1. It is taken at the store itself: no write is missed, and no failure mode changes it.
2. A credential is known by user and password, as a digest: a copy of a version is the same one.
3. Times are both real (monotonic seconds, to order probes) and the stack's (for soaks).
"""

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotation.local.stack import Stack

#: A digest of user and password.
Key = str


@dataclass(frozen=True)
class Stored:
    """The secret after one write."""

    at: float
    clock: datetime
    #: Alias ``current``.
    current: int | None
    #: The credential of that version.
    in_force: Key | None
    token: int
    phase: str
    #: Id of the rotation in flight and of what asked for it; empty when settled.
    rotation_id: str
    request_id: str
    started_at: datetime | None
    #: Why the rotation in flight, or else the last one, went back; empty if it did not.
    reverted: str
    #: The rotation in flight, or else the last one, is an emergency or will be followed by one.
    urgent: bool
    blocked: str
    #: Id of the last rotation that ended, what it came to, and whether it was an emergency.
    receipt: str
    outcome: str
    was_emergency: bool
    #: Credential of each version.
    versions: tuple[Key, ...]


class History:
    """Every write to one secret since `watch`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._secret_id = ""
        self._lock = threading.Lock()
        self._stored: list[Stored] = []
        self._payloads: dict[int, dict[str, Any]] = {}
        store = stack.services.store
        write = store.write

        def observed(record: Any, event: Any) -> None:
            if record.key.secret_id == self._secret_id:
                self._take(record)
            write(record, event)

        store.write = observed  # type: ignore[method-assign]

    def watch(self, secret_id: str) -> None:
        """Forget everything, and watch another secret."""
        with self._lock:
            self._secret_id, self._stored, self._payloads = secret_id, [], {}

    def stored(self) -> list[Stored]:
        """Return all writes so far, in order."""
        with self._lock:
            return list(self._stored)

    def payloads(self) -> list[dict[str, Any]]:
        """Return what each version holds, or held before it was destroyed."""
        with self._lock:
            return list(self._payloads.values())

    def _take(self, record: Any) -> None:
        for number, version in enumerate(record.versions, 1):
            if version.payload:  # empty once it is destroyed
                self._payloads[number] = json.loads(version.payload)
        keys = {number: key_of(payload) for number, payload in self._payloads.items()}
        secret = record.message
        current = dict(secret.version_aliases).get("current")
        facts = _facts(dict(secret.annotations))
        with self._lock:
            self._stored.append(
                Stored(
                    at=time.monotonic(),
                    clock=self._stack.services.clock.now(),
                    current=current,
                    in_force=keys.get(current) if current else None,
                    token=int(secret.labels.get("rotation_token", "0")),
                    blocked=secret.labels.get("rotation_blocked", ""),
                    versions=tuple(keys[n] for n in range(1, len(record.versions) + 1)),
                    **facts,
                )
            )


def key_of(payload: dict[str, Any]) -> Key:
    """Return the credential of a payload."""
    login = json.dumps([payload["username"], payload["password"]])
    return hashlib.sha256(login.encode()).hexdigest()[:16]


def _facts(annotations: dict[str, str]) -> dict[str, Any]:
    """Return what record and receipt say."""
    stored = json.loads(annotations.get("rotation.record", "{}"))
    record, phase = stored.get("record", {}), stored.get("phase", "settled")
    receipt = json.loads(annotations.get("rotation.receipt", "{}"))
    last = record or receipt
    again = record.get("again") or {}
    started = record.get("started_at")
    return {
        "phase": phase,
        "rotation_id": record.get("id", ""),
        "request_id": record.get("request_id", ""),
        "started_at": datetime.fromisoformat(started) if started else None,
        "reverted": last.get("reverted") or last.get("why") or "",
        "receipt": receipt.get("id", ""),
        "outcome": receipt.get("outcome", ""),
        "was_emergency": receipt.get("mode") == "emergency",
        "urgent": "emergency" in (last.get("mode"), again.get("mode")),
    }

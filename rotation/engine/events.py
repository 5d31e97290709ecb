"""The lines of the journal that alerts and audits are made of, each known by its ``event``.

deploy/docs/logs.md is their reference; a test holds the two together.

Rules of this module:
  1. An event's name and fields are a contract: they may gain fields, and lose none.
  2. A line never holds a secret value.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from rotation.machine import receipts
from rotation.model.rotation import Pause, Receipt, Record
from rotation.model.wakeup import claimed

#: Failures in a row from which on a line is an error.
TOO_OFTEN = 5

#: Blocks that mean that somebody else has changed the credential, or where consumers are pointed.
DRIFT = frozenset({"drift", "pointer-moved"})

#: Severity, message and fields of a line.
Line = tuple[str, str, Mapping[str, Any]]


class Event(Enum):
    """Value of ``event``."""

    RECEIPT = "receipt"
    EMERGENCY_STARTED = "emergency-started"
    BLOCKED = "blocked"
    OVERDUE = "overdue"
    DRIFT = "drift"
    FAILING = "failing"
    TOO_OLD = "too-old"
    PAUSED = "paused"
    RESUMED = "resumed"


def receipt(of: Receipt, secret: str) -> Line:
    """A rotation has ended."""
    form = receipts.line(of, secret)
    del form["secret"]  # every line of a secret has it
    spent = form["seconds"].get("revoked")
    died = f"; the previous credential was revoked after {spent:g} s" if spent is not None else ""
    message = f"receipt {of.sequence}: rotation {of.id} {of.outcome}{died}"
    return _line("NOTICE", message, Event.RECEIPT, outcome=of.outcome, **form)


def emergency_started(record: Record) -> Line:
    """An emergency has begun, or has overtaken what was in flight."""
    again = record.again
    request = (again.reason, again.requested_by, again.id) if again else None
    why, by, request_id = request or (record.reason, record.requested_by, record.request_id)
    message = f"emergency started{f' by {claimed(by)}' if by else ''}{f': {why}' if why else ''}"
    more = {"reason": why, "requested_by": by, "request_id": request_id}
    return _line("WARNING", message, Event.EMERGENCY_STARTED, **more)


def blocked(reason: str, message: str) -> Line:
    """A person must look: now."""
    event = Event.DRIFT if reason in DRIFT else Event.BLOCKED
    return _line("ERROR", f"blocked: {message}", event, error=reason)


def still_blocked(reason: str, message: str, since: datetime | None, now: datetime) -> Line:
    """A person must look; each sweep says so again."""
    return _line("WARNING", f"blocked: {message}", Event.BLOCKED, error=reason, **_age(since, now))


def failing(reason: str, message: str, failures: int) -> Line:
    """A tick has ended, and its message is to be delivered again."""
    severity = "ERROR" if failures >= TOO_OFTEN else "WARNING"
    return _line(severity, message, Event.FAILING, error=reason, failures=failures)


def overdue(because: str, since: datetime, now: datetime) -> Line:
    """A rotation should have begun, and has not."""
    message = f"overdue: a rotation was due at {since:%Y-%m-%d %H:%M:%SZ} ({because})"
    return _line("WARNING", message, Event.OVERDUE, because=because, **_age(since, now))


def too_old(born: datetime, limit_s: int, now: datetime) -> Line:
    """The credential in force is older than its schedule allows."""
    message = f"too old: the credential in force was published at {born:%Y-%m-%d %H:%M:%SZ}"
    return _line("WARNING", message, Event.TOO_OLD, limit_s=limit_s, **_age(born, now))


def pause(pause: Pause, message: str, now: datetime) -> Line:
    """Somebody has paused or resumed, or the pause goes on."""
    severity, event = ("WARNING", Event.PAUSED) if pause.paused else ("NOTICE", Event.RESUMED)
    more = {"reason": pause.reason, "requested_by": pause.requested_by}
    return _line(severity, message, event, **more, **_age(pause.since, now))


def _age(since: datetime | None, now: datetime) -> Mapping[str, Any]:
    if since is None:
        return {}
    return {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "age_s": int((now - since).total_seconds())}


def _line(severity: str, message: str, event: Event, **fields: Any) -> Line:  # noqa: ANN401
    return severity, message, {"event": event.value, **fields}

"""What `status` answers with ``--json``: where one secret stands, in a stable shape."""

from collections.abc import Mapping
from typing import Any, Final

from rotation.engine.snapshot import Snapshot


def describe(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return the JSON form of a snapshot; every key is always there."""
    state, schedule = snapshot.state, snapshot.secret.schedule
    record = state.record if state else None
    return {
        "secret": str(snapshot.secret.name),
        "phase": state.phase.value if state else None,
        "current": snapshot.current,
        "handle": snapshot.handle or None,
        "waits_until": state.wake_at if state else None,
        "lease_until": state.lease_until if state else None,
        "rotation": _fields(record, _FLIGHT),
        "pending": _fields(record.again if record else None, _REQUEST),
        "blocked": _fields(snapshot.block, ("reason", "message", "since")),
        "paused": _fields(snapshot.pause if snapshot.paused else None, _PAUSE),
        "kept": _fields(snapshot.pause.again if snapshot.pause else None, _REQUEST),
        "faults": [str(fault) for fault in snapshot.faults],
        "last": _fields(state.receipt if state else None, _RECEIPT),
        "next_rotation": schedule.next_time if schedule else None,
        "overdue_since": snapshot.overdue_since,
        "needs_a_person": snapshot.needs_a_person,
    }


_PAUSE: Final = ("since", "reason", "requested_by")
_REQUEST: Final = ("mode", "reason", "requested_by", "at", "id")
_FLIGHT: Final = (
    *("id", "mode", "previous", "next", "handle", "note", "reason", "requested_by", "request_id"),
    *("started_at", "published_at", "suspended_at", "revoked_at", "evidence"),
    *("stage", "handed_at", "watch_until", "acked", "links", "reverted"),
)
_RECEIPT: Final = (
    *("id", "outcome", "mode", "previous", "current", "why", "reason", "requested_by"),
    *("request_id", "started_at", "published_at", "revoked_at", "settled_at", "evidence"),
)


def _fields(thing: object, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    if thing is None:
        return None
    values = {name: getattr(thing, name) for name in names}
    return {name: getattr(value, "value", value) for name, value in values.items()}

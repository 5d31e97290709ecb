"""Where one secret stands: its stored state, read as the worker would read it.

1. Reading changes nothing and needs no payload.
2. What cannot be understood becomes a fault to show; it never stops the reading.
3. What consumers get is what the participants observe; only without any the record is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rotation.cli.views.context import Context
from rotation.engine import codec
from rotation.engine.participants import pointed, riding_of
from rotation.machine import due
from rotation.model.errors import PermanentError, PolicyError, StateError
from rotation.model.phase import Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Block, Pause, Record, State
from rotation.model.secret import Secret
from rotation.model.wakeup import WakeUp, WakeUpKind
from rotation.policies.policy import check_fits, decode_policy

#: Phases in which consumers have, or get back, what they had before.
_BEFORE: Final = frozenset(
    {Phase.PREPARING, Phase.VOTING, Phase.ABORTING, Phase.REVERTING, Phase.WITHDRAWING}
)


@dataclass(frozen=True)
class Standing:
    """One secret as read at one moment."""

    secret: Secret
    now: datetime
    policy: Policy | None
    #: None: it cannot be read.
    state: State | None
    #: The version consumers get.
    current: int | None
    #: What a person must mend before anything can happen; empty when all is well.
    faults: tuple[PermanentError, ...]

    @property
    def short(self) -> str:
        """The secret's id, for people."""
        return self.secret.name.secret_id

    @property
    def block(self) -> Block | None:
        """Why the worker stopped."""
        return codec.read_block(self.secret)

    @property
    def pause(self) -> Pause | None:
        """The last word about a pause."""
        return codec.read_pause(self.secret)

    @property
    def needs_a_person(self) -> bool:
        """Whether nothing goes on by itself."""
        return bool(self.faults) or codec.BLOCKED in self.secret.labels

    @property
    def paused(self) -> bool:
        """Whether routine rotations are held."""
        return codec.PAUSED in self.secret.labels

    @property
    def overdue_since(self) -> datetime | None:
        """The scheduled time that should have been served by now."""
        if self.state is None or self.state.phase is not Phase.SETTLED:
            return None
        wake_up = WakeUp(WakeUpKind.WAKE, self.secret.name, message_id="", at=self.now)
        found = due.due(due.Facts(self.state, self.secret, self.now, wake_up))
        return found.since if found else None

    @property
    def handle(self) -> str:
        """The handle of the version in force; empty where no record tells."""
        record = self.state.record if self.state else None
        receipt = self.state.receipt if self.state else None
        if record is not None and record.next is not None and record.next == self.current:
            return record.handle
        kept = receipt is not None and receipt.outcome == "rotated"
        return receipt.handle if receipt and kept and receipt.current == self.current else ""


def is_managed(secret: Secret) -> bool:
    """Tell whether a secret has a policy, or a rotation that began with one."""
    return codec.is_managed(secret)


def read_standing(context: Context, secret: Secret) -> Standing:
    """Read where a secret stands."""
    faults: list[PermanentError] = []
    policy = _policy(context, secret, faults)
    pointed = _pointed(context, secret, policy)
    try:
        state = codec.decode(secret, pointed)
    except StateError as error:
        faults.append(error)
        state = None
    return Standing(
        secret=secret,
        now=context.clock.now(),
        policy=policy,
        state=state,
        current=_current(state, pointed),
        faults=tuple(faults),
    )


def find_managed(context: Context, text: str) -> Standing:
    """Read a secret that a person named, and make sure that something can be asked of it.

    Raises:
        PermanentError: It has no policy, or a faulty one, or its state cannot be read.
    """
    secret = context.store.get(context.secret_name(text))
    if not is_managed(secret):
        raise not_managed(secret)
    standing = read_standing(context, secret)
    if standing.faults:
        raise standing.faults[0]
    return standing


def find_paused(context: Context, text: str) -> Standing:
    """Read a secret that a person named; it can be paused and resumed whatever is wrong with it.

    Raises:
        PermanentError: It is not managed.
    """
    secret = context.store.get(context.secret_name(text))
    if not is_managed(secret):
        raise not_managed(secret)
    return read_standing(context, secret)


def not_managed(secret: Secret) -> PermanentError:
    """Return the error that says that rotation has nothing to do with a secret."""
    return PermanentError(
        f"{secret.name} has no policy, so it is not managed by rotation",
        remedy=f"give it one: rotation policy apply {secret.name.secret_id} FILE",
        reason="not-managed",
    )


def describe(standing: Standing) -> Mapping[str, Any]:
    """Return the JSON form of a standing; every key is always there."""
    state, schedule = standing.state, standing.secret.schedule
    record = state.record if state else None
    return {
        "secret": str(standing.secret.name),
        "phase": state.phase.value if state else None,
        "current": standing.current,
        "handle": standing.handle or None,
        "waits_until": state.wake_at if state else None,
        "lease_until": state.lease_until if state else None,
        "rotation": _fields(record, _FLIGHT),
        "pending": _fields(record.again if record else None, _REQUEST),
        "blocked": _fields(standing.block, ("reason", "message", "since")),
        "paused": _fields(standing.pause if standing.paused else None, _PAUSE),
        "kept": _fields(standing.pause.again if standing.pause else None, _REQUEST),
        "faults": [str(fault) for fault in standing.faults],
        "last": _fields(state.receipt if state else None, _RECEIPT),
        "next_rotation": schedule.next_time if schedule else None,
        "overdue_since": standing.overdue_since,
        "needs_a_person": standing.needs_a_person,
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


def _policy(context: Context, secret: Secret, faults: list[PermanentError]) -> Policy | None:
    text = secret.annotations.get(codec.POLICY, "")
    schedule = secret.schedule
    try:
        policy = decode_policy(text, context.kinds)
        check_fits(policy, schedule.period if schedule else None)
    except PolicyError as error:
        faults.append(error)
        return None
    return policy


def _pointed(context: Context, secret: Secret, policy: Policy | None) -> int | None:
    if policy is None:
        return None
    return pointed(riding_of(policy, context.participants), secret.aliases)


def _current(state: State | None, pointed: int | None) -> int | None:
    if pointed is not None or state is None:
        return pointed
    return state.current if state.record is None else _in_force(state.phase, state.record)


def _in_force(phase: Phase, record: Record) -> int | None:
    return record.previous if phase in _BEFORE else record.next

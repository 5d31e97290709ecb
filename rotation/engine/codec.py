"""Labels and annotations to `State` and back; the only place that spells their keys.

Rules of this module:
  1. Labels hold what people filter by, annotations what does not fit a label.
  2. Labels, annotations and aliases of others are never lost: `encode` starts from the maps that
     were read and touches its own keys only.
  3. What cannot be understood is refused with `StateError`, never guessed and never overwritten.
  4. Nothing that exceeds Secret Manager's limits is sent: `StateError` names the limit.
  5. What is read keeps the promises of `rotation.model.rotation`, whoever wrote it: times in UTC,
     counts from zero, a record exactly while a rotation is in flight.
  6. The label is what counts: without ``rotation_blocked`` or ``rotation_paused`` a secret is
     neither, and with the latter it is paused, so that people can do it by hand.
  7. The short forms of old receipts are good to have and never in the way: unreadable ones are
     none, and the oldest go first where room is short.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields, replace

from rotation.model.errors import StateError
from rotation.model.phase import RETIRING, Phase
from rotation.model.rotation import Block, Brief, Pause, Receipt, Record, State
from rotation.model.secret import Secret

PHASE = "rotation_phase"
ID = "rotation_id"
NEXT = "rotating_to_new_version_number"
TOKEN = "rotation_token"  # noqa: S105 - the name of a label
LEASE = "rotation_lease_until"
WAKE = "rotation_wake_at"
BLOCKED = "rotation_blocked"
STAGE = "rotation_stage"
PAUSED = "rotation_paused"
LABELS = (PHASE, ID, NEXT, TOKEN, LEASE, WAKE, BLOCKED, STAGE, PAUSED)

POLICY = "rotation.policy"
RECORD = "rotation.record"
RECEIPT = "rotation.receipt"
HISTORY = "rotation.history"
BLOCK = "rotation.blocked"
PAUSE = "rotation.paused"
MAC = "rotation.mac"
#: All of ours but the policy.
ANNOTATIONS = (RECORD, RECEIPT, HISTORY, BLOCK, PAUSE, MAC)

MAX_LABELS = 64
MAX_ALIASES = 50
MAX_ANNOTATION_BYTES = 16 * 1024

#: Phases in which *next* exists: without it, nobody knows whose login may be stopped.
_PUBLISHED = frozenset(
    {Phase.VOTING, Phase.ROLLING_OUT, Phase.SOAKING, *RETIRING, Phase.REVERTING, Phase.WITHDRAWING}
)
#: What each value that we put into a label looks like.
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{1,63}")
#: Who paused a secret whose label was set without us, and when.
_BY_HAND = "hand"
_LONG_AGO = datetime.fromtimestamp(0, UTC)
#: Far more than any token, version or time; a machine's integer on every side.
_LARGEST = 10**18

_T = TypeVar("_T")


class _StoredRecord(Struct, frozen=True):
    """The record annotation: the full phase (the label merges some), and the record."""

    phase: Phase
    record: Record


class Maps(Struct, frozen=True):
    """The three maps of one UpdateSecret, whole."""

    labels: dict[str, str]
    annotations: dict[str, str]
    aliases: dict[str, int]


def decode(secret: Secret, pointed: int | None = None) -> State:
    """Read the state of one secret.

    Args:
        secret: As read.
        pointed: The version that consumers are pointed to, where a participant knows.

    Raises:
        StateError: A label or annotation of ours makes no sense.
    """
    labels = secret.labels
    record, phase = None, Phase.SETTLED
    if PHASE in labels:
        stored = _load(secret, RECORD, _StoredRecord)
        if stored is None or stored.phase.label != labels[PHASE] or stored.phase is Phase.SETTLED:
            raise _bad_phase(stored)
        record, phase = stored.record, stored.phase
        if phase in _PUBLISHED and record.next in {None, record.previous}:
            raise _unreadable(RECORD)
    receipt = _load(secret, RECEIPT, Receipt)
    current = pointed
    if current is None and receipt is not None:
        current = receipt.current
    return State(
        phase=phase,
        token=_number(secret, TOKEN) or 0,
        lease_until=_time(secret, LEASE),
        wake_at=_time(secret, WAKE),
        block=_load(secret, BLOCK, Block) if BLOCKED in labels else None,
        record=record,
        receipt=receipt,
        history=_history(secret),
        pause=_pause(secret),
        current=current,
        aliases=dict(secret.aliases),
    )


def _pause(secret: Secret) -> Pause | None:
    """Read the last request about a pause; the label may have been set or removed by hand."""
    stored, labelled = _load(secret, PAUSE, Pause), PAUSED in secret.labels
    if stored is None:
        return Pause(paused=True, at=_LONG_AGO, requested_by=_BY_HAND) if labelled else None
    if stored.paused is labelled:
        return stored
    return replace(
        stored, paused=labelled, since=None, reason="", requested_by=_BY_HAND if labelled else ""
    )


def receipts_of(secret: Secret) -> tuple[Receipt | None, tuple[Brief, ...]]:
    """Return the last receipt and the short forms of those before, whatever else is wrong.

    Raises:
        StateError: The receipt cannot be read.
    """
    return _load(secret, RECEIPT, Receipt), _history(secret)


def _history(secret: Secret) -> tuple[Brief, ...]:
    try:
        return _load(secret, HISTORY, tuple[Brief, ...]) or ()
    except StateError:
        return ()


def encode(state: State, secret: Secret, mac_size: int = 0) -> Maps:
    """Return the maps that store ``state``, keeping everything that is not ours.

    Args:
        state: What to store.
        secret: As read.
        mac_size: Characters to keep room for, in the place of the MAC; 0: there is none.

    Raises:
        StateError: The result would not fit into Secret Manager's limits.
    """
    labels = {key: value for key, value in secret.labels.items() if key not in LABELS}
    record = state.record
    if state.token:
        labels[TOKEN] = str(state.token)
    if record is not None:
        labels[PHASE] = state.phase.label
        labels[ID] = record.id
        if state.phase is Phase.PREPARING:
            labels[NEXT] = str(record.base + 1)
        if record.stage:
            labels[STAGE] = record.stage
    if state.lease_until is not None:
        labels[LEASE] = _unix(state.lease_until)
    if state.wake_at is not None:
        labels[WAKE] = _unix(state.wake_at)
    if state.block is not None:
        labels[BLOCKED] = state.block.reason
    if state.paused:
        labels[PAUSED] = "yes"
    _check_values(labels, LABELS)
    return _within_limits(Maps(labels, _annotations(state, secret, mac_size), state.aliases))


def _annotations(state: State, secret: Secret, mac_size: int) -> dict[str, str]:
    annotations, record = dict(secret.annotations), state.record
    stored = None if record is None else _StoredRecord(state.phase, record)
    kept = ((RECORD, stored), (RECEIPT, state.receipt), (BLOCK, state.block), (PAUSE, state.pause))
    for key, value in kept:
        _store(annotations, key, value)
    annotations.pop(MAC, None)
    if mac_size:
        annotations[MAC] = "." * mac_size
    _store_history(annotations, state.history)
    return annotations


def _store_history(annotations: dict[str, str], history: tuple[Brief, ...]) -> None:
    """Store as many short forms as there is room for."""
    while history:
        _store(annotations, HISTORY, history)
        if _size(annotations) <= MAX_ANNOTATION_BYTES:
            return
        history = history[:-1]
    annotations.pop(HISTORY, None)


def encode_block(block: Block, secret: Secret) -> Maps:
    """Return the maps that mark a secret whose state cannot be read; nothing else changes."""
    annotations = dict(secret.annotations)
    _store(annotations, BLOCK, block)
    labels = {**secret.labels, BLOCKED: block.reason}
    _check_values(labels, (BLOCKED,))
    return _within_limits(Maps(labels, annotations, dict(secret.aliases)))


def is_managed(secret: Secret) -> bool:
    """Whether a secret is ours to look after: it has a policy, or a rotation began with one."""
    return POLICY in secret.annotations or not secret.labels.keys().isdisjoint({PHASE, BLOCKED})


def read_block(secret: Secret) -> Block | None:
    """Return why a secret is blocked, even where the rest of its state cannot be read."""
    try:
        return _load(secret, BLOCK, Block) if BLOCKED in secret.labels else None
    except StateError:
        return None


def read_pause(secret: Secret) -> Pause | None:
    """Return the last request about a pause, even where the rest of its state cannot be read."""
    try:
        return _pause(secret)
    except StateError:
        return None


def _load(secret: Secret, key: str, kind: type[_T]) -> _T | None:
    text = secret.annotations.get(key)
    if text is None:
        return None
    try:
        # mypy takes no class for hashable.
        value: _T | None = _decoder(kind).decode(text)  # type: ignore[arg-type]
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
        value = None
    if value is None or not _keeps_promises(value):
        raise _unreadable(key)
    return value


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _keeps_promises(value: Any) -> bool:  # noqa: ANN401 - a record, or several
    """Whether every time is in UTC and every number counts something.

    A sweep asks ten thousand times: most fields are texts or absent, and promise nothing.
    """
    for item in value if type(value) is tuple else astuple(value):
        kind: Any = type(item)
        if kind is str or item is None:
            continue
        if kind is datetime:
            kept = item.tzinfo is UTC
        elif kind is int:
            kept = 0 <= item <= _LARGEST
        else:
            kept = not (kind is tuple or isinstance(item, Struct)) or _keeps_promises(item)
        if not kept:
            return False
    return True


def _store(annotations: dict[str, str], key: str, value: object) -> None:
    if value is None:
        annotations.pop(key, None)
        return
    annotations[key] = msgspec.json.encode(_compact(value)).decode()


def _compact(value: Any) -> Any:  # noqa: ANN401 - a record, or several, or what one holds
    """Leave out fields that have their default, so that annotations stay small."""
    kind: Any = type(value)
    if kind is tuple:
        return [_compact(item) for item in value]
    if not isinstance(value, Struct):
        return value
    named = zip(_defaults(kind), astuple(value), strict=True)
    return {name: _compact(item) for (name, default), item in named if item != default}


@cache
def _defaults(kind: type[Any]) -> Sequence[tuple[str, Any]]:
    """Return the fields of a kind of record with their defaults."""
    return [(field.name, field.default) for field in fields(kind)]


def _number(secret: Secret, key: str) -> int | None:
    text = secret.labels.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _bad_label(key, "it is not a number")
    # Digits are counted first: Python does not even read thousands of them.
    if len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise _bad_label(key, f"it is larger than {_LARGEST}")
    return int(text)


def _time(secret: Secret, key: str) -> datetime | None:
    seconds = _number(secret, key)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise _bad_label(key, "it is not a time in unix seconds") from None


def _unix(time: datetime) -> str:
    """Round up, so that a wait or lease is never shorter than it was meant to be."""
    return str(-int(-time.timestamp() // 1))


def _unreadable(key: str) -> StateError:
    return StateError(
        f"annotation {key} cannot be read",
        remedy=f"restore it, or remove the labels {PHASE} and {ID} to give this rotation up",
    )


def _bad_phase(stored: _StoredRecord | None) -> StateError:
    if stored is None:
        return StateError(
            f"label {PHASE} is set, and there is no annotation {RECORD}",
            remedy=f"restore the annotation, or remove {PHASE} to give the rotation up",
        )
    if stored.phase is Phase.SETTLED:
        return StateError(
            f"label {PHASE} is set, and the annotation {RECORD} is of no rotation in flight",
            remedy=f"remove {PHASE}",
        )
    return StateError(
        f"label {PHASE} does not agree with the annotation {RECORD}",
        remedy=f"set it to {stored.phase.label}, or remove it to give the rotation up",
    )


def _bad_label(key: str, fault: str) -> StateError:
    return StateError(f"label {key} makes no sense: {fault}", remedy=f"restore it, or remove {key}")


def _check_values(labels: Mapping[str, str], keys: Iterable[str]) -> None:
    for key in keys:
        if not _LABEL_VALUE.fullmatch(labels.get(key, "-")):
            raise _bad_label(key, "no label takes the value that the annotations ask for")


def _size(annotations: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())


def _within_limits(maps: Maps) -> Maps:
    if len(maps.labels) > MAX_LABELS:
        raise StateError(
            f"the secret would have {len(maps.labels)} labels; Secret Manager takes {MAX_LABELS}",
            remedy=f"remove at least {len(maps.labels) - MAX_LABELS} labels of your own",
            reason="no-room",
        )
    if len(maps.aliases) > MAX_ALIASES:
        raise StateError(
            f"the secret would have {len(maps.aliases)} aliases; Secret Manager takes"
            f" {MAX_ALIASES}",
            remedy=f"remove at least {len(maps.aliases) - MAX_ALIASES} aliases of your own",
            reason="no-room",
        )
    size = _size(maps.annotations)
    if size > MAX_ANNOTATION_BYTES:
        raise StateError(
            f"the annotations would take {size} bytes; Secret Manager takes {MAX_ANNOTATION_BYTES}",
            remedy="shorten annotations of your own",
            reason="no-room",
        )
    return maps

"""The stored state under the deployment's keys: the codec, and a MAC over what is acted upon.

Who may write a secret's annotations can write a record of a rotation that never was.  The MAC, one
annotation in the same write, says that the function wrote the record, for this very secret.

Rules of this module:
  1. The MAC covers the secret (its full name by the project's number, and when it was created), all
     of our labels and the annotations that are acted upon.  Policy and aliases are people's own:
     they are looked at, not believed.
  2. A rotation in flight that the function did not write is not acted upon (`NotOursError`).
  3. Of a settled secret that it did not write, only what can be looked at is believed: there may be
     a receipt from before there were keys, or a person has given a rotation up by hand.
  4. Anybody may stop a rotation: a block or a pause set by hand breaks nothing.  Only the function
     takes a block away.
  5. Without keys nothing is written here and nothing is asked for.
  6. An old record with its MAC, copied back, fits: nothing on the secret can tell.  The issuer's
     fence can, where it has seen a newer token (`OldRecordError`); and nothing ends on the record's
     word alone (`rotation.engine.proving`).
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from rotation.engine import codec
from rotation.engine.codec import Maps
from rotation.model.errors import PermanentError, StateError
from rotation.model.keys import Key, KeyRing
from rotation.model.rotation import State
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask

#: What is covered, and by what form; another form is another text.
_FORM = "rotation.mac/1"
#: By hand these may be set at any time; see rule 4.
_BY_HAND = frozenset({codec.BLOCKED, codec.PAUSED})
_LABELS = tuple(key for key in codec.LABELS if key not in _BY_HAND)
_ANNOTATIONS = (codec.RECORD, codec.RECEIPT, codec.PAUSE)
#: Characters of a MAC beside the id of its key: a colon, and 32 bytes in base64.
_LENGTH = 1 + 43


class NotOursError(StateError):
    """The record of a rotation in flight was not written by this deployment.  A person looks."""

    reason = "record-not-ours"


class OldRecordError(PermanentError):
    """The record is ours, and older than what its issuer has seen.  A person looks."""

    reason = "record-old"


def decode(secret: Secret, pointed: int | None, keys: KeyRing | None) -> State:
    """Read the state of one secret, as far as it is ours.

    Raises:
        StateError: A label or annotation of ours makes no sense.
        NotOursError: A rotation is in flight that the function did not write.
    """
    state = codec.decode(secret, pointed)
    if keys is None or is_ours(secret, keys):
        return state
    if state.record is None:
        return without_claims(state)
    missing = codec.MAC not in secret.annotations
    raise NotOursError(
        "the record of this rotation has no MAC: this deployment did not write it"
        if missing
        else "the record of this rotation does not fit its MAC: somebody else has changed it",
        remedy=f"restore it from the log of changes; or give the rotation up: rotation unblock"
        f" {secret.name.secret_id} looks at what is there and starts from that",
    )


def encode(state: State, secret: Secret, keys: KeyRing | None) -> Maps:
    """Return the maps that store ``state`` under the key that signs.

    Raises:
        StateError: The result would not fit into Secret Manager's limits.
    """
    if keys is None:
        return codec.encode(state, secret)
    key = keys.signing
    maps = codec.encode(state, secret, mac_size=len(key.id) + _LENGTH)
    maps.annotations[codec.MAC] = _mac(key, secret, maps, blocked=codec.BLOCKED in maps.labels)
    return maps


def is_ours(secret: Secret, keys: KeyRing) -> bool:
    """Whether the function wrote what a secret says; a block may have come since."""
    stored = secret.annotations.get(codec.MAC, "")
    key = keys.find(stored.partition(":")[0])
    if key is None:
        return False
    maps = Maps(dict(secret.labels), dict(secret.annotations), {})
    forms = (True, False) if codec.BLOCKED in secret.labels else (False,)
    fitting = (_mac(key, secret, maps, blocked=blocked) for blocked in forms)
    return any(hmac.compare_digest(stored.encode(), mac.encode()) for mac in fitting)


def without_claims(state: State) -> State:
    """Return a settled state without what nobody can look at: other versions, what was served."""
    receipt, pause = state.receipt, state.pause
    if receipt is not None:
        receipt = replace(receipt, copies=(), emergencies_until=None, emergency_id="")
    if pause is not None and pause.again is not None and pause.again.mode is not Ask.ROUTINE:
        pause = replace(pause, again=None)
    return replace(state, receipt=receipt, pause=pause, lease_until=None)


def _mac(key: Key, secret: Secret, maps: Maps, *, blocked: bool) -> str:
    """Return the MAC of what ``maps`` say, as it is stored: the key's id and 32 bytes."""
    digest = hmac.digest(key.mac_key, _covered(secret, maps, blocked=blocked), "sha256")
    return f"{key.id}:{urlsafe_b64encode(digest).decode().rstrip('=')}"


def _covered(secret: Secret, maps: Maps, *, blocked: bool) -> bytes:
    block = blocked and [maps.labels.get(codec.BLOCKED), maps.annotations.get(codec.BLOCK)]
    return msgspec.json.encode(
        [
            _FORM,
            str(secret.name),
            secret.create_time,
            _chosen(maps.labels, _LABELS),
            _chosen(maps.annotations, _ANNOTATIONS),
            block,
        ]
    )


def _chosen(values: Mapping[str, str], names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, values[name]) for name in names if name in values]

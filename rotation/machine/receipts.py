"""Decide what a receipt says, and how receipts are chained.

A receipt is written once, when a rotation settles.  Its *public form* is what the log and exports
show and what its digest covers; deploy/docs/receipts.md describes it.

Rules of this module:
  1. The public form has no empty values, and never a secret one: digests, names, numbers, times.
  2. What the engine keeps in a receipt for its own use is not part of the public form: the check
     for orphans changes it later.
  3. Each receipt names the digest of the one before it, so none can be changed, left out or moved
     without its successors showing it.
  4. A signature is over the secret, the number and the digest, and so over all that came before.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from rotation.model.rotation import Brief, Receipt

#: Value of ``schema`` in a line.
SCHEMA = "rotation.receipt/1"

#: How many receipts before the last one are kept in short form.
KEPT = 8

#: Fields that are the engine's own.
_INTERNAL = frozenset(
    {"last", "copies", "scheduled", "emergencies_until", "emergency_id", "signature"}
)


def public(receipt: Receipt) -> dict[str, Any]:
    """Return the public form: plain JSON values."""
    names = (name for name in receipt.__struct_fields__ if name not in _INTERNAL)
    return _filled({name: getattr(receipt, name) for name in names})


def digest(receipt: Receipt) -> str:
    """Return what the next receipt names this one by."""
    return digest_of(public(receipt))


def digest_of(form: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a public form: its JSON with sorted keys, no spaces, all ASCII."""
    text = json.dumps(form, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def brief(receipt: Receipt) -> Brief:
    """Return the short form."""
    return Brief(
        sequence=receipt.sequence,
        digest=digest(receipt),
        id=receipt.id,
        outcome=receipt.outcome,
        mode=receipt.mode,
        settled_at=receipt.settled_at,
        current=receipt.current,
        requested_at=receipt.emergency_at or receipt.requested_at,
        revoked_at=receipt.revoked_at,
        signature=receipt.signature,
    )


def signed_text(secret: str, sequence: int, digest: str) -> bytes:
    """Return what a signature is over: whose receipt, its number and its digest."""
    return f"{SCHEMA}\n{secret}\n{sequence}\n{digest}\n".encode()


def public_brief(brief: Brief) -> dict[str, Any]:
    """Return the short form as plain JSON values; its signature stands beside it."""
    return _filled({**asdict(brief), "signature": ""})


def history(last: Receipt | None, before: tuple[Brief, ...]) -> tuple[Brief, ...]:
    """Return the short forms to keep once another receipt follows ``last``."""
    return (brief(last), *before)[:KEPT] if last else before


#: What is measured, and the time of a receipt that ends it.
_STEPS = {
    "published": "published_at",
    "first_moved": "first_moved_at",
    "last_moved": "rolled_out_at",
    "suspended": "suspended_at",
    "revoked": "revoked_at",
    "settled": "settled_at",
}


def seconds(receipt: Receipt) -> dict[str, float]:
    """Return how long after it was asked for each step was done."""
    names = ("emergency_at", "requested_at", "started_at", *_STEPS.values())
    return seconds_between({name: at for name in names if (at := getattr(receipt, name))})


def seconds_between(times: Mapping[str, datetime]) -> dict[str, float]:
    """Return the same from the times of a receipt, by the names of its fields.

    It counts from the request; where an emergency overtook the rotation, from the emergency.
    """
    begun = (times.get(name) for name in ("emergency_at", "requested_at", "started_at"))
    asked = next((at for at in begun if at), None)
    if asked is None:
        return {}
    ended = {name: times[field] for name, field in _STEPS.items() if field in times}
    return {
        name: round((at - asked).total_seconds(), 3) for name, at in ended.items() if at >= asked
    }


def line(receipt: Receipt, secret: str) -> dict[str, Any]:
    """Return a receipt as the log and exports show it."""
    return {
        "schema": SCHEMA,
        "secret": receipt.secret or secret,
        "sequence": receipt.sequence,
        "digest": digest(receipt),
        "receipt": public(receipt),
        "seconds": seconds(receipt),
        **({"signature": receipt.signature} if receipt.signature else {}),
    }


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = ((name, _plain(value)) for name, value in values.items())
    return {name: value for name, value in plain if value not in (None, "", [], 0)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case tuple():
            return [_plain(item) for item in value]
        case Struct():
            return _filled(asdict(value))
        case _:
            return value

"""Documents of keys: text to `KeyRing` and back, and the public document for those who verify.

The document is the deployment's (deploy/docs/keys.md); the function alone reads it, as a file.

Rules of this module:
  1. A faulty document is refused whole, with the place of the fault; its text is never quoted.
  2. The first key signs.  The second is the one that signs next: whoever still runs with the
     document before knows it already.  The others have signed, and still verify.
  3. What is public has no way back to a secret: it has another schema, and another shape.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from rotation.model.errors import PermanentError
from rotation.model.keys import SECRET_BYTES, Key, KeyRing, PublicKey

SCHEMA = "rotation.keys/1"
PUBLIC_SCHEMA = "rotation.public-keys/1"

#: What an id looks like: it stands in annotations and receipts, before a colon.
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_T = TypeVar("_T")


class KeysError(PermanentError):
    """A document of keys cannot be read.  The message never quotes it."""

    reason = "keys-invalid"


class _Key(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    created: datetime
    secret: str


class _Public(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    created: datetime
    public: str


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    keys: tuple[_Key, ...]
    retired: tuple[_Public, ...] = ()


class _PublicDocument(Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    keys: tuple[_Public, ...]


def read_keys(text: bytes) -> KeyRing:
    """Read a document of keys.

    Raises:
        KeysError: It is not one.
    """
    document = _decode(text, _Document)
    if document.schema != SCHEMA:
        raise KeysError(f"the document's schema is not {SCHEMA}")
    if not document.keys:
        raise KeysError("the document has no key", remedy="make one: rotation keys rotate")
    keys = tuple(
        Key(_id(key.id), _utc(key.created, key.id), _bytes(key.secret, key.id))
        for key in document.keys
    )
    retired = _publics(document.retired)
    _check_distinct([*(key.id for key in keys), *(key.id for key in retired)])
    return KeyRing(keys, retired)


def write_keys(ring: KeyRing) -> str:
    """Return the document of a ring; it is secret."""
    document = _Document(
        SCHEMA,
        tuple(_Key(key.id, key.created, _text(key.secret)) for key in ring.keys),
        _written(ring.retired),
    )
    return _encode(document)


def read_public_keys(text: bytes) -> tuple[PublicKey, ...]:
    """Read the public document.

    Raises:
        KeysError: It is not one.
    """
    document = _decode(text, _PublicDocument)
    if document.schema != PUBLIC_SCHEMA:
        raise KeysError(f"the document's schema is not {PUBLIC_SCHEMA}")
    keys = _publics(document.keys)
    _check_distinct([key.id for key in keys])
    return keys


def write_public_keys(keys: Sequence[PublicKey]) -> str:
    """Return the public document."""
    return _encode(_PublicDocument(PUBLIC_SCHEMA, _written(keys)))


def first_ring(signing: Key, following: Key) -> KeyRing:
    """Return the ring of a new deployment."""
    return KeyRing((signing, following))


def next_ring(before: KeyRing, new: Key, keep: int) -> tuple[Key, ...]:
    """Return the keys of the ring that follows.

    Args:
        before: The ring in use.
        new: The key that signs after the next one; or next, where there is none that does.
        keep: How many keys that have signed go on to verify.
    """
    signing, *others = before.keys
    if not others:
        return signing, new
    following, *former = others
    return following, new, *[signing, *former][:keep]


def retired_from(
    before: KeyRing, kept: Sequence[Key], publics: Sequence[PublicKey]
) -> tuple[PublicKey, ...]:
    """Return the public parts of all keys that verify records no more, the latest first.

    Args:
        before: The ring in use.
        kept: The keys of the ring that follows.
        publics: The public parts of the keys of ``before``.
    """
    ids = {key.id for key in kept}
    return (*(public for public in publics if public.id not in ids), *before.retired)


def new_id(now: datetime, secret: bytes) -> str:
    """Return the id of a new key: its day, and enough to tell two of one day apart."""
    return f"k{now:%Y%m%d}-{Key('', now, secret).tag}"


def _decode(text: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise KeysError(f"the document of keys is faulty: {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise KeysError("the document of keys is not JSON") from None


def _encode(document: Any) -> str:  # noqa: ANN401 - one of the documents
    compact = msgspec.json.encode(document)
    return msgspec.json.format(compact, indent=2).decode() + "\n"


def _publics(keys: Sequence[_Public]) -> tuple[PublicKey, ...]:
    return tuple(
        PublicKey(_id(key.id), _utc(key.created, key.id), _bytes(key.public, key.id))
        for key in keys
    )


def _written(keys: Sequence[PublicKey]) -> tuple[_Public, ...]:
    return tuple(_Public(key.id, key.created, _text(key.public)) for key in keys)


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise KeysError("the id of a key is not 1 to 32 lower-case letters, digits and -")
    return text


def _utc(time: datetime, key_id: str) -> datetime:
    if time.tzinfo is None:
        raise KeysError(f"key {key_id}: created has no time zone", remedy="write it with a Z")
    return time.astimezone(UTC)


def _bytes(text: str, key_id: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != SECRET_BYTES:
        raise KeysError(f"key {key_id} is not {SECRET_BYTES} bytes in base64")
    return value


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _check_distinct(ids: Sequence[str]) -> None:
    twice = next((key_id for key_id in ids if ids.count(key_id) > 1), None)
    if twice:
        raise KeysError(f"two keys have the id {twice}")

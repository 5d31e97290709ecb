"""The one type that carries secret bytes.

Rules of this module:
  1. ``repr``, ``str`` and ``format`` of a payload say nothing but its length, and those of its
     fields nothing but their names.
  2. A payload cannot be pickled, copied into JSON by accident, or used as a mapping key.
"""

import hashlib
import hmac
import json
import re
from typing import Any, NoReturn

from rotation.model.errors import PermanentError

#: Key inside a JSON payload by which a rotation recognises the version it added.
ROTATION_ID = "rotation_id"
#: Where a payload is not a JSON object, its password ends with this and the rotation id.
ID_MARK = "-rotation-"
_MARKED = re.compile(
    rb"[A-Za-z0-9_-]{43}" + ID_MARK.encode() + rb"([a-z0-9-]{1,63})(?![A-Za-z0-9_-])"
)


class PayloadError(PermanentError):
    """A payload has not the shape its issuer needs.  The message never quotes it."""

    reason = "payload-unreadable"


class Fields(dict[str, Any]):
    """The JSON object in a payload."""

    def __repr__(self) -> str:
        return f"<fields {', '.join(self)}>"


class Payload:
    """The bytes of one secret version: 1 byte to 64 KiB."""

    __slots__ = ("_data",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Payload":
        """Encode one JSON object, keys in the order given.

        Raises:
            PayloadError: It nests deeper than can be written.
        """
        try:
            return cls(json.dumps(fields, ensure_ascii=False).encode())
        except UnicodeEncodeError:  # half a character, which JSON can only spell as an escape
            return cls(json.dumps(fields).encode())
        except RecursionError:
            raise PayloadError(
                "the payload nests too deeply", remedy="add a version with a flatter payload"
            ) from None

    def reveal(self) -> bytes:
        """Return the bytes.  Only adapters that transmit a payload call this."""
        return self._data

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def fields(self) -> Fields:
        """Return the JSON object in the payload.

        Raises:
            PayloadError: The payload is not one JSON object.
        """
        fields = self._decoded()
        if fields is None:
            raise PayloadError(
                "the payload is not a JSON object",
                remedy="add a version whose payload is one JSON object, as its issuer wants it",
            )
        return fields

    @property
    def is_object(self) -> bool:
        """Whether the payload is one JSON object."""
        return self._decoded() is not None

    def rotation_id(self) -> str | None:
        """Return the id of the rotation that made this payload; None when a person did."""
        fields = self._decoded()
        if fields is None:
            marks = {mark.decode() for mark in _MARKED.findall(self._data)}
            return marks.pop() if len(marks) == 1 else None
        value = fields.get(ROTATION_ID)
        return value if isinstance(value, str) else None

    def _decoded(self) -> Fields | None:
        try:
            value = json.loads(self._data)
        except (ValueError, RecursionError):
            return None
        return Fields(value) if isinstance(value, dict) else None

    def digest(self) -> str:
        """Return the SHA-256 of the bytes in hexadecimal, for receipts."""
        return hashlib.sha256(self._data).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload):
            return NotImplemented
        return hmac.compare_digest(self._data, other._data)

    def __repr__(self) -> str:
        return f"<Payload of {len(self._data)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a payload is not pickled")

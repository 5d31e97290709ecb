"""JSON of strangers: strict, bounded, never quoted.

Rules of this module:
  1. One document in UTF-8.  A key twice, ``NaN`` and numbers beyond a double make it unreadable:
     two readers would not agree on it.
  2. Nothing is raised; what cannot be read is `UNREADABLE`, what is not there is `MISSING`.
"""

import enum
import json
import math
from typing import Any, Final

from rotation.model.errors import PolicyError

_LONGEST_POINTER: Final = 500


class Nothing(enum.Enum):
    """Stands for a value that could not be had; no JSON value equals it."""

    UNREADABLE = enum.auto()
    MISSING = enum.auto()


UNREADABLE: Final = Nothing.UNREADABLE
MISSING: Final = Nothing.MISSING


def read_json(body: bytes) -> Any:  # noqa: ANN401
    """Return the value in ``body``, or `UNREADABLE`."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refused,
            parse_float=_float,
        )
    except (ValueError, RecursionError):
        return UNREADABLE
    return value


def object_at(value: object, key: str) -> dict[str, Any]:
    """Return the object under a key; an empty one when there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def text_at(value: object, key: str) -> str:
    """Return the text under a key; empty when there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else ""


def resolve(value: object, pointer: str) -> Any:  # noqa: ANN401
    """Return what a JSON Pointer (RFC 6901) points to, or `MISSING`."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and key.isascii() and key.isdigit():
            index = int(key) if len(key) == len(key.lstrip("0")) or key == "0" else len(value)
            value = value[index] if index < len(value) else MISSING
        else:
            return MISSING
    return value


def check_pointer(pointer: str, setting: str) -> None:
    """Refuse what is not a valid JSON Pointer.

    Raises:
        PolicyError: It is none, or a very long one.
    """
    rest = pointer.replace("~0", "").replace("~1", "")
    if pointer[:1] not in {"", "/"} or "~" in rest or len(pointer) > _LONGEST_POINTER:
        raise PolicyError(
            f"{setting} is not a valid JSON Pointer; write it as /status or /checks/0/state"
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is there twice")
    return value


def _refused(_name: str) -> float:
    raise ValueError("not a JSON number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond a double")
    return number

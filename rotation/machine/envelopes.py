"""Decide what message an HTTP request delivers; never look at the message's data.

Three shapes arrive: a raw Pub/Sub push, the same as a binary CloudEvent (``ce-*`` headers, as
Eventarc sends it), and a structured CloudEvent (``application/cloudevents+json``).

Rules of this module:
  1. Data may be missing: Secret Manager's ``TOPIC_CONFIGURED`` has none.
  2. A body that is none of these shapes is `BadWakeUpError`; a repeat would not help.
  3. What comes out can be stored and compared: text is Unicode, and no time lies in the future,
     where a request would seem served for ever.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from rotation.model.errors import BadWakeUpError


class Envelope(Struct, frozen=True):
    """A Pub/Sub message as delivered, without its data."""

    message_id: str
    attributes: Mapping[str, str]
    published_at: datetime
    #: ``projects/P/subscriptions/S`` that delivers it, as Pub/Sub writes it beside the message.
    subscription: str = ""


def open_envelope(content_type: str, body: bytes, now: datetime) -> Envelope:
    """Return the message in a request body.

    Args:
        content_type: Of the request.
        body: Of the request.
        now: Stands in for a publish time that is missing, unreadable or yet to come.

    Raises:
        BadWakeUpError: The body has another shape.
    """
    outer = _object(_json(body), "the body")
    if content_type.lower().startswith("application/cloudevents+json"):
        outer = _object(outer.get("data"), "data")
    message = _object(outer.get("message"), "message")
    attributes = _object(message.get("attributes") or {}, "message.attributes")
    return Envelope(
        message_id=_text(message.get("messageId") or message.get("message_id") or "", "messageId"),
        attributes={
            _text(key, "attributes"): _text(value, "attributes")
            for key, value in attributes.items()
        },
        published_at=_time(message.get("publishTime") or message.get("publish_time"), now),
        subscription=_subscription(outer.get("subscription")),
    )


def _subscription(value: object) -> str:
    """Return the name; one that is no text is nobody's."""
    return _text(value, "subscription") if isinstance(value, str) else ""


def _json(body: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is not JSON") from None


def _object(value: Any, place: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise _bad(f"{place} is not a JSON object")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _bad(f"message.{field} holds something else than text")
    # JSON can spell half a character (a lone surrogate), which nothing can store.
    return value.encode(errors="replace").decode()


def _time(text: object, now: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return now
    return min(time, now)


def _bad(fault: str) -> BadWakeUpError:
    return BadWakeUpError(
        f"not a Pub/Sub delivery: {fault}",
        remedy="point a Pub/Sub push subscription or an Eventarc trigger here, and nothing else",
    )

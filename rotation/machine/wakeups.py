"""Decide what a message asks; never look at anything but its attributes.

Rules of this module:
  1. What is not for us is None: it costs no call.
  2. What is for us but can never be understood is `BadWakeUpError`; repeating would not help.
  3. Message data is never read: attributes say everything, and some messages have no data.
"""

from collections.abc import Mapping
from datetime import datetime

from rotation.model.errors import BadNameError, BadWakeUpError
from rotation.model.names import SecretName
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind

#: Longest reason, name or id kept from a message.
MAX_TEXT = 200


def decode_wake_up(
    attributes: Mapping[str, str], message_id: str, published_at: datetime
) -> WakeUp | None:
    """Return the wake-up in a message, or None when the message is not for us.

    Args:
        attributes: Of the Pub/Sub message.
        message_id: Of the Pub/Sub message; the default of ``request_id``.
        published_at: When Pub/Sub accepted the message.

    Raises:
        BadWakeUpError: For us, but nothing that can be acted on.
    """
    try:
        kind = WakeUpKind(attributes.get("eventType", ""))
    except ValueError:
        return None
    message_id = message_id[:MAX_TEXT]
    if kind is WakeUpKind.SWEEP:
        signature = attributes.get("signature", "")
        return WakeUp(kind, None, message_id, published_at, signature=signature)
    return WakeUp(
        kind=kind,
        secret=_secret(attributes, kind),
        message_id=message_id,
        at=published_at,
        request=_request(attributes, kind, message_id, published_at),
        reason=attributes.get("reason", "")[:MAX_TEXT],
        signature=attributes.get("signature", ""),
    )


def encode_wake_up(secret: SecretName, reason: str) -> Mapping[str, str]:
    """Return the attributes of a message that wakes one secret."""
    return {
        "eventType": WakeUpKind.WAKE.value,
        "secretId": str(secret),
        "reason": reason,
    }


def _secret(attributes: Mapping[str, str], kind: WakeUpKind) -> SecretName:
    text = attributes.get("secretId", "")
    try:
        return SecretName.parse(text)
    except BadNameError:
        raise BadWakeUpError(
            f"a {kind.value} message has the attribute secretId={text[:MAX_TEXT]!r}",
            remedy="publish it with secretId=projects/PROJECT/secrets/SECRET",
        ) from None


def _request(
    attributes: Mapping[str, str], kind: WakeUpKind, message_id: str, published_at: datetime
) -> Request | None:
    asked = kind is WakeUpKind.REQUEST or (kind is WakeUpKind.ROTATE and "mode" in attributes)
    if not asked:
        return None
    mode = attributes.get("mode", Ask.ROUTINE.value)
    try:
        ask = Ask(mode)
    except ValueError:
        known = ", ".join(ask.value for ask in Ask)
        raise BadWakeUpError(
            f"a {kind.value} message has the attribute mode={mode[:MAX_TEXT]!r}",
            remedy=f"use one of: {known}",
        ) from None
    return Request(
        mode=ask,
        at=published_at,
        id=attributes.get("request_id", message_id)[:MAX_TEXT],
        reason=attributes.get("reason", "")[:MAX_TEXT],
        requested_by=attributes.get("requested_by", "")[:MAX_TEXT],
    )

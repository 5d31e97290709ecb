"""A delivered message, decoded.  It carries no truth: only "look at this secret, and why"."""

from datetime import datetime
from enum import Enum

from msgspec import Struct

from rotation.model.names import SecretName


class WakeUpKind(Enum):
    """The ``eventType`` attributes that are for us."""

    ROTATE = "SECRET_ROTATE"
    REQUEST = "ROTATION_REQUEST"
    WAKE = "ROTATION_WAKE"
    SWEEP = "ROTATION_SWEEP"


class Ask(Enum):
    """What a person asks of a secret; the ``mode`` attribute."""

    ROUTINE = "routine"
    EMERGENCY = "emergency"
    REVERT = "revert"
    UNBLOCK = "unblock"
    #: Retire the previous credential without waiting any longer; never without looking.
    RETIRE = "retire"
    #: Start nothing new, and go no further than the next wait, until somebody says resume.
    PAUSE = "pause"
    RESUME = "resume"


class Request(Struct, frozen=True):
    """Who asked for a rotation, when and why."""

    mode: Ask
    #: When the message was published; a rotation that started later has served it.
    at: datetime
    #: Idempotency key: the same id is the same request.
    id: str
    reason: str = ""
    #: Who the sender says asks.  A claim: whoever may publish may write any name here.
    requested_by: str = ""


def claimed(requested_by: str) -> str:
    """Return a name as it may be shown: it is what the sender says, and nobody has proved it."""
    return f"{requested_by} (claimed)"


class WakeUp(Struct, frozen=True):
    """One delivery."""

    kind: WakeUpKind
    #: None for a sweep.
    secret: SecretName | None
    #: Identity of the message; redeliveries keep it.
    message_id: str
    at: datetime
    #: Present when a person asked (``ROTATION_REQUEST``, or a message with a ``mode``).
    request: Request | None = None
    #: Why the sweep woke this secret (``ROTATION_WAKE``).
    reason: str = ""
    #: What proves who asks: ``SCHEME:VALUE``; empty: nothing does.  No scheme is known yet, so a
    #: message with one is refused: an old function must not take a proof for granted.
    signature: str = ""

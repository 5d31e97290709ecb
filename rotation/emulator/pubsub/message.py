"""What is published, and what one delivery of it is.  Records only; they decide nothing.

1. Records never change: a redelivery is a new `Delivery` of the same `Message`.
2. The data stays out of ``repr``: nobody knows what publishers put there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Message:
    """A published message."""

    message_id: str
    #: On the injected clock, to the millisecond, as the service records it.
    publish_time: datetime
    attributes: Mapping[str, str]
    #: None and empty are the same to the service: such a message has no ``data`` when pushed.
    data: bytes = field(default=b"", repr=False)
    #: Kept and shown, never obeyed.
    ordering_key: str = ""


@dataclass(frozen=True)
class Delivery:
    """One attempt to hand a message to a subscriber; it lasts until its deadline."""

    ack_id: str
    message: Message
    #: Which attempt this is, counted from one.
    attempt: int


def rfc3339(moment: datetime) -> str:
    """Return the moment as the service writes it: UTC with ``Z``, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Failure modes: what the service does on a bad day, on request.

It decides only whether a failure applies now; the broker carries it out.

1. A mode applies to one resource name or, as ``*``, to all; the named one wins.
2. ``clear`` ends every mode.  None survives a restart.
"""

from dataclasses import dataclass
from typing import Final

import grpc

from rotation.emulator.status import StatusError, invalid

EVERY: Final = "*"

_REFUSALS: Final = {
    "NOT_FOUND": (grpc.StatusCode.NOT_FOUND, "Resource not found (resource={id})."),
    "PERMISSION_DENIED": (
        grpc.StatusCode.PERMISSION_DENIED,
        "User not authorized to perform this action.",
    ),
    "UNAVAILABLE": (
        grpc.StatusCode.UNAVAILABLE,
        "The service was unable to fulfill your request. Please try again.",
    ),
}


@dataclass
class _Refusal:
    code: str
    times: int | None


class Failures:
    """The failure modes in force."""

    def __init__(self) -> None:
        self._copies: dict[str, int] = {}
        self._lost_acks: dict[str, int] = {}
        self._held: set[str] = set()
        self._refusals: dict[str, _Refusal] = {}

    def duplicate(self, copies: int = 2, subscription: str = EVERY) -> None:
        """Deliver each message published from now on ``copies`` times; 1 ends it."""
        if copies < 1:
            raise invalid("copies must be at least 1.")
        self._copies[subscription] = copies

    def lose_acks(self, count: int, subscription: str = EVERY) -> None:
        """Lose the next ``count`` acknowledgements.

        A lost pull acknowledgement shows when the deadline passes; a lost answer to a push is a
        failed attempt at once, as when the connection breaks before the answer.
        """
        self._lost_acks[subscription] = count

    def hold(self, subscription: str = EVERY) -> None:
        """Deliver nothing until `release`; messages pile up."""
        self._held.add(subscription)

    def release(self, subscription: str = EVERY) -> None:
        """End `hold`; ``*`` ends every one."""
        if subscription == EVERY:
            self._held.clear()
        self._held.discard(subscription)

    def refuse_publish(self, code: str, topic: str = EVERY, times: int | None = None) -> None:
        """Refuse publishing with a status; ``times`` None means until `clear`.

        Args:
            code: ``NOT_FOUND``, ``PERMISSION_DENIED`` or ``UNAVAILABLE``.
            topic: Full name of the topic, or ``*``.
            times: How many publish calls to refuse.
        """
        if code not in _REFUSALS:
            raise invalid(f"code must be one of {', '.join(_REFUSALS)}.")
        self._refusals[topic] = _Refusal(code, times)

    def clear(self) -> None:
        """End every failure mode."""
        self._copies.clear()
        self._lost_acks.clear()
        self._held.clear()
        self._refusals.clear()

    def copies_for(self, subscription: str) -> int:
        """Return how many copies of a message the subscription gets."""
        return self._copies.get(subscription, self._copies.get(EVERY, 1))

    def loses_ack(self, subscription: str) -> bool:
        """Return whether this acknowledgement is lost, and count it."""
        for name in (subscription, EVERY):
            if self._lost_acks.get(name, 0) > 0:
                self._lost_acks[name] -= 1
                return True
        return False

    def holds(self, subscription: str) -> bool:
        """Return whether the subscription's deliveries are held."""
        return bool(self._held & {subscription, EVERY})

    def check_publish(self, topic: str) -> None:
        """Raise the refusal in force for the topic, and count it."""
        name = topic if topic in self._refusals else EVERY
        refusal = self._refusals.get(name)
        if refusal is None:
            return
        if refusal.times is not None:
            refusal.times -= 1
            if refusal.times <= 0:
                del self._refusals[name]
        code, message = _REFUSALS[refusal.code]
        raise StatusError(code, message.format(id=topic.rpartition("/")[2]))

    def snapshot(self) -> dict[str, object]:
        """Return the modes in force, as the control API shows them."""
        return {
            "duplicate": dict(self._copies),
            "loseAcks": dict(self._lost_acks),
            "hold": sorted(self._held),
            "refusePublish": {
                topic: {"code": refusal.code, "times": refusal.times}
                for topic, refusal in self._refusals.items()
            },
        }

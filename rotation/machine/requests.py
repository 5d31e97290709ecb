"""Decide whether a request may be acted on: by which way it came, how old it is, what it proves.

What is privileged puts an old credential back, takes one away at once, or overrules a block.  It is
asked for on a topic of its own, so that the right to publish routine requests does not give it.

Rules of this module:
  1. Privileged is what arrives by the subscription of emergencies, by its full name; whatever comes
     otherwise is routine, also when no such subscription is known.
  2. The name of the subscription is believed because Pub/Sub writes it beside the message, and the
     push token was checked before: no publisher can set it.  What is *in* the message is a claim.
  3. A privileged request is refused when it is older than `OLDEST`: whoever asked has given up, has
     asked again, or the message was replayed.
  4. A signature is never ignored: one of a scheme that is not known refuses the message.
  5. What is refused is acknowledged; nothing is read or written for it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from rotation.model.wakeup import Ask, WakeUp

#: What only the topic of emergencies may carry.
PRIVILEGED: Final = frozenset({Ask.EMERGENCY, Ask.REVERT, Ask.RETIRE, Ask.UNBLOCK})

#: Age of a privileged request, by the time Pub/Sub accepted it, from which it is refused.  Pub/Sub
#: itself gives a delivery up after about as long.
OLDEST: Final = timedelta(hours=3)

#: Schemes of signatures that are known.
SCHEMES: Final[Collection[str]] = frozenset()

_LONGEST_SCHEME: Final = 40


class Refusal(Struct, frozen=True):
    """Why a request is not acted on."""

    #: Slug.
    reason: str
    message: str
    remedy: str


def refusal(wake_up: WakeUp, subscription: str, trusted: str, now: datetime) -> Refusal | None:
    """Return why a wake-up is refused; None: it is not.

    Args:
        wake_up: What arrived.
        subscription: The subscription it arrived by.
        trusted: The subscription of emergencies; empty: there is none.
        now: Time of the decision.
    """
    if wake_up.signature:
        return _unknown_scheme(wake_up.signature)
    request = wake_up.request
    if request is None or request.mode not in PRIVILEGED:
        return None
    what = f"{request.mode.value} request {request.id}"
    if not trusted or subscription != trusted:
        return Refusal(
            "request-not-privileged",
            f"{what} came by {subscription or 'no subscription'}, which carries routine requests",
            f"publish it to the topic of {trusted}"
            if trusted
            else "set ROTATION_EMERGENCY_SUBSCRIPTION to projects/PROJECT/subscriptions/NAME",
        )
    if now - request.at > OLDEST:
        return Refusal(
            "request-too-old",
            f"{what} was published {request.at:%Y-%m-%d %H:%M:%SZ}, more than "
            f"{OLDEST / timedelta(hours=1):g} hours ago",
            "if it is still wanted, ask again",
        )
    return None


def _unknown_scheme(signature: str) -> Refusal | None:
    scheme = signature.partition(":")[0][:_LONGEST_SCHEME]
    if scheme in SCHEMES:
        return None
    return Refusal(
        "signature-unknown",
        f"the message is signed by the scheme {scheme!r}, which this function does not know",
        "upgrade the function before whatever signs requests, or leave the signature out",
    )

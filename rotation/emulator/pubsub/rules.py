"""Check what a subscription asks for, and reduce it to the numbers its queue obeys.

It never stores anything.  Messages follow the service's pattern: "You passed X in the request".

1. What was left out gets the service's default, and the defaults are visible in the answer.
2. Ack deadline 10 to 600 s; backoff 0 to 600 s; 5 to 100 delivery attempts; filter at creation.
3. Without a retry policy a message is retried at once; a floor of 100 ms keeps that from spinning.
4. What this Pub/Sub does not do (BigQuery, Cloud Storage, unwrapped push) is refused, not ignored.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import grpc
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import types

from rotation.emulator.pubsub.filters import Predicate, compile_filter
from rotation.emulator.status import StatusError, invalid

if TYPE_CHECKING:
    from datetime import timedelta

RETRY_FLOOR: Final = 0.1

_ACK_DEADLINES: Final = range(10, 601)
_ATTEMPTS: Final = range(5, 101)
_LONGEST_BACKOFF: Final = 600
_DEFAULT_BACKOFF: Final = (10, 600)
_RETENTIONS: Final = range(600, 31 * 86400 + 1)
_DEFAULT_RETENTION: Final = 7 * 86400
_NOT_EMBEDDED: Final = ("bigquery_config", "cloud_storage_config", "bigtable_config")

#: Push configuration attribute that asks for deliveries as Eventarc makes them.
DELIVERY_ATTRIBUTE: Final = "embedded-delivery"


@dataclass(frozen=True)
class Rules:
    """What a queue must know of its subscription.  Seconds throughout."""

    ack_deadline: float
    minimum_backoff: float
    maximum_backoff: float
    retention: float
    accepts: Predicate
    #: Empty without a dead-letter policy.
    dead_letter_topic: str
    max_attempts: int

    def backoff(self, attempts: int) -> float:
        """Return how long to wait after the given number of failed attempts: it doubles."""
        # 2**20 times any minimum is beyond any maximum; the cap keeps the float finite.
        wait = self.minimum_backoff * 2.0 ** min(attempts - 1, 20)
        return max(RETRY_FLOOR, min(wait, self.maximum_backoff))


def completed(asked: types.Subscription) -> types.Subscription:
    """Return a checked copy of a ``Subscription`` with the service's defaults filled in."""
    subscription = types.Subscription(asked)
    _refuse_what_is_not_embedded(subscription)
    subscription.ack_deadline_seconds = _ack_deadline(subscription.ack_deadline_seconds or 10)
    _complete_retention(subscription)
    _complete_retry_policy(subscription)
    _complete_dead_letter_policy(subscription)
    check_push_config(subscription.push_config)
    # The service always shows one, empty for pull.
    subscription.push_config = subscription.push_config
    subscription.state = types.Subscription.State(1)
    compile_filter(subscription.filter)
    return subscription


def rules_of(subscription: types.Subscription) -> Rules:
    """Reduce a completed ``Subscription`` to its rules."""
    minimum = maximum = 0.0
    if "retry_policy" in subscription:
        minimum = _seconds(subscription.retry_policy.minimum_backoff)
        maximum = _seconds(subscription.retry_policy.maximum_backoff)
    return Rules(
        ack_deadline=subscription.ack_deadline_seconds,
        minimum_backoff=minimum,
        maximum_backoff=maximum,
        retention=_seconds(subscription.message_retention_duration),
        accepts=compile_filter(subscription.filter),
        dead_letter_topic=subscription.dead_letter_policy.dead_letter_topic,
        max_attempts=subscription.dead_letter_policy.max_delivery_attempts,
    )


def check_push_config(config: types.PushConfig) -> None:
    """Refuse an endpoint that is not a URL, and push without the wrapper."""
    if "no_wrapper" in config:
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "no_wrapper is not embedded.")
    if not config.push_endpoint:
        return
    try:
        endpoint = urlsplit(config.push_endpoint)
        is_url = endpoint.scheme in {"http", "https"} and bool(endpoint.hostname)
    except ValueError:  # such as half an IPv6 address
        is_url = False
    if not is_url:
        raise invalid(f"Invalid push endpoint given (endpoint={config.push_endpoint}).")
    if config.attributes.get(DELIVERY_ATTRIBUTE, "eventarc") != "eventarc":
        raise invalid(f"The push attribute {DELIVERY_ATTRIBUTE} knows one value, eventarc.")


def check_modified_deadline(seconds: int) -> None:
    """Refuse a deadline that ModifyAckDeadline does not take; zero means now."""
    if not 0 <= seconds < _ACK_DEADLINES.stop:
        raise _outside("ack_deadline_seconds", str(seconds), "0", "600")


def _refuse_what_is_not_embedded(subscription: types.Subscription) -> None:
    for name in _NOT_EMBEDDED:
        if name in subscription:
            raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not embedded.")


def _ack_deadline(seconds: int) -> int:
    if seconds not in _ACK_DEADLINES:
        raise _outside("ack_deadline_seconds", str(seconds), "10", "600")
    return seconds


def _complete_retention(subscription: types.Subscription) -> None:
    if "message_retention_duration" not in subscription:
        subscription.message_retention_duration = Duration(seconds=_DEFAULT_RETENTION)
    seconds = int(_seconds(subscription.message_retention_duration))
    if seconds not in _RETENTIONS:
        raise _outside("message_retention_duration", f"{seconds}s", "600s", "2678400s")


def _complete_retry_policy(subscription: types.Subscription) -> None:
    if "retry_policy" not in subscription:
        return
    policy = subscription.retry_policy
    for name, default in zip(("minimum_backoff", "maximum_backoff"), _DEFAULT_BACKOFF, strict=True):
        if name not in policy:
            setattr(policy, name, Duration(seconds=default))
        seconds = _seconds(getattr(policy, name))
        if not 0 <= seconds <= _LONGEST_BACKOFF:
            raise _outside(name, f"{seconds:g}s", "0s", "600s")
    minimum, maximum = _seconds(policy.minimum_backoff), _seconds(policy.maximum_backoff)
    if maximum < minimum:
        raise invalid(
            f"The value for maximum_backoff is too small. You passed {maximum:g}s in the "
            f"request, but the minimum value is {minimum:g}s."
        )


def _complete_dead_letter_policy(subscription: types.Subscription) -> None:
    if "dead_letter_policy" not in subscription:
        return
    policy = subscription.dead_letter_policy
    attempts = policy.max_delivery_attempts = policy.max_delivery_attempts or _ATTEMPTS.start
    if attempts not in _ATTEMPTS:
        small = attempts < _ATTEMPTS.start
        size, word, bound = ("small", "minimum", 5) if small else ("large", "maximum", 100)
        raise StatusError(
            grpc.StatusCode.OUT_OF_RANGE,
            f"The value for max_delivery_attempts is too {size}. You passed {attempts} in the "
            f"request, but the {word} value is {bound}.",
        )


def _seconds(duration: object) -> float:
    # The library declares protobuf's Duration and hands out a timedelta.
    return cast("timedelta", duration).total_seconds()


def _outside(field: str, passed: str, low: str, high: str) -> StatusError:
    return invalid(
        f"The value for {field} is out of bounds. You passed {passed} in the request, but the "
        f"value must be between {low} and {high}."
    )

"""What a Prometheus server answers to an instant query, read as numbers.

Knows the answers of Prometheus and of Google's API; decides nothing about a threshold.

Rules of this module:
  1. Nothing is raised: what cannot be read is `Blind`, with a reason.
  2. Only error words known here are repeated: a server may quote what was sent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rotation.gates._fetch import Silence
from rotation.gates._json import object_at, read_json, text_at
from rotation.kit.net.exchange import Reply

_OK: Final = 200
_MOST_SERIES: Final = 1000
#: Prometheus's error types and Google's status words.
_ERRORS: Final = frozenset(
    {"bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found",
     "too_many_requests", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND",
     "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"}
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One series at one moment."""

    value: float
    #: When the query was evaluated, in unix seconds; not when the sample was taken.
    evaluated: float


@dataclass(frozen=True)
class Blind:
    """Nothing that proves anything."""

    reason: str


def age_of(selector: str) -> str:
    """Return a query for the age of a selector's samples; of other expressions the age is zero."""
    return f"time() - timestamp(\n{selector}\n)"


def read_samples(outcome: Reply | Silence) -> Sequence[Sample] | Blind:
    """Return the samples of an answer, at least one."""
    if isinstance(outcome, Silence):
        return Blind(outcome.reason)
    body = read_json(outcome.body)
    if outcome.status != _OK or text_at(body, "status") != "success":
        return Blind(_refusal(outcome.status, body))
    if body.get("warnings"):
        return Blind("the answer carries warnings, it may be partial")
    data = object_at(body, "data")
    kind, result = text_at(data, "resultType"), data.get("result")
    if kind == "scalar":
        return _read([{"value": result}])
    if kind != "vector":
        return Blind("the query gives no instant vector or scalar")
    return _read(result) if isinstance(result, list) and result else Blind("no data")


def _read(result: list[object]) -> Sequence[Sample] | Blind:
    if len(result) > _MOST_SERIES:
        return Blind(f"more than {_MOST_SERIES} series; aggregate them in the query")
    samples = []
    for series in result:
        sample = _sample(series)
        if sample is None:
            return Blind("a sample that is not a number")
        samples.append(sample)
    return samples


def _sample(series: object) -> Sample | None:
    match series:
        case {"value": [int() | float() as evaluated, str() as text]}:
            try:
                return Sample(float(text), float(evaluated))
            except (ValueError, OverflowError):
                return None
    return None


def _refusal(status: int, body: object) -> str:
    words = (text_at(body, "errorType"), text_at(object_at(body, "error"), "status"))
    known = [word for word in words if word in _ERRORS]
    return " ".join([f"status {status}", *known])


def distance(samples: Sequence[Sample], now: float) -> float:
    """Return by how many seconds the farthest evaluation is away from now; infinite for none."""
    return max((abs(now - sample.evaluated) for sample in samples), default=math.inf)

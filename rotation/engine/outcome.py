"""What the effects of a phase ended in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from rotation.model.phase import Event
from rotation.model.rotation import Record

#: How many looks are kept as evidence.
KEPT_EVIDENCE = 6


class Outcome(Struct, frozen=True):
    """The phase is over."""

    event: Event
    #: Fields of `rotation.model.rotation.Record` that the effects established.
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: What may be done once the outcome is stored.  A crash leaves it out: a later phase does it.
    afterwards: Callable[[], None] | None = None


class Waiting(Struct, frozen=True):
    """The phase goes on later."""

    until: datetime
    #: Why, for people.
    note: str
    evidence: str = ""
    #: Fields of the record that are known by now.
    facts: Mapping[str, Any] = field(default_factory=dict)


def with_evidence(record: Record, line: str) -> Record:
    """Return the record with one more sentence of evidence."""
    if not line:
        return record
    return replace(record, evidence=(*record.evidence, line)[-KEPT_EVIDENCE:])

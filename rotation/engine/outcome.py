"""What the effects of a phase ended in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rotation.model.phase import Event


@dataclass(frozen=True)
class Outcome:
    """The phase is over."""

    event: Event
    #: Fields of `rotation.model.rotation.Record` that the effects established.
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """The phase goes on later."""

    until: datetime
    #: Why, for people.
    note: str
    evidence: str = ""

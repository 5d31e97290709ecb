"""What the drill counts, and which failure was on purpose.

Rules of this module:
  1. While nothing has leaked, no failure is on purpose.
  2. In an emergency a failure is on purpose only if it met the leaked credential, or a session
     that the pooler was made to end; whatever else fails is as bad as in a routine rotation.
  3. Back within the first retry: what was tried after a failure worked.  A retry that was itself
     ended on purpose says nothing; a pinned consumer's first retry is the one after its deployment.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

from rotation.local.demo.consumers import Member, Tally
from rotation.local.demo.wire import Failure

DIRECT, POOLED = "direct", "pgbouncer"


@dataclass
class Emergency:
    """One emergency, as it went; times are on the monotonic clock."""

    leaked: int
    asked: float
    #: When the pooler was asked to end its sessions, and when it had.
    cleared_from: float = inf
    cleared_until: float = inf
    #: When the pinned consumers were given the next version.
    deployed: float = inf
    #: When every consumer was on the next version.
    recovered: float = inf
    #: When a login with the leaked credential was refused first, by path.
    refused: dict[str, float] = field(default_factory=dict)

    def is_on_purpose(self, member: Member, failure: Failure) -> bool:
        """Whether this failure is what the emergency is for."""
        met_leaked = failure.version == self.leaked and self.asked <= failure.at <= self.recovered
        return met_leaked or self._was_cleared(member, failure)

    def is_late(self, member: Member, failure: Failure) -> bool:
        """Whether a consumer failed that should have been back."""
        if self._was_cleared(member, failure):
            return False
        if member.binding == "pinned":
            return failure.since > self.deployed
        return failure.streak > 1

    def _was_cleared(self, member: Member, failure: Failure) -> bool:
        ended = failure.since <= self.cleared_until and failure.at >= self.cleared_from
        return bool(member.pooler) and ended


@dataclass(frozen=True)
class Story:
    """One failure, described so that somebody can find its cause."""

    member: Member
    failure: Failure
    #: Round and phase it fell into.
    moment: str
    on_purpose: bool
    late: bool

    def __str__(self) -> str:
        member, failure = self.member, self.failure
        return (
            f"{self.moment}: {member.name} ({path_of(member)}, {member.binding}) version"
            f" {failure.version}: {failure.kind}, number {failure.streak} in a row: {failure.text}"
        )


@dataclass
class Findings:
    """Everything that was found, for the summary."""

    stories: list[Story] = field(default_factory=list)
    emergencies: list[Emergency] = field(default_factory=list)
    #: Real seconds each kind of round took.
    routine_seconds: list[float] = field(default_factory=list)
    emergency_seconds: list[float] = field(default_factory=list)
    #: How often the function found the previous credential still in use.
    held_up: int = 0
    #: What consumers did in all, by path.
    work: dict[str, Tally] = field(default_factory=dict)
    passwords: int = 0
    leaks: list[str] = field(default_factory=list)
    #: Places searched, with their sizes in bytes.
    searched: dict[str, int] = field(default_factory=dict)
    #: What kept the drill from going on, or from being believed.
    faults: list[str] = field(default_factory=list)

    @property
    def unexpected(self) -> list[Story]:
        """What must be empty: failures nobody asked for."""
        return [story for story in self.stories if not story.on_purpose]

    @property
    def late(self) -> list[Story]:
        """What must be empty: consumers that were not back within their first retry."""
        return [story for story in self.stories if story.late]

    @property
    def held(self) -> bool:
        """Whether every claim held."""
        worked = bool(self.work) and all(tally.queries for tally in self.work.values())
        return worked and not (self.unexpected or self.late or self.leaks or self.faults)

    @property
    def recoveries(self) -> list[float]:
        """Seconds from each request until every consumer was on the next version."""
        return [
            emergency.recovered - emergency.asked
            for emergency in self.emergencies
            if emergency.recovered < inf
        ]

    def refusals(self, path: str) -> list[float]:
        """Return the seconds from each request to the first refusal, in order."""
        return [
            emergency.refused[path] - emergency.asked
            for emergency in self.emergencies
            if path in emergency.refused
        ]


def by_kind(stories: Iterable[Story]) -> dict[str, int]:
    """Count stories by path, binding and kind."""
    keys = (f"{path_of(s.member)} {s.member.binding} {s.failure.kind}" for s in stories)
    return dict(sorted(Counter(keys).items()))


def path_of(member: Member) -> str:
    """Return how a consumer reaches the database."""
    return POOLED if member.pooler else DIRECT


def percentile(numbers: Sequence[float], share: float) -> float:
    """Return the smallest number that is not exceeded by ``share`` of all; nearest rank."""
    return sorted(numbers)[max(ceil(share * len(numbers)) - 1, 0)]

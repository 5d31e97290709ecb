"""What the owner of a secret wants: issuer, rollout, soak, retirement.

The annotation ``rotation.policy`` is decoded into these records by `rotation.policies.policy`.
Defaults live here and nowhere else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class PluginChoice:
    """A plugin by name and its decoded settings."""

    kind: str
    settings: Any
    #: What the deployment calls the system that is touched; empty: none is named.
    target: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class NotKnownHere:
    """Stands for settings where a target has a part of them, and no targets document is at hand.

    Nothing can be opened with it.
    """

    #: As the policy names it.
    target: str
    #: What the policy says of them, as it is written.
    own: Mapping[str, Any]


class OnDeadline(Enum):
    """What happens when a participant has not done its part in time."""

    #: Go on asking, and say so at every look.
    HOLD = "hold"
    #: Give the rotation up: everybody goes back.
    REVERT = "revert"


@dataclass(frozen=True)
class ParticipantChoice(PluginChoice):
    """A participant, and how long it may take."""

    #: From the moment it is asked, for its vote and again for its commit.
    deadline: timedelta = timedelta(hours=1)
    on_deadline: OnDeadline = OnDeadline.HOLD


@dataclass(frozen=True)
class Stage:
    """A group of consumers that moves together."""

    #: Its name: a label's value.
    stage: str
    participants: tuple[ParticipantChoice, ...]
    #: What has to hold before the rollout goes on; a failure sends it back.
    gates: tuple[PluginChoice, ...] = ()
    #: How long the stage is watched at least.
    soak: timedelta = timedelta()


@dataclass(frozen=True)
class Retire:
    """How the previous credential ends."""

    #: How long to watch a suspended credential for stragglers before it is revoked.
    observe: timedelta = timedelta(hours=1)
    #: How long a revoked version is kept, disabled, before it is destroyed.
    destroy_after: timedelta = timedelta(hours=12)


@dataclass(frozen=True)
class Policy:
    """The policy of one secret."""

    issuer: PluginChoice
    rollout: tuple[Stage, ...]
    #: How long old and new both work after the rollout.
    soak: timedelta = timedelta(hours=1)
    retire: Retire = field(default_factory=Retire)
    #: Longest time from one rotation to the next that the targets allow; None: any.
    max_age: timedelta | None = None
    #: The line of the targets document behind each word that is not the policy's own.
    demanded: Mapping[str, str] = field(default_factory=dict)

    @property
    def length(self) -> timedelta:
        """How long one routine rotation takes when nobody holds it up."""
        stages = sum((stage.soak for stage in self.rollout), timedelta())
        return stages + self.soak + self.retire.observe + self.retire.destroy_after

    @property
    def choices(self) -> Iterator[PluginChoice]:
        """Every plugin that it names, the issuer first."""
        yield self.issuer
        for stage in self.rollout:
            yield from stage.participants
            yield from stage.gates

    @property
    def not_known_here(self) -> tuple[str, ...]:
        """The targets that it names and of which this process knows nothing but the name."""
        settings = (choice.settings for choice in self.choices)
        found = (one.target for one in settings if isinstance(one, NotKnownHere))
        return tuple(dict.fromkeys(found))

    @property
    def gated(self) -> bool:
        """Whether anything is watched while the rollout goes on."""
        return any(stage.gates for stage in self.rollout)

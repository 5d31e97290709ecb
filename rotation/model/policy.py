"""What the owner of a secret wants: issuer, rollout, soak, retirement.

The annotation ``rotation.policy`` is decoded into these records by `rotation.engine.policy`.
Defaults live here and nowhere else.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class PluginChoice:
    """A plugin by name and its decoded settings."""

    kind: str
    settings: Any


@dataclass(frozen=True)
class Stage:
    """A group of consumers that moves together."""

    stage: str
    participants: tuple[PluginChoice, ...]


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

    @property
    def length(self) -> timedelta:
        """How long one routine rotation takes when nobody holds it up."""
        return self.soak + self.retire.observe + self.retire.destroy_after

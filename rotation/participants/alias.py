"""The aliases ``current`` and ``previous`` of the secret.

Moving an alias is an UpdateSecret, so it is the one version pointer that an ETag guards.
Rules of this module:
  1. Pure: aliases in, aliases out.  The worker stores them together with the phase.
  2. Only the two names it owns are touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rotation.model.permission import FailureMode, NotNeeded, On, Permission
from rotation.model.plugin import Change, ParticipantSpec

#: The version in force.
CURRENT = "current"
#: The version in force before that; it may point to a destroyed version.
PREVIOUS = "previous"


@dataclass(frozen=True)
class AliasSettings:
    """The alias participant has no settings."""


class AliasParticipant:
    """Consumers read ``versions/current``."""

    spec: ClassVar[ParticipantSpec] = ParticipantSpec(
        name="alias",
        title="Secret Manager aliases",
        does="moves the aliases current and previous of the secret, in one guarded write",
        settings=AliasSettings,
        rides_in_write=True,
        permissions=(
            Permission(
                "secretmanager.secrets.update",
                On.MANAGED_SECRET,
                "store the aliases, in the same write as the phase",
            ),
        ),
        permissions_not_needed=(
            NotNeeded(
                "secretmanager.versions.access",
                "an alias is a version's number; the payload is not read",
            ),
        ),
        network=("nothing of its own: it rides in the write to Secret Manager",),
        failure_modes=(
            FailureMode(
                "somebody else changed the secret",
                "the ETag refuses the write; it is read and decided again",
            ),
            FailureMode("the worker is killed", "aliases and phase are one write: both or neither"),
            FailureMode("a gate fails", "`current` points back, in one write"),
        ),
    )

    def __init__(self, settings: AliasSettings) -> None:
        self._settings = settings

    def observe(self, aliases: Mapping[str, int]) -> int | None:
        """Return where ``current`` points."""
        return aliases.get(CURRENT)

    def commit(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Point ``current`` to *next* and ``previous`` to what was current."""
        moved = {**aliases, CURRENT: change.next}
        if change.previous is not None:
            moved[PREVIOUS] = change.previous
        return moved

    def revert(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Point ``current`` back; ``previous`` then has nothing to name."""
        kept = {name: number for name, number in aliases.items() if name != PREVIOUS}
        return kept if change.previous is None else {**kept, CURRENT: change.previous}


PARTICIPANT = AliasParticipant

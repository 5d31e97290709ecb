"""What a system must offer to carry versions to its consumers.

In this version every participant is part of the secret itself: its change rides in the same
compare-and-set as the phase, so it can neither be half done nor be repeated.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from rotation.model.plugin import Change, ParticipantSpec


class RidingParticipant(Protocol):
    """A participant whose pointer is stored on the secret (``spec.rides_in_write``).

    All methods are pure: they get the aliases as read and return the aliases to store.
    Applying one twice gives the same map; aliases of others are kept.
    """

    spec: ClassVar[ParticipantSpec]

    def __init__(self, settings: Any) -> None: ...  # noqa: ANN401

    def observe(self, aliases: Mapping[str, int]) -> int | None:
        """Return the version consumers get; None when nothing points anywhere yet."""

    def commit(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Hand consumers the next version; never take the previous one away."""

    def revert(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Hand consumers the previous version again."""

"""What the contract of an outside participant needs of a place that is none of Git's."""

from typing import Protocol

from rotation.ports.participant import OutsideParticipant


class Place(Protocol):
    """Where one version is named, and consumers read it."""

    def participant(self) -> OutsideParticipant:
        """Return a new object, as another worker process would have."""

    def put(self, version: int) -> None:
        """Do what a person does: name a version there."""

    def handed_out(self) -> int:
        """Look as a consumer does."""

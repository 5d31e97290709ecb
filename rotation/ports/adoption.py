"""What an issuer offers so that an existing credential can be brought under rotation; optional.

An issuer without ``adopting`` rotates as any other; its secrets are set up by hand.
"""

from typing import ClassVar, Protocol, runtime_checkable

from rotation.model.adoption import AdoptionRequest, AdoptionSpec, IssuerPlan, Step
from rotation.model.payload import Payload


class Adopter(Protocol):
    """One adoption: looks, plans, and takes one step at a time.

    Every call may raise `TemporaryError` (unreachable, a lock not got: run again) and
    `PermanentError` (with a remedy).
    """

    def plan(self) -> IssuerPlan:
        """Look at the world and say what is in the way and which steps there are; change nothing.

        Raises:
            PermanentError: The payload is not understood, or its login does not work.
        """

    def apply(self, step: Step) -> None:
        """Take one step of the latest plan.  Repeatable; a crash in the middle loses nothing."""

    def propose_rotator(self) -> Payload:
        """Return a login for a rotator that does not exist yet, with a new random password."""

    def close(self) -> None:
        """Close what is open.  May be called twice."""


@runtime_checkable
class Adoptable(Protocol):
    """An issuer type that can bring what people have under rotation."""

    adoption: ClassVar[AdoptionSpec]

    def adopting(self, request: AdoptionRequest) -> Adopter:
        """Begin an adoption; connects when it is first asked for a plan."""

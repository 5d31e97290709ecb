"""What the contract suite needs of the system behind an issuer."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from rotation.model.payload import Payload
from rotation.ports.issuer import Issuer


class Subject(Protocol):
    """One secret's external system, with both slots free and nothing minted."""

    def issuer(self) -> Issuer:
        """A new issuer object, as another worker process would have."""

    def works(self, payload: Payload) -> bool:
        """Log in without the issuer's help."""

    def session(self, payload: Payload) -> AbstractContextManager[Any]:
        """Hold a session open."""

    def is_alive(self, session: Any) -> bool:
        """Use a session."""

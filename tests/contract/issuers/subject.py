"""What the contract suite needs of the system behind an issuer."""

from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from rotation.model.payload import Payload
from rotation.ports.issuer import Issuer
from tests.contract.issuers.worker import Errand


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


@runtime_checkable
class Killable(Protocol):
    """A subject whose workers can be killed in the middle: its system listens on a port.

    A subject joins `test_killed_worker` by having these beside `Subject`'s.
    """

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 where the system listens, without TLS."""

    def errand(self, port: int) -> Errand:
        """How another process builds the issuer that reaches the system at another port."""

    def stored(self, handle: str) -> object:
        """Everything the system keeps of a handle, salts and row versions included."""

"""How the demo speaks: scenes, lines, claims.  Whoever runs it decides how they look."""

from dataclasses import dataclass
from typing import Protocol

from rotation.model.errors import PermanentError


class DemoError(PermanentError):
    """Something the demo waited for did not happen in time.  Ends the demo as failed."""

    reason = "demo-failed"


@dataclass(frozen=True)
class Claim:
    """Something the product promises, and whether it held."""

    text: str
    held: bool
    #: What was measured.
    detail: str = ""


class Narrator(Protocol):
    """Shows the demo to whoever watches."""

    def scene(self, title: str) -> None:
        """Begin a scene."""

    def line(self, text: str) -> None:
        """Tell one event."""

    def claim(self, claim: Claim) -> None:
        """Return whether a claim held."""

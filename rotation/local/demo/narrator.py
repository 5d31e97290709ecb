"""How the drill speaks: scenes, lines, claims.  Whoever runs it decides how they look."""

from dataclasses import dataclass
from typing import Protocol

from rotation.model.errors import PermanentError


class DrillError(PermanentError):
    """Something the drill waited for did not happen in time.  Ends the drill as failed."""

    reason = "drill-failed"


@dataclass(frozen=True)
class Claim:
    """Something the product promises, and whether it held."""

    text: str
    held: bool
    #: What was measured.
    detail: str = ""


class Narrator(Protocol):
    """Shows the drill to whoever watches."""

    def scene(self, title: str) -> None:
        """Begin a scene."""

    def line(self, text: str) -> None:
        """Tell one event."""

    def claim(self, claim: Claim) -> None:
        """Tell whether a claim held."""

"""What every demo comes to, whatever is rotated in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rotation.local.demo.narrator import Claim


@dataclass(frozen=True, kw_only=True)
class Result:
    """Claims that were judged, and how the versions stand at the end."""

    claims: tuple[Claim, ...]
    versions: Mapping[int, str]
    #: Length of the demo.
    seconds: float

    @property
    def held(self) -> bool:
        """Whether every claim held."""
        return bool(self.claims) and all(claim.held for claim in self.claims)

    @property
    def versions_text(self) -> str:
        """The versions on one line."""
        shown = (f"{number} {state.lower()}" for number, state in self.versions.items())
        return ", ".join(shown) or "none"

    def as_json(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {"held": self.held, **asdict(self)}

"""Names of secrets and versions, as Secret Manager spells them.

Rules of this module:
  1. A name may carry the project's id or its number; answers and events always carry the number.
     Two names are the same secret only after the project has been resolved, so nobody compares
     the text of names that come from different sources.
  2. Version numbers are plain integers everywhere else; `SecretName.version` spells them.
"""

import re
from dataclasses import dataclass

from rotation.model.errors import BadNameError

_SECRET = re.compile(
    r"projects/(?P<project>[a-z0-9][a-z0-9:.-]*)"
    r"(?:/locations/(?P<location>[a-z0-9-]+))?"
    r"/secrets/(?P<secret_id>[A-Za-z0-9_-]{1,255})"
)


@dataclass(frozen=True, order=True)
class SecretName:
    """``projects/P/secrets/S`` or ``projects/P/locations/L/secrets/S``."""

    project: str
    secret_id: str
    location: str | None = None

    @classmethod
    def parse(cls, text: str) -> "SecretName":
        """Read a full secret name.

        Raises:
            BadNameError: ``text`` has another shape.
        """
        match = _SECRET.fullmatch(text)
        if match is None:
            raise BadNameError(
                f"{text!r} is not a secret name",
                remedy="write it as projects/PROJECT/secrets/SECRET",
            )
        return cls(match["project"], match["secret_id"], match["location"])

    @property
    def parent(self) -> str:
        """The collection this secret is listed in."""
        location = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.project}{location}"

    def version(self, version: int | str) -> str:
        """Spell the name of one version: a number, ``latest`` or an alias."""
        return f"{self}/versions/{version}"

    def __str__(self) -> str:
        return f"{self.parent}/secrets/{self.secret_id}"

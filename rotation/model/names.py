"""Names of secrets and versions, as Secret Manager spells them.

Rules of this module:
  1. A name may carry the project's id or its number; answers and events always carry the number.
     Two names are the same secret only after the project has been resolved, so nobody compares
     the text of names that come from different sources.
  2. Version numbers are plain integers everywhere else; `SecretName.version` spells them.
  3. Nobody else in the product takes such a name apart or puts one together.
"""

import re
from dataclasses import dataclass
from typing import Final

from rotation.model.errors import BadNameError

#: Between the name of a secret and one of its versions.
VERSIONS: Final = "/versions/"
LATEST: Final = "latest"


def secret_pattern(project: str, location: str, secret_id: str) -> str:
    """Return a pattern of secret names with groups of these names, made of patterns for each."""
    return (
        rf"projects/(?P<project>{project})"
        rf"(?:/locations/(?P<location>{location}))?"
        rf"/secrets/(?P<secret_id>{secret_id})"
    )


_SECRET: Final = re.compile(
    secret_pattern("[a-z0-9][a-z0-9:.-]*", "[a-z0-9-]+", "[A-Za-z0-9_-]{1,255}")
)
#: A number, or an alias; ``latest`` reads like one.
_VERSION: Final = re.compile(r"[0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,62}")


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
        return f"{self}{VERSIONS}{version}"

    def __str__(self) -> str:
        return f"{self.parent}/secrets/{self.secret_id}"


@dataclass(frozen=True, order=True)
class VersionName:
    """The name of a secret, ``/versions/``, and a number, ``latest`` or an alias."""

    secret: SecretName
    version: str

    @classmethod
    def parse(cls, text: str) -> "VersionName":
        """Read the full name of a version.

        Raises:
            BadNameError: ``text`` has another shape.
        """
        if not cls.is_name(text):
            raise BadNameError(
                f"{text!r} is not the name of a version",
                remedy="write it as projects/PROJECT/secrets/SECRET/versions/VERSION",
            )
        secret, _, version = text.rpartition(VERSIONS)
        return cls(SecretName.parse(secret), version)

    @classmethod
    def is_name(cls, text: str) -> bool:
        """Whether ``text`` is the full name of a version; for text that is never quoted."""
        secret, _, version = text.rpartition(VERSIONS)
        return bool(_SECRET.fullmatch(secret) and _VERSION.fullmatch(version))

    @classmethod
    def parse_or_latest(cls, text: str) -> "VersionName":
        """Read the full name of a version, or of a secret, which means its latest version.

        Raises:
            BadNameError: ``text`` is neither.
        """
        return cls.parse(_with_version(text))

    @classmethod
    def is_name_or_secret(cls, text: str) -> bool:
        """Whether ``text`` is what `parse_or_latest` reads; for text that is never quoted."""
        return cls.is_name(_with_version(text))

    def __str__(self) -> str:
        return self.secret.version(self.version)


def _with_version(text: str) -> str:
    return text if VERSIONS in text else f"{text}{VERSIONS}{LATEST}"

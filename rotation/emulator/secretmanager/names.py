"""Which secret a name in a request means.

It decides what is a name; it never looks whether the thing exists.

1. Requests may carry the project's id or its number; answers and events carry the number.
2. A project that is not in the table is answered like one the caller has no rights on.
3. A version in a name is a number, ``latest``, or an alias; what may stand there is the caller's
   business.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc

from rotation.emulator.status import StatusError, invalid

#: What Google's services say when they do not want to be more precise.
BAD_ARGUMENT: Final = "Request contains an invalid argument."

_PARENT: Final = r"projects/(?P<project>[^/]+)(?:/locations/(?P<location>[a-z0-9-]+))?"
_PARENT_NAME: Final = re.compile(_PARENT)
_SECRET_NAME: Final = re.compile(_PARENT + r"/secrets/(?P<secret>[A-Za-z0-9_-]{1,255})")
_VERSION_NAME: Final = re.compile(_SECRET_NAME.pattern + r"/versions/(?P<version>[^/]+)")
_SECRET_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True, order=True)
class Parent:
    """A project, or one of its locations; ``location`` is empty for the global collection."""

    project: int
    location: str = ""

    def __str__(self) -> str:
        location = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.project}{location}"


@dataclass(frozen=True, order=True)
class SecretKey:
    """One secret, with its project resolved; prints as its full name."""

    parent: Parent
    secret_id: str

    def version(self, version: int | str) -> str:
        """Spell the full name of one version."""
        return f"{self}/versions/{version}"

    def __str__(self) -> str:
        return f"{self.parent}/secrets/{self.secret_id}"


class Projects:
    """The projects that exist, by id and by number."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = {**{str(n): n for n in numbers.values()}, **numbers}

    def parent(self, name: str) -> Parent:
        """Read ``projects/P`` or ``projects/P/locations/L``."""
        return self._parent(_matched(_PARENT_NAME, name))

    def secret(self, name: str) -> SecretKey:
        """Read the full name of a secret."""
        match = _matched(_SECRET_NAME, name)
        return SecretKey(self._parent(match), match["secret"])

    def version(self, name: str) -> tuple[SecretKey, str]:
        """Read the full name of a version; the version is returned as written."""
        match = _matched(_VERSION_NAME, name)
        return SecretKey(self._parent(match), match["secret"]), match["version"]

    def resolved(self, name: str) -> str:
        """Spell any resource name with the project's number; unknown projects stay as they are."""
        collection, _, rest = name.partition("/")
        project, slash, below = rest.partition("/")
        return f"{collection}/{self._numbers.get(project, project)}{slash}{below}"

    def _parent(self, match: re.Match[str]) -> Parent:
        number = self._numbers.get(match["project"])
        if number is None:
            raise StatusError(
                grpc.StatusCode.PERMISSION_DENIED,
                f"Permission denied on resource project {match['project']}.",
            )
        return Parent(number, match["location"] or "")


def is_secret_id(text: str) -> bool:
    """Return whether the text may be the id of a secret."""
    return _SECRET_ID.fullmatch(text) is not None


def _matched(pattern: re.Pattern[str], name: str) -> re.Match[str]:
    match = pattern.fullmatch(name)
    if match is None:
        raise invalid(BAD_ARGUMENT)
    return match

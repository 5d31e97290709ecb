"""What a file says about one secret: a use of it, and the version it takes.

Rules of this module:
  1. A use says what stands in the file; whether that is well is for others to judge.
  2. A name without a project is the project's own: it is taken for any project's secret of that id.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rotation.model.names import SecretName, secret_pattern

#: What stands in for text that is filled in later: Helm, Jinja, shell, Terraform, Actions, Python.
TEMPLATE: Final = (
    r"(?:\$?\{\{[^{}\n]{0,200}+\}\}|\$\{[^{}\n]{0,200}+\}|\$\([^()\n]{0,200}+\)"
    r"|\$[A-Za-z_][A-Za-z0-9_]{0,100}+|%[A-Za-z_][A-Za-z0-9_]{0,100}+%|<[^<>\s]{1,100}+>"
    r"|\{[\w.]{0,100}+\}|%[sdv])"
)
#: A secret's id or a version, or what stands in for one.
WORD: Final = rf"(?:{TEMPLATE}|[A-Za-z0-9_-]{{1,255}}+)++"
PROJECT: Final = rf"(?:{TEMPLATE}|[^/\s\"'`{{}}$]{{1,200}}+)++"
FULL_NAME: Final = secret_pattern(PROJECT, WORD, WORD)

_FULL_NAME: Final = re.compile(FULL_NAME)
_TEMPLATE: Final = re.compile(TEMPLATE)
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)

Same = Callable[[str, str], bool]


class State(Enum):
    """How a use picks its version."""

    PINNED = "pinned"
    #: A pointer in Secret Manager that others move.
    ALIAS = "alias"
    LATEST = "latest"
    #: No version is given, which means the latest.
    UNPINNED = "unpinned"
    #: Filled in from elsewhere.
    INDIRECT = "indirect"
    #: A marker whose value is not clear.
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Named:
    """A secret as a file names it."""

    secret_id: str
    project: str | None = None
    location: str | None = None

    @classmethod
    def read(cls, text: str) -> "Named":
        """Read a full name, or take the text for an id."""
        found = _FULL_NAME.fullmatch(text)
        return cls.of(found) if found else cls(text)

    @classmethod
    def of(cls, found: re.Match[str]) -> "Named":
        """Take the groups of `FULL_NAME`."""
        return cls(found["secret_id"], found["project"], found["location"])

    def is_for(self, secret: SecretName, same: Same) -> bool:
        """Whether this names the secret."""
        if self.secret_id != secret.secret_id:
            return False
        if self.project is None or _TEMPLATE.search(self.project):
            return True
        return (self.location or None) == secret.location and same(self.project, secret.project)

    def __str__(self) -> str:
        if self.project is None:
            return self.secret_id
        return str(SecretName(self.project, self.secret_id, self.location))


@dataclass(frozen=True)
class Insertion:
    """Where a version could be written that is not there: ``before``, the number, ``after``."""

    at: int
    before: str
    after: str


@dataclass(frozen=True)
class Use:
    """One use of a secret.  Offsets are in characters."""

    #: Slug of the format's place, for example ``cloud-run``.
    kind: str
    named: Named
    #: None: no version is given.
    value: str | None
    #: Of the value; of the name where there is no value.
    start: int
    end: int
    #: The name of the secret is part of the same text, so the value cannot be anybody else's.
    names_itself: bool = False
    insertion: Insertion | None = None
    #: The value names something else that has the version.
    is_elsewhere: bool = False
    #: Why the version of a marker is not clear; empty otherwise.
    fault: str = ""

    @property
    def state(self) -> State:
        """How it picks its version."""
        if self.fault:
            return State.UNCLEAR
        return State.INDIRECT if self.is_elsewhere else state_of(self.value)


def state_of(value: str | None) -> State:
    """Say how a value picks a version."""
    if not value:
        return State.UNPINNED
    if is_number(value):
        return State.PINNED
    if value == "latest":
        return State.LATEST
    return State.ALIAS if re.fullmatch(r"[A-Za-z0-9_-]+", value) else State.INDIRECT


def is_number(value: str) -> bool:
    """Whether a value is the number of a version."""
    return _NUMBER.fullmatch(value) is not None

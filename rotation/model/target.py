"""What the deployment lets be touched, under a name; policies name it.

A plugin's settings are of two owners.  What is the deployment's (addresses, trust, the secrets that
open a system, what may be changed there) is a record that inherits `TargetSettings`; what is the
policy's is a record that inherits that one.  So a plugin is given one record, whoever wrote what.

Rules of this module:
  1. Patterns know ``*``, ``?`` and ``**``; everything else stands for itself.
  2. ``*`` and ``?`` stop at a slash, ``**`` does not.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from typing import Any

from msgspec import Struct


class Refusal(Struct, frozen=True):
    """What a target does not let a policy have."""

    #: The setting of the target that decides, for example ``roles``.
    by: str
    #: What the policy wants, and may not have.
    message: str


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """Base of what the deployment says of one system."""

    def refusals(self) -> Iterator[Refusal]:
        """Yield what the policy's settings want that the target's do not allow; here nothing."""
        yield from ()

    def reaches(self) -> str:
        """Say for people what is connected to, and with whose login or token; here nothing."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What no policy that uses a target may undercut; of the two, the stricter word counts."""

    #: Shortest time that old and new both work after the rollout.
    soak: timedelta = timedelta()
    #: Shortest time that a suspended credential is watched before it is revoked.
    observe: timedelta = timedelta()
    #: Longest time from one rotation to the next; none: any.
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if self.max_age is not None and self.max_age <= self.soak + self.observe:
            raise ValueError("max_age must be longer than soak and observe together")


@dataclass(frozen=True)
class Target:
    """One system that may be touched."""

    name: str
    #: The plugin that touches it.
    kind: str
    settings: TargetSettings
    #: The secrets whose policies may name it, as ``projects/PROJECT/secrets/SECRET``; in SECRET
    #: ``*`` and ``?`` stand for any characters.
    secrets: tuple[str, ...]
    #: What no policy that names it may undercut.
    demands: Demands = field(default_factory=Demands)


def target_type(settings: type) -> type[TargetSettings] | None:
    """Return the record of what the deployment says, of a plugin's settings.

    Args:
        settings: The record that the plugin is given.

    Returns:
        None: the plugin touches nothing that would have to be allowed.
    """
    if not issubclass(settings, TargetSettings):
        return None
    base: type[TargetSettings] = settings.__bases__[0]
    return base


def fields_of(settings: TargetSettings) -> Mapping[str, Any]:
    """Return what a target says of one system, by name."""
    return {part.name: getattr(settings, part.name) for part in fields(settings)}


def fits(pattern: str, text: str) -> bool:
    """Whether a pattern stands for a text."""
    return _compiled(pattern).fullmatch(text) is not None


def fits_one(patterns: tuple[str, ...], text: str) -> bool:
    """Whether one of the patterns stands for a text."""
    return any(fits(pattern, text) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(meaning.get(part) or re.escape(part) for part in parts), re.DOTALL)

"""What it takes to bring an existing credential under rotation: what is in the way, which steps.

Rules of this module:
  1. A step knows from the world whether it is done; nothing else remembers progress.
  2. Steps come in the order they are taken; the first that is not done is the next.
  3. No secret value is in any of these records, but inside `Password` and `Payload`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Severity

#: How a payload is written: one JSON object, a URL, ``KEY=value`` lines, a ``.pgpass`` line, or
#: ``key=value`` words.
ShapeName = Literal["json", "url", "env", "pgpass", "dsn"]


class Step(Struct, frozen=True):
    """One step of an adoption, small enough to be stopped before, after and in the middle."""

    #: Slug, stable across releases.
    name: str
    #: What it does, for people.
    title: str
    #: Why it is needed, and why consumers do not notice.
    why: str
    #: Whether the world is as this step leaves it.
    done: bool
    #: Statements, grouped in transactions; each transaction may be run again.
    transactions: tuple[tuple[str, ...], ...] = ()
    #: Commands for a shell, where the issuer has no statements for it.
    commands: tuple[str, ...] = ()
    #: Why it cannot be finished yet, though nothing is wrong; the rest goes on without it.
    waits: str = ""


class AdoptionOption(Struct, frozen=True):
    """One thing that a person may choose for an issuer; a flag of the command line."""

    #: Its name in `AdoptionRequest.settings`.
    setting: str
    #: Its flag, without dashes in front.
    flag: str
    help: str
    choices: tuple[str, ...] = ()
    is_port: bool = False


class AdoptionSpec(Struct, frozen=True, kw_only=True):
    """What an issuer asks for when it adopts, and how its statements are written down."""

    options: tuple[AdoptionOption, ...]
    #: Where an administrator's connection is found when none is given.
    connection: str
    #: End of the name of a file of statements, and what begins a comment in it.
    suffix: str
    comment: str
    #: How such a file is run.
    run: str
    #: A step's statements as the text of a file.
    script: Callable[[Step], str]
    #: A statement without what should not be shown.
    masked: Callable[[str], str]


class IssuerPlan(Struct, frozen=True):
    """What an issuer found, and what it would do."""

    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    #: The ``issuer`` object of the policy, without ``kind``; plain JSON values.
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: What a target must let be changed, by its own settings; plain JSON values.
    allowed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """What has to be mended by a person first."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


class AdoptionRequest(Struct, frozen=True, kw_only=True):
    """What the issuer is given."""

    #: Payload of the version in force.
    payload: Payload
    #: How to reach the external system as an administrator: a connection string; empty: as the
    #: issuer's own client finds it in the environment.
    connection: Password
    #: Settings the user has chosen; the others are found out or proposed.
    settings: Mapping[str, Any]
    #: Full name of the secret with the rotator's login, for the policy.
    admin: str
    #: The login in that secret; None: the secret does not exist yet.
    rotator: Payload | None
    #: Name of the rotator where no secret names it yet.
    rotator_user: str
    #: User of a payload that is only a password.
    user: str = ""
    #: Checks a person has looked at: what they find does not stop the adoption.
    accepted: frozenset[str] = frozenset()

"""What the doctor found: one record for each thing, and the words they share.  Pure.

1. A remedy is a command or a statement that can be pasted: names are filled in and quoted.
2. A fix is what ``--fix`` may do by itself; most findings have none.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rotation.model.deployment import Unseen
from rotation.model.names import SecretName

#: What findings about everything are about.
INSTALLATION: Final = "installation"


class Severity(Enum):
    """How bad it is."""

    #: A rotation cannot work, or would do harm.
    ERROR = "error"
    #: It works today; a person should look.
    WARNING = "warning"
    #: It could not be looked at, so nobody knows.
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Fix:
    """Something that ``--fix`` may do."""

    #: Name of the change, in the table of `rotation.doctor.fixing`.
    kind: str
    #: Full name of what is changed.
    target: str
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    #: Slug, stable across releases.
    check: str
    severity: Severity
    #: Full name of a secret, or `INSTALLATION`.
    about: str
    #: One sentence without a full stop.
    message: str
    #: The exact command that mends it.
    remedy: str = ""
    fix: Fix | None = None


def unseen(about: str, fact: Unseen) -> Finding:
    """Say that something could not be looked at."""
    message = f"could not look at {fact.what}: {fact.reason}"
    return Finding("not-seen", Severity.UNSEEN, about, message, fact.remedy)


def gcloud(*words: str) -> str:
    """Spell a gcloud command for a shell."""
    return shlex.join(["gcloud", *words])


def on_secret(name: SecretName) -> tuple[str, ...]:
    """Return the words that name a secret to gcloud."""
    location = (f"--location={name.location}",) if name.location else ()
    return (name.secret_id, f"--project={name.project}", *location)


def short(resource: str) -> str:
    """Return the id at the end of a full name."""
    return resource.rpartition("/")[2]


def project_of(resource: str) -> str:
    """Return the project in a full name."""
    return resource.split("/")[1] if resource.startswith("projects/") else ""

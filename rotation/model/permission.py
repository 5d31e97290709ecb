"""What somebody needs, and what it does not: permissions as data.

Rules of this module:
  1. A permission says which, on what and why.  Roles and documentation are rendered from it;
     nobody writes a list of permissions twice.
  2. What is not needed is listed as well, with the reason: a reader need not guess.
"""

from enum import Enum

from msgspec import Struct


class On(Enum):
    """What a permission is granted on."""

    #: Each secret that is rotated.
    MANAGED_SECRET = "managed-secret"  # noqa: S105 - a place, no password
    #: A secret that is only read, such as the rotator's login or a token.
    READ_SECRET = "read-secret"  # noqa: S105 - a place, no password
    PROJECT = "project"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    #: A Cloud Run service.
    SERVICE = "service"
    #: The service account that the function runs as.
    ACCOUNT = "account"


class Permission(Struct, frozen=True):
    """One IAM permission that is used."""

    #: As IAM spells it: ``secretmanager.versions.access``.
    name: str
    on: On
    #: What for, as part of a sentence: "read the token".
    why: str
    #: The setting that calls for it, for example ``admin: iam``; empty: always.
    when: str = ""
    #: Which one of its kind, where ``on`` does not say it: "the secret of ``header``".
    which: str = ""


class NotNeeded(Struct, frozen=True):
    """A permission or right that one might expect to be needed."""

    what: str
    #: As part of a sentence.
    why: str


class FailureMode(Struct, frozen=True):
    """Something that goes wrong, and what happens then."""

    when: str
    then: str

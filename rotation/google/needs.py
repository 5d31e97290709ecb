"""What the engine and the command line need of Google, beside what plugins need.

A call of an adapter in this package needs a permission; here is which, for whom and why.  Roles and
documentation are rendered from it, and a test compares it with what is really used.

Rules of this module:
  1. What a plugin needs is in its spec, not here.
  2. Parts are what gets a role of its own: the function, its sweep, the push, people.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from rotation.model.permission import NotNeeded, On, Permission


class Part(Enum):
    """Who acts on Google Cloud."""

    #: The worker, on one secret at a time.
    FUNCTION = "function"
    #: The pass over all secrets; the same process as the function.
    SWEEP = "sweep"
    #: Pub/Sub's push to the function.
    PUSH = "push"
    #: People and CI who look.
    VIEWER = "viewer"
    #: People and CI who ask for rotations and write policies.
    OPERATOR = "operator"


_SECRET: Final = On.MANAGED_SECRET

_FUNCTION: Final = (
    Permission("secretmanager.secrets.get", _SECRET, "read policy, state and ETag"),
    Permission("secretmanager.secrets.update", _SECRET, "store each phase, under the ETag"),
    Permission("secretmanager.versions.access", _SECRET, "verify the version in force"),
    Permission("secretmanager.versions.add", _SECRET, "publish the next version"),
    Permission("secretmanager.versions.get", _SECRET, "read a version's state and ETag"),
    Permission(
        "secretmanager.versions.enable",
        _SECRET,
        "give a version back: after a revert, or to a straggler while retiring",
    ),
    Permission("secretmanager.versions.disable", _SECRET, "suspend the previous version"),
    Permission("secretmanager.versions.destroy", _SECRET, "destroy the previous version"),
    Permission(
        "pubsub.topics.publish",
        On.TOPIC,
        "wake itself again when its time budget is spent",
        which="the rotation topic",
    ),
)

_SWEEP: Final = (
    Permission("secretmanager.secrets.list", On.PROJECT, "find what is due, overdue or waiting"),
    Permission(
        "pubsub.topics.publish",
        On.TOPIC,
        "wake each rotation that has something to do",
        which="the rotation topic",
    ),
)

_PUSH: Final = (
    Permission(
        "run.routes.invoke", On.SERVICE, "deliver wake-ups to the function", which="the function"
    ),
)

_VIEWER: Final = (
    Permission("secretmanager.secrets.get", On.PROJECT, "show policy, state and receipts"),
    Permission("secretmanager.secrets.list", On.PROJECT, "find the managed secrets"),
)

_OPERATOR: Final = (
    Permission("pubsub.topics.publish", On.PROJECT, "ask for a rotation"),
    Permission("secretmanager.secrets.update", On.PROJECT, "store a policy"),
)

#: What each part needs.
NEEDS: Final[Mapping[Part, tuple[Permission, ...]]] = {
    Part.FUNCTION: _FUNCTION,
    Part.SWEEP: _SWEEP,
    Part.PUSH: _PUSH,
    Part.VIEWER: _VIEWER,
    Part.OPERATOR: _OPERATOR,
}

#: What one might expect, and what nobody of them needs.
NOT_NEEDED: Final = (
    NotNeeded("secretmanager.versions.list", "versions are read by number, never searched"),
    NotNeeded("secretmanager.secrets.create", "secrets are made by people or Terraform"),
    NotNeeded("secretmanager.secrets.delete", "a secret outlives its rotations"),
    NotNeeded("secretmanager.secrets.setIamPolicy", "who may do what is not a rotation's matter"),
    NotNeeded("pubsub.subscriptions.consume", "wake-ups are pushed, never pulled"),
)

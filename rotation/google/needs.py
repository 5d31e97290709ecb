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
    #: People and CI who ask doctor what is set up wrongly.
    DOCTOR = "doctor"
    #: People and CI who ask for routine rotations.
    REQUESTER = "requester"
    #: People and CI who ask for emergencies and ways back.
    EMERGENCY_REQUESTER = "emergency requester"
    #: People and CI who write the policies of given secrets.
    POLICY_AUTHOR = "policy author"


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

_DOCTOR: Final = (
    Permission("secretmanager.secrets.get", On.PROJECT, "read policy, state and schedule"),
    Permission("secretmanager.secrets.list", On.PROJECT, "find the managed secrets"),
    Permission("secretmanager.versions.get", On.PROJECT, "see whether what is in force is enabled"),
    Permission("pubsub.topics.get", On.PROJECT, "find topics and their subscriptions"),
    Permission("pubsub.topics.getIamPolicy", On.PROJECT, "see who may publish"),
    Permission("pubsub.subscriptions.get", On.PROJECT, "see how wake-ups are delivered"),
    Permission("pubsub.subscriptions.getIamPolicy", On.PROJECT, "see who may forward dead letters"),
    Permission("run.services.get", On.PROJECT, "see how the function is set up"),
    Permission("run.services.list", On.PROJECT, "find services that take the version latest"),
    Permission("run.services.getIamPolicy", On.PROJECT, "see who may call the function"),
    Permission("cloudscheduler.jobs.get", On.PROJECT, "see whether the sweep runs"),
    Permission("resourcemanager.projects.get", On.PROJECT, "learn the project's number"),
    Permission("resourcemanager.projects.getIamPolicy", On.PROJECT, "see rights on the project"),
    Permission("iam.roles.get", On.PROJECT, "see what a custom role grants"),
    Permission(
        "secretmanager.versions.access", _SECRET, "log in with the credential in force, to try it"
    ),
    Permission(
        "secretmanager.versions.access",
        On.READ_SECRET,
        "log in as the rotator, to see the rights of the slots",
        which="each secret that a policy names",
    ),
    Permission(
        "iam.serviceAccounts.getAccessToken",
        On.ACCOUNT,
        "ask as the function's account what that account may do",
    ),
)

_REQUESTER: Final = (
    Permission(
        "pubsub.topics.publish",
        On.TOPIC,
        "ask for a routine rotation, a pause or its end",
        which="the rotation topic",
    ),
)

_EMERGENCY_REQUESTER: Final = (
    Permission(
        "pubsub.topics.publish",
        On.TOPIC,
        "ask for an emergency, a revert, a retirement or the end of a block",
        which="the topic of emergencies",
    ),
)

_POLICY_AUTHOR: Final = (
    Permission("secretmanager.secrets.get", _SECRET, "read what is there, and its ETag"),
    Permission("secretmanager.secrets.update", _SECRET, "store a policy"),
)

#: What each part needs.
NEEDS: Final[Mapping[Part, tuple[Permission, ...]]] = {
    Part.FUNCTION: _FUNCTION,
    Part.SWEEP: _SWEEP,
    Part.PUSH: _PUSH,
    Part.VIEWER: _VIEWER,
    Part.DOCTOR: _DOCTOR,
    Part.REQUESTER: _REQUESTER,
    Part.EMERGENCY_REQUESTER: _EMERGENCY_REQUESTER,
    Part.POLICY_AUTHOR: _POLICY_AUTHOR,
}

#: What one might expect, and what nobody of them needs.
NOT_NEEDED: Final = (
    NotNeeded("secretmanager.versions.list", "versions are read by number, never searched"),
    NotNeeded("secretmanager.secrets.create", "secrets are made by people or Terraform"),
    NotNeeded("secretmanager.secrets.delete", "a secret outlives its rotations"),
    NotNeeded("secretmanager.secrets.setIamPolicy", "who may do what is not a rotation's matter"),
    NotNeeded("pubsub.subscriptions.consume", "wake-ups are pushed, never pulled"),
)

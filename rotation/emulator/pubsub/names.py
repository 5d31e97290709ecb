"""Which names of topics and subscriptions the service accepts.

It never looks whether the resource exists.

1. An id has 3 to 255 characters, starts with a letter and not with ``goog``
   (https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names).
2. A topic that was deleted lives on in its subscriptions under `DELETED_TOPIC`.
"""

import re
from typing import Final

from rotation.emulator.status import invalid

DELETED_TOPIC: Final = "_deleted-topic_"

_PROJECT: Final = re.compile(r"projects/[a-z0-9][a-z0-9.:-]{1,61}[a-z0-9]")
_ID: Final = r"(?!goog)[A-Za-z][A-Za-z0-9._~%+-]{2,254}"
_RESOURCE: Final = {
    kind: re.compile(rf"{_PROJECT.pattern}/{kind}/{_ID}") for kind in ("topics", "subscriptions")
}


def check_topic(name: str) -> str:
    """Return ``name``; INVALID_ARGUMENT when it cannot name a topic."""
    return _check(name, "topics")


def check_subscription(name: str) -> str:
    """Return ``name``; INVALID_ARGUMENT when it cannot name a subscription."""
    return _check(name, "subscriptions")


def check_project(name: str) -> str:
    """Return ``name`` of the form ``projects/P``; INVALID_ARGUMENT otherwise."""
    if not _PROJECT.fullmatch(name):
        raise invalid(f"Invalid resource name given (name={name}).")
    return name


def short_id(name: str) -> str:
    """Return the last part of a resource name: what the service's messages quote."""
    return name.rpartition("/")[2]


def project_of(name: str) -> str:
    """Return the project id in a resource name."""
    return name.split("/")[1]


def _check(name: str, kind: str) -> str:
    if not _RESOURCE[kind].fullmatch(name):
        raise invalid(
            f"Invalid resource name given (name={name}). Refer to "
            "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names "
            "for more information."
        )
    return name

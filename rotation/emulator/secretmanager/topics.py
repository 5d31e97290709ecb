"""What Secret Manager answers when a topic it shall publish to says no.

1. A missing topic is NOT_FOUND; a malformed name INVALID_ARGUMENT; a missing right
   FAILED_PRECONDITION that names Secret Manager's service agent, whose right it is.
2. A Pub/Sub that cannot be reached makes the whole request UNAVAILABLE.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import grpc

from rotation.emulator.status import StatusError, failed_precondition, invalid, not_found

_TOPIC: Final = re.compile(r"projects/[^/]+/topics/[A-Za-z][A-Za-z0-9._~%+-]{2,254}")


def is_topic(name: str) -> bool:
    """Return whether Pub/Sub could have a topic of this name."""
    return _TOPIC.fullmatch(name) is not None


def topic_refused(error: StatusError, topic: str, project: int) -> StatusError:
    """Return what the request is answered, for what Pub/Sub answered."""
    compose = _ANSWERS.get(error.code)
    return compose(topic, project) if compose else error


def malformed(topic: str, _project: int = 0) -> StatusError:
    """Return the refusal of a name that is not a topic's."""
    return invalid(f"Failed to Publish to topic [{topic}], got an error from Pub/Sub.")


def _missing(topic: str, _project: int) -> StatusError:
    return not_found(f"Topic [{topic}] not found.")


def _not_allowed(topic: str, project: int) -> StatusError:
    agent = f"service-{project}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    return failed_precondition(
        f"Permission 'pubsub.topics.publish' denied for {agent} for pubsub topic: {topic} or the "
        "topic doesn't exist. Grant the 'pubsub.topic.publish' permission (or "
        f"'roles/pubsub.publisher') on this topic to {agent}."
    )


_ANSWERS: Final[Mapping[grpc.StatusCode, Callable[[str, int], StatusError]]] = {
    grpc.StatusCode.NOT_FOUND: _missing,
    grpc.StatusCode.PERMISSION_DENIED: _not_allowed,
    grpc.StatusCode.INVALID_ARGUMENT: malformed,
}

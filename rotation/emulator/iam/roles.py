"""What roles grant: Google's predefined ones that matter here, and custom ones.

1. Predefined roles are the public role data, narrowed to what the embedded services know.
2. A custom role is ``projects/P/roles/ID``; it exists until it is deleted.
3. A role that nobody knows grants nothing, as one that was deleted.
"""

from collections.abc import Mapping
from typing import Final

_SECRETS: Final = frozenset(
    f"secretmanager.secrets.{verb}"
    for verb in ("create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update",
                 "rotate", "enableManagedRotation")
)  # fmt: skip
_VERSIONS: Final = frozenset(
    f"secretmanager.versions.{verb}"
    for verb in ("access", "add", "destroy", "disable", "enable", "get", "list")
)
_LOCATIONS: Final = frozenset({"secretmanager.locations.get", "secretmanager.locations.list"})
_SECRET_VIEWER: Final = _LOCATIONS | {
    "secretmanager.secrets.get",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.list",
    "secretmanager.versions.get",
    "secretmanager.versions.list",
}
_SECRET_ADMIN: Final = _SECRETS | _VERSIONS | _LOCATIONS
_TOPICS: Final = frozenset(
    f"pubsub.topics.{verb}"
    for verb in ("attachSubscription", "create", "delete", "get", "list", "publish", "update")
)
_SUBSCRIPTIONS: Final = frozenset(
    f"pubsub.subscriptions.{verb}"
    for verb in ("consume", "create", "delete", "get", "list", "update")
)
_PUBSUB_IAM: Final = frozenset(
    f"pubsub.{kind}.{verb}IamPolicy"
    for kind in ("topics", "subscriptions")
    for verb in ("get", "set")
)

#: A role that grants whatever is asked for.
ALL: Final = "roles/owner"

#: What each predefined role grants.
PREDEFINED: Final[Mapping[str, frozenset[str]]] = {
    "roles/secretmanager.secretAccessor": frozenset({"secretmanager.versions.access"}),
    "roles/secretmanager.secretVersionAdder": frozenset({"secretmanager.versions.add"}),
    "roles/secretmanager.secretVersionManager": _VERSIONS - {"secretmanager.versions.access"},
    "roles/secretmanager.viewer": _SECRET_VIEWER,
    "roles/secretmanager.editor": _SECRET_ADMIN
    - {"secretmanager.versions.access", "secretmanager.secrets.setIamPolicy"},
    "roles/secretmanager.admin": _SECRET_ADMIN,
    "roles/pubsub.publisher": frozenset({"pubsub.topics.publish"}),
    "roles/pubsub.subscriber": frozenset(
        {"pubsub.subscriptions.consume", "pubsub.topics.attachSubscription"}
    ),
    "roles/pubsub.viewer": frozenset(
        f"pubsub.{kind}.{verb}" for kind in ("topics", "subscriptions") for verb in ("get", "list")
    ),
    "roles/pubsub.editor": _TOPICS | _SUBSCRIPTIONS,
    "roles/pubsub.admin": _TOPICS | _SUBSCRIPTIONS | _PUBSUB_IAM,
    "roles/run.invoker": frozenset({"run.routes.invoke"}),
}

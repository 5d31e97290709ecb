"""The checks of PostgreSQL, in the order a person would mend things; how they are run: `_slots`."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from rotation.issuers._slots import checks as shared
from rotation.issuers.postgresql import check_consumer, check_objects, check_roles, check_server
from rotation.model.plugin import Finding

CHECKS: Final[tuple[tuple[str, Callable[[Any], Iterable[Finding]]], ...]] = (
    ("server-version", check_server.version),
    ("primary", check_server.primary),
    ("owner", check_roles.owner),
    ("change-right", shared.change_right),
    ("owner-membership", check_roles.membership),
    ("password-expiry", check_roles.expiry),
    ("fence-marker", shared.fence_marker),
    ("other-manager", check_roles.other_managers),
    ("set-role", check_consumer.set_role),
    ("scram", check_consumer.scram),
    ("observer", shared.observer),
    ("end-sessions", shared.end_right),
    ("slot-parity", shared.parity),
    ("object-owner", check_objects.ownership),
    ("default-privileges", check_objects.default_privileges),
    ("head-room", check_server.head_room),
    ("connection-limit", check_server.limits),
    ("replicas", check_server.replicas),
    ("pooler", check_server.pooler),
    ("clock", shared.clock),
    ("log-settings", check_server.log_settings),
)

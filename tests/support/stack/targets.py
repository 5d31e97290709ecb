"""What the function of a test's stack may touch: so many databases, by number, from its start on.

A scene hands the numbers out as names; a test that needs anything else asks its scene for it,
and the function starts anew.
"""

from collections.abc import Mapping
from typing import Any

from rotation import registry
from rotation.local.postgres.server import PostgresServer
from rotation.local.stack.targets import Allowed, Allowing, postgresql_target
from rotation.model.target import target_type

#: More than one session ever asks for, the chaos with 200 seeds included.
COUNT = 400


def database(server: PostgresServer, project: str, name: str, **settings: Any) -> dict[str, Any]:
    """Return the target that the database of one secret is; roles and secrets have its name."""
    secret = f"projects/{project}/secrets/{name}"
    target = postgresql_target(
        server,
        name,
        owner=f"{name}_owner",
        roles=[f"{name}_a", f"{name}_b"],
        admin=f"{secret}-admin",
        secrets=[secret],
    )
    return {**target, **settings}


def databases(**settings: Any) -> Allowing:
    """Return what allows ``app1``, ``app2`` and so on, each with these settings."""

    def allow(server: PostgresServer, project: str) -> Allowed:
        names = (f"app{number}" for number in range(1, COUNT + 1))
        return {name: database(server, project, name, **settings) for name in names}

    return allow


def divided(kind: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide settings into the target's and the policy's."""
    plugins = registry.issuers(), registry.participants(), registry.gates()
    part = target_type(registry.settings_of_all(*plugins)[kind])
    owned = part.__dataclass_fields__ if part else {}
    return (
        {key: value for key, value in settings.items() if key in owned},
        {key: value for key, value in settings.items() if key not in owned},
    )

"""Everything a rotation needs of the database, checked one by one and named.

What can be tried is tried: a version number says less than a login.

Rules of this module:
  1. Each check yields at least one finding, with the exact remedy where something is wrong.
  2. The checks run in the order of `CHECKS`; none depends on another's outcome.
"""

import psycopg

from rotation.issuers.postgresql import check_consumer, check_roles, check_server, check_slots
from rotation.issuers.postgresql.admin import Admin
from rotation.issuers.postgresql.credential import login_of
from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.sessions import Observer
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.survey import Check, Survey, failed, fine
from rotation.model.errors import RotationError
from rotation.model.payload import Payload
from rotation.model.plugin import Finding

#: In the order a person would mend things.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("server-version", check_server.version),
    ("primary", check_server.primary),
    ("owner", check_roles.owner),
    ("change-right", check_roles.change_right),
    ("owner-membership", check_roles.membership),
    ("password-expiry", check_roles.expiry),
    ("fence-marker", check_roles.fence_marker),
    ("other-manager", check_roles.other_managers),
    ("set-role", check_consumer.set_role),
    ("scram", check_consumer.scram),
    ("observer", check_consumer.observer),
    ("end-sessions", check_roles.end_right),
    ("slot-parity", check_slots.parity),
    ("object-owner", check_slots.ownership),
    ("default-privileges", check_slots.default_privileges),
    ("head-room", check_server.head_room),
    ("connection-limit", check_server.limits),
    ("replicas", check_server.replicas),
    ("pooler", check_server.pooler),
    ("clock", check_server.clock),
    ("log-settings", check_server.log_settings),
)


def examine(
    settings: PostgreSQLSettings,
    admin: Admin,
    observer: Observer,
    current: Payload | None,
    token: int | None,
) -> tuple[Finding, ...]:
    """Run every check; return the findings in order."""
    try:
        login = login_of(current, settings) if current else None
        with admin.primary(_nothing) as (connection, _):
            reached = fine("rotator-login", f"logged in to {settings.primary}")
            survey = Survey(settings, admin, observer, connection, login, token)
            return (
                reached,
                *(each for name, check in CHECKS for each in _run(name, check, survey)),
            )
    except RotationError as error:
        return (failed("rotator-login", error),)


def _run(name: str, check: Check, survey: Survey) -> tuple[Finding, ...]:
    try:
        return tuple(check(survey))
    except RotationError as error:
        return (failed(name, error),)
    except psycopg.Error as error:
        return (failed(name, translate(error, f"check {name}")),)
    finally:
        if not survey.connection.closed:
            survey.connection.rollback()


def _nothing(connection: Connection) -> None:
    connection.execute("")

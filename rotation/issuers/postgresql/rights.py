"""Which rights the rotator needs, as the exact statements that grant them.

Statements are for a person to read and run: names are quoted, no password is ever in one.
"""

from psycopg import sql

from rotation.issuers.postgresql.settings import PostgreSQLSettings

#: From this version on CREATEROLE needs ADMIN OPTION on each role it changes.
ADMIN_OPTION_SINCE = 160000

RIGHTS = (
    "LOGIN CREATEROLE; no superuser",
    "up to PostgreSQL 15: nothing more to change the slots",
    "from PostgreSQL 16 on: GRANT <slots> TO <rotator> WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
    "GRANT pg_read_all_stats TO <rotator>, to see who is on a slot",
    "GRANT pg_signal_backend TO <rotator>, to end sessions of a revoked slot",
    "only to create a missing slot, from 16 on: the same GRANT for the owner role",
)


def quoted(name: str) -> str:
    """Return ``name`` as an SQL identifier."""
    return sql.Identifier(name).as_string()


def change_slots(settings: PostgreSQLSettings, rotator: str, server_version: int) -> str:
    """Return what lets the rotator change both slots."""
    statement = f"ALTER ROLE {quoted(rotator)} CREATEROLE"
    if server_version < ADMIN_OPTION_SINCE:
        return statement
    slots = ", ".join(map(quoted, settings.slots))
    return f"{statement}; {_admin_of(slots, rotator)}"


def join_owner(settings: PostgreSQLSettings, slot: str, server_version: int) -> str:
    """Return what makes ``slot`` become the owner at login."""
    owner = quoted(settings.owner)
    options = " WITH SET TRUE" if server_version >= ADMIN_OPTION_SINCE else ""
    return f"GRANT {owner} TO {quoted(slot)}{options}; ALTER ROLE {quoted(slot)} SET role = {owner}"


def create_slot(settings: PostgreSQLSettings, slot: str, rotator: str, server_version: int) -> str:
    """Return what a person runs when the rotator may not create ``slot``."""
    parts = [f"CREATE ROLE {quoted(slot)} LOGIN", join_owner(settings, slot, server_version)]
    if server_version >= ADMIN_OPTION_SINCE:
        parts.append(_admin_of(quoted(slot), rotator))
    return "; ".join(parts)


def create_owner(settings: PostgreSQLSettings) -> str:
    """Return what makes the owner role, should it be missing."""
    owner, slots = quoted(settings.owner), ", ".join(map(quoted, settings.slots))
    return f"CREATE ROLE {owner} NOLOGIN; GRANT {owner} TO {slots}"


def see_sessions(rotator: str) -> str:
    """Return what lets the rotator see who is on a slot."""
    return f"GRANT pg_read_all_stats TO {quoted(rotator)}"


def end_sessions(rotator: str) -> str:
    """Return what lets the rotator end sessions."""
    return f"GRANT pg_signal_backend TO {quoted(rotator)}"


def _admin_of(roles: str, rotator: str) -> str:
    return f"GRANT {roles} TO {quoted(rotator)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"

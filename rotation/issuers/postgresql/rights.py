"""Which rights the rotator needs, as the exact statements that grant them.

Statements are for a person to read and run: names are quoted, no password is ever in one.
"""

import re
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from psycopg import sql

from rotation.issuers._slots import marker
from rotation.issuers._slots.slot import Slot
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

#: Versions with a script of their own, and for which they are.
_MAJORS: Final = {14: "PostgreSQL 14", 15: "PostgreSQL 15", 16: "PostgreSQL 16 and later"}
_HEADER: Final = """\
-- Rights of the rotator's own role on {title}.
-- Run it as an administrator, with the names of your policy; it may be run again:
--   psql -v rotator=rotator -v owner=orders_owner -v slot_a=orders_a -v slot_b=orders_b \\
--     -f postgresql-{major}.sql
-- Then give it a password that no log sees: \\password rotator
SELECT format('CREATE ROLE %I', :'rotator')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'rotator') \\gexec
ALTER ROLE :"rotator" LOGIN;"""
_OPTIONAL: Final = """\
-- Only where the rotator shall create a missing slot: add -v create_slots=on
\\if :{?create_slots}"""


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


def free_slots(slots: Iterable[Slot]) -> str:
    """Return what takes our part out of the comments of slots, and leaves what others wrote."""
    left = ((slot.name, marker.foreign_text(slot.comment)) for slot in slots if slot.marker)
    return "; ".join(
        f"COMMENT ON ROLE {quoted(name)} IS {sql.Literal(text or None).as_string()}"
        for name, text in left
    )


def see_sessions(rotator: str) -> str:
    """Return what lets the rotator see who is on a slot."""
    return f"GRANT pg_read_all_stats TO {quoted(rotator)}"


def end_sessions(rotator: str) -> str:
    """Return what lets the rotator end sessions."""
    return f"GRANT pg_signal_backend TO {quoted(rotator)}"


def grants() -> Mapping[str, str]:
    """Return the scripts for psql that give the rotator's role its rights, by file name."""
    return {f"postgresql-{major}.sql": _script(major, title) for major, title in _MAJORS.items()}


def _script(major: int, title: str) -> str:
    named: Any = SimpleNamespace(slots=("slot_a", "slot_b"), owner="owner")
    version = major * 10_000
    parts = [
        _HEADER.format(title=title, major=major),
        change_slots(named, "rotator", version).replace("; ", ";\n") + ";",
        see_sessions("rotator") + ";",
        end_sessions("rotator") + ";",
    ]
    if version >= ADMIN_OPTION_SINCE:
        parts += ["", _OPTIONAL, _admin_of(quoted("owner"), "rotator") + ";", "\\endif"]
    # What is quoted is a variable of psql.
    return re.sub(r'(?<!:)"(\w+)"', r':"\1"', "\n".join(parts)).rstrip() + "\n"


def _admin_of(roles: str, rotator: str) -> str:
    return f"GRANT {roles} TO {quoted(rotator)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"

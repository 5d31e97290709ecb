"""Create a missing slot role as a twin of the other one.

Rules of this module:
  1. What is made is a copy of the sibling: its memberships, settings and connection limit.  No
     policy says what a role may; that the sibling is the owner's slot was found out before.
  2. ``role``, which the scheme rests on, is set last: statements before it run as the rotator.
  3. Other settings are copied with ``FROM CURRENT``: written as a literal, a list such as
     ``search_path`` would become a list of one.
"""

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.errors import TemporaryError

TWIN = "SELECT rolconnlimit FROM pg_roles WHERE rolname = %s"
GROUPS = """
SELECT g.rolname::text, bool_or({set}), bool_or({inherit})
  FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
  JOIN pg_roles AS r ON r.oid = m.member
 WHERE r.rolname = %s GROUP BY 1 ORDER BY 1
"""
SETTINGS = """
SELECT d.datname, split_part(item, '=', 1), substr(item, strpos(item, '=') + 1)
  FROM pg_db_role_setting AS s
  JOIN pg_roles AS r ON r.oid = s.setrole
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
 CROSS JOIN unnest(s.setconfig) AS item
 WHERE r.rolname = %s
 ORDER BY split_part(item, '=', 1) = 'role', 1, 2
"""


def twin_statements(
    connection: Connection, settings: PostgreSQLSettings, slot: str
) -> list[sql.Composed]:
    """Return the statements that make ``slot`` like its sibling, as yet without a password.

    Raises:
        TemporaryError: The sibling was dropped meanwhile.
    """
    sibling = settings.sibling(slot)
    has_options = connection.info.server_version >= ADMIN_OPTION_SINCE
    options = ("m.set_option", "m.inherit_option") if has_options else ("true", "true")
    question = sql.SQL(GROUPS).format(set=sql.SQL(options[0]), inherit=sql.SQL(options[1]))
    try:
        limit = connection.execute(TWIN, [sibling]).fetchone()
        groups = connection.execute(question, [sibling]).fetchall()
        stored = connection.execute(SETTINGS, [sibling]).fetchall()
    except psycopg.Error as error:
        raise translate(error, f"read the settings of {sibling}") from None
    if limit is None:
        raise TemporaryError(f"{sibling} is not there any more", reason="concurrent-change")
    role = sql.Identifier(slot)
    statements = [
        sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT {}").format(role, sql.Literal(limit[0])),
        *(_join(role, group, has_options) for group in groups),
    ]
    for database, name, value in stored:
        statements += _copy_setting(role, database, name, value)
    return statements


def _join(role: sql.Identifier, group: tuple[Any, ...], has_options: bool) -> sql.Composed:  # noqa: FBT001
    name, may_set, inherits = group
    statement = sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), role)
    if not has_options:
        return statement
    flags: dict[bool, LiteralString] = {True: "TRUE", False: "FALSE"}
    given = sql.SQL(" WITH SET ") + sql.SQL(flags[may_set])
    return statement + given + sql.SQL(", INHERIT ") + sql.SQL(flags[inherits])


def _copy_setting(
    role: sql.Identifier, database: str | None, name: str, value: str
) -> list[sql.Composed]:
    where = sql.Composed([])
    if database is not None:
        where = sql.SQL(" IN DATABASE {}").format(sql.Identifier(database))
    if name == "role":
        return [sql.SQL("ALTER ROLE {}{} SET role = {}").format(role, where, sql.Identifier(value))]
    parameter = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
    return [
        sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value)),
        sql.SQL("ALTER ROLE {}{} SET {} FROM CURRENT").format(role, where, parameter),
    ]

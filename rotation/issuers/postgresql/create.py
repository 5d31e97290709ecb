"""Create a missing slot role as a twin of the other one.

Rules of this module:
  1. The twin gets the sibling's memberships, settings and connection limit: a consumer must not
     notice which slot it is on.
  2. ``role`` is not copied but set, and last: it is what the scheme rests on.
  3. Stored settings are copied with ``FROM CURRENT``: written as a literal, a list such as
     ``search_path`` would become a list of one.
"""

import psycopg
from psycopg import sql

from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE
from rotation.issuers.postgresql.settings import PostgreSQLSettings

TWIN = """
SELECT r.rolconnlimit,
       array(SELECT g.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1)
  FROM pg_roles AS r WHERE r.rolname = %s
"""
SETTINGS = """
SELECT d.datname, split_part(item, '=', 1), substr(item, strpos(item, '=') + 1)
  FROM pg_db_role_setting AS s
  JOIN pg_roles AS r ON r.oid = s.setrole
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
 CROSS JOIN unnest(s.setconfig) AS item
 WHERE r.rolname = %s AND split_part(item, '=', 1) <> 'role'
 ORDER BY 1, 2
"""


def twin_statements(
    connection: Connection, settings: PostgreSQLSettings, slot: str
) -> list[sql.Composed]:
    """Return the statements that make ``slot``, as yet without a password."""
    sibling = settings.sibling(slot)
    try:
        twin = connection.execute(TWIN, [sibling]).fetchone()
        stored = connection.execute(SETTINGS, [sibling]).fetchall()
    except psycopg.Error as error:
        raise translate(error, f"read the settings of {sibling}") from None
    limit, groups = twin or (-1, [])
    role, owner = sql.Identifier(slot), sql.Identifier(settings.owner)
    with_set = connection.info.server_version >= ADMIN_OPTION_SINCE
    option = sql.SQL(" WITH SET TRUE" if with_set else "")
    statements: list[sql.Composed] = [
        sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT {}").format(role, sql.Literal(limit)),
        sql.SQL("GRANT {} TO {}").format(owner, role) + option,
    ]
    statements += [
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role)
        for group in groups
        if group != settings.owner
    ]
    for database, name, value in stored:
        statements += _copy_setting(role, database, name, value)
    statements.append(sql.SQL("ALTER ROLE {} SET role = {}").format(role, owner))
    return statements


def _copy_setting(
    role: sql.Identifier, database: str | None, name: str, value: str
) -> list[sql.Composed]:
    where = sql.Composed([])
    if database is not None:
        where = sql.SQL(" IN DATABASE {}").format(sql.Identifier(database))
    parameter = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
    return [
        sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value)),
        sql.SQL("ALTER ROLE {}{} SET {} FROM CURRENT").format(role, where, parameter),
    ]

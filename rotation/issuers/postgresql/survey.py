"""What preflight asks of one database: what all systems are asked, and PostgreSQL's own questions.

Rules of this module:
  1. What is tried is tried in a transaction that is rolled back.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import sql

from rotation.issuers._slots.slot import Slot, Words
from rotation.issuers._slots.target import Preflight
from rotation.issuers.postgresql import fence, rights
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.spec import WORDS
from rotation.model.password import Password
from rotation.model.plugin import Finding

#: Aspect, thing, and the statement that gives the thing to {sibling}; one query for one slot.
TRAITS = """
WITH slot AS (SELECT * FROM pg_roles WHERE rolname = %(slot)s),
grants AS (
    SELECT 'TABLE' AS kind, oid::regclass::text AS name, relacl AS acl FROM pg_class
    UNION ALL SELECT 'SCHEMA', quote_ident(nspname), nspacl FROM pg_namespace
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, proacl FROM pg_proc
    UNION ALL SELECT 'TYPE', oid::regtype::text, typacl FROM pg_type
    UNION ALL SELECT 'DATABASE', quote_ident(datname), datacl FROM pg_database
    UNION ALL SELECT 'COLUMN', attrelid::regclass || '.' || quote_ident(attname), attacl
      FROM pg_attribute
)
SELECT 'membership', g.rolname::text, format('GRANT %%I TO {sibling}', g.rolname)
  FROM slot JOIN pg_auth_members AS m ON m.member = slot.oid JOIN pg_roles AS g ON g.oid = m.roleid
UNION
SELECT 'setting', coalesce(d.datname || ': ', '') || item,
       format('ALTER ROLE {sibling}%%s SET %%s = %%s',
              coalesce(' IN DATABASE ' || quote_ident(d.datname), ''), split_part(item, '=', 1),
              -- Lists are stored as they are written; quoted, they would be a list of one.
              CASE WHEN split_part(item, '=', 1) ~ '^(search_path|temp_tablespaces|.*_libraries)$'
                   THEN substr(item, strpos(item, '=') + 1)
                   ELSE quote_literal(substr(item, strpos(item, '=') + 1)) END)
  FROM slot JOIN pg_db_role_setting AS s ON s.setrole = slot.oid
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) AS item
UNION
SELECT 'attribute', trait, 'ALTER ROLE {sibling} ' || trait
  FROM slot, LATERAL (VALUES
    ('CONNECTION LIMIT ' || rolconnlimit),
    (CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END),
    (CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END),
    (CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END),
    (CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END)) AS traits (trait)
UNION
SELECT 'privilege', format('%%s on %%s %%s', a.privilege_type, grants.kind, grants.name),
       CASE grants.kind WHEN 'COLUMN' THEN 'grant the column privilege to {owner}'
       ELSE format('GRANT %%s ON %%s %%s TO {owner}',
                   a.privilege_type, grants.kind, grants.name) END
  FROM grants CROSS JOIN aclexplode(grants.acl) AS a JOIN slot ON slot.oid = a.grantee
 WHERE grants.acl IS NOT NULL
UNION
SELECT 'default privilege',
       format('%%s on new %%s of %%I', a.privilege_type, p.defaclobjtype, o.rolname),
       'ALTER DEFAULT PRIVILEGES: grant to {owner} instead'
  FROM pg_default_acl AS p CROSS JOIN aclexplode(p.defaclacl) AS a
  JOIN slot ON slot.oid = a.grantee JOIN pg_roles AS o ON o.oid = p.defaclrole
 WHERE a.grantee <> p.defaclrole
UNION
SELECT 'row-level policy', format('%%I on %%s', p.polname, p.polrelid::regclass),
       format('ALTER POLICY %%I ON %%s TO {owner}', p.polname, p.polrelid::regclass)
  FROM pg_policy AS p JOIN slot ON slot.oid = ANY (p.polroles)
"""


class Survey(Struct, frozen=True):
    """One preflight run; see `rotation.issuers._slots.target.Survey`."""

    settings: PostgreSQLSettings
    preflight: Preflight[Connection]
    checks: tuple[tuple[str, Callable[[Any], Iterable[Finding]]], ...]

    @property
    def words(self) -> Words:
        """As those of the target."""
        return WORDS

    @property
    def connection(self) -> Connection:
        """The rotator's connection to the primary."""
        return self.preflight.connection

    @property
    def login(self) -> tuple[str, Password] | None:
        """User and password in force; None: nothing that needs a login is tested."""
        return self.preflight.login

    @property
    def rotator(self) -> str:
        """Name of the rotator."""
        return self.connection.info.user

    @property
    def version(self) -> int:
        """Version of the server as a number: 170010 is 17.10."""
        return self.connection.info.server_version

    def slots(self) -> tuple[Slot, ...]:
        """Look the slot roles up, outside of the fence."""
        return self._look(*self.settings.slots)

    def owner(self) -> Slot:
        """Look the owner role up."""
        return self._look(self.settings.owner)[0]

    def free_slots(self) -> str:
        """Return what leaves what others wrote in the comments."""
        return rights.free_slots(self.slots())

    def traits(self, slot: str) -> Mapping[tuple[str, str], str]:
        """Return attributes, memberships, settings and privileges of a slot role."""
        rows = self.connection.execute(TRAITS, {"slot": slot}).fetchall()
        names = (
            ("{sibling}", rights.quoted(self.settings.sibling(slot))),
            ("{owner}", rights.quoted(self.settings.owner)),
        )
        found = {}
        for aspect, thing, remedy in rows:
            for mark, name in names:
                remedy = remedy.replace(mark, name)  # noqa: PLW2901 - the same statement, filled in
            found[aspect, thing] = remedy
        return found

    def refusal(self, slot: str) -> str:
        """Set NOLOGIN, take the comment away, and roll that back; return a refusal's SQLSTATE."""
        comment = sql.SQL("COMMENT ON ROLE {} IS NULL").format(sql.Identifier(slot))
        try:
            self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            self.connection.execute("SELECT set_config('lock_timeout', '2s', true)")
            self.connection.execute(fence.set_login(slot, allowed=False))
            self.connection.execute(comment)
        except psycopg.Error as error:
            return error.sqlstate or "connection lost"
        finally:
            self.connection.rollback()
        return ""

    def may_end_sessions(self) -> bool:
        """Whether the rotator may signal backends."""
        return bool(self.scalar("SELECT pg_has_role(current_user, 'pg_signal_backend', 'USAGE')"))

    def clock(self) -> float:
        """Return the server's time."""
        return float(self.scalar("SELECT extract(epoch FROM clock_timestamp())"))

    def create_slot(self, slot: str) -> str:
        """Return what a person runs where the rotator may not create the slot."""
        return rights.create_slot(self.settings, slot, self.rotator, self.version)

    def let_change(self) -> str:
        """Return what lets the rotator change both slots."""
        return rights.change_slots(self.settings, self.rotator, self.version)

    def let_see(self) -> str:
        """Return what lets the rotator see who is on a slot."""
        return rights.see_sessions(self.rotator)

    def let_end(self) -> str:
        """Return what lets the rotator end sessions."""
        return rights.end_sessions(self.rotator)

    def _look(self, *names: str) -> tuple[Slot, ...]:
        question = fence.look(self.settings.owner, *names)
        return fence.read_roles(self.connection.execute(question))

    def rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """Answer one reading statement."""
        return self.connection.execute(question, values).fetchall()

    def scalar(self, question: str, *values: object) -> Any:  # noqa: ANN401
        """Answer a statement that yields one value."""
        rows = self.rows(question, *values)
        return rows[0][0] if rows else None

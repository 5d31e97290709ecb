"""Log in as a consumer would, on every node, and prove who one is and what one may.

Rules of this module:
  1. A session that does not become the owner is refused: PostgreSQL lets a slot without membership
     log in as itself, with no more than a warning in its own log.
  2. Everything runs in one read-only transaction and one round trip after the login.
"""

from contextlib import closing
from typing import Any

import psycopg

from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.errors import MISSING_RIGHT, READ_ONLY, translate
from rotation.issuers.postgresql.fence import POSITION
from rotation.issuers.postgresql.login import VERIFY, Connection, log_in
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.net.node import Node
from rotation.model.errors import PermanentError, TemporaryError
from rotation.model.password import Password
from rotation.model.plugin import Verification

#: Who the session is, and the schemas of its search path that it may not use.
IDENTITY = """
SELECT current_user::text, session_user::text, set_config('statement_timeout', %s, true),
       array(SELECT nspname::text FROM pg_namespace
              WHERE nspname = ANY (string_to_array(
                        replace(current_setting('search_path'), '"', ''), ', '))
                AND NOT has_schema_privilege(oid, 'USAGE'))
"""
REPLAYED = """
SELECT NOT pg_is_in_recovery()
       OR coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), %s::pg_lsn) >= 0, false)
"""


def check_login(settings: PostgreSQLSettings, node: Node, user: str, password: Password) -> None:
    """Log in and out again.

    Raises:
        CredentialRefusedError: The server answered, and said no.
    """
    log_in(settings, node, user, password, VERIFY).close()


def prove(settings: PostgreSQLSettings, node: Node, user: str, password: Password) -> Verification:
    """Log in to one node and prove identity and rights.

    Raises:
        CredentialRefusedError: The server answered, and said no.
        PermanentError: The login works but is not the owner, or a probe fails.
    """
    with closing(log_in(settings, node, user, password, VERIFY)) as connection:
        identity, schemas = _examine(connection, settings, node)
        version = connection.info.server_version
    if identity != (settings.owner, user):
        raise PermanentError(
            f"on {node} the session of {user} is {identity[0]}, not {settings.owner}",
            remedy=rights.join_owner(settings, user, version),
            reason="wrong-identity",
        )
    if schemas:
        names = ", ".join(map(rights.quoted, schemas))
        raise PermanentError(
            f"on {node} {settings.owner} may not use schema {names}",
            remedy=f"GRANT USAGE ON SCHEMA {names} TO {rights.quoted(settings.owner)}",
            reason="missing-right",
        )
    return Verification((str(node),), settings.owner, len(settings.probes))


def current_position(connection: Connection) -> str:
    """Return how far a replica must replay to know everything committed until now."""
    try:
        row = connection.execute(POSITION).fetchone()
    except psycopg.Error as error:
        raise translate(error, "read the position in the log") from None
    return str(row[0]) if row else "0/0"


def _examine(
    connection: Connection, settings: PostgreSQLSettings, node: Node
) -> tuple[tuple[str, str], list[str]]:
    probes: list[psycopg.Cursor[tuple[Any, ...]]] = []
    try:
        with connection.pipeline():
            connection.execute("BEGIN READ ONLY")
            answer = connection.execute(IDENTITY, [f"{settings.statement_timeout}s"])
            probes.extend(connection.execute(probe) for probe in settings.probes)
            connection.execute("ROLLBACK")
    except psycopg.Error as error:
        number = 1 + sum(cursor.pgresult is not None for cursor in probes)
        raise _probe_failure(error, settings, node, number) from None
    row = answer.fetchone()
    if row is None:
        raise TemporaryError(f"{node} did not say who the session is")
    return (row[0], row[1]), row[3]


def has_replayed(connection: Connection, position: str) -> bool:
    """Whether a replica knows every change up to ``position``."""
    try:
        row = connection.execute(REPLAYED, [position]).fetchone()
    except psycopg.Error as error:
        raise translate(error, "read how far the replica is") from None
    return bool(row and row[0])


def _probe_failure(
    error: psycopg.Error, settings: PostgreSQLSettings, node: Node, number: int
) -> Exception:
    doing = f"run probe {number} on {node}"
    if error.sqlstate == READ_ONLY:
        return PermanentError(f"probe {number} writes; probes only read", reason="probe-writes")
    remedy = ""
    if error.sqlstate == MISSING_RIGHT:
        remedy = f"grant what the probe needs to {rights.quoted(settings.owner)}"
    return translate(error, doing, remedy=remedy)

"""Log in as a consumer would, on every node, and prove who one is and what one may.

Rules of this module:
  1. A session that does not become the owner is refused: PostgreSQL lets a slot without membership
     log in as itself, with no more than a warning in its own log.
  2. Everything runs in one read-only transaction and one round trip after the login, on a session
     whose transactions are read-only by default.
  3. A probe is declared as a cursor and run to its first row, which is not sent; how long it may
     take is set anew before it.  Afterwards the server is asked whether all of that was still the
     same transaction, still read-only, and nothing was written in it.
  4. What a probe meets is told by its SQLSTATE and place; never by the server's words, which may
     quote data, and never with the error that has them as context.
"""

from contextlib import closing
from typing import Any

import psycopg
from msgspec import Struct

from rotation.issuers.postgresql import probes, rights
from rotation.issuers.postgresql.errors import translate, translate_probe
from rotation.issuers.postgresql.fence import POSITION
from rotation.issuers.postgresql.login import VERIFY, Connection, log_in
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.net.node import Node
from rotation.model.errors import PermanentError, RotationError, TemporaryError
from rotation.model.password import Password
from rotation.model.plugin import Verification

Cursor = psycopg.Cursor[tuple[Any, ...]]

#: Who the session is, when its transaction began, and the schemas of its search path that it may
#: not use.
IDENTITY = """
SELECT current_user::text, session_user::text, now()::text,
       set_config('default_transaction_read_only', 'on', false),
       array(SELECT nspname::text FROM pg_namespace
              WHERE nspname = ANY (string_to_array(
                        replace(current_setting('search_path'), '"', ''), ', '))
                AND NOT has_schema_privilege(oid, 'USAGE'))
"""
PATIENCE = "SELECT set_config('statement_timeout', %s, true)"
#: Whether it is still that transaction, it is read-only, and nothing was written in it.
UNTOUCHED = """
SELECT current_user::text, session_user::text, now()::text,
       current_setting('transaction_read_only') = 'on' AND pg_current_xact_id_if_assigned() IS NULL
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


class _Answers(Struct, frozen=True):
    """What one login showed."""

    identity: tuple[str, str]
    schemas: list[str]
    #: The probes have changed nothing, not even who the session is.
    is_untouched: bool
    version: int


def prove(settings: PostgreSQLSettings, node: Node, user: str, password: Password) -> Verification:
    """Log in to one node and prove identity and rights.

    Raises:
        CredentialRefusedError: The server answered, and said no.
        PermanentError: The login works but is not the owner, or a probe fails or is no query.
    """
    with closing(log_in(settings, node, user, password, VERIFY)) as connection:
        answers = _examine(connection, settings, node)
    if answers.identity != (settings.owner, user):
        raise PermanentError(
            f"on {node} the session of {user} is {answers.identity[0]}, not {settings.owner}",
            remedy=rights.join_owner(settings, user, answers.version),
            reason="wrong-identity",
        )
    if answers.schemas:
        names = ", ".join(map(rights.quoted, answers.schemas))
        raise PermanentError(
            f"on {node} {settings.owner} may not use schema {names}",
            remedy=f"GRANT USAGE ON SCHEMA {names} TO {rights.quoted(settings.owner)}",
            reason="missing-right",
        )
    if not answers.is_untouched:
        raise PermanentError(
            f"a probe changed its session or wrote on {node}; it was rolled back",
            remedy="write probes that only read",
            reason="probe-writes",
        )
    return Verification((str(node),), settings.owner, len(settings.probes))


def current_position(connection: Connection) -> str:
    """Return how far a replica must replay to know everything committed until now."""
    try:
        row = connection.execute(POSITION).fetchone()
    except psycopg.Error as error:
        raise translate(error, "read the position in the log") from None
    return str(row[0]) if row else "0/0"


def _examine(connection: Connection, settings: PostgreSQLSettings, node: Node) -> _Answers:
    patience = [f"{settings.statement_timeout}s"]
    declared = _declared(settings, connection.info.encoding)
    asked: list[Cursor] = []
    failure: psycopg.Error | None = None
    try:
        with connection.pipeline():
            connection.execute("BEGIN READ ONLY")
            connection.execute(PATIENCE, patience)
            asked.append(connection.execute(IDENTITY))
            for number, statement in enumerate(declared, 1):
                connection.execute(PATIENCE, patience)
                connection.execute(statement)
                asked.append(connection.execute(probes.begin(number)))
            asked.append(connection.execute(UNTOUCHED))
            connection.execute("ROLLBACK")
    except psycopg.Error as error:
        failure = error
    if failure is not None:
        # Here, so that it has no context: the error of psycopg quotes what the server said.
        raise _failure(failure, settings, node, asked)
    before, after = asked[0].fetchone(), asked[-1].fetchone()
    if before is None or after is None:
        raise TemporaryError(f"{node} did not say who the session is")
    is_untouched = (*before[:3], True) == after
    return _Answers((before[0], before[1]), before[4], is_untouched, connection.info.server_version)


def _declared(settings: PostgreSQLSettings, encoding: str) -> list[bytes]:
    """Return the statements that declare the probes, as the connection spells text."""
    try:
        return [
            (probes.declare(number) + probe).encode(encoding)
            for number, probe in enumerate(settings.probes, 1)
        ]
    except UnicodeEncodeError:
        raise PermanentError(
            f"a probe has characters that {encoding} lacks, which the database speaks",
            remedy="write it with characters of ASCII",
            reason="probe-invalid",
        ) from None


def has_replayed(connection: Connection, position: str) -> bool:
    """Whether a replica knows every change up to ``position``."""
    try:
        row = connection.execute(REPLAYED, [position]).fetchone()
    except psycopg.Error as error:
        raise translate(error, "read how far the replica is") from None
    return bool(row and row[0])


def _failure(
    error: psycopg.Error, settings: PostgreSQLSettings, node: Node, asked: list[Cursor]
) -> RotationError:
    """Return what to raise: a probe's failure, unless what stands around the probes failed."""
    number = sum(cursor.pgresult is not None for cursor in asked)
    if not 1 <= number <= len(settings.probes):
        return translate(error, f"prove the login on {node}")
    remedy = f"grant what the probe needs to {rights.quoted(settings.owner)}"
    where = probes.place(number, error.diag.statement_position)
    return translate_probe(error, f"probe {number} on {node}", where, remedy)

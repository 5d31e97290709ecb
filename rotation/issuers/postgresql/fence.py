"""Change a slot inside the fence: one transaction that locks, looks, changes, records.

Two rotators may always run at once: a lease is a hint.  So the token is compared with the tokens in
the comments of *both* slots (by `rotation.issuers._slots`), and written, in the very transaction
that sets the password.

Rules of this module:
  1. READ COMMITTED is named in BEGIN: at a stricter level the comments would be read as they were
     before the wait for the lock, and an older token could overwrite a newer one.
  2. The advisory locks are a courtesy between rotators (they are per database and die with the
     connection); the comment is the fence.  Both slots are locked, always in the same order, since
     pairs may overlap.
  3. Roles are looked up by comparing names; a cast to ``regrole`` would fold its case.
  4. Two round trips: `enter`, the decision, `leave`.
  5. A connection lost in `leave` leaves the outcome unknown, whatever the server said last.
"""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import sql

from rotation.issuers._slots import marker
from rotation.issuers._slots.marker import Marker
from rotation.issuers._slots.slot import LockedView, Slot
from rotation.issuers.postgresql.errors import not_primary, translate_change
from rotation.issuers.postgresql.login import OWN_NAMES, Connection
from rotation.issuers.postgresql.power import POWER
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.errors import UnknownOutcomeError
from rotation.model.password import Password

#: An idle time-out frees the lock when this process is frozen between the two round trips; and a
#: commit that the server may still lose is not a commit.  One message of four statements, not a
#: pipeline: libpq ends a pipeline with a Flush, which switches the server's idle time-out off.
ENTER = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT set_config('lock_timeout', {lock_timeout}, true),
       set_config('statement_timeout', {timeout}, true),
       set_config('idle_in_transaction_session_timeout', {timeout}, true),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
           WHEN 'off' THEN 'local' ELSE current_setting('synchronous_commit') END, true);
SELECT pg_advisory_xact_lock(hashtextextended('rotation:' || {first}, 42)),
       pg_advisory_xact_lock(hashtextextended('rotation:' || {second}, 42));
"""
ROLES = """
SELECT wanted.name, r.oid IS NOT NULL, coalesce(r.rolcanlogin, false),
       {power},
       EXISTS (SELECT FROM pg_roles AS o WHERE o.rolname = {owner}
                  AND pg_has_role(r.oid, o.oid, 'MEMBER')
                  AND EXISTS (SELECT FROM pg_db_role_setting AS s
                       WHERE s.setrole = r.oid AND 'role=' || o.rolname = ANY (s.setconfig)
                         AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d
                              WHERE d.datname = current_database())))),
       shobj_description(r.oid, 'pg_authid'),
       (SELECT count(*) FROM pg_stat_activity AS a WHERE a.usename = r.rolname
           AND coalesce(a.application_name, '') <> ALL ({own}::text[]))
  FROM unnest({roles}::text[]) WITH ORDINALITY AS wanted (name, place)
  LEFT JOIN pg_roles AS r ON r.rolname = wanted.name
 ORDER BY wanted.place
"""
POSITION = "SELECT pg_current_wal_insert_lsn()::text"


def look(owner: str, *names: str) -> sql.Composed:
    """Return the question that `read_roles` reads the answer of."""
    return sql.SQL(ROLES).format(
        power=sql.SQL(POWER),
        owner=sql.Literal(owner),
        own=sql.Literal(list(OWN_NAMES)),
        roles=sql.Literal(list(names)),
    )


def read_roles(answer: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Slot, ...]:
    """Return roles in the order of their names in the question, whether they exist or not."""
    return tuple(Slot(*row) for row in answer.fetchall())


def enter(connection: Connection, settings: PostgreSQLSettings, slot: str) -> LockedView:
    """Begin, lock and look; the transaction stays open.

    Raises:
        PermanentError: The node is a standby.
        psycopg.Error: As met; nothing was changed.
    """
    question = sql.SQL(ENTER).format(
        lock_timeout=sql.Literal(f"{settings.lock_timeout}s"),
        timeout=sql.Literal(f"{settings.statement_timeout}s"),
        first=sql.Literal(min(settings.slots)),
        second=sql.Literal(max(settings.slots)),
    )
    roles = look(settings.owner, slot, settings.sibling(slot), settings.owner)
    try:
        answer = connection.execute(question + roles)
    except psycopg.errors.FeatureNotSupported:
        # READ WRITE overrides a default of read-only; a standby cannot grant it.
        raise not_primary(f"change role {slot}") from None
    while answer.nextset():
        pass  # the last of the four answers is the one that has roles
    return LockedView(*read_roles(answer))


def leave(
    connection: Connection,
    statements: Sequence[sql.Composed],
    slot: str,
    *,
    remedy: str,
    hidden: Collection[Password],
    wants_position: bool,
) -> str | None:
    """Send the changes and COMMIT; return how far a replica must replay to know them.

    Raises:
        UnknownOutcomeError: The connection was lost on the way.
        CandidateRejectedError: The server refused the password by rule.
        PermanentError: A right is missing; ``remedy`` grants it.
    """
    try:
        with connection.pipeline():
            for statement in statements:
                connection.execute(statement)
            connection.execute("COMMIT")
            position = connection.execute(POSITION) if wants_position else None
    except psycopg.Error as error:
        if connection.closed:
            raise UnknownOutcomeError(f"the connection was lost while changing {slot}") from None
        raise translate_change(error, f"change role {slot}", remedy=remedy, hidden=hidden) from None
    row = position.fetchone() if position else None
    return str(row[0]) if row else None


def record(slot: Slot, mark: Marker) -> sql.Composed:
    """Return the statement that writes the token."""
    return sql.SQL("COMMENT ON ROLE {} IS {}").format(
        sql.Identifier(slot.name), sql.Literal(marker.write(slot.comment, mark))
    )


def set_password(slot: str, verifier: str) -> sql.Composed:
    """Return the statement that makes ``slot`` usable with the password of ``verifier``."""
    return sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} VALID UNTIL 'infinity'").format(
        sql.Identifier(slot), sql.Literal(verifier)
    )


def set_login(slot: str, *, allowed: bool) -> sql.Composed:
    """Return the statement that lets ``slot`` log in or not; its password stays."""
    return sql.SQL("ALTER ROLE {} " + ("LOGIN" if allowed else "NOLOGIN")).format(
        sql.Identifier(slot)
    )


def scramble(slot: str, verifier: str) -> sql.Composed:
    """Return the statement that makes the credential of ``slot`` useless for ever."""
    return sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD {}").format(
        sql.Identifier(slot), sql.Literal(verifier)
    )

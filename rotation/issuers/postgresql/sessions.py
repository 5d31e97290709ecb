"""See, hold and end sessions on one node; what is made of that is in `rotation.issuers._slots`.

Rules of this module:
  1. A session is attributed by ``usename``: it stays the slot after ``SET role``.
  2. Sessions of our own bear one of `OWN_NAMES`.
  3. A session is known by its pid; one that ended by pid *and* start: pids are used again.
"""

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager

import psycopg

from rotation.issuers._slots.slot import ShownSession
from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import OWN_NAMES, WITNESS, Connection, log_in
from rotation.issuers.postgresql.rights import end_sessions
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.net.node import Node
from rotation.model.password import Password

#: Parallel workers come and go with their leader.
SHOWN = """
SELECT pid, usename, coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       backend_start
  FROM pg_stat_activity
 WHERE usename = ANY (%s) AND backend_type IS DISTINCT FROM 'parallel worker'
"""
END = """
SELECT pid, backend_start, pg_terminate_backend(pid, %s)
  FROM pg_stat_activity
 WHERE usename = %s AND backend_type IS DISTINCT FROM 'parallel worker'
"""


def shown(connection: Connection, users: Collection[str]) -> list[ShownSession]:
    """Return the sessions of ``users`` on one node."""
    try:
        rows = connection.execute(SHOWN, [list(users)]).fetchall()
    except psycopg.Error as error:
        raise translate(error, "look at the sessions") from None
    return [
        ShownSession(
            id=pid,
            user=user,
            client=f"{address} {name}".strip(),
            since=start,
            # An unprivileged observer sees the row, but not when the session began.
            in_full=start is not None,
            is_ours=name in OWN_NAMES,
        )
        for pid, user, name, address, start in rows
    ]


@contextmanager
def planted(
    settings: PostgreSQLSettings, node: Node, slot: str, password: Password
) -> Iterator[int]:
    """Hold a session of ``slot`` open on one node."""
    with closing(log_in(settings, node, slot, password, WITNESS)) as session:
        yield session.info.backend_pid


def end(connection: Connection, slot: str, wait: int) -> set[object]:
    """End every session of ``slot`` on one node; return those that were there.

    Raises:
        PermanentError: The right is missing; the remedy grants it.
    """
    try:
        rows = connection.execute(END, [wait, slot]).fetchall()
    except psycopg.Error as error:
        remedy = end_sessions(connection.info.user)
        raise translate(error, f"end the sessions of {slot}", remedy=remedy) from None
    return {(pid, start) for pid, start, _ in rows}

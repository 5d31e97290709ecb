"""See and end sessions, on every node, without believing a zero from a blind observer.

Rules of this module:
  1. A session is attributed by ``usename``: it stays the slot after ``SET role``.
  2. Sessions of our own bear one of `OWN_NAMES` and are left out.
  3. A list counts only when a session planted at the same time was seen in full.
  4. Ended means gone, known by pid *and* start: pids are used again.
"""

from contextlib import closing
from datetime import datetime

import psycopg

from rotation.issuers.postgresql.admin import Admin
from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import OWN_NAMES, WITNESS, Connection, log_in
from rotation.issuers.postgresql.rights import end_sessions
from rotation.issuers.postgresql.settings import Node, PostgreSQLSettings
from rotation.issuers.postgresql.verify import await_replay
from rotation.model.errors import CredentialRefusedError, RotationError, TemporaryError
from rotation.model.password import Password
from rotation.model.plugin import Observation, Session

#: Parallel workers come and go with their leader.
SEEN = """
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
#: Milliseconds to wait for each session; first none, so that all are told before one is waited for.
PASSES = (0, 500, 1000, 2000, 2000)


class Observer:
    """Looks at one node through the rotator's login."""

    def __init__(self, settings: PostgreSQLSettings, admin: Admin) -> None:
        self._settings = settings
        self._admin = admin

    def observe(self, slot: str, witness: str, password: Password | None) -> Observation:
        """Look on every node who is on ``slot``, while ``witness`` is planted there."""
        sessions: list[Session] = []
        blind: list[str] = []
        for node in self._settings.nodes:
            found, reason = self._look(node, slot, witness, password)
            sessions += found
            blind += [reason] if reason else []
        return Observation(
            sessions=tuple(sessions),
            is_conclusive=not blind,
            nodes=tuple(map(str, self._settings.nodes)),
            unobservable_reason="; ".join(blind),
        )

    def on_replicas(self, slot: str) -> list[Session]:
        """Return the sessions on ``slot`` that no look at the primary can show."""
        sessions = []
        for node in self._settings.standbys:
            with closing(self._admin.on(node)) as connection:
                rows = _rows(connection, slot)
            sessions += _foreign(rows, slot, node)
        return sessions

    def end_on_replicas(self, slot: str, position: str | None) -> int:
        """End every session on the replicas; once more when they know the role is closed.

        A replica that fails does not keep the others waiting; its error is raised at the end.
        """
        failure: RotationError | None = None
        ended = 0
        for node in self._settings.standbys:
            try:
                ended += self._end_on(node, slot)
                await_replay(self._settings, self._admin, node, position or "0/0")
                ended += self._end_on(node, slot)
            except RotationError as error:
                failure = error
        if failure is not None:
            raise failure
        return ended

    def _end_on(self, node: Node, slot: str) -> int:
        with closing(self._admin.on(node)) as connection:
            return end_all(connection, slot, connection.info.user)

    def _look(
        self, node: Node, slot: str, witness: str, password: Password | None
    ) -> tuple[list[Session], str]:
        with closing(self._admin.on(node)) as connection:
            if password is None:
                rows = _rows(connection, slot)
                return _foreign(rows, slot, node), f"no session is planted on {node}"
            try:
                planted = log_in(self._settings, node, witness, password, WITNESS)
            except CredentialRefusedError:
                rows = _rows(connection, slot)
                return _foreign(rows, slot, node), f"{node} refuses the login of the witness"
            with closing(planted):
                pid = planted.info.backend_pid
                rows = _rows(connection, slot, witness)
        # An unprivileged observer sees the row, but not when the session began.
        shown = any(row[0] == pid and row[4] is not None for row in rows)
        missing = f"{node} does not show the planted session to the rotator in full"
        return _foreign(rows, slot, node), "" if shown else missing


Row = tuple[int, str, str, str, datetime | None]


def end_all(connection: Connection, slot: str, rotator: str) -> int:
    """End every session of ``slot`` on one node; return how many there were.

    Raises:
        PermanentError: The right is missing; the remedy grants it.
        TemporaryError: Some session would not end.
    """
    ended: set[tuple[int, datetime | None]] = set()
    for wait in PASSES:
        try:
            rows = connection.execute(END, [wait, slot]).fetchall()
        except psycopg.Error as error:
            doing = f"end the sessions of {slot}"
            raise translate(error, doing, remedy=end_sessions(rotator)) from None
        if not rows:
            return len(ended)
        ended |= {(pid, start) for pid, start, _ in rows}
    raise TemporaryError(f"sessions of {slot} do not end", reason="sessions-remain")


def _rows(connection: Connection, *users: str) -> list[Row]:
    try:
        return connection.execute(SEEN, [list(users)]).fetchall()
    except psycopg.Error as error:
        raise translate(error, "look at the sessions") from None


def _foreign(rows: list[Row], slot: str, node: Node) -> list[Session]:
    return [
        Session(node=str(node), client=f"{address} {name}".strip(), since=start)
        for _, user, name, address, start in rows
        if user == slot and name not in OWN_NAMES
    ]

"""PostgreSQL as a system with two slots: roles, in transactions of the fence.

Rules of this module:
  1. Every change of a role goes through `fence`; nothing else writes.
  2. No clear-text password is ever part of a statement.
  3. No superuser is needed; what is needed is in ``spec.rights``.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import psycopg
from psycopg import sql

from rotation.issuers._slots.marker import Marker
from rotation.issuers._slots.slot import LockedView, ShownSession, Slot
from rotation.issuers._slots.target import Preflight, Survey
from rotation.issuers.postgresql import fence, rights, sessions, verify
from rotation.issuers.postgresql.create import twin_statements
from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.errors import translate
from rotation.issuers.postgresql.login import ADMIN, Connection, log_in
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.spec import WORDS
from rotation.issuers.postgresql.transport import FEWEST_ITERATIONS, MOST_ITERATIONS
from rotation.kit.credentials.rotator import Login
from rotation.kit.credentials.verifier import ITERATIONS, scram_verifier, scrambled_verifier
from rotation.kit.net.node import Node
from rotation.model.errors import PermanentError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Verification

#: Digits of the largest number of iterations there is.
_DIGITS: Final = 10


class RoleChange:
    """A transaction inside the fence; see `rotation.issuers._slots.target.Change`."""

    def __init__(
        self, connection: Connection, settings: PostgreSQLSettings, view: LockedView
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._position: str | None = None
        self.view: Final = view

    def check_ready(self) -> None:
        """Make sure that there is an owner to become."""
        if not self.view.owner.exists:
            raise PermanentError(
                f"the owner role {self._settings.owner} does not exist",
                remedy=rights.create_owner(self._settings),
                reason="role-missing",
            )

    def statement_to_create(self) -> str:
        """Return what makes the slot's role as the rotator wants it."""
        info = self._connection.info
        slot = self.view.slot.name
        return rights.create_slot(self._settings, slot, info.user, info.server_version)

    def statement_to_join(self, slot: str) -> str:
        """Return what makes a slot become the owner."""
        return rights.join_owner(self._settings, slot, self._connection.info.server_version)

    def statement_to_free(self, slots: Sequence[Slot]) -> str:
        """Return what leaves what others wrote."""
        return rights.free_slots(slots)

    def set_password(self, password: Password, mark: Marker, claim: Marker | None) -> None:
        """Set LOGIN and the verifier of the password."""
        connection, slot = self._connection, self.view.slot
        verifier = scram_verifier(password, _iterations(connection))
        made = [] if slot.exists else twin_statements(connection, self._settings, slot.name)
        setting = fence.set_password(slot.name, verifier)
        claims = [fence.record(self.view.sibling, claim)] if claim else []
        self._leave([*made, setting, *claims], mark, Password(verifier), password)

    def set_login(self, mark: Marker, *, allowed: bool) -> None:
        """Set LOGIN or NOLOGIN."""
        self._leave([fence.set_login(self.view.slot.name, allowed=allowed)], mark)

    def scramble(self, mark: Marker) -> None:
        """Set NOLOGIN and a verifier of nothing."""
        verifier = scrambled_verifier()
        self._leave([fence.scramble(self.view.slot.name, verifier)], mark, Password(verifier))

    def position(self) -> str | None:
        """Return how far a replica must replay."""
        if not self._settings.replicas:
            return None
        return self._position or verify.current_position(self._connection)

    def _leave(self, statements: list[sql.Composed], mark: Marker, *hidden: Password) -> None:
        slot = self.view.slot
        self._position = fence.leave(
            self._connection,
            [*statements, fence.record(slot, mark)],
            slot.name,
            remedy=self._remedy(),
            hidden=hidden,
            wants_position=bool(self._settings.replicas),
        )

    def _remedy(self) -> str:
        if not self.view.slot.exists:
            return self.statement_to_create()
        info = self._connection.info
        return rights.change_slots(self._settings, info.user, info.server_version)


class PostgreSQLTarget:
    """One database; see `rotation.issuers._slots.target.Target`."""

    words = WORDS

    def __init__(self, settings: PostgreSQLSettings) -> None:
        self._settings = settings
        self.nodes: Final = settings.nodes
        self.replica_timeout: Final = settings.replica_timeout

    def login_of(self, payload: Payload) -> tuple[str, Password]:
        """Return role and password."""
        return login_of(payload, self._settings)

    def compose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate in the shape the policy asks for."""
        return compose(self._settings, slot, rotation_id, current)

    def open(self, node: Node, login: Login) -> Connection:
        """Log in as the rotator."""
        return log_in(self._settings, node, login.user, login.password, ADMIN)

    def ping(self, connection: Connection) -> None:
        """Send an empty statement."""
        connection.execute("")

    def reset(self, connection: Connection) -> None:
        """Roll back what is open."""
        connection.rollback()

    def is_closed(self, connection: Connection) -> bool:
        """Whether the connection was closed or lost."""
        return connection.closed

    @contextmanager
    def translating(self, doing: str) -> Iterator[None]:
        """Raise what psycopg raises as one of our errors."""
        try:
            yield
        except psycopg.Error as error:
            raise translate(error, doing) from None

    def enter(self, connection: Connection, slot: str, token: int) -> RoleChange:  # noqa: ARG002
        """Begin, lock and look; the token is compared by who asks."""
        view = fence.enter(connection, self._settings, slot)
        return RoleChange(connection, self._settings, view)

    def check_login(self, node: Node, slot: str, password: Password) -> None:
        """Log in and out again."""
        verify.check_login(self._settings, node, slot, password)

    def prove(self, node: Node, slot: str, password: Password) -> Verification:
        """Log in and prove owner, schemas and probes."""
        return verify.prove(self._settings, node, slot, password)

    def position(self, connection: Connection) -> str:
        """Return the position in the write-ahead log."""
        return verify.current_position(connection)

    def has_reached(self, connection: Connection, position: str) -> bool:
        """Whether a replica has replayed the log so far."""
        return verify.has_replayed(connection, position)

    def sessions(self, connection: Connection, users: Collection[str]) -> list[ShownSession]:
        """Ask pg_stat_activity."""
        return sessions.shown(connection, users)

    def plant(self, node: Node, slot: str, password: Password) -> AbstractContextManager[object]:
        """Hold a session open; it is known by its pid."""
        return sessions.planted(self._settings, node, slot, password)

    def end_sessions(self, connection: Connection, slot: str, wait: int) -> Collection[object]:
        """Terminate the backends; they are known by pid and start."""
        return sessions.end(connection, slot, wait)

    def survey(self, preflight: Preflight[Connection]) -> Survey:
        """Ask what PostgreSQL's checks ask."""
        from rotation.issuers.postgresql import preflight as own  # noqa: PLC0415 - not for a tick
        from rotation.issuers.postgresql import survey  # noqa: PLC0415

        return survey.Survey(self._settings, preflight, own.CHECKS)


def _iterations(connection: Connection) -> int:
    """Return how often the server wants a password hashed; fewer than the least is not believed."""
    # Reported by PostgreSQL 16 and later.
    text = (connection.pgconn.parameter_status(b"scram_iterations") or b"").decode(
        "ascii", "replace"
    )
    wanted = int(text) if text.isdecimal() and len(text) <= _DIGITS else None if text else 0
    if wanted is None or wanted > MOST_ITERATIONS:
        rotator = rights.quoted(connection.info.user)
        raise PermanentError(
            f"the server wants passwords hashed more than {MOST_ITERATIONS} times",
            remedy="lower scram_iterations in postgresql.conf, or for the rotator:"
            f" ALTER ROLE {rotator} SET scram_iterations = {ITERATIONS}",
            reason="scram-iterations",
        )
    return max(wanted, FEWEST_ITERATIONS)

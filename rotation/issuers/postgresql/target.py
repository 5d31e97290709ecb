"""PostgreSQL as a system with two slots: roles, in transactions of the fence.

Rules of this module:
  1. Every change of a role goes through `fence`; nothing else writes.
  2. No clear-text password is ever part of a statement.
  3. No superuser is needed; what is needed is in ``spec.rights``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from rotation.issuers._slots.marker import Marker
from rotation.issuers._slots.target import LockedView
from rotation.issuers.postgresql import fence, rights, verify
from rotation.issuers.postgresql.admin import Admin
from rotation.issuers.postgresql.create import twin_statements
from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.sessions import Observer, end_all
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.credentials.verifier import ITERATIONS, scram_verifier, scrambled_verifier
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Observation, Verification
from rotation.ports.issuer import IssuerEnvironment


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

    def set_password(self, password: Password, mark: Marker) -> None:
        """Set LOGIN and the verifier of the password."""
        connection, slot = self._connection, self.view.slot
        verifier = scram_verifier(password, _iterations(connection))
        made = [] if slot.exists else twin_statements(connection, self._settings, slot.name)
        setting = fence.set_password(slot.name, verifier)
        self._leave([*made, setting], mark, Password(verifier), password)

    def set_login(self, mark: Marker, *, allowed: bool) -> None:
        """Set LOGIN or NOLOGIN."""
        self._leave([fence.set_login(self.view.slot.name, allowed=allowed)], mark)

    def scramble(self, mark: Marker) -> None:
        """Set NOLOGIN and a verifier of nothing."""
        verifier = scrambled_verifier()
        self._leave([fence.scramble(self.view.slot.name, verifier)], mark, Password(verifier))

    def end_sessions(self) -> int:
        """End every session on the primary."""
        self._connection.rollback()  # one transaction sees one and the same list of sessions
        return end_all(self._connection, self.view.slot.name, self._connection.info.user)

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

    sessions_show_in = "pg_stat_activity"

    def __init__(self, settings: PostgreSQLSettings, environment: IssuerEnvironment) -> None:
        self._settings = settings
        self._admin = Admin(settings, environment)
        self._observer = Observer(settings, self._admin)

    def connect(self) -> None:
        """Open the rotator's connection, or prove that the kept one still answers."""
        self._admin.connect()

    def close(self) -> None:
        """Close the kept connection."""
        self._admin.close()

    def login_of(self, payload: Payload) -> tuple[str, Password]:
        """Return role and password."""
        return login_of(payload, self._settings)

    def compose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate in the shape the policy asks for."""
        return compose(self._settings, slot, rotation_id, current)

    @contextmanager
    def change(self, slot: str, token: int) -> Iterator[RoleChange]:
        """Begin, lock and look."""

        def enter(connection: Connection) -> LockedView:
            return fence.enter(connection, self._settings, slot, token)

        with self._admin.primary(enter) as (connection, view):
            yield RoleChange(connection, self._settings, view)

    def accepts(self, slot: str, password: Password) -> bool:
        """Log in to the primary and out again."""
        try:
            verify.check_login(self._settings, self._settings.primary, slot, password)
        except CredentialRefusedError:
            return False
        return True

    def prove(self, slot: str, password: Password, position: str | None) -> Verification:
        """Log in on every node and prove owner, schemas and probes."""
        login = (slot, password)
        verify.prove(self._settings, self._settings.primary, *login)
        for node in self._settings.standbys:
            verify.prove_on_replica(
                self._settings, self._admin, node, login, lambda: position or self._position_now()
            )
        return Verification(
            nodes=tuple(map(str, self._settings.nodes)),
            identity=self._settings.owner,
            probes=len(self._settings.probes),
        )

    def observe(self, slot: str, sibling: str, password: Password | None) -> Observation:
        """List the sessions on the slot, on every node."""
        return self._observer.observe(slot, sibling, password)

    def nodes_in_use(self, slot: str) -> set[str]:
        """Return the replicas with a session on the slot."""
        return {session.node for session in self._observer.on_replicas(slot)}

    def end_elsewhere(self, slot: str, position: str | None) -> int:
        """End every session on the replicas."""
        return self._observer.end_on_replicas(slot, position)

    def examine(self, current: Payload | None, token: int | None) -> tuple[Finding, ...]:
        """Run the preflight checks."""
        from rotation.issuers.postgresql.preflight import examine  # noqa: PLC0415 - not for a tick

        return examine(self._settings, self._admin, self._observer, current, token)

    def _position_now(self) -> str:
        with self._admin.primary(verify.current_position) as (_, position):
            return position


def _iterations(connection: Connection) -> int:
    # Reported by PostgreSQL 16 and later.
    iterations = connection.pgconn.parameter_status(b"scram_iterations")
    return int(iterations) if iterations else ITERATIONS

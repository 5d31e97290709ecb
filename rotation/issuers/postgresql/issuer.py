"""Rotate the password of one PostgreSQL database between two slot roles.

Each slot is a login role that becomes the owner role at login; a rotation changes only the slot
that nobody uses.  A password change does not end a session, so consumers move when they like.

Rules of this module:
  1. Every change of a role goes through `fence`; nothing else writes.
  2. No clear-text password is ever part of a statement.
  3. No superuser is needed; what is needed is in ``spec.rights``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from psycopg import sql

from rotation.issuers.postgresql import fence, rights, verify
from rotation.issuers.postgresql.admin import Admin
from rotation.issuers.postgresql.create import twin_statements
from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.fence import Role, Standing
from rotation.issuers.postgresql.guards import refuse_foreign
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.marker import SlotState
from rotation.issuers.postgresql.preflight import examine
from rotation.issuers.postgresql.sessions import Observer, end_all
from rotation.issuers.postgresql.settings import IAM, PostgreSQLSettings
from rotation.issuers.postgresql.spec import SPEC
from rotation.kit.credentials.verifier import ITERATIONS, scram_verifier, scrambled_verifier
from rotation.model.adoption import AdoptionRequest
from rotation.model.errors import CredentialRefusedError, PermanentError, SlotInUseError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, IssuerSpec, Minted, Observation, Verification
from rotation.ports.adoption import Adopter
from rotation.ports.issuer import IssuerEnvironment, MintRequest


class PostgreSQL:
    """The issuer for one database; see `rotation.ports.issuer.Issuer` for the contract."""

    spec: ClassVar[IssuerSpec] = SPEC

    def __init__(self, settings: PostgreSQLSettings, environment: IssuerEnvironment) -> None:
        self._settings = settings
        self._admin = Admin(settings, environment)
        self._observer = Observer(settings, self._admin)

    @classmethod
    def adopting(cls, request: AdoptionRequest) -> Adopter:
        """Bring a database with one login role under rotation."""
        from rotation.issuers.postgresql.adopting.adopter import (  # noqa: PLC0415 - not for a tick
            PostgreSQLAdopter,
        )

        return PostgreSQLAdopter(request)

    def connect(self) -> None:
        """Open the rotator's connection, or prove that the kept one still answers."""
        self._admin.connect()

    def location(self) -> str:
        """Name the primary and the database."""
        return f"{self._settings.primary}/{self._settings.database}"

    def reads(self) -> tuple[str, ...]:
        """Return the version with the rotator's login."""
        return () if self._settings.admin == IAM else (self._settings.admin_version,)

    def handles(self) -> tuple[str, ...]:
        """Return the two slot roles."""
        return self._settings.slots

    def identify(self, payload: Payload) -> str:
        """Return the role a payload logs in as."""
        return login_of(payload, self._settings)[0]

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:  # noqa: ARG002 - in turn
        """Return the slot that ``current`` does not use."""
        if current is None:
            return self._settings.slots[0]
        return self._settings.sibling(self.identify(current))

    def propose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate with a new random password."""
        return compose(self._settings, slot, rotation_id, current)

    def mint(self, request: MintRequest) -> Minted:
        """Set the candidate's password on a slot; a missing slot is created like its sibling."""
        slot, candidate, token, version = (
            request.handle, request.proposed, request.token, request.version,
        )  # fmt: skip
        password = self._password_for(slot, candidate)
        with self._envelope(slot, token) as (connection, standing):
            if self._is_minted(standing.slot, password, token, version):
                return Minted(slot, candidate, self._position(connection))
            self._refuse_busy(standing.slot)
            verifier = scram_verifier(password, _iterations(connection))
            statements = self._twin(connection, standing.slot)
            remedy = self._remedy(connection, standing.slot)
            statements += [
                fence.set_password(slot, verifier),
                fence.record(standing.slot, token, SlotState.MINTED, version),
            ]
            position = self._leave(
                connection, slot, statements, remedy, Password(verifier), password
            )
        return Minted(slot, candidate, position)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        """Log in on every node and prove owner, schemas and probes."""
        login = login_of(payload, self._settings)
        verify.prove(self._settings, self._settings.primary, *login)
        known = minted.position if minted else None
        for node in self._settings.standbys:
            verify.prove_on_replica(
                self._settings, self._admin, node, login, lambda: known or self._position_now()
            )
        return Verification(
            nodes=tuple(map(str, self._settings.nodes)),
            identity=self._settings.owner,
            probes=len(self._settings.probes),
        )

    def suspend(self, slot: str, token: int) -> None:
        """Set NOLOGIN; the password stays."""
        self._set_login(slot, token, SlotState.SUSPENDED)

    def restore(self, slot: str, token: int) -> None:
        """Set LOGIN; the same password works again."""
        self._set_login(slot, token, SlotState.RESTORED)

    def revoke(self, slot: str, token: int) -> int:
        """Scramble the password, set NOLOGIN and end every session on every node."""
        with self._envelope(slot, token) as (connection, standing):
            role = _existing(standing.slot)
            if _has(role, token, SlotState.REVOKED) and not role.can_login:
                connection.rollback()  # one transaction sees one and the same list of sessions
            else:
                verifier = scrambled_verifier()
                statements = [
                    fence.scramble(slot, verifier),
                    fence.record(role, token, SlotState.REVOKED),
                ]
                remedy = self._remedy(connection, role)
                self._leave(connection, slot, statements, remedy, Password(verifier))
            ended = end_all(connection, slot, connection.info.user)
            position = self._position(connection)
        return ended + self._observer.end_on_replicas(slot, position)

    def observe(self, handle: str, witness: Payload | None) -> Observation:
        """List the sessions on a slot, with a session of the witness planted on every node."""
        sibling = self._settings.sibling(handle)
        password = self._password_for(sibling, witness) if witness else None
        return self._observer.observe(handle, sibling, password)

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Check everything a rotation needs.

        Args:
            current: Payload in force; without it what needs a login is not tested.
            token: Newest token of the secret; a database ahead of it was restored or shared.
        """
        return examine(self._settings, self._admin, self._observer, current, token)

    def close(self) -> None:
        """Close the kept connection."""
        self._admin.close()

    @contextmanager
    def _envelope(self, slot: str, token: int) -> Iterator[tuple[Connection, Standing]]:
        def enter(connection: Connection) -> Standing:
            return fence.enter(connection, self._settings, slot, token)

        with self._admin.primary(enter) as (connection, standing):
            refuse_foreign(standing.slot)
            if not standing.owner.exists:
                raise PermanentError(
                    f"the owner role {self._settings.owner} does not exist",
                    remedy=rights.create_owner(self._settings),
                    reason="role-missing",
                )
            yield connection, standing

    def _set_login(self, slot: str, token: int, state: SlotState) -> None:
        allowed = state is SlotState.RESTORED
        with self._envelope(slot, token) as (connection, standing):
            role = _existing(standing.slot)
            if role.marker and role.marker.state is SlotState.REVOKED and allowed:
                raise PermanentError(
                    f"{slot} is revoked: its password is gone",
                    remedy="rotate again: a new credential is the only way back",
                    reason="slot-revoked",
                )
            if _has(role, token, state) and role.can_login is allowed:
                return
            if role.marker and role.marker.state is SlotState.REVOKED:
                state = SlotState.REVOKED
            statements = [
                fence.set_login(slot, allowed=allowed),
                fence.record(role, token, state),
            ]
            self._leave(connection, slot, statements, self._remedy(connection, role))

    def _leave(
        self,
        connection: Connection,
        slot: str,
        statements: list[sql.Composed],
        remedy: str,
        *hidden: Password,
    ) -> str | None:
        return fence.leave(
            connection,
            statements,
            slot,
            remedy=remedy,
            hidden=hidden,
            wants_position=bool(self._settings.replicas),
        )

    def _twin(self, connection: Connection, role: Role) -> list[sql.Composed]:
        return [] if role.exists else twin_statements(connection, self._settings, role.name)

    def _remedy(self, connection: Connection, role: Role) -> str:
        user, version = connection.info.user, connection.info.server_version
        if role.exists:
            return rights.change_slots(self._settings, user, version)
        return rights.create_slot(self._settings, role.name, user, version)

    def _is_minted(self, role: Role, password: Password, token: int, version: int) -> bool:
        # An earlier attempt of this very lease went through; its verifier is kept, since some
        # poolers compare verifiers.
        mark = role.marker
        if not (mark and _has(role, token, SlotState.MINTED) and mark.version == version):
            return False
        try:
            verify.knock(self._settings, self._settings.primary, role.name, password)
        except CredentialRefusedError:
            return False
        return True

    def _refuse_busy(self, role: Role) -> None:
        where = "the primary" if role.sessions else ""
        if not role.sessions and role.exists:
            where = ", ".join({each.node for each in self._observer.on_replicas(role.name)})
        if where:
            raise SlotInUseError(
                f"somebody has a session on {role.name}, on {where}; its password must not change",
                remedy="find the consumer in pg_stat_activity and move it to the current version",
            )

    def _password_for(self, slot: str, payload: Payload) -> Password:
        user, password = login_of(payload, self._settings)
        if user != slot:
            raise PermanentError(f"the payload logs in as {user}, not {slot}", reason="wrong-slot")
        return password

    def _position(self, connection: Connection) -> str | None:
        return verify.current_position(connection) if self._settings.replicas else None

    def _position_now(self) -> str:
        with self._admin.primary(verify.current_position) as (_, position):
            return position


def _existing(role: Role) -> Role:
    if role.exists:
        return role
    raise PermanentError(
        f"the slot role {role.name} does not exist",
        remedy="rotate: a missing slot is created by the next rotation into it",
        reason="role-missing",
    )


def _has(role: Role, token: int, state: SlotState) -> bool:
    return role.marker is not None and (role.marker.token, role.marker.state) == (token, state)


def _iterations(connection: Connection) -> int:
    # Reported by PostgreSQL 16 and later.
    told = connection.pgconn.parameter_status(b"scram_iterations")
    return int(told) if told else ITERATIONS

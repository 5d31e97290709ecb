"""The issuer of two slots: which verb follows which, what is refused, when nothing is owed.

Each slot is an identity that consumers log in as; a rotation changes only the slot that nobody
uses.  A new password does not end a session, so consumers move when they like.

Rules of this module:
  1. Every change is made inside the target's fence, after token and secret were compared with the
     markers of *both* slots, and leaves a marker of what it was, and whose.
  2. A repeat is known by its marker; where that is not enough, a login tells.
  3. A slot that somebody uses is never given another password.
  4. What is revoked is never restored.
  5. Whose a slot is, is asked of the system, never of a policy (`guards`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from rotation.issuers._slots.admin import Admin
from rotation.issuers._slots.guards import (
    refuse_managed,
    refuse_other_secret,
    refuse_stale,
    refuse_unfit,
    refuse_unknown,
)
from rotation.issuers._slots.marker import Marker, SlotState
from rotation.issuers._slots.nodes import accepts, prove_everywhere
from rotation.issuers._slots.observer import Observer
from rotation.issuers._slots.slot import Slot, sibling_of
from rotation.issuers._slots.target import Change, SlotSettings, Target
from rotation.model.errors import PermanentError, SlotInUseError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Minted, Observation, Verification
from rotation.ports.issuer import IssuerEnvironment, MintRequest


class TwoSlots:
    """See `rotation.ports.issuer` for the contract.

    It is an `Issuer` that `Composes`, `Suspends`, `SeesUse` and `ReadsSecrets`.
    """

    def __init__(
        self, settings: SlotSettings, target: Target[Any], environment: IssuerEnvironment
    ) -> None:
        self._secret = environment.secret
        self._slots = settings.slots
        self._target = target
        self._admin = Admin(target, settings, environment)
        self._observer = Observer(target, self._admin)

    def connect(self) -> None:
        """Open the rotator's connection, or prove that the kept one still answers."""
        self._admin.connect()

    def close(self) -> None:
        """Close the kept connection."""
        self._admin.close()

    def reads(self) -> tuple[str, ...]:
        """Return the version with the rotator's login."""
        return self._admin.reads()

    def handles(self) -> tuple[str, ...]:
        """Return the two slots."""
        return self._slots

    def identify(self, payload: Payload) -> str:
        """Return the slot a payload logs in as."""
        return self._target.login_of(payload)[0]

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:  # noqa: ARG002 - in turn
        """Return the slot that ``current`` does not use."""
        return (
            self._slots[0] if current is None else sibling_of(self.identify(current), self._slots)
        )

    def propose(self, handle: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate with a new random password."""
        return self._target.compose(handle, rotation_id, current)

    def mint(self, request: MintRequest) -> Minted:
        """Set the candidate's password on a slot; a missing slot is created like its sibling."""
        slot, token, version = request.handle, request.token, request.version
        password = self._password_for(slot, request.proposed)
        with self._change(slot, token) as change:
            refuse_unfit(change, self._target.words)
            found = change.view.slot
            if not self._is_minted(found, password, token, version):
                self._refuse_busy(found)
                mark = Marker(token, version, SlotState.MINTED, self._secret)
                change.set_password(password, mark, self._claim(change.view.sibling, token))
            return Minted(slot, request.proposed, change.position())

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        """Log in on every node and prove identity and rights."""
        login = self._target.login_of(payload)
        return prove_everywhere(
            self._target, self._admin, login, minted.position if minted else None
        )

    def suspend(self, handle: str, token: int) -> None:
        """Stop new logins; the password stays."""
        self._set_login(handle, token, SlotState.SUSPENDED)

    def restore(self, handle: str, token: int) -> None:
        """Let the same password log in again."""
        self._set_login(handle, token, SlotState.RESTORED)

    def revoke(self, handle: str, token: int) -> int:
        """Scramble the password, stop logins and end every session on every node."""
        with self._change(handle, token) as change:
            slot = self._existing(change)
            if slot.can_login or not _has(slot, token, SlotState.REVOKED):
                change.scramble(self._marked(slot, token, SlotState.REVOKED))
            position = change.position()
        return self._observer.end_everywhere(handle, position)

    def observe(self, handle: str, witness: Payload | None) -> Observation:
        """List the sessions on a slot, with a session of the witness planted on every node."""
        sibling = sibling_of(handle, self._slots)
        password = self._password_for(sibling, witness) if witness else None
        return self._observer.observe(handle, sibling, password)

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Check everything a rotation needs.

        Args:
            current: Payload in force; without it what needs a login is not tested.
            token: Newest token of the secret; a system ahead of it was restored or is shared.
        """
        from rotation.issuers._slots.preflight import examine  # noqa: PLC0415 - not for a tick

        return examine(self._target, self._admin, self._observer, current, token, self._secret)

    @contextmanager
    def _change(self, slot: str, token: int) -> Iterator[Change]:
        def enter(connection: Any) -> Change:  # noqa: ANN401 - the target's own
            return self._target.enter(connection, slot, token)

        with self._admin.primary(enter) as (_, change):
            refuse_other_secret(change, self._secret)
            refuse_stale(change.view, token)
            refuse_managed(change.view.slot)
            change.check_ready()
            yield change

    def _set_login(self, name: str, token: int, state: SlotState) -> None:
        allowed = state is SlotState.RESTORED
        with self._change(name, token) as change:
            slot = self._existing(change)
            revoked = slot.marker is not None and slot.marker.state is SlotState.REVOKED
            if revoked and allowed:
                raise PermanentError(
                    f"{name} is revoked: its password is gone",
                    remedy="rotate again: a new credential is the only way back",
                    reason="slot-revoked",
                )
            if _has(slot, token, state) and slot.can_login is allowed:
                return
            left = SlotState.REVOKED if revoked else state
            change.set_login(self._marked(slot, token, left), allowed=allowed)

    def _is_minted(self, slot: Slot, password: Password, token: int, version: int) -> bool:
        # An earlier attempt of this very lease went through; its verifier is kept, since some
        # poolers compare verifiers.
        mark = slot.marker
        if not (mark and _has(slot, token, SlotState.MINTED) and mark.version == version):
            return False
        return accepts(self._target, slot.name, password)

    def _refuse_busy(self, slot: Slot) -> None:
        where, shown = "the primary" if slot.sessions else "", self._target.words.sessions
        if not slot.sessions and slot.exists:
            where = ", ".join({session.node for session in self._observer.on_replicas(slot.name)})
        if where:
            raise SlotInUseError(
                f"somebody has a session on {slot.name}, on {where}; its password must not change",
                remedy=f"find the consumer in {shown} and move it to the current version, or end"
                " its sessions if nobody owns it; then unblock",
            )

    def _password_for(self, slot: str, payload: Payload) -> Password:
        user, password = self._target.login_of(payload)
        if user != slot:
            raise PermanentError(f"the payload logs in as {user}, not {slot}", reason="wrong-slot")
        return password

    def _marked(self, slot: Slot, token: int, state: SlotState) -> Marker:
        """Return a new marker; the version stays the known one."""
        return Marker(token, slot.marker.version if slot.marker else 0, state, self._secret)

    def _claim(self, sibling: Slot, token: int) -> Marker | None:
        """Return the marker that makes the sibling this secret's; None where nothing has to."""
        if not (self._secret and sibling.exists) or sibling.secret:
            return None
        if sibling.marker is None:
            return Marker(token, 0, SlotState.CLAIMED, self._secret)
        return replace(sibling.marker, secret=self._secret)

    def _existing(self, change: Change) -> Slot:
        """Return the slot; one that is missing was dropped, or this is the wrong system."""
        refuse_unknown(change, self._secret, self._target.words)
        slot = change.view.slot
        if slot.exists:
            return slot
        raise PermanentError(
            f"the slot {self._target.words.identity} {slot.name} does not exist",
            remedy=change.statement_to_create(),
            reason="role-missing",
        )


def _has(slot: Slot, token: int, state: SlotState) -> bool:
    return slot.marker is not None and (slot.marker.token, slot.marker.state) == (token, state)

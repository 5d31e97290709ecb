"""What a system with two slots must be able to do: a few verbs, each small and repeatable.

Rules of this module:
  1. A target decides nothing about rotations; it says what is there, and does what it is told.
  2. All verbs of one `Change` happen inside the fence: the tokens of both slots were compared, and
     nobody else changes either of them until the change is left.
  3. What changes a slot writes its marker in the same step.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from rotation.issuers._slots import marker
from rotation.issuers._slots.marker import Marker
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Observation, Verification


class Slot(Struct, frozen=True):
    """One identity as the system shows it."""

    name: str
    exists: bool
    can_login: bool
    #: It may administer the system: never an application's.
    is_powerful: bool
    #: Where the marker is kept, beside what others wrote.
    comment: str | None
    #: Sessions with it where changes are made; ours are left out.
    sessions: int

    @property
    def marker(self) -> Marker | None:
        """Our part of the comment."""
        return marker.read(self.comment)


class LockedView(Struct, frozen=True):
    """What the holder of the lock sees."""

    slot: Slot
    sibling: Slot
    #: What both slots act as, or belong to.
    owner: Slot

    @property
    def newest_token(self) -> int:
        """The newest token either slot has seen; 0 when none."""
        markers = (self.slot.marker, self.sibling.marker)
        return max((mark.token for mark in markers if mark), default=0)


class Change(Protocol):
    """One change of one slot, inside the fence.  Each verb may raise what the port's calls may."""

    @property
    def view(self) -> LockedView:
        """What is there."""

    def check_ready(self) -> None:
        """Raise what keeps the slot from being changed at all."""

    def statement_to_create(self) -> str:
        """Return what a person runs to make the missing slot."""

    def set_password(self, password: Password, mark: Marker) -> None:
        """Let the slot log in with this password; make a missing slot like its sibling."""

    def set_login(self, mark: Marker, *, allowed: bool) -> None:
        """Let the slot log in or not; its password stays."""

    def scramble(self, mark: Marker) -> None:
        """Make the slot's password useless for ever."""

    def end_sessions(self) -> int:
        """Leave the fence, then end every session with the slot; return how many there were."""

    def position(self) -> str | None:
        """Say how far a replica must be to know the change; None where there are no replicas."""


class Target(Protocol):
    """A system with two slots."""

    #: Where its administrator sees sessions.
    sessions_show_in: str

    def connect(self) -> None:
        """Open (or check) the admin connection."""

    def close(self) -> None:
        """Close it.  May be called twice."""

    def login_of(self, payload: Payload) -> tuple[str, Password]:
        """Return user and password; the user is one of the slots, or `PayloadError` is raised."""

    def compose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Return a new candidate."""

    def change(self, slot: str, token: int) -> AbstractContextManager[Change]:
        """Enter the fence.

        Raises:
            StaleTokenError: A newer token has been here.
        """

    def accepts(self, slot: str, password: Password) -> bool:
        """Whether the slot can log in with the password where changes are made."""

    def prove(self, slot: str, password: Password, position: str | None) -> Verification:
        """Log in everywhere and prove identity and rights; see `Issuer.verify`."""

    def observe(self, slot: str, sibling: str, password: Password | None) -> Observation:
        """Look who is on the slot, while the sibling is planted; see `SeesUse.observe`."""

    def nodes_in_use(self, slot: str) -> set[str]:
        """Return the nodes with a session on the slot that no `Slot.sessions` can show."""

    def end_elsewhere(self, slot: str, position: str | None) -> int:
        """End the sessions there; return how many there were."""

    def examine(self, current: Payload | None, token: int | None) -> tuple[Finding, ...]:
        """Check everything a rotation needs; see `Issuer.preflight`."""

"""What a system with two slots shows: its servers, its slots, their sessions; decides nothing."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from rotation.issuers._slots import marker
from rotation.issuers._slots.marker import Marker
from rotation.kit.net.node import Node
from rotation.model.plugin import Session


class Words(Struct, frozen=True):
    """What the people of one system call things, for messages."""

    #: What a slot is: role, user...
    identity: str
    #: Where an administrator sees sessions.
    sessions: str


class Slot(Struct, frozen=True):
    """One identity as the system shows it."""

    name: str
    exists: bool
    can_login: bool
    #: What it may that no application's identity should, as the end of a sentence; empty: nothing.
    power: str
    #: Its sessions become the owner, which it belongs to: the system itself says whose slot it is.
    becomes_owner: bool
    #: Where the marker is kept, beside what others wrote.
    comment: str | None
    #: Sessions with it where changes are made; ours are left out.
    sessions: int

    @property
    def marker(self) -> Marker | None:
        """Our part of the comment."""
        return marker.read(self.comment)

    @property
    def secret(self) -> str:
        """Secret whose slot it is; empty where none is named."""
        return self.marker.secret if self.marker else ""


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


class ShownSession(Struct, frozen=True):
    """One session as the rotator is shown it."""

    #: What tells it from the others of its node.
    id: object
    user: str
    #: Address and name of the client.
    client: str
    since: datetime | None
    #: Nothing of it is hidden from the rotator for want of a right.
    in_full: bool
    #: We opened it.
    is_ours: bool


def foreign_sessions(shown: Iterable[ShownSession], slot: str, node: Node) -> list[Session]:
    """Return the sessions on a slot that are not ours."""
    return [
        Session(node=str(node), client=session.client, since=session.since)
        for session in shown
        if session.user == slot and not session.is_ours
    ]


def sibling_of(slot: str, slots: tuple[str, str]) -> str:
    """Return the other slot."""
    first, second = slots
    return first if slot == second else second

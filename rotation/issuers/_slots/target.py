"""What a system with two slots must be able to do: a few verbs, each small and repeatable.

Rules of this module:
  1. A target decides nothing about rotations; it says what is there, and does what it is told.
  2. All verbs of one `Change` happen inside the fence: nobody else changes either slot until the
     change is left.
  3. What changes a slot writes its marker in the same step.
  4. A target keeps no connection: it opens them, and is lent the kept one.
  5. What its driver raises leaves a verb as one of our errors, or is raised inside `translating`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from rotation.issuers._slots.marker import Marker
from rotation.issuers._slots.slot import LockedView, ShownSession, Slot, Words
from rotation.kit.credentials.rotator import Login
from rotation.kit.net.node import Node
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Observation, Verification


class Closable(Protocol):
    """Something that is closed in the end."""

    def close(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Closable)


class SlotSettings(Protocol):
    """What the policies of all systems with two slots say."""

    @property
    def slots(self) -> tuple[str, str]:
        """The two identities."""

    @property
    def admin(self) -> str:
        """Secret that holds the rotator's username and password, or ``iam``."""

    @property
    def admin_user(self) -> str:
        """User of the function's own identity, with ``iam``."""

    @property
    def admin_version(self) -> str:
        """Full name of the version that holds the rotator's login."""


class Change(Protocol):
    """One change of one slot, inside the fence.  Each verb may raise what the port's calls may."""

    @property
    def view(self) -> LockedView:
        """What is there."""

    def check_ready(self) -> None:
        """Raise what keeps the slot from being changed at all."""

    def statement_to_create(self) -> str:
        """Return what a person runs to make the missing slot."""

    def statement_to_join(self, slot: str) -> str:
        """Return what a person runs to make a slot the owner's."""

    def statement_to_free(self, slots: Sequence[Slot]) -> str:
        """Return what a person runs to take our part out of the comments of slots."""

    def set_password(self, password: Password, mark: Marker, claim: Marker | None) -> None:
        """Let the slot log in with this password; make a missing slot like its sibling.

        ``claim`` is left on the sibling, in the same step.
        """

    def set_login(self, mark: Marker, *, allowed: bool) -> None:
        """Let the slot log in or not; its password stays."""

    def scramble(self, mark: Marker) -> None:
        """Make the slot's password useless for ever."""

    def position(self) -> str | None:
        """Say how far a replica must be to know the change; None where there are no replicas."""


class Connects(Protocol[Connection]):
    """How the connections of one system are opened and looked after."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Every server; changes are made on the first."""

    def open(self, node: Node, login: Login) -> Connection:
        """Log in as the rotator; the caller closes the connection.

        Raises:
            CredentialRefusedError: The server answered, and said no.
        """

    def ping(self, connection: Connection) -> None:
        """Prove that the connection still answers."""

    def reset(self, connection: Connection) -> None:
        """Give up what is open on the connection, such as a transaction."""

    def is_closed(self, connection: Connection) -> bool:
        """Whether the connection is of no use any more."""

    def translating(self, doing: str) -> AbstractContextManager[None]:
        """Raise what the driver raises inside as one of our errors: ``cannot {doing}: ...``."""


class Preflight(Struct, Generic[Connection], frozen=True):
    """What the checks of one preflight run are given."""

    connection: Connection
    #: Opens a connection to another node; the caller closes it.
    on: Callable[[Node], Connection]
    #: See `rotation.issuers._slots.observer.Observer.observe`.
    observe: Callable[[str, str, Password | None], Observation]
    #: User and password in force; None: nothing that needs a login is tested.
    login: tuple[str, Password] | None
    #: Newest token of the secret; None: not known.
    token: int | None
    #: Full name of the secret; empty: not known.
    secret: str


class Survey(Protocol):
    """What one system answers the checks that all share, and the checks of its own.

    A question that cannot be answered raises; that is the finding then.  Nothing it does lasts.
    """

    @property
    def checks(self) -> Sequence[tuple[str, Callable[[Any], Iterable[Finding]]]]:
        """Checks by the name they report under, in the order a person would mend things."""

    @property
    def preflight(self) -> Preflight[Any]:
        """What it was given."""

    @property
    def rotator(self) -> str:
        """Name of the rotator."""

    @property
    def words(self) -> Words:
        """As those of the target."""

    def slots(self) -> tuple[Slot, ...]:
        """Return both slots, whether they exist or not."""

    def free_slots(self) -> str:
        """Return what a person runs to take our part out of the comments of both slots."""

    def traits(self, slot: str) -> Mapping[tuple[str, str], str]:
        """Return what a slot has, by aspect and thing, with what gives it to its sibling.

        Empty: the slot does not exist.
        """

    def refusal(self, slot: str) -> str:
        """Try to change a slot, without an effect that lasts; return why not, else nothing."""

    def may_end_sessions(self) -> bool:
        """Whether the rotator may end sessions of others."""

    def clock(self) -> float:
        """Return the server's time, in seconds since 1970."""

    def create_slot(self, slot: str) -> str:
        """Return what a person runs where the rotator may not create the slot."""

    def let_change(self) -> str:
        """Return what lets the rotator change both slots."""

    def let_see(self) -> str:
        """Return what lets the rotator see the sessions of others."""

    def let_end(self) -> str:
        """Return what lets the rotator end them."""


class Target(Connects[Connection], Protocol[Connection]):
    """A system with two slots."""

    @property
    def words(self) -> Words:
        """What its people call things."""

    @property
    def replica_timeout(self) -> float:
        """Seconds to wait until a replica knows a change."""

    def login_of(self, payload: Payload) -> tuple[str, Password]:
        """Return user and password; the user is one of the slots, or `PayloadError` is raised."""

    def compose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Return a new candidate."""

    def enter(self, connection: Connection, slot: str, token: int) -> Change:
        """Enter the fence and look; it is left when the connection is reset.

        A system that compares the token itself raises `StaleTokenError`.
        """

    def check_login(self, node: Node, slot: str, password: Password) -> None:
        """Log in and out again.

        Raises:
            CredentialRefusedError: The server answered, and said no.
        """

    def prove(self, node: Node, slot: str, password: Password) -> Verification:
        """Log in to one node and prove identity and rights; see `Issuer.verify`."""

    def position(self, connection: Connection) -> str:
        """Return how far a replica must be to know everything changed until now."""

    def has_reached(self, connection: Connection, position: str) -> bool:
        """Whether the replica knows every change up to the position."""

    def sessions(self, connection: Connection, users: Collection[str]) -> list[ShownSession]:
        """Return the sessions of the users on one node, as the rotator sees them."""

    def plant(self, node: Node, slot: str, password: Password) -> AbstractContextManager[object]:
        """Hold a session of a slot open on a node; give the id it is to be shown with.

        Raises:
            CredentialRefusedError: The server answered, and said no.
        """

    def end_sessions(self, connection: Connection, slot: str, wait: int) -> Collection[object]:
        """Tell every session of a slot on one node to end, and wait so many ms for each.

        Returns what tells those that were there from all that ever were.
        """

    def survey(self, preflight: Preflight[Connection]) -> Survey:
        """Return what a preflight run asks."""

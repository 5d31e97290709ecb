"""What a system must be able to do whose users have several keys: a few verbs, all repeatable.

Rules of this module:
  1. A server decides nothing about rotations; it shows what is there, and does what it is told.
  2. What is written, is written only where nobody else changed it since the last look.
  3. What the library raises leaves a verb as one of our errors.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, Self

from msgspec import Struct

from rotation.issuers._keys.book import Book, Key
from rotation.kit.credentials.rotator import Login
from rotation.kit.net.node import Node
from rotation.model.plugin import Finding


class KeySettings(Protocol):
    """What the policies of all systems with several keys say."""

    @property
    def servers(self) -> Sequence[Node]:
        """Every server; changes begin with the first."""

    @property
    def user(self) -> str:
        """Who has the keys."""

    @property
    def admin(self) -> str:
        """Secret that holds the rotator's username and password."""

    @property
    def admin_version(self) -> str:
        """Full name of the version that holds the rotator's login."""


class View(Struct, frozen=True):
    """What one server shows."""

    #: The newest token at every place where one stands; 0 where none does.
    tokens: tuple[int, ...]
    #: What is remembered of keys, by handle.
    keys: Mapping[str, Key]
    #: Hashes that the user may log in with, ours or not.
    live: frozenset[str]
    #: What else the user may do, in any spelling that compares.
    rights: str

    @property
    def newest(self) -> int:
        """The newest token the server has seen."""
        return max(self.tokens)

    def book(self, token: int) -> Book:
        """Return what a decision is made from."""
        return Book(self.keys, self.live, set(self.tokens) == {token})


class Server(Protocol):
    """The rotator's login to one server; a context manager."""

    @property
    def node(self) -> Node:
        """Which it is."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...

    def refuse_other_kinds(self) -> None:
        """Return when the server is one that the issuer knows, else raise `PermanentError`."""

    def look(self) -> View:
        """Return what is there now.

        Raises:
            PermanentError: The user cannot be rotated: it is missing, or needs no key.
        """

    def write(self, wanted: Book, token: int) -> None:
        """Take a step towards ``wanted`` that leaves the token, as far as nobody was faster."""

    def save(self) -> None:
        """Make what was written outlive a restart."""

    def session(self) -> str:
        """Name this login, so that it tells what began before it from what begins later."""

    def end_sessions(self, last: str) -> int:
        """End the user's sessions that began before the one named; return how many."""

    def checks(self) -> Iterator[Finding]:
        """Yield what is right and wrong with it that only this system has; nothing is changed."""


class Target(Protocol):
    """A system whose users have several keys."""

    def open(self, node: Node, login: Login) -> Server:
        """Log in as the rotator.

        Raises:
            CredentialRefusedError: The server answered, and said no.
        """

    def prove(self, node: Node, login: Login) -> int:
        """Log in as a consumer, and ask what it may ask; return how much that was.

        Raises:
            CredentialRefusedError: The server answered, and said no.
        """

    def to_note(self, handle: str) -> str:
        """Return what a person does where a server does not know which key a handle is."""

    def to_remove(self) -> str:
        """Return what a person does to take away a key that nobody needs."""

    def to_compare(self) -> str:
        """Return what a person does to see what the user may do on a server."""

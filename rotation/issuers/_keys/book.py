"""Decide what a change makes of a user's keys on one server; no I/O.

Rules of this module:
  1. A decision is asked for again until it changes nothing: every half of a change is a beginning.
  2. A book knows a password as long as the user may log in with it.  So it forgets one only when
     the server is fenced by this very lease: what an older one still sends comes too late.
  3. What is revoked is never restored, and a hash that we did not add is never removed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from rotation.issuers._keys.handle import SHOWN, by_hash, hash_in
from rotation.model.errors import PermanentError


@dataclass(frozen=True)
class Key:
    """One password of the user."""

    handle: str
    #: ``live``, ``suspended`` or ``revoked``.
    state: str
    version: int
    #: SHA-256 of the password; only its beginning once it is revoked and gone.
    hash: str = ""
    #: Sessions up to this one may use it: the server's run and a client id.
    sessions: str = ""


@dataclass(frozen=True)
class Book:
    """What one server remembers."""

    keys: Mapping[str, Key]
    #: Hashes that the user may log in with, ours or not.
    live: frozenset[str]
    #: No older lease can change the server any more.
    is_fenced: bool = False

    @property
    def strangers(self) -> frozenset[str]:
        """Hashes that no key has."""
        return self.live - {key.hash for key in self.keys.values()}

    def may_forget(self, key: Key) -> bool:
        """Whether nobody can log in with its password, nor soon."""
        return self.is_fenced and key.hash not in self.live

    def find(self, handle: str) -> Key | None:
        """Return a key by its handle.

        A password that somebody else set, or gave back, is found by the beginning of its hash.
        """
        known = self.keys.get(handle)
        name = by_hash(known.hash) if known else handle
        found = [digest for digest in self.strangers if name == by_hash(digest)]
        return replace(known or Key(handle, "live", 0), hash=found[0]) if found else known

    def put(self, key: Key) -> Self:
        """Return the book with a key in its new state."""
        live = self.live | {key.hash} if key.state == "live" else self.live - {key.hash}
        return replace(self, keys={**self.keys, key.handle: key}, live=live)


Decision = Callable[[Book], Book]


def mint(key: Key, current: Key | None) -> Decision:
    """Let the user log in with ``key``, too; forget what is neither it nor ``current``."""

    def decide(book: Book) -> Book:
        known = book.keys.get(key.handle)
        if known and known.hash != key.hash and not book.may_forget(known):
            return book.put(replace(known, state="revoked"))  # an earlier attempt's
        if current and current.hash in book.strangers:
            book = book.put(current)
        kept = {current.handle if current else "", key.handle}
        for other in [other for other in book.keys.values() if other.handle not in kept]:
            if other.state == "revoked" and book.may_forget(other):
                keys = {name: one for name, one in book.keys.items() if one != other}
                book = replace(book, keys=keys)
            elif current or other.state == "revoked":
                book = book.put(replace(other, state="revoked"))
        return book.put(key)

    return decide


def suspend(handle: str, remedy: str) -> Decision:
    """Refuse logins with a password, and remember it; for ``remedy`` and errors see `revoke`."""

    def decide(book: Book) -> Book:
        key = book.find(handle)
        if key is None:
            _refuse_guessing(book, handle, remedy)
            return book
        if key.state == "revoked":
            return book
        if key.state == "suspended" and key.hash not in book.live:
            return book
        return book.put(replace(key, state="suspended", sessions=""))

    return decide


def restore(handle: str) -> Decision:
    """Let the user log in with a suspended password again."""

    def decide(book: Book) -> Book:
        key = book.find(handle)
        if key is None or key.state == "revoked":
            why = "revoked: its password is gone" if key else "not known to the server"
            raise PermanentError(
                f"{handle} is {why}",
                remedy="rotate again: a new credential is the only way back",
                reason="password-unknown",
            )
        return book.put(replace(key, state="live", sessions=""))

    return decide


def revoke(handle: str, remedy: str) -> Decision:
    """Refuse logins with a password for ever; ``remedy`` says what tells a server which it is.

    Raises:
        PermanentError: A password is there that may be it, and nothing tells.
    """

    def decide(book: Book) -> Book:
        key = book.find(handle)
        if key is None:
            _refuse_guessing(book, handle, remedy)
            return book.put(Key(handle, "revoked", 0, hash_in(handle)))
        return book.put(
            replace(
                key,
                state="revoked",
                hash=key.hash[:SHOWN] if book.may_forget(key) else key.hash,
                sessions="" if key.hash in book.live else key.sessions,
            )
        )

    return decide


def bound(handle: str, newest: str) -> Decision:
    """Remember the newest session that can have used a password, unless one is remembered."""

    def decide(book: Book) -> Book:
        key = book.keys.get(handle)
        if key is None or key.sessions or key.state == "live":
            return book
        return book.put(replace(key, sessions=newest))

    return decide


def _refuse_guessing(book: Book, handle: str, remedy: str) -> None:
    """Return when no password is there that may be the one of an unknown handle."""
    if book.strangers and not hash_in(handle):
        raise PermanentError(
            f"the server does not know which password {handle} is, and it has"
            f" {len(book.strangers)} that rotation did not set",
            remedy=remedy,
            reason="password-unknown",
        )

"""Decide what a change makes of a user, and spell what a server remembers; no I/O.

A server remembers in two ACL users: the application's own, and a record beside it that is off and
may do nothing.  The record's key patterns say which password belongs to which handle.  In both a
*mark* stands among the hashes of passwords: the newest token and random bytes, a hash that no
password has.

Rules of this module:
  1. Whoever changes a user takes away the marks it has read, in the same command.  Where another
     one was faster, there is nothing to take away, and the server refuses the whole command.
  2. The record is written first.  A decision is asked for again until it changes nothing: every
     half of a change is a beginning.
  3. The record knows a password as long as the user may log in with it.  So it forgets one only
     when the user has the mark of this very lease: what an older one still sends comes too late.
  4. What is revoked is never restored, and a hash that we did not add is never removed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any, Final, Self

from rotation.model.errors import PermanentError, StateError

#: Begins every mark.
_OURS: Final = b"rotation".hex()
_MARK: Final = re.compile(rf"{_OURS}[0-9a-f]{{48}}")
_KEY: Final = re.compile(
    r"~([A-Za-z0-9-]+):(live|suspended|revoked):version=([0-9]+)"
    r"(?::sha256=([0-9a-f]{64}))?(?::sessions=([0-9a-f]+-[0-9]+))?"
)
#: Begins a handle that names a password by its hash: that of a password we did not make.
BY_HASH: Final = "h-"
#: Characters of a hash that tell passwords apart; nobody finds a password by them.
SHOWN: Final = 16


@dataclass(frozen=True)
class Key:
    """One password of the user."""

    handle: str
    #: ``live``, ``suspended`` or ``revoked``.
    state: str
    version: int
    #: SHA-256 of the password; empty once it is gone.
    hash: str = ""
    #: Sessions up to this one may use it: the server's run and a client id.
    sessions: str = ""

    def __str__(self) -> str:
        """Spell it as a key pattern."""
        parts = [f"~{self.handle}:{self.state}:version={self.version}"]
        parts += [f"sha256={self.hash}"] if self.hash else []
        parts += [f"sessions={self.sessions}"] if self.sessions else []
        return ":".join(parts)


@dataclass(frozen=True)
class Book:
    """What one server remembers."""

    keys: Mapping[str, Key]
    #: Hashes that the user may log in with, ours or not.
    live: frozenset[str]
    #: Both users have a mark of this lease.
    is_fenced: bool = False

    @property
    def strangers(self) -> frozenset[str]:
        """Hashes that no key has."""
        return self.live - {key.hash for key in self.keys.values()}

    def may_forget(self, key: Key) -> bool:
        """Whether nobody can log in with its password, nor soon."""
        return self.is_fenced and key.hash not in self.live

    def find(self, handle: str) -> Key | None:
        """Return a key by its handle; a password that somebody else set, by its hash."""
        if handle in self.keys:
            return self.keys[handle]
        found = [digest for digest in self.strangers if handle == by_hash(digest)]
        return Key(handle, "live", 0, found[0]) if found else None

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


def suspend(handle: str) -> Decision:
    """Refuse logins with a password, and remember it; what the server does not know is refused."""

    def decide(book: Book) -> Book:
        key = book.find(handle)
        if key is None or key.state == "revoked":
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


def revoke(handle: str) -> Decision:
    """Refuse logins with a password for ever.

    Raises:
        PermanentError: A password is there that may be it, and nothing tells.
    """

    def decide(book: Book) -> Book:
        key = book.find(handle)
        if key is None:
            if not handle.startswith(BY_HASH) and book.strangers:
                raise PermanentError(
                    f"the server does not know which password {handle} is, and it has"
                    f" {len(book.strangers)} that rotation did not set",
                    remedy="write down which one it is, with the SHA-256 of its password:"
                    f" ACL SETUSER rotation:USER ~{handle}:live:version=0:sha256=SHA256",
                    reason="password-unknown",
                )
            return book.put(Key(handle, "revoked", 0))
        return book.put(
            replace(
                key,
                state="revoked",
                hash="" if book.may_forget(key) else key.hash,
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


def by_hash(digest: str) -> str:
    """Return the handle of a password that we did not make."""
    return f"{BY_HASH}{digest[:SHOWN]}"


class User:
    """An ACL user as ``ACL GETUSER`` shows it."""

    def __init__(self, answer: list[Any] | None) -> None:
        self.exists = answer is not None
        fields = dict(zip(answer[::2], answer[1::2], strict=True)) if answer else {}
        hashes = fields.pop("passwords", [])
        self.flags = frozenset(fields.get("flags", ()))
        self.marks = frozenset(digest for digest in hashes if _MARK.fullmatch(digest))
        self.live = frozenset(hashes) - self.marks
        self.patterns: str = fields.get("keys", "")
        #: What it may do, without passwords.
        self.rules = repr(sorted(fields.items(), key=str))

    @property
    def token(self) -> int:
        """The newest token that a mark holds; 0 when none does."""
        return max((int(mark[len(_OURS) :][:16], 16) for mark in self.marks), default=0)

    @property
    def keys(self) -> Mapping[str, Key]:
        """What the patterns of a record say."""
        keys = [_key(pattern) for pattern in self.patterns.split()]
        return {key.handle: key for key in keys}


def _key(pattern: str) -> Key:
    found = _KEY.fullmatch(pattern)
    if found is None:
        raise StateError(
            "the record in the ACL user rotation:USER holds something that rotation did not write",
            remedy="find out who did; then ACL DELUSER it, and rotate: that writes it again",
            reason="fence-unreadable",
        )
    handle, state, version, digest, sessions = found.groups(default="")
    return Key(handle, state, int(version), digest, sessions)


def new_mark(token: int) -> str:
    """Return a mark that never was there."""
    return f"{_OURS}{token:016x}{token_hex(16)}"


def rules_for_record(record: User, book: Book, token: int) -> tuple[str, ...]:
    """Return the rules of the command that writes the record."""
    patterns = sorted(str(key) for key in book.keys.values())
    return (*_without(record.marks), "reset", "off", f"#{new_mark(token)}", *patterns)


def rules_for_user(user: User, book: Book, token: int) -> tuple[str, ...]:
    """Return the rules of the command that changes what the user may log in with."""
    gone = user.marks | (user.live - book.live)
    added = (f"#{digest}" for digest in sorted(book.live - user.live))
    return (*_without(gone), f"#{new_mark(token)}", *added)


def _without(hashes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"!{digest}" for digest in sorted(hashes))

"""Spell what a server remembers as two ACL users, and read it again; no I/O.

A server remembers in the application's own user, and in a record beside it that is off and may do
nothing.  The record's key patterns say which password belongs to which handle.  In both a *mark*
stands among the hashes: the newest token and random bytes, which no password has as its hash.

Rules of this module:
  1. Whoever changes a user takes away the marks it has read, in the same command.  Where another
     one was faster, there is nothing to take away, and the server refuses the whole command.
  2. A record that does not read back as we write it is not guessed at.
"""

import re
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any, Final

from rotation.issuers._keys.book import Book, Key
from rotation.model.errors import StateError

#: Begins every mark.
_OURS: Final = b"rotation".hex()
_MARK: Final = re.compile(rf"{_OURS}[0-9a-f]{{48}}")
_KEY: Final = re.compile(
    r"~([A-Za-z0-9-]+):(live|suspended|revoked):version=([0-9]+)"
    r"(?::sha256=([0-9a-f]{64}|[0-9a-f]{16}))?(?::sessions=([0-9a-f]+-[0-9]+))?"
)


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


def spell(key: Key) -> str:
    """Return a key as a key pattern."""
    parts = [f"~{key.handle}:{key.state}:version={key.version}"]
    parts += [f"sha256={key.hash}"] if key.hash else []
    parts += [f"sessions={key.sessions}"] if key.sessions else []
    return ":".join(parts)


def new_mark(token: int) -> str:
    """Return a mark that never was there."""
    return f"{_OURS}{token:016x}{token_hex(16)}"


def rules_for_record(record: User, book: Book, token: int) -> tuple[str, ...]:
    """Return the rules of the command that writes the record."""
    patterns = sorted(spell(key) for key in book.keys.values())
    return (*_without(record.marks), "reset", "off", f"#{new_mark(token)}", *patterns)


def rules_for_user(user: User, book: Book, token: int) -> tuple[str, ...]:
    """Return the rules of the command that changes what the user may log in with."""
    gone = user.marks | (user.live - book.live)
    added = (f"#{digest}" for digest in sorted(book.live - user.live))
    return (*_without(gone), f"#{new_mark(token)}", *added)


def _without(hashes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"!{digest}" for digest in sorted(hashes))

"""Name keys: a handle follows from the rotation that makes a key, or from the hash of another's."""

import re
from hashlib import blake2b, sha256
from typing import Final

#: A handle as `next_handle` makes it.
MADE: Final = re.compile(r"k-[0-9a-f]{16}(-2)?")
#: Begins a handle that names a password by its hash: that of a password we did not make.
BY_HASH: Final = "h-"
#: Characters of a hash that tell passwords apart; nobody finds a password by them.
SHOWN: Final = 16


def next_handle(current: str | None, rotation_id: str) -> str:
    """Return the handle of the key that a rotation makes: another one than ``current``."""
    made = f"k-{blake2b(rotation_id.encode(), digest_size=8).hexdigest()}"
    return f"{made}-2" if current == made else made


def digest_of(password: str) -> str:
    """Return the hash by which a password is known."""
    return sha256(password.encode()).hexdigest()


def by_hash(digest: str) -> str:
    """Return the handle of a password that we did not make."""
    return f"{BY_HASH}{digest[:SHOWN]}"


def hash_in(handle: str) -> str:
    """Return the beginning of the hash in such a handle; empty: it names no hash."""
    return handle.removeprefix(BY_HASH) if handle.startswith(BY_HASH) else ""

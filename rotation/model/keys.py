"""The keys of a deployment: what proves that a record or a receipt was written by its function.

One secret of 32 bytes is a key; what it is used for is derived from it, a key for each use.

Rules of this module:
  1. ``repr`` and ``str`` of a key say its id and nothing else.
  2. The first key signs; every key verifies, so that the next one can take over with overlap.
  3. A key that is retired leaves its public part: receipts outlive keys.
"""

import hmac
from datetime import datetime
from typing import Any

from msgspec import Struct

#: Bytes of a key's secret.
SECRET_BYTES = 32

#: What the parts of a key are derived for; another text is another key.
_RECORDS = b"rotation: records in flight/1"
_RECEIPTS = b"rotation: receipts/1"
_IDS = b"rotation: ids/1"


class Key(Struct, frozen=True):
    """One key that only the function can read."""

    id: str
    created: datetime
    secret: bytes

    @property
    def mac_key(self) -> bytes:
        """The key of HMAC-SHA-256 over records in flight."""
        return hmac.digest(self.secret, _RECORDS, "sha256")

    @property
    def signing_seed(self) -> bytes:
        """The private key of Ed25519 over receipts."""
        return hmac.digest(self.secret, _RECEIPTS, "sha256")

    @property
    def tag(self) -> str:
        """What tells two keys of one day apart; it gives nothing of the secret away."""
        return hmac.digest(self.secret, _IDS, "sha256").hex()[:8]

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]


class PublicKey(Struct, frozen=True):
    """What anybody may know of a key: receipts are verified with it."""

    id: str
    created: datetime
    #: Ed25519, 32 bytes.
    public: bytes


class KeyRing(Struct, frozen=True):
    """The keys of one deployment."""

    #: The first signs; at least one.
    keys: tuple[Key, ...]
    #: Of keys that sign and verify nothing any more.
    retired: tuple[PublicKey, ...] = ()

    @property
    def signing(self) -> Key:
        """The key that signs."""
        return self.keys[0]

    def find(self, key_id: str) -> Key | None:
        """Return a key by its id."""
        return next((key for key in self.keys if key.id == key_id), None)

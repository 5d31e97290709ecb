"""Keys that tests sign with."""

from datetime import UTC, datetime

from rotation.model.keys import SECRET_BYTES, Key, KeyRing


def make_key(name: str, fill: bytes) -> Key:
    """Return a key whose secret is one byte over and over."""
    return Key(name, datetime(2026, 11, 1, tzinfo=UTC), fill * SECRET_BYTES)


#: Of a deployment that signs.
KEYS = KeyRing((make_key("k-tests", b"t"),))

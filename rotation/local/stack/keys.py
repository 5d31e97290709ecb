"""The keys of an embedded stack: a file in its folder that the function alone reads.

It stays as long as the folder, so that a stack that is started again knows its own records.
"""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from rotation.model.keys import SECRET_BYTES, Key
from rotation.policies.keys import first_ring, new_id, write_keys


def key_file(folder: Path) -> Path:
    """Return the file with the keys of the stack in ``folder``; the first time, it is made."""
    path = folder / "keys.json"
    if not path.exists():
        text = write_keys(first_ring(_new_key(), _new_key()))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(text)
    return path


def _new_key() -> Key:
    now, secret = datetime.now(UTC).replace(microsecond=0), secrets.token_bytes(SECRET_BYTES)
    return Key(new_id(now, secret), now, secret)

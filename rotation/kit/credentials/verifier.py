"""Passwords, and the SCRAM verifiers that stand for them in SQL.

PostgreSQL stores ``SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`` (RFC 5802, RFC 7677) as it
arrives, so a password need never appear in a statement, and so never in a log.

Rules of this module:
  1. A password has 256 random bits: its verifier may be read in a log without harm.
  2. Letters, digits, ``_`` and ``-`` only, no leading ``-``: safe in URLs, shells and ``.pgpass``.
  3. ASCII only is hashed: other text would need SASLprep to match what clients hash.
"""

import base64
import hashlib
import hmac
import secrets

from rotation.model.errors import CandidateRejectedError
from rotation.model.password import Password

#: Iterations of RFC 7677 and of every server that does not say otherwise.
ITERATIONS = 4096
SALT_BYTES = 16
KEY_BYTES = 32


def new_password() -> str:
    """Return 43 random characters."""
    while (password := secrets.token_urlsafe(KEY_BYTES)).startswith("-"):
        pass
    return password


def scram_verifier(password: Password, iterations: int = ITERATIONS) -> str:
    """Return a verifier under a new random salt; never the same twice.

    Raises:
        CandidateRejectedError: The password is empty or not printable ASCII.
    """
    if not _is_printable(password.reveal()):
        raise CandidateRejectedError("the password is empty or not printable ASCII")
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.reveal().encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return _spell(iterations, salt, hashlib.sha256(client_key).digest(), server_key)


def scrambled_verifier() -> str:
    """Return a verifier no password fits: its keys are random, not derived from one."""
    salt, stored_key = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(KEY_BYTES)
    return _spell(ITERATIONS, salt, stored_key, secrets.token_bytes(KEY_BYTES))


def _is_printable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()


def _spell(iterations: int, salt: bytes, stored_key: bytes, server_key: bytes) -> str:
    salt_text, stored, server = (
        base64.b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored}:{server}"

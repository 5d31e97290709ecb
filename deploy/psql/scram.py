"""Turn a password into the verifier that PostgreSQL stores; nothing but Python is needed.

A password in ``ALTER ROLE`` reaches the server's log. Its verifier may: nobody can log in with it.
The password is read from standard input, so that it is in no command line either::

    python3 deploy/psql/scram.py < password-file
"""  # noqa: INP001

import base64
import hashlib
import hmac
import os
import sys

_ROUNDS = 4096


def verifier(password: str, salt: bytes) -> str:
    """Return the SCRAM-SHA-256 verifier of a password in ASCII."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ROUNDS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ROUNDS, *encoded)


if __name__ == "__main__":
    text = sys.stdin.read().rstrip("\n")
    if not text:
        sys.exit("scram.py: give the password on standard input")
    sys.stdout.write(verifier(text, os.urandom(16)) + "\n")

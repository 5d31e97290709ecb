"""Ed25519: sign bytes, and check who signed them.

Rules of this module:
  1. The library is imported when something is signed or checked, never before: a cold start of the
     function signs nothing.
  2. A signature that is not one is one that does not fit: nothing is raised for it.
"""


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the signature of 64 bytes under a private key of 32."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - rule 1
        Ed25519PrivateKey,
    )

    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_of(seed: bytes) -> bytes:
    """Return the public key of 32 bytes that belongs to a private one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - rule 1
        Ed25519PrivateKey,
    )

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def fits(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of a public key has signed a message."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - rule 1
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - rule 1
        Ed25519PublicKey,
    )

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True

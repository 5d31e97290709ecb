"""Signs OpenID tokens as Google would, with a key of this process, and publishes its certificate.

It decides nothing about who may have a token.

1. A token looks like Google's: issuer, audience, e-mail address, an hour to live.  What makes it
   worth nothing outside is the key: only who trusts this emulator's certificates believes it.
2. The key is made when it is first needed and is never written anywhere.
3. Tokens live by the machine's clock, not by one that a test moves: so do those who check them.
4. A token is used again while it has ten minutes to live, as Pub/Sub does.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

#: Who Google's tokens are from.
ISSUER: Final = "https://accounts.google.com"
_LIFE: Final = 3600
_LEAST_LEFT: Final = 600
_KEY_ID: Final = "embedded-1"
_EXPONENT: Final = 65537
_BITS: Final = 2048


class TokenSigner:
    """One key, its certificate, and the tokens signed with it."""

    def __init__(self) -> None:
        self._key: rsa.RSAPrivateKey | None = None
        self._certificate = ""
        self._tokens: dict[tuple[str, str], tuple[float, str]] = {}

    def token(self, account: str, audience: str) -> str:
        """Return a token that says: ``account``, to ``audience``."""
        now = time.time()
        ends, token = self._tokens.get((account, audience), (0.0, ""))
        if ends - now < _LEAST_LEFT:
            ends, token = now + _LIFE, self.sign(account, audience, issued=now)
            self._tokens[account, audience] = ends, token
        return token

    def sign(
        self, account: str, audience: str, *, issued: float | None = None, **claims: object
    ) -> str:
        """Return a new token; ``claims`` add to what it says, or replace it."""
        begins = int(time.time() if issued is None else issued)
        body = {
            "iss": ISSUER,
            "aud": audience,
            "azp": account,
            "sub": account,
            "email": account,
            "email_verified": True,
            "iat": begins,
            "exp": begins + _LIFE,
            **claims,
        }
        signer = crypt.RSASigner(self._private_key(), key_id=_KEY_ID)  # type: ignore[no-untyped-call]
        return bytes(jwt.encode(signer, body)).decode()  # type: ignore[no-untyped-call]

    def certificates(self) -> dict[str, str]:
        """Return the certificates by key id, as ``www.googleapis.com/oauth2/v1/certs`` does."""
        self._private_key()
        return {_KEY_ID: self._certificate}

    def _private_key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self._key = rsa.generate_private_key(_EXPONENT, _BITS)
            self._certificate = _self_signed(self._key)
        return self._key


def _self_signed(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "embedded.invalid")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

"""A generated key: no system outside knows it, only those who read the secret.

One version holds one key under an id of its own.  Signers use the version in force; readers try it
and the one before, by key id, as long as both are enabled: the aliases ``current`` and ``previous``
name them.  So the write of the secret is all there is to fence, and a key dies with its version.

Rules of this module:
  1. The value is random, of the length that its algorithm wants, and in no report and no error.
  2. Nothing outside is touched: minting and revoking owe nothing, so a repeat has no effect.
  3. A key id follows from the rotation, so a worker that takes over knows it.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from secrets import token_bytes
from typing import ClassVar, Final, Literal

from rotation.issuers._keys.handle import next_handle
from rotation.model.errors import RotationError
from rotation.model.payload import ROTATION_ID, Payload, PayloadError
from rotation.model.permission import FailureMode, NotNeeded
from rotation.model.plugin import (
    Capabilities,
    Fence,
    Finding,
    IssuerSpec,
    MadeBy,
    Minted,
    Severity,
    Verification,
)
from rotation.ports.issuer import IssuerEnvironment, MintRequest

#: Keys of the payload; whatever else is in it is kept.
KEY, KEY_ID, ALGORITHM = "key", "key_id", "algorithm"
#: Bytes of a key: as many as the hash yields (RFC 2104, section 3).
_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,63}")


@dataclass(frozen=True, kw_only=True)
class ValueSettings:
    """The ``issuer`` object of a policy, without ``kind``."""

    #: What the key is for, as JSON Web Algorithms name it; it decides the key's length.
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"


class Value:
    """The issuer of a generated key; see `rotation.ports.issuer.Issuer` for the contract."""

    spec: ClassVar[IssuerSpec] = IssuerSpec(
        name="value",
        title="A generated key for HMAC, with overlap",
        does="makes a random key, which nobody but the readers of the secret knows",
        settings=ValueSettings,
        capabilities=Capabilities(
            overlap=True, fence=Fence.SECRET, made_by=MadeBy.OURS, suspends=False, sees_use=False
        ),
        permissions_not_needed=(
            NotNeeded("any permission of its own", "the key exists in the secret and nowhere else"),
        ),
        network=("nothing",),
        failure_modes=(
            FailureMode(
                "two workers run at once",
                "each makes a key; the one whose write of the secret is refused disables its own",
            ),
            FailureMode(
                "a reader knows only the version before",
                "it refuses what is signed with the new key: hand readers the new version first,"
                " in a stage of their own, and signers after them",
            ),
            FailureMode(
                "something signed with the previous key is still under way when it is retired",
                "it is refused; soak must be longer than the longest life of a signature",
            ),
        ),
        notes=(
            'The payload is one JSON object: `{"key_id": "k-...", "key": "BASE64URL", "algorithm":'
            ' "HS256", "rotation_id": "..."}`; other keys are kept. Readers take `current` and'
            " `previous` and choose by `key_id`. Nobody can see who still uses the previous key:"
            " let a `consumers` gate hold the rollout until all report the new version."
        ),
    )

    def __init__(
        self,
        settings: ValueSettings,
        environment: IssuerEnvironment,  # noqa: ARG002 - nothing outside is needed
    ) -> None:
        self._algorithm = settings.algorithm

    def connect(self) -> None:
        """Open what is kept open, which is nothing."""

    def close(self) -> None:
        """Close what is open, which is nothing."""

    def identify(self, payload: Payload) -> str:
        """Return the key's id."""
        key_id = payload.fields().get(KEY_ID)
        if not isinstance(key_id, str) or not _ID.fullmatch(key_id):
            raise _unreadable(f"{KEY_ID} is not a text of 1 to 63 letters, digits and . _ -")
        return key_id

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        """Return the id of the key that this rotation makes."""
        return next_handle(self.identify(current) if current else None, rotation_id)

    def propose(self, handle: str, rotation_id: str, current: Payload | None) -> Payload:
        """Make a key."""
        kept = current.fields() if current else {}
        key = base64.urlsafe_b64encode(token_bytes(_BYTES[self._algorithm])).decode().rstrip("=")
        mine = {KEY_ID: handle, KEY: key, ALGORITHM: self._algorithm, ROTATION_ID: rotation_id}
        return Payload.of({**kept, **mine})

    def mint(self, request: MintRequest) -> Minted:
        """Return the candidate: there is nobody else to tell."""
        return Minted(request.handle, request.proposed)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:  # noqa: ARG002 - no replicas
        """Sign and check a text, as signers and readers will."""
        key_id, (algorithm, key) = self.identify(payload), _key_of(payload)
        signature = hmac.digest(key, key_id.encode(), _HASHES[algorithm])
        again = hmac.digest(_key_of(payload)[1], key_id.encode(), _HASHES[algorithm])
        if not hmac.compare_digest(signature, again):
            raise _unreadable("the key does not check its own signature")
        return Verification(nodes=(), identity=key_id, probes=1)

    def revoke(self, handle: str, token: int) -> int:  # noqa: ARG002 - the version is all there is
        """Owe nothing: the key dies with its version."""
        return 0

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:  # noqa: ARG002 - no history
        """Check the key in force."""
        if current is None:
            return (Finding("key", Severity.UNTESTED, "not tested: no key is in force yet"),)
        try:
            algorithm = _key_of(current)[0]
            key_id = self.verify(current).identity
        except RotationError as error:
            return (Finding("key", Severity.ERROR, str(error.args[0]), error.remedy),)
        if algorithm != self._algorithm:
            message = f"the key in force is for {algorithm}, the policy says {self._algorithm}"
            remedy = "rotate, once all readers can do both"
            return (Finding("key", Severity.WARNING, message, remedy),)
        return (Finding("key", Severity.OK, f"{key_id} signs and checks with {algorithm}"),)


def _key_of(payload: Payload) -> tuple[str, bytes]:
    """Return algorithm and key.

    Raises:
        PayloadError: It is not a key of this issuer's, or a weaker one than its algorithm wants.
    """
    fields = payload.fields()
    algorithm, text = fields.get(ALGORITHM), fields.get(KEY)
    if algorithm not in _BYTES:
        raise _unreadable(f"{ALGORITHM} is none of {', '.join(_BYTES)}")
    key = _decoded(text) if isinstance(text, str) else None
    if key is None:
        raise _unreadable(f"{KEY} is not valid base64url")
    if len(key) < _BYTES[algorithm]:
        raise _unreadable(f"{KEY} is shorter than the {_BYTES[algorithm]} bytes of {algorithm}")
    return algorithm, key


def _decoded(text: str) -> bytes | None:
    if not _BASE64URL.fullmatch(text):
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def _unreadable(what: str) -> PayloadError:
    return PayloadError(
        f"the payload is not a key of this issuer: {what}",
        remedy="add a version that is, and point the alias current to it; then unblock",
    )


ISSUER = Value

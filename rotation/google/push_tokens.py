"""Checks the OpenID token by which Pub/Sub proves that a push is its own.

What a token must say is decided by `rotation.machine.push_claims`; here its signature is checked.

1. A token is checked before anything else, and its claims before its signature: a request without
   one, or with somebody else's, causes no call at all, not even for certificates.
2. Google's certificates are kept for an hour at most; a key that is not among them has them fetched
   again, at most once a minute.  Where they cannot be had, a delivery is neither accepted nor
   refused: it comes again.
3. A Cloud Run service that lets only known callers in checks the signature itself and hands the
   token on without it.  Only where the deployment says that this is so does such a token count;
   then Cloud Run's check of callers is what proves it.  There, a token whose signature is still on
   shows that the check is off: the signature is checked here, and somebody should know.
4. google.auth is imported by the first check.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from rotation.kit.net.exchange import Limits, NoReplyError, Request, send
from rotation.kit.net.location import Location
from rotation.machine.push_claims import Expected, claim_fault
from rotation.model.errors import CallerError, TemporaryError

#: Certificates of Google's OpenID tokens, by key id.
GOOGLE: Final = "https://www.googleapis.com/oauth2/v1/certs"

#: What Cloud Run writes in place of a signature it has checked.
REMOVED: Final = "SIGNATURE_REMOVED_BY_GOOGLE"

_OLDEST: Final = 3600.0
_AGAIN: Final = 60.0
#: Seconds until they are asked for again when they could not be had.
_SOON: Final = 5.0
_LIMITS: Final = Limits(total=5.0, largest=65_536)
_LONGEST: Final = 8_192
_OK: Final = 200
_UNAUTHENTICATED: Final = 401

_CHECK_IS_OFF: Final = (
    "Cloud Run passes signatures of tokens on, so it does not check who calls;"
    " take allUsers and allAuthenticatedUsers out of the invokers of the function"
)


class PushTokens:
    """Knows the push's tokens.  Safe to use from several threads."""

    def __init__(
        self,
        expected: Expected,
        certificates: str = GOOGLE,
        *,
        signature_removed: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up; nothing is fetched before the first check.

        Args:
            expected: What the tokens say.
            certificates: URL of the certificates by key id.
            signature_removed: Whether Cloud Run checks signatures, and removes them.
            clock: Seconds since 1970, for the life of tokens.
        """
        self._expected = expected
        self._signature_removed = signature_removed
        self._clock = clock
        self._certificates = _Certificates(certificates)
        self._has_warned = False

    def check(self, authorization: str) -> str:
        """Check a header, see `rotation.ports.callers`."""
        token = _bearer(authorization)
        header, claims = _unverified(token)
        fault = claim_fault(claims, self._expected, self._clock())
        if fault is not None:
            raise CallerError(fault.message, status=fault.status)
        if token.endswith(f".{REMOVED}"):
            if not self._signature_removed:
                raise CallerError("its token has no signature", status=_UNAUTHENTICATED)
            return ""
        self._verify(token, header)
        return self._warning()

    def _verify(self, token: str, header: Mapping[str, object]) -> None:
        from google.auth import exceptions, jwt  # noqa: PLC0415 - rule 4

        key_id = header.get("kid")
        known = self._certificates.get(key_id if isinstance(key_id, str) else "")
        try:
            jwt.decode(  # type: ignore[no-untyped-call]
                token, certs=known, audience=self._expected.audience, clock_skew_in_seconds=60
            )
        except (ValueError, exceptions.GoogleAuthError):
            raise CallerError(
                "the signature of its token is not Google's", status=_UNAUTHENTICATED
            ) from None

    def _warning(self) -> str:
        if not self._signature_removed or self._has_warned:
            return ""
        self._has_warned = True
        return _CHECK_IS_OFF


class _Certificates:
    """The certificates, fetched when they are needed and old, or do not have a key."""

    def __init__(self, url: str) -> None:
        self._location = Location.parse(url, "the URL of the certificates of push tokens")
        self._lock = threading.Lock()
        self._known: Mapping[str, str] = {}
        self._fetched_at = self._asked_at = -_OLDEST

    def get(self, key_id: str) -> Mapping[str, str]:
        """Return the certificates by key id; that of ``key_id`` may not be among them.

        Raises:
            TemporaryError: They cannot be had.
        """
        with self._lock:
            now = time.monotonic()
            is_old = now - self._fetched_at >= _OLDEST
            patience = _SOON if is_old else _AGAIN
            if (is_old or key_id not in self._known) and now - self._asked_at >= patience:
                # Counted before the answer: forged tokens cause no more calls while there is none.
                self._asked_at = now
                self._known, self._fetched_at = self._fetch(), time.monotonic()
            elif is_old:
                raise self._missing()
            return self._known

    def _fetch(self) -> Mapping[str, str]:
        try:
            reply = send(Request(self._location), _LIMITS)
            found = json.loads(reply.body) if reply.status == _OK else None
        except (NoReplyError, ValueError):
            found = None
        if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
            raise self._missing()
        return found

    def _missing(self) -> TemporaryError:
        return TemporaryError(
            f"the certificates of push tokens cannot be had from {self._location.server}",
            remedy="let the function reach that host",
            reason="certificates-unreachable",
        )


class AnyCaller:
    """Believes every sender: for an embedded stack on a Pub/Sub that signs nothing."""

    def check(self, authorization: str) -> str:  # noqa: ARG002 - the port
        """Let it in."""
        return ""


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or len(token) > _LONGEST:
        raise CallerError("it carries no token", status=_UNAUTHENTICATED)
    return token.strip()


def _unverified(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return header and claims of a token as they are, believed by nobody yet."""
    from google.auth import exceptions, jwt  # noqa: PLC0415 - rule 4

    signed, _, signature = token.rpartition(".")
    readable = f"{signed}." if signature == REMOVED else token
    try:
        header = jwt.decode_header(readable)  # type: ignore[no-untyped-call]
        claims = jwt.decode(readable, verify=False)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, OverflowError, RecursionError, exceptions.GoogleAuthError):
        raise CallerError("what it carries is not a token", status=_UNAUTHENTICATED) from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise CallerError("what it carries is not a token", status=_UNAUTHENTICATED)
    return header, claims

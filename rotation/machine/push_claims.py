"""Decide whether what a push token says makes a delivery ours; never look at its signature.

Rules of this module:
  1. All of these must hold: from Google, for our audience, of our push account whose address Google
     has verified, and alive.
  2. A token that says nothing usable, or lived before or after now, is 401; a good one of somebody
     else, or for somebody else, is 403.
  3. Without an audience and an account nobody is believed.
"""

import math
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

#: Who Google's tokens are from; both are in use.
ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
#: Seconds that two clocks may differ.
SKEW: Final = 60.0
#: Longest life of a token, in seconds; Google's live one hour.
LONGEST_LIFE: Final = 86_400.0

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403


class Expected(Struct, frozen=True):
    """What a token of our pushes says."""

    audience: str
    account: str


class ClaimFault(Struct, frozen=True):
    """Why a token does not count; nothing of the token itself is quoted."""

    status: int
    message: str


def claim_fault(claims: Mapping[str, object], expected: Expected, now: float) -> ClaimFault | None:
    """Return what is wrong with the claims of a token; None: they are those of our pushes.

    Args:
        claims: As the token has them, of any shape.
        expected: What ours say.
        now: Seconds since 1970.
    """
    issued, ends = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    if issued is None or ends is None or ends - issued > LONGEST_LIFE:
        return ClaimFault(_UNAUTHENTICATED, "its token has no lifetime that counts")
    if now > ends + SKEW:
        return ClaimFault(_UNAUTHENTICATED, "its token has expired")
    if now < issued - SKEW:
        return ClaimFault(_UNAUTHENTICATED, "its token is from the future")
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in ISSUERS:
        return ClaimFault(_FORBIDDEN, "its token is not from Google")
    if not expected.audience or claims.get("aud") != expected.audience:
        return ClaimFault(_FORBIDDEN, "its token is for another audience")
    if not expected.account or claims.get("email") != expected.account:
        return ClaimFault(_FORBIDDEN, "its token is of another account")
    if claims.get("email_verified") is not True:
        return ClaimFault(_FORBIDDEN, "its token is of an account that Google has not verified")
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None

"""Push tokens as Google's own Pub/Sub and Cloud Run would hand them to the function."""

import base64
import json
import time

from rotation.google.push_tokens import REMOVED


def checked_by_cloud_run(audience: str, account: str, **claims: object) -> str:
    """Return a token whose signature Cloud Run has checked and removed."""
    now = int(time.time())
    body = {
        "iss": "https://accounts.google.com",
        "aud": audience,
        "email": account,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    return f"{_part({'alg': 'RS256', 'kid': 'k', 'typ': 'JWT'})}.{_part(body)}.{REMOVED}"


def _part(body: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()

"""What GitHub is shown: a token, or a GitHub App's installation token.

Rules of this module:
  1. An installation token reaches one repository and only the rights that a pin needs.
  2. It is kept in memory until five minutes before it ends, for all objects of the process;
     one that was refused is forgotten and asked for once more.
  3. cryptography is imported when an App's key signs for the first time.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from rotation.model.errors import AccessDeniedError, PermanentError
from rotation.participants.git.repository import AppKey, Credential, Repository, Token
from rotation.participants.git.web import Web

RIGHTS: Final[Mapping[str, str]] = {
    "contents": "write",
    "pull_requests": "write",
    "checks": "read",
    "statuses": "read",
}
_WORKFLOWS: Final = ".github/workflows/"
#: GitHub takes ten minutes at most; a clock that is a minute fast is none of its business.
_JWT_LIFE, _JWT_BACK = 540, 60
_MARGIN: Final = 300

_Key = tuple[str, int, int, str, bool]


@dataclass
class _Kept:
    token: str
    until: float


_kept: dict[_Key, _Kept] = {}
_lock: Final = threading.Lock()


class Authorization:
    """Returns the header for each request."""

    def __init__(
        self,
        repository: Repository,
        api: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._repository = repository
        self._api = api
        self._now = now
        self._credential: Credential | None = None

    def __call__(self, renew: bool) -> Mapping[str, str]:  # noqa: FBT001 - the shape `Web` asks for
        """Return the header; with ``renew`` the last one was refused."""
        if renew or self._credential is None:
            self._credential = self._repository.credentials()
        match self._credential:
            case None:
                return {}
            case Token(secret=secret):
                return {"Authorization": f"Bearer {secret}"}
            case AppKey() as key:
                return {"Authorization": f"Bearer {self._installation_token(key, renew=renew)}"}
        raise PermanentError(
            "GitHub's API takes no SSH key",
            remedy="write auth.app or auth.token into the policy",
            reason="bad-credential",
        )

    def _installation_token(self, key: AppKey, *, renew: bool) -> str:
        name = self._repository.location.path.rpartition("/")[2]
        workflows = any(path.startswith(_WORKFLOWS) for path in self._repository.paths)
        slot = (self._api, key.app_id, key.installation_id, name, workflows)
        with _lock:
            kept = _kept.get(slot)
            if kept is None or renew or kept.until - _MARGIN < self._now():
                kept = _kept[slot] = self._asked(key, name, workflows=workflows)
            return kept.token

    def _asked(self, key: AppKey, name: str, *, workflows: bool) -> _Kept:
        rights = {**RIGHTS, "workflows": "write"} if workflows else dict(RIGHTS)
        web = Web(
            self._api,
            lambda _renew: {
                "Authorization": f"Bearer {app_jwt(key, int(self._now()))}",
                "Accept": "application/vnd.github+json",
            },
            connect_seconds=self._repository.connect_seconds,
            answer_seconds=self._repository.answer_seconds,
        )
        answer = web.send(
            "POST",
            f"/app/installations/{key.installation_id}/access_tokens",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            body={"repositories": [name], "permissions": rights},
            # A token that was made and never arrived ends by itself.
            changes=False,
        )
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            granted = ", ".join(f"{right} {level}" for right, level in rights.items())
            raise AccessDeniedError(
                f"the GitHub App {key.app_id} may not do in {name} what a pin needs",
                remedy=f"install it on the repository, and grant {granted}",
            )
        ends = datetime.fromisoformat(answer.body["expires_at"])
        return _Kept(answer.body["token"], ends.timestamp())


def app_jwt(key: AppKey, now: int) -> str:
    """Sign the statement "I am this App"."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - rule 3
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    claims = {"iat": now - _JWT_BACK, "exp": now + _JWT_LIFE, "iss": str(key.app_id)}
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    try:
        private_key = load_pem_private_key(key.private_key, password=None)
    except (ValueError, TypeError):
        private_key = None
    if not isinstance(private_key, RSAPrivateKey):
        raise PermanentError(
            f"the private key of the GitHub App {key.app_id} is not an RSA key in PEM",
            remedy="store the .pem file as GitHub hands it out",
            reason="bad-credential",
        )
    signature = private_key.sign(signed.encode(), PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_text(signature)}"


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

"""Reads Google's REST APIs for people who look; one object for each service and identity.

1. Every call has a deadline, and none is sent again: a person waits, and can ask again.  Only one
   whose token is refused is sent once more, with a new one: it was not carried out.
2. A base URL that begins with ``http://`` is an embedded service.  No credentials are sent there;
   who acts as somebody else, or says who it is, does so with that address as the token.
3. What Google answers becomes an error of this product, with the remedy.
"""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from google.auth.exceptions import GoogleAuthError

from rotation.google.token import SECONDS
from rotation.kit import deadline
from rotation.kit.deadline import DeadlineError
from rotation.kit.net.exchange import Limits, NoReplyError, Reply, Request, send
from rotation.kit.net.location import Location
from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from rotation.model.password import Password

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_LONGEST_QUOTE: Final = 300
_JSON: Final = {"Accept": "application/json", "Content-Type": "application/json"}
_SUCCESS: Final = 2
_LARGEST: Final = 32 * 1024 * 1024
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class Rest:
    """One service.  Safe to use from several threads.

    Args:
        base: For example ``https://pubsub.googleapis.com``.
        account: Service account to act as; empty: whoever runs the command.
        identity: Who runs the command; sent to embedded services only.
        timeout: Seconds one call may take.
    """

    def __init__(
        self, base: str, account: str = "", *, identity: str = "", timeout: float = 10.0
    ) -> None:
        self._base = Location.parse(base.rstrip("/"), "the service's address")
        self._account = account
        self._identity = identity
        self._limits = Limits(timeout, _LARGEST)
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        #: How far the service's clock is ahead of this machine's, by its last answer.
        self.ahead: timedelta | None = None

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read one resource, or a page.

        Raises:
            RotationError: By what to do next.
        """
        return self._ask("GET", path, None, query)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call a method of a resource.

        Raises:
            RotationError: By what to do next.
        """
        return self._ask("POST", path, body, {})

    def patch(self, path: str, body: Mapping[str, Any], mask: str) -> dict[str, Any]:
        """Change fields of a resource.

        Raises:
            RotationError: By what to do next.
        """
        return self._ask("PATCH", path, body, {"updateMask": mask})

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str]
    ) -> dict[str, Any]:
        root = self._base.path.rstrip("/")
        location = replace(self._base, path=f"{root}/{path}", query=urlencode(query))
        content = None if body is None else json.dumps(body).encode()
        reply = self._send(Request(location, method, {}, content))
        if reply.status == HTTPStatus.UNAUTHORIZED and self._base.scheme == "https":
            reply = self._send(Request(location, method, {}, content), renew=True)
        self._note_time(reply.headers.get("date", ""))
        document = _document(reply)
        if reply.status // 100 != _SUCCESS:
            raise _refusal(reply.status, document, path, self._base.host)
        return document

    def _send(self, request: Request, *, renew: bool = False) -> Reply:
        """Send a request with the headers of now."""
        try:
            headers = self._headers(request.method, str(request.location), renew=renew)
        except GoogleAuthError:
            raise _no_identity(self._account) from None
        except DeadlineError:
            raise TemporaryError("Google's token server does not answer in time") from None
        try:
            return send(replace(request, headers=headers), self._limits)
        except NoReplyError as error:
            raise TemporaryError(
                f"{self._base.server} does not answer: {error}",
                remedy="check the network, and try again",
            ) from None

    def _headers(self, method: str, url: str, *, renew: bool) -> Mapping[str, str | Password]:
        headers: dict[str, Any] = {}
        if self._base.scheme == "https":
            headers = deadline.run(lambda: self._authorized(method, url, renew=renew), SECONDS)
        elif caller := self._account or self._identity:
            headers["authorization"] = f"Bearer {caller}"
        return {**_JSON, **{name: Password(text) for name, text in headers.items()}}

    def _authorized(self, method: str, url: str, *, renew: bool) -> dict[str, str]:
        with self._lock:
            return self._authorize(method, url, renew=renew)

    def _authorize(self, method: str, url: str, *, renew: bool) -> dict[str, str]:
        """Have Google's library renew the token where it must, and return the headers with it."""
        import google.auth  # noqa: PLC0415 - only where there is an identity
        from google.auth import impersonated_credentials  # noqa: PLC0415
        from google.auth.transport.requests import Request as TokenRequest  # noqa: PLC0415

        if self._credentials is None:
            self._credentials, _project = google.auth.default(scopes=list(_SCOPES))
            if self._account:
                self._credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
                    self._credentials, self._account, list(_SCOPES), lifetime=300
                )
        headers: dict[str, str] = {}
        if renew:
            self._credentials.refresh(TokenRequest())  # type: ignore[no-untyped-call]
        self._credentials.before_request(TokenRequest(), method, url, headers)  # type: ignore[no-untyped-call]
        return headers

    def _note_time(self, date: str) -> None:
        with suppress(ValueError):
            self.ahead = parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC)


def _document(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _no_identity(account: str) -> RotationError:
    if account:
        project = account.partition("@")[2].partition(".")[0]
        return AccessDeniedError(
            f"you may not act as {account}",
            remedy=f"gcloud iam service-accounts add-iam-policy-binding {account}"
            f" --member=user:YOU --role=projects/{project}/roles/rotationDoctorAccount",
        )
    return AccessDeniedError(
        "Google did not accept your credentials",
        remedy="gcloud auth application-default login",
    )


def _refusal(status: int, document: Mapping[str, Any], path: str, host: str) -> RotationError:
    try:
        error = document["error"]
        message, details = str(error["message"]), error.get("details", [])
    except (KeyError, TypeError, AttributeError):
        message, details = f"HTTP {status}", []
    text = f"{path}: {message[:_LONGEST_QUOTE]}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(text)
    if status in {401, 403}:
        reasons = {detail.get("reason") for detail in details if isinstance(detail, dict)}
        if "SERVICE_DISABLED" in reasons:
            return AccessDeniedError(text, remedy=f"gcloud services enable {host}")
        return AccessDeniedError(text, remedy="ask for the role rotationDoctor of this project")
    return TemporaryError(text) if status in _PASSING else PermanentError(text)

"""Reads Google's REST APIs for people who look; one object for each service and identity.

1. Every call has a deadline, and none is sent again: a person waits, and can ask again.
2. A base URL that begins with ``http://`` is an embedded service.  No credentials are sent there;
   who acts as somebody else, or says who it is, does so with that address as the token.
3. What Google answers becomes an error of this product, with the remedy.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials as TokenCredentials

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_LONGEST_QUOTE: Final = 300
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class Rest:
    """One service.  Safe to use from several threads.

    Args:
        base: For example ``https://pubsub.googleapis.com``.
        account: Service account to act as; empty: whoever runs the command.
        identity: Who runs the command, told to embedded services only.
        timeout: Seconds one call may take.
    """

    def __init__(
        self, base: str, account: str = "", *, identity: str = "", timeout: float = 10.0
    ) -> None:
        self._base = base.rstrip("/")
        self._account = account
        self._identity = identity
        self._timeout = timeout
        self._local = threading.local()
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
        try:
            answer = self._session().request(  # type: ignore[no-untyped-call]
                method, f"{self._base}/{path}", json=body, params=query, timeout=self._timeout
            )
        except GoogleAuthError:
            raise _no_identity(self._account) from None
        except OSError as error:  # every error of the library is one
            raise TemporaryError(
                f"{self._base} does not answer: {type(error).__name__}",
                remedy="check the network, and try again",
            ) from None
        self._note_time(answer.headers.get("date", ""))
        if not answer.ok:
            raise _refusal(answer, path, self._base)
        try:
            document = answer.json()
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {}

    def _session(self) -> AuthorizedSession:
        if not hasattr(self._local, "session"):
            session = AuthorizedSession(self._credentials())  # type: ignore[no-untyped-call]
            session.trust_env = not self._is_embedded
            self._local.session = session
        session = self._local.session
        assert isinstance(session, AuthorizedSession)  # noqa: S101 - for the type
        return session

    @property
    def _is_embedded(self) -> bool:
        return self._base.startswith("http://")

    def _credentials(self) -> Credentials:
        if self._is_embedded:
            caller = self._account or self._identity
            if not caller:
                return AnonymousCredentials()  # type: ignore[no-untyped-call]
            return TokenCredentials(caller)  # type: ignore[no-untyped-call]
        import google.auth  # noqa: PLC0415 - only where there is an identity
        from google.auth import impersonated_credentials  # noqa: PLC0415

        own, _project = google.auth.default(scopes=list(_SCOPES))
        if not self._account:
            return own
        return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            own, self._account, list(_SCOPES), lifetime=300
        )

    def _note_time(self, date: str) -> None:
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        self.ahead = told.astimezone(UTC) - datetime.now(UTC)


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


def _refusal(answer: Any, path: str, base: str) -> RotationError:  # noqa: ANN401
    try:
        error = answer.json()["error"]
        message, details = str(error["message"]), error.get("details", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        message, details = f"HTTP {answer.status_code}", []
    said = f"{path}: {message[:_LONGEST_QUOTE]}"
    status = answer.status_code
    if status == 404:  # noqa: PLR2004
        return NotFoundError(said)
    if status in {401, 403}:
        reasons = {each.get("reason") for each in details if isinstance(each, dict)}
        if "SERVICE_DISABLED" in reasons:
            api = base.partition("://")[2]
            return AccessDeniedError(said, remedy=f"gcloud services enable {api}")
        return AccessDeniedError(said, remedy="ask for the role rotationDoctor of this project")
    return TemporaryError(said) if status in _PASSING else PermanentError(said)

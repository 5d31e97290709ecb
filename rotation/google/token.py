"""Tokens of the process's own identity, for logins with ``admin: iam`` and for calls of plugins.

1. A login's token is only as strong as it needs to be: it is sent to the server as a password.
2. google.auth is imported by the first call: most rotations never need it.
3. A token is kept until shortly before it ends; the library knows when.
4. The library is waited for so long and no longer, whatever the token server does.
"""

import threading
from typing import TYPE_CHECKING, Final

from rotation.kit import deadline
from rotation.kit.deadline import DeadlineError
from rotation.model.errors import AccessDeniedError, TemporaryError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

#: Seconds that Google's library may take for a token.
SECONDS: Final = 15.0
#: Login to Cloud SQL, and nothing else.
_LOGIN: Final = "https://www.googleapis.com/auth/sqlservice.login"
#: Google's APIs; what the identity may do there is a matter of its roles.
_APIS: Final = "https://www.googleapis.com/auth/cloud-platform"


class AccessTokens:
    """Hands out tokens; one object for a process.  Safe to use from several threads."""

    def __init__(self, scope: str = _LOGIN) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None

    def __call__(self) -> str:
        """Return a token that is valid for some minutes more.

        Raises:
            AccessDeniedError: The process has no Google credentials.
            TemporaryError: The token server did not answer.
        """
        from google.auth.exceptions import (  # noqa: PLC0415 - rule 2
            DefaultCredentialsError,
            GoogleAuthError,
        )

        try:
            return deadline.run(self._current, SECONDS)
        except DefaultCredentialsError:
            raise AccessDeniedError(
                "no Google credentials were found",
                remedy="run: gcloud auth application-default login",
            ) from None
        except (GoogleAuthError, DeadlineError) as error:
            raise TemporaryError(f"no access token: {type(error).__name__}") from None

    def _current(self) -> str:
        with self._lock:
            return self._renewed()

    def _renewed(self) -> str:
        import google.auth  # noqa: PLC0415 - rule 2
        from google.auth.transport.requests import Request  # noqa: PLC0415

        if self._credentials is None:
            self._credentials, _project = google.auth.default(scopes=[self._scope])
        if not self._credentials.valid:
            self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
        return str(self._credentials.token)


#: The tokens of this process: for database logins, and for Google's APIs.
access_token: Final = AccessTokens()
api_token: Final = AccessTokens(_APIS)

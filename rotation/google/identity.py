"""OpenID tokens of the process's own identity, each for one audience.

1. A token is worth something only at its audience: it is kept for that one, until shortly before
   it ends; the library knows when.
2. google.auth is imported by the first call: most rotations never need it.
3. The library is waited for so long and no longer, whatever the token server does.
"""

import threading
from typing import TYPE_CHECKING, Final

from rotation.google.token import SECONDS
from rotation.kit import deadline
from rotation.kit.deadline import DeadlineError
from rotation.model.errors import AccessDeniedError, TemporaryError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

#: Audiences come from policies; more than these are not kept.
_MOST_KEPT: Final = 100


class IdentityTokens:
    """Hands out tokens; one object for a process.  Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: dict[str, Credentials] = {}

    def __call__(self, audience: str) -> str:
        """Return a token for ``audience``, a URL.

        Raises:
            AccessDeniedError: The process has no identity that can have such tokens.
            TemporaryError: The token server did not answer.
        """
        from google.auth.exceptions import (  # noqa: PLC0415 - rule 2
            DefaultCredentialsError,
            GoogleAuthError,
        )

        try:
            return deadline.run(lambda: self._current(audience), SECONDS)
        except DefaultCredentialsError:
            raise AccessDeniedError(
                "no identity that can have OpenID tokens was found",
                remedy="run as a service account; a person's own login has none",
            ) from None
        except (GoogleAuthError, DeadlineError) as error:
            raise TemporaryError(f"no identity token: {type(error).__name__}") from None

    def _current(self, audience: str) -> str:
        with self._lock:
            return self._renewed(audience)

    def _renewed(self, audience: str) -> str:
        from google.auth.transport.requests import Request  # noqa: PLC0415 - rule 2
        from google.oauth2.id_token import fetch_id_token_credentials  # noqa: PLC0415

        if audience not in self._credentials:
            if len(self._credentials) >= _MOST_KEPT:
                self._credentials.clear()
            self._credentials[audience] = fetch_id_token_credentials(audience, Request())  # type: ignore[no-untyped-call]
        credentials = self._credentials[audience]
        if not credentials.valid:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
        return str(credentials.token)


#: The tokens of this process.
identity_token: Final = IdentityTokens()

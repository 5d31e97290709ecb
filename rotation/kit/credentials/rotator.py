"""The rotator's own login: read when it is needed, kept, and read again when it is refused.

Rules of this module:
  1. A kept login that is refused is read again once: the rotator is rotated, too.
  2. A refusal that leaves here has no other error as its context: frames may hold the password.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from rotation.kit.credentials.credential import USER, password_in
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError

Session = TypeVar("Session")


class Login(Struct, frozen=True):
    """Who logs in."""

    user: str
    password: Password


class RotatorLogin:
    """The rotator's login."""

    def __init__(self, secret: str, read: Callable[[], Login], *, keeps: bool = True) -> None:
        """Keep what ``read`` returns, if at all; ``secret`` is where a person mends it."""
        self._secret = secret
        self._read = read
        self._keeps = keeps
        self._kept: Login | None = None

    def use(self, log_in: Callable[[Login], Session]) -> Session:
        """Log in.

        Raises:
            PermanentError: The login is refused, and not because it was rotated.
        """
        kept = self._kept
        try:
            return log_in(kept or self._fresh())
        except CredentialRefusedError as error:
            refused = str(error)
        if kept is not None and self._fresh() != kept:
            return self.use(log_in)
        self._kept = None
        raise PermanentError(
            refused,
            remedy=f"store the rotator's username and password in {self._secret}",
            reason="admin-login-refused",
        )

    def _fresh(self) -> Login:
        login = self._read()
        self._kept = login if self._keeps else None
        return login


def read_login(name: str, read_payload: Callable[[str], Payload]) -> Login:
    """Return the rotator's login out of the version ``name``.

    Raises:
        PayloadError: User or password is missing.
    """
    fields = read_payload(name).fields()
    user, password = fields.get(USER), password_in(fields)
    if not isinstance(user, str) or password is None:
        raise PayloadError(
            f"{name} lacks username or password",
            remedy="add a version with both, as one JSON object",
        )
    return Login(user, password)

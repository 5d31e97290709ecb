"""The rotator's own login: read when it is needed, kept, and read again when it is refused.

Rules of this module:
  1. A kept login that is refused is read again once: the rotator is rotated, too.
  2. A refusal that leaves here has no other error as its context: frames may hold the password.
"""

from collections.abc import Callable
from typing import Final, TypeVar
from unicodedata import category

from msgspec import Struct

from rotation.kit.credentials.credential import USER, password_in
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError

Session = TypeVar("Session")
#: Kinds of characters in no login that works: control characters, halves of characters.
_NOT_SENT: Final = frozenset({"Cc", "Cs"})


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


def read_login(name: str, payload: Payload) -> Login:
    """Return the rotator's login out of the payload of the version ``name``.

    Raises:
        PayloadError: User or password is missing, or cannot be sent to any server.
    """
    login = _login_in(payload)
    if login is None:
        raise PayloadError(
            f"{name} lacks username or password",
            remedy="add a version with both, as one JSON object",
        )
    if not (_can_be_sent(login.user) and _can_be_sent(login.password.reveal())):
        # No other frame of the error has the user, and none the password but as a `Password`.
        del login
        raise PayloadError(
            f"the username or password in {name} holds a control character or half a character:"
            " nobody can log in with it",
            remedy="add a version with the login that the server knows",
        )
    return login


def _login_in(payload: Payload) -> Login | None:
    fields = payload.fields()
    user, password = fields.get(USER), password_in(fields)
    return Login(user, password) if isinstance(user, str) and password is not None else None


def _can_be_sent(text: str) -> bool:
    """Whether a text has neither control characters nor halves of characters; raises nothing."""
    return not any(category(character) in _NOT_SENT for character in text)

"""What a PostgreSQL credential looks like as a payload: read one, compose the next.

Rules of this module:
  1. Where to connect is kept as consumers have it; user, password and rotation id are replaced.
  2. Foreign keys are kept.  A URL that embeds the login is rewritten with it: otherwise a version
     would carry both credentials, and its consumer the dead one.
  3. A previous password found anywhere else stops the rotation, with the name of the key only.
  4. A function that has a password in a plain variable raises nothing.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from rotation.issuers.postgresql.settings import NAME_BYTES, PostgreSQLSettings
from rotation.issuers.postgresql.verifier import new_password
from rotation.model.password import Password
from rotation.model.payload import ROTATION_ID, Fields, Payload, PayloadError

USER, PASSWORD = "username", "password"
#: In place of a value that repeats the previous password where it cannot be replaced.
_STUCK: Final = object()


def login_of(payload: Payload, settings: PostgreSQLSettings) -> tuple[str, Password]:
    """Return user and password.

    Raises:
        PayloadError: A key is missing, or the user is none of the slots.
    """
    fields = payload.fields()
    user, password = fields.get(USER), password_in(fields)
    if not isinstance(user, str) or password is None:
        raise PayloadError(
            "the payload lacks username or password",
            remedy="add a version with both, as one JSON object",
        )
    if not _can_log_in(password):
        raise PayloadError(
            "the payload's password holds a character that no PostgreSQL password has",
            remedy="add a version with the password that the server knows",
        )
    if user not in settings.slots:
        raise PayloadError(
            f"the payload's user {user[:NAME_BYTES]!r} is none of the slots "
            f"{', '.join(settings.slots)}",
            remedy="correct slots in the policy, or add a version that uses one of them",
        )
    return user, password


def password_in(fields: Fields) -> Password | None:
    """Return the password; None when there is none."""
    value = fields.get(PASSWORD)
    return Password(value) if isinstance(value, str) else None


def compose(
    settings: PostgreSQLSettings, slot: str, rotation_id: str, current: Payload | None
) -> Payload:
    """Return a new candidate for ``slot``."""
    fields: dict[str, Any] = {
        "engine": "postgres",
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        USER: slot,
    }
    fresh = Fields({USER: slot, PASSWORD: new_password(), ROTATION_ID: rotation_id})
    kept = _kept(current.fields() if current else Fields(), fields.keys(), fresh)
    stuck = [key for key, value in kept.items() if value is _STUCK]
    if stuck:
        raise PayloadError(
            f"the payload repeats the password inside its key {stuck[0]!r}",
            remedy="remove that key from the payload, or make it a URL with user and password",
            reason="payload-repeats-password",
        )
    return Payload.of(fields | kept | fresh)


def _kept(previous: Fields, as_it_is: Collection[str], fresh: Fields) -> Fields:
    return Fields(
        (key, value if key in as_it_is else _renewed(value, previous, fresh))
        for key, value in previous.items()
        if key not in fresh
    )


def _renewed(value: Any, previous: Fields, fresh: Fields) -> Any:  # noqa: ANN401
    """Return the value with the next login in place of the previous; raises nothing.

    Its variables hold both passwords.
    """
    old = previous.get(PASSWORD)
    if not (isinstance(old, str) and old and _holds(value, old)):
        return value
    if isinstance(value, str):
        renewed = _renewed_url(value, str(previous.get(USER)), old, fresh)
        if renewed is not None and not _holds(renewed, old):
            return renewed
    return _STUCK


def _renewed_url(url: str, user: str, password: str, fresh: dict[str, str]) -> str | None:
    """Return the URL with the fresh login; None when it is no URL with the old one."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the login
        return None
    login, at, address = parts.netloc.rpartition("@")
    if not (at and parts.scheme and login in _spellings(user, password)):
        return None
    renewed = f"{_quoted(fresh[USER])}:{fresh[PASSWORD]}@{address}"
    return urlunsplit(parts._replace(netloc=renewed))


def _holds(value: Any, password: str) -> bool:  # noqa: ANN401
    spellings = (password, _quoted(password))
    return any(spelling in text for text in _texts(value) for spelling in spellings)


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield every text in a JSON value; a stack of our own, as payloads nest as they like."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            rest += part.values()
        elif isinstance(part, list):
            rest += part


def _spellings(user: str, password: str) -> set[str]:
    return {f"{user}:{password}", f"{_quoted(user)}:{_quoted(password)}"}


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _can_log_in(password: Password) -> bool:
    try:
        return b"\0" not in password.reveal().encode()
    except UnicodeEncodeError:
        return False

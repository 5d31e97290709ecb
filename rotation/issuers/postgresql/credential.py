"""What a PostgreSQL credential looks like as a payload: read one, compose the next.

Rules of this module:
  1. Where to connect is kept as consumers have it; user, password and rotation id are replaced.
  2. Foreign keys are kept.  A URL that embeds the login is rewritten with it: otherwise a version
     would carry both credentials, and its consumer the dead one.
  3. A previous password found anywhere else stops the rotation, with the name of the key only.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from rotation.issuers.postgresql.settings import NAME_BYTES, PostgreSQLSettings
from rotation.issuers.postgresql.verifier import new_password
from rotation.model.payload import ROTATION_ID, Payload, PayloadError

USER, PASSWORD = "username", "password"


def login_of(payload: Payload, settings: PostgreSQLSettings) -> tuple[str, str]:
    """Return user and password.

    Raises:
        PayloadError: A key is missing, or the user is none of the slots.
    """
    fields = payload.fields()
    user, password = fields.get(USER), fields.get(PASSWORD)
    if not (isinstance(user, str) and isinstance(password, str)):
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
    fresh = {USER: slot, PASSWORD: new_password(), ROTATION_ID: rotation_id}
    previous = current.fields() if current else {}
    kept = {
        key: value if key in fields else _renewed(key, value, previous, fresh)
        for key, value in previous.items()
        if key not in fresh
    }
    return Payload.of(fields | kept | fresh)


def _renewed(key: str, value: Any, previous: dict[str, Any], fresh: dict[str, str]) -> Any:  # noqa: ANN401
    old = previous.get(PASSWORD)
    if not (isinstance(old, str) and old and _holds(value, old)):
        return value
    if isinstance(value, str):
        renewed = _renewed_url(value, str(previous.get(USER)), old, fresh)
        if renewed is not None and not _holds(renewed, old):
            return renewed
    raise PayloadError(
        f"the payload repeats the password inside its key {key!r}",
        remedy="remove that key from the payload, or make it a URL with user and password",
        reason="payload-repeats-password",
    )


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


def _can_log_in(password: str) -> bool:
    try:
        return b"\0" not in password.encode()
    except UnicodeEncodeError:
        return False

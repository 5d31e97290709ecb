"""A login as a payload: read one, compose the next.

The policy says how new versions are spelled; the version in force is read in whatever shape it has,
so that a secret can change its shape with a rotation.  How a system's clients spell a login outside
of JSON comes as functions; whether the user may log in is the issuer's to say.

Rules of this module:
  1. Where to connect is kept as consumers have it; user, password and rotation id are replaced.
  2. Foreign keys are kept.  A URL that embeds the login is rewritten with it: otherwise a version
     would carry both credentials, and its consumer the dead one.
  3. A previous password found anywhere else stops the rotation, with the name of the key only.
  4. A function that has a password in a plain variable raises nothing.
  5. Where a payload has no place for a rotation id, the password ends with it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from unicodedata import category
from urllib.parse import quote, urlsplit, urlunsplit

from rotation.kit.credentials.shapes import Finder, replace_login
from rotation.kit.credentials.verifier import new_password
from rotation.model.adoption import ShapeName
from rotation.model.password import Password
from rotation.model.payload import ID_MARK, ROTATION_ID, Fields, Payload, PayloadError

USER, PASSWORD = "username", "password"
#: In place of a value that repeats the previous password where it cannot be replaced.
_STUCK: Final = object()
#: Kinds of characters in no login that works: control characters, halves of characters.
_NOT_SENT: Final = frozenset({"Cc", "Cs"})

#: Spells a new payload that is not JSON for a user and a password; None when that cannot be.
Builder = Callable[[str, str], bytes | None]


@dataclass(frozen=True, kw_only=True)
class PayloadShape:
    """How the payload is spelled: as the applications that read it need it."""

    #: ``json`` unless they cannot read that.  The version in force may still have another shape.
    shape: ShapeName = "json"
    #: Key of the user in a JSON payload.
    username: str = "username"
    #: Key of the password in a JSON payload.
    password: str = "password"  # noqa: S105 - the name of a key
    #: Slot of a version in force that is nothing but a password, from before the adoption.
    bare_user: str = ""


def login_in(payload: Payload, shape: PayloadShape, find: Finder) -> tuple[str, Password]:
    """Return user and password, whoever the user is.

    Raises:
        PayloadError: There is not exactly one login in the payload.
    """
    if not payload.is_object:
        if found := find(payload.reveal()):
            return found.user, found.password
        if shape.bare_user and (bare := bare_password(payload)):
            return shape.bare_user, bare
        payload.fields()  # says what is wrong
    login = _login_in_fields(payload.fields(), shape, find)
    if login is None:
        keys = f"{shape.username} or {shape.password}"
        raise PayloadError(
            f"the payload lacks {keys}", remedy="add a version with both, as one JSON object"
        )
    return login


def _login_in_fields(
    fields: Fields, shape: PayloadShape, find: Finder
) -> tuple[str, Password] | None:
    user, password = fields.get(shape.username), fields.get(shape.password)
    if isinstance(user, str) and isinstance(password, str):
        return user, Password(password)
    urls = [
        found
        for value in fields.values()
        if isinstance(value, str)
        and (found := find(value.encode(errors="replace")))
        and found.shape == "url"
    ]
    if len(urls) != 1 or shape.username in fields or shape.password in fields:
        return None
    return urls[0].user, urls[0].password


def bare_password(payload: Payload) -> Password | None:
    """Return the whole payload as a password; None when it cannot be one."""
    try:
        text = payload.reveal().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return None
    return Password(text) if text and text.isprintable() else None


def password_in(fields: Fields) -> Password | None:
    """Return the password; None when there is none."""
    value = fields.get(PASSWORD)
    return Password(value) if isinstance(value, str) else None


def admin_login(name: str, payload: Payload) -> tuple[str, Password]:
    """Return the rotator's user and password out of the version ``name``.

    Raises:
        PayloadError: One of them is missing, or cannot be sent to any server.
    """
    login = _login_in_fields(payload.fields(), PayloadShape(), lambda _text: None)
    if login is None:
        raise PayloadError(
            f"{name} lacks username or password",
            remedy="add a version with both, as one JSON object",
        )
    if not (_can_be_sent(login[0]) and _can_be_sent(login[1].reveal())):
        # No other frame of the error has the user, and none the password but as a `Password`.
        del login
        raise PayloadError(
            f"the username or password in {name} holds a control character or half a character:"
            " nobody can log in with it",
            remedy="add a version with the login that the server knows",
        )
    return login


def _can_be_sent(text: str) -> bool:
    """Whether a text has neither control characters nor halves of characters; raises nothing."""
    return not any(category(character) in _NOT_SENT for character in text)


def compose_text(
    shape: PayloadShape,
    user: str,
    rotation_id: str,
    current: Payload | None,
    build: Builder,
    find: Finder,
) -> Payload:
    """Return a new candidate that is not JSON: ``current`` with another login, or a new text."""
    data = _text(shape.shape, user, rotation_id, current, build, find)
    if data is None:
        raise PayloadError(
            f"the login in the payload cannot be replaced: no {shape.shape}, or its password comes"
            " twice",
            remedy="add a version that holds the password once, or correct payload in the policy",
            reason="payload-repeats-password",
        )
    return Payload(data)


def _text(
    shape: ShapeName,
    user: str,
    rotation_id: str,
    current: Payload | None,
    build: Builder,
    find: Finder,
) -> bytes | None:
    password = f"{new_password()}{ID_MARK}{rotation_id}"
    found = find(current.reveal()) if current is not None and not current.is_object else None
    if current is not None and found is not None and found.shape == shape:
        return replace_login(current.reveal(), user, password, find)
    return build(user, password)


def compose_object(
    shape: PayloadShape,
    user: str,
    rotation_id: str,
    current: Payload | None,
    place: Mapping[str, Any],
    find: Finder,
) -> Payload:
    """Return a new candidate that is a JSON object.

    Args:
        shape: Names of the keys.
        user: Whose login it is.
        rotation_id: Kept in it.
        current: Its foreign keys are kept, and its spelling of what ``place`` says.
        place: Where to connect, by key.
        find: Finds a login in a text.
    """
    fields: dict[str, Any] = {**place, shape.username: user}
    fresh = Fields({shape.username: user, shape.password: new_password(), ROTATION_ID: rotation_id})
    previous = current.fields() if current and current.is_object else Fields()
    login = _login_in_fields(previous, shape, find)
    kept = _kept(previous, login, fields.keys(), fresh, (user, fresh[shape.password]))
    stuck = [key for key, value in kept.items() if value is _STUCK]
    if stuck:
        raise PayloadError(
            f"the payload repeats the password inside its key {stuck[0]!r}",
            remedy="remove that key from the payload, or make it a URL with user and password",
            reason="payload-repeats-password",
        )
    return Payload.of(fields | kept | fresh)


def _kept(
    previous: Fields,
    login: tuple[str, Password] | None,
    as_it_is: Collection[str],
    fresh: Fields,
    next_login: tuple[str, str],
) -> Fields:
    return Fields(
        (key, value if key in as_it_is else _renewed(value, login, next_login))
        for key, value in previous.items()
        if key not in fresh
    )


def _renewed(
    value: Any,  # noqa: ANN401
    login: tuple[str, Password] | None,
    next_login: tuple[str, str],
) -> Any:  # noqa: ANN401
    """Return the value with the next login in place of the previous; raises nothing.

    Its variables hold both passwords.
    """
    old = login[1].reveal() if login else ""
    if not (login and old and _holds(value, old)):
        return value
    if isinstance(value, str):
        renewed = _renewed_url(value, login[0], old, next_login)
        if renewed is not None and not _holds(renewed, old):
            return renewed
    return _STUCK


def _renewed_url(url: str, user: str, password: str, next_login: tuple[str, str]) -> str | None:
    """Return the URL with the fresh login; None when it is not a URL with the old one."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the login
        return None
    login, at, address = parts.netloc.rpartition("@")
    if not (at and parts.scheme and login in _spellings(user, password)):
        return None
    renewed = f"{_quoted(next_login[0])}:{next_login[1]}@{address}"
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

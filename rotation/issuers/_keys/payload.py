"""A login of the user as a payload: read one, tell which key it is, compose the next.

Rules of this module:
  1. The user of a payload is the policy's, or the payload is refused.
  2. A handle that was copied by hand beside another password does not count.
"""

from typing import Final

from rotation.issuers._keys.book import Key
from rotation.issuers._keys.handle import MADE, SHOWN, by_hash, digest_of
from rotation.issuers._keys.target import KeySettings
from rotation.kit.credentials.credential import PayloadShape, compose_object, login_in
from rotation.kit.credentials.rotator import Login
from rotation.kit.credentials.shapes import Found, find_in_url
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError

#: Keys of the payload: the handle, and the beginning of the password's hash.
KEY_ID, KEY_CHECK = "key_id", "key_check"
_SHAPE: Final = PayloadShape()


def login_of(payload: Payload, name: str) -> Login:
    """Return the login of the user ``name``.

    Raises:
        PayloadError: It is not one.
    """
    user, password = login_in(payload, _SHAPE, _find)
    if user != name:
        raise PayloadError(
            f"the payload is not a login of {name}, but of another user",
            remedy="correct user in the policy, or add a version of this user",
        )
    if not _can_be_sent(password):
        raise PayloadError(
            "the payload's password holds a character that cannot be sent",
            remedy="add a version with the password that the server knows",
        )
    return Login(user, password)


def key_of(payload: Payload, name: str) -> Key:
    """Return the key that a payload of the user ``name`` is."""
    digest = digest_of(login_of(payload, name).password.reveal())
    fields = payload.fields() if payload.is_object else {}
    handle, check = fields.get(KEY_ID), fields.get(KEY_CHECK)
    if check == digest[:SHOWN] and isinstance(handle, str) and MADE.fullmatch(handle):
        return Key(handle, "live", 0, digest)
    return Key(by_hash(digest), "live", 0, digest)


def compose(
    settings: KeySettings, handle: str, rotation_id: str, current: Payload | None
) -> Payload:
    """Return a candidate with a new random password."""
    first = settings.servers[0]
    place = {"host": first.host, "port": first.port}
    fields = compose_object(_SHAPE, settings.user, rotation_id, current, place, _find).fields()
    check = digest_of(fields[_SHAPE.password])[:SHOWN]
    return Payload.of(fields | {KEY_ID: handle, KEY_CHECK: check})


def _can_be_sent(password: Password) -> bool:
    try:
        return bool(password.reveal().encode())
    except UnicodeEncodeError:
        return False


def _find(text: bytes) -> Found | None:
    return find_in_url(text.decode(errors="replace"))

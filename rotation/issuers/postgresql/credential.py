"""A PostgreSQL login as a payload: read one of a slot, compose the next.

How payloads are read and composed is `rotation.kit.credentials`; here is what PostgreSQL adds.

Rules of this module:
  1. The user of a payload is one of the policy's slots, or the payload is refused, and nothing of
     it is quoted: the policy says which key is the user's, and may name any.
  2. A function that has a password in a plain variable raises nothing.
"""

from typing import Any

from rotation.issuers.postgresql import shapes
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.credentials.credential import compose_object, compose_text, login_in
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError


def login_of(payload: Payload, settings: PostgreSQLSettings) -> tuple[str, Password]:
    """Return user and password.

    Raises:
        PayloadError: A key is missing, or the user is none of the slots.
    """
    user, password = login_in(payload, settings.payload, shapes.find)
    if not _can_log_in(password):
        raise PayloadError(
            "the payload's password holds a character that no PostgreSQL password has",
            remedy="add a version with the password that the server knows",
        )
    if user not in settings.slots:
        raise PayloadError(
            f"the payload's user is none of the slots {', '.join(settings.slots)}",
            remedy="correct slots in the policy, or add a version that uses one of them",
        )
    return user, password


def compose(
    settings: PostgreSQLSettings, slot: str, rotation_id: str, current: Payload | None
) -> Payload:
    """Return a new candidate for ``slot``, in the shape the policy asks for."""
    shape = settings.payload
    if shape.shape == "json":
        place = {"engine": "postgres", **_place(settings, current)}
        return compose_object(shape, slot, rotation_id, current, place, shapes.find)

    def build(user: str, password: str) -> bytes | None:
        place = (settings.host, settings.port, settings.database)
        return shapes.build(shape.shape, user, password, *place)

    return compose_text(shape, slot, rotation_id, current, build, shapes.find)


def _place(settings: PostgreSQLSettings, current: Payload | None) -> dict[str, Any]:
    """Return where to connect, as a payload of another shape had it."""
    found = shapes.find(current.reveal()) if current and not current.is_object else None
    return {
        "host": (found and found.host) or settings.host,
        "port": (found and found.port) or settings.port,
        "dbname": (found and found.database) or settings.database,
    }


def _can_log_in(password: Password) -> bool:
    try:
        return b"\0" not in password.reveal().encode()
    except UnicodeEncodeError:
        return False

"""The login that is adopted: found in a payload of any shape, and how new versions will be spelled.

Rules of this module:
  1. Pure; it knows no system: what its clients read comes in a `Clients`.
  2. A payload that can be taken for two logins is not understood.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from rotation.kit.credentials.credential import (
    PASSWORD,
    USER,
    PayloadShape,
    bare_password,
    login_in,
)
from rotation.kit.credentials.shapes import Dialect, Finder, Found
from rotation.kit.findings import fine, warn
from rotation.model.adoption import AdoptionRequest
from rotation.model.payload import PayloadError
from rotation.model.plugin import Finding


class Clients(Struct, frozen=True):
    """What the clients of one system read."""

    dialect: Dialect
    find: Finder
    #: The shapes beside a JSON object, for a message.
    shapes: str


def read_login(request: AdoptionRequest, clients: Clients) -> Found:
    """Return the login in the payload, whatever its shape."""
    payload = request.payload
    if not payload.is_object:
        if found := clients.find(payload.reveal()):
            return found
        if request.user and (bare := bare_password(payload)):
            return Found("json", request.user, bare)
        raise PayloadError(
            f"the payload is not understood: no JSON object, {clients.shapes} with one login",
            remedy="if it is the password alone, name its user with --user NAME",
        )
    fields = payload.fields()
    user, password = login_in(payload, _keys(request, clients), clients.find)
    port = str(fields.get("port", ""))
    return Found(
        "json",
        user,
        password,
        _text(fields.get("host")),
        int(port) if port.isdecimal() else None,
        _text(fields.get("dbname")) or _text(fields.get("database")),
    )


def payload_settings(
    found: Found, request: AdoptionRequest, shape: str, clients: Clients
) -> dict[str, str]:
    """Return the ``payload`` object of the policy; empty where it says what is so anyway."""
    chosen: dict[str, str] = {}
    if request.payload.is_object:
        keys = _keys(request, clients)
        if (keys.username, keys.password) != (USER, PASSWORD):
            chosen = {"username": keys.username, "password": keys.password}
    elif clients.find(request.payload.reveal()) is None:
        chosen = {"bare_user": found.user}
    if (shape or found.shape) != "json":
        chosen = {key: value for key, value in chosen.items() if key == "bare_user"}
        chosen["shape"] = shape or found.shape
    return chosen


def shape_findings(found: Found, settings: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Say whether consumers will read what they read today."""
    payload = settings.get("payload", {})
    shape = payload.get("shape", "json")
    if "bare_user" in payload:
        message = f"new versions will be {shape}, and consumers read a password alone today"
    elif shape != found.shape:
        message = f"new versions will be {shape}, and consumers read {found.shape} today"
    else:
        return (fine("payload", f"new versions will be {shape}, as they are today"),)
    remedy = "teach them the new shape first: user and password change together"
    return (warn("payload", message, remedy),)


def _keys(request: AdoptionRequest, clients: Clients) -> PayloadShape:
    """Return the keys of user and password in a JSON payload: the usual ones, or the only ones."""
    fields = request.payload.fields()
    if {USER, PASSWORD} <= fields.keys():
        return PayloadShape()
    texts = [key for key, value in fields.items() if isinstance(value, str)]
    users = [key for key in texts if clients.dialect.user.fullmatch(key)]
    passwords = [key for key in texts if clients.dialect.password.fullmatch(key)]
    if len(users) == len(passwords) == 1:
        return PayloadShape(username=users[0], password=passwords[0])
    return PayloadShape()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

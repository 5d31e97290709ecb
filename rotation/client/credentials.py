"""User and password, read together from one version.

Rules of this module:
  1. ``repr``, ``str`` and ``format`` name the user and the version, never the password; nothing
     here can be pickled.
  2. Both come from one read: a user of one version with the password of another is nobody.
"""

from typing import Any, NoReturn

from rotation.model.consumer import Held
from rotation.model.payload import Payload, PayloadError


class Credentials:
    """What one version of a secret holds: a JSON object with ``username`` and ``password``.

    Raises:
        PayloadError: The payload is not such an object.
    """

    __slots__ = ("_fields", "_payload", "secret", "version")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, payload: bytes, *, secret: str = "", version: int | None = None) -> None:
        self._payload = Payload(payload)
        self._fields = self._payload.fields()
        #: Full name of the secret, ``projects/P/secrets/S``; empty when it is not known.
        self.secret = secret
        #: Number of the version; None when it is not known.
        self.version = version
        for key in ("username", "password"):
            if not isinstance(self._fields.get(key), str):
                raise PayloadError(
                    f"the payload has no text under {key!r}",
                    remedy="add a version with username and password, as one JSON object",
                )

    @property
    def username(self) -> str:
        """Who to log in as."""
        return str(self._fields["username"])

    @property
    def password(self) -> str:
        """The password.  Hand it on in the same expression: locals end up in error reports."""
        return str(self._fields["password"])

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as JSON has it
        """Return another value of the payload, for example ``host``."""
        return self._fields.get(key, default)

    @property
    def held(self) -> Held:
        """How reports name these credentials."""
        return Held(self.version, self._payload.rotation_id() or "")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Credentials):
            return NotImplemented
        return self.version == other.version and self._payload == other._payload

    def __repr__(self) -> str:
        version = "unknown version" if self.version is None else f"version {self.version}"
        return f"<credentials of {self.username!r}, {version} of {self.secret or 'a file'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")

"""The one type that carries a password from its payload to the login that uses it.

Error reporters render the local variables of every frame, so a plain string would do as a leak.

Rules of this module:
  1. ``repr``, ``str`` and ``format`` of a password say nothing, not even its length.
  2. What is revealed is handed on in the same expression, never kept in a variable.
"""

import hmac
from typing import NoReturn


class Password:
    """A password, or another text that must not be shown."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text.  Only what logs in, hashes or encodes it calls this."""
        return self._text

    def is_in(self, text: str) -> bool:
        """Whether ``text`` repeats this password; an empty one is nowhere."""
        return bool(self._text) and self._text in text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Password):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __repr__(self) -> str:
        return "<password>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not pickled")

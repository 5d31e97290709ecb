"""Find BEGIN and COMMIT in what a PostgreSQL client sends; understand nothing else.

1. The start-up packet, and requests for encryption before it, have no type byte; all else has.
2. Either is a simple query, or the Parse of a pipeline, whose text begins with that word.
3. No message is kept once it is complete.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from typing import Final

#: SSLRequest and GSSENCRequest: answered with one byte, and the start-up packet still to come.
_ENCRYPTION: Final = frozenset({80877103, 80877104})
_QUERY: Final = b"Q"
_PARSE: Final = b"P"

BEGIN: Final = b"BEGIN"
COMMIT: Final = b"COMMIT"


class Frontend:
    """One connection's client side."""

    def __init__(self) -> None:
        self._starting = True
        self._held = b""

    def words(self, data: bytes) -> list[tuple[bytes, int]]:
        """Take the next bytes; return each BEGIN and COMMIT, and where in them its message begins.

        A message that began in earlier bytes, and is complete only now, begins at 0.
        """
        offset = -len(self._held)
        buffer = self._held + data
        found = []
        while (length := self._length(buffer)) is not None and len(buffer) >= length:
            message, buffer = buffer[:length], buffer[length:]
            if word := self._word(message):
                found.append((word, max(offset, 0)))
            offset += length
        self._held = buffer
        return found

    def _length(self, buffer: bytes) -> int | None:
        typed = 0 if self._starting else 1
        if len(buffer) < typed + 4:
            return None
        return typed + int.from_bytes(buffer[typed : typed + 4])

    def _word(self, message: bytes) -> bytes | None:
        if self._starting:
            self._starting = int.from_bytes(message[4:8]) in _ENCRYPTION
            return None
        body = message[5:]
        if message[:1] == _PARSE:
            body = body.partition(b"\0")[2]
        elif message[:1] != _QUERY:
            return None
        text = body.lstrip()[:6].upper()
        return next((word for word in (BEGIN, COMMIT) if text.startswith(word)), None)

"""A place in a text that small parsers move forward.

Every pattern used with it consumes what it matches for good (possessive), so no text is slow.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rotation.pins.errors import UNREADABLE, PinError
from rotation.pins.source import Source
from rotation.pins.tree import MAX_DEPTH, too_deep

#: Steps for a whole file.
_BUDGET: Final = 1_000_000


class Cursor:
    """A reading position."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.at = source.starts
        self._depth = 0
        self._left = _BUDGET

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    def sees(self, *texts: str) -> bool:
        """Whether one of the texts comes next."""
        return self.text.startswith(texts, self.at)

    def take(self, text: str) -> bool:
        """Step over a text if it comes next."""
        found = self.text.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def expect(self, text: str) -> None:
        """Step over a text.

        Raises:
            PinError: Something else comes.
        """
        if not self.take(text):
            raise self.fault(f"{text!r} is missing")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Step over a pattern if it comes next."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def fault(self, what: str) -> PinError:
        """Return the error for a text that is not what the file's name says."""
        kind = self.source.format.value.upper()
        place = self.source.place(min(self.at, len(self.text)))
        message = f"{place} is not valid {kind}: {what}"
        return PinError(message, remedy="mend the file", reason=UNREADABLE)

    def spend(self) -> None:
        """Count a step that may be taken again.

        Raises:
            PinError: There were too many: the text is made to be slow.
        """
        self._left -= 1
        if self._left < 0:
            raise self.fault("it is too complicated")

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Go one level down.

        Raises:
            PinError: Too deep.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep(self.source.path)
        try:
            yield
        finally:
            self._depth -= 1

"""A clock that can be moved forward, in several processes at once.

It tells the real time plus an offset.  It never waits and never moves back.

1. With a file, the offset lives only in the file: whoever moves it moves it for every process
   that looks at the same file.
2. The file is replaced as a whole, so a reader sees the previous offset or the next one.
3. A file that is missing or unreadable as a number means that nobody moved the clock.
"""

import math
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What the services ask for the time."""

    def now(self) -> datetime:
        """Return the time now, with the UTC zone."""


class MovableClock:
    """Real time plus an offset that only grows."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._offset = timedelta(0)

    @property
    def offset(self) -> timedelta:
        """How far ahead of real time this clock is."""
        return self._offset if self._path is None else _stored_offset(self._path)

    def now(self) -> datetime:
        """Return the time now, with the UTC zone."""
        return datetime.now(UTC) + self.offset

    def advance(self, step: timedelta) -> None:
        """Move the clock forward, for everybody who shares its file.

        Raises:
            ValueError: The step is negative: stored times would lie in the future.
        """
        if step < timedelta(0):
            message = "the clock only moves forward"
            raise ValueError(message)
        offset = self.offset + step
        if self._path is None:
            self._offset = offset
        else:
            _store_offset(self._path, offset)


def _stored_offset(path: Path) -> timedelta:
    try:
        seconds = float(path.read_text(encoding="ascii"))
        return timedelta(seconds=seconds) if math.isfinite(seconds) else timedelta(0)
    except (OSError, ValueError, OverflowError):
        return timedelta(0)


def _store_offset(path: Path, offset: timedelta) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{offset.total_seconds()!r}\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""Follow the function's log while the function writes it.

1. Lines that are not of the journal (those of the web server) are passed over.
2. Every entry is shown once, when it is read, and handed out once, in order: what was read while
   something else was awaited is not lost.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rotation.local.demo.narrator import DemoError

Entry = Mapping[str, Any]

_LOOK_EVERY: Final = 0.02


class FunctionLog:
    """The journal's entries as they come."""

    def __init__(self, path: Path, tell: Callable[[Entry], None]) -> None:
        self._path = path
        self._tell = tell
        self._offset = 0
        self._unclaimed: deque[Entry] = deque()

    def await_entry(
        self, what: str, is_it: Callable[[Entry], bool], seconds: float = 60.0
    ) -> Entry:
        """Pass over entries until one is what is waited for; return that one.

        Raises:
            DemoError: None came in time.
        """
        end = time.monotonic() + seconds
        while True:
            self.catch_up()
            while self._unclaimed:
                entry = self._unclaimed.popleft()
                if is_it(entry):
                    return entry
            if time.monotonic() > end:
                raise DemoError(f"{what} did not happen within {seconds:.0f} s")
            time.sleep(_LOOK_EVERY)

    def catch_up(self) -> None:
        """Read and tell what has been written since."""
        for entry in self._new():
            self._tell(entry)
            self._unclaimed.append(entry)

    def forget(self) -> None:
        """Pass over everything written so far."""
        self.catch_up()
        self._unclaimed.clear()

    def _new(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # still being written
                self._offset += len(line)
                entry = _decoded(line)
                if entry is not None:
                    yield entry


def _decoded(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "message" in entry else None

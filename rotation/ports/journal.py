"""Where the worker says what it does."""

from typing import Any, Protocol


class Journal(Protocol):
    """One structured line for each thing that happened, for people and for alerts."""

    def note(self, severity: str, message: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Write one line.

        Args:
            severity: ``DEBUG``, ``INFO``, ``NOTICE``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
            message: One sentence; never a payload.
            fields: ``secret``, ``rotation_id``, ``phase``, ``token``, ``duration_ms`` and the like:
                text, numbers, and JSON made of them; None is left out.  A line with ``event`` is
                one that alerts are made of (`rotation.engine.events`).
        """

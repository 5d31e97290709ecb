"""Writes what happens to one secret into the journal; it decides nothing.

Every line has the secret, and of a rotation its id, phase and token.  Lines that alerts and audits
are made of are composed in `events`.
"""

from collections.abc import Callable
from typing import Any

from rotation.engine import events
from rotation.model.names import SecretName
from rotation.model.phase import Phase
from rotation.model.rotation import Receipt, State
from rotation.ports.journal import Journal


class Report:
    """The lines of one secret."""

    def __init__(
        self, journal: Journal, secret: SecretName, state: Callable[[], State | None]
    ) -> None:
        """Set up.

        Args:
            journal: Where lines go.
            secret: Whose lines.
            state: Returns where the secret stands now; None: not known.
        """
        self._journal = journal
        self._secret = str(secret)
        self._state = state

    def note(self, severity: str, message: str, **more: Any) -> None:  # noqa: ANN401
        """Write a line."""
        state = self._state()
        record = state.record if state else None
        self._journal.note(
            severity,
            message,
            secret=self._secret,
            rotation_id=record.id if record else None,
            phase=state.phase.value if state else None,
            token=state.token if state else None,
            **more,
        )

    def event(self, line: events.Line) -> None:
        """Write a line that alerts and audits are made of."""
        severity, message, fields = line
        self.note(severity, message, **fields)

    def receipt(self, receipt: Receipt) -> None:
        """Write a receipt."""
        self.event(events.receipt(receipt, self._secret))

    def phase(self, before: Phase, state: State, seconds: float) -> None:
        """Write where a phase has led to."""
        record = state.record
        note = f": {record.note}" if record and record.note else ""
        until = f" until {state.wake_at:%Y-%m-%d %H:%M:%SZ}" if state.wake_at else ""
        self.note(
            "NOTICE",
            f"{before.value} -> {state.phase.value}{until}{note}",
            duration_ms=round(seconds * 1000, 1),
        )

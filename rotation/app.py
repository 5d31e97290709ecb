"""One delivery in, an answer out; it never picks an adapter, `rotation.wiring` does.

Rules of this module:
  1. An answer of 2xx acknowledges a delivery; 503 asks for another one.  Whatever nobody
     foresaw is raised, so that the message ends in the dead-letter topic and the log.
  2. What is not for us is acknowledged without a single call.
"""

from rotation.config import ConfigError, Settings
from rotation.engine.worker import Worker
from rotation.machine.envelopes import open_envelope
from rotation.machine.wakeups import decode_wake_up
from rotation.model.errors import PermanentError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.wakeup import WakeUp
from rotation.ports.clock import Clock
from rotation.ports.journal import Journal

#: Body and HTTP status of an answer.
Answer = tuple[str, int]

ACKNOWLEDGED: Answer = ("", 204)
AGAIN: Answer = ("try again later", 503)


class Application:
    """What the function does with one delivery."""

    def __init__(self, settings: Settings, worker: Worker, clock: Clock, journal: Journal) -> None:
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._journal = journal

    def handle(self, content_type: str, body: bytes) -> Answer:
        """Act on one delivery, an HTTP request, and say whether it should come again."""
        try:
            wake_up = self._decode(content_type, body)
            if wake_up is not None:
                self._worker.tick(wake_up)
        except PermanentError as error:
            self._journal.note("ERROR", f"acknowledged: {error}", error=error.reason)
        except TemporaryError as error:
            self._journal.note("WARNING", f"to be delivered again: {error}", error=error.reason)
            return AGAIN
        return ACKNOWLEDGED

    def _decode(self, content_type: str, body: bytes) -> WakeUp | None:
        envelope = open_envelope(content_type, body, self._clock.now())
        wake_up = decode_wake_up(envelope.attributes, envelope.message_id, envelope.published_at)
        if wake_up is None:
            event = envelope.attributes.get("eventType", "none")[:80]
            self._journal.note("DEBUG", f"not for us: eventType {event}")
        elif wake_up.secret is None and not self._settings.project:
            raise ConfigError(
                "the sweep needs the project to list", remedy="set ROTATION_PROJECT to its id"
            )
        elif wake_up.secret and not self._serves(wake_up.secret):
            self._journal.note(
                "WARNING",
                f"not for us: the secret is in project {wake_up.secret.project}; "
                "ROTATION_PROJECTS names the projects served",
                secret=str(wake_up.secret),
            )
            return None
        return wake_up

    def _serves(self, secret: SecretName) -> bool:
        return not self._settings.projects or secret.project in self._settings.projects

"""One delivery in, an answer out; it never picks an adapter, `rotation.wiring` does.

Rules of this module:
  1. An answer of 2xx acknowledges a delivery; 503 asks for another one.  Whatever nobody
     foresaw is raised, so that the message ends in the dead-letter topic and the log.
  2. What is not for us is acknowledged without a single call.
  3. Who sends is checked before anything is read: without the token of our push it is 401 or 403,
     and no call is made.  What is then refused of a publisher is acknowledged and logged.
"""

from rotation.config import ConfigError, Settings
from rotation.engine.worker import Worker
from rotation.machine.envelopes import Envelope, open_envelope
from rotation.machine.requests import Refusal, refusal
from rotation.machine.wakeups import decode_wake_up
from rotation.model.errors import CallerError, PermanentError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.wakeup import WakeUp
from rotation.ports.callers import Callers
from rotation.ports.clock import Clock
from rotation.ports.journal import Journal

#: Body and HTTP status of an answer.
Answer = tuple[str, int]

ACKNOWLEDGED: Answer = ("", 204)
AGAIN: Answer = ("try again later", 503)


class Application:
    """What the function does with one delivery."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        clock: Clock,
        journal: Journal,
        callers: Callers,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._journal = journal
        self._callers = callers

    def handle(self, content_type: str, body: bytes, authorization: str = "") -> Answer:
        """Act on one delivery, an HTTP request, and say whether it should come again.

        Args:
            content_type: Of the request.
            body: Of the request.
            authorization: The header of that name; empty: there is none.
        """
        try:
            if warning := self._callers.check(authorization):
                self._journal.note("ERROR", warning, error="callers-not-checked")
            wake_up = self._decode(content_type, body)
            if wake_up is not None:
                self._worker.tick(wake_up)
        except CallerError as error:
            self._journal.note("WARNING", f"a request is refused: {error}", error=error.reason)
            return ("refused", error.status)
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
        return wake_up if wake_up is None or self._may(wake_up, envelope) else None

    def _may(self, wake_up: WakeUp, envelope: Envelope) -> bool:
        """Return whether a wake-up may be acted on, after saying why where it may not."""
        trusted = self._settings.subscription_of_emergencies
        refused = refusal(wake_up, envelope.subscription, trusted, self._clock.now())
        if refused is not None:
            self._tell(wake_up, refused)
        return refused is None

    def _tell(self, wake_up: WakeUp, refused: Refusal) -> None:
        request = wake_up.request
        self._journal.note(
            "ERROR",
            f"refused and acknowledged: {refused.message}; {refused.remedy}",
            error=refused.reason,
            secret=str(wake_up.secret) if wake_up.secret else None,
            mode=request.mode.value if request else None,
            request_id=request.id if request else None,
            requested_by=request.requested_by if request else None,
        )

    def _serves(self, secret: SecretName) -> bool:
        return not self._settings.projects or secret.project in self._settings.projects

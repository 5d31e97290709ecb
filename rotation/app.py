"""The composition root: the only place that picks adapters and wires them.

Rules of this module:
  1. An answer of 2xx acknowledges a delivery; 503 asks for another one.  Whatever nobody
     foresaw is raised, so that the message ends in the dead-letter topic and the log.
  2. What is not for us is acknowledged without a single call.
"""

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache

from rotation import config, registry
from rotation.config import ConfigError, Settings
from rotation.engine.crashpoints import armed, never
from rotation.engine.gather import Threads
from rotation.engine.participants import Surroundings
from rotation.engine.pool import IssuerPool
from rotation.engine.run import Tools
from rotation.engine.tick import Limits, Parts, Plugins
from rotation.engine.worker import Worker
from rotation.google.clock import SystemClock
from rotation.google.identity import identity_token
from rotation.google.journal import CloudJournal, install_json_logging
from rotation.google.publisher import PubSubPublisher
from rotation.google.secret_manager import SecretManager
from rotation.google.token import access_token, api_token
from rotation.machine.envelopes import open_envelope
from rotation.machine.wakeups import decode_wake_up
from rotation.model.errors import PermanentError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.wakeup import WakeUp
from rotation.ports.clock import Clock
from rotation.ports.gate import GateEnvironment
from rotation.ports.issuer import IssuerEnvironment
from rotation.ports.journal import Journal
from rotation.ports.participant import ParticipantEnvironment
from rotation.ports.secrets import SecretStore

#: Writes of Secret Manager that one rotation takes to be published.
WRITES = 3

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


def from_environment(environ: Mapping[str, str] | None = None) -> Application:
    """Build the application the environment describes.

    Raises:
        ConfigError: A variable is faulty.
    """
    settings = config.from_environment(environ)
    install_json_logging()
    journal = CloudJournal()
    clock = make_clock(settings)
    store = make_store(settings)
    publisher = PubSubPublisher(
        settings.topic, emulator=settings.pubsub_emulator, identity=settings.identity
    )
    parts = Parts(
        tools=Tools(store, clock, _crash_point(settings), Threads()),
        plugins=make_plugins(store, settings.project),
        limits=Limits(settings.lease, settings.budget),
        journal=journal,
        publisher=publisher,
    )
    worker = Worker(
        parts, settings.sweep_every, settings.check_every, _most_wake_ups(settings) or None
    )
    return Application(settings, worker, clock, journal)


def make_store(settings: Settings) -> SecretStore:
    """Return the Secret Manager the settings name."""
    return SecretManager(
        settings.project,
        endpoint=settings.secret_manager or None,
        identity=settings.identity,
        quota_per_minute=settings.quota_per_minute,
    )


def _most_wake_ups(settings: Settings) -> int:
    """As many as the quota lets through until the next sweep; 0: any number."""
    minutes = settings.sweep_every / timedelta(minutes=1)
    return math.ceil(settings.quota_per_minute * minutes / WRITES)


def make_clock(settings: Settings) -> Clock:
    """Return the system's clock, or the one that an embedded stack moves."""
    if settings.clock_file is None:
        return SystemClock()
    from rotation.emulator.clock import MovableClock  # noqa: PLC0415 - never on Google Cloud

    return MovableClock(settings.clock_file)


def make_plugins(store: SecretStore, project: str) -> Plugins:
    """Return every plugin that is there."""
    issuers, participants = registry.issuers(), registry.participants()
    gates = registry.gates()
    return Plugins(
        issuers=IssuerPool(issuers, issuer_environment(store)),
        participants=participants,
        kinds=registry.kinds(issuers, participants, gates),
        gates=gates,
        around=surroundings(store, project),
    )


def issuer_environment(store: SecretStore) -> IssuerEnvironment:
    """Return what issuers may ask for."""
    return IssuerEnvironment(_reader(store), access_token)


def surroundings(store: SecretStore, project: str) -> Surroundings:
    """Return what participants and gates may ask for."""
    read, number_of = _reader(store), _numbers(store, project)

    def read_bytes(version_name: str) -> bytes:
        return read(version_name).reveal()

    return Surroundings(
        participants=ParticipantEnvironment(read_bytes, api_token, number_of),
        gates=GateEnvironment(read_bytes, api_token, identity_token, number_of),
    )


def _numbers(store: SecretStore, project: str) -> Callable[[str], str | None]:
    """Return what tells the number of the process's own project; it is in every answer there."""

    @cache
    def own() -> str | None:
        first = next(iter(store.list()), None)
        return first.name.project if first else None

    def number_of(asked: str) -> str | None:
        if asked.isdecimal():
            return asked
        return own() if asked == project else None

    return number_of


def _reader(store: SecretStore) -> Callable[[str], Payload]:
    def read(version_name: str) -> Payload:
        secret, _, version = version_name.rpartition("/versions/")
        return store.access(SecretName.parse(secret), version).payload

    return read


def _crash_point(settings: Settings) -> Callable[..., None]:
    if not settings.crash_at:
        return never
    return armed(settings.crash_at, settings.crash_marker)

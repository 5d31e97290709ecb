"""The composition root: it alone picks what stands behind a port, and puts the parts together.

The function, the commands and whatever else runs ask here; it decides nothing about a secret.

Rules of this module:
  1. Nothing of `rotation.google` is constructed anywhere else.
  2. Each function imports what it picks, so asking for a clock loads no library of Google.
  3. Nothing is connected here.  What is returned belongs to the caller, who closes it.
"""

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from rotation import config
from rotation.config import Settings
from rotation.model.names import VersionName

if TYPE_CHECKING:
    from rotation.app import Application
    from rotation.engine.crashpoints import Reach
    from rotation.engine.participants import Participants, RolloutEnvironment
    from rotation.engine.parts import Plugins
    from rotation.google.deployment import Deployment
    from rotation.google.publisher import PubSubPublisher
    from rotation.google.secret_manager import SecretManager
    from rotation.google.setup import Setup
    from rotation.model.keys import KeyRing
    from rotation.model.payload import Payload
    from rotation.model.policy import Policy
    from rotation.policies.targets import Targets
    from rotation.ports.callers import Callers
    from rotation.ports.clock import Clock
    from rotation.ports.gate import Gate
    from rotation.ports.issuer import IssuerEnvironment
    from rotation.ports.participant import OutsideParticipant, RidingParticipant
    from rotation.ports.secrets import SecretStore

#: Writes of Secret Manager that one rotation takes to be published.
_WRITES: Final = 3
#: Seconds a person waits for a quota to free itself.
_QUOTA_PATIENCE: Final = 10.0
#: Seconds a person waits for a message to be accepted.
_PUBLISH_PATIENCE: Final = 10.0
#: The project of a name that carries its own.
_NO_PROJECT: Final = "-"


def make_application(
    environ: Mapping[str, str] | None = None,
    *,
    clock: "Clock | None" = None,
    identity: str = "",
    reach: "Reach | None" = None,
    callers: "Callers | None" = None,
) -> "Application":
    """Build the function's application, as the environment describes it.

    Args:
        environ: The variables; None: this process's own.
        clock: An embedded stack's; None: the system's.
        identity: E-mail address to call embedded services as; empty: their owner.
        reach: Called with each crash point that the worker reaches; None: nothing is called.
        callers: Who knows an embedded push's tokens; None: Google's, of the account that the
            settings name.

    Raises:
        ConfigError: A variable is faulty or missing.
    """
    from rotation.app import Application
    from rotation.engine.crashpoints import never
    from rotation.engine.gather import Threads
    from rotation.engine.parts import Limits, Parts, Tools
    from rotation.engine.worker import Worker
    from rotation.google.journal import CloudJournal, install_json_logging
    from rotation.google.publisher import PubSubPublisher

    settings = config.from_environment(environ)
    install_json_logging()
    journal, clock, store = CloudJournal(), clock or make_clock(), make_store(settings, identity)
    parts = Parts(
        tools=Tools(store, clock, reach or never, Threads(), keys=make_keys(settings)),
        plugins=make_plugins(store, settings),
        limits=Limits(settings.lease, settings.budget),
        journal=journal,
        publisher=PubSubPublisher(
            settings.topic, emulator=settings.pubsub_emulator, identity=identity
        ),
    )
    worker = Worker(
        parts, settings.sweep_every, settings.check_every, _most_wake_ups(settings) or None
    )
    return Application(settings, worker, clock, journal, callers or make_callers(settings))


def make_callers(settings: Settings, certificates: str = "") -> "Callers":
    """Return what knows the tokens of our push; ``certificates``: URL, empty for Google's.

    Raises:
        ConfigError: The settings do not say what such a token looks like.
    """
    from rotation.google.push_tokens import GOOGLE, PushTokens
    from rotation.machine.push_claims import Expected

    if not settings.push_audience or not settings.push_account:
        raise config.ConfigError(
            "the function does not know whose push to believe",
            remedy="set ROTATION_PUSH_AUDIENCE and ROTATION_PUSH_ACCOUNT to audience and account"
            " of the push subscription's token",
        )
    return PushTokens(
        Expected(settings.push_audience, settings.push_account),
        certificates or GOOGLE,
        signature_removed=settings.push_signature_removed,
    )


def make_callers_of_an_emulator() -> "Callers":
    """Return what believes every sender: a Pub/Sub that signs nothing has no token to check."""
    from rotation.google.push_tokens import AnyCaller

    return AnyCaller()


def make_keys(settings: Settings) -> "KeyRing | None":
    """Return the keys of the deployment; None: it has none, and nothing is signed.

    Raises:
        ConfigError: The file cannot be read, or is not a document of keys.
    """
    from rotation.config import ConfigError
    from rotation.policies.keys import KeysError, read_keys

    if settings.keys is None:
        return None
    try:
        return read_keys(settings.keys.read_bytes())
    except (OSError, KeysError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"ROTATION_KEYS: {settings.keys}: {why}",
            remedy="mount the secret that `rotation keys rotate` made there, or unset the variable",
        ) from None


def make_store(settings: Settings, identity: str = "") -> "SecretManager":
    """Return the Secret Manager that the function uses: paced, and patient with the quota."""
    from rotation.google.secret_manager import SecretManager

    return SecretManager(
        settings.project,
        endpoint=settings.secret_manager or None,
        identity=identity,
        quota_per_minute=settings.quota_per_minute,
    )


def make_store_of_a_person(settings: Settings, identity: str = "") -> "SecretManager":
    """Return the Secret Manager that a command uses: somebody waits in front of it."""
    from rotation.google.secret_manager import SecretManager

    return SecretManager(
        settings.project or _NO_PROJECT,
        endpoint=settings.secret_manager or None,
        identity=identity,
        quota_patience=_QUOTA_PATIENCE,
    )


def make_store_at(endpoint: str, project: str) -> "SecretManager":
    """Return an embedded Secret Manager, used as its owner."""
    from rotation.google.secret_manager import SecretManager

    return SecretManager(project, endpoint=endpoint)


def make_setup(settings: Settings) -> "Setup":
    """Return what creates secrets and sets their schedules."""
    from rotation.google.setup import Setup

    return Setup(settings.secret_manager or None)


def make_deployment(settings: Settings, identity: str = "") -> "Deployment":
    """Return what looks at everything around the secrets."""
    from rotation.google.deployment import Deployment, Endpoints

    google = Endpoints()
    endpoints = Endpoints(
        pubsub=settings.pubsub_rest or google.pubsub,
        secret_manager=settings.secret_manager_rest or google.secret_manager,
        run=settings.run_rest or google.run,
        scheduler=settings.scheduler_rest or google.scheduler,
        projects=settings.projects_rest or google.projects,
        roles=settings.iam_rest or google.roles,
    )
    return Deployment(endpoints, identity)


def make_publisher(settings: Settings, topic: str, identity: str = "") -> "PubSubPublisher":
    """Return the way by which a command publishes to a topic."""
    from rotation.google.publisher import PubSubPublisher

    return PubSubPublisher(
        topic,
        timeout=_PUBLISH_PATIENCE,
        emulator=settings.pubsub_emulator,
        identity=identity,
    )


def make_clock() -> "Clock":
    """Return the system's clock."""
    from rotation.google.clock import SystemClock

    return SystemClock()


def make_plugins(store: "SecretStore", settings: Settings) -> "Plugins":
    """Return the plugins that are there; none is imported before a policy or a target names it.

    Raises:
        PermanentError: The targets document cannot be read, or is faulty.
    """
    from rotation import registry
    from rotation.engine.parts import Plugins
    from rotation.engine.pool import IssuerPool

    issuers, participants = registry.issuers(), registry.participants()
    gates = registry.gates()
    return Plugins(
        issuers=IssuerPool(issuers, issuer_environment(store)),
        participants=participants,
        kinds=registry.kinds(
            issuers,
            participants,
            gates,
            make_targets(lambda: store, settings, issuers, participants, gates),
        ),
        gates=gates,
        environment=rollout_environment(store, settings.project),
    )


def make_targets(
    store: "Callable[[], SecretStore]", settings: Settings, *plugins: "Mapping[str, Any]"
) -> "Targets | None":
    """Return what the deployment lets be touched; None: it has no targets document.

    Args:
        store: Returns Secret Manager; called where two names of a project must be compared.
        settings: How this process runs.
        plugins: Those of each kind.

    Raises:
        PermanentError: The document cannot be read, or is faulty.
    """
    if settings.targets is None:
        return None
    from rotation import registry
    from rotation.policies.targets import decode_targets, read_document

    document = read_document(settings.targets)

    @cache
    def look_up() -> Callable[[str], str | None]:
        return _numbers(store(), settings.project)

    def number_of(project: str) -> str | None:
        if project == settings.project and settings.project_number:
            return settings.project_number
        return project if project.isdecimal() else look_up()(project)

    return decode_targets(document, registry.settings_of_all(*plugins), number_of)


def make_rollout(
    policy: "Policy",
    participants: "Mapping[str, type[RidingParticipant | OutsideParticipant]]",
    gates: "Mapping[str, type[Gate]]",
    environment: "RolloutEnvironment",
) -> "Participants":
    """Return the participants and gates of one policy, asked one after the other."""
    from rotation.engine.gather import in_turn
    from rotation.engine.participants import Participants

    return Participants(policy, participants, gates, environment, in_turn)


def issuer_environment(store: "SecretStore") -> "IssuerEnvironment":
    """Return what issuers may ask for."""
    from rotation.google.token import access_token
    from rotation.ports.issuer import IssuerEnvironment

    return IssuerEnvironment(_reader(store), access_token)


def rollout_environment(store: "SecretStore", project: str) -> "RolloutEnvironment":
    """Return what participants and gates may ask for."""
    from rotation.engine.participants import RolloutEnvironment
    from rotation.google.identity import identity_token
    from rotation.google.token import api_token
    from rotation.ports.gate import GateEnvironment
    from rotation.ports.participant import ParticipantEnvironment

    read, number_of = _reader(store), _numbers(store, project)

    def read_bytes(version_name: str) -> bytes:
        return read(version_name).reveal()

    return RolloutEnvironment(
        participants=ParticipantEnvironment(read_bytes, api_token, number_of),
        gates=GateEnvironment(read_bytes, api_token, identity_token, number_of),
    )


def _most_wake_ups(settings: Settings) -> int:
    """As many as the quota lets through until the next sweep; 0: any number."""
    minutes = settings.sweep_every / timedelta(minutes=1)
    return math.ceil(settings.quota_per_minute * minutes / _WRITES)


def _numbers(store: "SecretStore", project: str) -> Callable[[str], str | None]:
    """Return what finds the number of the process's own project; it is in every answer there."""

    @cache
    def own() -> str | None:
        first = next(iter(store.list()), None)
        return first.name.project if first else None

    def number_of(asked: str) -> str | None:
        if asked.isdecimal():
            return asked
        return own() if asked == project else None

    return number_of


def _reader(store: "SecretStore") -> "Callable[[str], Payload]":
    def read(version_name: str) -> "Payload":
        name = VersionName.parse(version_name)
        return store.access(name.secret, name.version).payload

    return read

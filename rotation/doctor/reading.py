"""Reads the facts of one secret and of the installation; judges nothing.

1. Whatever goes wrong while reading becomes an `Unseen` in its place; nothing is raised.
2. Reading changes nothing: participants are asked for their plan, gates for a look, the issuer for
   its preflight.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from rotation import registry
from rotation.doctor import pushes
from rotation.doctor.facts import FileUse, Installation, Reply, Rights, SecretFacts
from rotation.doctor.findings import short
from rotation.engine.codec import POLICY
from rotation.engine.participants import Participants
from rotation.engine.planning import plan
from rotation.engine.snapshot import Snapshot
from rotation.google import needs
from rotation.google.deployment import Deployment
from rotation.model.deployment import Bindings, Service, Unseen
from rotation.model.errors import (
    BadPluginError,
    MissingLibraryError,
    NotFoundError,
    PolicyError,
    RotationError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName, VersionName
from rotation.model.permission import On
from rotation.model.plugin import Finding as Checked
from rotation.model.policy import NotKnownHere, Policy
from rotation.model.rollout import Look
from rotation.model.secret import Secret, VersionState
from rotation.policies.choosing import check_known
from rotation.policies.explaining import TargetUse, usage
from rotation.policies.targets import Targets
from rotation.ports.issuer import Issuer, IssuerEnvironment, ReadsSecrets
from rotation.ports.secrets import SecretStore


@dataclass(frozen=True)
class Sources:
    """What facts are read from, and how far."""

    store: SecretStore
    deployment: Deployment
    snapshot: Callable[[Secret], Snapshot]
    issuers: Mapping[str, type[Issuer]]
    rollout: Callable[[Policy], Participants]
    access: IssuerEnvironment
    now: Callable[[], datetime]
    project: str
    topic: str
    emergency_topic: str
    region: str
    service: str
    job: str
    version: str
    writes_per_minute: float
    sweep_seconds: float
    #: Uses of a secret in somebody's files.
    uses: Callable[[SecretName], tuple[FileUse, ...]]
    #: What the deployment lets be touched; None: no document is at hand.
    targets: Targets | None = None


@dataclass(frozen=True)
class Shared:
    """What is read once for all secrets."""

    agent: str
    account: str
    #: Policy of each topic, so that it is read once.
    topics: Mapping[str, Bindings | Unseen]
    #: What could be read of each topic, so that it is read once.
    faults: Mapping[str, Unseen | None]
    project_policy: Bindings | Unseen
    services: tuple[Service, ...]


def read_installation(sources: Sources, secrets: Sequence[Secret]) -> Installation:
    """Read what all secrets share."""
    deployment, topic, urgent = sources.deployment, sources.topic, sources.emergency_topic
    emergencies = deployment.subscriptions(urgent) if urgent else ()
    subscriptions = deployment.subscriptions(topic) if topic else ()
    region = sources.region or pushes.region_of(subscriptions)
    service_name = f"projects/{sources.project}/locations/{region}/services/{sources.service}"
    job_name = f"projects/{sources.project}/locations/{region}/jobs/{sources.job}"
    known = bool(region)
    service = deployment.service(service_name) if known else _no_region("the function")
    number = _number_of(sources, secrets)
    agent = f"serviceAccount:service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    project = deployment.project_policy(sources.project)
    account = service.account if isinstance(service, Service) else ""
    schedules = [secret.schedule for secret in secrets if secret.schedule]
    return Installation(
        now=sources.now(),
        project=sources.project,
        topic=topic,
        region=region,
        number=number,
        policy=project,
        topic_fault=deployment.topic(topic) if topic else None,
        subscriptions=subscriptions,
        emergency_topic=urgent,
        emergency_fault=deployment.topic(urgent) if urgent else None,
        emergency_subscriptions=emergencies,
        **pushes.dead_letters(deployment, agent, pushes.both(subscriptions, emergencies), project),
        service_name=service_name,
        service=service,
        services=deployment.services(service_name.rpartition("/services/")[0]) if known else (),
        open_to=pushes.open_to(deployment, service),
        invokes=pushes.invokes(
            deployment, service, pushes.both(subscriptions, emergencies), project
        ),
        publishes=deployment.lacks(account, topic, ["pubsub.topics.publish"])
        if account and topic
        else (),
        lists=deployment.may_list(account, sources.project) if account else True,
        job_name=job_name,
        job=deployment.job(job_name) if known else _no_region("the sweep"),
        ahead=deployment.ahead,
        version=sources.version,
        plugins=tuple(_plugin_faults()),
        has_targets=sources.targets is not None,
        targets=tuple(_usage(sources, secrets)),
        firings=tuple(schedule.next_time for schedule in schedules),
        writes_per_minute=sources.writes_per_minute,
        sweep_seconds=sources.sweep_seconds,
    )


def _usage(sources: Sources, secrets: Sequence[Secret]) -> Iterator[TargetUse]:
    if sources.targets is not None:
        policies = {secret.name: secret.annotations.get(POLICY, "") for secret in secrets}
        yield from usage(sources.targets, policies)


def _plugin_faults() -> Iterator[BadPluginError]:
    """Yield what is wrong with the plugins themselves.

    A library that is not on this machine matters where a policy names its plugin, and is reported
    there.
    """
    for fault in registry.faults():
        if not isinstance(fault, MissingLibraryError):
            yield fault


def read_shared(sources: Sources, facts: Installation, secrets: Sequence[Secret]) -> Shared:
    """Read once what is needed for several secrets."""
    topics = {name for secret in secrets for name in secret.topics}
    return Shared(
        agent=f"service-{facts.number}@gcp-sa-secretmanager.iam.gserviceaccount.com",
        account=facts.service.account if isinstance(facts.service, Service) else "",
        topics={topic: sources.deployment.topic_policy(topic) for topic in topics},
        faults={topic: sources.deployment.topic(topic) for topic in topics},
        project_policy=facts.policy,
        services=facts.services if isinstance(facts.services, tuple) else (),
    )


def read_secret(sources: Sources, shared: Shared, secret: Secret) -> SecretFacts:
    """Read one secret and what its rotation needs."""
    snapshot = sources.snapshot(secret)
    current, state = snapshot.current, snapshot.state
    recorded = state.receipt.current if state and state.receipt else None
    numbers = {number for number in (current, recorded, *secret.aliases.values()) if number}
    checked, blind = _preflight(sources, snapshot)
    return SecretFacts(
        snapshot=snapshot,
        project=sources.project,
        versions={
            number: _version(sources.store, secret.name, number) for number in sorted(numbers)
        },
        our_topic=sources.topic,
        topics={topic: shared.faults.get(topic) for topic in secret.topics},
        publishes={topic: _publishes(sources, shared, topic) for topic in secret.topics},
        agent=shared.agent,
        account=shared.account,
        rights=tuple(_rights(sources, shared, snapshot)),
        issuer=checked,
        issuer_unseen=blind,
        replies=_replies(sources, snapshot),
        uses=sources.uses(secret.name),
        on_latest=tuple(_on_latest(shared.services, secret.name)),
    )


def _version(store: SecretStore, name: SecretName, number: int) -> VersionState | Unseen:
    what = f"version {number} of {name}"
    try:
        return store.version(name, number).state
    except RotationError as error:
        return _trouble(what, error)


def _publishes(sources: Sources, shared: Shared, topic: str) -> bool | Unseen:
    if shared.faults.get(topic) is not None:
        return True  # reported for the topic itself
    return pushes.may(
        sources.deployment,
        f"serviceAccount:{shared.agent}",
        "pubsub.topics.publish",
        shared.topics[topic],
        shared.project_policy,
    )


def _rights(sources: Sources, shared: Shared, snapshot: Snapshot) -> Iterator[Rights]:
    if not shared.account:
        return
    wanted = [
        need.name for need in needs.NEEDS[needs.Part.FUNCTION] if need.on is On.MANAGED_SECRET
    ]
    name, policy = str(snapshot.secret.name), snapshot.policy
    yield Rights(name, sources.deployment.lacks(shared.account, name, wanted))
    for version in _reads(sources, policy):
        read = str(VersionName.parse(version).secret)
        permission = ["secretmanager.versions.access"]
        yield Rights(read, sources.deployment.lacks(shared.account, read, permission))


def _reads(sources: Sources, policy: Policy | None) -> tuple[str, ...]:
    """Return the versions that the issuer of a policy reads."""
    if policy is None or isinstance(policy.issuer.settings, NotKnownHere):
        return ()
    issuer = sources.issuers[policy.issuer.kind](policy.issuer.settings, sources.access)
    return issuer.reads() if isinstance(issuer, ReadsSecrets) else ()


def _preflight(sources: Sources, snapshot: Snapshot) -> tuple[tuple[Checked, ...], Unseen | None]:
    policy, state, current = snapshot.policy, snapshot.state, snapshot.current
    if policy is None:
        return (), None
    try:
        check_known(policy)
    except PolicyError as error:
        return (), _trouble("the issuer", error)
    access = replace(sources.access, secret=str(snapshot.secret.name))
    issuer = sources.issuers[policy.issuer.kind](policy.issuer.settings, access)
    payload, blind = None, None
    try:
        if current is not None:
            payload = sources.store.access(snapshot.secret.name, current).payload
    except (NotFoundError, VersionUnavailableError):
        payload = None  # reported for the version itself
    except RotationError as error:
        blind = _trouble(f"the payload of version {current}", error)
    try:
        token = state.token if state else None
        checked = issuer.preflight(payload, token)
    except RotationError as error:
        return (), _trouble("the issuer", error)
    finally:
        issuer.close()
    return checked, blind


def _replies(sources: Sources, snapshot: Snapshot) -> tuple[Reply, ...] | Unseen:
    if snapshot.policy is None or snapshot.state is None:
        return ()
    try:
        planned = plan(snapshot, sources.rollout(snapshot.policy))
    except RotationError as error:
        return _trouble("participants and gates", error)
    stages = planned.stages
    asked = [
        Reply("participant", name, participant.obstacle)
        for stage in stages
        for name, participant in stage.participants
    ]
    looked = [
        Reply("gate", name, verdict.evidence, is_blind=verdict.look is Look.WAIT)
        for stage in stages
        for name, verdict in stage.gates
        if verdict.look is not Look.PASS
    ]
    return (*asked, *looked)


def _on_latest(services: Sequence[Service], name: SecretName) -> Iterator[tuple[str, str]]:
    for service in services:
        for mount in service.mounts:
            if short(mount.secret) == name.secret_id and mount.version in {"", "latest"}:
                yield service.name, mount.place


def _number_of(sources: Sources, secrets: Sequence[Secret]) -> str:
    """Return the project's number: as a secret's name has it, or as the project does."""
    for secret in secrets:
        if secret.name.project.isdecimal():
            return secret.name.project
    number = sources.deployment.project_number(sources.project)
    return number if isinstance(number, str) else ""


def _no_region(what: str) -> Unseen:
    return Unseen(what, "its region is not known", "rotation doctor --region REGION")


def _trouble(what: str, error: RotationError) -> Unseen:
    missing = isinstance(error, NotFoundError)
    return Unseen(what, str(error.args[0]), error.remedy, missing)

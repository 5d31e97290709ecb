"""Checks of what all secrets share: function, sweep, clocks, quota.  Pure.

1. Times are compared with each other, never with fixed numbers: budget < function timeout < ack
   deadline <= lease.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from rotation.doctor import check_subscription
from rotation.doctor.facts import Installation
from rotation.doctor.findings import (
    INSTALLATION,
    Finding,
    Fix,
    Severity,
    gcloud,
    project_of,
    short,
    unseen,
)
from rotation.model.deployment import Job, Service, Unseen

Check = Callable[[Installation], Iterator[Finding]]

#: Seconds that clocks may differ.
_SKEW: Final = 30.0
#: Sweeps in a row that may be missed.
_MISSED: Final = 3
#: Requests one instance may take at once; each may hold a connection to a database.
_MOST_CONCURRENT: Final = 80
_WRITES: Final = 3
_BUDGET: Final = 480.0
_LEASE: Final = 600.0


def topic(facts: Installation) -> Iterator[Finding]:
    """Whether the rotation topic is there."""
    fault = facts.topic_fault
    if not facts.topic:
        remedy = f"export ROTATION_TOPIC=projects/{facts.project}/topics/rotation"
        yield _bad("rotation-topic", "the rotation topic is not known", remedy)
    elif fault is not None and fault.is_missing:
        remedy = gcloud("pubsub", "topics", "create", facts.topic)
        yield _bad("rotation-topic", f"the topic {facts.topic} does not exist", remedy)
    elif fault is not None:
        yield unseen(INSTALLATION, fault)


def emergencies(facts: Installation) -> Iterator[Finding]:
    """Whether the topic of emergencies is there, and is delivered by the subscription believed."""
    if not facts.emergency_topic or isinstance(facts.emergency_fault, Unseen):
        if facts.emergency_topic:
            yield from topic(facts.of_emergencies)
        return
    for check in check_subscription.CHECKS:
        yield from check(facts.of_emergencies)
    service = _service(facts)
    if service is None:
        return
    own = f"{facts.emergency_topic.replace('/topics/', '/subscriptions/')}-function"
    believed = service.environment.get("ROTATION_EMERGENCY_SUBSCRIPTION") or own
    names = [subscription.name for subscription in check_subscription.pushing(facts.of_emergencies)]
    if names and believed not in names:
        message = f"emergencies arrive by {short(names[0])}; the function believes {believed}"
        remedy = _set(service, f"ROTATION_EMERGENCY_SUBSCRIPTION={names[0]}")
        yield _bad("emergency-subscription", message, remedy)


def strangers(facts: Installation) -> Iterator[Finding]:
    """Whether everybody may call the function."""
    service = _service(facts)
    if service is None:
        return
    for member in facts.open_to:
        remedy = gcloud(
            *("run", "services", "remove-iam-policy-binding", *_place(service)),
            *(f"--member={member}", "--role=roles/run.invoker"),
        )
        yield _bad("invoker-everybody", f"{member} may invoke {short(service.name)}", remedy)


def function(facts: Installation) -> Iterator[Finding]:
    """Whether the function is there and its newest revision serves."""
    service = facts.service
    if isinstance(service, Unseen) and service.is_missing:
        remedy = f"rotation doctor --region REGION   # it is not {facts.service_name}"
        yield _bad("function", f"{facts.service_name} does not exist", remedy)
    elif isinstance(service, Unseen):
        yield unseen(INSTALLATION, service)
    elif service is not None and service.trouble:
        remedy = gcloud("run", "services", "describe", *_place(service))
        yield _bad("function", f"its newest revision does not serve: {service.trouble}", remedy)


def function_times(facts: Installation) -> Iterator[Finding]:
    """Whether budget, timeout, ack deadline and lease are in their order."""
    service = _service(facts)
    if service is None:
        return
    budget, lease = _number(service, "ROTATION_BUDGET_SECONDS", _BUDGET), _lease(service)
    if service.timeout <= budget:
        seconds = int(budget) + 60
        remedy = gcloud("run", "services", "update", *_place(service), f"--timeout={seconds}")
        message = (
            f"its timeout of {service.timeout:g} s is not longer than its budget of {budget:g} s"
        )
        yield _bad("function-timeout", message, remedy)
    for subscription in check_subscription.pushing(facts):
        if service.timeout > subscription.ack_deadline > budget:
            remedy = gcloud(
                *("run", "services", "update", *_place(service)),
                f"--timeout={max(int(budget) + 1, subscription.ack_deadline - 60)}",
            )
            message = (
                f"its timeout of {service.timeout:g} s outlives the ack deadline of"
                f" {subscription.ack_deadline} s"
            )
            yield _bad("function-timeout", message, remedy)
        if subscription.ack_deadline > lease:
            remedy = _set(service, f"ROTATION_LEASE_SECONDS={subscription.ack_deadline}")
            deadline = subscription.ack_deadline
            message = f"the lease of {lease:g} s ends before the ack deadline of {deadline} s"
            yield _bad("function-lease", message, remedy)


def function_instances(facts: Installation) -> Iterator[Finding]:
    """Whether concurrency and instances are bounded."""
    service = _service(facts)
    if service is None:
        return
    if service.concurrency > _MOST_CONCURRENT:
        remedy = gcloud("run", "services", "update", *_place(service), "--concurrency=8")
        message = f"one instance takes {service.concurrency} requests at once"
        yield _warn("function-concurrency", message, remedy)
    if not service.most_instances:
        remedy = gcloud("run", "services", "update", *_place(service), "--max-instances=10")
        yield _warn("function-instances", "the number of its instances has no limit", remedy)


def function_account(facts: Installation) -> Iterator[Finding]:
    """Whether the function has an account of its own."""
    service = _service(facts)
    if service is None:
        return
    if not service.account or service.account.endswith("-compute@developer.gserviceaccount.com"):
        own = f"--service-account=rotation@{facts.project}.iam.gserviceaccount.com"
        remedy = gcloud("run", "services", "update", *_place(service), own)
        yield _bad("function-account", "it runs as the default account of the project", remedy)


def function_environment(facts: Installation) -> Iterator[Finding]:
    """Whether the function knows its project and its topic."""
    service = _service(facts)
    if service is None:
        return
    wanted = {"ROTATION_PROJECT": facts.project, "ROTATION_TOPIC": facts.topic}
    for name, value in wanted.items():
        deployed = service.environment.get(name, "")
        if value and deployed != value:
            message = f"{name} is {deployed}" if deployed else f"{name} is not set"
            remedy = _set(service, f"{name}={value}")
            yield _bad("function-environment", f"{message}, and it should be {value}", remedy)


def targets(facts: Installation) -> Iterator[Finding]:
    """Whether a document says what may be touched, and no more than is made use of."""
    if not facts.has_targets:
        remedy = "export ROTATION_TARGETS=targets.yaml"
        message = (
            "ROTATION_TARGETS is not set here: what policies name cannot be judged or looked at"
        )
        yield _bad("targets", message, remedy)
    for use in facts.targets:
        if not use.projects <= {facts.project, facts.number}:
            continue  # secrets of other projects are not listed here
        show = f"rotation targets show {use.name}"
        if not use.users and not use.unknown:
            message = f"no policy of this project uses the target {use.name}"
            yield _warn("target-unused", message, show)
        for line, user in use.wide:
            message = f"{line.path} is {line.pattern}, and {user.secret_id} alone makes use of it"
            yield _warn("target-wide", message, show)


def function_keys(facts: Installation) -> Iterator[Finding]:
    """Whether the function signs what it writes."""
    service = _service(facts)
    if service is None or service.environment.get("ROTATION_KEYS"):
        return
    remedy = (
        "rotation keys rotate | gcloud secrets versions add rotation-keys --data-file=-;"
        " then mount that version and set ROTATION_KEYS, as deploy/docs/keys.md says"
    )
    yield _warn("function-keys", "ROTATION_KEYS is not set: it signs no record", remedy)


def function_version(facts: Installation) -> Iterator[Finding]:
    """Whether the function runs the release that this command is of."""
    service = _service(facts)
    if service is None or not facts.version:
        return
    deployed = service.environment.get("ROTATION_VERSION", "")
    if not deployed:
        remedy = _set(service, f"ROTATION_VERSION={facts.version}")
        yield _warn("function-version", "it does not say which release it runs", remedy)
    elif deployed != facts.version:
        remedy = f"deploy release {facts.version}, or: pip install 'rotation[cli]=={deployed}'"
        message = f"the function runs release {deployed}, this command is {facts.version}"
        yield _warn("function-version", message, remedy)


def invoker(facts: Installation) -> Iterator[Finding]:
    """Whether the push may reach the function."""
    service = _service(facts)
    for account, may in facts.invokes.items():
        if isinstance(may, Unseen):
            yield unseen(INSTALLATION, may)
        elif not may and service is not None:
            remedy = gcloud(
                *("run", "services", "add-iam-policy-binding", *_place(service)),
                *(f"--member=serviceAccount:{account}", "--role=roles/run.invoker"),
            )
            yield _bad("invoker", f"{account} may not invoke {short(service.name)}", remedy)


def function_rights(facts: Installation) -> Iterator[Finding]:
    """Whether the function may publish wake-ups and list secrets."""
    service = _service(facts)
    account = service.account if service else ""
    if isinstance(facts.publishes, Unseen):
        yield unseen(INSTALLATION, facts.publishes)
    elif facts.publishes:
        remedy = gcloud(
            *("pubsub", "topics", "add-iam-policy-binding", facts.topic),
            f"--member=serviceAccount:{account}",
            f"--role=projects/{facts.project}/roles/rotationPublisher",
        )
        yield _bad("publish", f"{account} may not publish to {facts.topic}", remedy)
    if isinstance(facts.lists, Unseen):
        yield unseen(INSTALLATION, facts.lists)
    elif not facts.lists:
        remedy = gcloud(
            *("projects", "add-iam-policy-binding", facts.project),
            f"--member=serviceAccount:{account}",
            f"--role=projects/{facts.project}/roles/rotationSweep",
        )
        yield _bad("sweep-rights", f"{account} may not list the secrets of the project", remedy)


def sweep(facts: Installation) -> Iterator[Finding]:
    """Whether the sweep is scheduled, runs, and says the right thing."""
    job = facts.job
    if isinstance(job, Unseen) and job.is_missing:
        remedy = gcloud(
            *("scheduler", "jobs", "create", "pubsub", short(facts.job_name)),
            *(f"--project={facts.project}", f"--location={facts.region}"),
            *("--schedule=*/5 * * * *", f"--topic={facts.topic}"),
            "--attributes=eventType=ROTATION_SWEEP",
        )
        yield _bad("sweep", f"{facts.job_name} does not exist", remedy)
    elif isinstance(job, Unseen):
        yield unseen(INSTALLATION, job)
    elif job is not None:
        yield from _sweep_job(facts, job)


def _sweep_job(facts: Installation, job: Job) -> Iterator[Finding]:
    place = (short(job.name), f"--project={facts.project}", f"--location={facts.region}")
    update = ("scheduler", "jobs", "update", "pubsub", *place)
    if not job.is_enabled:
        fix = Fix("resume-job", job.name)
        remedy = gcloud("scheduler", "jobs", "resume", *place)
        yield Finding(
            "sweep-paused", Severity.ERROR, INSTALLATION, "the sweep is paused", remedy, fix
        )
        message = "the sweep is paused"
        yield Finding("sweep-paused", Severity.ERROR, INSTALLATION, message, remedy, fix)
    if facts.topic and job.topic != facts.topic:
        remedy = gcloud(*update, f"--topic={facts.topic}")
        yield _bad("sweep-topic", f"the sweep goes to {job.topic or 'no topic'}", remedy)
    if job.attributes.get("eventType") != "ROTATION_SWEEP":
        remedy = gcloud(*update, "--update-attributes=eventType=ROTATION_SWEEP")
        yield _bad("sweep-attributes", "its message lacks eventType=ROTATION_SWEEP", remedy)
    if job.failure:
        remedy = gcloud("scheduler", "jobs", "run", *place)
        yield _bad("sweep-failing", f"its last run failed: {job.failure}", remedy)
    late = timedelta(seconds=facts.sweep_seconds) * _MISSED
    if job.is_enabled and job.last_attempt and facts.now - job.last_attempt > late:
        remedy = gcloud("scheduler", "jobs", "run", *place)
        message = f"its last run was at {job.last_attempt:%Y-%m-%d %H:%M:%SZ}"
        yield _warn("sweep-late", message, remedy)


def services(facts: Installation) -> Iterator[Finding]:
    """Whether services that take a secret's latest version could be looked for."""
    if isinstance(facts.services, Unseen):
        yield unseen(INSTALLATION, facts.services)


def clock(facts: Installation) -> Iterator[Finding]:
    """Whether this machine's clock agrees with Google's."""
    if facts.ahead is not None and abs(facts.ahead) > _SKEW:
        way = "behind" if facts.ahead > 0 else "ahead of"
        message = f"this machine's clock is {abs(facts.ahead):.0f} s {way} Google's"
        yield _warn("clock", message, "sudo chronyc makestep")


def quota(facts: Installation) -> Iterator[Finding]:
    """Whether the schedules leave room under the write quota."""
    minutes = Counter(firing.replace(second=0, microsecond=0) for firing in facts.firings)
    if not minutes or not facts.writes_per_minute:
        return
    minute, count = max(minutes.items(), key=lambda item: item[1])
    if count * _WRITES > facts.writes_per_minute:
        message = (
            f"{count} secrets rotate in the minute of {minute:%Y-%m-%d %H:%M}, which takes"
            f" {count * _WRITES} writes of {facts.writes_per_minute:g}"
        )
        remedy = "gcloud secrets update SECRET --next-rotation-time=TIME   # spread them"
        yield _warn("quota", message, remedy)


#: In the order a person would mend things.
def plugins(facts: Installation) -> Iterator[Finding]:
    """Whether every plugin is fit to be named by a policy."""
    for fault in facts.plugins:
        remedy = fault.remedy or "rotation generate --check   # when it is repaired"
        message = str(fault.args[0])
        yield Finding("plugin", Severity.WARNING, INSTALLATION, message, remedy)


CHECKS: Final[tuple[Check, ...]] = (
    topic, *check_subscription.CHECKS, emergencies, strangers, function, function_times,
    function_instances,
    function_account, function_environment, function_keys, targets, function_version, invoker,
    function_rights, sweep, services, clock, quota, plugins,
)  # fmt: skip


def _service(facts: Installation) -> Service | None:
    return facts.service if isinstance(facts.service, Service) else None


def _lease(service: Service) -> float:
    return _number(service, "ROTATION_LEASE_SECONDS", _LEASE)


def _number(service: Service, name: str, default: float) -> float:
    try:
        return float(service.environment.get(name) or default)
    except ValueError:
        return default


def _place(service: Service) -> tuple[str, ...]:
    region = service.name.split("/")[3]
    return (short(service.name), f"--project={project_of(service.name)}", f"--region={region}")


def _set(service: Service, variable: str) -> str:
    return gcloud("run", "services", "update", *_place(service), f"--update-env-vars={variable}")


def _bad(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Severity.ERROR, INSTALLATION, message, remedy)


def _warn(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Severity.WARNING, INSTALLATION, message, remedy)

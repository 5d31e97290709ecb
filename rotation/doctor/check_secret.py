"""Checks of one secret: policy, schedule, topics, versions, phase, other managers.  Pure.

1. Each check yields what is wrong and nothing when all is well.
2. The order of `CHECKS` is the order in which a person would mend things.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from rotation.doctor.facts import SecretFacts
from rotation.doctor.findings import Finding, Fix, Severity, gcloud, on_secret, unseen
from rotation.engine import codec
from rotation.model.deployment import Unseen
from rotation.model.errors import NOT_ALLOWED
from rotation.model.phase import Phase
from rotation.model.secret import VersionState
from rotation.policies.demands import undercut
from rotation.policies.duration import format_duration

#: A lease that ended so long ago was not merely interrupted: the sweep did not take over.
_STUCK: Final = timedelta(minutes=15)
#: Bytes of annotations that the record and the receipt may still need.
_ROOM: Final = 4 * 1024
_OUR_LABELS: Final = len(codec.LABELS)
#: Labels in which tools say that a secret is theirs.
_MANAGERS: Final = ("managed-by", "managed_by")
#: Managers that leave the credential alone.
_HARMLESS: Final = frozenset({"rotation", "terraform", ""})
_ALIASES: Final = ("current", "previous")

Check = Callable[[SecretFacts], Iterator[Finding]]


def policy(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the policy can be carried out."""
    if facts.snapshot.policy_fault is not None:
        name, reason = facts.secret.name.secret_id, facts.snapshot.policy_fault.reason
        remedy = (
            f"rotation targets explain {name}"
            if reason == NOT_ALLOWED
            else f"rotation policy apply {name} policy.yaml"
        )
        yield _bad(facts, "policy", str(facts.snapshot.policy_fault.args[0]), remedy)


def destroy_ttl(facts: SecretFacts) -> Iterator[Finding]:
    """Whether a delayed destruction keeps a revoked payload longer than the policy wants."""
    ttl, wanted = facts.secret.version_destroy_ttl, facts.snapshot.policy
    if wanted is None or ttl is None or ttl <= max(wanted.retire.destroy_after, timedelta(days=1)):
        return
    length = format_duration(wanted.retire.destroy_after)
    seconds = max(86400, int(wanted.retire.destroy_after.total_seconds()))
    yield _warn(
        facts,
        "destroy-ttl",
        f"version_destroy_ttl of {format_duration(ttl)} keeps a version that the policy destroys"
        f" after {length}",
        _update(facts, f"--version-destroy-ttl={seconds}s"),
    )


def expires(facts: SecretFacts) -> Iterator[Finding]:
    """Whether Secret Manager deletes the secret one day."""
    if facts.secret.expires_at is not None:
        message = f"Secret Manager deletes it at {facts.secret.expires_at:%Y-%m-%d %H:%M:%SZ}"
        yield _bad(facts, "expires", message, _update(facts, "--remove-expiration"))


def schedule(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the secret has a schedule that goes on."""
    plan = facts.secret.schedule
    first = f"{facts.snapshot.now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    if plan is None:
        period = "--rotation-period=2592000s"
        remedy = _update(facts, f"--next-rotation-time={first}", period)
        yield _bad(facts, "schedule", "it has no rotation schedule", remedy)
    elif plan.period is None:
        remedy = _update(facts, "--rotation-period=2592000s")
        yield _warn(facts, "schedule", "its schedule fires once and then is gone", remedy)


def overdue(facts: SecretFacts) -> Iterator[Finding]:
    """Whether a firing was left unserved."""
    since, now = facts.snapshot.overdue_since, facts.snapshot.now
    if since is not None and not facts.snapshot.block:
        late = format_duration(timedelta(minutes=(now - since) // timedelta(minutes=1)))
        remedy = f"rotation rotate {facts.secret.name.secret_id}"
        message = f"its schedule fired {late} ago and no rotation followed"
        yield _bad(facts, "overdue", message, remedy)


def age(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the credential in force is older than the schedule promises."""
    state, plan = facts.snapshot.state, facts.secret.schedule
    if state is None or plan is None or plan.period is None or state.receipt is None:
        return
    since = state.receipt.published_at or state.receipt.settled_at
    if state.phase is Phase.SETTLED and facts.snapshot.now - since > plan.period * 1.5:
        old = format_duration(timedelta(hours=(facts.snapshot.now - since) // timedelta(hours=1)))
        period = format_duration(plan.period)
        remedy = f"rotation rotate {facts.secret.name.secret_id}"
        message = f"the credential in force is {old} old, and the period is {period}"
        yield _warn(facts, "age", message, remedy)


def max_age(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the schedule keeps to the age that the targets allow, and the credential does."""
    snapshot, policy, plan = facts.snapshot, facts.snapshot.policy, facts.secret.schedule
    if policy is None or policy.max_age is None:
        return
    if late := undercut(policy, plan.period if plan else None):
        period = f"--rotation-period={int(policy.max_age.total_seconds())}s"
        yield _warn(facts, "max-age", late, _update(facts, period))
    since = snapshot.too_old_since
    if since is not None and snapshot.now - since > _STUCK and not snapshot.block:
        longest, line = format_duration(policy.max_age), policy.demanded["max_age"]
        remedy = f"rotation rotate {facts.secret.name.secret_id}"
        message = f"its credential is older than the {longest} of {line}, and no rotation followed"
        yield _bad(facts, "too-old", message, remedy)


def never(facts: SecretFacts) -> Iterator[Finding]:
    """Whether there was a rotation at all."""
    snapshot = facts.snapshot
    idle = snapshot.state is not None and not snapshot.is_in_flight
    if idle and snapshot.current is None and not snapshot.block:
        remedy = f"rotation rotate {facts.secret.name.secret_id}"
        yield _warn(facts, "never-rotated", "no rotation has ever been done", remedy)


def topic(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the secret publishes to the topic that wakes the function."""
    ours = facts.our_topic
    if ours and ours not in map(_by_id(facts), facts.secret.topics):
        remedy = _update(facts, f"--add-topics={ours}")
        what = (
            "it has no topic" if not facts.secret.topics else "its topics do not wake the function"
        )
        yield _bad(facts, "topic", f"{what}: {ours} is missing", remedy)
    for name in facts.secret.topics:
        if ours and _by_id(facts)(name) != ours:
            message = f"it publishes to {name} too, and every step of a rotation goes there"
            yield _warn(facts, "foreign-topic", message, _update(facts, f"--remove-topics={name}"))


def topic_rights(facts: SecretFacts) -> Iterator[Finding]:
    """Whether each topic exists, and Secret Manager may publish to it."""
    for name, fault in facts.topics.items():
        about = str(facts.secret.name)
        if fault is not None and fault.is_missing:
            remedy = gcloud("pubsub", "topics", "create", name)
            yield _bad(facts, "topic-missing", f"the topic {name} does not exist", remedy)
        elif fault is not None:
            yield unseen(about, fault)
        may = facts.publishes.get(name, True)
        if isinstance(may, Unseen):
            yield unseen(about, may)
        elif not may:
            remedy = gcloud(
                *("pubsub", "topics", "add-iam-policy-binding", name),
                *(f"--member=serviceAccount:{facts.agent}", "--role=roles/pubsub.publisher"),
            )
            yield _bad(facts, "topic-publish", f"{facts.agent} may not publish to {name}", remedy)


def aliases(facts: SecretFacts) -> Iterator[Finding]:
    """Whether what consumers are pointed to is there and enabled."""
    name, state = facts.secret.name, facts.snapshot.state
    receipt = state.receipt if state else None
    policy = facts.snapshot.policy
    rides = policy is not None and any(
        participant.kind == "alias"
        for stage in policy.rollout
        for participant in stage.participants
    )
    recorded = receipt.current if receipt else None
    settled = state is not None and state.phase is Phase.SETTLED
    if rides and settled and recorded and "current" not in facts.secret.aliases:
        is_enabled = facts.versions.get(recorded) is VersionState.ENABLED
        fix = Fix("add-alias", str(name), {"current": recorded}) if is_enabled else None
        remedy = _update(facts, f"--update-version-aliases=current={recorded}")
        yield _bad(facts, "alias", "the alias current is missing", remedy, fix)
    elif rides and settled and recorded and facts.secret.aliases["current"] != recorded:
        moved = facts.secret.aliases["current"]
        remedy = _update(facts, f"--update-version-aliases=current={recorded}")
        message = (
            f"the alias current was moved to version {moved}; "
            f"the last rotation ended with {recorded}"
        )
        yield _bad(facts, "alias", message, remedy)
    for alias in _ALIASES:
        number = facts.secret.aliases.get(alias)
        state_of = facts.versions.get(number) if number else None
        if isinstance(state_of, Unseen) and state_of.is_missing:
            message = f"the alias {alias} points to version {number}, which does not exist"
            remedy = _update(facts, f"--remove-version-aliases={alias}")
            yield _bad(facts, "alias", message, remedy)
        elif isinstance(state_of, Unseen):
            yield unseen(str(name), state_of)


def current_version(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the version in force can be read."""
    version_state = facts.versions.get(facts.snapshot.current) if facts.snapshot.current else None
    if version_state is VersionState.DISABLED:
        remedy = gcloud(
            "secrets", "versions", "enable", str(facts.snapshot.current),
            f"--secret={facts.secret.name.secret_id}", *on_secret(facts.secret.name)[1:],
        )  # fmt: skip
        message = f"version {facts.snapshot.current} is in force and disabled"
        yield _bad(facts, "current-version", message, remedy)
    elif version_state is VersionState.DESTROYED:
        remedy = f"rotation emergency {facts.secret.name.secret_id} --reason 'version destroyed'"
        message = f"version {facts.snapshot.current} is in force and destroyed"
        yield _bad(facts, "current-version", message, remedy)


def blocked(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the worker stopped, or the stored state cannot be read."""
    name = facts.secret.name.secret_id
    if facts.snapshot.state_fault is not None:
        remedy = facts.snapshot.state_fault.remedy or f"rotation status {name}"
        yield _bad(facts, "state", str(facts.snapshot.state_fault.args[0]), remedy)
    if codec.BLOCKED in facts.secret.labels:
        reason = facts.secret.labels[codec.BLOCKED]
        why = f": {facts.snapshot.block.message}" if facts.snapshot.block else ""
        remedy = f"rotation unblock {name}"
        yield _bad(facts, "blocked", f"it is blocked, {reason}{why}", remedy)


def stuck(facts: SecretFacts) -> Iterator[Finding]:
    """Whether a rotation stands still that should have gone on."""
    state = facts.snapshot.state
    if state is None or state.phase is Phase.SETTLED or state.block is not None:
        return
    ended = [moment for moment in (state.lease_until, state.wake_at) if moment is not None]
    since = max(ended, default=None)
    now = facts.snapshot.now
    if since is not None and now - since > _STUCK:
        late = format_duration(timedelta(minutes=(now - since) // timedelta(minutes=1)))
        attributes = f"eventType=ROTATION_WAKE,secretId={facts.secret.name}"
        topic = facts.our_topic or "rotation"
        remedy = gcloud("pubsub", "topics", "publish", topic, f"--attribute={attributes}")
        message = f"its rotation is {state.phase.value} and should have gone on {late} ago"
        yield _bad(facts, "stuck", message, remedy)


def room(facts: SecretFacts) -> Iterator[Finding]:
    """Whether labels and annotations have room for a rotation."""
    theirs = len(facts.secret.labels.keys() - set(codec.LABELS))
    if theirs + _OUR_LABELS > codec.MAX_LABELS:
        spare = next(iter(sorted(facts.secret.labels.keys() - set(codec.LABELS))))
        remedy = _update(facts, f"--remove-labels={spare}")
        message = f"{theirs} labels leave no room for the {_OUR_LABELS} of a rotation"
        yield _bad(facts, "room", message, remedy)
    ours = {codec.RECORD, codec.RECEIPT, codec.BLOCK}
    kept = {key: text for key, text in facts.secret.annotations.items() if key not in ours}
    used = sum(len(key.encode()) + len(text.encode()) for key, text in kept.items())
    if used > codec.MAX_ANNOTATION_BYTES - _ROOM:
        largest = max(kept, key=lambda key: len(kept[key]))
        remedy = _update(facts, f"--remove-annotations={largest}")
        message = f"{used} bytes of annotations leave no room for what a rotation stores"
        yield _bad(facts, "room", message, remedy)


def managed(facts: SecretFacts) -> Iterator[Finding]:
    """Whether somebody else rotates it."""
    if facts.secret.managed_rotation:
        remedy = gcloud("secrets", "disable-managed-rotation", *on_secret(facts.secret.name))
        yield _bad(facts, "managed-rotation", "Google's managed rotation is active", remedy)
    for label in _MANAGERS:
        who = facts.secret.labels.get(label, "")
        if who not in _HARMLESS:
            remedy = _update(facts, f"--remove-labels={label}")
            message = f"its label {label} says that {who} manages it"
            yield _warn(facts, "other-manager", message, remedy)


#: In the order a person would mend things.
CHECKS: Final[tuple[Check, ...]] = (
    policy, expires, managed, blocked, stuck, topic, topic_rights, schedule, overdue, max_age,
    never, age, current_version, aliases, destroy_ttl, room,
)  # fmt: skip


def _by_id(facts: SecretFacts) -> Callable[[str], str]:
    """Spell a topic with the project's id, where it is our own project."""
    number = f"projects/{facts.secret.name.project}/"

    def spell(name: str) -> str:
        return name.replace(number, f"projects/{facts.project}/", 1) if facts.project else name

    return spell


def _update(facts: SecretFacts, *options: str) -> str:
    return gcloud("secrets", "update", *on_secret(facts.secret.name), *options)


def _bad(
    facts: SecretFacts, check: str, message: str, remedy: str = "", fix: Fix | None = None
) -> Finding:
    return Finding(check, Severity.ERROR, str(facts.secret.name), message, remedy, fix)


def _warn(facts: SecretFacts, check: str, message: str, remedy: str = "") -> Finding:
    return Finding(check, Severity.WARNING, str(facts.secret.name), message, remedy)

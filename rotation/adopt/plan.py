"""Put the issuer's steps and those of the secret together, in the order they are taken.

Rules of this module:
  1. Pure: what was read in, steps out.
  2. The rotator's secret comes first, so that its password is kept before the system knows it;
     the schedule comes last, so that nothing rotates before all the rest is done.
  3. A policy that is there already is kept as it is.
  4. Rights in Google Cloud are not given here: their commands are shown.
  5. A command is made of words, and quoted as a whole: no name in it is an option or a command.
  6. No command replaces a map of the secret: annotations, labels and aliases are written by our own
     command, under the ETag.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import join
from typing import Any, Final

from rotation.model.adoption import AdoptionSpec, IssuerPlan, Step
from rotation.model.names import SecretName
from rotation.model.secret import Secret

POLICY: Final = "rotation.policy"
CURRENT: Final = "current"
ROTATOR_SECRET, POINTER, SCHEDULE = "rotator-secret", "policy", "schedule"
#: Files beside the commands.
POLICY_FILE, ROTATOR_FILE, TARGETS_FILE = "policy.json", "rotator.json", "targets.json"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person wants of the secret."""

    secret: Secret
    #: The version in force.
    version: int
    rotator_secret: SecretName
    has_rotator: bool
    topic: str
    period: timedelta
    first: datetime
    issuer: str
    labels: Mapping[str, str]
    #: What the deployment calls the system, or shall.
    target: str
    #: Settings that a target says, never a policy.
    owned: frozenset[str]


def every_step(wanted: Wanted, issuer: IssuerPlan) -> tuple[Step, ...]:
    """Return all steps in order."""
    return (
        _rotator_secret(wanted),
        *issuer.steps,
        _pointer(wanted, issuer),
        _schedule(wanted),
    )


def policy_of(wanted: Wanted, issuer: IssuerPlan) -> str:
    """Return the policy to store: the one that is there, or a new one."""
    stored = wanted.secret.annotations.get(POLICY)
    if stored:
        return stored
    own = {key: value for key, value in issuer.settings.items() if key not in wanted.owned}
    return json.dumps({"issuer": {"kind": wanted.issuer, "target": wanted.target, **own}})


def targets_of(wanted: Wanted, issuer: IssuerPlan) -> dict[str, Any]:
    """Return what the deployment's targets document needs, by name."""
    own = {key: value for key, value in issuer.settings.items() if key in wanted.owned}
    secrets = [str(wanted.secret.name)]
    return {wanted.target: {"kind": wanted.issuer, **own, **issuer.allowed, "secrets": secrets}}


def labels_of(wanted: Wanted) -> dict[str, str]:
    """Return the labels the secret shall have."""
    return {**wanted.secret.labels, **wanted.labels}


def aliases_of(wanted: Wanted) -> dict[str, int]:
    """Return the aliases the secret shall have; one that points somewhere is left alone."""
    return {CURRENT: wanted.version, **wanted.secret.aliases}


def rights(wanted: Wanted, project: str) -> tuple[str, ...]:
    """Return the commands that give service accounts their rights; for a person to run."""
    secret, rotator = wanted.secret.name, wanted.rotator_secret
    function = f"serviceAccount:rotation@{project}.iam.gserviceaccount.com"
    number = secret.project if secret.project.isdecimal() else "PROJECT_NUMBER"
    agent = f"serviceAccount:service-{number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    roles = f"projects/{project}/roles"
    return (
        _bind("pubsub", "topics", wanted.topic, agent, "roles/pubsub.publisher"),
        _bind("secrets", str(secret), function, f"{roles}/rotationFunction"),
        _bind("secrets", str(rotator), function, f"{roles}/rotationReader"),
    )


def _bind(*words: str) -> str:
    *group, name, member, role = words
    binding = ["add-iam-policy-binding", name, f"--member={member}", f"--role={role}"]
    return join(["gcloud", *group, *binding])


def _rotator_secret(wanted: Wanted) -> Step:
    name = wanted.rotator_secret
    create = ["gcloud", "secrets", "create", str(name), "--replication-policy=automatic"]
    return Step(
        ROTATOR_SECRET,
        f"keep a new login of the rotator in the secret {name.secret_id}",
        "The function logs in with it. Its password exists here before the"
        " system knows it, so that it cannot be lost.",
        done=wanted.has_rotator,
        commands=(
            join([*create, f"--data-file={ROTATOR_FILE}"]),
            join(["rm", "-f", ROTATOR_FILE]),
        ),
    )


def _pointer(wanted: Wanted, issuer: IssuerPlan) -> Step:
    secret = wanted.secret
    labels = labels_of(wanted)
    aliases = aliases_of(wanted)
    done = POLICY in secret.annotations
    done = done and dict(secret.aliases) == aliases and dict(secret.labels) == labels
    options = [f"--current={aliases[CURRENT]}", "--keep"]
    options += [f"--label={key}={value}" for key, value in wanted.labels.items()]
    command = ["rotation", "policy", "apply", *options, "--", str(secret.name), POLICY_FILE]
    del issuer
    return Step(
        POINTER,
        f"store the policy, and point the alias {CURRENT} at version {aliases[CURRENT]}",
        "Consumers of latest see nothing of it; those that move to the alias are told when.",
        done=done,
        commands=(join(command),),
    )


def _schedule(wanted: Wanted) -> Step:
    secret = wanted.secret
    seconds = f"{wanted.period.total_seconds():.0f}s"
    return Step(
        SCHEDULE,
        f"have a message sent to {wanted.topic}, first at {wanted.first:%Y-%m-%d %H:%M}Z,"
        f" then every {seconds}",
        "From here on the credential is rotated. A topic or schedule that is there is kept.",
        done=wanted.topic in secret.topics and secret.schedule is not None,
        commands=(
            join(
                [
                    *("gcloud", "secrets", "update", str(secret.name)),
                    f"--add-topics={wanted.topic}",
                    f"--next-rotation-time={wanted.first:%Y-%m-%dT%H:%M:%SZ}",
                    f"--rotation-period={seconds}",
                ]
            ),
        ),
    )


def as_json(steps: tuple[Step, ...], spec: AdoptionSpec) -> list[dict[str, Any]]:
    """Return steps as plain values, without what should not be shown."""
    return [
        {
            "name": step.name,
            "title": step.title,
            "why": step.why,
            "done": step.done,
            "waits": step.waits or None,
            "statements": [
                [spec.masked(statement) for statement in group] for group in step.transactions
            ],
            "commands": list(step.commands),
        }
        for step in steps
    ]

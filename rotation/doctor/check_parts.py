"""Checks of what one rotation asks: issuer, rights, participants, gates, consumers.  Pure.

1. What an issuer's preflight says is passed on under ``issuer-`` and its own slug.
2. What it cannot test without a credential in force is left out: that there is none is a finding
   of its own.
"""

from collections.abc import Callable, Iterator
from typing import Final

from rotation.doctor.facts import SecretFacts
from rotation.doctor.findings import Finding, Severity, gcloud, on_secret, short, unseen
from rotation.model.deployment import Unseen
from rotation.model.names import SecretName
from rotation.model.plugin import Severity as Level

Check = Callable[[SecretFacts], Iterator[Finding]]

#: Which generated role holds the permissions of each kind of resource.
_READER: Final = "rotationReader"


def issuer(facts: SecretFacts) -> Iterator[Finding]:
    """Pass on what the issuer found."""
    about = str(facts.secret.name)
    if facts.issuer_unseen is not None:
        yield unseen(about, facts.issuer_unseen)
    for finding in facts.issuer:
        if finding.severity not in {Level.OK, Level.UNTESTED}:
            severity = Severity.ERROR if finding.severity is Level.ERROR else Severity.WARNING
            # What has no remedy of its own is a consequence of something that has.
            remedy = finding.remedy or f"rotation doctor {facts.secret.name.secret_id}"
            yield Finding(f"issuer-{finding.check}", severity, about, finding.message, remedy)


def rights(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the function's account may do what a rotation does."""
    about = str(facts.secret.name)
    for right in facts.rights:
        if isinstance(right.lacking, Unseen):
            yield unseen(about, right.lacking)
        elif right.lacking:
            own = right.resource == about or short(right.resource) == facts.secret.name.secret_id
            role = "rotationFunction" if own else _READER
            message = f"{facts.account} lacks {', '.join(right.lacking)} on {right.resource}"
            yield Finding(
                "rights", Severity.ERROR, about, message, _grant(facts, right.resource, role)
            )


def rollout(facts: SecretFacts) -> Iterator[Finding]:
    """Whether participants and gates answer."""
    about = str(facts.secret.name)
    if isinstance(facts.replies, Unseen):
        yield unseen(about, facts.replies)
        return
    for reply in facts.replies:
        if reply.obstacle:
            remedy = f"rotation plan {facts.secret.name.secret_id}"
            severity = Severity.WARNING if reply.is_blind else Severity.ERROR
            name = f"gate {reply.name}" if reply.kind == "gate" else reply.name
            yield Finding(reply.kind, severity, about, f"{name}: {reply.obstacle}", remedy)


def consumers(facts: SecretFacts) -> Iterator[Finding]:
    """Whether somebody takes whatever is newest."""
    about = str(facts.secret.name)
    for use in facts.uses:
        yield Finding("consumer", Severity.WARNING, about, f"{use.place}: {use.says}", use.fix)
    for service, place in facts.on_latest:
        alias = f"{place}={facts.secret.name.secret_id}:current"
        _, project, _, region, _, name = service.split("/")
        remedy = gcloud(
            *("run", "services", "update", name, f"--project={project}", f"--region={region}"),
            f"--update-secrets={alias}",
        )
        message = f"the Cloud Run service {name} takes the version latest"
        yield Finding("consumer", Severity.WARNING, about, message, remedy)


CHECKS: Final[tuple[Check, ...]] = (issuer, rights, rollout, consumers)


def _grant(facts: SecretFacts, resource: str, role: str) -> str:
    name = SecretName.parse(resource)
    where = facts.project or name.project
    return gcloud(
        *("secrets", "add-iam-policy-binding", *on_secret(name)),
        f"--member=serviceAccount:{facts.account}",
        f"--role=projects/{where}/roles/{role}",
    )

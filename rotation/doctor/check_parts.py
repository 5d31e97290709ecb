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
    for each in facts.issuer:
        if each.severity not in {Level.OK, Level.UNTESTED}:
            severity = Severity.ERROR if each.severity is Level.ERROR else Severity.WARNING
            # What has no remedy of its own is a consequence of something that has.
            remedy = each.remedy or f"rotation doctor {facts.secret.name.secret_id}"
            yield Finding(f"issuer-{each.check}", severity, about, each.message, remedy)


def rights(facts: SecretFacts) -> Iterator[Finding]:
    """Whether the function's account may do what a rotation does."""
    about = str(facts.secret.name)
    for each in facts.rights:
        if isinstance(each.lacking, Unseen):
            yield unseen(about, each.lacking)
        elif each.lacking:
            own = each.resource == about or short(each.resource) == facts.secret.name.secret_id
            role = "rotationFunction" if own else _READER
            message = f"{facts.account} lacks {', '.join(each.lacking)} on {each.resource}"
            yield Finding(
                "rights", Severity.ERROR, about, message, _grant(facts, each.resource, role)
            )


def rollout(facts: SecretFacts) -> Iterator[Finding]:
    """Whether participants and gates answer."""
    about = str(facts.secret.name)
    if isinstance(facts.replies, Unseen):
        yield unseen(about, facts.replies)
        return
    for each in facts.replies:
        if each.obstacle:
            remedy = f"rotation plan {facts.secret.name.secret_id}"
            severity = Severity.WARNING if each.is_blind else Severity.ERROR
            name = f"gate {each.name}" if each.kind == "gate" else each.name
            yield Finding(each.kind, severity, about, f"{name}: {each.obstacle}", remedy)


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

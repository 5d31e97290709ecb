"""Carries out what is safe to mend without a person's judgement; the table says what that is.

Rules of this module:
  1. Only what takes nothing away from anybody: more time, an alias that was missing, a job resumed.
  2. Rights, filters, endpoints, schedules and databases are left to people.
  3. A secret is changed under its ETag.
"""

from collections.abc import Callable, Mapping
from typing import Final

from rotation.doctor.findings import Fix
from rotation.google.deployment import Deployment
from rotation.model.names import SecretName
from rotation.ports.secrets import SecretStore

Mend = Callable[[Fix, SecretStore, Deployment], str]


def _alias(fix: Fix, store: SecretStore, _deployment: Deployment) -> str:
    secret = store.get(SecretName.parse(fix.target))
    wanted = {**fix.values, **secret.aliases}  # whoever set it meanwhile wins
    store.update(secret, labels=secret.labels, annotations=secret.annotations, aliases=wanted)
    return f"{fix.target}: alias current added for version {fix.values['current']}"


def _ack_deadline(fix: Fix, _store: SecretStore, deployment: Deployment) -> str:
    deployment.enlarge_ack_deadline(fix.target, fix.values["seconds"])
    return f"{fix.target}: ack deadline set to {fix.values['seconds']} s"


def _backoff(fix: Fix, _store: SecretStore, deployment: Deployment) -> str:
    shortest, longest = fix.values["shortest"], fix.values["longest"]
    deployment.set_backoff(fix.target, shortest, longest)
    return f"{fix.target}: retries after {shortest} s to {longest} s"


def _keep(fix: Fix, _store: SecretStore, deployment: Deployment) -> str:
    deployment.keep_for_ever(fix.target)
    return f"{fix.target}: never expires"


def _resume(fix: Fix, _store: SecretStore, deployment: Deployment) -> str:
    deployment.resume_job(fix.target)
    return f"{fix.target}: resumed"


#: Everything that may be done, and by what.
MENDS: Final[Mapping[str, Mend]] = {
    "add-alias": _alias,
    "ack-deadline": _ack_deadline,
    "backoff": _backoff,
    "keep": _keep,
    "resume-job": _resume,
}


def mend(fix: Fix, store: SecretStore, deployment: Deployment) -> str:
    """Carry out one fix; return what was done.

    Raises:
        RotationError: It was refused.
    """
    return MENDS[fix.kind](fix, store, deployment)

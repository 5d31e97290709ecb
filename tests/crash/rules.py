"""Judge what was seen: which incidents are violations, and what must hold at rest.

Rules for a consumer:
  1. The credential in force logs in.  So does one that has left force, until its soak is over.
  2. Excepted is what an emergency or a revert ended on purpose: from the moment the credential
     left force on, the secret itself has recorded one, and one was asked for.
  3. What is read and never was in force, nor ever comes into force, is an orphan: readers of
     `latest` may see it until its check has run (decision 0003).  At rest there is none.

Rules for what is stored:
  4. The token never decreases; each request is served by at most one rotation that was not sent
     back.
  5. A rotation goes back only for a revert that was asked for after it had begun.
  6. A block is a violation: no fault of a schedule needs a person.  Excepted is `slot-in-use` where
     a revert was asked for: a consumer of the version that is sent back may still have a session,
     and the README documents that a person has to find it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from tests.crash.consumers import Incident, Trouble
from tests.crash.history import Key, Stored
from tests.crash.stage import SOAK

#: The block that a revert explains.
IN_USE = "slot-in-use"


@dataclass
class Asked:
    """What was asked of the secret: message or request, and when, on the stack's clock."""

    kind: str
    at: datetime
    #: Credential in force as it was asked.
    in_force: Key | None


@dataclass
class Verdict:
    """What the judgement of one seed found."""

    violations: list[str] = field(default_factory=list)
    #: Incidents that were meant to be: after an emergency or a revert, or after the soak.
    on_purpose: int = 0
    #: Incidents of readers of `latest` that met an orphan before its check.
    orphans: int = 0


def judge_incidents(incidents: list[Incident], stored: list[Stored], asked: list[Asked]) -> Verdict:
    """Judge every failed probe."""
    verdict = Verdict()
    ended = any(ask.kind in {"emergency", "revert"} for ask in asked)
    for incident in incidents:
        if incident.trouble is Trouble.STRANGER:
            verdict.violations.append(str(incident))
        elif _reads_orphan(incident, stored):
            verdict.orphans += 1
        elif why := _wrong(incident, stored, purpose=ended):
            verdict.violations.append(f"{incident}: {why}")
        else:
            verdict.on_purpose += 1
    return verdict


def _reads_orphan(incident: Incident, stored: list[Stored]) -> bool:
    if incident.consumer != "latest":
        return False
    in_force = {secret.in_force for secret in stored}
    if incident.credential:
        return incident.credential not in in_force
    return any(key not in in_force for key in _newest(incident, stored))


def _newest(incident: Incident, stored: list[Stored]) -> tuple[Key, ...]:
    """Return what may have been the newest version at a read of ``latest`` that failed.

    Adding a version writes nothing to the secret, so the next write after the answer counts too.
    """
    during = _during(incident, stored)
    after = [secret for secret in stored if secret.at > incident.ended][:1]
    first = max(len(during[0].versions) - 1, 0) if during else 0
    return (*during, *after)[-1].versions[first:] if during or after else ()


def _wrong(incident: Incident, stored: list[Stored], *, purpose: bool) -> str:
    """Say why it is a violation; empty when it is none."""
    during = _during(incident, stored)
    if not incident.credential:
        return _unreadable(incident, stored, purpose=purpose)
    if all(secret.in_force == incident.credential for secret in during):
        return "it was in force all the time"
    left = _left(incident.credential, incident.ended, stored)
    if left is None:
        return "it came into force later"
    return _too_early(incident, left, stored, purpose=purpose)


def _unreadable(incident: Incident, stored: list[Stored], *, purpose: bool) -> str:
    if not incident.version:
        return "what it names was not to be read"
    key = next((e.versions[incident.version - 1] for e in reversed(stored)), "")
    left = _left(key, incident.ended, stored)
    if left is None:
        return "it was in force"
    return _too_early(incident, left, stored, purpose=purpose)


def _too_early(incident: Incident, left: Stored, stored: list[Stored], *, purpose: bool) -> str:
    if incident.clock >= left.clock + SOAK:
        return ""
    after = [secret for secret in stored if left.at <= secret.at <= incident.ended]
    if purpose and any(secret.urgent or secret.reverted for secret in after):
        return ""
    return "it had left force, but its soak was not over"


def _during(incident: Incident, stored: list[Stored]) -> list[Stored]:
    """Return the states between the read and the answer, the one at the read included."""
    before = [secret for secret in stored if secret.at <= incident.read][-1:]
    return before + [secret for secret in stored if incident.read < secret.at <= incident.ended]


def _left(key: Key, until: float, stored: list[Stored]) -> Stored | None:
    """Return the last write before ``until`` that took a credential out of force."""
    left = None
    known = [secret for secret in stored if secret.at <= until]
    for before, after in pairwise(known):
        if before.in_force == key != after.in_force:
            left = after
    return left


def judge_history(stored: list[Stored], asked: list[Asked]) -> Iterator[str]:
    """Yield what is wrong with what was stored."""
    for before, after in pairwise(stored):
        if after.token < before.token:
            yield f"the token went from {before.token} to {after.token}"
    served, sent_back = (
        defaultdict(set),
        {secret.rotation_id for secret in stored if secret.reverted},
    )
    for secret in stored:
        if secret.rotation_id and secret.rotation_id not in sent_back:
            served[secret.request_id].add(secret.rotation_id)
    for request, rotations in served.items():
        if len(rotations) > 1:
            yield f"request {request} was served by {sorted(rotations)}"
    yield from _reverts(stored, asked)
    reasons = {secret.blocked for secret in stored if secret.blocked}
    if any(ask.kind == "revert" for ask in asked):
        reasons -= {IN_USE}
    for reason in sorted(reasons):
        yield f"blocked: {reason}"


def _reverts(stored: list[Stored], asked: list[Asked]) -> Iterator[str]:
    last = max((ask.at for ask in asked if ask.kind == "revert"), default=None)
    begun = {secret.rotation_id: secret.started_at for secret in stored if secret.rotation_id}
    for rotation_id in dict.fromkeys(e.rotation_id for e in stored if e.reverted and e.rotation_id):
        began = begun[rotation_id]
        # Stored times are whole seconds.
        if began and (last is None or last + timedelta(seconds=1) < began):
            yield f"rotation {rotation_id} went back for no revert that was asked of it"


def finished(stored: list[Stored]) -> Counter[str]:
    """Return how many rotations came to an end, by what they were."""
    ended = {secret.receipt: secret for secret in stored if secret.receipt}
    return Counter(
        {
            "rotations": sum(secret.outcome == "rotated" for secret in ended.values()),
            "emergencies": sum(
                secret.outcome == "rotated" and secret.was_emergency for secret in ended.values()
            ),
            "sent back": sum(secret.outcome != "rotated" for secret in ended.values()),
        }
    )

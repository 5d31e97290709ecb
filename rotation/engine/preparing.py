"""Carries out the phase `preparing`: mint under the next handle, verify, add the version.

Rules of this module:
  1. A version is added only after a login with it has worked: ``latest`` moves the moment it
     exists.
  2. On re-entry the versions beyond the base are looked at first, by number: one of ours whose
     login works, behind the fence, is adopted; the others of ours are disabled, and ``latest`` is
     kept readable.
  3. Only the next handle is ever minted; what is in force is left alone.
  4. Rejected: propose another candidate.  Unknown: look first, with a login.
  5. In an emergency nobody keeps the leaked credential alive by sitting on the idle handle, where a
     revert may have left a session: those sessions are ended.  Not where no credential is in force
     yet, since then nobody knows which handle is idle.
"""

from typing import Any

from rotation.engine import versions
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.outcome import Outcome
from rotation.engine.run import Run
from rotation.engine.versions import Found, Kind
from rotation.model.errors import (
    CandidateRejectedError,
    CredentialRefusedError,
    PermanentError,
    SlotInUseError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.model.payload import Payload
from rotation.model.phase import Event, Mode
from rotation.model.plugin import Minted, Verification
from rotation.ports.issuer import Composes, MintRequest, Suspends

#: Candidates proposed, and tries to get one verified, before giving up for now.
CANDIDATES = 3


def prepare(run: Run) -> Outcome:
    """Publish the next version, or adopt the one an interrupted worker has published."""
    handle, before, facts = run.next_handle, run.payload, None
    if not run.fresh:
        run.check_pointer()
        facts = _adopt(run)
    if facts is None:
        facts = _publish(run, *_mint_verified(run, handle))
    facts |= _handles(run, before)
    run.reach(CrashPoint.ADDED)
    record = run.state.in_flight
    if run.participants.staged:
        return Outcome(Event.ADDED, facts)
    if record.previous is None:
        return Outcome(Event.PUBLISHED_FIRST, facts)
    if record.mode is Mode.EMERGENCY:
        return Outcome(Event.PUBLISHED_IN_EMERGENCY, facts)
    return Outcome(Event.PUBLISHED, facts)


def _handles(run: Run, before: Payload | None) -> dict[str, str]:
    """Return the handles of *next* and *previous*; one that nobody can read counts as the other."""
    record, issuer = run.state.in_flight, run.issuer
    if before is not None:
        previous = issuer.identify(before)
    else:
        previous = issuer.next_handle(run.payload, record.id) if record.previous else ""
    return {"handle": issuer.identify(run.working), "previous_handle": previous}


def _mint_verified(run: Run, handle: str) -> tuple[Payload, Verification]:
    """Mint under the handle and use what was minted; return what that proved, too."""
    refused: CandidateRejectedError | CredentialRefusedError | None = None
    for _ in range(CANDIDATES):
        request = _request(run, handle)
        try:
            payload, minted = _mint(run, request)
            run.reach(CrashPoint.MINTED)
            verified = run.issuer.verify(payload, minted)
        except (CandidateRejectedError, CredentialRefusedError) as error:
            refused = error
            run.hold.reload()  # a newer worker may have minted over ours
            continue
        run.reach(CrashPoint.VERIFIED)
        return payload, verified
    if isinstance(refused, CandidateRejectedError):
        raise PermanentError(
            f"{CANDIDATES} candidates were refused: {refused}",
            remedy="relax the password rule of the issuer, then unblock",
            reason=refused.reason,
        )
    raise TemporaryError(f"a credential that was just set is refused: {refused}")


def _request(run: Run, handle: str) -> MintRequest:
    """Return what to mint, with a new candidate where the value is ours."""
    record, issuer = run.state.in_flight, run.issuer
    candidate = None
    if isinstance(issuer, Composes):
        candidate = issuer.propose(handle, record.id, run.payload)
    return MintRequest(
        handle=handle,
        rotation_id=record.id,
        token=run.token,
        version=record.base + 1,
        current=run.payload,
        candidate=candidate,
    )


def _mint(run: Run, request: MintRequest) -> tuple[Payload, Minted | None]:
    try:
        minted = _mint_or_free(run, request)
    except UnknownOutcomeError:
        if request.candidate is None:
            raise  # nobody here knows the value: the next attempt looks what there is
        return request.candidate, None  # the verifying login that follows decides
    return minted.payload, minted


def _mint_or_free(run: Run, request: MintRequest) -> Minted:
    try:
        return run.issuer.mint(request)
    except SlotInUseError:
        if run.state.in_flight.mode is not Mode.EMERGENCY or run.payload is None:
            raise
    run.issuer.revoke(request.handle, request.token)
    return run.issuer.mint(request)


def _publish(run: Run, candidate: Payload, verified: Verification) -> dict[str, Any]:
    record = run.state.in_flight
    run.hold.check()
    run.reach(CrashPoint.ADDING)
    number = versions.add_once(run.store, run.secret.name, candidate, record.base)
    run.added = number
    copies = () if number == record.base + 1 else _clean_up_orphans(run, number)
    run.payload = candidate
    facts = _facts(run, number, number, candidate, verified)
    return {**facts, "previous_copies": (*record.previous_copies, *copies)}


def _clean_up_orphans(run: Run, ours: int) -> tuple[int, ...]:
    """Disable what a racing worker added between the base and our version.

    Returns copies of the previous version that a racing check has added: they end with it.
    """
    record, copies = run.state.in_flight, []
    for found in versions.beyond(run.store, run.secret.name, record.base, record.id, run.payload):
        if found.number >= ours:
            break
        if found.kind is Kind.COPY:
            copies.append(found.number)
        elif found.kind in (Kind.OURS, Kind.STALE):
            run.versions.disable(found.number)
    return tuple(copies)


def _adopt(run: Run) -> dict[str, Any] | None:
    """Return the facts of a version an interrupted worker has added; None when there is none.

    The newest is taken: a worker that added twice, unsure of the first, disables the older one,
    and that request may still be on its way.
    """
    record, name = run.state.in_flight, run.secret.name
    found = list(versions.beyond(run.store, name, record.base, record.id, run.payload))
    for finding in reversed(found):
        if (
            finding.kind is Kind.OURS
            and finding.payload
            and (proof := _works(run, finding.payload))
        ):
            return _adopted(run, finding.number, finding.payload, found, proof)
    for finding in found:
        if finding.kind in (Kind.OURS, Kind.STALE):
            run.versions.disable(finding.number)
    return None


def _adopted(
    run: Run, number: int, payload: Payload, found: list[Found], verified: Verification
) -> dict[str, Any]:
    """Take version ``number`` for ours, and clean up the others; ``latest`` serves it too."""
    record, previous, run.payload = run.state.in_flight, run.payload, payload
    again = [
        versions.judge(finding.number, finding.payload, record.id, payload) for finding in found
    ]
    cleaned = versions.clean_up_among(run, record.base, record.id, again, previous)
    return {
        **_facts(run, number, cleaned.highest, payload, verified),
        "copies": tuple(copy for copy in cleaned.copies if copy != number),
        "previous_copies": (*record.previous_copies, *cleaned.spared),
    }


def _works(run: Run, payload: Payload) -> Verification | None:
    """Log in, and make sure that it will go on to work: a change of it may be under way.

    The fence waits for such a change and refuses later ones, so the login is tried again behind it.
    """
    issuer = run.issuer
    try:
        proof = issuer.verify(payload)
        if not isinstance(issuer, Suspends):
            return proof
        issuer.restore(issuer.identify(payload), run.token)
        return issuer.verify(payload)
    except CredentialRefusedError:
        return None


def _facts(
    run: Run, number: int, highest: int, payload: Payload, verified: Verification
) -> dict[str, Any]:
    return {
        "next": number,
        "highest": highest,
        "digest": payload.digest(),
        "published_at": run.now,
        "verified": verified,
        "policy_digest": run.policy_digest,
        "issuer": run.policy.issuer.kind,
    }

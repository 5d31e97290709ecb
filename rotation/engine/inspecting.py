"""Looks for drift: does the credential in force still work, and are there orphans?

Rules of this module:
  1. Looking takes no lease and writes nothing.
  2. Drift is reported, never mended without a person: somebody has changed something on purpose.
  3. Orphans are versions of ours, left by a worker that lost its lease; they are cleaned up
     under a lease, and ``latest`` stays readable.
"""

from msgspec.structs import replace

from rotation.engine import versions
from rotation.engine.run import Run
from rotation.engine.versions import CleanedUp
from rotation.machine import transitions
from rotation.machine.transitions import Claim
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.rotation import State

#: Phases that look themselves whether *next* works.
_WATCHED = frozenset({Phase.VOTING, Phase.ROLLING_OUT})


def inspect(run: Run, claim: Claim) -> tuple[str, str]:
    """Look, and clean up orphans; return a severity and what was found.

    Args:
        run: Not claimed.
        claim: The lease to take when something must be cleaned up.

    Raises:
        PermanentError: The credential in force is refused.
    """
    state = run.state
    version = state.record.next if state.record else state.current
    payload = None if version is None else _payload(run, version)
    if any(versions.beyond(run.store, run.secret.name, state.last, _id(state), payload)):
        return _clean_up_orphans(run, payload, claim)
    if version is None:
        return "INFO", "settled: there is no credential yet"
    return "INFO", f"checked: the credential of version {version} works"


def _payload(run: Run, version: int) -> Payload:
    """Return a payload that works; a rollout goes back by itself where *next* does not."""
    payload = run.store.access(run.secret.name, version).payload
    if run.state.phase in _WATCHED:
        return payload
    try:
        run.issuer.verify(payload)
    except CredentialRefusedError as error:
        raise PermanentError(
            f"version {version} is in force, and its credential is refused: {error}",
            remedy="find out who changed it; then ask for an emergency rotation",
            reason="drift",
        ) from None
    return payload


def _clean_up_orphans(run: Run, payload: Payload | None, claim: Claim) -> tuple[str, str]:
    before = run.state
    run.payload = payload
    run.hold.take(replace(before, token=before.token + 1, lease_until=claim.until))
    cleaned = versions.clean_up_orphans(run, before.last, _id(before))
    run.hold.rewrite(lambda state: _remember(transitions.rest(state, before.wake_at), cleaned))
    if not cleaned.disabled:
        return "NOTICE", f"versions up to {cleaned.highest} were added by somebody else"
    return "WARNING", f"orphan versions disabled: {', '.join(map(str, cleaned.disabled))}"


def _remember(state: State, cleaned: CleanedUp) -> State:
    """Note what was found, in the record of a rotation in flight or else in the receipt."""
    record, receipt = state.record, state.receipt
    if record is not None:
        copies = (*record.copies, *cleaned.copies)
        return replace(state, record=replace(record, highest=cleaned.highest, copies=copies))
    if receipt is not None:
        copies = (*receipt.copies, *cleaned.copies)
        return replace(state, receipt=replace(receipt, last=cleaned.highest, copies=copies))
    return state


def _id(state: State) -> str:
    return state.record.id if state.record else ""

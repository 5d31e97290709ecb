"""Looks for drift: does the credential in force still work, and does nothing stray exist?

Rules of this module:
  1. Looking takes no lease and writes nothing.
  2. Drift is reported, never mended without a person: somebody has changed something on purpose.
  3. Stray versions are ours, left by a worker that lost its hold; they are put away under a
     lease, and ``latest`` stays readable.
"""

from msgspec.structs import replace

from rotation.engine import versions
from rotation.engine.run import Run
from rotation.engine.versions import Tidied
from rotation.machine import transitions
from rotation.machine.transitions import Claim
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.rotation import State

#: Phases that look themselves whether *next* works.
_WATCHED = frozenset({Phase.VOTING, Phase.ROLLING_OUT})


def inspect(run: Run, claim: Claim) -> tuple[str, str]:
    """Look, and put strays away; return a severity and what was found.

    Args:
        run: Not claimed.
        claim: The lease to take when something must be put away.

    Raises:
        PermanentError: The credential in force is refused.
    """
    state = run.state
    version = state.record.next if state.record else state.current
    payload = None if version is None else _payload(run, version)
    if any(versions.beyond(run.store, run.secret.name, state.last, _id(state), payload)):
        return _put_away(run, payload, claim)
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


def _put_away(run: Run, payload: Payload | None, claim: Claim) -> tuple[str, str]:
    before = run.state
    run.payload = payload
    run.hold.take(replace(before, token=before.token + 1, lease_until=claim.until))
    tidied = versions.tidy(run, before.last, _id(before))
    run.hold.rewrite(lambda state: _remember(transitions.rest(state, before.wake_at), tidied))
    if not tidied.disabled:
        return "NOTICE", f"versions up to {tidied.highest} were added by somebody else"
    return "WARNING", f"stray versions disabled: {', '.join(map(str, tidied.disabled))}"


def _remember(state: State, tidied: Tidied) -> State:
    """Note what was seen, in the record of a rotation in flight or else in the receipt."""
    record, receipt = state.record, state.receipt
    if record is not None:
        copies = (*record.copies, *tidied.copies)
        return replace(state, record=replace(record, highest=tidied.highest, copies=copies))
    if receipt is not None:
        copies = (*receipt.copies, *tidied.copies)
        return replace(state, receipt=replace(receipt, last=tidied.highest, copies=copies))
    return state


def _id(state: State) -> str:
    return state.record.id if state.record else ""

"""Carries out the phases that end a credential: retiring, aborting and reverting.

Rules of this module:
  1. Nothing is retired on age alone where the issuer sees use: an observer that has proved it can
     see must have seen nobody.  An observer that cannot see holds the rotation up.  Where the
     issuer declares that it sees no use, age and what participants hand out have to do, and the
     evidence says so.
  2. Before the previous credential is suspended, the one in force must log in.
  3. Only `revoke` is final.
  4. Every effect may be repeated.
  5. A credential is dead before it is recorded as dead.  Its version is disabled after that, since
     nothing depends on it: what a crash leaves enabled opens nothing, and is destroyed in the end.
     What the issuer cannot suspend ends with the revoke alone; its version is disabled before,
     which can be undone.  A credential that is its version and nothing else dies as that is
     disabled, so there it comes before the record in an emergency, too.
  6. A request to retire without waiting skips time, never a look: the first one that finds an
     obstacle brings the waits back.
  7. Nothing ends on the record's word alone: `rotation.engine.proving` says what is looked at.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from rotation.engine import proving, versions
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.outcome import Outcome, Waiting, with_evidence
from rotation.engine.rolling import forget, hand_out_rest, retire, unmoved
from rotation.engine.run import Run
from rotation.engine.use import look_at_use
from rotation.machine import transitions
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    VersionUnavailableError,
)
from rotation.model.phase import Event, Phase
from rotation.model.plugin import Fence, Observation
from rotation.ports.issuer import Suspends

#: Shortest time between two looks at a slot that is still in use.
LOOK_AGAIN = timedelta(minutes=1)


def suspend(run: Run) -> Outcome | Waiting:
    """Stop logins of the previous credential once nobody uses it."""
    proving.check_what_stays(run)
    try:
        run.issuer.verify(run.working)
    except CredentialRefusedError as error:
        return Outcome(Event.REVERT_ASKED, {"reverted": str(error), "alarm": True})
    observed = look_at_use(run.issuer, run.previous_handle, run.working)
    obstacle = _obstacle(run, observed) or unmoved(run)
    if obstacle:
        # A worker that was interrupted, or comes late, may have suspended it already.
        _give_back(run)
        return _look_again(run, obstacle)
    run.reach(CrashPoint.SUSPENDING)
    if isinstance(run.issuer, Suspends):
        run.issuer.suspend(run.previous_handle, run.token)
    run.reach(CrashPoint.SUSPENDED)
    _for_previous(run, run.versions.disable)
    run.reach(CrashPoint.DISABLED)
    facts = {"suspended_at": run.now, "evidence": _evidence(run, "before suspending", observed)}
    return Outcome(Event.SUSPENDED, facts)


def watch(run: Run) -> Outcome | Waiting:
    """Look for stragglers while the previous credential is suspended."""
    run.check_pointer()
    observed = look_at_use(run.issuer, run.previous_handle, run.working)
    run.reach(CrashPoint.OBSERVED)
    if observed.is_conclusive:
        run.proven = run.working  # it was the witness
    if observed.sessions:
        return Outcome(Event.STRAGGLER_SEEN, {"evidence": _evidence(run, "watching", observed)})
    if obstacle := _obstacle(run, observed):
        return _look_again(run, obstacle)
    evidence = _evidence(run, "watching", observed)
    since = run.state.in_flight.suspended_at or run.now
    end = since if run.state.in_flight.skip_waits else since + run.policy.retire.observe
    if unmoved_now := unmoved(run):
        evidence = _kept(run, f"{_minute(run)} watching: {unmoved_now}")
        return Outcome(Event.STRAGGLER_SEEN, {"evidence": evidence})
    if run.now >= end:
        return Outcome(Event.WATCHED, {"evidence": evidence})
    until = min(end, run.now + transitions.look_interval(run.policy))
    newest = evidence[-1] if evidence != run.state.in_flight.evidence else ""
    return Waiting(until, "suspended; watching for stragglers", newest)


def restore(run: Run) -> Outcome:
    """Give a straggler its credential back."""
    _give_back(run)
    run.reach(CrashPoint.RESTORED)
    return Outcome(Event.RESTORED, {"suspended_at": None})


def revoke(run: Run) -> Outcome:
    """End the previous credential for good."""
    proving.check_what_stays(run)
    if not run.state.in_flight.urgent:
        proving.check_login(run)
    if run.can.fence is Fence.SECRET:
        _for_previous(run, run.versions.disable)
    ended = run.issuer.revoke(run.previous_handle, run.token)
    run.reach(CrashPoint.REVOKED)
    line = f"{_minute(run)} revoked; {ended} sessions ended"
    facts = {"revoked_at": run.now, "evidence": _kept(run, line)}
    return Outcome(Event.REVOKED, facts, lambda: _disable_revoked(run))


def destroy(run: Run) -> Outcome | Waiting:
    """Destroy the revoked version, once all consumers were handed the next one."""
    if waiting := hand_out_rest(run):
        return waiting
    try:
        proving.check_before_destroying(run)
        _for_previous(
            run, lambda number: run.versions.destroy(number, partial(proving.check_dead, run))
        )
    except PermanentError as error:
        if not run.state.in_flight.urgent:
            raise
        return Outcome(Event.DESTROYED, {"evidence": _kept(run, f"{_minute(run)} kept: {error}")})
    evidence = retire(run)
    run.reach(CrashPoint.DESTROYED)
    return Outcome(Event.DESTROYED, {"evidence": evidence})


def revert(run: Run) -> Outcome:
    """Make the previous credential work again, and prove it, before consumers go back to it.

    Where that cannot be and all consumers have *next*, an emergency goes on with that: it may be
    what leaked.
    """
    record = run.state.in_flight
    try:
        _bring_back(run)
    except PermanentError:
        if record.urgent and record.rolled_out_at is not None:
            return Outcome(Event.NO_WAY_BACK, {"reverted": "", "alarm": False})
        raise
    run.reach(CrashPoint.REVERTED)
    event = Event.POINTED_BACK if run.handed_outside() else Event.REVERTED
    return Outcome(event, {"acked": ()})


def abort(run: Run) -> Outcome | Waiting:
    """Forget *next*: its version is disabled, and nobody can log in with it."""
    record = run.state.in_flight
    run.check_pointer()
    if record.next is not None and not record.urgent:
        proving.check_previous_login(run)
    evidence = forget(run)
    if isinstance(evidence, Waiting):
        return evidence
    # Readers of ``latest`` get a copy of *previous* before the credential of *next* dies.
    cleaned = versions.clean_up_orphans(run, record.base, record.id)
    _end_next(run)
    run.reach(CrashPoint.ABORTED)
    copies = tuple(number for number in cleaned.copies if number != record.previous)
    return Outcome(
        Event.ABORTED, {"highest": cleaned.highest, "copies": copies, "evidence": evidence}
    )


def _bring_back(run: Run) -> None:
    """Make the previous credential work, and use it.

    Raises:
        PermanentError: It will not work again by itself.
    """
    record = run.state.in_flight
    if record.previous is None:
        raise PermanentError("there is no previous version to go back to", reason="no-way-back")
    try:
        _for_previous(run, run.versions.enable)
        run.payload = run.store.access(run.secret.name, record.previous).payload
        _restore(run, run.issuer.identify(run.payload))
        run.issuer.verify(run.payload)
    except (VersionUnavailableError, CredentialRefusedError) as error:
        forward = (
            f"ask for an emergency: it goes on with version {record.next}, which consumers have"
        )
        mended = f"make version {record.previous} work again by hand, then unblock"
        raise PermanentError(
            f"version {record.previous} cannot be brought back: {error.args[0]}",
            remedy=mended if record.rolled_out_at is None else f"{mended}; or {forward}",
            reason="no-way-back",
        ) from None


def _disable_revoked(run: Run) -> None:
    """Disable what is kept for a while, so that who still reads it fails at once.

    While a mass emergency uses up the quota, its writes are for credentials that live still.
    """
    rests = run.state.phase is Phase.DESTROYING and run.state.lease_until is None
    if rests and not run.store.is_busy():
        _for_previous(run, run.versions.disable_revoked)


def _for_previous(run: Run, effect: Callable[[int], None]) -> None:
    record = run.state.in_flight
    if record.previous is None:
        return
    for number in (record.previous, *record.previous_copies):
        effect(number)


def _give_back(run: Run) -> None:
    """Make the previous credential work, and keep late suspensions of it out by the token."""
    _restore(run, run.previous_handle)
    _for_previous(run, run.versions.enable)


def _end_next(run: Run) -> None:
    """Stop the logins of *next*; for good, where the issuer cannot suspend."""
    handle = run.next_handle
    if run.payload is not None and run.issuer.identify(run.payload) == handle:
        return  # a person made it the one in force
    if isinstance(run.issuer, Suspends):
        run.issuer.suspend(handle, run.token)
    else:
        run.issuer.revoke(handle, run.token)


def _restore(run: Run, handle: str) -> None:
    if isinstance(run.issuer, Suspends):
        run.issuer.restore(handle, run.token)


def _look_again(run: Run, why: str) -> Waiting:
    interval = max(LOOK_AGAIN, transitions.look_interval(run.policy))
    if run.policy.retire.observe < LOOK_AGAIN:
        interval = transitions.look_interval(run.policy)
    return Waiting(run.now + interval, why)


def _obstacle(run: Run, observed: Observation) -> str:
    """Say why the credential cannot be taken out of use; empty when it can."""
    if observed.sessions:
        clients = sorted({session.client for session in observed.sessions})
        shown = ", ".join(clients[:5]) + (" and more" if len(clients) > 5 else "")  # noqa: PLR2004
        return f"{len(observed.sessions)} sessions still use the previous credential: {shown}"
    if run.can.sees_use and not observed.is_conclusive:
        return f"cannot see who uses the previous credential: {observed.unobservable_reason}"
    return ""


def _evidence(run: Run, when: str, observed: Observation) -> tuple[str, ...]:
    if not run.can.sees_use:
        why, known = f"{observed.unobservable_reason}; retired by age", run.state.in_flight.evidence
        is_known = any(ending.endswith(why) for ending in known)
        return known if is_known else _kept(run, f"{_minute(run)} {when}: {why}")
    control = "control seen" if observed.is_conclusive else "blind"
    line = (
        f"{_minute(run)} {when}: {len(observed.sessions)} sessions on {run.previous_handle}, "
        f"{control} on {len(observed.nodes)} nodes"
    )
    return _kept(run, line)


def _kept(run: Run, line: str) -> tuple[str, ...]:
    return with_evidence(run.state.in_flight, line).evidence


def _minute(run: Run) -> str:
    return f"{run.now:%Y-%m-%dT%H:%M:%SZ}"

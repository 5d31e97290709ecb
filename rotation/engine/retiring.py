"""Carries out the phases that end a credential: retiring, aborting and reverting.

Rules of this module:
  1. Nothing is retired on age alone: an observer that has proved it can see must have seen
     nobody.  An observer that cannot see holds the rotation up.
  2. Before the previous credential is suspended, the one in force must log in.
  3. Only `revoke` is final.
  4. Every effect may be repeated.
  5. A credential is dead before it is recorded as dead.  Its version is disabled after that, since
     nothing depends on it: what a crash leaves enabled opens nothing, and is destroyed in the end.
  6. Who asks to retire without waiting skips time, never a look: the first one that finds an
     obstacle brings the waits back.
"""

from collections.abc import Callable
from datetime import timedelta

from rotation.engine import versions
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.outcome import Outcome, Waiting, with_evidence
from rotation.engine.rolling import forget, hand_out_rest, retire, unmoved
from rotation.engine.run import Run
from rotation.machine import transitions
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.phase import Event, Phase
from rotation.model.plugin import Observation

#: Shortest time between two looks at a slot that is still in use.
LOOK_AGAIN = timedelta(minutes=1)


def suspend(run: Run) -> Outcome | Waiting:
    """Stop logins of the previous credential once nobody uses it."""
    run.check_pointer()
    try:
        run.issuer.verify(run.working)
    except CredentialRefusedError as error:
        return Outcome(Event.REVERT_ASKED, {"reverted": str(error), "alarm": True})
    seen = run.issuer.observe(run.idle_slot, run.working)
    obstacle = _obstacle(seen) or unmoved(run)
    if obstacle:
        # A worker that was interrupted, or comes late, may have suspended it already.
        _give_back(run)
        return _look_again(run, obstacle)
    run.reach(CrashPoint.SUSPENDING)
    run.issuer.suspend(run.idle_slot, run.token)
    run.reach(CrashPoint.SUSPENDED)
    _for_previous(run, run.versions.disable)
    run.reach(CrashPoint.DISABLED)
    facts = {"suspended_at": run.now, "evidence": _evidence(run, "before suspending", seen)}
    return Outcome(Event.SUSPENDED, facts)


def watch(run: Run) -> Outcome | Waiting:
    """Look for stragglers while the previous credential is suspended."""
    run.check_pointer()
    seen = run.issuer.observe(run.idle_slot, run.working)
    run.reach(CrashPoint.OBSERVED)
    if seen.sessions:
        return Outcome(Event.STRAGGLER_SEEN, {"evidence": _evidence(run, "watching", seen)})
    if not seen.sighted:
        return _look_again(run, _obstacle(seen))
    evidence = _evidence(run, "watching", seen)
    since = run.state.in_flight.suspended_at or run.now
    end = since if run.state.in_flight.hastened else since + run.policy.retire.observe
    if unmoved_now := unmoved(run):
        said = _kept(run, f"{_minute(run)} watching: {unmoved_now}")
        return Outcome(Event.STRAGGLER_SEEN, {"evidence": said})
    if run.now >= end:
        return Outcome(Event.WATCHED, {"evidence": evidence})
    until = min(end, run.now + transitions.look_interval(run.policy))
    return Waiting(until, "suspended; watching for stragglers", evidence[-1])


def restore(run: Run) -> Outcome:
    """Give a straggler its credential back."""
    _give_back(run)
    run.reach(CrashPoint.RESTORED)
    return Outcome(Event.RESTORED, {"suspended_at": None})


def revoke(run: Run) -> Outcome:
    """End the previous credential for good."""
    run.check_pointer()
    ended = run.issuer.revoke(run.idle_slot, run.token)
    run.reach(CrashPoint.REVOKED)
    said = f"{_minute(run)} revoked; {ended} sessions ended"
    facts = {"revoked_at": run.now, "evidence": _kept(run, said)}
    return Outcome(Event.REVOKED, facts, lambda: _disable_revoked(run))


def destroy(run: Run) -> Outcome | Waiting:
    """Destroy the revoked version, once all consumers were handed the next one."""
    if waiting := hand_out_rest(run):
        return waiting
    evidence = retire(run)
    _for_previous(run, run.versions.destroy)
    run.reach(CrashPoint.DESTROYED)
    return Outcome(Event.DESTROYED, {"evidence": evidence})


def revert(run: Run) -> Outcome:
    """Make the previous credential work again, and prove it, before consumers go back to it."""
    record, name = run.state.in_flight, run.secret.name
    if record.previous is None:
        raise PermanentError("there is no previous version to go back to", reason="no-way-back")
    _for_previous(run, run.versions.enable)
    run.payload = run.store.access(name, record.previous).payload
    run.issuer.restore(run.issuer.slot_of(run.payload), run.token)
    try:
        run.issuer.verify(run.payload)
    except CredentialRefusedError as error:
        raise PermanentError(
            f"the credential of version {record.previous} is refused too: {error}",
            remedy="ask for an emergency rotation once a version works again",
            reason="no-way-back",
        ) from None
    run.reach(CrashPoint.REVERTED)
    event = Event.POINTED_BACK if run.handed_outside() else Event.REVERTED
    return Outcome(event, {"acked": ()})


def abort(run: Run) -> Outcome | Waiting:
    """Forget *next*: its version is disabled, and nobody can log in with it."""
    record = run.state.in_flight
    run.check_pointer()
    evidence = forget(run)
    if isinstance(evidence, Waiting):
        return evidence
    # Readers of ``latest`` get a copy of *previous* before the credential of *next* dies.
    tidied = versions.tidy(run, record.base, record.id)
    run.issuer.suspend(run.idle_slot, run.token)
    run.reach(CrashPoint.ABORTED)
    copies = tuple(number for number in tidied.copies if number != record.previous)
    return Outcome(Event.ABORTED, {"seen": tidied.seen, "copies": copies, "evidence": evidence})


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
    run.issuer.restore(run.idle_slot, run.token)
    _for_previous(run, run.versions.enable)


def _look_again(run: Run, why: str) -> Waiting:
    interval = max(LOOK_AGAIN, transitions.look_interval(run.policy))
    if run.policy.retire.observe < LOOK_AGAIN:
        interval = transitions.look_interval(run.policy)
    return Waiting(run.now + interval, why)


def _obstacle(seen: Observation) -> str:
    """Say why the slot cannot be taken out of use; empty when it can."""
    if seen.sessions:
        clients = sorted({each.client for each in seen.sessions})
        shown = ", ".join(clients[:5]) + (" and more" if len(clients) > 5 else "")  # noqa: PLR2004
        return f"{len(seen.sessions)} sessions still use the previous credential: {shown}"
    if not seen.sighted:
        return f"cannot see who uses the previous credential: {seen.blindness}"
    return ""


def _evidence(run: Run, when: str, seen: Observation) -> tuple[str, ...]:
    sight = "control seen" if seen.sighted else "blind"
    said = (
        f"{_minute(run)} {when}: {len(seen.sessions)} sessions on {run.idle_slot}, "
        f"{sight} on {len(seen.nodes)} nodes"
    )
    return _kept(run, said)


def _kept(run: Run, said: str) -> tuple[str, ...]:
    return with_evidence(run.state.in_flight, said).evidence


def _minute(run: Run) -> str:
    return f"{run.now:%Y-%m-%dT%H:%M:%SZ}"

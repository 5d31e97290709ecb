"""Claims one secret and carries out what its phases owe, one after the other, until one waits.

Rules of this module:
  1. A phase is stored before its effects; the write that ends a phase claims the next one.
  2. Reading the payload in force and connecting to the issuer run beside the claim.
  3. A receipt is written to the journal after it is stored.
  4. Once the time budget is spent, the rest is left to the next wake-up.
  5. A signed record that the issuer's fence has left behind is not acted upon.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from rotation.engine import events
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.effects import EFFECTS
from rotation.engine.gather import Call
from rotation.engine.hold import SupersededError
from rotation.engine.outcome import Outcome, Waiting, with_evidence
from rotation.engine.parts import Parts
from rotation.engine.reporting import Report
from rotation.engine.run import Run
from rotation.engine.sealed import OldRecordError
from rotation.engine.signing import with_signed_receipt
from rotation.machine import pointing, transitions
from rotation.machine.transitions import Claim
from rotation.machine.wakeups import encode_wake_up
from rotation.model.errors import (
    EtagMismatchError,
    PermanentError,
    StaleTokenError,
    TemporaryError,
)
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.rotation import State

#: Phases whose effects do not start from the payload in force.
_NO_PAYLOAD = frozenset({Phase.DESTROYING, Phase.REVERTING, Phase.WITHDRAWING})

#: How often a phase is tried again under a higher token within one tick.
_HEALS = 2


class Acting:
    """The claimed part of one tick."""

    def __init__(
        self, parts: Parts, run: Run, report: Report, claim: Callable[[], Claim], ends: datetime
    ) -> None:
        """Set up.

        Args:
            parts: What the worker is made of.
            run: Not claimed yet.
            report: Where lines go.
            claim: Makes the lease that a rotation which follows at once begins with.
            ends: When the time budget is spent.
        """
        self._parts = parts
        self._run = run
        self._report = report
        self._claim = claim
        self._ends = ends

    def act(self, claimed: State) -> None:
        """Claim, then carry out phase after phase until one waits.

        Raises:
            EtagMismatchError: The claim lost a race; nothing was done.
            SupersededError: The hold was lost while acting.
        """
        run, before = self._run, self._run.state
        run.fresh = before.phase is Phase.SETTLED
        self._gather(claimed, lambda: run.hold.take(claimed))
        record = claimed.in_flight
        if record.urgent and not (before.record and before.record.urgent):
            self._report.event(events.emergency_started(record))
        self._report.note("NOTICE", f"{claimed.phase.value}: claimed", reason=record.reason)
        run.reach(CrashPoint.CLAIMED)
        heals = 0
        while run.state.lease_until is not None:
            began, phase = time.monotonic(), run.state.phase
            try:
                is_waiting = self._carry_out()
            except StaleTokenError as stale:
                heals += 1
                if heals > _HEALS:
                    raise TemporaryError(str(stale)) from None
                self._heal(stale)
                continue
            self._report.phase(phase, run.state, time.monotonic() - began)
            if is_waiting or self._is_handed_over():
                return

    def _carry_out(self) -> bool:
        """Carry out the present phase; True when it goes on later."""
        run = self._run
        if run.state.phase not in _NO_PAYLOAD and run.payload is None:
            self._gather(run.state)
        outcome = EFFECTS[run.state.phase](run)
        if isinstance(outcome, Waiting):
            run.hold.rewrite(lambda state: _waiting(state, outcome))
            return True
        before = run.state
        worked_from = pointing.works_from(before.phase, before.in_flight)
        self._commit(outcome)
        self._report_receipt(before)
        run.added = None
        if outcome.afterwards:
            self._afterwards(outcome.afterwards)
        if before.phase is Phase.PREPARING and run.state.phase is not Phase.SETTLED:
            run.reach(CrashPoint.PUBLISHED)
        if run.fresh or (before.phase is not Phase.PREPARING and self._turned(worked_from)):
            run.payload = None
        return False

    def _afterwards(self, work: Callable[[], None]) -> None:
        """Do what nothing depends on; what fails is left to a later phase."""
        try:
            work()
        except (TemporaryError, PermanentError) as error:
            self._report.note("WARNING", f"left to a later phase: {error}", error=error.reason)

    def _turned(self, worked_from: int | None) -> bool:
        """Whether the next phase works from another version."""
        state = self._run.state
        if state.record is None:
            return False
        return pointing.works_from(state.phase, state.record) != worked_from

    def _commit(self, outcome: Outcome) -> None:
        """Store the state that follows; aliases ride in the same write."""
        run = self._run
        claim, delayed = self._claim(), run.secret.version_destroy_ttl is not None

        def follow(state: State) -> State:
            schedule = run.secret.schedule
            facts: dict[str, Any] = {
                **outcome.facts,
                "scheduled": schedule.next_time if schedule else None,
            }
            moved = run.pointers.moved(state, outcome.event, facts)
            ended = transitions.advance(
                moved, outcome.event, run.now, run.policy, delayed=delayed, **facts
            )
            ended = with_signed_receipt(ended, state.receipt, self._parts.tools.keys)
            again, name = state.in_flight.again, str(run.secret.name)
            return transitions.start_again(ended, again, claim, name)

        run.hold.rewrite(follow)
        run.fresh = run.state.phase is Phase.PREPARING
        run.reach(CrashPoint.COMMITTED)

    def _report_receipt(self, before: State) -> None:
        last, receipt = before.receipt, self._run.state.receipt
        if receipt and (last is None or receipt.id != last.id):
            self._report.receipt(receipt)

    def _gather(self, state: State, *first: Call) -> None:
        """Read the payload in force and connect to the issuer, beside the calls given."""
        run, calls = self._run, list(first)
        version = pointing.works_from(state.phase, state.in_flight)
        reading = state.phase not in _NO_PAYLOAD and version is not None
        if reading:
            calls.append(lambda: run.store.access(run.secret.name, version or 0).payload)
        if state.phase is not Phase.DESTROYING:
            calls.append(run.issuer.connect)
        if calls:
            results = self._parts.tools.gather(calls)
            if reading:
                payload = results[len(first)]
                run.payload = payload if isinstance(payload, Payload) else None

    def _heal(self, stale: StaleTokenError) -> None:
        """The target knows a higher token than the secret's: go above it, if still ours.

        A rotation begins by going above it.  So a signed record behind it is an old one.
        """
        hold = self._run.hold
        hold.reload()
        if self._run.is_signed and hold.state.phase is not Phase.PREPARING:
            raise OldRecordError(
                f"the record of this rotation is an old one: its token is {hold.state.token - 1},"
                f" and the issuer has seen {stale.newest}",
                remedy="find out who has copied it back; rotation unblock gives it up, and starts"
                " from what is really there",
            )
        claimed = replace(hold.state, token=stale.newest + 1)
        try:
            hold.write(claimed)
        except EtagMismatchError:
            raise SupersededError("somebody wrote while the token was raised") from None
        why = f"the token was behind the issuer's; raised to {claimed.token}"
        self._report.note("WARNING", why)

    def _is_handed_over(self) -> bool:
        """Leave the rest to the next wake-up once the time budget is spent."""
        run = self._run
        if run.state.lease_until is None or run.now < self._ends:
            return False
        why = "time budget spent"
        run.hold.rewrite(lambda state: transitions.rest(state, None, why))
        self._parts.publisher.publish([encode_wake_up(run.secret.name, why)])
        return True


def _waiting(state: State, outcome: Waiting) -> State:
    rested = transitions.rest(state, outcome.until, outcome.note)
    record = replace(with_evidence(rested.in_flight, outcome.evidence), **outcome.facts)
    return replace(rested, record=replace(record, skip_waits=False, failures=0))

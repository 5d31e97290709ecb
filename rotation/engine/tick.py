"""One tick over one snapshot of a secret: decide, write, act, until nothing is owed now.

Rules of this module:
  1. A phase is stored before its effects; the write that ends a phase claims the next one.
  2. A temporary error gives the lease back, so that the redelivered message need not wait for it.
  3. A permanent error is stored as ``rotation_blocked`` and acknowledged: nothing loops.
  4. Who has lost the hold stops at once, and puts away the version nobody knows of.
  5. What a person says of pausing is stored first, whatever else is wrong with the secret; then
     what is owed is decided from what is stored, as always.
  6. A receipt is told after it is stored.  A delivery that finds the receipt which its own message
     has written tells it again: the worker before may have died in between.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field

from rotation.engine import codec, events
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.effects import EFFECTS
from rotation.engine.gather import Call
from rotation.engine.inspecting import inspect
from rotation.engine.outcome import Waiting, with_evidence
from rotation.engine.participants import Participants, Surroundings
from rotation.engine.pool import IssuerPool
from rotation.engine.run import Run, SupersededError, Tools
from rotation.machine import pausing, transitions
from rotation.machine.decide import CHECK, Act, Busy, Done, Inspect, Situation, Store, decide
from rotation.machine.transitions import Claim
from rotation.machine.wakeups import encode_wake_up
from rotation.model.errors import (
    EtagMismatchError,
    LeaseHeldError,
    NotFoundError,
    PermanentError,
    PolicyError,
    StaleTokenError,
    TemporaryError,
)
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Block, Receipt, State
from rotation.model.secret import Secret
from rotation.model.wakeup import Request, WakeUp, WakeUpKind
from rotation.policies.policy import Kinds, check_fits, decode_policy
from rotation.ports.gate import Gate
from rotation.ports.journal import Journal
from rotation.ports.participant import OutsideParticipant, RidingParticipant
from rotation.ports.publisher import Publisher

#: Phases whose effects do not start from the payload in force.
_NO_PAYLOAD = frozenset({Phase.DESTROYING, Phase.REVERTING, Phase.WITHDRAWING})

#: How often a phase is tried again under a higher token within one tick.
_HEALS = 2


class Limits(Struct, frozen=True):
    """Times one worker lives with."""

    #: How long other workers keep away after a claim; at least the ack deadline.
    lease: timedelta
    #: How long one tick may take before it hands over to the next.
    budget: timedelta


class Plugins(Struct, frozen=True):
    """The plugins at hand, by name."""

    issuers: IssuerPool
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]]
    #: Settings record of each plugin.
    kinds: Kinds
    gates: Mapping[str, type[Gate]] = field(default_factory=dict)
    around: Surroundings = field(default_factory=Surroundings)


@dataclass(frozen=True)
class Parts:
    """What a worker is made of; put together once, by the composition root."""

    tools: Tools
    plugins: Plugins
    limits: Limits
    journal: Journal
    publisher: Publisher


class Tick:
    """One pass over one snapshot."""

    def __init__(self, parts: Parts, wake_up: WakeUp, secret: Secret, started: datetime) -> None:
        self._parts = parts
        self._store = parts.tools.store
        self._wake_up = wake_up
        self._secret = secret
        self._started = started
        self._state: State | None = None
        self._run: Run | None = None

    def step(self) -> None:
        """Do what is owed.

        Raises:
            EtagMismatchError: The claim lost a race; nothing was done.
            SupersededError: The hold was lost while acting.
            TemporaryError: Deliver again; the lease is given back.
        """
        text = self._secret.annotations.get(codec.POLICY)
        if text is None and not codec.is_managed(self._secret):
            return self.note("INFO", f"no annotation {codec.POLICY}: not managed by rotation")
        request = self._wake_up.request
        try:
            if request is not None and request.mode in pausing.WORDS:
                self._hear(request)
            if text is None:
                raise _policy_is_gone()
            self._decide(text)
        except PermanentError as error:
            self._block(error)
        except TemporaryError as error:
            self._give_back(error)
            raise

    def put_stray_away(self) -> None:
        """After a lost hold: make sure a version this worker added does not linger unnoticed."""
        added = self._run.added if self._run else None
        if added is None:
            return
        self.note("WARNING", f"version {added} was added after the hold was lost", version=added)
        self._parts.publisher.publish([encode_wake_up(self._secret.name, CHECK)])

    def note(self, severity: str, message: str, **more: Any) -> None:  # noqa: ANN401
        """Say something about this secret."""
        state = self._run.state if self._run else self._state
        record = state.record if state else None
        self._parts.journal.note(
            severity,
            message,
            secret=str(self._secret.name),
            rotation_id=record.id if record else None,
            phase=state.phase.value if state else None,
            token=state.token if state else None,
            **more,
        )

    def _hear(self, request: Request) -> None:
        """Store what a person says of pausing, unless it is an older word or a repeat."""
        state = codec.decode(self._secret)
        heard = pausing.hear(state, request)
        if heard is None:
            self.note("INFO", f"{request.mode.value} request {request.id} came late, or again")
            return
        self._secret = self._stored(codec.encode(heard, self._secret))
        if heard.pause and (heard.paused or state.paused):
            message = pausing.told(heard) if heard.paused else "resumed"
            self._tell_event(events.word(heard.pause, message, self._parts.tools.clock.now()))

    def _stored(self, maps: codec.Maps) -> Secret:
        return self._store.update(
            self._secret,
            labels=maps.labels,
            annotations=maps.annotations,
            aliases=maps.aliases,
        )

    def _tell_event(self, line: events.Line) -> None:
        severity, message, fields = line
        self.note(severity, message, **fields)

    def _tell_receipt(self, receipt: Receipt) -> None:
        self._tell_event(events.receipt(receipt, str(self._secret.name)))

    def _decide(self, text: str) -> None:
        participants, policy = self._read_policy(text)
        state = self._read_state(participants)
        if state.receipt and state.receipt.message_id == self._wake_up.message_id:
            self._tell_receipt(state.receipt)
        decision = decide(Situation(state, self._secret, policy, self._wake_up, self._claim()))
        match decision:
            case Done(why):
                self.note("INFO", why)
            case Busy(until):
                self._yield_to_holder(state, until)
            case Store(changed, why):
                self._hold(changed, policy, participants, text).write(changed)
                self.note("NOTICE", why)
            case Act(claimed):
                run = self._hold(state, policy, participants, text)
                run.fresh = state.phase is Phase.SETTLED
                self._act(run, claimed)
            case Inspect():
                run = self._hold(state, policy, participants, text)
                self.note(*inspect(run, self._claim(), self._keep))

    def _read_policy(self, text: str) -> tuple[Participants, Policy]:
        if self._secret.managed_rotation:
            raise PermanentError(
                "Google's managed rotation is active on this secret",
                remedy="disable one of the two: managed rotation, or the annotation",
                reason="managed-rotation",
            )
        plugins = self._parts.plugins
        policy = decode_policy(text, plugins.kinds)
        schedule = self._secret.schedule
        check_fits(policy, schedule.period if schedule else None)
        gather = self._parts.tools.gather
        participants = Participants(
            policy, plugins.participants, plugins.gates, plugins.around, gather
        )
        return participants, policy

    def _read_state(self, participants: Participants) -> State:
        pointed = participants.pointed(self._secret.aliases)
        self._state = state = codec.decode(self._secret, pointed)
        if state.phase is Phase.SETTLED and state.current is None and state.receipt is None:
            state = replace(state, current=self._newest())
        return state

    def _newest(self) -> int | None:
        """Return the version to start from where nothing is recorded yet."""
        try:
            return self._store.access(self._secret.name, "latest").number
        except NotFoundError:
            return None

    def _yield_to_holder(self, state: State, until: datetime) -> None:
        ours = state.record is not None and state.record.message_id == self._wake_up.message_id
        why = f"another worker holds the lease until {until:%H:%M:%SZ}"
        # A settled secret is held by a check, which serves no firing.
        unserved = state.phase is Phase.SETTLED and self._wake_up.kind is WakeUpKind.ROTATE
        if ours or unserved or self._wake_up.reason == CHECK:
            raise LeaseHeldError(why)
        self.note("INFO", why)

    def _hold(self, state: State, policy: Policy, participants: Participants, text: str) -> Run:
        issuer = self._parts.plugins.issuers.get(self._secret.name, text, policy.issuer)
        return Run(self._parts.tools, self._secret, state, policy, issuer, participants)

    def _act(self, run: Run, claimed: State) -> None:
        """Claim, then carry out phase after phase until one waits."""
        before, run.state = run.state.record, claimed
        self._gathered(run, lambda: self._keep(run))
        if claimed.in_flight.hurried and not (before and before.hurried):
            self._tell_event(events.emergency_started(claimed.in_flight))
        self.note("NOTICE", f"{claimed.phase.value}: claimed", reason=self._why(claimed))
        run.reach(CrashPoint.CLAIMED)
        heals = 0
        while run.state.lease_until is not None:
            began = time.monotonic()
            phase = run.state.phase
            try:
                over = self._phase(run)
            except StaleTokenError as stale:
                heals += 1
                if heals > _HEALS:
                    raise TemporaryError(str(stale)) from None
                self._heal(run, stale)
                continue
            self._tell(run, phase, time.monotonic() - began)
            if over or self._hand_over(run):
                return

    def _keep(self, run: Run) -> None:
        """Store the claim; from here on errors are the holder's."""
        run.write(run.state)
        self._run = run

    def _phase(self, run: Run) -> bool:
        """Carry out the present phase; True when it goes on later."""
        if run.state.phase not in _NO_PAYLOAD and run.payload is None:
            self._gathered(run)
        outcome = EFFECTS[run.state.phase](run)
        if isinstance(outcome, Waiting):
            run.rewrite(lambda state: self._waiting(state, outcome))
            return True
        before, version, last = run.state.phase, run.in_force, run.state.receipt
        run.commit(outcome.event, self._claim(), **outcome.facts)
        receipt = run.state.receipt
        if receipt and (last is None or receipt.id != last.id):
            self._tell_receipt(receipt)
        run.added = None
        if before is Phase.PREPARING and run.state.phase is not Phase.SETTLED:
            run.reach(CrashPoint.PUBLISHED)
        goes_on = run.state.record is not None
        turned = goes_on and before is not Phase.PREPARING and run.in_force != version
        if run.fresh or turned:
            run.payload = None
        return False

    def _gathered(self, run: Run, *first: Call) -> None:
        """Read the payload in force and connect to the issuer, beside the calls given."""
        calls: list[Call] = list(first)
        version = run.in_force
        reading = run.state.phase not in _NO_PAYLOAD and version is not None
        if reading:
            calls.append(lambda: self._store.access(self._secret.name, version or 0).payload)
        if run.state.phase is not Phase.DESTROYING:
            calls.append(run.issuer.connect)
        if calls:
            results = self._parts.tools.gather(calls)
            if reading:
                payload = results[len(first)]
                run.payload = payload if isinstance(payload, Payload) else None

    def _waiting(self, state: State, outcome: Waiting) -> State:
        rested = transitions.rest(state, outcome.until, outcome.note)
        record = replace(with_evidence(rested.in_flight, outcome.evidence), **outcome.facts)
        return replace(rested, record=replace(record, hastened=False, failures=0))

    def _heal(self, run: Run, stale: StaleTokenError) -> None:
        """The target has seen a higher token than the secret's: go above it, if still ours."""
        run.reload()
        claimed = replace(run.state, token=stale.seen + 1)
        try:
            run.write(claimed)
        except EtagMismatchError:
            raise SupersededError("somebody wrote while the token was raised") from None
        self.note("WARNING", f"the token was behind the issuer's; raised to {claimed.token}")

    def _hand_over(self, run: Run) -> bool:
        """Leave the rest to the next wake-up once the time budget is spent."""
        spent = self._parts.tools.clock.now() - self._started
        if run.state.lease_until is None or spent < self._parts.limits.budget:
            return False
        why = "time budget spent"
        run.rewrite(lambda state: transitions.rest(state, None, why))
        self._parts.publisher.publish([encode_wake_up(self._secret.name, why)])
        return True

    def _give_back(self, error: TemporaryError) -> None:
        """Drop the lease after a clean failure, best effort: a lost lease ends by itself."""
        run = self._run
        record = run.state.record if run else None
        failures = record.failures + 1 if record else 1
        if isinstance(error, LeaseHeldError):
            self.note("WARNING", str(error), error=error.reason)
        else:
            self._tell_event(events.failing(error.reason, str(error), failures))
        if run is None or run.state.lease_until is None:
            return
        try:
            run.rewrite(lambda state: _given_back(state, str(error)))
        except SupersededError as lost:
            self.note("NOTICE", f"another worker has taken over: {lost}")
            self.put_stray_away()
        except (TemporaryError, PermanentError) as second:
            self.note("WARNING", f"the lease could not be given back: {second}")

    def _block(self, error: PermanentError) -> None:
        """Store why a person must look."""
        run, now = self._run, self._parts.tools.clock.now()
        block = Block(reason=error.reason, message=str(error), since=now)
        stored = codec.read_block(self._secret)
        if run is not None:
            run.rewrite(lambda state: replace(transitions.rest(state, state.wake_at), block=block))
        elif stored is None or stored.message != block.message:
            self._stored(codec.encode_block(block, self._secret))
        self._tell_event(events.blocked(error.reason, str(error)))

    def _claim(self) -> Claim:
        now = self._parts.tools.clock.now()
        return Claim(now, now + self._parts.limits.lease, self._wake_up.message_id)

    def _why(self, state: State) -> str:
        return state.record.reason if state.record else ""

    def _tell(self, run: Run, phase: Phase, seconds: float) -> None:
        record = run.state.record
        note = f": {record.note}" if record and record.note else ""
        until = f" until {run.state.wake_at:%Y-%m-%d %H:%M:%SZ}" if run.state.wake_at else ""
        self.note(
            "NOTICE",
            f"{phase.value} -> {run.state.phase.value}{until}{note}",
            duration_ms=round(seconds * 1000, 1),
        )


def _given_back(state: State, why: str) -> State:
    rested = transitions.rest(state, state.wake_at, why)
    record = rested.record
    return replace(rested, record=record and replace(record, failures=record.failures + 1))


def _policy_is_gone() -> PolicyError:
    return PolicyError(
        f"the annotation {codec.POLICY} was removed while a rotation is in flight",
        remedy="put it back with `rotation policy apply`, and the rotation goes on",
    )

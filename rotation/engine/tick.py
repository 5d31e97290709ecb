"""One tick over one secret as read: decide, then write, act or look.

Rules of this module:
  1. A temporary error gives the lease back, so that the redelivered message need not wait for it.
  2. A permanent error is stored as ``rotation_blocked`` and acknowledged: nothing loops.
  3. A worker that lost its lease stops at once, and has its orphan version looked for.
  4. A request to pause or resume is stored first, whatever else is wrong with the secret; then
     what is owed is decided from what is stored, as always.
  5. A delivery that finds the receipt which its own message has written writes it to the journal
     again: the worker before may have died in between.
  6. A record of somebody else is not acted upon.  A person's request to unblock, and an emergency,
     have what is really there looked at; that is stored as settled, and both go on from it.
"""

from datetime import datetime

from msgspec.structs import replace

from rotation.engine import codec, events, recovering, sealed
from rotation.engine.acting import Acting
from rotation.engine.hold import SupersededError, store_maps
from rotation.engine.inspecting import inspect
from rotation.engine.participants import Participants
from rotation.engine.parts import Parts
from rotation.engine.reporting import Report
from rotation.engine.run import Run
from rotation.engine.sealed import NotOursError, OldRecordError
from rotation.engine.signing import with_signed_receipt
from rotation.engine.snapshot import Snapshot, read_snapshot
from rotation.machine import pausing, transitions
from rotation.machine import recovering as what_is_there
from rotation.machine.decide import CHECK, Act, Busy, Done, Inspect, Situation, Store, decide
from rotation.machine.transitions import Claim
from rotation.machine.wakeups import encode_wake_up
from rotation.model.errors import (
    LeaseHeldError,
    NotFoundError,
    PermanentError,
    TemporaryError,
)
from rotation.model.phase import Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Block, State
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind


class Tick:
    """One pass over one secret as read."""

    def __init__(self, parts: Parts, wake_up: WakeUp, secret: Secret, started: datetime) -> None:
        self._parts = parts
        self._store = parts.tools.store
        self._wake_up = wake_up
        self._secret = secret
        self._ends = started + parts.limits.budget
        self._state: State | None = None
        self._run: Run | None = None
        self._report = Report(parts.journal, secret.name, self._present)
        #: Writes a line about this secret.
        self.note = self._report.note

    def step(self) -> None:
        """Do what is owed.

        Raises:
            EtagMismatchError: The claim lost a race; nothing was done.
            SupersededError: The hold was lost while acting.
            TemporaryError: Deliver again; the lease is given back.
        """
        if not codec.is_managed(self._secret):
            return self.note("INFO", f"no annotation {codec.POLICY}: not managed by rotation")
        request = self._wake_up.request
        try:
            snapshot = self._read()
            if request is not None and _gives_up(snapshot, request):
                self._recover(snapshot, request)
                snapshot = self._read()
            if request is not None and request.mode in pausing.REQUESTS:
                self._apply_pause_request(request, snapshot.readable_state())
                snapshot = self._read()
            self._decide(snapshot)
        except PermanentError as error:
            self._block(error)
        except TemporaryError as error:
            self._give_back(error)
            raise

    def clean_up_orphan(self) -> None:
        """After a lost hold: make sure a version this worker added does not linger unnoticed."""
        run = self._held
        if run is None or run.added is None:
            return
        message = f"version {run.added} was added after the hold was lost"
        self.note("WARNING", message, version=run.added)
        self._parts.publisher.publish([encode_wake_up(self._secret.name, CHECK)])

    @property
    def _held(self) -> Run | None:
        """The run whose claim is stored: errors are the holder's."""
        return self._run if self._run and self._run.hold.is_taken else None

    def _present(self) -> State | None:
        run = self._held
        return run.state if run else self._state

    def _read(self) -> Snapshot:
        plugins = self._parts.plugins
        now = self._parts.tools.clock.now()
        keys = self._parts.tools.keys
        snapshot = read_snapshot(self._secret, now, plugins.kinds, plugins.participants, keys)
        self._state = snapshot.state
        return snapshot

    def _apply_pause_request(self, request: Request, state: State) -> None:
        """Store that somebody pauses or resumes, unless the request is an older one or a repeat."""
        paused = pausing.apply_pause_request(state, request)
        if paused is None:
            self.note("INFO", f"{request.mode.value} request {request.id} came late, or again")
            return
        self._store_state(paused)
        if paused.pause and (paused.paused or state.paused):
            message = pausing.message(paused) if paused.paused else "resumed"
            now = self._parts.tools.clock.now()
            self._report.event(events.pause(paused.pause, message, now))

    def _recover(self, snapshot: Snapshot, request: Request) -> None:
        """Store what is really there in the place of a record that is not ours."""
        foreign = codec.decode(self._secret, snapshot.current)
        run = self._make_run(foreign, snapshot.sound_policy())
        found = recovering.look(run, foreign, prove=request.mode is Ask.UNBLOCK)
        state = what_is_there.recovered(foreign, found, request, self._claim())
        state = with_signed_receipt(state, foreign.receipt, self._parts.tools.keys)
        self._store_state(state)
        self._run, self._state = None, state
        self.note("WARNING", f"a record that was not ours is given up: {found.sentence}")
        if state.receipt:
            self._report.receipt(state.receipt)

    def _store_state(self, state: State) -> None:
        self._write(sealed.encode(state, self._secret, self._parts.tools.keys))

    def _write(self, maps: codec.Maps) -> None:
        self._secret = store_maps(self._store, self._secret, maps)

    def _decide(self, snapshot: Snapshot) -> None:
        if snapshot.secret.managed_rotation:
            raise PermanentError(
                "Google's managed rotation is active on this secret",
                remedy="disable one of the two: managed rotation, or the annotation",
                reason="managed-rotation",
            )
        policy, state = snapshot.sound_policy(), self._with_newest(snapshot.readable_state())
        if state.receipt and state.receipt.message_id == self._wake_up.message_id:
            self._report.receipt(state.receipt)
        decision = decide(Situation(state, self._secret, policy, self._wake_up, self._claim()))
        match decision:
            case Done(why):
                self.note("INFO", why)
            case Busy(until):
                self._yield_to_holder(state, until)
            case Store(changed, why):
                self._store_state(changed)
                self.note("NOTICE", why)
            case Act(claimed):
                run = self._make_run(state, policy)
                Acting(self._parts, run, self._report, self._claim, self._ends).act(claimed)
            case Inspect():
                run = self._make_run(state, policy)
                self.note(*inspect(run, self._claim()))

    def _with_newest(self, state: State) -> State:
        """Return the state with the version to start from where nothing is recorded yet."""
        if state.phase is not Phase.SETTLED or state.current is not None or state.receipt:
            return state
        try:
            newest = self._store.access(self._secret.name, "latest").number
        except NotFoundError:
            return state
        return replace(state, current=newest)

    def _yield_to_holder(self, state: State, until: datetime) -> None:
        ours = state.record is not None and state.record.message_id == self._wake_up.message_id
        why = f"another worker holds the lease until {until:%H:%M:%SZ}"
        # A settled secret is held by a check, which serves no firing.
        unserved = state.phase is Phase.SETTLED and self._wake_up.kind is WakeUpKind.ROTATE
        if ours or unserved or self._wake_up.reason == CHECK:
            raise LeaseHeldError(why)
        self.note("INFO", why)

    def _make_run(self, state: State, policy: Policy) -> Run:
        tools, plugins = self._parts.tools, self._parts.plugins
        text = self._secret.annotations[codec.POLICY]
        issuer = plugins.issuers.get(self._secret.name, text, policy.issuer)
        participants = Participants(
            policy, plugins.participants, plugins.gates, plugins.environment, tools.gather
        )
        self._run = Run(tools, self._secret, state, policy, issuer, participants)
        return self._run

    def _give_back(self, error: TemporaryError) -> None:
        """Drop the lease after a clean failure, best effort: a lost lease ends by itself."""
        run = self._held
        record = run.state.record if run else None
        failures = record.failures + 1 if record else 1
        if isinstance(error, LeaseHeldError):
            self.note("WARNING", str(error), error=error.reason)
        else:
            self._report.event(events.failing(error.reason, str(error), failures))
        if run is None or run.state.lease_until is None:
            return
        try:
            run.hold.rewrite(lambda state: _given_back(state, str(error)))
        except SupersededError as lost:
            self.note("NOTICE", f"another worker has taken over: {lost}")
            self.clean_up_orphan()
        except (TemporaryError, PermanentError) as second:
            self.note("WARNING", f"the lease could not be given back: {second}")

    def _block(self, error: PermanentError) -> None:
        """Store why a person must look."""
        run, now = self._held, self._parts.tools.clock.now()
        if isinstance(error, NotOursError) and run is not None:
            # Somebody else has written: what was held is not what is there.
            run, self._secret = None, self._store.get(self._secret.name)
        block = Block(reason=error.reason, message=str(error), since=now)
        stored = codec.read_block(self._secret)
        if run is not None:
            run.hold.rewrite(
                lambda state: replace(transitions.rest(state, state.wake_at), block=block)
            )
        elif stored is None or stored.message != block.message:
            self._write(codec.encode_block(block, self._secret))
        self._report.event(events.blocked(error.reason, str(error)))
        request = self._wake_up.request
        if run is None and request and request.mode is Ask.EMERGENCY:
            lost = f"the emergency {request.id} was not served and is not kept"
            self.note("ERROR", f"{lost}: ask again once this is mended")

    def _claim(self) -> Claim:
        now = self._parts.tools.clock.now()
        return Claim(now, now + self._parts.limits.lease, self._wake_up.message_id)


def _gives_up(snapshot: Snapshot, request: Request) -> bool:
    """Whether a person asks for more than a record that is not ours could ever do."""
    state, is_foreign = snapshot.state, isinstance(snapshot.state_fault, NotOursError)
    block = state.block if state and state.record else None
    is_old = block is not None and block.reason == OldRecordError.reason
    return (is_foreign or is_old) and request.mode in what_is_there.REQUESTS


def _given_back(state: State, why: str) -> State:
    rested = transitions.rest(state, state.wake_at, why)
    record = rested.record
    return replace(rested, record=record and replace(record, failures=record.failures + 1))

"""One worker's hold on one secret: what it read last, and the guarded write.

Rules of this module:
  1. Every write is a compare-and-set under the ETag of the last read.
  2. A lost race is read again: while the token is still ours the change is decided again on top
     of what others wrote; otherwise the hold is over (`SupersededError`).
  3. A read that shows an older token than ours is stale, not news.
  4. A version is changed under its own ETag, and only while the hold is known to be ours.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from rotation.engine import codec
from rotation.engine.crashpoints import CrashPoint, Reach
from rotation.engine.gather import Gather, in_turn
from rotation.engine.participants import Outside, Participants
from rotation.machine import pausing, rollout, transitions
from rotation.machine.transitions import Claim
from rotation.model.errors import (
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.phase import Event, Mode, Phase
from rotation.model.plugin import Capabilities, Change
from rotation.model.policy import Policy
from rotation.model.rotation import State
from rotation.model.secret import Secret, VersionState
from rotation.model.wakeup import Ask
from rotation.ports.clock import Clock
from rotation.ports.issuer import Issuer
from rotation.ports.secrets import SecretStore

#: How often a lost race, or a stale read, is tried again within one tick.
TRIES = 6

#: First wait before reading again; doubled each time.
PAUSE = 0.05


#: Phases that work from *previous*; ...
_FROM_PREVIOUS = frozenset({Phase.PREPARING, Phase.ABORTING, Phase.REVERTING, Phase.WITHDRAWING})

#: ... and those in which aliases point to it.
_POINTED_TO_PREVIOUS = frozenset({Phase.PREPARING, Phase.VOTING, Phase.ABORTING, Phase.WITHDRAWING})


class SupersededError(RotationError):
    """Another worker has taken over; this one stops and leaves everything to it."""

    reason = "superseded"


@dataclass(frozen=True)
class Tools:
    """What every tick works with; made once for a process."""

    store: SecretStore
    clock: Clock
    reach: Reach
    gather: Gather = in_turn
    pause: Callable[[float], None] = time.sleep


class Run:
    """A claimed stretch of work on one secret."""

    def __init__(
        self,
        tools: Tools,
        secret: Secret,
        state: State,
        policy: Policy,
        issuer: Issuer,
        participants: Participants,
    ) -> None:
        self.tools = tools
        self.secret = secret
        self.state = state
        self.policy = policy
        self.issuer = issuer
        self.participants = participants
        #: Payload of the version in force; set by whoever read it.
        self.payload: Payload | None = None
        #: True until the first effect of a rotation that this tick started.
        self.fresh = False
        #: Versions this worker added and has not seen stored as official yet.
        self.added: int | None = None

    @property
    def store(self) -> SecretStore:
        """The secret store."""
        return self.tools.store

    @property
    def now(self) -> datetime:
        """The time."""
        return self.tools.clock.now()

    @property
    def token(self) -> int:
        """The fencing token of this hold."""
        return self.state.token

    @property
    def in_force(self) -> int | None:
        """The version this phase works from: the one that stays in force when all goes well."""
        record = self.state.in_flight
        return record.previous if self.state.phase in _FROM_PREVIOUS else record.next

    @property
    def policy_digest(self) -> str:
        """SHA-256 of the policy's text."""
        return sha256(self.secret.annotations.get(codec.POLICY, "").encode()).hexdigest()

    @property
    def working(self) -> Payload:
        """The payload in force.

        Raises:
            PermanentError: There is none.
        """
        if self.payload is None:
            raise PermanentError("the version in force has no payload", reason="payload-unreadable")
        return self.payload

    @property
    def can(self) -> Capabilities:
        """What the issuer can."""
        return self.issuer.spec.capabilities

    @property
    def next_handle(self) -> str:
        """The handle of *next*; to be asked for where *previous* is in force."""
        record = self.state.in_flight
        return record.handle or self.issuer.next_handle(self.payload, record.id)

    @property
    def previous_handle(self) -> str:
        """The handle of *previous*.

        Raises:
            PermanentError: There is none.
        """
        handle = self.state.in_flight.previous_handle
        if not handle:
            raise PermanentError("there is no previous credential", reason="state-invalid")
        return handle

    def reach(self, point: CrashPoint) -> None:
        """Pass a crash point."""
        self.tools.reach(point)

    def write(self, state: State) -> None:
        """Store ``state`` under the ETag last read.

        Raises:
            EtagMismatchError: Somebody else wrote.
        """
        maps = codec.encode(state, self.secret)
        self.secret = self.store.update(
            self.secret,
            labels=maps.labels,
            annotations=maps.annotations,
            aliases=maps.aliases,
        )
        self.state = state

    def rewrite(self, change: Callable[[State], State]) -> None:
        """Store ``change(state)``, deciding it again on top of whatever others wrote.

        Raises:
            SupersededError: Another worker has taken over.
        """
        for attempt in range(TRIES):
            try:
                return self.write(change(self.state))
            except EtagMismatchError:
                self.reload(attempt)
        raise TemporaryError(f"{self.secret.name} is being written to all the time")

    def reload(self, attempt: int = 0) -> None:
        """Read again, and make sure the hold is still ours."""
        mine, phase = self.state.token, self.state.phase
        for again in range(attempt, attempt + TRIES):
            secret = self.store.get(self.secret.name)
            state = codec.decode(secret, self.pointed(secret))
            if state.token > mine or (state.token == mine and state.phase is not phase):
                raise SupersededError(f"token {mine} was followed by {state.token}")
            if state.token == mine:
                self.secret, self.state = secret, state
                return
            self.tools.pause(PAUSE * 2**again)
        raise TemporaryError(f"reads of {self.secret.name} are stale")

    def commit(self, event: Event, claim: Claim, **facts: Any) -> None:  # noqa: ANN401
        """Store the state that follows ``event``; aliases ride in the same write.

        When the rotation ends and another one was asked for meanwhile, that one starts in the
        same write.
        """
        delayed = self.secret.version_destroy_ttl is not None

        def follow(state: State) -> State:
            schedule = self.secret.schedule
            facts["scheduled"] = schedule.next_time if schedule else None
            moved = transitions.advance(
                self._with_aliases(state, event, facts),
                event,
                self.now,
                self.policy,
                delayed=delayed,
                **facts,
            )
            again = state.in_flight.again
            # What blocks a routine rotation does not hold up an emergency.
            free = moved.block is None or (again and again.mode is Ask.EMERGENCY)
            if moved.phase is not Phase.SETTLED or again is None or not free:
                return moved
            if moved.paused and again.mode is Ask.ROUTINE:
                return pausing.keep(moved, again) or moved
            return transitions.start(moved, claim, again, str(self.secret.name))

        self.rewrite(follow)
        self.fresh = self.state.phase is Phase.PREPARING
        self.reach(CrashPoint.COMMITTED)

    def enable(self, number: int) -> None:
        """Enable a version; even an enabled one, so that its ETag moves."""
        self._on_version(number, self.store.enable, ())

    def disable(self, number: int) -> None:
        """Disable a version."""
        self._on_version(number, self.store.disable, (VersionState.DISABLED,))

    def destroy(self, number: int) -> None:
        """Destroy a version."""
        self._on_version(number, self.store.destroy, ())

    def _on_version(
        self,
        number: int,
        effect: Callable[[SecretName, int, str], None],
        enough: tuple[VersionState, ...],
    ) -> None:
        """Change a version so that a worker which has lost its hold cannot.

        The version's ETag is read first and the hold is checked after that: whoever takes over
        changes the token before the version, so one of the two tells.
        """
        for attempt in range(TRIES):
            try:
                seen = self.store.version(self.secret.name, number)
            except NotFoundError:
                # A version never ceases to be there: this read is older than the version.
                self.tools.pause(PAUSE * 2**attempt)
                continue
            if seen.state in (*enough, VersionState.DESTROYED):
                return
            self._prove_hold(certain=effect == self.store.disable)
            try:
                effect(self.secret.name, number, seen.etag)
            except EtagMismatchError:
                self.tools.pause(PAUSE * 2**attempt)
            else:
                return
        raise TemporaryError(f"version {number} is being written to all the time, or reads are old")

    def _prove_hold(self, *, certain: bool) -> None:
        """Make sure the hold is ours; where a mistake would lock consumers out, by a write.

        Reads of the secret may be old.  A write under its ETag cannot be fooled.
        """
        if certain:
            self.rewrite(lambda state: state)
        else:
            self.reload()

    def check_hold(self) -> None:
        """Stop when the lease is over: another worker may be at it.

        Raises:
            SupersededError: It is.
        """
        if self.state.lease_until is None or self.now >= self.state.lease_until:
            raise SupersededError(f"the lease of token {self.token} is over")

    def check_pointer(self) -> None:
        """Make sure that consumers are pointed where this phase believes they are.

        Raises:
            PermanentError: Somebody moved the pointer by hand.
        """
        pointed, expected = self.pointed(self.secret), self._expected()
        hurry = self.state.in_flight.mode is Mode.EMERGENCY or self.state.in_flight.again
        if pointed is None or pointed == expected or (hurry and self.state.phase is Phase.REVOKING):
            return
        raise PermanentError(
            f"consumers are pointed to version {pointed}, and the rotation expects {expected}",
            remedy="point them back, or ask for a revert; then unblock",
            reason="pointer-moved",
        )

    def pointed(self, secret: Secret) -> int | None:
        """Return the version consumers get, where a participant knows."""
        return self.participants.pointed(secret.aliases)

    def handed_outside(self) -> Sequence[Outside]:
        """Return the outside participants that were asked to hand *next* out."""
        stages = {each.stage for each in rollout.handed(self.policy, self.state.in_flight.stage)}
        return [each for each in self.participants.outside if each.stage in stages]

    def _expected(self) -> int | None:
        record, phase = self.state.in_flight, self.state.phase
        if phase in _POINTED_TO_PREVIOUS:
            return record.previous
        handed = {each.stage for each in rollout.handed(self.policy, record.stage)}
        waits = record.stage and all(each.stage not in handed for each in self.participants.riding)
        return record.previous if waits else record.next

    def _with_aliases(self, state: State, event: Event, facts: Mapping[str, Any]) -> State:
        """Return the state with the aliases of the stages that ``event`` moves."""
        record = state.in_flight
        if pausing.holds_back(state, event):
            return state
        before, after = record.stage, facts.get("stage", record.stage)
        change = Change(record.previous, facts.get("next", record.next) or 0)
        if event in transitions.HANDED:
            known = self._stages(before) if before else ()
            stages = [each for each in self._stages(after) if each not in known]
        elif event in transitions.TAKEN_BACK and record.next is not None:
            stages = self._stages(before)
        else:
            return state
        back = event in transitions.TAKEN_BACK
        return replace(
            state, aliases=self.participants.moved(state.aliases, change, stages, back=back)
        )

    def _stages(self, stage: str) -> list[str]:
        """Return the names up to a stage; all, where the rollout knows no stages."""
        stages = rollout.handed(self.policy, stage) if stage else self.policy.rollout
        return [each.stage for each in stages]

"""What can happen next: every move of every worker, of the network, of the clock and of people.

A `State` is all there is at one instant.  `Model.moves` returns each move that is possible, with
the state after it and the rules it broke.  A move is *plain* when a calm day would make it, and a
*deviation* otherwise: a crash, a lost answer, somebody who asks.  A path may have a bounded number
of deviations; between them, every order of the workers' effects is a path of its own.

Rules of this module:
  1. Time stands still while a worker acts and passes only when all rest, so that paths which do the
     same meet again.  A worker that is slow is *frozen*: time passes without it, and it thaws
     whenever it likes.
  2. A crash after an effect is the crash before the next one; the end of a tick counts as one.
  3. Every path ends: in the rest that `rules.broken_at_rest` judges, or as an endless one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from rotation.machine import sweep
from rotation.model.errors import TemporaryError, UnknownOutcomeError
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.secret import Schedule
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind

from . import rules
from .books import apply, land, may_land
from .ledger import Asked, Ledger, asked_now
from .replay import Answer, Replays
from .rules import Broken
from .state import (
    AGAIN,
    BACKOFF,
    BLIND,
    BY_HAND,
    BY_PERSON,
    FAILS,
    FIRING,
    MONTH,
    PATIENCE,
    REFUSES,
    STRAGGLER,
    TOUCH,
    Actor,
    Bounds,
    Move,
    Queued,
    Scenario,
    State,
    pass_time,
    queue,
    seat,
    unseat,
)
from .world import (
    LEASE,
    NAME,
    READS,
    START,
    Effect,
    Failed,
    Late,
    Version,
    World,
    credential,
    pairs,
    secret_of,
)

#: Deliveries of a message that are counted apart from those of its copies.
COPY = 100


#: Messages that each version there is at the start may have taken.
HISTORY = 100


class Model:
    """The moves of one scenario."""

    def __init__(self, scenario: Scenario, bounds: Bounds) -> None:
        self.scenario = scenario
        self.replays = Replays()
        self._bounds = bounds

    def start(self) -> State:
        """Return the state in which every path begins."""
        world = self.scenario.setup()
        newest = len(world.versions)
        orphans = frozenset({newest} if newest and not world.opens(newest) else ())
        ledger = Ledger(
            orphans=orphans,
            inherited=world.stored.record is not None,
            may_block=self.scenario.may_block,
        )
        state = State(
            world,
            ledger,
            deviations=self._bounds.deviations,
            stalls=self._bounds.stalls,
            happenings=self._bounds.happenings,
            # Candidates are named after messages, and those of the set-up exist already.
            published=HISTORY * newest,
            left=tuple(sorted(self.scenario.happenings)),
        )
        for what in self.scenario.opening:
            state = self._happen(state, what) or state
        return state

    def moves(self, state: State) -> Iterator[Move]:
        """Yield every possible move, plain ones first; none: the state is at rest."""
        actors = [actor for actor in state.actors if actor.frozen_at is None]
        for actor in actors:
            if self._is_alone(actor):
                yield from self._effects(state, actor)
                return
        for actor in actors:
            yield from self._effects(state, actor)
        for actor in state.actors:
            if actor.frozen_at is not None and actor.frozen_at < state.world.clock:
                yield self._thaw(state, actor)
        deliveries = list(self._deliveries(state))
        yield from deliveries
        for index in may_land(state.world):
            yield self._landing(state, index)
        if state.deviations and state.happenings:
            yield from self._happenings(state)
        if not actors and not deliveries:
            yield from self._time(state)

    # -- workers

    def _is_alone(self, actor: Actor) -> bool:
        """Whether its next step meets nobody else's: then no other order need be walked."""
        effect = self.replays[actor.stands].asks
        return effect is None or effect.name == "connect"

    def _effects(self, state: State, actor: Actor) -> Iterator[Move]:
        effect = self.replays[actor.stands].asks
        if effect is None:
            yield self._end(state, actor)
        else:
            yield self._carried_out(state, actor, effect)
        if state.deviations:
            calm = state._replace(deviations=state.deviations - 1)
            yield self._crash(calm, actor, effect)
            if effect is not None:
                yield from self._troubles(calm, actor, effect)
                if state.stalls:
                    yield from self._stalls(calm, actor, effect)

    def _carried_out(self, state: State, actor: Actor, effect: Effect) -> Move:
        state, answer, broken = apply(state, actor, effect)
        if effect.name == "publish":
            state = self._woken(state, answer)
        return self._hears((_who(actor), effect), state, actor, answer, broken)

    def _troubles(self, state: State, actor: Actor, effect: Effect) -> Iterator[Move]:
        who = _who(actor)
        unavailable = Failed(TemporaryError, f"{effect.name}: UNAVAILABLE")
        yield self._trouble((who, effect, "  <-- UNAVAILABLE"), state, actor, unavailable)
        if effect.name == "get":
            stale = state.world.before
            yield self._trouble((who, effect, "  <-- STALE"), state, actor, stale)
        if effect.name in READS or effect.name == "publish":
            return
        done, answer, broken = apply(state, actor, effect)
        unknown = Failed(UnknownOutcomeError, f"{effect.name}: no answer")
        if not isinstance(answer, Failed):
            yield self._trouble(
                (who, effect, "  <-- DONE, ANSWER LOST"), done, actor, unknown, broken
            )
        world = state.world
        late = state._replace(world=world._replace(late=(*world.late, Late(effect, actor.serial))))
        yield self._trouble((who, effect, "  <-- LATE, NO ANSWER"), late, actor, unknown)

    def _stalls(self, state: State, actor: Actor, effect: Effect) -> Iterator[Move]:
        who, now = _who(actor), state.world.clock
        state = state._replace(stalls=state.stalls - 1)
        frozen = actor._replace(frozen_at=now)
        yield Move((who, "FREEZES before:", effect), seat(state, frozen), (), True)
        done, answer, broken = apply(state, actor, effect)
        unheard = actor._replace(frozen_at=now, unheard=(answer,))
        yield Move((who, effect, "and FREEZES"), seat(done, unheard), broken, True)

    def _trouble(
        self, story: tuple[Any, ...], state: State, actor: Actor, answer: Any, broken: Broken = ()
    ) -> Move:
        return self._hears(story, state, actor, answer, broken)._replace(is_deviation=True)

    def _hears(
        self, story: tuple[Any, ...], state: State, actor: Actor, answer: Any, broken: Broken = ()
    ) -> Move:
        stands = self.replays.answer(actor.stands, Answer(state.world.clock, answer))
        moved = actor._replace(stands=stands, frozen_at=None, unheard=())
        return Move(story, seat(state, moved), broken)

    def _thaw(self, state: State, actor: Actor) -> Move:
        who = (_who(actor), "thaws")
        if actor.unheard:
            return self._hears(who, state, actor, actor.unheard[0])
        return Move(who, seat(state, actor._replace(frozen_at=None)))

    def _end(self, state: State, actor: Actor) -> Move:
        error = self.replays[actor.stands].error
        left = unseat(state, actor)
        if error is None:
            return self._acknowledged(left, actor)
        story = (_who(actor), "ends with", type(error).__name__, error)
        if isinstance(error, TemporaryError):
            return Move(story, queue(left, actor.wake_up, BACKOFF, actor.tries))
        crash = f"{type(error).__name__}: {error}"
        ledger = left.ledger._replace(crash=crash)
        return Move(story, left._replace(ledger=ledger), rules.broken_now(ledger, left.world))

    def _acknowledged(self, state: State, actor: Actor) -> Move:
        story = (_who(actor), "ends;", actor.wake_up.message_id, "is acknowledged")
        done = (request for request in state.ledger.asked if request.wake_up == actor.wake_up)
        asked = next((request for request in done if request.mode is Ask.EMERGENCY), None)
        if asked is None:
            return Move(story, state)
        ledger = state.ledger._replace(acknowledged=state.ledger.acknowledged | {asked})
        broken = rules.broken_now(ledger, state.world)
        return Move(story, state._replace(ledger=ledger), broken)

    def _crash(self, state: State, actor: Actor, effect: Effect | None) -> Move:
        again = queue(unseat(state, actor), actor.wake_up, BACKOFF, actor.tries)
        where = effect or "it acknowledges"
        return Move((_who(actor), "CRASHES before:", where), again, (), True)

    # -- the network

    def _deliveries(self, state: State) -> Iterator[Move]:
        if len(state.actors) == self.scenario.workers:
            return
        for queued in dict.fromkeys(state.queue):
            if queued.after <= state.world.clock:
                yield self._deliver(state, queued)

    def _deliver(self, state: State, queued: Queued) -> Move:
        rest = list(state.queue)
        rest.remove(queued)
        wake_up, tries = queued.wake_up, queued.tries + 1
        serial = f"{wake_up.message_id.partition('-')[0][1:]}.{tries}"
        stands = self.replays.begin(wake_up, serial, state.world.clock)
        after = seat(state, Actor(serial, wake_up, stands, tries=tries))
        is_endless = max(tries % COPY, state.published % HISTORY) > rules.ENDLESS
        broken = rules.endless(state.world) if is_endless else ()
        story = (wake_up.message_id, f"is delivered to w{serial}")
        return Move(story, after._replace(queue=tuple(rest)), broken)

    def _landing(self, state: State, index: int) -> Move:
        moved, answer, broken = land(state, index)
        effect = state.world.late[index].effect
        how = "is refused" if isinstance(answer, Failed) else "is carried out"
        return Move(("the late request arrives and", how, effect), moved, broken)

    # -- people

    def _happenings(self, state: State) -> Iterator[Move]:
        for what in dict.fromkeys(state.left):
            left = list(state.left)
            left.remove(what)
            calm = state._replace(
                deviations=state.deviations - 1,
                happenings=state.happenings - 1,
                left=tuple(left),
            )
            happened = self._happen(calm, what)
            if happened is not None:
                broken = rules.broken_now(happened.ledger, happened.world)
                yield Move(("HAPPENS:", what), happened, broken, True)

    def _happen(self, state: State, what: str) -> State | None:
        world = state.world
        if what == TOUCH:
            labels = pairs({**dict(world.secret.labels), "touched": "yes"})
            ledger = state.ledger._replace(touched=True)
            return state._replace(world=world.with_secret(labels=labels), ledger=ledger)
        if what == BY_PERSON:
            return _with_version_of_a_person(state)
        if what == STRAGGLER:
            slot = _slot_of_previous(world)
            if slot is None or world.role(slot).session:
                return None
            came = world.with_role(slot, world.role(slot)._replace(session=PATIENCE))
            return state._replace(world=came)
        if what == BLIND:
            return state._replace(world=world._replace(blind=PATIENCE))
        if what == AGAIN:
            return _published_again(state)
        if what in {FAILS, REFUSES}:
            return _in_trouble(state, what)
        return self._ask(state, what)

    def _ask(self, state: State, what: str) -> State:
        """Publish a message."""
        number = state.published + 1
        world = state.world._replace(clock=state.world.clock + 1)
        now, name = world.now, f"m{number}-{what}"
        wake_up = WakeUp(WakeUpKind.WAKE, NAME, name, now, None, what)
        if what in {FIRING, BY_HAND}:
            wake_up = WakeUp(WakeUpKind.ROTATE, NAME, name, now)
            if what == FIRING:
                world = world.with_secret(schedule=Schedule(now + MONTH, MONTH))
        elif what in {ask.value for ask in Ask}:
            request = Request(Ask(what), now, name, "because", "sre")
            wake_up = WakeUp(WakeUpKind.REQUEST, NAME, name, now, request)
        asked = Asked(wake_up, asked_now(world))
        ledger = state.ledger._replace(asked=(*state.ledger.asked, asked))
        if asked.wants_a_rotation:
            ledger = ledger._replace(unserved=ledger.unserved | {name})
        state = state._replace(world=world, ledger=ledger, published=number)
        return queue(state, wake_up)

    # -- time

    def _time(self, state: State) -> Iterator[Move]:
        """Nobody acts: time passes to what is due next, or the path comes to its end."""
        world = state.world
        reason = _sweep_reason(world)
        woken = any(queued.wake_up.kind is WakeUpKind.WAKE for queued in state.queue)
        if reason is not None and not woken:
            yield Move(("the sweep wakes the secret:", reason), self._wake(state, reason))
        if (due := _next_due(state)) is not None:
            passed = pass_time(state, due)
            yield Move(("time passes",), passed)
        elif reason is None and not state.actors and not world.late:
            yield from self._last_looks(state)

    def _last_looks(self, state: State) -> Iterator[Move]:
        world = state.world
        if state.checks and world.stored.block is None and world.stored.phase is Phase.SETTLED:
            rested = pass_time(state, world.clock + int(LEASE.total_seconds()))
            rested = rested._replace(checks=state.checks - 1)
            yield Move(("all is quiet; a check is due",), self._wake(rested, "check"))
            return
        broken = rules.broken_at_rest(state.ledger, world)
        if broken:
            yield Move(("all is quiet",), state._replace(checks=-1), broken)

    def _wake(self, state: State, reason: str) -> State:
        number = state.published + 1
        wake_up = WakeUp(
            WakeUpKind.WAKE, NAME, f"m{number}-{reason}", state.world.now, None, reason
        )
        return queue(state._replace(published=number), wake_up)

    def _woken(self, state: State, messages: tuple[Any, ...]) -> State:
        for message in messages:
            state = self._wake(state, dict(message)["reason"])
        return state


def _who(actor: Actor) -> str:
    return f"w{actor.serial}"


def _next_due(state: State) -> int | None:
    """Return the next moment at which something is due."""
    world, stored = state.world, state.world.stored
    moments = [queued.after for queued in state.queue]
    if stored.block is None and stored.phase is not Phase.SETTLED:
        waits = (stored.lease_until, stored.wake_at)
        moments += [int((wait - START).total_seconds()) for wait in waits if wait is not None]
    return min((moment for moment in moments if moment > world.clock), default=None)


def _sweep_reason(world: World) -> str | None:
    secret, state, now = secret_of(world.secret), world.stored, world.now
    overdue = sweep.overdue_since(secret, state, now)
    return sweep.wake_reason(secret, state, overdue, now, timedelta(minutes=5), timedelta())


def _in_trouble(state: State, what: str) -> State:
    """Return the state after the canary began to suffer, or a participant to refuse."""
    world, phase = state.world, state.world.stored.phase
    soon = {Phase.SETTLED, Phase.PREPARING} | (
        {Phase.ROLLING_OUT, Phase.SOAKING} if what == FAILS else set()
    )
    # Somebody who acts just now may have looked a moment before.
    in_time = phase in soon and world.stored.receipt is None and not state.actors
    world = world._replace(**{"failing" if what == FAILS else "refusing": True})
    return state._replace(world=world, ledger=state.ledger._replace(goes_back=in_time))


def _published_again(state: State) -> State | None:
    """Return the state after Pub/Sub has made another copy of the first message."""
    if not state.ledger.asked:
        return None
    number = state.published + 1
    copied = queue(state, state.ledger.asked[0].wake_up, tries=COPY * number)
    return copied._replace(published=number)


def _with_version_of_a_person(state: State) -> State | None:
    """Return the state after somebody added the credential in force, with a field more."""
    world = state.world
    if world.pointed is None:
        return None
    fields = Payload(world.versions[world.pointed - 1].payload).fields()
    theirs = Payload.of({key: fields[key] for key in ("username", "password")})
    versions = (*world.versions, Version(theirs.reveal()))
    ledger = state.ledger._replace(theirs=state.ledger.theirs | {len(versions)})
    return state._replace(world=world._replace(versions=versions), ledger=ledger)


def _slot_of_previous(world: World) -> str | None:
    """Return the slot a consumer that still holds the previous credential could log in to."""
    record = world.stored.record
    if record is None or record.next is None or record.previous is None:
        return None
    payload = world.versions[record.previous - 1].payload
    return credential(payload)[0] if world.accepts(payload) else None

"""Plays one scenario under one schedule, from the start to rest, and tells the story.

The plain order: the worker that has the turn keeps it until it ends; then undelivered messages are
delivered, time passes to the next thing that is due, frozen workers thaw, and two checks end it.
A schedule is the list of places where the run leaves that order.

Rules of this module:
  1. A place is named by worker and stop (``w2@7``), or by the count of idle moments (``idle@3``);
     ``+`` marks a second deviation at one place.
  2. What is not possible at a place is passed over, so any part of a schedule is a schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from rotation.machine import sweep
from rotation.model.errors import TemporaryError
from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.plugin import Session
from rotation.model.secret import Schedule as Timetable
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind
from tests.unit.engine.world import NAME

from .invariants import Asked, Watch
from .scheduler import CRASH, GO, THREADS, Actor, CrashedError, resume
from .world import LEASE, World

Schedule = Mapping[str, str]

#: Idle moments after which a run that still has work to do counts as endless.
ENDLESS = 80
IDLE_CHECKS = 2

FREEZE, THAW, LAND, SWITCH = "freeze", "thaw", "late request lands", "switch"
STRAGGLER, LEAVES, TOUCH = "straggler comes", "straggler leaves", "somebody sets a label"
LEASE_ENDS, WAIT_ENDS = "lease time passes", "wait passes"


@dataclass(frozen=True)
class Scenario:
    """How a run begins, and what may happen in it at any moment."""

    name: str
    #: Deliveries at the start, in order.
    opening: tuple[str, ...]
    #: What may happen, each as often as it is listed.
    happenings: tuple[str, ...]
    setup: Callable[[World], None] = lambda _: None
    first: bool = False
    marked: bool = False
    may_block: bool = False


@dataclass
class Played:
    """What one run showed."""

    wrong: list[str]
    story: list[str]
    #: Each place passed, and what could have happened there.
    places: list[tuple[str, tuple[str, ...]]]
    stops: int


class Chooser(Protocol):
    """Decides at each place whether the run leaves the plain order."""

    @property
    def spent(self) -> bool:
        """Whether it will not any more: the rest is run without stops, which is faster."""

    def choose(self, place: str, options: tuple[str, ...]) -> str | None:
        """Return one of ``options``, or None to go on."""


class Follow:
    """Follows a schedule."""

    spent = False

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def choose(self, place: str, options: tuple[str, ...]) -> str | None:
        """Return what the schedule says, where it is possible."""
        wanted = self._schedule.get(place)
        return wanted if wanted in options else None


class Conductor:
    """One run."""

    def __init__(self, scenario: Scenario, chooser: Chooser) -> None:
        self.scenario = scenario
        self.chooser = chooser
        self.world = World(first=scenario.first, marked=scenario.marked)
        scenario.setup(self.world)
        self.watch = Watch(self.world, may_block=scenario.may_block)
        newest = self.world.newest
        if newest and not self.world.opens(newest):
            self.watch.strays.add(newest)
        self.watch.token = self.world.state.token
        self.watch.flying = self.watch.flying_at_start = self.world.state.record is not None
        self.actors: list[Actor] = []
        self.messages: dict[str, WakeUp] = {}
        self.again: list[WakeUp] = []
        self.left = list(scenario.happenings)
        self.places: list[tuple[str, tuple[str, ...]]] = []
        self.story: list[str] = []
        self.turn: Actor | None = None
        self.idle = self.checks = self.stops = 0
        self.resting: tuple[int, str] | None = None
        self._numbers = count(1)
        self._visits: dict[str, int] = {}
        self._reported = 0

    def play(self) -> Played:
        """Run to rest, or to the first broken rule."""
        try:
            for opening in self.scenario.opening:
                self._happen(opening)
                self._until_idle()
            while not self.watch.wrong and self._idle():
                self._until_idle()
            if not self.watch.wrong:
                self.watch.look_at_rest()
        finally:
            self._kill_all()
        self.story.extend(f"BROKEN: {what}" for what in self.watch.wrong)
        return Played(self.watch.wrong, self.story, self.places, self.stops)

    # -- one step

    def _until_idle(self) -> None:
        while not self.watch.wrong and (actor := self._runnable()) is not None:
            self._step(actor)

    def _runnable(self) -> Actor | None:
        if self.turn is not None and not self.turn.over and not self.turn.frozen:
            return self.turn
        ready = [actor for actor in self.actors if not actor.over and not actor.frozen]
        self.turn = ready[-1] if ready else None
        return self.turn

    def _step(self, actor: Actor) -> None:
        others = [each.name for each in self.actors if each is not actor and not each.over]
        switches = tuple(f"{SWITCH} {name}" for name in others)
        choice = self._choice(
            f"{actor.name}@{actor.stops}",
            (*actor.stop.choices[1:], FREEZE, *switches, *self._possible()),
        )
        if choice is None:
            return self._resume(actor, GO)
        if choice in actor.stop.choices:
            return self._resume(actor, choice)
        if choice == FREEZE:
            actor.frozen = True
            self._pass(LEASE)
            return self._tell(f"{actor.name} freezes before: {actor.stop.effect}; the lease passes")
        if choice.startswith(SWITCH):
            name = choice.removeprefix(f"{SWITCH} ")
            self.turn = next(each for each in self.actors if each.name == name)
            self.turn.frozen = False
            return self._tell(f"{name} goes on, {actor.name} waits before: {actor.stop.effect}")
        self._happen(choice)
        return None

    def _resume(self, actor: Actor, answer: str) -> None:
        self.stops += 1
        self._pass(timedelta(seconds=1))
        effect = actor.stop.effect
        actor.rushes = self.chooser.spent
        self._tell(f"{actor.name} {effect}" + ("" if answer == GO else f"   <-- {answer.upper()}"))
        resume(actor, answer)
        for severity, line in self._news():
            self._tell(f"    {actor.name} says {severity}: {line}")
        if actor.over:
            self._ended(actor)

    def _ended(self, actor: Actor) -> None:
        wake_up, error = self.messages[actor.name], actor.error
        if error is None:
            return self._tell(f"{actor.name} ends; {wake_up.message_id} is acknowledged")
        if not isinstance(error, CrashedError | TemporaryError):
            kind = type(error).__name__
            self.watch.say("a worker ends or asks for a repeat", f"{kind}: {error}")
        self.again.append(wake_up)
        return self._tell(f"{actor.name} ends with {type(error).__name__}: {error}")

    # -- deviations

    def _choice(self, place: str, options: tuple[str, ...]) -> str | None:
        visit = self._visits.get(place, 0)
        self._visits[place] = visit + 1
        place += "+" * visit
        self.places.append((place, options))
        return self.chooser.choose(place, options)

    def _possible(self) -> tuple[str, ...]:
        late = (LAND,) if self.world.net.late else ()
        return (*late, *dict.fromkeys(each for each in self.left if self._can(each)))

    def _can(self, happening: str) -> bool:
        state = self.world.state
        if happening == WAIT_ENDS:
            return state.wake_at is not None and state.wake_at > self.world.clock.time
        if happening == STRAGGLER:
            return self._previous_role() is not None
        if happening == LEAVES:
            return any(role.sessions for role in self.world.issuer.roles.values())
        return True

    def _previous_role(self) -> str | None:
        """Return the slot a consumer that still holds the previous credential could log in to."""
        record = self.world.state.record
        if record is None or record.next is None or record.previous is None:
            return None
        payload, _ = self.world.store.versions[record.previous]
        return str(payload.fields()["username"]) if self.world.accepts(payload) else None

    def _happen(self, what: str) -> None:
        if what in self.left and what not in self.scenario.opening:
            self.left.remove(what)
        world = self.world
        if what == LAND:
            self._tell(world.net.land())
        elif what == LEASE_ENDS:
            self._pass(LEASE)
            self._tell(what)
        elif what == WAIT_ENDS:
            self._pass((world.state.wake_at or world.clock.time) - world.clock.time)
            self._tell(what)
        elif what == STRAGGLER:
            slot = self._previous_role() or ""
            world.issuer.roles[slot].sessions.append(Session("memory", "10.0.0.7 billing"))
            self._tell(f"{what}: a session on {slot}")
        elif what == LEAVES:
            for role in world.issuer.roles.values():
                role.sessions.clear()
            self._tell(what)
        elif what == TOUCH:
            self.watch.touched = True
            world.store.touch(labels={**world.store.secret.labels, "touched": "yes"})
            self._tell(what)
        else:
            self._deliver(self._message(what))

    def _message(self, what: str) -> WakeUp:
        self._pass(timedelta(seconds=1))
        now, name = self.world.clock.time, f"m{next(self._numbers)}-{what}"
        if what in {"firing", "rotate"}:  # by the schedule; by hand
            wake_up = WakeUp(WakeUpKind.ROTATE, NAME, name, now)
            if what == "firing":
                month = timedelta(days=30)
                self.world.store.touch(schedule=Timetable(now + month, month))
        elif what in {"check", "wake"}:
            wake_up = WakeUp(WakeUpKind.WAKE, NAME, name, now, None, what)
        elif what == "again":  # the first message once more
            return next(iter(self.messages.values()))
        else:
            request = Request(Ask(what), now, name, "because", "sre")
            wake_up = WakeUp(WakeUpKind.REQUEST, NAME, name, now, request)
        self.watch.asked.append(Asked(wake_up, self._in_force()))
        return wake_up

    def _in_force(self) -> list[Payload]:
        state = self.world.state
        numbers = {state.current, state.record.previous if state.record else None}
        versions = self.world.store.versions
        return [versions[number][0] for number in sorted(n for n in numbers if n in versions)]

    def _deliver(self, wake_up: WakeUp) -> None:
        worker = self.world.worker(self.world.journal)
        actor = Actor(
            f"w{len(self.actors) + 1}",
            lambda: worker.tick(wake_up),
            hurry=lambda: self._pass(timedelta(seconds=1)),
        )
        self.actors.append(actor)
        self.messages[actor.name] = wake_up
        self.turn = actor
        THREADS.run(actor)
        self._tell(f"{wake_up.message_id} is delivered to {actor.name}")

    # -- when nobody has the turn

    def _idle(self) -> bool:
        """Do the next thing that is due; False when there is none."""
        self.idle += 1
        if self.idle > ENDLESS:
            self.watch.say("a rotation that can progress ends", self.world.state.phase.value)
            return False
        choice = self._choice(f"idle@{self.idle}", self._possible())
        if choice is not None:
            self._happen(choice)
            return True
        return self._next_due()

    def _next_due(self) -> bool:
        world, state = self.world, self.world.state
        if world.net.late:
            self._tell(world.net.land())
        elif self.again:
            self._deliver_again(self.again.pop(0))
        elif world.outbox.messages:
            self._deliver(self._woken(world.outbox.messages.pop(0)["reason"]))
        elif state.phase is not Phase.SETTLED and state.block is None:
            self._sweep()
        elif any(role.sessions for role in world.issuer.roles.values()):
            self._happen(LEAVES)
        elif frozen := next((each for each in self.actors if not each.over), None):
            frozen.frozen = False
            self._tell(f"{frozen.name} thaws before: {frozen.stop.effect}")
        elif state.block is None and (reason := self._wake_reason()):
            self._deliver(self._woken(reason))
        elif self.checks < IDLE_CHECKS and state.block is None:
            self.checks += 1
            self._pass(LEASE)
            self._deliver(self._woken("check"))
        else:
            return False
        return True

    def _deliver_again(self, wake_up: WakeUp) -> None:
        self._pass(timedelta(seconds=200))
        self._deliver(wake_up)

    def _sweep(self) -> None:
        """Let time pass until the sweep would wake the secret."""
        state = self.world.state
        times = [each for each in (state.lease_until, state.wake_at) if each is not None]
        due: datetime = max([self.world.clock.time, *times[:1]])
        self._pass(due - self.world.clock.time + timedelta(seconds=1))
        if self.idle % 6 == 0:
            for role in self.world.issuer.roles.values():
                role.sessions.clear()
        reason = self._wake_reason()
        if reason is None:
            self.watch.say("the sweep finds what waits", state.phase.value)
        self._deliver(self._woken(reason or ""))

    def _wake_reason(self) -> str | None:
        secret, now = self.world.store.secret, self.world.clock.time
        return sweep.wake_reason(secret, self.world.state, now, timedelta(minutes=5), timedelta())

    def _woken(self, reason: str) -> WakeUp:
        name = f"m{next(self._numbers)}-{reason}"
        return WakeUp(WakeUpKind.WAKE, NAME, name, self.world.clock.time, None, reason)

    # -- the rest

    def _pass(self, time: timedelta) -> None:
        self.world.clock.time += time

    def _tell(self, line: str) -> None:
        self.story.append(f"{self.world.clock.time:%d %H:%M:%S} {line}")

    def _news(self) -> list[tuple[str, str]]:
        lines = self.world.journal.lines[self._reported :]
        self._reported = len(self.world.journal.lines)
        return lines

    def _kill_all(self) -> None:
        for actor in self.actors:
            if not actor.over:
                resume(actor, CRASH)

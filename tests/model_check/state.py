"""All there is at one instant, and how a run begins.

Rules of this module:
  1. A state is a value; what changes it returns another one.
  2. What can make no difference any more is forgotten, so that more paths meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from rotation.model.wakeup import WakeUp

from .ledger import Ledger
from .rules import Broken
from .world import World, new_world

#: Seconds until a message that was not acknowledged is delivered again.
BACKOFF = 400
#: Looks for drift and orphans that end every path.
CHECKS = 2
#: How many waits a straggler's session outlasts.
PATIENCE = 2
MONTH = timedelta(days=30)

BLIND = "the observer goes blind"
STRAGGLER, TOUCH = "a straggler logs in", "somebody sets a label"
BY_PERSON = "somebody adds a version"
FAILS, REFUSES = "the canary fails", "a participant refuses"
FIRING, BY_HAND, AGAIN = "firing", "rotate", "again"


class Actor(NamedTuple):
    """A worker in the middle of its tick."""

    #: Message and delivery; no count of the whole run, so that paths meet.
    serial: str
    wake_up: WakeUp
    #: Number of its standstill.
    stands: int
    #: It is slow: time passes without it.
    frozen_at: int | None = None
    #: The answer it will hear when it thaws.
    unheard: tuple[Any, ...] = ()
    tries: int = 0


class Queued(NamedTuple):
    """A message, and when it may be delivered."""

    wake_up: WakeUp
    after: int = 0
    #: How often it was delivered before.
    tries: int = 0


class State(NamedTuple):
    """One instant."""

    world: World
    ledger: Ledger
    actors: tuple[Actor, ...] = ()
    queue: tuple[Queued, ...] = ()
    #: Deviations that may still come.
    deviations: int = 0
    #: How many of them may be a worker that freezes.
    stalls: int = 0
    #: How many of them may be people's doing, and what of that is left.
    happenings: int = 0
    left: tuple[str, ...] = ()
    checks: int = CHECKS
    published: int = 0


class Move(NamedTuple):
    """One step."""

    #: Who, and what: parts of a sentence, put together when the story is shown.
    story: tuple[Any, ...]
    state: State
    broken: Broken = ()
    is_deviation: bool = False


@dataclass(frozen=True)
class Scenario:
    """How a run begins, and what may happen in it at any moment."""

    name: str
    #: Messages published at the start.
    opening: tuple[str, ...]
    #: What may happen, each as often as it is listed.
    happenings: tuple[str, ...] = ()
    #: Makes the world at the start.
    setup: Callable[[], World] = new_world
    #: Workers at a time.
    workers: int = 2
    may_block: bool = False
    #: Walked as narrowly as where so many messages begin; 0: as many as do.
    breadth: int = 0


@dataclass(frozen=True)
class Bounds:
    """How far a model goes."""

    #: Deviations on one path ...
    deviations: int = 0
    #: ... how many of them may be a worker that freezes, ...
    stalls: int = 0
    #: ... and how many may be people's doing.
    happenings: int = 0

    def __str__(self) -> str:
        few = f"{self.stalls} freezing, {self.happenings} people's"
        return f"{self.deviations} deviations ({few})" if self.deviations else "no deviation"


def seat(state: State, actor: Actor) -> State:
    others = [other for other in state.actors if other.serial != actor.serial]
    actors = sorted([*others, actor], key=lambda other: other.serial)
    return state._replace(actors=tuple(actors))


def unseat(state: State, actor: Actor) -> State:
    others = tuple(other for other in state.actors if other.serial != actor.serial)
    return state._replace(actors=others)


def queue(state: State, wake_up: WakeUp, backoff: int = 0, tries: int = 0) -> State:
    """Return the state after a message was published, or was not acknowledged."""
    queued = Queued(wake_up, state.world.clock + backoff, tries)
    return state._replace(queue=tuple(sorted((*state.queue, queued), key=_by_message)))


def _by_message(queued: Queued) -> tuple[str, int]:
    return queued.wake_up.message_id, queued.after


def pass_time(state: State, clock: int) -> State:
    """Let time pass; sessions that wait for nothing end some time."""
    world = state.world
    roles = tuple(role._replace(session=max(0, role.session - 1)) for role in world.roles)
    passed = world._replace(clock=clock, roles=roles, blind=max(0, world.blind - 1))  # type: ignore[arg-type]
    return state._replace(world=passed)


def spent(state: State) -> State:
    """Forget what can make no difference any more, so that more paths meet."""
    if state.deviations and state.happenings:
        return state
    return state._replace(happenings=0, left=(), stalls=min(state.stalls, state.deviations))

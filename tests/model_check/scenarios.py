"""Where paths begin, and what may happen on them.

Rules of this module:
  1. A world that is no beginning is reached by walking a calm path there, with the real engine;
     only what no calm path leads to is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.secret import VersionState

from .moves import Model
from .state import (
    AGAIN,
    BLIND,
    BY_HAND,
    BY_PERSON,
    FAILS,
    FIRING,
    REFUSES,
    STRAGGLER,
    TOUCH,
    Bounds,
    Scenario,
    State,
)
from .world import CANARY, LEASE, SLOTS, SOAK, Version, World, new_world

CALM = Bounds()
EMERGENCY, REVERT, ROUTINE, UNBLOCK = "emergency", "revert", "routine", "unblock"
PAUSE, RESUME, RETIRE = "pause", "resume", "retire"
CHECK, WAKE = "check", "wake"


def _walked(
    until: Callable[[World, bool], bool],
    start: Callable[[], World] = new_world,
    opening: str = FIRING,
) -> World:
    """Return the world of a calm path when ``until`` holds of it, and of whether all rest."""
    model = Model(Scenario("calm", (opening,), setup=start), CALM)
    state: State = model.start()
    while not until(state.world, not state.actors):
        state = next(model.moves(state)).state
    return state.world


@cache
def soaking() -> World:
    """A version is published; old and new both work."""
    return _walked(lambda world, rests: rests and world.stored.phase is Phase.SOAKING)


def _lost() -> World:
    world = soaking()
    lost = world.versions[0]._replace(state=VersionState.DESTROYED)
    return world._replace(versions=(lost, *world.versions[1:]))


@cache
def no_way_back() -> World:
    """A revert was asked, and somebody had destroyed the previous version by hand."""
    return _walked(lambda world, _: world.stored.block is not None, _lost, REVERT)


@cache
def soaked() -> World:
    """The soak is over."""
    world = soaking()
    return world._replace(clock=world.clock + int(SOAK.total_seconds()))


@cache
def observing() -> World:
    """The previous credential is suspended."""
    return _walked(lambda world, rests: rests and world.stored.phase is Phase.OBSERVING)


@cache
def destroying() -> World:
    """The previous credential is revoked, its version not destroyed yet."""
    return _walked(lambda world, rests: rests and world.stored.phase is Phase.DESTROYING)


@cache
def rotated() -> World:
    """One rotation is over."""
    return _walked(lambda world, rests: rests and world.stored.receipt is not None)


@cache
def orphan_left() -> World:
    """A version of ours that nobody knows of lies behind a finished rotation."""
    world = rotated()
    made_by = Payload(world.versions[1].payload).rotation_id()
    orphan = Payload.of({"username": SLOTS[1], "password": "x", "rotation_id": made_by})
    return world._replace(versions=(*world.versions, Version(orphan.reveal())))


@cache
def dead_version() -> World:
    """A worker died after adding a version; a later one has minted over it and died, too."""
    world = _walked(lambda world, _: len(world.versions) > 1)
    minted_over = world.role(SLOTS[1])._replace(password="minted later")
    lease = world.clock + int(LEASE.total_seconds())
    return world.with_role(SLOTS[1], minted_over)._replace(clock=lease)


def first() -> World:
    """No credential exists yet."""
    return new_world(first=True)


def staged() -> World:
    """Consumers are pinned in two places, which move one after the other."""
    return new_world(staged=True)


@cache
def rolling_out() -> World:
    """The canary has the next version and is watched."""
    return _walked(lambda world, rests: rests and world.pins[CANARY].version > 1, staged)


@cache
def rolled_out() -> World:
    """Everybody has the next version, and all are watched."""
    return _walked(lambda world, rests: rests and world.stored.phase is Phase.SOAKING, staged)


NOISE = (TOUCH, WAKE, CHECK, AGAIN)
ASKED = (EMERGENCY, REVERT, ROUTINE)
WATCHERS = (STRAGGLER, BLIND)

SCENARIOS = (
    Scenario("a firing", (FIRING,), (*NOISE, *ASKED, FIRING, STRAGGLER, BY_PERSON)),
    Scenario("a firing, delivered twice", (FIRING, AGAIN), (TOUCH, EMERGENCY)),
    Scenario("a firing, delivered three times", (FIRING, AGAIN, AGAIN), workers=3),
    Scenario("a firing and an emergency at once", (FIRING, EMERGENCY), (REVERT,)),
    Scenario("soaking", (WAKE,), (*NOISE, *ASKED, FIRING, STRAGGLER), soaking),
    Scenario("soaking, and an emergency", (EMERGENCY,), (*NOISE, EMERGENCY, REVERT), soaking),
    Scenario("soaking, and a revert", (REVERT,), (*NOISE, EMERGENCY, ROUTINE), soaking),
    Scenario(
        "no way back, and an emergency", (EMERGENCY,), (*NOISE, ROUTINE), no_way_back, breadth=2
    ),
    Scenario("the soak is over, and a revert", (WAKE, REVERT), (EMERGENCY,), soaked),
    Scenario("the soak is over, and an emergency", (WAKE, EMERGENCY), (REVERT,), soaked),
    Scenario("observing", (WAKE,), (*NOISE, *ASKED, STRAGGLER), observing),
    Scenario("observing, and an emergency", (EMERGENCY,), (*NOISE, REVERT), observing),
    Scenario("observing, and a revert", (REVERT,), (*NOISE, EMERGENCY), observing),
    Scenario("destroying", (WAKE,), (*NOISE, *ASKED), destroying),
    Scenario("an orphan is left", (CHECK,), (*NOISE, FIRING, BY_HAND, *ASKED), orphan_left),
    Scenario("first credential", (FIRING,), (*NOISE, FIRING, REVERT, EMERGENCY), first),
    Scenario("a dead version was added", (WAKE,), (*NOISE, FIRING, *ASKED), dead_version),
    Scenario("emergency", (EMERGENCY,), (*NOISE, EMERGENCY, REVERT, FIRING)),
    Scenario("staged", (FIRING,), (FAILS, REFUSES, *ASKED, STRAGGLER), staged, breadth=3),
    Scenario("staged, delivered twice", (FIRING, AGAIN), (FAILS,), staged, breadth=3),
    Scenario("staged, an emergency", (EMERGENCY,), (FAILS, REFUSES, REVERT), staged, breadth=2),
    Scenario("rolling out", (WAKE,), (FAILS, *ASKED), rolling_out, breadth=2),
    Scenario("rolling out, and a revert", (REVERT,), (FAILS, EMERGENCY), rolling_out, breadth=2),
    Scenario("rolling out, and an emergency", (EMERGENCY,), (FAILS,), rolling_out, breadth=3),
    Scenario("paused, and a firing", (PAUSE, FIRING), (RESUME, EMERGENCY, ROUTINE, AGAIN)),
    Scenario("a firing, and a pause", (FIRING, PAUSE), (RESUME, EMERGENCY, REVERT)),
    Scenario("paused and resumed", (PAUSE, RESUME), (FIRING, ROUTINE, AGAIN)),
    Scenario("soaking, and a pause", (PAUSE,), (RESUME, *ASKED, RETIRE, STRAGGLER), soaking),
    Scenario("the soak is over, and a pause", (WAKE, PAUSE), (RESUME, EMERGENCY), soaked),
    Scenario("observing, and a pause", (PAUSE,), (RESUME, EMERGENCY, REVERT), observing),
    Scenario("soaking, and a retirement", (RETIRE,), (*WATCHERS, *ASKED, PAUSE, AGAIN), soaking),
    Scenario("observing, and a retirement", (RETIRE,), (*WATCHERS, EMERGENCY, PAUSE), observing),
    Scenario("rolling out, and a pause", (PAUSE,), (RESUME, *ASKED), rolling_out, breadth=2),
    Scenario("rolled out", (WAKE,), (FAILS, *ASKED, STRAGGLER), rolled_out, breadth=3),
)

#: What is walked in CI: where one message begins, where two do at once, and with three workers.
BOUNDS = (Bounds(2), Bounds(1, stalls=1, happenings=1))
BOUNDS_AT_ONCE = BOUNDS[1:]
BOUNDS_OF_THREE = (Bounds(1),)

#: What takes hours.
WIDE_BOUNDS = (Bounds(3), Bounds(2, stalls=1, happenings=1), Bounds(2, happenings=2))
WIDE_BOUNDS_AT_ONCE = (Bounds(2), *WIDE_BOUNDS[1:])
WIDE_BOUNDS_OF_THREE = (Bounds(2, stalls=1, happenings=1),)


def walks(*, wide: bool) -> list[tuple[Scenario, Bounds]]:
    """Return what is to be walked."""
    one, at_once, three = (
        (WIDE_BOUNDS, WIDE_BOUNDS_AT_ONCE, WIDE_BOUNDS_OF_THREE)
        if wide
        else (BOUNDS, BOUNDS_AT_ONCE, BOUNDS_OF_THREE)
    )
    bounds = (one, at_once, three)
    longest_first = sorted(SCENARIOS, key=lambda scenario: -len(scenario.opening))
    return [
        (scenario, within) for scenario in longest_first for within in bounds[_breadth(scenario)]
    ]


def _breadth(scenario: Scenario) -> int:
    return (scenario.breadth or len(scenario.opening)) - 1

"""Where runs begin, and what may happen in them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from rotation.model.payload import Payload
from rotation.model.secret import VersionState
from rotation.model.wakeup import WakeUp, WakeUpKind
from tests.unit.engine.world import NAME

from .conductor import LEASE_ENDS, LEAVES, STRAGGLER, TOUCH, WAIT_ENDS, Scenario
from .scheduler import CrashedError
from .world import LEASE, World


def _tick(world: World, kind: WakeUpKind = WakeUpKind.WAKE, reason: str = "wait over") -> None:
    world.clock.advance(seconds=1)
    wake_up = WakeUp(kind, NAME, "m0", world.clock.time, None, reason)
    world.worker(world.journal).tick(wake_up)


def _soaking(world: World) -> None:
    _tick(world, WakeUpKind.ROTATE)


def _observing(world: World) -> None:
    _soaking(world)
    world.clock.time += timedelta(hours=1)
    _tick(world)


def _rotated(world: World) -> None:
    _soaking(world)
    while "rotation_phase" in world.store.secret.labels:
        world.clock.advance(minutes=30)
        _tick(world)


def _stray_left(world: World) -> None:
    """Leave a version of ours that nobody knows of behind a finished rotation."""
    _rotated(world)
    made_by = world.store.versions[2][0].rotation_id() or ""
    stray = Payload.of({"username": "app_b", "password": "x", "rotation_id": made_by})
    world.store.versions[3] = (stray, VersionState.ENABLED)


def _dead_version(world: World) -> None:
    """Let a worker die after adding; a later one has minted over it and died, too."""

    def die(*_: object) -> None:
        raise CrashedError

    world.store.on_added = die
    with suppress(CrashedError):
        _tick(world, WakeUpKind.ROTATE)
    world.issuer.roles["app_b"].password = "minted later"
    world.clock.time += LEASE


NOISE = (LEASE_ENDS, LEASE_ENDS, WAIT_ENDS, TOUCH, "wake", "check", "again")
STRAGGLING = (STRAGGLER, LEAVES)

SCENARIOS = (
    Scenario("a firing", ("firing",), (*NOISE, *STRAGGLING, "firing")),
    Scenario(
        "a firing, and somebody asks",
        ("firing",),
        (*NOISE, "revert", "emergency", "routine"),
    ),
    Scenario(
        "soaking",
        ("wake",),
        (*NOISE, *STRAGGLING, WAIT_ENDS, "revert", "emergency", "routine"),
        _soaking,
    ),
    Scenario(
        "observing",
        ("wake",),
        (*NOISE, *STRAGGLING, WAIT_ENDS, "revert", "emergency", "routine"),
        _observing,
    ),
    Scenario(
        "a stray is left",
        ("check",),
        (*NOISE, "firing", "rotate", "emergency", "revert", "routine"),
        _stray_left,
    ),
    Scenario(
        "first credential", ("firing",), (*NOISE, "firing", "revert", "emergency"), first=True
    ),
    Scenario(
        "a dead version was added",
        ("wake",),
        (*NOISE, "firing", "emergency", "revert", "routine"),
        _dead_version,
    ),
    Scenario("emergency", ("emergency",), (*NOISE, "emergency", "revert", "firing")),
)

import pytest

from rotation.engine.crashpoints import CrashPoint
from rotation.model.errors import LeaseHeldError
from rotation.model.payload import Payload
from rotation.model.secret import VersionState
from rotation.model.wakeup import Ask

from .world import World


def test_latest_opens_a_session_at_every_moment_of_a_revert() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    dead: list[str] = []

    def look(effect: str) -> None:
        if not world.logs_in(max(world.store.versions)):
            dead.append(effect)

    world.store.trouble = look
    world.issuer.trouble = staticmethod(look)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert dead == []


def _with_stray(world: World) -> None:
    """Leave a version that nobody knows of behind a finished rotation."""
    world.worker().tick(world.scheduled())
    world.settle()
    made_by = world.store.versions[2][0].rotation_id()
    stray = Payload.of({"username": "app_b", "password": "x", "rotation_id": made_by})
    world.store.versions[3] = (stray, VersionState.ENABLED)
    world.clock.advance(minutes=1)


def test_firing_while_a_check_holds_the_lease_is_delivered_again() -> None:
    world = World()
    _with_stray(world)
    refused: list[str] = []

    def fire(call: str) -> None:
        if call == "disable" and not refused:
            refused.append("held")
            with pytest.raises(LeaseHeldError):
                world.worker().tick(world.scheduled())

    world.store.trouble = fire
    world.worker().tick(world.woken("check"))
    assert refused == ["held"]


def test_stray_of_a_refused_first_credential_is_put_away() -> None:
    world = World(first=True)
    world.worker(CrashPoint.ADDING, lambda: world.worker().tick(world.asked(Ask.REVERT))).tick(
        world.scheduled()
    )
    assert world.states() == {1: "enabled"}
    (check,) = world.outbox.messages
    world.worker().tick(world.woken(check["reason"]))
    assert world.states() == {1: "disabled"}

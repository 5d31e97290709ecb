"""Nothing ends on the record's word alone: here nothing is signed, and any record is believed."""

import json
from typing import Any

import pytest

from rotation.engine import codec
from rotation.engine.crashpoints import CrashPoint
from rotation.model.phase import Phase
from rotation.model.secret import VersionState
from rotation.model.wakeup import Ask

from .test_sealed import change, change_record, soaking
from .world import Killed, World


def unsigned() -> World:
    world = soaking()
    world.keys = None
    return world


def believe(world: World, phase: Phase, **record: Any) -> None:
    """Write a record that says anything, and let the worker see it."""
    change_record(world, phase.value, **record)
    change(world, labels={"rotation_phase": phase.label, "rotation_wake_at": None})
    world.worker().tick(world.woken())


def point(world: World, number: int) -> None:
    world.store.touch(aliases={**world.aliases, "current": number})


def assert_blocked(world: World, reason: str) -> None:
    assert world.labels.get("rotation_blocked") == reason, world.labels
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert world.logs_in(1)
    assert world.logs_in(2)


ENDING = [Phase.SUSPENDING, Phase.OBSERVING, Phase.REVOKING, Phase.DESTROYING]


@pytest.mark.parametrize("phase", ENDING)
def test_what_consumers_are_pointed_to_does_not_end(phase: Phase) -> None:
    world = unsigned()
    believe(world, phase, previous=2, next=1, previous_handle="app_b", handle="app_a")
    assert_blocked(world, "pointer-moved")


def test_what_still_works_is_not_destroyed_even_if_the_alias_was_moved_too() -> None:
    world = unsigned()
    point(world, 1)
    believe(world, Phase.DESTROYING, previous=2, next=1, previous_handle="app_b")
    assert_blocked(world, "previous-works")


def test_nothing_is_destroyed_while_its_credential_works() -> None:
    world = unsigned()
    believe(world, Phase.DESTROYING)
    assert_blocked(world, "previous-works")


@pytest.mark.parametrize("phase", [Phase.SUSPENDING, Phase.REVOKING, Phase.DESTROYING])
def test_the_version_that_stays_is_no_copy_of_the_one_that_ends(phase: Phase) -> None:
    world = unsigned()
    believe(world, phase, previous_copies=[2])
    assert_blocked(world, "not-proven")


@pytest.mark.parametrize("mode", ["routine", "emergency"])
@pytest.mark.parametrize("phase", [Phase.SUSPENDING, Phase.REVOKING, Phase.DESTROYING])
def test_the_handle_that_stays_does_not_end(phase: Phase, mode: str) -> None:
    world = unsigned()
    believe(world, phase, previous_handle="app_b", mode=mode)
    if (phase, mode) != (Phase.DESTROYING, "emergency"):
        assert_blocked(world, "not-proven")
    assert world.logs_in(2)
    assert world.logs_in(1)


def test_nothing_is_revoked_before_the_next_one_logs_in() -> None:
    world = unsigned()
    world.issuer.roles["app_b"].password = "changed by hand"
    believe(world, Phase.REVOKING)
    assert world.labels["rotation_blocked"] == "not-proven"
    assert world.logs_in(1)


@pytest.mark.parametrize("state", [VersionState.DISABLED, VersionState.DESTROYED])
def test_nothing_is_destroyed_before_the_next_one_is_there(state: VersionState) -> None:
    world = unsigned()
    world.store.versions[2] = (world.store.versions[2][0], state)
    believe(world, Phase.DESTROYING)
    assert world.labels["rotation_blocked"] == "not-proven"
    assert world.states()[1] == "enabled"


def test_nothing_is_destroyed_before_the_next_one_logs_in() -> None:
    world = unsigned()
    world.issuer.roles["app_b"].password = "changed by hand"
    believe(world, Phase.DESTROYING)
    assert world.labels["rotation_blocked"] == "not-proven"
    assert world.states()[1] == "enabled"


def test_an_emergency_leaves_what_it_cannot_prove_and_goes_on() -> None:
    world = soaking()
    while world.labels.get("rotation_phase") != Phase.DESTROYING.label or not world.states()[
        1
    ].startswith("disabled"):
        world.clock.advance(minutes=30)
        world.worker().tick(world.woken())
    world.issuer.roles["app_b"].password = "leaked, and changed by hand"
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.aliases["current"] == 3
    assert world.logs_in(3)
    assert world.states()[1] == "disabled"


def test_destroying_costs_one_read_and_one_login_more() -> None:
    world = soaking()
    calls: list[str] = []
    while "rotation_phase" in world.labels:
        world.clock.advance(hours=13)
        world.store.calls.clear()
        world.worker().tick(world.woken())
        calls = list(world.store.calls)
    assert calls == ["get", "update", "access", "version", "get", "destroy", "update"]


def test_an_old_record_with_its_mac_copied_back_loses_nothing() -> None:
    world = soaking()
    kept: list[tuple[dict[str, str], dict[str, str], dict[str, int]]] = []
    while "rotation_phase" in world.labels:
        secret = world.store.secret
        kept.append((dict(secret.labels), dict(secret.annotations), dict(secret.aliases)))
        world.clock.advance(minutes=30)
        world.worker().tick(world.woken())
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    for labels, annotations, aliases in kept:
        replay = {**world.aliases, "current": aliases["current"]}
        before = world.store.secret
        world.store.touch(labels=labels, annotations=annotations, aliases=replay)
        world.clock.advance(days=2)
        world.worker().tick(world.woken())
        assert world.logs_in(3) or world.logs_in(2), labels
        assert world.states()[3] == "enabled"
        assert world.states()[2] == "enabled"
        world.store.touch(
            labels=before.labels, annotations=before.annotations, aliases=before.aliases
        )


def test_an_old_emergency_copied_back_does_not_revoke_what_is_in_force_now() -> None:
    """The fence has seen newer tokens than the record knows."""
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.PUBLISHED).tick(world.asked(Ask.EMERGENCY))
    secret = world.store.secret
    assert json.loads(secret.annotations[codec.RECORD])["phase"] == "revoking"
    world.clock.advance(hours=1)
    world.worker().tick(world.woken())
    world.settle()
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    assert world.aliases["current"] == 3
    world.store.touch(labels=secret.labels, annotations=secret.annotations)
    world.clock.advance(hours=1)
    world.worker().tick(world.woken())
    assert world.labels["rotation_blocked"] == "record-old"
    assert world.logs_in(3)
    assert world.logs_in(2)
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert (world.receipt["outcome"], world.receipt["current"]) == ("recovered", 3)
    assert world.logs_in(3)


def test_a_revert_ends_nothing_that_consumers_have() -> None:
    world = unsigned()
    believe(world, Phase.ABORTING, previous=1, next=2)
    assert_blocked(world, "pointer-moved")


def test_an_abort_ends_nothing_before_the_previous_one_logs_in() -> None:
    world = unsigned()
    point(world, 1)
    world.issuer.roles["app_a"].password = "changed by hand"
    believe(world, Phase.ABORTING)
    assert world.labels["rotation_blocked"] == "not-proven"
    assert world.logs_in(2)

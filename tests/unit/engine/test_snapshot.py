"""Everybody reads a secret by one record; what cannot be understood is a fault in it."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from rotation.engine.snapshot import Snapshot, read_snapshot
from rotation.model.errors import PolicyError, StateError
from rotation.model.phase import Phase
from rotation.participants.alias import AliasParticipant
from rotation.policies.choosing import Asking
from rotation.policies.policy import Kinds

from .world import GateSettings, MemorySettings, PinSettings, World


def read(world: World, **changes: Any) -> Snapshot:
    kinds = Kinds(
        {"memory": MemorySettings, "value": PinSettings},
        {"alias": AliasParticipant.spec.settings, "pin": PinSettings},
        {"gate": GateSettings},
        asking=Asking(world.targets),
    )
    participants: Mapping[str, Any] = {"alias": AliasParticipant, "pin": world.pin}
    return read_snapshot(
        replace(world.store.secret, **changes), world.clock.now(), kinds, participants
    )


def test_a_rotation_in_flight_is_read_as_the_worker_left_it() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    snapshot = read(world)
    assert snapshot.faults == ()
    assert snapshot.is_in_flight
    assert snapshot.readable_state().phase is Phase.SOAKING
    assert (snapshot.current, snapshot.handle) == (2, "app_b")
    assert snapshot.sound_policy().soak == timedelta(hours=1)


def test_what_participants_observe_counts_before_the_record() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    assert read(world, aliases={"current": 1}).current == 1


def test_without_a_participant_that_knows_the_record_is_believed() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    assert read(world, aliases={}).current == 2


def test_every_fault_is_reported_and_the_policy_is_first() -> None:
    world = World()
    snapshot = read(world, annotations={}, labels={"rotation_phase": "soaking"})
    assert [type(fault) for fault in snapshot.faults] == [PolicyError, StateError]
    assert snapshot.needs_a_person
    assert snapshot.current is None
    with pytest.raises(PolicyError, match="removed"):
        snapshot.check()
    with pytest.raises(PolicyError, match="removed"):
        snapshot.sound_policy()
    with pytest.raises(StateError, match="no annotation"):
        snapshot.readable_state()


def test_another_kind_of_issuer_than_the_rotation_began_with_is_a_fault_of_the_policy() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    other = json.dumps({"issuer": {"kind": "value"}})
    snapshot = read(world, annotations={**world.store.secret.annotations, "rotation.policy": other})
    with pytest.raises(PolicyError, match="began with the issuer memory") as raised:
        snapshot.check()
    assert "issuer.kind" in raised.value.remedy
    assert snapshot.is_in_flight


def test_a_fault_of_the_state_leaves_the_receipts_readable() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.settle()
    snapshot = read(world, labels={"rotation_token": "x"})
    assert snapshot.state is None
    last, before = snapshot.receipts
    assert (last and last.current, before) == (2, ())

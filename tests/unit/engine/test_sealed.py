"""A record of somebody else is not acted upon, whoever wrote it and whatever it says."""

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from rotation.engine import codec, sealed
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.sealed import NotOursError
from rotation.model.keys import KeyRing
from rotation.model.names import SecretName
from rotation.model.phase import Phase
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask
from tests.support.keys import KEYS, make_key

from .world import NAME, World


def soaking(**policy: Any) -> World:
    world = World(**policy)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_phase"] == "soaking"
    return world


def change(world: World, *, labels: Any = (), annotations: Any = ()) -> None:
    """Write as somebody who may update the secret; None takes away."""
    secret = world.store.secret
    changed_labels = {**secret.labels, **dict(labels)}
    changed = {**secret.annotations, **dict(annotations)}
    world.store.touch(
        labels={key: value for key, value in changed_labels.items() if value is not None},
        annotations={key: value for key, value in changed.items() if value is not None},
    )


def change_record(world: World, phase: str | None = None, **fields: Any) -> None:
    stored = json.loads(world.store.secret.annotations[codec.RECORD])
    stored["record"] |= fields
    stored["phase"] = phase or stored["phase"]
    change(world, annotations={codec.RECORD: json.dumps(stored)})


def tick_later(world: World) -> None:
    world.clock.advance(hours=2)
    world.worker().tick(world.woken())


def assert_untouched(world: World) -> None:
    assert world.labels["rotation_blocked"] == "record-not-ours"
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert world.logs_in(1)
    assert world.logs_in(2)


@pytest.mark.parametrize(
    "fields",
    [
        {"previous": 2, "next": 1},
        {"previous_copies": [2]},
        {"previous_handle": "app_b"},
        {"mode": "emergency"},
        {"skip_waits": True},
        {"id": "20261122t120000-aaaa-1"},
    ],
    ids=str,
)
def test_a_changed_record_is_not_acted_upon(fields: dict[str, Any]) -> None:
    world = soaking()
    change_record(world, **fields)
    tick_later(world)
    assert_untouched(world)


@pytest.mark.parametrize("phase", ["suspending", "revoking", "destroying", "aborting", "reverting"])
def test_a_changed_phase_is_not_acted_upon(phase: str) -> None:
    world = soaking()
    change_record(world, phase)
    change(world, labels={"rotation_phase": Phase(phase).label})
    tick_later(world)
    assert_untouched(world)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("rotation_token", "1000"),
        ("rotation_wake_at", None),
        ("rotation_lease_until", "1"),
        ("rotation_id", "another"),
        ("rotation_stage", "everyone"),
    ],
)
def test_a_changed_label_is_not_acted_upon(label: str, value: str | None) -> None:
    world = soaking()
    change(world, labels={label: value})
    tick_later(world)
    assert_untouched(world)


@pytest.mark.parametrize("mac", [None, "", "k-tests:", "k-other:" + "A" * 43, "k-tests:é"])
def test_a_record_without_a_fitting_mac_is_not_acted_upon(mac: str | None) -> None:
    world = soaking()
    change(world, annotations={codec.MAC: mac})
    tick_later(world)
    assert_untouched(world)
    assert "rotation unblock app" in world.store.secret.annotations["rotation.blocked"]


def test_a_record_of_another_secret_is_not_ours() -> None:
    secret = soaking().store.secret
    assert sealed.is_ours(secret, KEYS)
    other_project = SecretName("210987654321", NAME.secret_id)
    for name in (SecretName(NAME.project, "other"), other_project):
        assert not sealed.is_ours(replace(secret, name=name), KEYS)


def test_a_record_of_a_deleted_secret_of_the_same_name_is_not_ours() -> None:
    secret = soaking().store.secret
    again = replace(secret, create_time=secret.create_time + timedelta(days=1))
    assert not sealed.is_ours(again, KEYS)


def test_a_record_that_changes_while_a_worker_holds_it_stops_the_worker() -> None:
    world = soaking()
    world.clock.advance(hours=2)
    change_it = lambda: change_record(world, previous=2, next=1)  # noqa: E731
    world.worker(CrashPoint.SUSPENDED, change_it).tick(world.woken())
    assert world.labels["rotation_blocked"] == "record-not-ours"
    assert world.states() == {1: "enabled", 2: "enabled"}


def test_people_may_stop_and_pause_by_hand() -> None:
    world = soaking()
    change(world, labels={"rotation_paused": "yes", "team": "other"})
    tick_later(world)
    assert "rotation_blocked" not in world.labels
    change(world, labels={"rotation_blocked": "by-hand"})
    world.worker().tick(world.woken())
    assert world.labels["rotation_blocked"] == "by-hand"
    assert sealed.is_ours(world.store.secret, KEYS)


def test_nobody_else_takes_a_block_away() -> None:
    world = soaking()
    world.store.touch(aliases={**world.aliases, "current": 1})
    tick_later(world)
    assert world.labels["rotation_blocked"] == "pointer-moved"
    change(world, labels={"rotation_blocked": None})
    assert not sealed.is_ours(world.store.secret, KEYS)


def test_the_next_key_signs_and_the_one_before_still_verifies() -> None:
    world = soaking()
    new = make_key("k-new", b"n")
    world.keys = KeyRing((new, *KEYS.keys))
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.store.secret.annotations[codec.MAC].startswith("k-new:")
    assert sealed.is_ours(world.store.secret, KeyRing((new,)))


def test_a_key_that_retired_verifies_nothing() -> None:
    world = soaking()
    world.keys = KeyRing((make_key("k-tests", b"n"),))
    tick_later(world)
    assert_untouched(world)


def test_a_settled_secret_is_signed_at_the_next_write() -> None:
    world = World()
    world.keys = None
    world.worker().tick(world.scheduled())
    world.settle()
    assert codec.MAC not in world.store.secret.annotations
    world.keys = KEYS
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    assert sealed.is_ours(world.store.secret, KEYS)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "destroyed", 3: "enabled"}


def test_of_an_unsigned_receipt_only_what_can_be_looked_at_is_believed() -> None:
    world = soaking()
    world.settle()
    receipt = {
        **json.loads(world.store.secret.annotations[codec.RECEIPT]),
        "copies": [2, 1],
        "emergencies_until": "2099-01-01T00:00:00Z",
    }
    lease = {"rotation_lease_until": "4000000000"}
    change(world, annotations={codec.RECEIPT: json.dumps(receipt)}, labels=lease)
    state = sealed.decode(world.store.secret, 2, KEYS)
    assert state.receipt is not None
    assert (state.receipt.copies, state.receipt.emergencies_until) == ((), None)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.aliases["current"] == 3
    assert world.logs_in(3)


def test_without_keys_everything_is_as_before() -> None:
    world = World()
    world.keys = None
    world.worker().tick(world.scheduled())
    change(world, labels={"rotation_wake_at": None})
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_unblocking_looks_what_is_there_and_settles_on_that() -> None:
    world = soaking()
    change_record(world, "destroying", previous=2, next=1)
    change(world, labels={"rotation_phase": Phase.DESTROYING.label})
    tick_later(world)
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert "rotation_blocked" not in world.labels
    assert "rotation_phase" not in world.labels
    assert sealed.is_ours(world.store.secret, KEYS)
    assert world.receipt["outcome"] == "recovered"
    assert (world.receipt["current"], world.receipt["requested_by"]) == (2, "sre")
    assert world.states() == {1: "enabled", 2: "enabled"}
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.aliases["current"] == 3
    assert world.logs_in(3)


def test_unblocking_leaves_versions_enabled_that_somebody_may_use() -> None:
    world = soaking()
    change_record(world, previous=2, next=1)
    world.store.touch(aliases={**world.aliases, "current": 1})
    tick_later(world)
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert (world.receipt["current"], world.receipt["last"]) == (1, 2)
    assert "enabled beside it: 2" in world.receipt["evidence"][0]
    tick_later(world)
    assert world.logs_in(2)


def test_unblocking_does_not_settle_on_what_does_not_log_in() -> None:
    world = soaking()
    change_record(world, previous=2, next=1)
    world.issuer.roles["app_b"].password = "changed by hand"
    tick_later(world)
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert world.labels["rotation_blocked"] == "record-not-ours"
    assert "does not log in" in world.store.secret.annotations["rotation.blocked"]


def test_an_emergency_goes_on_from_what_is_there() -> None:
    world = soaking()
    change_record(world, previous=2, next=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.aliases["current"] == 3
    assert world.logs_in(3)
    assert not world.logs_in(2)


def test_other_requests_move_nothing() -> None:
    world = soaking()
    change_record(world, previous=2, next=1)
    for mode in (Ask.REVERT, Ask.RETIRE, Ask.ROUTINE, Ask.PAUSE):
        world.worker().tick(world.asked(mode))
    assert_untouched(world)


def test_the_mac_takes_less_than_a_hundred_bytes() -> None:
    secret = soaking().store.secret
    assert len(codec.MAC) + len(secret.annotations[codec.MAC]) < 100


def test_the_mac_counts_in_the_room_that_there_is() -> None:
    secret = soaking().store.secret
    state = sealed.decode(secret, 2, KEYS)
    used = sum(len(key) + len(value) for key, value in secret.annotations.items())
    room = codec.MAX_ANNOTATION_BYTES - used - len("filler")
    full = with_filler(secret, room)
    assert sealed.encode(state, full, KEYS).annotations == full.annotations
    with pytest.raises(codec.StateError, match="16385 bytes"):
        sealed.encode(state, with_filler(secret, room + 1), KEYS)


def with_filler(secret: Secret, size: int) -> Secret:
    return replace(secret, annotations={**secret.annotations, "filler": "x" * size})


def test_a_foreign_record_raises_its_own_error() -> None:
    world = soaking()
    change_record(world, skip_waits=True)
    with pytest.raises(NotOursError, match="does not fit its MAC"):
        sealed.decode(world.store.secret, 2, KEYS)

"""Secret Manager and Pub/Sub are down, slow, over quota, forgetful, or answer with nothing."""

from datetime import timedelta
from typing import Any

import pytest

from rotation.emulator.secretmanager.quotas import REAL, Limits
from tests.acceptance.conftest import MakeTarget
from tests.acceptance.prober import probing
from tests.support.stack.scene import Scene, wait_until
from tests.support.stack.target import Target

ALONG = ("GetSecret", "UpdateSecret", "AccessSecretVersion", "AddSecretVersion")
RETIRING = ("GetSecretVersion", "DisableSecretVersion", "DestroySecretVersion", "ListSecrets")
WRITES = ("UpdateSecret", "AddSecretVersion", "DisableSecretVersion", "DestroySecretVersion")

PASSING: list[tuple[str, str, dict[str, Any]]] = [
    *(("unavailable", method, {"count": 2}) for method in (*ALONG, *RETIRING)),
    *(("exhausted", method, {"count": 2}) for method in WRITES),
    *(("committed-unavailable", method, {"count": 1}) for method in WRITES),
    *(("latency", method, {"count": 1, "seconds": 0.3}) for method in ALONG),
]


def _assert_rotated_once(target: Target, first: dict[str, Any]) -> None:
    target.assert_settled(current=2, previous=1)
    assert target.states == {1: "DESTROYED", 2: "ENABLED"}
    assert target.latest() == target.payload(2)
    assert target.refused(first)


@pytest.mark.parametrize(("mode", "method", "how"), PASSING, ids=str)
def test_rotation_goes_through_a_passing_failure(
    target: Target, mode: str, method: str, how: dict[str, Any]
) -> None:
    first = target.payload(1)
    target.scene.controls.set_failure(mode, method, **how)
    target.rotate()
    assert target.works(first)
    target.settle()
    assert target.scene.controls.failures() == []
    _assert_rotated_once(target, first)


@pytest.mark.parametrize("writes", [1, 2])
def test_request_that_reads_stale_state_is_served_all_the_same(target: Target, writes: int) -> None:
    target.rotate()
    target.settle()
    second = target.payload(2)
    target.scene.advance(seconds=5)
    target.scene.controls.set_failure("stale", "GetSecret", count=4, writes=writes)
    target.ask("routine")
    wait_until(lambda: target.current == 3, "it is published")
    target.settle()
    target.assert_settled(current=3, previous=2)
    assert target.refused(second)


def test_firing_lost_to_a_stale_read_is_made_up_for_by_the_sweep(
    scene: Scene, make_target: MakeTarget
) -> None:
    moment = scene.stack.services.clock.now() + timedelta(hours=1)
    target = make_target(
        scene,
        secret={
            "topics": [{"name": scene.stack.topic}],
            "rotation": {"next_rotation_time": moment, "rotation_period": timedelta(days=1)},
        },
    ).start()
    scene.await_idle()
    scene.controls.set_failure("stale", "GetSecret", count=1, writes=2)
    scene.advance(hours=1, seconds=1)
    wait_until(lambda: not scene.controls.failures(), "the firing has read stale state")
    scene.await_idle()
    for _ in range(3):
        scene.advance(minutes=5)
        scene.sweep()
        scene.await_idle()
    assert target.current == 2
    target.settle()
    target.assert_settled(current=2, previous=1)


def test_sweep_that_lists_stale_state_is_made_up_for_by_the_next_one(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    target.scene.controls.set_failure("stale", "ListSecrets", count=2, writes=2)
    target.skip_wait()
    for _ in range(4):
        target.scene.sweep()
        target.scene.await_idle()
    assert target.scene.controls.failures() == []
    assert target.phase != "soaking"
    target.settle()
    _assert_rotated_once(target, first)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["black-hole", "committed-black-hole"])
@pytest.mark.parametrize("method", ["UpdateSecret", "AddSecretVersion"])
def test_rotation_goes_through_a_write_that_is_never_answered(
    target: Target, mode: str, method: str
) -> None:
    first = target.payload(1)
    target.scene.controls.set_failure(mode, method, count=1)
    with probing(target):
        target.fire()
        wait_until(lambda: target.current == 2, "it is published", 60)
    target.scene.await_idle(60)
    target.settle()
    _assert_rotated_once(target, first)


@pytest.mark.parametrize("verb", ["Enable", "Disable"])
def test_revert_goes_through_writes_whose_answers_are_lost(target: Target, verb: str) -> None:
    target.rotate()
    target.move_on_to("observing")
    target.scene.controls.set_failure("committed-unavailable", f"{verb}SecretVersion", count=1)
    target.ask("revert")
    target.await_phase("settled", 1)
    target.scene.await_idle()
    assert target.states == {1: "ENABLED", 2: "DISABLED", 3: "ENABLED"}
    assert target.latest() == target.payload(1)


@pytest.mark.parametrize("phase", ["settled", "soaking", "observing"])
def test_outage_of_everything_is_waited_out(target: Target, phase: str) -> None:
    first = target.payload(1)
    if phase != "settled":
        target.rotate()
        target.move_on_to(phase)
    target.skip_wait()
    target.scene.controls.set_failure("unavailable")
    if phase == "settled":
        target.fire()
    else:
        target.wake()
    wait_until(lambda: target.scene.log("UNAVAILABLE"), "it is logged")
    assert target.phase == phase
    current = target.payload(max(target.states))
    assert target.works(current)
    etag = target.secret.etag
    target.scene.controls.clear_failures()
    wait_until(lambda: target.secret.etag != etag, "it goes on by itself")
    target.settle()
    _assert_rotated_once(target, first)


def test_rotations_fit_into_the_real_write_quotas(target: Target) -> None:
    first = target.payload(1)
    target.scene.controls.set_quotas(REAL)
    try:
        target.rotate()
        target.settle()
    finally:
        target.scene.controls.set_quotas(Limits())
    _assert_rotated_once(target, first)


def test_right_to_add_versions_missing_blocks_and_names_the_role(target: Target) -> None:
    target.scene.controls.set_failure("denied", permission="secretmanager.versions.add")
    target.fire()
    target.assert_blocked("access-denied", "secretmanager.versions.add", "secretVersionAdder")
    target.scene.controls.clear_failures()
    first = target.payload(1)
    target.unblock()
    _assert_rotated_once(target, first)


def test_right_to_read_the_payload_missing_blocks_and_names_the_role(target: Target) -> None:
    target.scene.controls.set_failure("denied", permission="secretmanager.versions.access")
    target.fire()
    target.assert_blocked("access-denied", "secretmanager.versions.access", "secretAccessor")
    target.scene.controls.clear_failures()
    first = target.payload(1)
    target.unblock()
    _assert_rotated_once(target, first)


def test_right_to_update_missing_is_logged_and_nothing_is_touched(target: Target) -> None:
    target.scene.controls.set_failure("denied", permission="secretmanager.secrets.update")
    target.fire()
    target.scene.await_idle()
    assert target.has_logged("ERROR", "secretmanager.secrets.update", "gcloud")
    assert target.phase == "settled"
    assert target.states == {1: "ENABLED"}
    target.scene.controls.clear_failures()
    first = target.payload(1)
    target.rotate()
    target.settle()
    _assert_rotated_once(target, first)


def test_sweep_whose_publishing_is_refused_is_logged_and_the_next_one_works(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    topic = target.scene.stack.topic
    target.scene.call(
        lambda running: running.broker.failures.refuse_publish("PERMISSION_DENIED", topic)
    )
    try:
        target.skip_wait()
        assert target.scene.deliver(eventType="ROTATION_SWEEP") == 204
    finally:
        target.scene.call(lambda running: running.broker.failures.clear())
    (line,) = target.scene.log("publishing to")[-1:]
    assert line["severity"] == "ERROR"
    assert "roles/pubsub.publisher" in line["message"]
    assert target.works(first)
    target.settle()
    _assert_rotated_once(target, first)


def test_sweep_whose_publishing_fails_for_a_moment_goes_on(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    target.skip_wait()
    target.scene.call(
        lambda running: running.broker.failures.refuse_publish("UNAVAILABLE", times=2)
    )
    target.scene.deliver(eventType="ROTATION_SWEEP")
    target.scene.call(lambda running: running.broker.failures.clear())
    target.settle()
    _assert_rotated_once(target, first)

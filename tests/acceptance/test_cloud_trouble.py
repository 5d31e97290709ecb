"""Secret Manager and Pub/Sub are down, slow, over quota, forgetful, or answer with nothing."""

from typing import Any

import pytest

from rotation.local.secretmanager.quotas import REAL, Limits
from tests.acceptance.prober import probing
from tests.acceptance.scene import wait_until
from tests.acceptance.target import Target

ALONG = ("GetSecret", "UpdateSecret", "AccessSecretVersion", "AddSecretVersion")
RETIRING = ("GetSecretVersion", "DisableSecretVersion", "DestroySecretVersion", "ListSecrets")
WRITES = ("UpdateSecret", "AddSecretVersion", "DisableSecretVersion", "DestroySecretVersion")

PASSING: list[tuple[str, str, dict[str, Any]]] = [
    *(("unavailable", method, {"count": 2}) for method in (*ALONG, *RETIRING)),
    *(("exhausted", method, {"count": 2}) for method in WRITES),
    *(("committed-unavailable", method, {"count": 1}) for method in WRITES),
    *(("latency", method, {"count": 3, "seconds": 0.3}) for method in ALONG),
    ("stale", "GetSecret", {"count": 4, "writes": 1}),
    ("stale", "GetSecret", {"count": 4, "writes": 3}),
    ("stale", "AccessSecretVersion", {"count": 2, "writes": 1}),
    ("stale", "ListSecrets", {"count": 2, "writes": 2}),
]


def _assert_rotated_once(target: Target, first: dict[str, Any]) -> None:
    target.assert_settled(current=2, previous=1)
    assert target.states == {1: "DESTROYED", 2: "ENABLED"}
    assert target.latest() == target.payload(2)
    assert target.refused(first)


@pytest.mark.parametrize(("mode", "method", "how"), PASSING, ids=lambda value: str(value))
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
    wait_until(lambda: target.scene.log("UNAVAILABLE"), "it is said")
    assert target.phase == phase
    current = target.payload(max(target.states))
    assert target.works(current)
    target.scene.controls.clear_failures()
    wait_until(lambda: target.phase != phase, "it goes on by itself")
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
    assert target.said("ERROR", "secretmanager.secrets.update", "gcloud")
    assert target.phase == "settled"
    assert target.states == {1: "ENABLED"}
    target.scene.controls.clear_failures()
    first = target.payload(1)
    target.rotate()
    target.settle()
    _assert_rotated_once(target, first)


def test_sweep_whose_publishing_is_refused_is_said_and_the_next_one_works(target: Target) -> None:
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

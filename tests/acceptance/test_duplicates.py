"""The same wish twenty times at once is one rotation; what is not for us costs nothing."""

from collections.abc import Callable

import pytest

from tests.support.stack.scene import PROJECT, Scene, at_once
from tests.support.stack.target import Target

MANY = 20


def _assert_one_rotation(target: Target, beat: Callable[[], None]) -> None:
    target.scene.await_idle()
    assert target.states == {1: "ENABLED", 2: "ENABLED"}
    target.settle(beat)
    target.assert_settled(current=2, previous=1)
    assert target.enabled == [2]


def test_one_message_delivered_twenty_times_at_once_rotates_once(
    target: Target, probed: Callable[[], None]
) -> None:
    target.scene.call(lambda running: running.broker.failures.duplicate(MANY))
    try:
        target.fire()
    finally:
        target.scene.call(lambda running: running.broker.failures.clear())
    _assert_one_rotation(target, probed)


def test_twenty_messages_published_at_once_rotate_once(
    target: Target, probed: Callable[[], None]
) -> None:
    for _ in range(MANY):
        target.fire()
    _assert_one_rotation(target, probed)


@pytest.mark.parametrize("ids", [1, MANY], ids=["one message", "twenty messages"])
def test_twenty_requests_posted_at_once_rotate_once(
    target: Target, probed: Callable[[], None], ids: int
) -> None:
    def post(index: int) -> int:
        wake = {"eventType": "SECRET_ROTATE", "secretId": target.name}
        return target.scene.deliver(f"posted-{index % ids}", **wake)

    assert set(at_once(MANY, post)) <= {204, 503}
    _assert_one_rotation(target, probed)


def test_twenty_emergency_requests_at_once_rotate_once(target: Target) -> None:
    def post(_: int) -> int:
        wish = {"eventType": "ROTATION_REQUEST", "mode": "emergency", "request_id": "one"}
        return target.scene.deliver("same", secretId=target.name, **wish)

    first = target.payload(1)
    assert set(at_once(MANY, post)) <= {204, 503}
    target.scene.await_idle()
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.refused(first)
    assert max(target.states) == 2


def test_duplicate_costs_one_call_while_soaking(target: Target) -> None:
    wake = {"eventType": "SECRET_ROTATE", "secretId": target.name}
    target.scene.deliver("m", **wake)
    target.await_phase("soaking")
    target.scene.reset()
    assert target.scene.deliver("m", **wake) == 204
    assert target.scene.calls() == {"GetSecret": 1}


def test_message_delivered_again_after_its_rotation_settled_costs_one_call(target: Target) -> None:
    late = target.scene.stack.services.clock.now()
    target.rotate()
    target.settle()
    target.scene.reset()
    wake = {"eventType": "SECRET_ROTATE", "secretId": target.name}
    assert target.scene.deliver("late", late, **wake) == 204
    assert target.scene.calls() == {"GetSecret": 1}
    target.assert_settled(current=2, previous=1)


def test_duplicate_that_reads_stale_state_loses_the_race_and_changes_nothing(
    target: Target,
) -> None:
    target.rotate()
    target.scene.reset()
    target.scene.controls.set_failure("stale", "GetSecret", count=1, writes=2)
    target.fire()
    calls = target.scene.calls()
    assert calls.get("AddSecretVersion") is None
    assert sum(calls.values()) <= 4
    assert target.phase == "soaking"
    assert target.states == {1: "ENABLED", 2: "ENABLED"}


IRRELEVANT: dict[str, dict[str, str]] = {
    "our own write": {"eventType": "SECRET_UPDATE", "secretId": "{name}"},
    "our own version": {"eventType": "SECRET_VERSION_ADD", "secretId": "{name}"},
    "a topic was configured": {"eventType": "TOPIC_CONFIGURED"},
    "an unknown kind": {"eventType": "SECRET_PAINTED", "secretId": "{name}"},
    "no kind": {"secretId": "{name}"},
    "no attributes": {},
    "another project": {
        "eventType": "SECRET_ROTATE",
        "secretId": "projects/another-project/secrets/app",
    },
}


@pytest.mark.parametrize("attributes", IRRELEVANT.values(), ids=IRRELEVANT)
def test_message_that_is_not_for_us_costs_no_call(
    scene: Scene, target: Target, attributes: dict[str, str]
) -> None:
    named = f"projects/{PROJECT}/secrets/{target.id}"
    scene.reset()
    filled = {key: text.replace("{name}", named) for key, text in attributes.items()}
    assert scene.deliver(**filled) == 204
    assert scene.calls() == {}


def test_own_writes_to_a_topic_of_the_function_wake_nobody(target: Target) -> None:
    target.set_topic()
    target.scene.await_idle()
    target.scene.reset()
    target.rotate()
    assert target.scene.calls()["GetSecret"] == 1

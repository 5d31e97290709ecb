"""Somebody who may write one secret's annotations, and nothing else, forges what they say.

Whatever they write, no version is lost and no login ends.
"""

import json
from typing import Any

import pytest

from rotation.model.phase import Phase
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target


def forge(target: Target, phase: str, **record: Any) -> None:
    """Write a record of another phase, as somebody who may update the secret."""
    stored = json.loads(target.annotations["rotation.record"])
    stored = {"phase": phase, "record": {**stored["record"], **record}}
    target.edit(
        labels={
            "rotation_phase": Phase(phase).label,
            "rotation_wake_at": None,
            "rotation_lease_until": None,
        },
        annotations={"rotation.record": json.dumps(stored)},
    )


def assert_nothing_is_lost(target: Target) -> None:
    target.scene.await_idle()
    assert target.states == {1: "ENABLED", 2: "ENABLED"}
    assert target.works(target.payload(1))
    assert target.works(target.payload(2))


@pytest.mark.parametrize("phase", ["suspending", "revoking", "destroying", "aborting"])
def test_a_forged_record_ends_in_a_block_and_loses_nothing(target: Target, phase: str) -> None:
    target.rotate()
    forge(target, phase, previous=2, next=1, previous_handle=target.slots[1], mode="emergency")
    target.wake()
    target.assert_blocked("record-not-ours", "MAC", f"rotation unblock {target.id}")
    assert_nothing_is_lost(target)


def test_unblocking_goes_on_from_what_is_there(target: Target) -> None:
    target.rotate()
    forge(target, "destroying", previous=2, next=1)
    target.wake()
    target.await_blocked("record-not-ours")
    target.ask("unblock", requested_by="sre", reason="somebody wrote to it")
    wait_until(lambda: target.phase == "settled" and not target.block, "it is settled")
    assert_nothing_is_lost(target)
    assert (target.receipt["outcome"], target.receipt["current"]) == ("recovered", 2)
    target.rotate()
    target.settle()
    target.assert_settled(current=3, previous=2)


def test_an_emergency_is_not_held_up_by_a_forged_record(target: Target) -> None:
    target.rotate()
    forge(target, "soaking", previous=2, next=1)
    leaked = target.payload(2)
    target.ask("emergency", reason="leak", requested_by="sre")
    wait_until(lambda: target.current == 3, "it is replaced")
    wait_until(lambda: target.refused(leaked), "it is revoked")
    assert target.works(target.payload(3))

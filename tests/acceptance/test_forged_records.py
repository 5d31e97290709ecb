"""Somebody who may write one secret's annotations, and nothing else, forges what they say.

Whatever they write, no version is lost and no login ends.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from rotation.cli.main import rotation
from rotation.model.phase import Phase
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import Scene, opened, options, wait_until
from tests.support.stack.target import Target


@pytest.fixture(scope="module")
def unsigned_scene(evidence: Evidence) -> Iterator[Scene]:
    """A deployment without keys: any record is believed."""
    with opened(options(function_environment={"ROTATION_KEYS": ""}), evidence) as running:
        yield running


@pytest.fixture
def unsigned(unsigned_scene: Scene, make_target: Any) -> Target:
    target: Target = make_target(unsigned_scene).start()
    return target


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
    command = ["unblock", target.id, "--by", "sre", "--reason", "somebody wrote to it"]
    done = CliRunner().invoke(rotation, command, env=target.scene.stack.environment())
    assert done.exit_code == 0, done.output
    assert "the rotation in flight is given up; if version" in done.output
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


@pytest.mark.parametrize("alias", [2, 1])
@pytest.mark.parametrize("phase", ["suspending", "revoking", "destroying"])
def test_without_keys_nothing_ends_on_the_word_of_a_record(
    unsigned: Target, phase: str, alias: int
) -> None:
    """The versions are swapped; and the alias is moved, too, by whoever may do that."""
    unsigned.rotate()
    if alias != unsigned.current:
        unsigned.edit(version_aliases={"current": alias})
    forge(unsigned, phase, previous=2, next=1)
    unsigned.wake()
    reasons = {"pointer-moved", "not-proven", "previous-works"}
    wait_until(lambda: unsigned.block.get("reason") in reasons, "it is blocked")
    assert_nothing_is_lost(unsigned)


def test_without_keys_nothing_is_destroyed_that_still_works(unsigned: Target) -> None:
    unsigned.rotate()
    forge(unsigned, "destroying")
    unsigned.wake()
    unsigned.assert_blocked("previous-works", "version 1")
    assert_nothing_is_lost(unsigned)


def test_without_keys_nothing_is_revoked_before_the_next_one_logs_in(unsigned: Target) -> None:
    unsigned.rotate()
    unsigned.superuser(f"ALTER ROLE {unsigned.slots[1]} PASSWORD 'changed-by-somebody'")
    forge(unsigned, "revoking")
    unsigned.wake()
    unsigned.assert_blocked("not-proven", "version 2 does not log in")
    assert unsigned.states == {1: "ENABLED", 2: "ENABLED"}


def test_an_old_emergency_with_its_mac_does_not_end_what_is_in_force_now(target: Target) -> None:
    """Somebody has kept what the secret said while an emergency revoked, and copies it back."""
    with target.scene.interrupted_at("published") as marker:
        target.ask("emergency", reason="leak", requested_by="sre")
        wait_until(marker.exists, "the function is killed")
        kept = target.secret
        labels, annotations = dict(kept.labels), dict(kept.annotations)
    assert json.loads(annotations["rotation.record"])["phase"] == "revoking"
    target.skip_wait()
    target.wake()
    target.settle()
    target.rotate()
    assert target.current == 3
    now = target.labels
    target.edit(labels={**dict.fromkeys(now), **labels}, annotations=annotations)
    target.skip_wait()
    target.wake()
    target.await_blocked("record-old")
    target.scene.await_idle()
    assert target.works(target.payload(3))
    assert target.works(target.payload(2))

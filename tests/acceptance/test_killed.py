"""The function is killed at every named place, and the rotation ends as if it had not been.

A consumer logs in with alias ``current`` all the time; not one login may fail.
"""

import pytest

from rotation.engine.crashpoints import CrashPoint
from tests.acceptance.prober import probing
from tests.acceptance.stalls import straggling
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target

pytestmark = pytest.mark.slow

#: Reached by other ways than a rotation that goes through.
ASIDE = {CrashPoint.RESTORED, CrashPoint.REVERTED, CrashPoint.ABORTED}
#: Reached where the rollout has stages: test_rollout.py kills there.
STAGED = {CrashPoint.VOTED, CrashPoint.HANDED, CrashPoint.WATCHED, CrashPoint.WITHDRAWN}
ALONG = [point for point in CrashPoint if point not in ASIDE | STAGED]


@pytest.mark.parametrize("point", ALONG, ids=lambda point: point.value)
def test_rotation_killed_once_ends_with_exactly_one_new_version(
    target: Target, point: CrashPoint
) -> None:
    first = target.payload(1)
    with target.scene.interrupted_at(point.value) as marker, probing(target) as prober:
        target.fire()
        target.settle(prober.beat)
        assert marker.exists()
    assert target.enabled == [2]
    assert target.states == {1: "DESTROYED", 2: "ENABLED"}
    target.assert_settled(current=2, previous=1)
    assert target.refused(first)
    assert target.latest() == target.payload(2)


def test_redelivered_message_alone_finishes_what_a_killed_worker_began(target: Target) -> None:
    with target.scene.interrupted_at("minted") as marker, probing(target) as prober:
        target.fire()
        wait_until(marker.exists, "the function is killed")
        wait_until(
            lambda: target.has_logged("WARNING", "holds the lease"), "the message comes again"
        )
        prober.beat()
        target.scene.advance(seconds=61)
        target.await_phase("soaking", 2)
    assert target.enabled == [1, 2]


@pytest.mark.parametrize("point", ["reverted", "aborted", "committed"])
def test_revert_killed_once_ends_on_the_previous_version(target: Target, point: str) -> None:
    target.rotate()
    reverted = target.scene.interrupted_at(point)
    with reverted as marker, probing(target, rereads=True) as prober:
        target.ask("revert")
        target.settle(prober.beat)
        assert marker.exists()
    target.assert_settled(current=1, previous=None)
    assert target.receipt["outcome"] == "reverted"
    assert target.states[2] == "DISABLED"
    assert target.refused(target.payload(2))
    assert target.enabled == [1, 3]
    assert target.latest() == target.payload(1)


def test_killed_while_a_straggler_is_restored_both_credentials_work(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    with straggling(target):
        with target.scene.interrupted_at("restored") as marker, probing(target) as prober:
            target.move_on()
            wait_until(marker.exists, "the function is killed")
            prober.beat()
            target.move_on()
            target.await_phase("soaking", 2)
        assert target.works(first)
        assert target.enabled == [1, 2]
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.refused(first)

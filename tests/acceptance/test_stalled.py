"""A worker is stopped, others go on without it, and then it wakes up believing nothing happened.

The database's fence has to refuse it, and the credential in force must work all the time.
"""

from collections.abc import Callable

import pytest

from tests.acceptance.conftest import MakeTarget
from tests.acceptance.prober import probing
from tests.acceptance.stalls import settle_by_hand, stalled
from tests.support.stack.scene import Scene, wait_until
from tests.support.stack.target import Target

pytestmark = pytest.mark.slow


@pytest.fixture
def target(pair: Scene, make_target: MakeTarget) -> Target:
    """A settled secret on the stack whose function has two processes."""
    return make_target(pair).start()


def _fire(target: Target) -> None:
    target.scene.deliver("another", eventType="SECRET_ROTATE", secretId=target.name)


def _await_its_end(target: Target, *messages: str) -> None:
    """Wait until the worker that went on has noticed and nothing is on its way."""
    wait_until(lambda: any(target.has_logged("NOTICE", words) for words in messages), "it gives up")
    target.scene.await_idle()


@pytest.mark.parametrize("point", ["claimed", "minted", "verified"])
def test_worker_that_wakes_up_after_another_one_published_changes_nothing(
    target: Target, point: str
) -> None:
    with probing(target) as prober:
        with stalled(target.scene, point, target.fire) as go_on:
            target.skip_wait()
            wake = {"eventType": "ROTATION_WAKE", "secretId": target.name}
            assert target.scene.deliver(**wake) == 204
            target.await_phase("soaking", 2)
            prober.beat()
            go_on()
            _await_its_end(target, "another worker has taken over")
        assert target.states == {1: "ENABLED", 2: "ENABLED"}
        assert target.works(target.payload(1))
        assert target.works(target.payload(2))


def test_version_added_too_late_is_disabled_and_latest_stays_readable(target: Target) -> None:
    with probing(target) as prober:
        with stalled(target.scene, "adding", target.fire) as go_on:
            target.skip_wait()
            wake = {"eventType": "ROTATION_WAKE", "secretId": target.name}
            assert target.scene.deliver(**wake) == 204
            target.await_phase("soaking", 2)
            go_on()
            wait_until(lambda: target.states.get(3) == "DISABLED", "the orphan version is disabled")
            target.scene.await_idle()
        assert target.works(target.latest())
        assert target.latest() == target.payload(2)
        target.settle(prober.beat)
    target.assert_settled(current=2, previous=1)


RETIRING = ["suspending", "observed"]


@pytest.mark.parametrize("point", ["claimed", "adding", *RETIRING])
def test_worker_that_wakes_up_after_a_second_whole_rotation_changes_nothing(
    target: Target, point: str
) -> None:
    work: Callable[[], None] = target.fire
    if point in RETIRING:
        target.rotate()
        if point == "observed":
            target.move_on()
            target.await_phase("observing")

        def work() -> None:
            target.skip_wait()
            target.wake()

    with probing(target) as prober:
        with stalled(target.scene, point, work) as go_on:
            settle_by_hand(target, prober.beat)
            assert target.current == 2
            _fire(target)
            settle_by_hand(target, prober.beat)
            assert target.current == 3
            go_on()
            _await_its_end(target, "another worker has taken over", "settled: no rotation is due")
        if point == "adding":
            target._wait(
                lambda: target.states.get(4) == "DISABLED",
                f"the orphan version is disabled: {target.states}",
            )
            target.scene.await_idle()
            assert target.states[5] == "ENABLED"
        prober.beat()
        assert target.states[3] == "ENABLED"
        assert target.latest() == target.payload(3)
    target.assert_settled(current=3, previous=2)

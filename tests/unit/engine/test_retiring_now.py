import pytest

from rotation.engine.crashpoints import CrashPoint
from rotation.model.plugin import Session
from rotation.model.rollout import Verdict
from rotation.model.wakeup import Ask, WakeUp

from .world import Killed, World

DYING = [
    CrashPoint.CLAIMED,
    CrashPoint.SUSPENDING,
    CrashPoint.SUSPENDED,
    CrashPoint.DISABLED,
    CrashPoint.OBSERVED,
    CrashPoint.REVOKED,
    CrashPoint.COMMITTED,
]


def soaking(**policy: object) -> World:
    world = World(**policy)
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    return world


def retire(world: World) -> WakeUp:
    word = world.asked(Ask.RETIRE)
    world.worker().tick(word)
    return word


def test_the_soak_and_the_observation_are_not_waited_for() -> None:
    world = soaking()
    retire(world)
    assert world.issuer.roles["app_a"].password is None
    assert world.logs_in(2)
    world.settle()
    looks = [line for line in world.receipt["evidence"] if "control seen" in line]
    assert len(looks) == 2


@pytest.mark.parametrize("point", DYING)
def test_killed_while_retiring_now_another_worker_finishes(point: CrashPoint) -> None:
    world = soaking()
    word = world.asked(Ask.RETIRE)
    with pytest.raises(Killed):
        world.worker(point).tick(word)
    world.clock.advance(seconds=601)
    world.worker().tick(word)
    assert world.issuer.roles["app_a"].password is None
    world.settle()
    assert world.receipt["outcome"] == "rotated"


def test_sessions_hold_it_up_and_bring_the_waits_back() -> None:
    world = soaking()
    world.issuer.roles["app_a"].sessions.append(Session("db", "10.0.0.7 billing"))
    retire(world)
    assert world.logs_in(1)
    assert "sessions still use" in world.store.secret.annotations["rotation.record"]
    world.issuer.roles["app_a"].sessions.clear()
    world.clock.advance(minutes=20)
    world.worker().tick(world.woken())
    assert not world.issuer.roles["app_a"].login
    assert world.issuer.roles["app_a"].password is not None


def test_an_observer_that_cannot_see_holds_it_up() -> None:
    world = soaking()
    world.issuer.is_conclusive = False
    retire(world)
    assert world.logs_in(1)
    assert "cannot see" in world.store.secret.annotations["rotation.record"]


def test_a_straggler_between_the_two_looks_brings_the_waits_back() -> None:
    world = soaking()
    sessions = world.issuer.roles["app_a"].sessions
    word = world.asked(Ask.RETIRE)
    come = lambda: sessions.append(Session("db", "10.0.0.7"))  # noqa: E731
    world.worker(CrashPoint.DISABLED, come).tick(word)
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(1)
    sessions.clear()
    world.worker().tick(word)
    assert world.logs_in(1)


def test_gates_are_looked_at_all_the_same() -> None:
    stage = {"stage": "all", "participants": [{"kind": "alias"}], "gates": [{"kind": "gate"}]}
    world = soaking(rollout=[stage])
    world.gate.verdicts = lambda *_: Verdict.failed("requests fail")
    retire(world)
    assert world.receipt["outcome"] == "reverted"
    assert world.logs_in(1)


def test_it_is_refused_before_everybody_has_the_next_version() -> None:
    stage = {"stage": "all", "participants": [{"kind": "alias"}], "soak": "10m"}
    world = soaking(rollout=[stage])
    word = retire(world)
    assert "not all handed the next version yet" in world.journal
    world.clock.advance(minutes=10)
    world.worker().tick(world.woken())
    assert world.labels["rotation_phase"] == "soaking"
    world.clock.advance(minutes=1)
    world.worker().tick(word)
    assert world.logs_in(1)


def test_one_of_an_earlier_rotation_does_nothing() -> None:
    world = soaking()
    word = world.asked(Ask.RETIRE)
    world.settle()
    world.clock.advance(days=1)
    world.worker().tick(word)
    world.worker().tick(world.scheduled())
    world.worker().tick(word)
    assert world.labels["rotation_phase"] == "soaking"


def test_a_pause_refuses_it() -> None:
    world = soaking()
    world.worker().tick(world.asked(Ask.PAUSE))
    world.clock.advance(seconds=1)
    retire(world)
    assert world.logs_in(1)
    assert "nothing is retired before it is resumed" in world.journal

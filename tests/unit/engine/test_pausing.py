from datetime import timedelta

import pytest
from msgspec.structs import replace

from rotation.engine.crashpoints import CrashPoint
from rotation.model.wakeup import Ask, WakeUp

from .world import Killed, World


def paused(world: World) -> WakeUp:
    word = world.asked(Ask.PAUSE)
    world.worker().tick(word)
    return word


def step(world: World, **time: float) -> None:
    world.clock.advance(**time)
    world.worker().tick(world.woken())


def resume(world: World) -> None:
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.RESUME))


def test_a_paused_secret_starts_nothing_and_says_who_paused_it() -> None:
    world = World()
    paused(world)
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.worker().tick(world.asked())
    assert world.labels["rotation_paused"] == "yes"
    assert "rotation_phase" not in world.labels
    assert world.journal.events_named("paused")[0]["requested_by"] == "sre"


@pytest.mark.parametrize("how", ["firing", "request"])
def test_what_is_asked_while_paused_is_done_once_after_it(how: str) -> None:
    world = World()
    paused(world)
    world.clock.advance(minutes=1)
    message = world.scheduled() if how == "firing" else world.asked()
    for _ in range(3):
        world.worker().tick(message)
    resume(world)
    assert world.labels["rotation_phase"] == "soaking"
    assert "rotation_paused" not in world.labels
    world.settle()
    world.worker().tick(message)
    assert world.aliases["current"] == 2
    assert len(world.journal.events_named("receipt")) == 1


@pytest.mark.parametrize("point", [CrashPoint.CLAIMED, CrashPoint.MINTED, CrashPoint.ADDED])
def test_worker_killed_as_it_resumes_is_followed_by_another(point: CrashPoint) -> None:
    world = World()
    paused(world)
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.clock.advance(seconds=1)
    word = world.asked(Ask.RESUME)
    with pytest.raises(Killed):
        world.worker(point).tick(word)
    world.clock.advance(seconds=601)
    world.worker().tick(word)
    world.settle()
    assert world.aliases["current"] == 2


def test_worker_killed_between_the_word_and_what_follows_leaves_it_to_the_sweep() -> None:
    world = World()
    paused(world)
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.clock.advance(seconds=1)

    def die(call: str) -> None:
        if call == "updated":
            raise Killed(call)

    world.store.trouble = die
    with pytest.raises(Killed):
        world.worker().tick(world.asked(Ask.RESUME))
    world.store.trouble = lambda _: None
    assert "rotation_paused" not in world.labels
    world.worker().sweep()
    assert [message["reason"] for message in world.outbox.messages] == ["overdue"]
    step(world, seconds=1)
    assert world.labels["rotation_phase"] == "soaking"


def test_a_pause_holds_the_soak_and_both_credentials_work() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    paused(world)
    for _ in range(5):
        step(world, hours=2)
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(1)
    assert world.logs_in(2)
    resume(world)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_a_pause_gives_a_suspended_credential_back() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    step(world, hours=1)
    assert not world.logs_in(1)
    world.clock.advance(minutes=1)
    paused(world)
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(1)
    resume(world)
    world.settle()
    assert world.receipt["outcome"] == "rotated"


@pytest.mark.parametrize("point", list(CrashPoint))
def test_pause_and_resume_are_survived_wherever_a_worker_is_killed(point: CrashPoint) -> None:
    world = World()
    world.worker().tick(world.scheduled())
    pending = [point]
    words = {20: Ask.PAUSE, 40: Ask.RESUME, 60: Ask.RETIRE}
    for number in range(1, 140):
        world.clock.advance(minutes=11)
        ask = words.get(number * 10 % 100) if number < 10 else None
        message = world.asked(ask) if ask else world.woken()
        try:
            world.worker(pending[0] if pending else None).tick(message)
        except Killed:
            pending.clear()
            world.clock.advance(seconds=601)
            world.worker().tick(message)
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.logs_in(2)
    assert "rotation_paused" not in world.labels


def test_a_pause_without_waits_stops_before_anything_is_taken_away() -> None:
    world = World(soak="0s", retire={"observe": "0s", "destroy_after": "0s"})
    word = world.asked(Ask.PAUSE)
    world.worker(CrashPoint.ADDED, lambda: world.worker().tick(word)).tick(world.scheduled())
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(1)
    assert world.logs_in(2)
    resume(world)
    assert world.receipt["outcome"] == "rotated"


def test_an_emergency_goes_through_and_the_pause_stays() -> None:
    world = World()
    paused(world)
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert not world.logs_in(1)
    world.settle()
    assert world.receipt["mode"] == "emergency"
    assert world.labels["rotation_paused"] == "yes"
    world.clock.advance(days=1)
    world.worker().tick(world.scheduled())
    assert "rotation_phase" not in world.labels


def test_an_emergency_overtakes_what_a_pause_holds() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    paused(world)
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert not world.logs_in(1)
    assert not world.logs_in(2)
    assert world.aliases["current"] == 3


def test_a_revert_goes_through() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    paused(world)
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert world.aliases["current"] == 1
    assert world.labels["rotation_paused"] == "yes"


def test_words_count_by_when_they_were_published() -> None:
    world = World()
    older = world.asked(Ask.PAUSE)
    world.clock.advance(seconds=1)
    newer = world.asked(Ask.RESUME)
    for word in (newer, older, newer, older):
        world.worker().tick(word)
    assert "rotation_paused" not in world.labels


def test_a_word_published_again_later_is_the_same_word() -> None:
    world = World()
    word = paused(world)
    resume(world)
    world.clock.advance(minutes=1)
    assert word.request
    again = replace(word, request=replace(word.request, at=world.clock.now()), message_id="again")
    world.worker().tick(again)
    assert "rotation_paused" not in world.labels


def test_a_faulty_policy_does_not_keep_a_pause_from_being_applied() -> None:
    world = World()
    notes = dict(world.store.secret.annotations)
    world.store.touch(annotations={**notes, "rotation.policy": "{}"})
    paused(world)
    assert world.labels["rotation_paused"] == "yes"


def test_the_label_alone_pauses_and_its_removal_resumes() -> None:
    world = World()
    world.store.touch(labels={**world.labels, "rotation_paused": "yes"})
    world.worker().tick(world.scheduled())
    assert "rotation_phase" not in world.labels
    labels = {key: value for key, value in world.labels.items() if key != "rotation_paused"}
    world.store.touch(labels=labels)
    step(world, seconds=1)
    assert world.labels["rotation_phase"] == "soaking"


def test_a_paused_stage_goes_no_further_and_keeps_its_deadlines() -> None:
    stage = {"participants": [{"kind": "pin", "file": "canary"}], "soak": "10m"}
    last = {"participants": [{"kind": "alias"}]}
    world = World(rollout=[{"stage": "canary", **stage}, {"stage": "all", **last}])
    world.pin.pins["canary"] = 1
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    paused(world)
    step(world, hours=5)
    assert (world.pin.pins["canary"], world.aliases["current"]) == (2, 1)
    before = world.store.secret.annotations["rotation.record"]
    resume(world)
    assert world.aliases["current"] == 2
    assert before != world.store.secret.annotations["rotation.record"]


def test_the_sweep_leaves_what_a_pause_holds_and_tells_it_once_an_hour() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    paused(world)
    world.journal.events.clear()
    world.clock.advance(hours=2)
    for _ in range(12):
        world.worker().sweep()
        world.clock.advance(minutes=5)
    assert world.outbox.messages == []
    assert len(world.journal.events_named("paused")) == 1


def test_the_sweep_says_what_is_overdue_and_what_is_too_old() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.settle()
    world.clock.advance(days=1)
    paused(world)
    schedule = world.store.secret.schedule
    assert schedule
    world.clock.advance(days=59)
    world.store.touch(schedule=replace(schedule, next_time=schedule.next_time + timedelta(days=60)))
    world.worker().sweep()
    assert world.journal.events_named("overdue")[0]["because"] == "paused"
    assert (
        world.journal.events_named("too-old")[0]["age_s"]
        > world.journal.events_named("too-old")[0]["limit_s"]
    )

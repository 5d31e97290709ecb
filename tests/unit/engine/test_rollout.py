"""Stages, votes, gates and the way back, on a small honest world."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.engine.crashpoints import CrashPoint
from rotation.model.errors import PermanentError, TemporaryError
from rotation.model.rollout import Progress, Verdict, Vote, Watch
from rotation.model.wakeup import Ask

from .world import Killed, World

CANARY = {
    "stage": "canary",
    "participants": [{"kind": "pin", "file": "canary"}],
    "gates": [{"kind": "gate", "name": "canary"}],
    "soak": "10m",
}
EVERYONE = {
    "stage": "everyone",
    "participants": [{"kind": "alias"}, {"kind": "pin", "file": "fleet"}],
    "gates": [{"kind": "gate", "name": "fleet"}],
}


def staged(**changes: Any) -> World:
    """Return a world whose consumers are pinned in two places and read the alias in one."""
    world = World(**{"rollout": [CANARY, EVERYONE], **changes})
    world.pin.pins.update(canary=1, fleet=1)
    return world


def step(world: World, **time: float) -> None:
    world.clock.advance(**time)
    world.worker().tick(world.woken())


def pins(world: World) -> tuple[int, int, int]:
    """Return what the canary, the fleet and the alias's consumers get."""
    return world.pin.pins["canary"], world.pin.pins["fleet"], world.aliases["current"]


def test_a_rotation_goes_stage_by_stage() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    assert pins(world) == (2, 1, 1)
    assert world.labels["rotation_phase"] == "rolling-out"
    assert world.labels["rotation_stage"] == "canary"
    assert world.pin.calls.index("fleet.prepare") < world.pin.calls.index("canary.commit")
    step(world, minutes=11)
    assert pins(world) == (2, 2, 2)
    assert world.labels["rotation_stage"] == "everyone"
    assert world.labels["rotation_phase"] == "soaking"
    world.settle()
    assert world.receipt["outcome"] == "rotated"
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert "rotation_stage" not in world.labels
    assert {"canary.retire", "fleet.retire"} <= set(world.pin.calls)


def test_the_stages_soak_is_a_wait_that_no_wake_up_shortens() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    for _ in range(3):
        step(world, minutes=3)
        assert pins(world) == (2, 1, 1)


def test_one_no_stops_the_rotation_before_anything_has_moved() -> None:
    world = staged()
    no = Vote.no("the file has drifted", "set the pin back")
    world.pin.answers = staticmethod(lambda call: no if call == "fleet.prepare" else None)
    world.worker().tick(world.scheduled())
    assert pins(world) == (1, 1, 1)
    assert world.receipt["outcome"] == "reverted"
    assert "everyone/pin refuses: the file has drifted; set the pin back" in world.receipt["why"]
    assert world.labels["rotation_blocked"] == "reverted"
    assert world.pin.drafts == {}
    # Readers of latest have something that works: a copy of what is in force.
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.logs_in(1)
    assert world.logs_in(3)


def test_what_was_merged_by_hand_is_taken_back_before_the_credential_dies() -> None:
    world = staged()
    no = Vote.no("the file has drifted")

    def abort(call: str) -> Vote | None:
        if call == "canary.abort":
            raise TemporaryError("#7 was merged by hand and is being taken back")
        return no if call == "fleet.prepare" else None

    world.pin.answers = staticmethod(abort)
    world.worker().tick(world.scheduled())
    assert world.logs_in(2)
    assert "#7 was merged by hand and is being taken back" in world.journal
    world.pin.answers = staticmethod(lambda _: None)
    step(world, minutes=1)
    assert world.receipt["outcome"] == "reverted"
    assert not world.issuer.roles["app_b"].login


def test_every_reason_is_reported() -> None:
    world = staged()
    world.pin.answers = staticmethod(
        lambda call: Vote.no(f"{call} is red") if call.endswith("prepare") else None
    )
    world.worker().tick(world.scheduled())
    assert "canary/pin refuses: canary.prepare is red" in world.receipt["why"]
    assert "everyone/pin refuses: fleet.prepare is red" in world.receipt["why"]


def test_a_permanent_error_is_a_no_and_a_temporary_one_is_not_yet() -> None:
    world = staged()

    def broken(call: str) -> None:
        if call == "fleet.prepare":
            raise TemporaryError("the forge answers 502")

    world.pin.answers = staticmethod(broken)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_phase"] == "preparing"
    assert "the forge answers 502" in world.journal
    assert pins(world) == (1, 1, 1)

    def gone(call: str) -> None:
        if call == "fleet.prepare":
            raise PermanentError("the repository is gone", remedy="correct its name")

    world.pin.answers = staticmethod(gone)
    step(world, minutes=1)
    assert "the repository is gone; correct its name" in world.receipt["why"]
    assert world.pin.calls.count("canary.prepare") == 1  # its yes was stored


def test_votes_are_waited_for_until_the_deadline_of_a_participant_that_reverts() -> None:
    late = {"kind": "pin", "file": "fleet", "deadline": "2h", "on_deadline": "revert"}
    world = staged(rollout=[CANARY, {**EVERYONE, "participants": [{"kind": "alias"}, late]}])
    wait = Vote.wait("two reviews are missing", "link")
    world.pin.answers = staticmethod(lambda call: wait if call == "fleet.prepare" else None)
    world.worker().tick(world.scheduled())
    step(world, minutes=90)
    assert world.labels["rotation_phase"] == "preparing"
    step(world, minutes=31)
    assert "past its deadline to vote: two reviews are missing" in world.receipt["why"]
    assert pins(world) == (1, 1, 1)


def test_a_participant_that_holds_is_asked_on_past_its_deadline() -> None:
    world = staged()
    wait = Progress.wait("the merge queue is long")
    world.pin.answers = staticmethod(lambda call: wait if call == "canary.commit" else None)
    world.worker().tick(world.scheduled())
    step(world, hours=5)
    assert "canary/pin is overdue: the merge queue is long" in world.journal
    world.pin.answers = staticmethod(lambda _: None)
    step(world, minutes=1)
    assert pins(world) == (2, 1, 1)


def test_an_acknowledged_commit_is_not_repeated_over_a_persons_roll_back() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    world.pin.pins["canary"] = 1  # by hand
    step(world, minutes=11)
    assert pins(world) == (1, 2, 2)
    assert world.pin.calls.count("canary.commit") == 1
    step(world, hours=2)
    assert world.logs_in(1)
    assert "canary/pin hands out version 1 in canary" in world.journal
    world.pin.pins["canary"] = 2
    world.settle()
    assert world.receipt["outcome"] == "rotated"


@pytest.mark.parametrize("when", ["canary", "fleet", "soak"])
def test_a_failing_gate_moves_everybody_back(when: str) -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    if when != "canary":
        step(world, minutes=11)
    if when == "soak":
        step(world, minutes=16)
    failing = Verdict.failed("18 of 20 requests failed")
    world.gate.verdicts = staticmethod(lambda *_: failing)
    step(world, minutes=16)
    assert pins(world) == (1, 1, 1)
    assert world.receipt["outcome"] == "reverted"
    assert "18 of 20 requests failed" in world.receipt["why"]
    assert world.labels["rotation_blocked"] == "reverted"
    assert world.logs_in(1)
    assert not world.issuer.roles["app_b"].login
    newest = max(world.states())
    assert world.logs_in(newest)  # consumers of latest have the previous payload


def test_the_last_stage_goes_back_first() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    step(world, minutes=11)
    world.worker().tick(world.asked(Ask.REVERT))
    reverts = [call for call in world.pin.calls if call.endswith("revert")]
    assert reverts == ["fleet.revert", "canary.revert"]
    assert pins(world) == (1, 1, 1)


def test_the_credential_lives_until_everybody_is_back() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    slow = Progress.wait("the pull request needs a review")
    world.pin.answers = staticmethod(lambda call: slow if call == "canary.revert" else None)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.labels["rotation_phase"] == "reverting"
    assert world.logs_in(2)
    assert "the pull request needs a review" in world.journal
    assert world.pin.drafts == {"fleet": 2}
    world.pin.answers = staticmethod(lambda _: None)
    step(world, minutes=1)
    assert pins(world) == (1, 1, 1)
    assert not world.issuer.roles["app_b"].login
    assert world.pin.drafts == {}  # what had only prepared was removed


def test_a_gate_that_cannot_see_never_passes() -> None:
    world = staged()
    blind = Verdict.wait("no data for 5m")
    world.gate.verdicts = staticmethod(lambda *_: blind)
    world.worker().tick(world.scheduled())
    for _ in range(5):
        step(world, hours=1)
    assert pins(world) == (2, 1, 1)
    assert "canary/gate: no data for 5m" in world.journal


def test_a_gate_sees_who_uses_which_credential() -> None:
    world = staged()
    counts: list[tuple[int, int]] = []

    def verdict(_: str, watch: Watch) -> Verdict:
        assert watch.previous_use is not None
        counts.append((len(watch.previous_use().sessions), len(watch.next_use().sessions)))
        return Verdict.passed("looked")

    world.gate.verdicts = staticmethod(verdict)
    world.worker().tick(world.scheduled())
    assert counts == [(0, 0)]


def test_a_credential_that_dies_in_the_rollout_sends_it_back() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_b"].password = "changed by hand"
    step(world, minutes=11)
    assert pins(world) == (1, 1, 1)
    assert "version 2 does not log in any more" in world.receipt["why"]


def test_an_emergency_hands_out_at_once_and_then_revokes() -> None:
    world = staged()
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert pins(world) == (2, 2, 2)
    assert world.issuer.roles["app_a"].password is None
    assert "rotation_stage" in world.labels


def test_an_emergency_in_the_rollout_finishes_it_and_begins_its_own() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert pins(world) == (3, 3, 3)
    assert not world.logs_in(2)


def test_an_emergency_waits_for_consumers_until_their_deadline_and_hands_out_afterwards() -> None:
    world = staged()
    slow = Progress.wait("branch protection")
    world.pin.answers = staticmethod(lambda call: slow if call == "fleet.commit" else None)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert pins(world) == (2, 1, 2)
    assert world.logs_in(1)
    step(world, minutes=61)
    assert world.issuer.roles["app_a"].password is None
    assert "rotation_phase" in world.labels
    step(world, hours=13)
    assert world.states()[1] == "disabled"  # not destroyed while a pin names it
    world.pin.answers = staticmethod(lambda _: None)
    world.settle()
    assert pins(world) == (2, 2, 2)
    assert world.states()[1] == "destroyed"


def test_an_emergency_goes_on_without_who_cannot_be_asked_and_asks_later() -> None:
    world = staged()

    def unreachable(call: str) -> None:
        if call.startswith("fleet"):
            raise TemporaryError("no route to the forge")

    world.pin.answers = staticmethod(unreachable)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert pins(world) == (1, 1, 1)  # asked again first: a vote is soon there
    step(world, minutes=61)
    assert pins(world) == (2, 1, 2)
    world.pin.answers = staticmethod(lambda _: None)
    world.pin.calls.clear()
    step(world, minutes=1)
    assert world.pin.calls[:2] == ["fleet.prepare", "fleet.commit"]
    assert pins(world) == (2, 2, 2)


def test_the_first_credential_is_rolled_out_and_settles() -> None:
    world = World(first=True, rollout=[CANARY, EVERYONE])
    world.pin.pins.update(canary=0, fleet=0)
    world.worker().tick(world.scheduled())
    step(world, minutes=11)
    assert pins(world) == (1, 1, 1)
    assert world.receipt["outcome"] == "rotated"


def test_a_first_credential_that_fails_its_gate_has_nowhere_to_go_back_to() -> None:
    world = World(first=True, rollout=[CANARY, EVERYONE])
    world.pin.pins.update(canary=0, fleet=0)
    world.gate.verdicts = staticmethod(lambda *_: Verdict.failed("down"))
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "no-way-back"
    assert world.logs_in(1)


def test_a_stage_that_is_gone_from_the_policy_blocks() -> None:
    world = staged()
    world.worker().tick(world.scheduled())
    text = world.store.secret.annotations["rotation.policy"]
    text = text.replace('"stage": "canary"', '"stage": "first"')
    world.store.touch(annotations={**world.store.secret.annotations, "rotation.policy": text})
    step(world, minutes=11)
    assert world.labels["rotation_blocked"] == "stage-gone"
    world.worker().tick(world.asked(Ask.REVERT))
    assert pins(world) == (1, 1, 1)
    assert world.receipt["outcome"] == "reverted"


@pytest.mark.parametrize("way", ["forward", "back"])
@pytest.mark.parametrize("point", list(CrashPoint))
def test_a_worker_killed_anywhere_in_a_rollout_is_resumed(point: CrashPoint, way: str) -> None:
    world = staged()
    if way == "back":
        world.gate.verdicts = staticmethod(
            lambda name, _: Verdict.failed("down") if name == "fleet" else Verdict.passed("up")
        )
    try:
        world.worker(at=point).tick(world.scheduled())
    except Killed:
        world.clock.advance(seconds=601)
    for _ in range(40):
        try:
            world.worker(at=point if point not in world.reached else None).tick(world.woken())
        except Killed:
            world.clock.advance(seconds=601)
        world.clock.advance(minutes=30)
    expected = (2, 2, 2) if way == "forward" else (1, 1, 1)
    assert pins(world) == expected
    assert world.logs_in(expected[0])
    assert "rotation_phase" not in world.labels

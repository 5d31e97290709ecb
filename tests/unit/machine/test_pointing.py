"""Which version a phase works from, where aliases should point, and when they move."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from rotation.machine import pointing
from rotation.model.phase import Event, Mode, Phase
from rotation.model.policy import ParticipantChoice, PluginChoice, Policy, Stage
from rotation.model.rotation import Pause, Record, State
from rotation.model.wakeup import Ask, Request

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
POLICY = Policy(
    PluginChoice("memory", None),
    tuple(Stage(name, (ParticipantChoice("alias", None),)) for name in ("canary", "everyone")),
)
RECORD = Record(
    id="r", mode=Mode.ROUTINE, started_at=NOW, message_id="m", base=1, previous=1, next=2
)


def state(phase: Phase, stage: str = "") -> State:
    return State(phase, record=replace(RECORD, stage=stage))


@pytest.mark.parametrize(
    ("phase", "works_from", "in_force", "expected"),
    [
        (Phase.PREPARING, 1, 1, 1),
        (Phase.VOTING, 2, 1, 1),
        (Phase.ROLLING_OUT, 2, 2, 2),
        (Phase.SOAKING, 2, 2, 2),
        (Phase.REVOKING, 2, 2, 2),
        (Phase.REVERTING, 1, 1, 2),
        (Phase.WITHDRAWING, 1, 1, 1),
        (Phase.ABORTING, 1, 1, 1),
    ],
)
def test_each_phase_has_its_versions(
    phase: Phase, works_from: int, in_force: int, expected: int
) -> None:
    assert pointing.works_from(phase, RECORD) == works_from
    assert pointing.in_force(phase, RECORD) == in_force
    assert pointing.expected(state(phase), POLICY, ["canary"]) == expected


def test_aliases_of_a_later_stage_point_to_previous_until_its_turn() -> None:
    assert pointing.expected(state(Phase.ROLLING_OUT, "canary"), POLICY, ["everyone"]) == 1
    assert pointing.expected(state(Phase.ROLLING_OUT, "everyone"), POLICY, ["everyone"]) == 2


def test_only_a_revocation_in_an_emergency_is_beyond_doubt() -> None:
    revoking = state(Phase.REVOKING)
    assert not pointing.is_beyond_doubt(revoking)
    for change in ({"mode": Mode.EMERGENCY}, {"again": Request(Ask.EMERGENCY, NOW, "e1")}):
        urgent = replace(RECORD, **change)
        assert pointing.is_beyond_doubt(replace(revoking, record=urgent))
        assert not pointing.is_beyond_doubt(State(Phase.SOAKING, record=urgent))
    kept = replace(RECORD, again=Request(Ask.ROUTINE, NOW, "r2"))
    assert not pointing.is_beyond_doubt(replace(revoking, record=kept))


@pytest.mark.parametrize(
    ("phase", "reached", "event", "stage", "moves"),
    [
        (Phase.PREPARING, "", Event.PUBLISHED, "", ["canary", "everyone"]),
        (Phase.VOTING, "", Event.PREPARED, "canary", ["canary"]),
        (Phase.ROLLING_OUT, "canary", Event.STAGE_PROVEN, "everyone", ["everyone"]),
        (Phase.REVERTING, "canary", Event.REVERTED, "canary", ["canary"]),
        (Phase.REVERTING, "everyone", Event.POINTED_BACK, "everyone", ["canary", "everyone"]),
        (Phase.SOAKING, "everyone", Event.SOAKED, "everyone", []),
    ],
)
def test_aliases_move_with_the_event_of_their_stage(
    phase: Phase, reached: str, event: Event, stage: str, moves: list[str]
) -> None:
    assert pointing.moving(state(phase, reached), event, POLICY, stage) == moves


def test_a_pause_holds_aliases_back() -> None:
    paused = replace(state(Phase.VOTING), pause=Pause(paused=True, at=NOW))
    assert pointing.moving(paused, Event.PREPARED, POLICY, "canary") == []

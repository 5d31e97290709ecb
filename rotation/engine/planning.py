"""Says what a rotation would do, stage by stage; changes nothing.

Rules of this module:
  1. Every participant and every gate is asked, side by side; trouble with one stands in its place.
  2. A rotation in flight is planned as it is; otherwise the next one is, with the version number
     it is expected to get.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rotation.engine.participants import Participants
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import TemporaryError
from rotation.model.plugin import Change, Observation
from rotation.model.policy import Stage
from rotation.model.rollout import Move, Plan, PlannedEdit, Verdict, Watch


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan."""

    name: str
    soak: timedelta
    #: Of each participant, by its name.
    participants: tuple[tuple[str, Plan], ...]
    #: What each gate says now, by its name.
    gates: tuple[tuple[str, Verdict], ...]


@dataclass(frozen=True)
class RotationPlan:
    """What a rotation would do."""

    #: Empty: none is in flight.
    rotation_id: str
    change: Change
    stages: tuple[PlannedStage, ...]


def plan(snapshot: Snapshot, participants: Participants) -> RotationPlan:
    """Ask everybody what they would do, and what they see now.

    Raises:
        PermanentError: The policy or the state cannot be read.
    """
    name, now = snapshot.secret.name, snapshot.now
    policy, state = snapshot.sound_policy(), snapshot.readable_state()
    record = state.record
    if record is None:
        change = Change(state.current, state.last + 1)
    else:
        change = Change(record.previous, record.next or record.base + 1)
    rotation_id = record.id if record else ""
    since = (record.handed_at if record else None) or now

    def watch(stage: str) -> Watch:
        return Watch(name, rotation_id, stage, change, since, now, _nobody, _nobody)

    def move(stage: str) -> Move:
        return Move(name, rotation_id or "planned", stage, change)

    stages = (_stage(entry, participants, move, watch, change) for entry in policy.rollout)
    return RotationPlan(rotation_id, change, tuple(stages))


def _stage(
    stage: Stage,
    participants: Participants,
    move: Callable[[str], Move],
    watch: Callable[[str], Watch],
    change: Change,
) -> PlannedStage:
    asked = [
        participant for participant in participants.outside if participant.stage == stage.stage
    ]
    answers = participants.ask(
        asked,
        lambda participant: participant.plugin.plan(move(participant.stage)),
        lambda trouble: Plan(obstacle=trouble),
    )
    outside = [
        (answer.by.name, answer.answer or Plan(obstacle=str(answer.error))) for answer in answers
    ]
    riding = [
        (f"{stage.stage}/{participant.plugin.spec.name}", _riding(change))
        for participant in participants.riding
        if participant.stage == stage.stage
    ]
    gates = participants.check([stage.stage], watch)
    return PlannedStage(stage.stage, stage.soak, (*riding, *outside), tuple(gates))


def _riding(change: Change) -> Plan:
    old = f"version {change.previous}" if change.previous else "nothing"
    return Plan((PlannedEdit("the secret", f"{old} -> version {change.next}"),))


def _nobody() -> Observation:
    raise TemporaryError("who uses which credential is looked at in the rotation itself")

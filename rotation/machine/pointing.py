"""Decide which version a phase works from, has in force, and expects consumers to be pointed to.

Rules of this module:
  1. No I/O: where consumers are really pointed is observed elsewhere and compared with this.
  2. While nobody was handed *next*, and once all were taken back, it is *previous*.
  3. Aliases move with the event that hands *next* to their stage, and go back all together.
"""

from collections.abc import Collection

from rotation.machine import pausing, rollout, transitions
from rotation.model.phase import Event, Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Record, State

#: Phases that work from *previous*; ...
_FROM_PREVIOUS = frozenset({Phase.PREPARING, Phase.ABORTING, Phase.REVERTING, Phase.WITHDRAWING})

#: ... those in which consumers have it, or get it back; ...
_HAVE_PREVIOUS = _FROM_PREVIOUS | {Phase.VOTING}

#: ... and those in which aliases point to it.
_POINTED_TO_PREVIOUS = _HAVE_PREVIOUS - {Phase.REVERTING}


def works_from(phase: Phase, record: Record) -> int | None:
    """Return the version a phase works from: the one that stays in force when all goes well."""
    return record.previous if phase in _FROM_PREVIOUS else record.next


def in_force(phase: Phase, record: Record) -> int | None:
    """Return the version that consumers have, or get back."""
    return record.previous if phase in _HAVE_PREVIOUS else record.next


def expected(state: State, policy: Policy, riding: Collection[str]) -> int | None:
    """Return the version that aliases point to unless somebody has moved them.

    Args:
        state: Of a rotation in flight.
        policy: Whose rollout.
        riding: Stages of the participants that move aliases.
    """
    record = state.in_flight
    if state.phase in _POINTED_TO_PREVIOUS:
        return record.previous
    handed = {stage.stage for stage in rollout.handed(policy, record.stage)}
    waits = record.stage and handed.isdisjoint(riding)
    return record.previous if waits else record.next


def is_beyond_doubt(state: State) -> bool:
    """Whether the phase goes on wherever consumers are pointed: what leaked is revoked."""
    return state.in_flight.urgent and state.phase is Phase.REVOKING


def moving(state: State, event: Event, policy: Policy, stage: str) -> list[str]:
    """Return the stages whose aliases move with ``event``.

    Args:
        state: As read under the ETag it is written back with.
        event: What happened.
        policy: Whose rollout.
        stage: The stage reached by the event; empty where the rollout has reached none.
    """
    record = state.in_flight
    if pausing.holds_back(state, event):
        return []
    if event in transitions.HANDED:
        known = _stages(policy, record.stage) if record.stage else []
        return [name for name in _stages(policy, stage) if name not in known]
    if event in transitions.TAKEN_BACK and record.next is not None:
        return _stages(policy, record.stage)
    return []


def _stages(policy: Policy, stage: str) -> list[str]:
    """Return the names up to a stage; all, where the rollout knows no stages."""
    stages = rollout.handed(policy, stage) if stage else policy.rollout
    return [entry.stage for entry in stages]

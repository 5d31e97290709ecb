"""Carries an effect out in a state: the world, the ledger and the rules it breaks, together.

Rules of this module:
  1. Changes of roles are carried out in the order they were sent, since each transaction holds the
     lock until it is over; everything else that is late may arrive at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import rules
from .ledger import follow
from .rules import Broken
from .state import Actor, State
from .world import READS, ROLE_CHANGES, Effect, Failed, World, carry_out


def apply(state: State, actor: Actor, effect: Effect) -> tuple[State, Any, Broken]:
    broken: Broken = ()
    while effect.name in ROLE_CHANGES and (earlier := _late_role_change(state.world)) is not None:
        state, _, more = land(state, earlier)
        broken += more
    world, answer = carry_out(state.world, effect)
    moved, more = _followed(state, actor.serial, effect, world, answer)
    return moved, answer, broken + more


def _late_role_change(world: World) -> int | None:
    late = enumerate(world.late)
    return next((index for index, entry in late if entry.effect.name in ROLE_CHANGES), None)


def may_land(world: World) -> Iterator[int]:
    """Walk the late requests that may arrive now: changes of roles keep their order."""
    earliest = _late_role_change(world)
    for index, late in enumerate(world.late):
        if index == earliest or late.effect.name not in ROLE_CHANGES:
            yield index


def land(state: State, index: int) -> tuple[State, Any, Broken]:
    """Let a late request arrive."""
    late = state.world.late
    effect, serial = late[index]
    here = state._replace(world=state.world._replace(late=(*late[:index], *late[index + 1 :])))
    world, answer = carry_out(here.world, effect)
    moved, broken = _followed(here, serial, effect, world, answer)
    return moved, answer, broken


def _followed(
    state: State, serial: str, effect: Effect, world: World, answer: Any
) -> tuple[State, Broken]:
    """Keep the books of an effect that was carried out."""
    if isinstance(answer, Failed):
        return state._replace(world=world), ()
    ledger = follow(state.ledger, state.world, effect, world, serial)
    moved = state._replace(world=world, ledger=ledger)
    if effect.name in READS:
        return moved, ()
    during = rules.broken_during(state.ledger, state.world, effect, world)
    return moved, during + rules.broken_now(ledger, world)

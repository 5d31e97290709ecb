from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rotation.engine import codec, preparing, retiring, tick, versions
from rotation.engine.outcome import Outcome
from rotation.engine.run import Run
from rotation.machine import due, transitions
from rotation.machine.due import Due
from rotation.model.phase import Event, Phase
from rotation.model.wakeup import WakeUpKind
from tests.unit.engine.world import MemoryStore, Role

from .explore import at_random, find, play
from .scenarios import SCENARIOS
from .world import ModelIssuer

BUDGET = 3000
Plant = Callable[[pytest.MonkeyPatch], None]


def etag_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    real = MemoryStore.update

    def update(self: Any, secret: Any, **maps: Any) -> Any:
        return real(self, replace(secret, etag=self.secret.etag), **maps)

    patch.setattr(MemoryStore, "update", update)


def fence_is_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ModelIssuer, "_fenced", lambda self, slot, _: self.roles.setdefault(slot, Role()))


def version_is_added_before_a_login(patch: pytest.MonkeyPatch) -> None:
    def mint(run: Run, slot: str) -> Any:
        candidate = run.issuer.propose(slot, run.state.in_flight.id, run.payload)
        run.issuer.mint(slot, candidate, run.token, run.state.in_flight.base + 1)
        return candidate

    patch.setattr(preparing, "_mint_verified", mint)


def hold_is_not_proved_before_disabling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Run, "_prove_hold", lambda *_, **__: None)


def token_is_used_again(patch: pytest.MonkeyPatch) -> None:
    real = transitions.claim

    def claim(state: Any, by: Any) -> Any:
        return replace(real(state, by), token=max(state.token, 1))

    patch.setattr(transitions, "claim", claim)


def previous_is_revoked_without_a_look(patch: pytest.MonkeyPatch) -> None:
    table = {**transitions.TRANSITIONS, (Phase.SOAKING, Event.SOAKED): Phase.REVOKING}
    patch.setattr(transitions, "TRANSITIONS", table)


def foreign_labels_are_lost(patch: pytest.MonkeyPatch) -> None:
    real = codec.encode

    def encode(state: Any, secret: Any) -> Any:
        return real(state, replace(secret, labels={}))

    patch.setattr(codec, "encode", encode)


def version_is_adopted_without_a_login(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparing, "_works", lambda *_: True)


def version_of_an_interrupted_worker_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparing, "_adopt", lambda *_: None)


def next_dies_before_latest_is_covered(patch: pytest.MonkeyPatch) -> None:
    def abort(run: Run) -> Outcome:
        record = run.state.in_flight
        run.issuer.suspend(run.idle_slot, run.token)
        tidied = versions.tidy(run, record.base, record.id)
        return Outcome(Event.ABORTED, {"seen": tidied.seen, "copies": tidied.copies})

    patch.setattr(retiring, "EFFECTS", {**retiring.EFFECTS, Phase.ABORTING: abort})
    patch.setattr(tick, "EFFECTS", retiring.EFFECTS)


def previous_is_not_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retiring, "_give_back", lambda _: None)


def every_delivery_of_a_firing_counts(patch: pytest.MonkeyPatch) -> None:
    def fired(facts: due.Facts) -> Due | None:
        is_firing = facts.wake_up.kind is WakeUpKind.ROTATE
        return Due("schedule", facts.wake_up.at) if is_firing else None

    patch.setattr(due, "CHECKS", (fired, *due.CHECKS))


def lost_race_is_not_read_again_for_the_token(patch: pytest.MonkeyPatch) -> None:
    def reload(self: Run, attempt: int = 0) -> None:
        self.secret = self.store.get(self.secret.name)

    patch.setattr(Run, "reload", reload)


#: Each fault that is planted, and the scenario in which it must be found.
FAULTS: dict[Plant, str] = {
    etag_is_not_checked: "a firing",
    fence_is_skipped: "a firing",
    version_is_added_before_a_login: "a firing",
    hold_is_not_proved_before_disabling: "soaking",
    token_is_used_again: "a firing, and somebody asks",
    previous_is_revoked_without_a_look: "soaking",
    foreign_labels_are_lost: "a firing",
    version_is_adopted_without_a_login: "a dead version was added",
    version_of_an_interrupted_worker_is_ignored: "a firing",
    next_dies_before_latest_is_covered: "a firing, and somebody asks",
    previous_is_not_given_back: "soaking",
    every_delivery_of_a_firing_counts: "a firing",
    lost_race_is_not_read_again_for_the_token: "a firing, and somebody asks",
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_planted_fault_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = next(each for each in SCENARIOS if each.name == FAULTS[plant])
    plant(monkeypatch)
    found, _ = find(scenario, at_random(scenario, 1, BUDGET, most=4))
    assert found is not None
    again = play(scenario, found.schedule)
    assert again.story == found.played.story

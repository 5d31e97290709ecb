"""Faults planted in the protocol, each a small patch, and the scenario in which it must show.

Rules of this module:
  1. A mutant is what a tired engineer might write: one line gone, two lines swapped.
  2. Each is caught within the bounds that are walked anyway, so that the bounds are known to be
     wide enough for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from rotation.engine import acting, codec, preparing, retiring, rolling, versions
from rotation.engine.effects import EFFECTS
from rotation.engine.hold import Hold
from rotation.engine.outcome import Outcome
from rotation.engine.run import Run
from rotation.engine.versions import Found, Kind
from rotation.machine import decide, due, pausing, rollout, transitions
from rotation.machine.decide import Act
from rotation.machine.due import Due
from rotation.machine.rollout import Course, Judgement
from rotation.model.errors import CredentialRefusedError
from rotation.model.payload import Payload
from rotation.model.phase import Event, Phase
from rotation.model.plugin import Verification
from rotation.model.rotation import Record, State
from rotation.model.secret import Secret
from rotation.model.wakeup import WakeUpKind

from . import books, world
from .state import Bounds

#: What a login would have proved.
UNPROVED = Verification(("memory",), "owner")

Plant = Callable[[pytest.MonkeyPatch], None]
CALM, FAULT, STALL, FAULTS = Bounds(), Bounds(1), Bounds(1, stalls=1), Bounds(2)
HAPPENING, BOTH = Bounds(1, happenings=1), Bounds(2, happenings=1)


@dataclass(frozen=True)
class Mutant:
    """A planted fault, and where it shows."""

    plant: Plant
    scenario: str
    bounds: Bounds
    #: Beginning of the rule that it breaks.
    breaks: str


def the_fence_is_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(world, "fenced", lambda at, slot, token: at.role(slot)._replace(token=token))


def a_version_is_published_before_a_login(patch: pytest.MonkeyPatch) -> None:
    def mint(run: Run, handle: str) -> Any:
        payload, _ = preparing._mint(run, preparing._request(run, handle))
        return payload, UNPROVED

    patch.setattr(preparing, "_mint_verified", mint)


def the_etag_is_read_just_before_the_write(patch: pytest.MonkeyPatch) -> None:
    real = Hold.write

    def write(self: Hold, state: Any) -> None:
        newest = self._tools.store.get(self.secret.name).etag
        self.secret = replace(self.secret, etag=newest)
        real(self, state)

    patch.setattr(Hold, "write", write)


def the_claim_is_not_stored_before_the_effects(patch: pytest.MonkeyPatch) -> None:
    def take(self: Hold, claimed: Any) -> None:
        self.state, self.is_taken = claimed, True

    patch.setattr(Hold, "take", take)


def a_takeover_keeps_the_token(patch: pytest.MonkeyPatch) -> None:
    real = transitions.claim

    def claim(state: Any, by: Any) -> Any:
        return replace(real(state, by), token=max(state.token, 1))

    patch.setattr(transitions, "claim", claim)


def a_version_of_somebody_else_is_adopted(patch: pytest.MonkeyPatch) -> None:
    real = versions.judge

    def judge(*about: Any) -> Found:
        found = real(*about)
        return structs.replace(found, kind=Kind.OURS) if found.kind is Kind.FOREIGN else found

    patch.setattr(versions, "judge", judge)


def a_version_is_adopted_without_a_login(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparing, "_works", lambda *_: UNPROVED)


def a_version_is_adopted_before_the_fence(patch: pytest.MonkeyPatch) -> None:
    def works(run: Run, payload: Payload) -> Any:
        try:
            return run.issuer.verify(payload)
        except CredentialRefusedError:
            return None

    patch.setattr(preparing, "_works", works)


def the_oldest_version_is_adopted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparing, "reversed", iter, raising=False)


def what_an_interrupted_worker_added_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparing, "_adopt", lambda *_: None)


def an_unknown_add_is_repeated_blindly(patch: pytest.MonkeyPatch) -> None:
    def add_once(store: Any, name: Any, payload: Any, _: int) -> int:
        try:
            return int(store.add_version(name, payload))
        except preparing.UnknownOutcomeError:
            return int(store.add_version(name, payload))

    patch.setattr(versions, "add_once", add_once)
    patch.setattr(preparing, "_clean_up_orphans", lambda *_: ())


def the_previous_is_revoked_without_a_look(patch: pytest.MonkeyPatch) -> None:
    table = {**transitions.TRANSITIONS, (Phase.SOAKING, Event.SOAKED): Phase.REVOKING}
    patch.setattr(transitions, "TRANSITIONS", table)


def a_session_does_not_hold_the_suspension_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retiring, "_obstacle", lambda *_: "")


def a_straggler_is_not_given_its_login_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retiring, "_give_back", lambda _: None)


def a_version_is_disabled_without_its_etag(patch: pytest.MonkeyPatch) -> None:
    real = world.carry_out

    def carry_out(at: world.World, effect: world.Effect) -> tuple[world.World, Any]:
        if effect.name == "disable":
            number = effect.args[0]
            effect = world.Effect("disable", (number, at.versions[number - 1].etag))
        return real(at, effect)

    patch.setattr(books, "carry_out", carry_out)


def next_dies_before_latest_is_covered(patch: pytest.MonkeyPatch) -> None:
    def abort(run: Run) -> Outcome:
        record = run.state.in_flight
        run.issuer.suspend(run.next_handle, run.token)
        cleaned = versions.clean_up_orphans(run, record.base, record.id)
        return Outcome(Event.ABORTED, {"highest": cleaned.highest, "copies": cleaned.copies})

    patch.setattr(acting, "EFFECTS", {**EFFECTS, Phase.ABORTING: abort})


def consumers_go_back_before_the_login_is_restored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        acting, "EFFECTS", {**EFFECTS, Phase.REVERTING: lambda _: Outcome(Event.REVERTED)}
    )


def labels_of_others_are_lost(patch: pytest.MonkeyPatch) -> None:
    real = codec.encode

    def encode(state: State, at: Secret, mac_size: int = 0) -> codec.Maps:
        return real(state, replace(at, labels={}), mac_size)

    patch.setattr(codec, "encode", encode)


def every_delivery_of_a_firing_counts(patch: pytest.MonkeyPatch) -> None:
    def fired(facts: due.Facts) -> Due | None:
        is_firing = facts.wake_up.kind is WakeUpKind.ROTATE
        return Due("schedule", facts.wake_up.at) if is_firing else None

    patch.setattr(due, "CHECKS", (fired, *due.CHECKS))


def a_request_in_flight_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "_remember", lambda s, _: decide._proceed(s))


def an_emergency_waits_for_the_soak(patch: pytest.MonkeyPatch) -> None:
    asks = {**decide._REQUESTS, decide.Ask.EMERGENCY: decide._routine}
    patch.setattr(decide, "_REQUESTS", asks)


def a_lost_race_is_not_checked_for_the_token(patch: pytest.MonkeyPatch) -> None:
    def reload(self: Hold, attempt: int = 0) -> None:
        self.secret = self._tools.store.get(self.secret.name)

    patch.setattr(Hold, "reload", reload)


def a_wait_is_over_at_once(patch: pytest.MonkeyPatch) -> None:
    real = decide._proceed

    def proceed(s: Any) -> Any:
        waits = s.state.wake_at is not None and s.state.phase is not Phase.SETTLED
        return Act(transitions.claim(s.state, s.claim)) if waits else real(s)

    patch.setattr(decide, "_proceed", proceed)


def a_refusal_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rollout, "judge_votes", lambda *_: Judgement(Course.GO))


def the_canary_is_not_watched(patch: pytest.MonkeyPatch) -> None:
    real = rollout.judge_gates
    patch.setattr(
        rollout,
        "judge_gates",
        lambda verdicts, now, since, _: real(verdicts, now, since, timedelta()),
    )


def a_failing_gate_is_ignored(patch: pytest.MonkeyPatch) -> None:
    real = rollout.judge_gates
    patch.setattr(rollout, "judge_gates", lambda _, *more: real((), *more))


def all_stages_move_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rollout, "next_stage", _last)


def _last(policy: Any, record: Any) -> Any:
    return None if record.stage == policy.rollout[-1].stage else policy.rollout[-1]


def an_unanswered_commit_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rollout, "judge_progress", lambda *_: Judgement(Course.GO))


def a_vote_counts_as_a_commit(patch: pytest.MonkeyPatch) -> None:
    def vote(run: Run) -> Any:
        outcome = rolling.vote(run)
        facts = {key: value for key, value in outcome.facts.items() if key != "acked"}
        acked = tuple(participant.name for participant in run.participants.outside)
        return structs.replace(outcome, facts={**facts, "acked": acked})

    patch.setattr(acting, "EFFECTS", {**EFFECTS, Phase.VOTING: vote})


def pins_are_not_taken_back(patch: pytest.MonkeyPatch) -> None:
    table = {**transitions.TRANSITIONS, (Phase.REVERTING, Event.POINTED_BACK): Phase.ABORTING}
    patch.setattr(transitions, "TRANSITIONS", table)


def an_emergency_waits_for_the_canary(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Record, "urgent", False)


def a_pause_does_not_hold_a_firing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "_keep", decide._start)


def what_is_asked_in_a_pause_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pausing, "keep", lambda *_: None)


def the_word_that_comes_last_counts(patch: pytest.MonkeyPatch) -> None:
    real = pausing.apply_pause_request
    patch.setattr(
        pausing, "apply_pause_request", lambda state, word: real(replace(state, pause=None), word)
    )


def a_pause_leaves_a_login_suspended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "_held", lambda _: decide.Done("paused"))


def a_pause_is_noticed_at_the_beginning_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pausing, "holds_back", lambda *_: False)


def a_pause_holds_an_emergency(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pausing, "holds", lambda state: state.paused and state.phase in pausing._HELD)


def who_retires_at_once_does_not_look(patch: pytest.MonkeyPatch) -> None:
    real = retiring._obstacle

    def obstacle(run: Run, observed: Any) -> str:
        return real(run, observed) if observed.sessions else ""

    patch.setattr(retiring, "_obstacle", obstacle)


def who_retires_at_once_throws_out(patch: pytest.MonkeyPatch) -> None:
    table = {**transitions.TRANSITIONS, (Phase.SUSPENDING, Event.SUSPENDED): Phase.REVOKING}
    patch.setattr(transitions, "TRANSITIONS", table)


MUTANTS = (
    Mutant(the_fence_is_skipped, "a firing", STALL, "the token never decreases"),
    Mutant(a_version_is_published_before_a_login, "a firing", CALM, "only verified"),
    Mutant(the_etag_is_read_just_before_the_write, "a firing", HAPPENING, "what is not ours"),
    Mutant(the_claim_is_not_stored_before_the_effects, "a firing, delivered twice", CALM, ""),
    Mutant(a_takeover_keeps_the_token, "a firing", STALL, ""),
    Mutant(a_version_of_somebody_else_is_adopted, "a firing", BOTH, "a rotation changes"),
    Mutant(a_version_is_adopted_without_a_login, "a dead version was added", CALM, ""),
    Mutant(a_version_is_adopted_before_the_fence, "a firing and an emergency at once", FAULTS, ""),
    Mutant(the_oldest_version_is_adopted, "a firing", FAULTS, "consumers of current"),
    Mutant(what_an_interrupted_worker_added_is_ignored, "a firing", FAULT, ""),
    Mutant(an_unknown_add_is_repeated_blindly, "a firing", FAULT, "no orphan"),
    Mutant(the_previous_is_revoked_without_a_look, "soaking", CALM, "nothing readable"),
    Mutant(
        a_session_does_not_hold_the_suspension_up,
        "soaking",
        HAPPENING,
        "nobody with a session is locked out",
    ),
    Mutant(a_straggler_is_not_given_its_login_back, "soaking", BOTH, ""),
    Mutant(a_version_is_disabled_without_its_etag, "the soak is over, and a revert", STALL, ""),
    Mutant(
        next_dies_before_latest_is_covered, "soaking, and a revert", CALM, "consumers of latest"
    ),
    Mutant(consumers_go_back_before_the_login_is_restored, "observing, and a revert", CALM, ""),
    Mutant(labels_of_others_are_lost, "a firing", CALM, "what is not ours stays"),
    Mutant(every_delivery_of_a_firing_counts, "a firing", HAPPENING, "each request"),
    Mutant(a_request_in_flight_is_forgotten, "soaking", HAPPENING, ""),
    Mutant(an_emergency_waits_for_the_soak, "soaking, and an emergency", CALM, "an emergency"),
    Mutant(
        a_lost_race_is_not_checked_for_the_token, "a firing and an emergency at once", FAULT, ""
    ),
    Mutant(a_wait_is_over_at_once, "soaking", CALM, "waits are kept"),
    Mutant(a_refusal_is_ignored, "staged", HAPPENING, "all vote"),
    Mutant(the_canary_is_not_watched, "staged", CALM, "a stage proves itself"),
    Mutant(a_failing_gate_is_ignored, "rolling out", HAPPENING, "trouble moves everybody"),
    Mutant(all_stages_move_at_once, "staged", CALM, "a stage proves itself"),
    Mutant(an_unanswered_commit_counts, "rolling out, and an emergency", FAULT, ""),
    Mutant(a_vote_counts_as_a_commit, "staged", CALM, ""),
    Mutant(pins_are_not_taken_back, "rolling out, and a revert", CALM, "consumers of pins"),
    Mutant(a_pause_does_not_hold_a_firing, "paused, and a firing", CALM, "a pause starts nothing"),
    Mutant(what_is_asked_in_a_pause_is_forgotten, "paused, and a firing", CALM, "no request"),
    Mutant(the_word_that_comes_last_counts, "paused and resumed", CALM, "the last word"),
    Mutant(a_pause_leaves_a_login_suspended, "observing, and a pause", CALM, ""),
    Mutant(a_pause_is_noticed_at_the_beginning_only, "observing, and a pause", BOTH, ""),
    Mutant(a_pause_holds_an_emergency, "soaking, and a pause", HAPPENING, "an emergency"),
    Mutant(who_retires_at_once_does_not_look, "soaking, and a retirement", HAPPENING, "nothing is"),
    Mutant(who_retires_at_once_throws_out, "soaking, and a retirement", BOTH, ""),
    Mutant(an_emergency_waits_for_the_canary, "rolling out, and an emergency", CALM, ""),
)

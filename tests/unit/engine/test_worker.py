import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from rotation.engine.crashpoints import CrashPoint
from rotation.engine.worker import NAMED
from rotation.model.errors import (
    CandidateRejectedError,
    LeaseHeldError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import Session
from rotation.model.secret import Schedule, VersionState
from rotation.model.wakeup import Ask, WakeUp, WakeUpKind

from .world import NAME, START, Killed, Role, World

MINTING = [
    CrashPoint.CLAIMED,
    CrashPoint.MINTED,
    CrashPoint.VERIFIED,
    CrashPoint.ADDING,
    CrashPoint.ADDED,
    CrashPoint.PUBLISHED,
]
RETIRING = [
    CrashPoint.SUSPENDING,
    CrashPoint.SUSPENDED,
    CrashPoint.DISABLED,
    CrashPoint.OBSERVED,
    CrashPoint.REVOKED,
    CrashPoint.DESTROYED,
    CrashPoint.COMMITTED,
]


def quick(world: World) -> None:
    world.clock.advance(seconds=601)


def test_default_rotation_makes_the_minimum_of_calls() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    assert world.store.calls == ["get", "update", "access", "add_version", "update"]
    assert world.labels["rotation_phase"] == "soaking"
    assert world.aliases == {"theirs": 1, "current": 2, "previous": 1}


def test_rotation_ends_settled_with_a_receipt_and_clean_labels() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.labels == {"team": "db", "rotation_token": world.labels["rotation_token"]}
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.aliases == {"theirs": 1, "current": 2, "previous": 1}
    assert world.receipt["outcome"] == "rotated"
    assert world.receipt["handle"] == "app_b"
    assert "control seen" in world.receipt["evidence"][0]
    assert world.store.secret.annotations["theirs"] == "kept"
    assert world.logs_in(2)
    assert not world.issuer.roles["app_a"].login


def test_next_rotation_goes_back_to_the_first_slot() -> None:
    world = World()
    for _ in range(3):
        world.clock.advance(minutes=1)
        world.worker().tick(world.scheduled())
        world.settle()
    assert world.receipt["handle"] == "app_b"
    assert world.states() == {1: "destroyed", 2: "destroyed", 3: "destroyed", 4: "enabled"}


def test_payload_keeps_foreign_keys_and_names_its_rotation() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    fields = world.store.versions[2][0].fields()
    assert fields["extra"] == "kept"
    assert fields["rotation_id"] == world.labels["rotation_id"]


def test_duplicate_of_a_served_message_costs_one_call() -> None:
    world = World()
    message = world.scheduled()
    world.worker().tick(message)
    world.settle()
    world.store.calls.clear()
    world.worker().tick(message)
    assert world.store.calls == ["get"]
    assert max(world.store.versions) == 2


def test_duplicate_while_soaking_costs_one_call() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.store.calls.clear()
    world.worker().tick(world.scheduled())
    assert world.store.calls == ["get"]


def test_first_credential_settles_at_once() -> None:
    world = World(first=True)
    world.worker().tick(world.scheduled())
    assert world.states() == {1: "enabled"}
    assert world.aliases == {"current": 1}
    assert "rotation_phase" not in world.labels
    assert world.logs_in(1)


@pytest.mark.parametrize("point", MINTING, ids=lambda point: point.value)
def test_killed_while_preparing_another_worker_finishes(point: CrashPoint) -> None:
    world = World()
    message = world.scheduled()
    with pytest.raises(Killed):
        world.worker(point).tick(message)
    assert world.logs_in(1)
    quick(world)
    world.worker().tick(message)
    assert world.labels["rotation_phase"] == "soaking"
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.logs_in(2)
    assert world.aliases["current"] == 2


@pytest.mark.parametrize("point", RETIRING, ids=lambda point: point.value)
def test_killed_while_retiring_another_worker_finishes(point: CrashPoint) -> None:
    world = World()
    world.worker().tick(world.scheduled())
    killed = False
    for _ in range(60):
        world.clock.advance(minutes=30)
        try:
            world.worker(None if killed else point).tick(world.woken())
        except Killed:
            killed = True
    assert killed
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.receipt["outcome"] == "rotated"
    assert world.logs_in(2)


def test_recovery_after_the_version_was_added_adopts_it() -> None:
    world = World()
    message = world.scheduled()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(message)
    quick(world)
    world.store.calls.clear()
    world.worker().tick(message)
    assert "add_version" not in world.store.calls
    assert len(world.store.calls) <= 5 + 2


def test_redelivery_to_a_dead_holder_is_not_acknowledged_while_the_lease_lasts() -> None:
    world = World()
    message = world.scheduled()
    with pytest.raises(Killed):
        world.worker(CrashPoint.MINTED).tick(message)
    with pytest.raises(LeaseHeldError):
        world.worker().tick(message)
    world.worker().tick(world.scheduled())
    assert max(world.store.versions) == 1


def test_stalled_worker_is_refused_by_the_fence_after_a_takeover() -> None:
    world = World()

    def stall() -> None:
        quick(world)
        world.worker().tick(world.woken("lease over"))

    world.worker(CrashPoint.CLAIMED, stall).tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert world.logs_in(2)
    assert world.issuer.roles["app_b"].token == 2


def test_stalled_worker_does_not_add_after_its_lease() -> None:
    world = World()

    def stall() -> None:
        quick(world)
        world.worker().tick(world.woken("lease over"))

    world.worker(CrashPoint.VERIFIED, stall).tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert world.logs_in(2)


def test_orphan_version_of_a_stalled_worker_is_disabled_and_latest_works() -> None:
    world = World()

    def stall() -> None:
        quick(world)
        world.worker().tick(world.woken("lease over"))
        world.settle()
        world.clock.advance(minutes=5)
        world.worker().tick(world.scheduled())
        world.settle()

    world.worker(CrashPoint.ADDING, stall).tick(world.scheduled())
    assert world.states()[4] == "enabled"
    assert not world.logs_in(4)
    (check,) = world.outbox.messages
    world.worker().tick(world.woken(check["reason"]))
    assert world.states() == {
        1: "destroyed",
        2: "destroyed",
        3: "enabled",
        4: "disabled",
        5: "enabled",
    }
    assert world.logs_in(5)
    assert world.aliases["current"] == 3
    world.clock.advance(minutes=5)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.states()[3] == world.states()[5] == "destroyed"
    assert world.states()[6] == "enabled"


def test_version_of_a_racing_worker_below_ours_is_disabled() -> None:
    world = World()

    def race() -> None:
        rotation = json.loads(world.store.secret.annotations["rotation.record"])["record"]["id"]
        dead = Payload.of({"username": "app_b", "password": "x", "rotation_id": rotation})
        world.store.versions[2] = (dead, VersionState.ENABLED)

    world.worker(CrashPoint.VERIFIED, race).tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.aliases["current"] == 3


def test_version_added_by_a_person_is_left_alone() -> None:
    world = World()
    world.store.versions[2] = (Payload(b"theirs"), VersionState.ENABLED)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled", 3: "enabled"}
    assert world.aliases["current"] == 3


def test_lost_answer_of_add_version_is_found_by_number() -> None:
    world = World()
    failing = [UnknownOutcomeError("UNAVAILABLE")]

    def trouble(call: str) -> None:
        if call == "added" and failing:
            raise failing.pop()

    world.store.trouble = trouble
    world.worker().tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert world.aliases["current"] == 2


def test_lost_race_for_the_claim_leaves_one_rotation() -> None:
    world = World()
    raced = []

    def trouble(call: str) -> None:
        if call == "update" and not raced:
            raced.append(True)
            world.worker().tick(world.scheduled())

    world.store.trouble = trouble
    world.worker().tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "enabled"}


def test_version_that_a_stale_read_does_not_show_yet_is_looked_for_again() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    reads = iter([NotFoundError("an old read"), NotFoundError("an old read")])

    def trouble(method: str) -> None:
        if method == "version" and (error := next(reads, None)):
            raise error

    world.store.trouble = trouble
    world.worker().tick(world.asked(Ask.REVERT))
    assert "rotation_blocked" not in world.labels
    assert world.receipt["outcome"] == "aborted"
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}


def test_stale_read_costs_a_lost_race_and_nothing_else() -> None:
    world = World()
    before = world.store.secret
    world.worker().tick(world.scheduled())
    world.store.stale = [before]
    world.store.calls.clear()
    world.worker().tick(world.scheduled())
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert len(world.store.calls) <= 4


def test_labels_written_by_others_meanwhile_survive() -> None:
    world = World()
    labels = {"new": "label"}
    world.worker(
        CrashPoint.MINTED,
        lambda: world.store.touch(labels={**world.store.secret.labels, **labels}),
    ).tick(world.scheduled())
    assert world.labels["new"] == "label"
    assert world.labels["rotation_phase"] == "soaking"


def test_temporary_error_gives_the_lease_back() -> None:
    world = World()
    world.issuer.trouble = staticmethod(_fail_once("mint", TemporaryError("database down")))
    message = world.scheduled()
    with pytest.raises(TemporaryError):
        world.worker().tick(message)
    assert "rotation_lease_until" not in world.labels
    assert "database down" in world.store.secret.annotations["rotation.record"]
    world.worker().tick(message)
    assert world.labels["rotation_phase"] == "soaking"
    assert world.states() == {1: "enabled", 2: "enabled"}


def test_rejected_candidate_is_replaced_by_another_one() -> None:
    world = World()
    world.issuer.trouble = staticmethod(_fail_once("mint", CandidateRejectedError("policy")))
    world.worker().tick(world.scheduled())
    assert world.store.versions[2][0].fields()["password"] == "password-2"


def test_unknown_outcome_of_minting_is_resolved_by_a_login() -> None:
    world = World()
    world.issuer.trouble = staticmethod(_fail_once("minted", UnknownOutcomeError("lost")))
    world.worker().tick(world.scheduled())
    assert world.store.versions[2][0].fields()["password"] == "password-1"
    assert world.logs_in(2)


def test_permanent_error_blocks_until_unblocked() -> None:
    world = World()
    world.issuer.trouble = staticmethod(
        _fail_once("mint", PermanentError("GRANT missing", remedy="run GRANT x", reason="rights"))
    )
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "rights"
    assert "run GRANT x" in world.store.secret.annotations["rotation.blocked"]
    world.worker().tick(world.woken())
    assert max(world.store.versions) == 1
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert "rotation_blocked" not in world.labels
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_slot_in_use_blocks_and_writes_nothing_to_the_slot() -> None:
    world = World()
    world.issuer.roles["app_b"].sessions.append(Session("db", "10.0.0.9 psql"))
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "slot-in-use"
    assert world.issuer.roles["app_b"].password is None


def test_faulty_policy_blocks_and_a_mended_one_clears_it() -> None:
    world = World()
    good = world.store.secret.annotations
    world.store.touch(annotations={**good, "rotation.policy": '{"issuer": {"knd": "memory"}}'})
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "policy-invalid"
    assert "kind" in world.store.secret.annotations["rotation.blocked"]
    world.store.calls.clear()
    world.worker().tick(world.scheduled())
    assert world.store.calls == ["get"]
    world.store.touch(
        annotations={**world.store.secret.annotations, "rotation.policy": good["rotation.policy"]}
    )
    world.worker().tick(world.scheduled())
    assert "rotation_blocked" not in world.labels
    assert world.aliases["current"] == 2


def test_labels_edited_to_nonsense_block_and_are_not_overwritten() -> None:
    world = World()
    world.store.touch(labels={"rotation_phase": "dancing", "rotation_token": "many"})
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "state-invalid"
    assert world.labels["rotation_token"] == "many"
    assert world.logs_in(1)


def test_token_lost_by_hand_is_raised_above_the_fence() -> None:
    world = World()
    for _ in range(2):
        world.clock.advance(minutes=1)
        world.worker().tick(world.scheduled())
        world.settle()
    labels = {k: v for k, v in world.labels.items() if k != "rotation_token"}
    world.store.touch(labels=labels)
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(4)


def test_sessions_on_the_previous_slot_hold_its_retirement() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_a"].sessions.append(Session("db", "10.0.0.7 billing"))
    world.clock.advance(hours=2)
    world.worker().tick(world.woken())
    assert "10.0.0.7 billing" in world.store.secret.annotations["rotation.record"]
    assert world.logs_in(1)
    world.issuer.roles["app_a"].sessions.clear()
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_observer_that_cannot_see_never_retires_anything() -> None:
    world = World()
    world.issuer.is_conclusive = False
    world.worker().tick(world.scheduled())
    for _ in range(5):
        world.clock.advance(hours=2)
        world.worker().tick(world.woken())
    assert world.logs_in(1)
    assert "pg_read_all_stats" in world.store.secret.annotations["rotation.record"]


def test_straggler_gets_its_credential_back() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    session = Session("db", "10.0.0.7 billing")
    world.clock.advance(hours=2)
    world.worker(
        CrashPoint.SUSPENDED, lambda: world.issuer.roles["app_a"].sessions.append(session)
    ).tick(world.woken())
    assert not world.logs_in(1)
    world.clock.advance(minutes=20)
    world.worker().tick(world.woken())
    assert world.labels["rotation_phase"] == "soaking"
    assert world.logs_in(1)
    world.issuer.roles["app_a"].sessions.clear()
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_dead_current_credential_reverts_by_itself_and_blocks() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_b"].password = "changed by hand"
    world.clock.advance(hours=2)
    world.worker().tick(world.woken())
    assert world.labels["rotation_blocked"] == "reverted"
    assert world.aliases["current"] == 1
    assert world.logs_in(1)
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.logs_in(3)
    assert world.receipt["outcome"] == "reverted"


@pytest.mark.parametrize("hours", [0, 2], ids=["soaking", "observing"])
def test_revert_gives_consumers_the_previous_credential(hours: int) -> None:
    world = World()
    world.worker().tick(world.scheduled())
    if hours:
        world.clock.advance(hours=hours)
        world.worker().tick(world.woken())
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.aliases == {"theirs": 1, "current": 1}
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.logs_in(1)
    assert world.logs_in(3)
    assert not world.issuer.roles["app_b"].login
    assert world.receipt["why"] == "asked by sre (claimed): because"
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.states() == {1: "destroyed", 2: "disabled", 3: "destroyed", 4: "enabled"}


def test_revert_drops_a_rotation_that_was_waiting_its_turn() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked())
    world.worker().tick(world.asked(Ask.REVERT))
    world.settle()
    assert world.aliases["current"] == 1
    assert world.receipt["outcome"] == "reverted"


def test_revert_delivered_again_leaves_the_rotations_after_it_alone() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    revert = world.asked(Ask.REVERT)
    world.worker().tick(revert)
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    soaking = world.aliases["current"]
    world.worker().tick(revert)
    assert world.aliases["current"] == soaking
    assert world.labels["rotation_phase"] == "soaking"


def test_revert_that_is_older_than_an_emergency_does_not_call_it_off() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(world.scheduled())
    world.clock.advance(minutes=1)
    revert = world.asked(Ask.REVERT)
    world.clock.advance(minutes=1)
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(world.asked(Ask.EMERGENCY))
    world.worker().tick(revert)
    world.settle()
    assert world.receipt["mode"] == "emergency"
    assert world.receipt["outcome"] == "rotated"
    assert not world.logs_in(1)


def test_revert_while_preparing_aborts() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "aborted"
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.logs_in(3)
    assert world.aliases["current"] == 1


@pytest.mark.parametrize(
    "point", [CrashPoint.REVERTED, CrashPoint.ABORTED], ids=lambda point: point.value
)
def test_killed_while_reverting_another_worker_finishes(point: CrashPoint) -> None:
    world = World()
    world.worker().tick(world.scheduled())
    with pytest.raises(Killed):
        world.worker(point).tick(world.asked(Ask.REVERT))
    world.settle()
    assert world.states() == {1: "enabled", 2: "disabled", 3: "enabled"}
    assert world.aliases["current"] == 1
    assert world.logs_in(1)


def test_revert_after_revoking_is_too_late() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.settle()
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.aliases["current"] == 2
    assert "nothing to go back from" in world.journal


def test_emergency_revokes_the_old_credential_in_the_same_tick() -> None:
    world = World()
    world.issuer.roles["app_a"].sessions.append(Session("db", "10.0.0.7 thief"))
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "disabled", 2: "enabled"}
    assert world.issuer.roles["app_a"].password is None
    assert world.issuer.roles["app_a"].sessions == []
    assert world.logs_in(2)
    world.settle()
    assert world.receipt["mode"] == "emergency"
    assert world.receipt["requested_by"] == "sre"


def test_emergency_ends_the_sessions_that_a_revert_left_on_the_idle_slot() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_b"].sessions.append(Session("db", "10.0.0.7 thief"))
    world.worker().tick(world.asked(Ask.REVERT))
    world.settle()
    assert world.issuer.roles["app_b"].sessions
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.issuer.roles["app_b"].sessions == []
    assert world.logs_in(world.aliases["current"])
    assert not world.logs_in(1)


def test_emergency_ends_no_session_where_no_credential_is_in_force_yet() -> None:
    world = World(first=True)
    world.issuer.roles["app_a"] = Role(sessions=[Session("db", "10.0.0.9 app")])
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.labels["rotation_blocked"] == "slot-in-use"
    assert world.issuer.roles["app_a"].sessions


def test_emergency_is_dead_after_three_writes_recorded_by_the_fourth_and_then_disabled() -> None:
    world = World()
    took: list[str] = []

    def note(call: str) -> None:
        if call in {"update", "add_version", "revoke", "disable"}:
            took.append(call)

    world.store.trouble = note
    world.issuer.trouble = staticmethod(note)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert took == ["update", "add_version", "update", "revoke", "update", "disable"]
    assert "revoked_at" in world.store.secret.annotations["rotation.record"]


def test_emergency_leaves_the_quota_to_credentials_that_live_still() -> None:
    world = World()
    world.store.busy = True
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert "disable" not in world.store.calls
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert not world.logs_in(1)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


@pytest.mark.parametrize("error", [TemporaryError("UNAVAILABLE"), PermanentError("x")], ids=repr)
def test_version_that_cannot_be_disabled_holds_up_no_emergency(error: Exception) -> None:
    world = World()
    world.store.trouble = _fail_once("disable", error)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert "left to a later phase" in world.journal
    assert "rotation_blocked" not in world.labels
    assert not world.logs_in(1)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_worker_that_dies_behind_the_record_of_an_emergency_leaves_nothing_for_good() -> None:
    world = World()
    killed: list[str] = []

    def die(call: str) -> None:
        if call == "version" and not killed:
            killed.append(call)
            raise Killed

    world.store.trouble = die
    with pytest.raises(Killed):
        world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "enabled", 2: "enabled"}
    assert not world.logs_in(1)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}


@pytest.mark.parametrize("settled", [False, True], ids=["in flight", "settled"])
def test_emergency_published_twice_rotates_once(*, settled: bool) -> None:
    world = World()
    asked = world.asked(Ask.EMERGENCY)
    world.worker().tick(asked)
    if settled:
        world.settle()
    world.clock.advance(minutes=1)
    assert asked.request is not None
    later = replace(asked.request, at=world.clock.time)
    world.worker().tick(replace(asked, message_id="again", at=world.clock.time, request=later))
    world.settle()
    assert world.aliases["current"] == 2


def test_emergency_published_again_after_another_rotation_is_known_still() -> None:
    world = World()
    asked = world.asked(Ask.EMERGENCY)
    world.worker().tick(asked)
    world.settle()
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    world.clock.advance(minutes=1)
    assert asked.request is not None
    later = replace(asked.request, at=world.clock.time)
    world.worker().tick(replace(asked, message_id="again", at=world.clock.time, request=later))
    assert world.aliases["current"] == 2
    assert "rotation_phase" not in world.labels


def test_request_that_became_an_emergency_is_served_by_it_when_it_comes_again() -> None:
    world = World()
    asked = world.asked()
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(asked)
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(world.asked(Ask.EMERGENCY))
    world.clock.advance(minutes=1)
    assert asked.request is not None
    later = replace(asked.request, at=world.clock.time)
    world.worker().tick(replace(asked, message_id="again", at=world.clock.time, request=later))
    world.settle()
    assert world.aliases["current"] == 2


def test_emergency_that_was_called_off_may_be_asked_for_again() -> None:
    world = World()
    asked = world.asked(Ask.EMERGENCY)
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(asked)
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "aborted"
    world.clock.advance(minutes=1)
    assert asked.request is not None
    later = replace(asked.request, at=world.clock.time)
    world.worker().tick(replace(asked, message_id="again", at=world.clock.time, request=later))
    world.settle()
    assert world.receipt["outcome"] == "rotated"
    assert not world.logs_in(1)


def test_emergency_while_soaking_replaces_both_credentials() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.aliases["current"] == 3
    assert world.logs_in(3)
    assert not world.logs_in(1)
    assert not world.logs_in(2)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "destroyed", 3: "enabled"}


def test_emergency_while_preparing_takes_over_a_dead_worker_at_once() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.MINTED).tick(world.scheduled())
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "disabled", 2: "enabled"}
    world.settle()
    assert world.receipt["mode"] == "emergency"


def test_same_emergency_delivered_again_rotates_once() -> None:
    world = World()
    message = world.asked(Ask.EMERGENCY)
    world.worker().tick(message)
    world.worker().tick(message)
    world.settle()
    world.worker().tick(message)
    assert max(world.store.versions) == 2


def test_emergency_lifts_a_block() -> None:
    world = World()
    world.issuer.trouble = staticmethod(_fail_once("mint", PermanentError("x", reason="rights")))
    world.worker().tick(world.scheduled())
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "disabled", 2: "enabled"}


def test_repeat_of_a_request_another_rotation_serves_costs_one_call() -> None:
    world = World()
    covered = world.asked()
    world.worker().tick(world.asked())
    world.worker().tick(covered)
    world.store.calls.clear()
    world.worker().tick(covered)
    assert world.store.calls == ["get"]
    world.settle()
    world.worker().tick(covered)
    assert max(world.store.versions) == 2


def test_emergency_asked_again_lifts_the_block_it_met() -> None:
    world = World()
    world.issuer.trouble = staticmethod(_fail_once("mint", PermanentError("x", reason="rights")))
    first = world.asked(Ask.EMERGENCY)
    world.worker().tick(first)
    world.worker().tick(first)
    assert world.labels["rotation_blocked"] == "rights"
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "disabled", 2: "enabled"}


def test_request_in_flight_is_served_afterwards() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked())
    world.clock.advance(hours=2)
    for _ in range(30):
        world.clock.advance(hours=1)
        world.worker().tick(world.woken())
    world.settle()
    assert world.states() == {1: "destroyed", 2: "destroyed", 3: "enabled"}


def test_request_served_once_however_often_it_is_delivered() -> None:
    world = World()
    message = world.asked()
    for _ in range(3):
        world.worker().tick(message)
    world.settle()
    world.worker().tick(message)
    assert max(world.store.versions) == 2


@pytest.mark.parametrize("ask", [Ask.UNBLOCK, Ask.EMERGENCY], ids=lambda ask: ask.value)
def test_current_version_that_cannot_be_read_is_replaced_by_the_one_a_person_points_to(
    ask: Ask,
) -> None:
    world = World()
    payload, _ = world.store.versions[1]
    world.store.versions[1] = (payload, VersionState.DESTROYED)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "version-unavailable"
    repeated = Payload.of({**payload.fields(), "rotation_id": "an earlier one"})
    world.store.versions[2] = (repeated, VersionState.ENABLED)
    world.store.touch(aliases={**world.aliases, "current": 2})
    world.worker().tick(world.asked(ask))
    assert world.aliases["current"] == 3
    assert world.aliases["previous"] == 2
    assert ask is Ask.EMERGENCY or world.states()[2] == "enabled"
    world.settle()
    assert world.states() == {1: "destroyed", 2: "destroyed", 3: "enabled"}


def test_revert_while_preparing_keeps_the_version_a_person_points_to() -> None:
    world = World()
    world.store.versions[2] = (Payload(b"no JSON"), VersionState.ENABLED)
    world.store.touch(aliases={"current": 2})
    world.issuer.trouble = staticmethod(_fail_once("mint", PermanentError("x", reason="rights")))
    world.worker().tick(world.scheduled())
    world.store.touch(aliases={"current": 1})
    world.worker().tick(world.asked(Ask.REVERT))
    assert "rotation_phase" not in world.labels
    assert world.aliases["current"] == 1
    assert world.logs_in(1)


def test_pointer_moved_by_hand_blocks_before_anything_is_retired() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.store.touch(aliases={**world.aliases, "current": 1})
    world.clock.advance(hours=2)
    world.worker().tick(world.woken())
    assert world.labels["rotation_blocked"] == "pointer-moved"
    assert world.logs_in(1)
    assert world.logs_in(2)


def test_current_version_disabled_by_hand_blocks_with_the_remedy() -> None:
    world = World()
    world.store.versions[1] = (world.store.versions[1][0], VersionState.DISABLED)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "version-unavailable"
    assert max(world.store.versions) == 1


def test_secret_that_is_gone_is_a_permanent_error() -> None:
    world = World()
    gone = WakeUp(WakeUpKind.ROTATE, SecretName("1", "gone"), "m", world.clock.time)
    with pytest.raises(NotFoundError):
        world.worker().tick(gone)


def test_secret_without_a_policy_is_left_alone() -> None:
    world = World()
    world.store.touch(annotations={"theirs": "kept"})
    world.worker().tick(world.scheduled())
    assert world.store.calls == ["get"]


def test_policy_removed_in_flight_blocks_until_it_is_back() -> None:
    world = World()
    policy = world.store.secret.annotations["rotation.policy"]
    world.worker().tick(world.scheduled())
    left = {k: v for k, v in world.store.secret.annotations.items() if k != "rotation.policy"}
    world.store.touch(annotations=left)
    world.clock.advance(hours=2)
    world.worker().sweep()
    world.worker().tick(world.woken(world.outbox.messages[-1]["reason"]))
    assert world.labels["rotation_blocked"] == "policy-invalid"
    annotations = {**world.store.secret.annotations, "rotation.policy": policy}
    world.store.touch(annotations=annotations)
    world.settle()
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert "rotation_blocked" not in world.labels


def test_destroyed_version_is_replaced_by_hand_while_aborting() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.CLAIMED).tick(world.scheduled())
    original, _ = world.store.versions[1]
    world.store.versions[1] = (original, VersionState.DESTROYED)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.labels["rotation_blocked"] == "version-unavailable"
    world.store.versions[2] = (original, VersionState.ENABLED)
    world.store.touch(aliases={**world.aliases, "current": 2})
    world.worker().tick(world.asked(Ask.UNBLOCK))
    world.settle()
    assert "rotation_blocked" not in world.labels
    assert world.receipt["current"] == 2
    assert world.logs_in(2)


def test_secret_under_managed_rotation_is_refused() -> None:
    world = World()
    world.store.touch(managed_rotation=True)
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "managed-rotation"


def test_drift_of_the_current_credential_is_reported_and_blocks() -> None:
    world = World()
    world.issuer.roles["app_a"].password = "changed by hand"
    world.worker().tick(world.woken("check"))
    assert world.labels["rotation_blocked"] == "drift"
    assert world.aliases["current"] == 1


def test_check_of_a_healthy_secret_writes_nothing() -> None:
    world = World()
    world.worker().tick(world.woken("check"))
    assert "update" not in world.store.calls


def test_sweep_wakes_what_waits_no_longer() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.worker().sweep()
    assert world.outbox.messages == []
    world.clock.advance(hours=1, minutes=1)
    world.worker().sweep()
    assert [message["reason"] for message in world.outbox.messages] == ["wait over"]
    assert world.outbox.messages[0]["secretId"] == str(NAME)


def test_sweep_leaves_to_the_next_one_what_the_quota_cannot_carry() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1, minutes=1)
    worker = world.worker()
    worker._most = 0
    worker.sweep()
    assert world.outbox.messages == []
    assert "1 left to the next sweep" in world.journal.lines[-1][1]
    world.worker().sweep()
    assert len(world.outbox.messages) == 1


def test_sweep_of_many_overdue_secrets_names_some_and_counts_all() -> None:
    world = World()
    world.clock.advance(days=31)
    world.store.touch(schedule=Schedule(START + timedelta(days=30), timedelta(days=30)))
    one = world.store.secret
    many = [replace(one, name=SecretName("123", f"app-{number}")) for number in range(NAMED + 7)]
    world.store.list = lambda _="": iter(many)  # type: ignore[method-assign]
    world.worker().sweep()
    named = [line["secret"] for line in world.journal.events_named("overdue")]
    assert named == [str(secret.name) for secret in many[:NAMED]]
    severity, message = world.journal.lines[-1]
    assert severity == "WARNING"
    assert f"{NAMED + 7} woken" in message
    assert f"{NAMED + 7} overdue, {NAMED + 7} too old; lines name {NAMED} of a kind" in message


def test_sweep_finds_an_expired_lease_and_a_missed_firing() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.MINTED).tick(world.scheduled())
    quick(world)
    world.worker().sweep()
    assert world.outbox.messages[-1]["reason"] == "lease over"
    world.worker().tick(world.woken("lease over"))
    world.settle()
    world.clock.advance(days=31)
    world.store.touch(schedule=Schedule(START + timedelta(days=60), timedelta(days=30)))
    world.worker().sweep()
    assert world.outbox.messages[-1]["reason"] == "overdue"
    world.worker().tick(world.woken("overdue"))
    assert world.aliases["current"] == 3


def test_destruction_left_to_secret_manager_is_not_waited_for() -> None:
    world = World()
    world.store.touch(version_destroy_ttl=timedelta(days=1))
    world.worker().tick(world.scheduled())
    for _ in range(8):
        world.clock.advance(minutes=30)
        world.worker().tick(world.woken())
    assert world.states()[1] == "destroyed"
    assert "rotation_phase" not in world.labels


def test_spent_time_budget_hands_over() -> None:
    world = World(soak="0s", retire={"observe": "0s", "destroy_after": "0s"})
    world.worker(CrashPoint.PUBLISHED, lambda: world.clock.advance(seconds=481)).tick(
        world.scheduled()
    )
    assert world.outbox.messages[-1]["reason"] == "time budget spent"
    world.worker().tick(world.woken())
    assert world.states() == {1: "destroyed", 2: "enabled"}


def test_no_waits_means_one_tick() -> None:
    world = World(soak="0s", retire={"observe": "0s", "destroy_after": "0s"})
    world.worker().tick(world.scheduled())
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert "rotation_phase" not in world.labels


def _fail_once(effect: str, error: Exception) -> object:
    pending = [error]

    def trouble(met: str) -> None:
        if met == effect and pending:
            raise pending.pop()

    return trouble


def test_policy_that_is_not_allowed_blocks_until_the_document_allows_it() -> None:
    world = World()
    world.allow("projects/123456789012/secrets/another")
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "not-allowed"
    assert "targets.db.secrets" in world.store.secret.annotations["rotation.blocked"]
    world.store.calls.clear()
    world.worker().tick(world.scheduled())
    assert world.store.calls == ["get"]
    assert world.logs_in(1)
    world.allow("projects/123456789012/secrets/a*")
    world.worker().tick(world.scheduled())
    assert "rotation_blocked" not in world.labels
    assert world.aliases["current"] == 2


def test_without_a_document_the_worker_touches_nothing() -> None:
    world = World()
    world.targets = None
    world.worker().tick(world.scheduled())
    assert world.labels["rotation_blocked"] == "not-allowed"
    assert "set ROTATION_TARGETS" in world.store.secret.annotations["rotation.blocked"]
    assert CrashPoint.MINTED not in world.reached
    world.allow("projects/123456789012/secrets/app")
    world.worker().tick(world.scheduled())
    assert world.aliases["current"] == 2


def test_sweep_rotates_what_is_older_than_a_target_allows() -> None:
    world = World()
    world.allow("projects/123456789012/secrets/a*", max_age="90d")
    world.store.touch(schedule=None)  # nothing but its age asks
    world.store.calls.clear()
    world.worker().sweep()
    assert world.store.calls == ["list"]
    assert [sent["reason"] for sent in world.outbox.messages] == ["max-age"]
    world.worker().tick(world.woken("max-age"))
    assert world.aliases["current"] == 2
    world.settle()
    assert '"reason":"max-age"' in world.store.secret.annotations["rotation.receipt"]
    world.outbox.messages.clear()
    world.clock.advance(days=88)
    world.worker().sweep()
    assert [sent["reason"] for sent in world.outbox.messages if sent["reason"] == "max-age"] == []
    world.clock.advance(days=2)
    world.worker().sweep()
    assert "max-age" in [sent["reason"] for sent in world.outbox.messages]


def test_policy_cannot_hide_its_target_from_the_sweep() -> None:
    world = World()
    world.allow("projects/123456789012/secrets/a*", max_age="90d")
    text = world.store.secret.annotations["rotation.policy"].replace('"db"', '"\\u0064b"')
    world.store.touch(annotations={"rotation.policy": text}, schedule=None)
    world.worker().sweep()
    assert [sent["reason"] for sent in world.outbox.messages] == ["max-age"]

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from rotation.engine.crashpoints import CrashPoint
from rotation.machine import transitions
from rotation.model.errors import LeaseHeldError, PermanentError, TemporaryError
from rotation.model.payload import Payload
from rotation.model.plugin import Session
from rotation.model.rotation import State
from rotation.model.secret import VersionState
from rotation.model.wakeup import Ask, Request

from .world import NAME, Killed, World


def test_latest_opens_a_session_at_every_moment_of_a_revert() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    dead: list[str] = []

    def look(effect: str) -> None:
        if not world.logs_in(max(world.store.versions)):
            dead.append(effect)

    world.store.trouble = look
    world.issuer.trouble = staticmethod(look)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert dead == []


def _with_orphan(world: World) -> None:
    """Leave a version that nobody knows of behind a finished rotation."""
    world.worker().tick(world.scheduled())
    world.settle()
    made_by = world.store.versions[2][0].rotation_id()
    orphan = Payload.of({"username": "app_b", "password": "x", "rotation_id": made_by})
    world.store.versions[3] = (orphan, VersionState.ENABLED)
    world.clock.advance(minutes=1)


def test_firing_while_a_check_holds_the_lease_is_delivered_again() -> None:
    world = World()
    _with_orphan(world)
    refused: list[str] = []

    def fire(call: str) -> None:
        if call == "disable" and not refused:
            refused.append("held")
            with pytest.raises(LeaseHeldError):
                world.worker().tick(world.scheduled())

    world.store.trouble = fire
    world.worker().tick(world.woken("check"))
    assert refused == ["held"]


def test_orphan_of_a_refused_first_credential_is_cleaned_up() -> None:
    world = World(first=True)
    world.worker(CrashPoint.ADDING, lambda: world.worker().tick(world.asked(Ask.REVERT))).tick(
        world.scheduled()
    )
    assert world.states() == {1: "enabled"}
    (check,) = world.outbox.messages
    world.worker().tick(world.woken(check["reason"]))
    assert world.states() == {1: "disabled"}


def test_emergency_answered_from_an_old_read_is_not_lost() -> None:
    world = World()
    old = []
    world.worker(CrashPoint.MINTED, lambda: old.append(world.store.secret)).tick(
        world.asked(Ask.EMERGENCY)
    )
    world.clock.advance(seconds=5)
    assert world.labels["rotation_phase"] == "retiring"
    world.store.stale = old
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.aliases["current"] == 3


def test_temporary_error_while_an_orphan_is_cleaned_up_does_not_cut_the_soak_short() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    orphan = Payload.of({"username": "app_b", "password": "x", "rotation_id": "theirs"})
    world.store.versions[3] = (orphan, VersionState.ENABLED)
    world.store.trouble = fail_once("disable", TemporaryError("UNAVAILABLE"))
    until = world.labels["rotation_wake_at"]
    with pytest.raises(TemporaryError):
        world.worker().tick(world.woken("check"))
    assert world.labels["rotation_wake_at"] == until


def test_late_suspension_does_not_lock_out_who_still_uses_the_previous_credential() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1)

    def straggler_and_takeover() -> None:
        world.issuer.roles["app_a"].sessions.append(Session("db", "10.0.0.7 billing"))
        world.clock.advance(seconds=601)
        world.worker().tick(world.woken("lease over"))

    world.worker(CrashPoint.SUSPENDING, straggler_and_takeover).tick(world.woken())
    assert "10.0.0.7 billing" in world.store.secret.annotations["rotation.record"]
    assert world.logs_in(1)


def test_straggler_seen_after_a_crash_gets_its_credential_back() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1)
    with pytest.raises(Killed):
        world.worker(CrashPoint.DISABLED).tick(world.woken())
    world.issuer.roles["app_a"].sessions.append(Session("db", "10.0.0.7 billing"))
    world.clock.advance(seconds=601)
    world.worker().tick(world.woken("lease over"))
    assert world.logs_in(1)


def test_emergency_asked_while_it_goes_back_by_itself_still_rotates() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_b"].password = "changed by hand"
    world.clock.advance(hours=2)
    world.worker(CrashPoint.REVERTED, lambda: world.worker().tick(world.asked(Ask.EMERGENCY))).tick(
        world.woken()
    )
    assert world.receipt["outcome"] == "reverted"
    assert world.labels["rotation_phase"] == "retiring"
    assert world.logs_in(world.aliases["current"])
    assert world.issuer.roles["app_a"].password is None


def test_emergency_that_a_fault_keeps_from_being_stored_is_said_to_be_lost() -> None:
    world = World()
    world.store.touch(annotations={"rotation.policy": "{"})
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.labels["rotation_blocked"] == "policy-invalid"
    assert "the emergency r1 was not served and is not kept: ask again" in world.journal


def test_emergency_that_is_kept_is_not_said_to_be_lost() -> None:
    world = World()
    world.store.disable(NAME, 1, world.store.version(NAME, 1).etag)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.labels["rotation_blocked"]
    assert "not kept" not in world.journal


def test_emergency_serves_what_was_kept_while_preparing() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.MINTED).tick(world.scheduled())
    world.clock.advance(seconds=1)
    kept, late = world.asked(), world.asked()
    world.worker().tick(kept)
    world.clock.advance(seconds=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    for routine in (kept, late):
        world.worker().tick(routine)
    world.settle()
    assert (world.receipt["mode"], world.receipt["current"]) == ("emergency", 2)


def test_check_while_it_goes_back_finds_no_drift() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    with pytest.raises(Killed):
        world.worker(CrashPoint.ABORTED).tick(world.asked(Ask.REVERT))
    world.clock.advance(seconds=601)
    world.worker().tick(world.woken("check"))
    assert "rotation_blocked" not in world.labels
    assert world.receipt["outcome"] == "reverted"


def test_revert_to_a_credential_that_is_dead_too_asks_for_a_person() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.issuer.roles["app_a"].password = "changed by hand"
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.labels["rotation_blocked"] == "no-way-back"
    assert world.aliases["current"] == 2


def _destroyed(world: World) -> None:
    world.store.destroy(NAME, 1, world.store.version(NAME, 1).etag)


def _changed(world: World) -> None:
    world.issuer.roles["app_a"].password = "changed by hand"


def _dropped(world: World) -> None:
    def refuse(call: str) -> None:
        if call == "restore":
            raise PermanentError("the slot role app_a does not exist", reason="role-missing")

    world.issuer.trouble = staticmethod(refuse)


@pytest.mark.parametrize("lose", [_destroyed, _changed, _dropped])
def test_emergency_goes_on_where_there_is_no_way_back(lose: Callable[[World], None]) -> None:
    world = World()
    world.worker().tick(world.scheduled())
    lose(world)
    world.worker().tick(world.asked(Ask.REVERT))
    assert "rotation_blocked" in world.labels
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert "rotation_blocked" not in world.labels
    assert (world.receipt["outcome"], world.receipt["current"]) == ("rotated", 2)
    assert world.aliases["current"] == 3
    assert world.logs_in(3)
    assert world.issuer.roles["app_b"].password is None
    world.settle()
    assert world.receipt["mode"] == "emergency"


def test_latest_works_after_adoption_below_a_dead_version() -> None:
    world = World()
    message = world.scheduled()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(message)
    made_by = world.labels["rotation_id"]
    dead = Payload.of({"username": "app_b", "password": "x", "rotation_id": made_by})
    world.store.versions[3] = (dead, VersionState.ENABLED)
    world.clock.advance(seconds=601)
    world.worker().tick(message)
    assert world.aliases["current"] == 2
    assert world.states() == {1: "enabled", 2: "enabled", 3: "disabled", 4: "enabled"}
    assert world.logs_in(4)
    world.settle()
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.settle()
    assert [n for n, state in world.states().items() if state == "enabled"] == [5]


@pytest.mark.parametrize("point", [CrashPoint.CLAIMED, CrashPoint.ADDED])
def test_copy_of_the_previous_version_ends_with_it(point: CrashPoint) -> None:
    world = World()
    message = world.scheduled()
    copy = world.store.versions[1]
    if point is CrashPoint.CLAIMED:
        world.worker(point, lambda: world.store.versions.update({2: copy})).tick(message)
    else:
        with pytest.raises(Killed):
            world.worker(point).tick(message)
        world.store.versions[3] = copy
        world.clock.advance(seconds=601)
        world.worker().tick(message)
    assert world.logs_in(max(world.store.versions))
    world.settle()
    assert all(world.logs_in(n) for n, state in world.states().items() if state == "enabled")
    assert world.logs_in(max(world.store.versions))


def test_orphan_found_while_the_lease_is_given_back_is_cleaned_up() -> None:
    world = World()

    def overtaken(call: str) -> None:
        if call == "added" and not world.outbox.messages and world.labels["rotation_token"] == "1":
            world.worker().tick(world.asked(Ask.REVERT))
            world.store.trouble = fail_once("update", TemporaryError("UNAVAILABLE"))

    world.store.trouble = overtaken
    with pytest.raises(TemporaryError):
        world.worker().tick(world.scheduled())
    assert [message["reason"] for message in world.outbox.messages] == ["check"]


def test_late_copy_of_a_version_made_by_a_person_is_known_for_ours() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.worker().tick(world.asked(Ask.REVERT))
    copy = world.store.versions[3]
    assert copy[0].rotation_id() is not None
    world.clock.advance(minutes=1)
    world.worker().tick(world.scheduled())
    world.store.versions[5] = copy  # added by a worker that came late
    world.worker().tick(world.woken("check"))
    world.settle()
    assert world.states()[5] == "disabled"
    assert world.logs_in(max(world.store.versions))


def test_request_that_comes_while_the_last_rotation_settles_counts_as_served() -> None:
    state = State()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(seconds=1)
    request = Request(Ask.ROUTINE, at=later, id="r1")
    claim = transitions.Claim(now, now + timedelta(minutes=10), "m1")
    begun = transitions.start(state, claim, request, "projects/p/secrets/s")
    assert begun.in_flight.started_at == later


def test_old_read_does_not_let_a_late_worker_disable_what_a_revert_enabled() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1)

    def reverted_and_read_old() -> None:
        before = world.store.secret
        world.worker().tick(world.asked(Ask.REVERT))
        world.store.stale = [before]

    world.worker(CrashPoint.SUSPENDED, reverted_and_read_old).tick(world.woken())
    assert world.aliases["current"] == 1
    assert world.logs_in(1)


def fail_once(effect: str, error: Exception) -> Callable[[str], None]:
    pending = [error]

    def trouble(met: str) -> None:
        if met == effect and pending:
            raise pending.pop()

    return trouble


def test_orphan_added_while_latest_is_covered_is_cleaned_up() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    dead = Payload.of({**world.store.versions[2][0].fields(), "password": "dead"})
    raced: list[int] = []

    def race(call: str) -> None:
        if call == "add_version" and not raced:
            raced.append(3)
            world.store.versions[3] = (dead, VersionState.ENABLED)

    world.store.trouble = race
    world.worker().tick(world.asked(Ask.REVERT))
    assert raced == [3]
    assert world.states() == {1: "enabled", 2: "disabled", 3: "disabled", 4: "enabled"}


def test_orphan_added_behind_its_cover_is_covered_too() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    dead = Payload.of({**world.store.versions[2][0].fields(), "password": "dead"})
    raced: list[int] = []

    def race(call: str) -> None:
        if call == "added" and not raced:
            raced.append(4)
            world.store.versions[4] = (dead, VersionState.ENABLED)

    world.store.trouble = race
    world.worker().tick(world.asked(Ask.REVERT))
    assert raced == [4]
    assert world.states() == {
        1: "enabled",
        2: "disabled",
        3: "enabled",
        4: "disabled",
        5: "enabled",
    }
    assert world.logs_in(5)


def test_commit_under_way_while_a_version_is_adopted_does_not_kill_it() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    logins: list[str] = []

    def land(effect: str) -> None:
        """An older worker's change lands after the first login, when the lock is asked for."""
        logins.append(effect)
        if effect == "restore":
            world.issuer.roles["app_b"].password = "set by a late commit"

    world.issuer.trouble = staticmethod(land)
    world.clock.advance(minutes=11)
    world.worker().tick(world.woken())
    assert "restore" in logins
    assert world.logs_in(world.aliases["current"])
    assert world.states()[2] == "disabled"


def test_newest_version_of_an_interrupted_worker_is_adopted() -> None:
    world = World()
    with pytest.raises(Killed):
        world.worker(CrashPoint.ADDED).tick(world.scheduled())
    world.store.versions[3] = world.store.versions[2]  # added twice, unsure of the first
    world.clock.advance(minutes=11)
    world.worker().tick(world.woken())
    assert world.aliases["current"] == 3

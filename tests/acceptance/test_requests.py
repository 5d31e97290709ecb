"""What people ask for: to go back, and to replace a leaked credential at once."""

import re
import time
from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from tests.acceptance.prober import probing
from tests.acceptance.stalls import straggling
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target


@pytest.mark.slow
@pytest.mark.parametrize("point", ["minted", "added"])
def test_revert_asked_for_while_preparing_leaves_the_credential_in_force(
    target: Target, point: str
) -> None:
    with target.scene.interrupted_at(point) as marker, probing(target):
        target.fire()
        wait_until(marker.exists, "the function is killed")
        target.ask("revert", requested_by="sre")
        target.await_phase("settled", 1)
    target.scene.await_idle()
    target.assert_settled(current=1, previous=None)
    assert target.receipt["outcome"] == "aborted"
    assert target.latest() == target.payload(1)
    with target.scene.stack.postgres.connect() as session:
        query = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"
        assert session.execute(query, [target.slots[1]]).fetchone() == (False,)
    target.rotate()
    assert target.works(target.payload(target.current))


@pytest.mark.parametrize("phase", ["soaking", "observing"])
def test_revert_gives_consumers_the_previous_credential(target: Target, phase: str) -> None:
    target.rotate()
    with probing(target, rereads=True) as prober:
        target.move_on_to(phase)
        prober.beat()
        target.ask("revert", reason="errors rise", requested_by="sre")
        target.await_phase("settled", 1)
        target.scene.await_idle()
    target.assert_settled(current=1, previous=None)
    assert target.receipt["why"] == "asked by sre (claimed): errors rise"
    assert target.states == {1: "ENABLED", 2: "DISABLED", 3: "ENABLED"}
    assert target.refused(target.payload(2))
    assert target.latest() == target.payload(1)
    target.rotate()
    target.settle()
    target.assert_settled(current=4, previous=1)
    assert target.enabled == [4]


@pytest.mark.slow
def test_straggler_found_while_observing_gets_its_credential_back(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    with straggling(target):
        target.move_on()
        target.await_phase("soaking", 2)
        assert target.works(first)
        assert target.states[1] == "ENABLED"
        target.move_on()
        assert "billing" in target.record["note"]
        assert target.works(first)
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.refused(first)


def test_session_on_the_previous_credential_holds_its_retirement(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    with closing(target.connect(first, application_name="billing")) as session:
        for _ in range(2):
            target.move_on()
            assert target.works(first)
        assert "billing" in target.record["note"]
        assert session.execute("SELECT 1").fetchone() == (1,)
    target.settle()
    assert target.refused(first)


def test_current_credential_that_died_is_replaced_by_the_previous_one_and_blocks(
    target: Target,
) -> None:
    target.rotate()
    target.superuser(f"ALTER ROLE {target.slots[1]} PASSWORD 'changed-by-hand'")
    target.move_on()
    assert "version 2" in target.await_blocked("reverted")["message"] or target.block["message"]
    assert target.current == 1
    assert target.works(target.payload(1))
    assert target.latest() == target.payload(1)
    target.ask("unblock")
    wait_until(lambda: not target.block, "it is unblocked")
    target.rotate()
    target.settle()
    assert target.works(target.payload(target.current))


def _ended(session: psycopg.Connection) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_emergency_refuses_the_old_credential_and_ends_its_sessions(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    first = target.payload(1)
    with closing(target.connect(first, application_name="thief")) as thief:
        began = time.monotonic()
        target.ask("emergency", reason="leak", requested_by="sre")
        wait_until(lambda: target.refused(first), "the old credential is refused")
        record_property("seconds_to_refusal", round(time.monotonic() - began, 3))
        target.scene.await_idle()
        assert _ended(thief)
    assert target.works(target.payload(2))
    assert target.states == {1: "DISABLED", 2: "ENABLED"}
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert (target.receipt["mode"], target.receipt["reason"]) == ("emergency", "leak")
    assert target.receipt["requested_by"] == "sre"
    # One at least: a login of ours that looked whether it is refused may have been ended, too.
    assert re.search(r"\b[1-9] sessions ended", "\n".join(target.receipt["evidence"]))


def test_emergency_published_as_googles_own_event_with_a_mode_works(target: Target) -> None:
    first = target.payload(1)
    target.scene.stack.publish(eventType="SECRET_ROTATE", secretId=target.name, mode="emergency")
    target.await_phase("destroying", 2)
    target.scene.await_idle()
    assert target.refused(first)


@pytest.mark.parametrize("phase", ["soaking", "observing", "destroying"])
def test_emergency_after_publication_replaces_both_credentials(target: Target, phase: str) -> None:
    leaked = [target.payload(1)]
    target.rotate()
    leaked.append(target.payload(2))
    target.move_on_to(phase)
    with closing(target.connect(leaked[1], application_name="thief")) as thief:
        target.ask("emergency", reason="leak")
        wait_until(lambda: target.current == 3, "a third credential is in force")
        target.scene.await_idle()
        assert _ended(thief)
    assert all(map(target.refused, leaked))
    assert target.works(target.payload(3))
    target.settle()
    target.assert_settled(current=3, previous=2)
    assert target.enabled == [3]


def test_emergency_ends_the_session_that_a_revert_left_on_the_idle_slot(target: Target) -> None:
    first = target.payload(1)
    target.rotate()
    with closing(target.connect(target.payload(2), application_name="thief")) as thief:
        target.ask("revert", reason="a mistake")
        target.settle()
        assert not _ended(thief)
        target.ask("emergency", reason="leak")
        wait_until(lambda: target.refused(first), "the old credential is refused")
        target.scene.await_idle()
        assert _ended(thief)
    assert target.works(target.payload(target.current))


@pytest.mark.slow
@pytest.mark.parametrize("point", ["minted", "added"])
def test_emergency_while_preparing_makes_this_rotation_one(target: Target, point: str) -> None:
    first = target.payload(1)
    with target.scene.interrupted_at(point) as marker:
        target.fire()
        wait_until(marker.exists, "the function is killed")
        target.ask("emergency", reason="leak")
        target.await_phase("destroying", 2)
    target.scene.await_idle()
    assert target.refused(first)
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.receipt["mode"] == "emergency"


def test_duplicates_of_an_emergency_rotate_once(target: Target) -> None:
    for _ in range(3):
        target.ask("emergency", request_id="one", reason="leak")
    target.await_phase("destroying", 2)
    target.ask("emergency", request_id="one", reason="leak")
    target.settle()
    target.scene.await_idle()
    target.settle()
    assert max(target.states) <= 3, "at most the one that came after the first was served"
    assert target.enabled == [target.current]


def test_emergency_lifts_a_block(target: Target) -> None:
    first = target.payload(1)
    with closing(target.connect({**first, "username": target.slots[1]} | _login(target))):
        target.fire()
        target.await_blocked("slot-in-use")
    wait_until(lambda: not target.sessions(target.slots[1]), "the session has ended")
    target.ask("emergency")
    target.await_phase("destroying", 2)
    target.scene.await_idle()
    assert not target.block
    assert target.refused(first)


def _login(target: Target) -> dict[str, str]:
    """Give the idle slot a password by hand, as somebody did who uses it."""
    target.superuser(f"ALTER ROLE {target.slots[1]} PASSWORD 'used-by-hand'")
    return {"password": "used-by-hand"}


def test_routine_request_while_soaking_waits_and_is_served(target: Target) -> None:
    target.rotate()
    target.scene.advance(seconds=1)
    target.ask("routine", request_id="more", reason="once more")
    target.scene.await_idle()
    assert target.current == 2
    for _ in range(8):
        if target.current == 3:
            break
        target.move_on()
    target.settle()
    target.assert_settled(current=3, previous=2)
    assert target.receipt["reason"] == "once more"
